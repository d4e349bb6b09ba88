//! Garbage collection: what is owned goes when its last owner has gone.
//!
//! In: removals, and objects with `ownerReferences`. Out: deletions of dependents, finalizers respected.
//! Invariants: an owner counts only in the same namespace or cluster-wide; references to kinds that are not served
//! are left alone; a Namespace takes everything in it along.
//! Not here: delays; a collector that has not seen the latest.

use std::sync::Arc;

use serde_json::Value;

use super::delete::{self, Dependents, Wish};
use super::fields;
use super::world::{Change, Key, Scope, World, uid};

const OWNERS: [&str; 2] = ["metadata", "ownerReferences"];

/// Has every dependent of what `change` removed looked at.
pub(super) fn note_removal(world: &mut World, change: &Change) {
    let uid = uid(&change.object);
    let keys: Vec<Key> = world.all().filter(|(_, object)| owned_by(object, uid)).map(|(key, _)| key.clone()).collect();
    world.dirty.extend(keys);
}

fn owned_by(object: &Value, uid: &str) -> bool {
    fields::list(object, &OWNERS).iter().any(|reference| fields::text(reference, &["uid"]) == uid)
}

fn empty(world: &mut World, namespace: &str) {
    let inside: Vec<Key> = world.all().filter(|(key, _)| key.namespace == namespace).map(|(key, _)| key.clone()).collect();
    for key in inside {
        delete::delete(world, &key, &Wish::default());
    }
}

/// Deletes the object at `key` when all its owners have gone; drops references to those that have. Empties a Namespace
/// that has gone.
pub(super) fn react(world: &mut World, key: &Key) {
    let Some(object) = world.get(key) else {
        if key.is("", "namespaces") {
            empty(world, &key.name);
        }
        return;
    };
    if super::world::is_going(&object) {
        return let_go(world, key, &object);
    }
    let references = fields::list(&object, &OWNERS);
    if references.is_empty() {
        return;
    }
    let kept: Vec<Value> = references.iter().filter(|reference| !has_gone(world, key, reference)).cloned().collect();
    if kept.len() == references.len() {
        return;
    }
    if kept.is_empty() {
        delete::delete(world, key, &Wish::default());
        return;
    }
    let mut object = (*object).clone();
    fields::set(&mut object, &OWNERS, kept);
    world.replace(key, object);
}

/// Does for an object that waits to go what it waits for.
fn let_go(world: &mut World, key: &Key, object: &Value) {
    const FINALIZERS: [&str; 2] = ["metadata", "finalizers"];
    let finalizer = if fields::includes(object, &FINALIZERS, delete::ORPHAN) {
        orphan(world, &key.namespace, uid(object));
        delete::ORPHAN
    } else if fields::includes(object, &FINALIZERS, delete::FOREGROUND) {
        let blocking =
            dependents(world, &key.namespace, uid(object), |reference| fields::flag(reference, &["blockOwnerDeletion"]));
        if !blocking.is_empty() {
            for (dependent, object) in &blocking {
                go_first(world, dependent, object);
            }
            return;
        }
        delete::FOREGROUND
    } else {
        return;
    };
    let Some(object) = world.get(key) else { return };
    let mut object = (*object).clone();
    fields::exclude(&mut object, &FINALIZERS, finalizer);
    if delete::waits_for_nothing(&object) {
        world.remove(key);
    } else {
        world.replace(key, object);
    }
}

/// Takes a dependent away before its owner; one that has another owner stays, without those that are going.
fn go_first(world: &mut World, key: &Key, object: &Value) {
    if super::world::is_going(object) {
        return;
    }
    let waits = |reference: &&Value| {
        let owner = world.key_of_uid(fields::text(reference, &["uid"])).and_then(|owner| world.get(owner));
        owner.is_none_or(|owner| fields::includes(&owner, &["metadata", "finalizers"], delete::FOREGROUND))
    };
    let kept: Vec<Value> = fields::list(object, &OWNERS).iter().filter(|reference| !waits(reference)).cloned().collect();
    if kept.is_empty() {
        delete::delete(world, key, &Wish { dependents: Dependents::First, ..Wish::default() });
    } else {
        let mut object = object.clone();
        fields::set(&mut object, &OWNERS, kept);
        world.replace(key, object);
    }
}

fn has_gone(world: &World, dependent: &Key, reference: &Value) -> bool {
    let (api_version, kind) = (fields::text(reference, &["apiVersion"]), fields::text(reference, &["kind"]));
    if world.kinds.by_kind(api_version, kind).is_none() {
        return false;
    }
    let owner = world.key_of_uid(fields::text(reference, &["uid"]));
    owner.is_none_or(|owner| !owner.namespace.is_empty() && owner.namespace != dependent.namespace)
}

/// What the object with `uid` owns by a reference of which `says` holds.
fn dependents(world: &World, namespace: &str, uid: &str, says: fn(&Value) -> bool) -> Vec<(Key, Arc<Value>)> {
    let inside = |key: &Key| namespace.is_empty() || key.namespace == namespace;
    let owned = |object: &Value| {
        fields::list(object, &OWNERS).iter().any(|reference| fields::text(reference, &["uid"]) == uid && says(reference))
    };
    let found = world.all().filter(|(key, object)| inside(key) && owned(object));
    found.map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
}

/// Takes the owner with `uid` off all its dependents, so that they outlive it.
fn orphan(world: &mut World, namespace: &str, uid: &str) {
    for (key, object) in dependents(world, namespace, uid, |_| true) {
        let mut object = (*object).clone();
        let kept: Vec<Value> =
            fields::list(&object, &OWNERS).iter().filter(|one| fields::text(one, &["uid"]) != uid).cloned().collect();
        fields::set(&mut object, &OWNERS, kept);
        fields::drop_empty(&mut object, &OWNERS);
        world.replace(&key, object);
    }
}

/// The objects of kind `group`/`plural` in `namespace` whose controller has `uid`.
pub(super) fn controlled(world: &World, group: &str, plural: &str, namespace: &str, uid: &str) -> Vec<(Key, Arc<Value>)> {
    let scope = Scope::new(group, plural, Some(namespace));
    let mut found = world.copies(&scope);
    found.retain(|(_, object)| controller(object).is_some_and(|reference| fields::text(reference, &["uid"]) == uid));
    found
}

/// The reference to the controller of `object`.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    fields::list(object, &OWNERS).iter().find(|reference| fields::flag(reference, &["controller"]))
}
