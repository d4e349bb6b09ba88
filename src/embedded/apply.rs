//! Server-side apply: who says what an object should be, and who wins.
//!
//! In: an object as stored, a manifest, a field manager. Out: the object as wanted, with `managedFields`; or a conflict.
//! Invariants: a field that another manager applied with another value is a conflict unless forced, and then changes hands; a field that
//! the manager applied before and leaves out now goes, unless another applied it too; lists of maps of built-in kinds are merged by key;
//! whoever changes a field in another way takes it from those who applied it.
//! Not here, and different from a real API server: who only created, updated or patched owns nothing, so that such fields never conflict;
//! custom kinds have no schema, so that all their lists are one value; `/status` has no managers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use super::fields;
use super::kinds::ResourceKind;
use super::owned::{Owned, at, items, remove};
use super::typed;

const MANAGED: [&str; 2] = ["metadata", "managedFields"];

/// Who applies, and how.
pub(super) struct Applier<'a> {
    pub(super) manager: &'a str,
    pub(super) force: bool,
    /// The moment, as the API server writes it.
    pub(super) time: Value,
}

/// The object as it should be; of one that is not there, as it should be created.
///
/// # Errors
/// 400, 422 or 500 for a request that says too little or too much, 409 with every conflict.
pub(super) fn apply(
    kind: &ResourceKind,
    name: &str,
    stored: Option<&Value>,
    manifest: &Value,
    applier: &Applier<'_>,
) -> Result<Value, Failure> {
    if !manifest.is_object() {
        return Err(Failure::bad_request("an applied object must be an object"));
    }
    if applier.manager.is_empty() {
        return Err(Failure::invalid_options("PatchOptions", &[Cause::required("fieldManager", "is required for apply patch")]));
    }
    if !fields::list(manifest, &MANAGED).is_empty() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    typed::applicable(kind, name, manifest)?;
    let owners: Vec<&str> =
        fields::list(manifest, &["metadata", "ownerReferences"]).iter().map(|owner| fields::text(owner, &["uid"])).collect();
    if owners.iter().collect::<BTreeSet<_>>().len() < owners.len() {
        return Err(Failure::internal(".metadata.ownerReferences: duplicate entries for key [uid]"));
    }
    let mut object = stored.cloned().unwrap_or_else(|| json!({}));
    let said = said(kind, manifest);
    let owned = Owned::of(kind, &said);
    let mut entries: Vec<(Value, Owned)> = entries(&object);
    let own = entries.iter().position(|(entry, _)| fields::text(entry, &["manager"]) == applier.manager);
    let before = own.map(|index| entries.remove(index));
    settle_conflicts(kind, name, &object, (&said, &owned), &mut entries, applier.force)?;
    if let Some((_, before)) = &before {
        let is_left =
            |path: &&Vec<String>| !owned.0.contains(*path) && !entries.iter().any(|(_, others)| others.0.contains(*path));
        // In their order: an item goes before what is in it, and takes it along.
        for path in before.0.iter().filter(is_left) {
            // Whoever named a map alone does not own what others put into it.
            let holds = at(kind, &object, path).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
            if !holds || path.last().is_some_and(|part| part == ".") {
                remove(kind, &mut object, path);
            }
        }
    }
    merge(kind, "", &mut object, &said);
    for field in ["apiVersion", "kind"] {
        fields::carry(manifest, &mut object, &[field]);
    }
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        if !fields::text(manifest, &["metadata", field]).is_empty() {
            fields::carry(manifest, &mut object, &["metadata", field]);
        }
    }
    let entry = match before.filter(|(_, before)| *before == owned) {
        Some((entry, _)) => entry,
        None => json!({"manager": applier.manager, "operation": "Apply", "apiVersion": kind.api_version(), "time": applier.time,
            "fieldsType": "FieldsV1"}),
    };
    entries.insert(own.unwrap_or(entries.len()), (entry, owned));
    write(&mut object, entries);
    Ok(object)
}

