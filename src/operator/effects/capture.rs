//! What a closing changes, captured before the change, so that the way back is exact.
//!
//! In: a live object and a [`Change`]. Out: the fields it changes with their values before and after, and the patches there and back.
//! Invariants: pure; closing then restoring gives the same object; a field that was absent is absent again; nothing but these fields
//! is written. Merge patches follow RFC 7386: arrays are replaced whole, null removes; where a parent is missing, the first missing
//! ancestor is what is added and later removed. Not here: reading and writing objects, tokens' meaning ([`super::token`]).

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::model::service::Change;

use super::operations::{add, at, child, keys, overlap, remove, replace, test, text, token};

/// One field that a closing changes.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Where it is.
    pub pointer: String,
    /// Its value in the object looked at; none when it is absent.
    pub before: Option<Value>,
    /// Its value while closed; none when it is absent.
    pub after: Option<Value>,
}

/// What an object looked like before its closing, as far as the closing changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preimage {
    /// The object's UID.
    pub uid: String,
    /// The plural by which the API serves it, so that the way back needs no discovery.
    pub resource: String,
    /// The fields.
    pub fields: Vec<Field>,
}

/// One field of a pre-image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Where it is.
    pub pointer: String,
    /// Its value; none when it was absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
}

/// A null that was there is a value.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

/// What a restoring write tests before it changes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// This exact token.
    Token(String),
    /// The object has not changed since it was read: for objects that lost their token.
    Revision,
}

/// The fields that `change` changes in `live`, in a fixed order; those that already are as closed are among them.
#[must_use]
pub fn changes(live: &Value, change: &Change) -> Vec<FieldChange> {
    let mut found = Vec::new();
    match change {
        Change::Scale { replicas } => merge(live, &json!({"spec": {"replicas": replicas}}), "", &mut found),
        Change::Suspend {} => merge(live, &json!({"spec": {"suspend": true}}), "", &mut found),
        Change::Merge { merge: patch } => merge(live, patch, "", &mut found),
        Change::Cordon {} => merge(live, &json!({"spec": {"unschedulable": true}}), "", &mut found),
        Change::Json { .. } | Change::Apply { .. } | Change::Restart {} => {}
    }
    found
}

fn merge(live: &Value, patch: &Value, pointer: &str, found: &mut Vec<FieldChange>) {
    for (key, wanted) in patch.as_object().into_iter().flatten() {
        let pointer = child(pointer, key);
        let before = live.get(key);
        match (before, wanted) {
            (Some(before @ Value::Object(_)), Value::Object(_)) => merge(before, wanted, &pointer, found),
            (_, Value::Object(members)) => {
                let after = without_nulls(members);
                // Only removals, and nothing to remove them from.
                if !after.is_empty() || members.is_empty() || before.is_some() {
                    found.push(FieldChange { pointer, before: before.cloned(), after: Some(Value::Object(after)) });
                }
            }
            (_, Value::Null) => found.push(FieldChange { pointer, before: before.cloned(), after: None }),
            (_, Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                found.push(FieldChange { pointer, before: before.cloned(), after: Some(wanted.clone()) });
            }
        }
    }
}

/// What a merge patch makes of nothing.
fn without_nulls(members: &Map<String, Value>) -> Map<String, Value> {
    let keep = |(key, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::Object(inner) => {
            let kept = without_nulls(inner);
            (!kept.is_empty() || inner.is_empty()).then(|| (key.clone(), Value::Object(kept)))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Some((key.clone(), value.clone())),
    };
    members.iter().filter_map(keep).collect()
}

/// The pre-image of `live`, as far as `change` goes.
#[must_use]
pub fn preimage(live: &Value, resource: &str, change: &Change) -> Preimage {
    let field = |change: FieldChange| Field { pointer: change.pointer, before: change.before };
    Preimage {
        uid: text(live, &["metadata", "uid"]).to_owned(),
        resource: resource.to_owned(),
        fields: changes(live, change).into_iter().map(field).collect(),
    }
}

/// Fields that no closing may change: identity, what the API server keeps, and our own marks.
#[must_use]
pub fn untouchable(changes: &[FieldChange]) -> Vec<&str> {
    let forbidden = |pointer: &str| {
        let keys = keys(pointer);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        match keys.as_slice() {
            ["metadata", "labels" | "annotations", name, ..] => name.starts_with(super::marks::PREFIX),
            ["metadata", "labels"] => false,
            ["metadata" | "apiVersion" | "kind" | "status", ..] => true,
            _ => false,
        }
    };
    changes.iter().map(|change| change.pointer.as_str()).filter(|pointer| forbidden(pointer)).collect()
}

/// The first field that both change.
#[must_use]
pub fn common<'a>(one: &'a Preimage, other: &Preimage) -> Option<&'a str> {
    let taken = |field: &&Field| other.fields.iter().any(|another| overlap(&field.pointer, &another.pointer));
    one.fields.iter().find(taken).map(|field| field.pointer.as_str())
}

