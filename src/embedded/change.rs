//! Updating objects: the one path through which every update and every patch goes.
//!
//! In: an object as stored and as wanted. Out: the object as stored afterwards, or why not.
//! Invariants: a stale resourceVersion is 409; the main resource never changes `status` where `/status` exists, and
//! `/status` changes nothing else but, of built-in kinds, metadata; a change of the spec raises `generation` (on Deployments, of
//! annotations too); what changes nothing is not stored; an object whose deletion waited only for its finalizers goes with the last of
//! them, as it was stored with it.
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
use super::typed;
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
    if let Err(failure) = typed::decode(kind, &wanted) {
        return Err(if origin == Origin::Patch { Failure::undecodable_patch(failure.message()) } else { failure });
    }
    same_place(key, &wanted)?;
    fresh(kind, &stored, &wanted, origin)?;
    if part == Part::Status {
        wanted = with_status(kind, &stored, &wanted);
    } else if kind.status_subresource {
        fields::carry(&stored, &mut wanted, &["status"]);
    }
    keep_servers_own(&stored, &mut wanted);
    let causes = validate::emptied_problems(kind, &stored, &wanted);
    defaults::fill(kind, &mut wanted);
    defaults::tidy(kind, &mut wanted);
    if origin != Origin::Apply {
        apply::take_over(kind, &stored, &mut wanted);
    }
    if part == Part::Main && world.audit.asking.is_some() && world.admission.admit(key, &mut wanted) {
        typed::decode(kind, &wanted)?;
        defaults::fill(kind, &mut wanted);
        defaults::tidy(kind, &mut wanted);
    }
    let causes = [causes, validate::change_problems(kind, &stored, &wanted)].concat();
    if !causes.is_empty() {
        return Err(Failure::invalid(kind, &key.name, &causes));
    }
    raise_generation(kind, &stored, &mut wanted);
    if dry_run {
        return Ok(Arc::new(wanted));
    }
    if delete::waits_for_nothing(&wanted) {
        // It goes as it was stored last: nobody sees it without its finalizers.
        world.remove(key);
        return Ok(Arc::new(wanted));
    }
    Ok(world.replace(key, wanted))
}

/// # Errors
/// 400 when `wanted` says that it is somewhere else.
pub(super) fn same_place(key: &Key, wanted: &Value) -> Result<(), Failure> {
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

/// What an update of `/status` leaves.
fn with_status(kind: &ResourceKind, stored: &Value, wanted: &Value) -> Value {
    let mut left = stored.clone();
    fields::carry(wanted, &mut left, &["status"]);
    if kind.built_in() {
        fields::carry(wanted, &mut left, &["metadata"]);
        // Each kind has one field that its own node agents or controllers once broke this way.
        let kept = [(("apps", "deployments"), "labels"), (("", "pods"), "ownerReferences")];
        for (_, field) in kept.iter().filter(|((group, plural), _)| kind.is(group, plural)) {
            fields::carry(stored, &mut left, &["metadata", field]);
        }
    }
    left
}

fn fresh(kind: &ResourceKind, stored: &Value, wanted: &Value, origin: Origin) -> Result<(), Failure> {
    let name = fields::text(stored, &["metadata", "name"]);
    let [uid, revision] = ["uid", "resourceVersion"].map(|field| fields::text(wanted, &["metadata", field]));
    if origin == Origin::Put && !uid.is_empty() && uid != super::world::uid(stored) {
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
    for field in ["namespace", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        fields::carry(stored, wanted, &["metadata", field]);
    }
    if fields::text(wanted, &["metadata", "uid"]).is_empty() {
        fields::carry(stored, wanted, &["metadata", "uid"]);
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
