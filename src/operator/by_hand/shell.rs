//! Commands that a person pastes into a POSIX shell.
//!
//! In: objects, fields, values. Out: lines that begin with `kubectl`. Invariants: whatever stands in a value, the shell passes it on as it
//! is; an object is named by plural, version and group, so that no short name can mean another kind; repeated, a command changes nothing
//! more. Not here: which commands, in which order ([`super::page`]).

use serde_json::{Map, Value, json};

use crate::model::reference::Target;
use crate::model::service::{Change, Closing};
use crate::operator::effects::capture::{Field, Preimage};
use crate::operator::effects::operations::keys;

/// The text as one word of a shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `kubectl`, in this namespace.
#[must_use]
pub fn kubectl(namespace: &str) -> String {
    if namespace.is_empty() { "kubectl".to_owned() } else { format!("kubectl -n {namespace}") }
}

/// `kubectl VERB … RESOURCE NAME` of one object, which the API serves as `resource`.
#[must_use]
pub fn on(target: &Target, resource: &str, verb: &str) -> String {
    let served = match target.api_version.split_once('/') {
        Some((group, version)) => format!("{resource}.{version}.{group}"),
        None => resource.to_owned(),
    };
    format!("{} {verb} {served} {}", kubectl(&target.namespace), target.name)
}

/// The commands that give the object its pre-image again, from whatever the change left: fields by a merge patch, in which null removes
/// what is there and does nothing where nothing is; a value that is an object, or null, by a JSON patch, since a merge would mix it with
/// what is there. None when nothing was to change.
#[must_use]
pub fn restoring(target: &Target, preimage: &Preimage) -> Vec<String> {
    let mut merged = Value::Object(Map::new());
    let mut operations = Vec::new();
    for Field { pointer, before, .. } in &preimage.fields {
        match before {
            Some(value @ (Value::Object(_) | Value::Null)) => {
                operations.push(json!({"op": "add", "path": pointer, "value": value}));
            }
            Some(value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))) => {
                put(&mut merged, &keys(pointer), value.clone());
            }
            None => put(&mut merged, &keys(pointer), Value::Null),
        }
    }
    let patch = |form: &str, body: &Value| {
        let patched = on(target, &preimage.resource, "patch");
        format!("{patched} --type={form} -p {}", quoted(&body.to_string()))
    };
    let merge = merged.as_object().is_some_and(|fields| !fields.is_empty()).then(|| patch("merge", &merged));
    let json = (!operations.is_empty()).then(|| patch("json", &json!(operations)));
    merge.into_iter().chain(json).collect()
}

/// The command that changes the object as declared; none for what no service may declare.
#[must_use]
pub fn changing(action: &Closing, resource: &str) -> Option<String> {
    let (form, body) = match &action.change {
        Change::Scale { replicas } => ("merge", json!({"spec": {"replicas": replicas}})),
        Change::Suspend {} => ("merge", json!({"spec": {"suspend": true}})),
        Change::Merge { merge } => ("merge", merge.clone()),
        Change::Json { operations } => ("json", json!(operations)),
        Change::Apply { .. } | Change::Restart {} | Change::Cordon {} => return None,
    };
    let patched = on(&action.target, resource, "patch");
    Some(format!("{patched} --type={form} -p {}", quoted(&body.to_string())))
}

/// Puts `value` at the end of `keys`, with the parents that are missing.
fn put(object: &mut Value, keys: &[String], value: Value) {
    let Some((key, rest)) = keys.split_first() else { return };
    let Some(fields) = object.as_object_mut() else { return };
    if rest.is_empty() {
        fields.insert(key.clone(), value);
    } else {
        put(fields.entry(key.clone()).or_insert_with(|| json!({})), rest, value);
    }
}

/// Where kubectl finds an annotation.
#[must_use]
pub fn annotation_path(name: &str) -> String {
    format!("jsonpath={{.metadata.annotations.{}}}", name.replace('.', r"\."))
}

/// Deletes an object if this very step made it.
#[must_use]
pub fn unmaking(target: &Target, resource: &str, mark: &str, maker: &str) -> String {
    let path = annotation_path(mark);
    format!(
        "made=$({} --ignore-not-found -o {}) &&\nif [ \"$made\" = {} ]; then {} --ignore-not-found; fi",
        on(target, resource, "get"),
        quoted(&path),
        quoted(maker),
        on(target, resource, "delete")
    )
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use super::*;

    fn target(api_version: &str, namespace: &str) -> Target {
        let [api_version, namespace] = [api_version, namespace].map(str::to_owned);
        Target { api_version, kind: "Thing".to_owned(), namespace, name: "x".to_owned() }
    }

    #[test]
    fn an_object_is_named_by_version_and_group_where_it_has_one() {
        assert_eq!(on(&target("apps/v1", "a"), "deployments", "get"), "kubectl -n a get deployments.v1.apps x");
        assert_eq!(on(&target("v1", ""), "nodes", "get"), "kubectl get nodes x");
    }

    #[test]
    fn fields_of_one_parent_are_one_patch_and_a_field_that_was_absent_is_removed() {
        let field = |pointer: &str, before: Option<Value>| Field { pointer: pointer.to_owned(), before, after: None };
        let fields = vec![
            field("/spec/replicas", Some(json!(3))),
            field("/metadata/annotations/a.b~1c", None),
            field("/spec/selector", Some(json!({"app": "it's"}))),
        ];
        let preimage = Preimage { uid: "u".to_owned(), resource: "things".to_owned(), fields };
        let patched = "kubectl -n a patch things.v1.g.example x";
        assert_eq!(
            restoring(&target("g.example/v1", "a"), &preimage),
            [
                format!("{patched} --type=merge -p '{}'", r#"{"metadata":{"annotations":{"a.b/c":null}},"spec":{"replicas":3}}"#),
                format!("{patched} --type=json -p '{}'", r#"[{"op":"add","path":"/spec/selector","value":{"app":"it'\''s"}}]"#),
            ]
        );
    }
}