/// The first field whose value is no longer the one in the pre-image.
#[must_use]
pub fn moved<'a>(changes: &'a [FieldChange], preimage: &Preimage) -> Option<&'a str> {
    let same = |change: &FieldChange| {
        preimage.fields.iter().any(|field| field.pointer == change.pointer && field.before == change.before)
    };
    changes.iter().find(|change| !same(change)).map(|change| change.pointer.as_str())
}

/// Whether `live` is as `change` wants it.
#[must_use]
pub fn is_closed(live: &Value, change: &Change) -> bool {
    changes(live, change).iter().all(|change| change.before == change.after)
}

/// Whether every field has its value of before.
#[must_use]
pub fn is_restored(live: &Value, preimage: &Preimage) -> bool {
    preimage.fields.iter().all(|field| at(live, &keys(&field.pointer)) == field.before.as_ref())
}

/// The closing, as one patch: UID, exact token, values before, then the change. An absence cannot be tested, so where a field is
/// added the patch also holds only for the revision in `live`.
#[must_use]
pub fn close_patch(live: &Value, uid: &str, forward: &str, changes: &[FieldChange]) -> Vec<Value> {
    let mut patch = vec![test("/metadata/uid", uid), test(&token(), forward)];
    if changes.iter().any(|change| change.before.is_none() && change.after.is_some()) {
        patch.push(test("/metadata/resourceVersion", text(live, &["metadata", "resourceVersion"])));
    }
    patch.extend(changes.iter().filter_map(|change| Some(test(&change.pointer, change.before.clone()?))));
    let write = |change: &FieldChange| match (&change.before, &change.after) {
        (before, after) if before == after => None,
        (Some(_), Some(after)) => Some(replace(&change.pointer, after.clone())),
        (None, Some(after)) => Some(add(&change.pointer, after.clone())),
        (_, None) => Some(remove(&change.pointer)),
    };
    patch.extend(changes.iter().filter_map(write));
    patch
}

/// The restoring of `live`, as one patch: UID, guard, then every field that is not as it was.
#[must_use]
pub fn restore_patch(live: &Value, uid: &str, guard: &Guard, preimage: &Preimage) -> Vec<Value> {
    let mut patch = vec![test("/metadata/uid", uid)];
    patch.push(match guard {
        Guard::Token(value) => test(&token(), value.as_str()),
        Guard::Revision => test("/metadata/resourceVersion", text(live, &["metadata", "resourceVersion"])),
    });
    let mut now = live.clone();
    for field in &preimage.fields {
        let keys = keys(&field.pointer);
        match (at(&now, &keys), &field.before) {
            (None, None) => {}
            (Some(value), Some(before)) if value == before => {}
            (Some(_), None) => patch.push(remove(&field.pointer)),
            (_, Some(before)) => patch.push(set(&now, &keys, before)),
        }
        put(&mut now, &keys, field.before.as_ref());
    }
    patch
}

/// The one operation that puts `value` at the end of `keys`, with the parents that are missing.
fn set(object: &Value, keys: &[String], value: &Value) -> Value {
    let mut pointer = String::new();
    let mut parent = Some(object);
    for (depth, key) in keys.iter().enumerate() {
        pointer = child(&pointer, key);
        let there = parent.and_then(|parent| parent.get(key));
        let rest = keys.get(depth + 1..).unwrap_or_default();
        if there.is_some_and(Value::is_object) && !rest.is_empty() {
            parent = there;
            continue;
        }
        let whole = rest.iter().rev().fold(value.clone(), |inner, key| json!({key: inner}));
        return if there.is_some() { replace(&pointer, whole) } else { add(&pointer, whole) };
    }
    replace(&pointer, value.clone())
}

/// The same change in place.
fn put(object: &mut Value, keys: &[String], value: Option<&Value>) {
    let Some((key, rest)) = keys.split_first() else { return };
    if rest.is_empty() {
        match (object.as_object_mut(), value) {
            (Some(members), Some(value)) => drop(members.insert(key.clone(), value.clone())),
            (Some(members), None) => drop(members.remove(key)),
            (None, _) => {}
        }
        return;
    }
    let Some(members) = object.as_object_mut() else { return };
    let there = members.get(key).is_some_and(Value::is_object);
    if !there && value.is_some() {
        members.insert(key.clone(), json!({}));
    }
    if let Some(inner) = members.get_mut(key) {
        put(inner, rest, value);
    }
}
