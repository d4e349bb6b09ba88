//! Garbage collection: what is owned goes when its last owner has gone.
//!
//! In: removals, and objects with `ownerReferences`. Out: deletions of dependents, finalizers respected.
//! Invariants: an owner counts only in the same namespace or cluster-wide; references to kinds that are not served
//! are left alone; a Namespace takes everything in it along.
//! Not here: `Foreground` order (treated as Background), `blockOwnerDeletion`.

use std::sync::Arc;

use serde_json::Value;

use super::delete::{self, Wish};
use super::fields;
use super::world::{Change, Key, Scope, World};

const OWNERS: [&str; 2] = ["metadata", "ownerReferences"];

/// Has every dependent of what `change` removed looked at.
pub(super) fn note_removal(world: &mut World, change: &Change) {
    let uid = fields::text(&change.object, &["metadata", "uid"]);
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
    let references = fields::list(&object, &OWNERS);
    if references.is_empty() || super::world::is_going(&object) {
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

fn has_gone(world: &World, dependent: &Key, reference: &Value) -> bool {
    let (api_version, kind) = (fields::text(reference, &["apiVersion"]), fields::text(reference, &["kind"]));
    if world.kinds.by_kind(api_version, kind).is_none() {
        return false;
    }
    let owner = world.key_of_uid(fields::text(reference, &["uid"]));
    owner.is_none_or(|owner| !owner.namespace.is_empty() && owner.namespace != dependent.namespace)
}

/// Takes the owner with `uid` off all its dependents, so that they outlive it.
pub(super) fn orphan(world: &mut World, namespace: &str, uid: &str) {
    let inside = |key: &Key| namespace.is_empty() || key.namespace == namespace;
    let dependents: Vec<(Key, Arc<Value>)> = world
        .all()
        .filter(|(key, object)| inside(key) && owned_by(object, uid))
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    for (key, object) in dependents {
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
