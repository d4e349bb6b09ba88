//! JSON Patch (RFC 6902) operations and JSON pointers (RFC 6901), as values.
//!
//! In: pointers and values. Out: operations, and look-ups that only go through objects. Invariant: a pointer made here is escaped.
//! Not here: which operations a write needs.

use serde_json::{Map, Value, json};

use super::marks::TOKEN;

/// The value there is this, or nothing of the patch happens.
#[must_use]
pub fn test(pointer: &str, value: impl Into<Value>) -> Value {
    json!({"op": "test", "path": pointer, "value": value.into()})
}

/// A value where none is; in an object, also in place of one.
#[must_use]
pub fn add(pointer: &str, value: impl Into<Value>) -> Value {
    json!({"op": "add", "path": pointer, "value": value.into()})
}

/// Another value in place of the one there.
#[must_use]
pub fn replace(pointer: &str, value: impl Into<Value>) -> Value {
    json!({"op": "replace", "path": pointer, "value": value.into()})
}

/// The value there goes.
#[must_use]
pub fn remove(pointer: &str) -> Value {
    json!({"op": "remove", "path": pointer})
}

/// People's operations as RFC 6902 means them: an API server puts a value that replaces none where there was none, and so takes a
/// mistaken path for a new field. It removes only what is there.
#[must_use]
pub fn strict(operations: &[Value]) -> Vec<Value> {
    let of = |operation: &Value| match (text(operation, &["op"]), operation.get("value")) {
        ("replace", Some(value)) => {
            let pointer = text(operation, &["path"]);
            vec![remove(pointer), add(pointer, value.clone())]
        }
        _ => vec![operation.clone()],
    };
    operations.iter().flat_map(of).collect()
}

/// The pointer to `key` under `parent`.
#[must_use]
pub fn child(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The keys of a pointer, from the top.
#[must_use]
pub fn keys(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect()
}

/// Whether one of the two lies at or under the other.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    let within =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    within(one, other) || within(other, one)
}

/// Where an annotation stands.
#[must_use]
pub fn annotation(name: &str) -> String {
    child("/metadata/annotations", name)
}

/// Where the token stands.
#[must_use]
pub fn token() -> String {
    annotation(TOKEN)
}

/// The value at the end of `keys`, through objects only.
#[must_use]
pub fn at<'a>(object: &'a Value, keys: &[impl AsRef<str>]) -> Option<&'a Value> {
    keys.iter().try_fold(object, |value, key| value.as_object()?.get(key.as_ref()))
}

/// The text at the end of `keys`; empty where there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, keys: &[&str]) -> &'a str {
    at(object, keys).and_then(Value::as_str).unwrap_or_default()
}

/// An annotation's value.
#[must_use]
pub fn annotated<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    at(object, &["metadata", "annotations", name])?.as_str()
}

/// The object as the patch would leave it, as far as that can be known here.
#[must_use]
pub fn patched(live: &Value, patch: &[Value]) -> Value {
    let mut object = live.clone();
    let whole = serde_json::from_value::<json_patch::Patch>(json!(patch));
    if let Ok(patch) = whole {
        // One that does not apply is refused by the API server too, in its own words.
        let _ = json_patch::patch(&mut object, &patch);
    }
    object
}

/// Operations that set annotations, and the map that holds them where there is none.
#[must_use]
pub fn annotate(object: &Value, annotations: &[(&str, &str)]) -> Vec<Value> {
    let all: Map<String, Value> = annotations.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
    if at(object, &["metadata", "annotations"]).is_some_and(Value::is_object) {
        return all.into_iter().map(|(name, value)| add(&annotation(&name), value)).collect();
    }
    vec![add("/metadata/annotations", all)]
}
