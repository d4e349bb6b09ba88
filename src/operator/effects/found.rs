//! What a change would change in a live object, whoever has to be asked for that.
//!
//! In: a live object and a [`Change`]. Out: fields with their values before and after, and a pre-image made of them. Invariants: what
//! can be computed is; for a JSON Patch and for a server-side apply the API server is asked, without storing anything, so that defaults
//! and webhooks are in the answer; fields are reached through objects only, so that of a list the whole is captured. Not here: writing.

use serde_json::{Map, Value, json};

use crate::model::service::Change;

use super::call::CallError;
use super::capture::{Field, FieldChange, Preimage, changes, preimage};
use super::operations::{child, patched, strict, test, text};
use super::tenant::Tenant;

/// Whether only the API server knows what the change leaves.
pub(super) fn is_asked(change: &Change) -> bool {
    match change {
        Change::Json { .. } | Change::Apply { .. } => true,
        Change::Scale { .. } | Change::Suspend {} | Change::Merge { .. } | Change::Cordon {} | Change::Restart {} => false,
    }
}

/// The fields that `change` changes in `live`, the object at `path`.
///
/// # Errors
/// When the API server has to be asked and does not say; [`explained`] has words for it.
pub(super) async fn found(tenant: &Tenant, path: &str, live: &Value, change: &Change) -> Result<Vec<FieldChange>, CallError> {
    let left = match change {
        Change::Json { operations } => tenant.try_patch(path, &guarded(live, None, operations)).await?,
        Change::Apply { manifest } => tenant.apply(path, &of_revision(manifest, live), true).await?,
        Change::Scale { .. } | Change::Suspend {} | Change::Merge { .. } | Change::Cordon {} | Change::Restart {} => {
            return Ok(changes(live, change));
        }
    };
    Ok(differences(live, &left))
}

/// A patch of people's own operations that holds for this very object and revision, and with this token if one is given.
pub(super) fn guarded(live: &Value, token: Option<&str>, operations: &[Value]) -> Vec<Value> {
    let of = |field: &str| test(&format!("/metadata/{field}"), text(live, &["metadata", field]));
    let mut patch = vec![of("uid"), of("resourceVersion")];
    patch.extend(token.map(|token| test(&super::operations::token(), token)));
    patch.extend(strict(operations));
    patch
}

/// The manifest, to be applied to this very object and revision.
pub(super) fn of_revision(manifest: &Value, live: &Value) -> Value {
    let mut manifest = manifest.clone();
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["uid", "resourceVersion"] {
            metadata.insert(field.to_owned(), text(live, &["metadata", field]).into());
        }
    }
    manifest
}

/// The pre-image of a change that was asked about, or of a step's: with the values after it, by which it is known again.
pub(super) fn step_preimage(live: &Value, resource: &str, found: Vec<FieldChange>) -> Preimage {
    let field = |change: FieldChange| Field { pointer: change.pointer, before: change.before, after: change.after };
    Preimage {
        uid: text(live, &["metadata", "uid"]).to_owned(),
        resource: resource.to_owned(),
        fields: found.into_iter().map(field).collect(),
    }
}

/// The pre-image that a closing of `live` would have, as far as that can be known without asking: enough to see what two closings share.
pub(super) fn foreseen(live: &Value, change: &Change) -> Preimage {
    match change {
        Change::Json { operations } => step_preimage(live, "", differences(live, &patched(live, operations))),
        Change::Scale { .. }
        | Change::Suspend {}
        | Change::Merge { .. }
        | Change::Cordon {}
        | Change::Restart {}
        | Change::Apply { .. } => preimage(live, "", change),
    }
}

/// Where two states of one object differ, controllers' and the API server's own fields aside.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<FieldChange> {
    let part = |object: &Value| {
        let mut part = object.as_object().cloned().unwrap_or_default();
        part.retain(|field, _| !["apiVersion", "kind", "status"].contains(&field.as_str()));
        if let Some(metadata) = part.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| ["labels", "annotations"].contains(&field.as_str()));
        }
        part
    };
    let mut found = Vec::new();
    members("", &part(before), &part(after), &mut found);
    found
}

fn members(pointer: &str, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<FieldChange>) {
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added) {
        let pointer = child(pointer, key);
        match (before.get(key), after.get(key)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => members(&pointer, before, after, found),
            (before, after) if before == after => {}
            (before, after) => found.push(FieldChange { pointer, before: before.cloned(), after: after.cloned() }),
        }
    }
}

/// Why the API server does not make the change, in more words than its own where those are few.
pub(super) fn explained(live: &Value, change: &Change, error: &CallError) -> String {
    let own = match change {
        Change::Json { operations } => first_that_fails(live, operations),
        Change::Scale { .. }
        | Change::Suspend {}
        | Change::Merge { .. }
        | Change::Cordon {}
        | Change::Restart {}
        | Change::Apply { .. } => None,
    };
    own.unwrap_or_else(|| error.story())
}

/// The first operation that does not apply, and what is there instead.
fn first_that_fails(live: &Value, operations: &[Value]) -> Option<String> {
    let mut object = live.clone();
    for (index, operation) in operations.iter().enumerate() {
        let applies = serde_json::from_value::<json_patch::Patch>(json!([operation]))
            .is_ok_and(|one| json_patch::patch(&mut object, &one).is_ok());
        if !applies {
            let pointer = text(operation, &["path"]);
            let there = object.pointer(pointer).map_or_else(|| "nothing is there".to_owned(), |value| format!("it is {value}"));
            let there: String = there.chars().take(200).collect();
            let asked = match text(operation, &["op"]) {
                "test" => "the condition does not hold".to_owned(),
                op => format!("{op} does not apply"),
            };
            return Some(format!("json[{index}], {pointer}: {asked}: {there}"));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn differences_go_through_objects_and_take_lists_whole() {
        let before = json!({"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}, "status": {"x": 1},
            "spec": {"list": [1, 2], "kept": {"inner": 1}, "gone": 3}});
        let after = json!({"metadata": {"resourceVersion": "2"}, "status": {"x": 2},
            "spec": {"list": [1, 2, 3], "kept": {"inner": 2}, "new": {"deep": 1}}});
        let found: Vec<String> = differences(&before, &after).into_iter().map(|change| change.pointer).collect();
        assert_eq!(found, ["/metadata/labels", "/spec/gone", "/spec/kept/inner", "/spec/list", "/spec/new"]);
        assert_eq!(differences(&before, &before), []);
    }

    #[test]
    fn what_people_replace_has_to_be_there() {
        let live = json!({"metadata": {"uid": "u", "resourceVersion": "7"}});
        let patch = guarded(&live, None, &[json!({"op": "replace", "path": "/data/riga", "value": "x"})]);
        let operations = patch.iter().skip(2).map(|operation| (text(operation, &["op"]), text(operation, &["path"])));
        assert_eq!(operations.collect::<Vec<_>>(), [("remove", "/data/riga"), ("add", "/data/riga")]);
    }

    #[test]
    fn the_operation_that_fails_is_named_with_what_is_there() {
        let live = json!({"spec": {"replicas": 3}});
        let test = |path: &str| {
            vec![json!({"op": "add", "path": "/spec/a", "value": 1}), json!({"op": "test", "path": path, "value": 2})]
        };
        let said = first_that_fails(&live, &test("/spec/replicas")).expect("it fails");
        assert_eq!(said, "json[1], /spec/replicas: the condition does not hold: it is 3");
        assert!(first_that_fails(&live, &test("/spec/b")).expect("it fails").ends_with("nothing is there"));
        assert_eq!(first_that_fails(&live, &test("/spec/a")[..1]), None);
    }
}
