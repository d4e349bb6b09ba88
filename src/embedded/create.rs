//! Creating objects.
//!
//! In: an object as sent. Out: the object as stored, with what only the server may say.
//! Invariants: uid, creationTimestamp, generation and resourceVersion are the server's; generated names are counted.
//! Not here: whether the namespace exists (it need not).

use std::sync::Arc;

use serde_json::Value;

use super::change;
use super::defaults;
use super::failure::{Cause, Failure};
use super::fields;
use super::kinds::{self, CRD_GROUP, ResourceKind};
use super::typed;
use super::validate;
use super::world::{Key, World};

/// Stores `object`, or with `dry_run` only shows what would be stored.
///
/// # Errors
/// 400, 409 or 422 as the API server gives them.
pub(super) fn create(
    world: &mut World,
    kind: &ResourceKind,
    namespace: &str,
    mut object: Value,
    dry_run: bool,
) -> Result<Arc<Value>, Failure> {
    fields::unset(&mut object, &["metadata", "managedFields"]);
    create_applied(world, kind, namespace, object, dry_run)
}

/// Stores an object that was to replace one which is not there.
///
/// # Errors
/// As [`create`], and 409 when it says which object it was to replace.
pub(super) fn create_at(
    world: &mut World,
    kind: &ResourceKind,
    key: &Key,
    mut object: Value,
    dry_run: bool,
) -> Result<Arc<Value>, Failure> {
    change::same_place(key, &object)?;
    let uid = fields::text(&object, &["metadata", "uid"]);
    if !uid.is_empty() {
        return Err(Failure::conflict(
            kind,
            &key.name,
            &format!("Precondition failed: UID in precondition: {uid}, UID in object meta: "),
        ));
    }
    if !dry_run {
        fields::unset(&mut object, &["metadata", "resourceVersion"]);
    }
    create(world, kind, &key.namespace, object, dry_run)
}

/// The same, of an object that says who applied it.
///
/// # Errors
/// As [`create`].
pub(super) fn create_applied(
    world: &mut World,
    kind: &ResourceKind,
    namespace: &str,
    mut object: Value,
    dry_run: bool,
) -> Result<Arc<Value>, Failure> {
    identify(kind, namespace, &mut object)?;
    typed::decode(kind, &object)?;
    name(world, kind, &mut object)?;
    let name = fields::text(&object, &["metadata", "name"]).to_owned();
    let key = Key::of(kind, namespace, &name);
    let is_there = world.get(&key).is_some();
    fields::set(&mut object, &["metadata", "uid"], if is_there { String::new() } else { world.next_uid() });
    fields::set(&mut object, &["metadata", "creationTimestamp"], world.stamp());
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        fields::unset(&mut object, &["metadata", field]);
    }
    if kind.built_in() && !kind.status_subresource {
        // No field of theirs.
        fields::unset(&mut object, &["status"]);
    }
    if kind.has_generation() {
        fields::set(&mut object, &["metadata", "generation"], 1);
    }
    if world.audit.asking.is_some() && world.admission.admit(&key, &mut object) {
        typed::decode(kind, &object)?;
    }
    defaults::complete(kind, &mut object);
    defaults::tidy(kind, &mut object);
    let causes = validate::problems(kind, &object);
    if !causes.is_empty() {
        return Err(Failure::invalid(kind, &name, &causes));
    }
    if kind.group == CRD_GROUP {
        kinds::from_definition(&object)?;
    }
    if !dry_run && !fields::text(&object, &["metadata", "resourceVersion"]).is_empty() {
        return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
    }
    if is_there {
        return Err(Failure::already_exists(kind, &name));
    }
    Ok(if dry_run { Arc::new(object) } else { world.insert(&key, object) })
}

/// Checks what `object` says it is, and puts it where the request says.
fn identify(kind: &ResourceKind, namespace: &str, object: &mut Value) -> Result<(), Failure> {
    is_of(kind, object)?;
    let own = fields::text(object, &["metadata", "namespace"]);
    if !own.is_empty() && own != namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if kind.namespaced {
        fields::set(object, &["metadata", "namespace"], namespace);
    }
    Ok(())
}

/// # Errors
/// 400 or 422 when `object` is no object, or one of another kind.
pub(super) fn is_of(kind: &ResourceKind, object: &mut Value) -> Result<(), Failure> {
    if !object.is_object() {
        return Err(Failure::bad_request("the body of the request must be an object"));
    }
    let expected = [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())];
    for (field, expected) in expected {
        let found = fields::text(object, &[field]);
        if !found.is_empty() && found != expected && field == "kind" && !kind.built_in() {
            let cause = Cause::invalid("kind", found, &format!("must be {expected}"));
            return Err(Failure::invalid(kind, fields::text(object, &["metadata", "name"]), &[cause]));
        }
        if !found.is_empty() && found != expected {
            return Err(Failure::bad_request(format!(
                "the {field} in the data ({found}) does not match the expected {field} ({expected})"
            )));
        }
        fields::set(object, &[field], expected);
    }
    Ok(())
}

fn name(world: &mut World, kind: &ResourceKind, object: &mut Value) -> Result<(), Failure> {
    if !fields::text(object, &["metadata", "name"]).is_empty() {
        return Ok(());
    }
    let base: String = fields::text(object, &["metadata", "generateName"]).chars().take(58).collect();
    if base.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Failure::invalid(kind, "", &[cause]));
    }
    let name = format!("{base}{}", world.next_suffix());
    fields::set(object, &["metadata", "name"], name);
    Ok(())
}
