//! Updating objects: the one path through which every update and every patch goes.
//!
//! In: an object as stored and as wanted. Out: the object as stored afterwards, or why not.
//! Invariants: a stale resourceVersion is 409; the main resource never changes `status` where `/status` exists, and
//! `/status` changes nothing else; a change of the spec raises `generation` (on Deployments, of annotations too); what
//! changes nothing is not stored; an object whose deletion waited only for its finalizers goes with the last of them.
//! Not here: patches themselves (`patch`), creation (`create`).

use std::sync::Arc;

use serde_json::Value;

use super::apply;
use super::create::is_of;
use super::defaults;
use super::delete;
use super::failure::{Cause, Failure};
use super::fields;
use super::kinds::ResourceKind;
use super::validate;
use super::world::{Key, World};

/// Which part of an object a request changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Main,
    Status,
}

/// How the wanted object came about: PUT must name its resourceVersion for some kinds, a patch starts from the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Put,
    Patch,
    Apply,
}

/// Stores `wanted` in place of the object at `key`, or with `dry_run` only shows what would be stored.
///
/// # Errors
/// 400, 404, 409 or 422 as the API server gives them.
pub(super) fn change(
    world: &mut World,
    kind: &ResourceKind,
    key: &Key,
    (mut wanted, part, origin): (Value, Part, Origin),
    dry_run: bool,
) -> Result<Arc<Value>, Failure> {
    let stored = world.get(key).ok_or_else(|| Failure::not_found(kind, &key.name))?;
    is_of(kind, &mut wanted)?;
    same_place(key, &wanted)?;
    fresh(kind, &stored, &wanted, origin)?;
    if part == Part::Status {
        let mut with_status = (*stored).clone();
        fields::carry(&wanted, &mut with_status, &["status"]);
        wanted = with_status;
    } else if kind.status_subresource {
        fields::carry(&stored, &mut wanted, &["status"]);
    }
    keep_servers_own(&stored, &mut wanted);
    if origin != Origin::Apply {
        apply::take_over(kind, &stored, &mut wanted);
    }
    if part == Part::Main && world.audit.asking.is_some() {
        world.admission.admit(key, &mut wanted);
    }
    validate::decodable(kind, &wanted)?;
    defaults::tidy(kind, &mut wanted);
    let causes = validate::change_problems(kind, &stored, &wanted);
    if !causes.is_empty() {
        return Err(Failure::invalid(kind, &key.name, &causes));
    }
    raise_generation(kind, &stored, &mut wanted);
    if dry_run {
        return Ok(Arc::new(wanted));
    }
    let after = world.replace(key, wanted);
    delete::finish(world, key);
    Ok(after)
}

fn same_place(key: &Key, wanted: &Value) -> Result<(), Failure> {
    let name = fields::text(wanted, &["metadata", "name"]);
    if name != key.name {
        let message = format!("the name of the object ({name}) does not match the name on the URL ({})", key.name);
        return Err(Failure::bad_request(message));
    }
    let namespace = fields::text(wanted, &["metadata", "namespace"]);
    if !namespace.is_empty() && namespace != key.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn fresh(kind: &ResourceKind, stored: &Value, wanted: &Value, origin: Origin) -> Result<(), Failure> {
    let name = fields::text(stored, &["metadata", "name"]);
    let [uid, revision] = ["uid", "resourceVersion"].map(|field| fields::text(wanted, &["metadata", field]));
    if origin != Origin::Patch && !uid.is_empty() && uid != super::world::uid(stored) {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", super::world::uid(stored));
        return Err(Failure::conflict(kind, name, &why));
    }
    if revision.is_empty() && origin == Origin::Put && kind.needs_resource_version() {
        let cause = Cause::invalid("metadata.resourceVersion", "", "must be specified for an update");
        return Err(Failure::invalid(kind, name, &[cause]));
    }
    if !revision.is_empty() && revision != fields::text(stored, &["metadata", "resourceVersion"]) {
        return Err(Failure::modified_since(kind, name));
    }
    Ok(())
}

fn keep_servers_own(stored: &Value, wanted: &mut Value) {
    for field in ["namespace", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName"] {
        fields::carry(stored, wanted, &["metadata", field]);
    }
    for field in ["uid", "creationTimestamp"] {
        if fields::text(wanted, &["metadata", field]).is_empty() {
            fields::carry(stored, wanted, &["metadata", field]);
        }
    }
    fields::carry(stored, wanted, &["metadata", "resourceVersion"]);
}

fn raise_generation(kind: &ResourceKind, stored: &Value, wanted: &mut Value) {
    if !kind.has_generation() || !means_something_else(kind, stored, wanted) {
        return;
    }
    let generation = fields::int(stored, &["metadata", "generation"], 0);
    fields::set(wanted, &["metadata", "generation"], generation + 1);
}

fn means_something_else(kind: &ResourceKind, stored: &Value, wanted: &Value) -> bool {
    let differs = |path: &[&str]| fields::at(stored, path) != fields::at(wanted, path);
    if kind.built_in() {
        let annotated = kind.is("apps", "deployments") && differs(&["metadata", "annotations"]);
        return annotated || differs(&["spec"]);
    }
    let meaning = |object: &Value| {
        let mut rest = object.clone();
        fields::unset(&mut rest, &["metadata"]);
        if kind.status_subresource {
            fields::unset(&mut rest, &["status"]);
        }
        rest
    };
    meaning(stored) != meaning(wanted)
}