/// What a manifest says of the object: neither what it is nor how it is.
fn said(kind: &ResourceKind, manifest: &Value) -> Value {
    let mut said = manifest.clone();
    for field in ["apiVersion", "kind"] {
        fields::unset(&mut said, &[field]);
    }
    if kind.status_subresource {
        fields::unset(&mut said, &["status"]);
    }
    for field in ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"] {
        fields::unset(&mut said, &["metadata", field]);
    }
    fields::drop_empty(&mut said, &["metadata"]);
    said
}

fn entries(object: &Value) -> Vec<(Value, Owned)> {
    let entry = |entry: &Value| (entry.clone(), Owned::from_fields(entry.get("fieldsV1").unwrap_or(&Value::Null)));
    fields::list(object, &MANAGED).iter().map(entry).collect()
}

/// Entries of managers that own nothing are not kept.
fn write(object: &mut Value, entries: Vec<(Value, Owned)>) {
    let entry = |(mut entry, owned): (Value, Owned)| {
        fields::set(&mut entry, &["fieldsV1"], owned.to_fields());
        entry
    };
    let kept: Vec<Value> = entries.into_iter().filter(|(_, owned)| !owned.0.is_empty()).map(entry).collect();
    fields::set(object, &MANAGED, kept);
    fields::drop_empty(object, &MANAGED);
}

/// Takes from others what is applied with another value, if it may be taken.
fn settle_conflicts(
    kind: &ResourceKind,
    name: &str,
    object: &Value,
    (said, owned): (&Value, &Owned),
    others: &mut [(Value, Owned)],
    force: bool,
) -> Result<(), Failure> {
    let mut conflicts = Vec::new();
    for (entry, theirs) in others.iter_mut() {
        let differs =
            |path: &&Vec<String>| path.last().is_none_or(|part| part != ".") && at(kind, object, path) != at(kind, said, path);
        let lost: Vec<Vec<String>> = theirs.0.intersection(&owned.0).filter(differs).cloned().collect();
        for path in lost {
            conflicts.push(format!("conflict with \"{}\": {}", fields::text(entry, &["manager"]), shown(&path)));
            theirs.0.remove(&path);
        }
    }
    if conflicts.is_empty() || force {
        return Ok(());
    }
    let count = conflicts.len();
    let plural = if count == 1 { "" } else { "s" };
    Err(Failure::apply_conflict(kind, name, &format!("Apply failed with {count} conflict{plural}: {}", conflicts.join(", "))))
}

/// `.spec.containers[name="c"].image`, as the API server shows a path.
fn shown(path: &[String]) -> String {
    let part = |part: &String| match (part.strip_prefix("f:"), part.strip_prefix("k:")) {
        (Some(field), _) => format!(".{field}"),
        (None, Some(keys)) => {
            let keys: Value = serde_json::from_str(keys).unwrap_or_default();
            let one = |(key, value): (&String, &Value)| format!("{key}={value}");
            format!("[{}]", keys.as_object().into_iter().flatten().map(one).collect::<Vec<_>>().join(","))
        }
        (None, None) => String::new(),
    };
    path.iter().map(part).collect()
}

fn merge(kind: &ResourceKind, field: &str, into: &mut Value, from: &Value) {
    match (&mut *into, from) {
        (Value::Object(members), Value::Object(more)) => {
            for (key, value) in more {
                merge(kind, key, members.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(list), Value::Array(more)) => match (items(kind, field, list), items(kind, field, more)) {
            (Some(known), Some(names)) => {
                for (name, item) in names.iter().zip(more) {
                    match known.iter().position(|one| one == name).and_then(|index| list.get_mut(index)) {
                        Some(there) => merge(kind, "", there, item),
                        None => list.push(item.clone()),
                    }
                }
            }
            (_, _) => *into = from.clone(),
        },
        (_, from) => *into = from.clone(),
    }
}

/// Whoever changes an object in another way takes what he changes from those who applied it.
pub(super) fn take_over(kind: &ResourceKind, stored: &Value, wanted: &mut Value) {
    let mut entries = entries(stored);
    for (_, owned) in &mut entries {
        owned.0.retain(|path| {
            at(kind, stored, path) == at(kind, wanted, path)
                || (path.last().is_some_and(|part| part == ".") && at(kind, wanted, path).is_some())
        });
    }
    write(wanted, entries);
}
