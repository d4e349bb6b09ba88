//! Deleting: graceful for Pods, held by finalizers for everything.
//!
//! In: a key and a [`Wish`]. Out: the object has gone, or is going and shows its `deletionTimestamp`.
//! Invariants: a deletion once begun is never taken back, its grace only shortened; an object goes when its grace is 0
//! and its finalizers are empty; what is said of its dependents is written into its finalizers.
//! Not here: who stops a Pod's containers (`pods`), what dependents do (`garbage`).

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;

use super::failure::Failure;
use super::fields;
use super::kinds::ResourceKind;
use super::world::{Key, World, is_going, stamp};

const GRACE: [&str; 2] = ["metadata", "deletionGracePeriodSeconds"];

/// By which an owner waits until nothing names it any more.
pub(super) const ORPHAN: &str = "orphan";
/// By which an owner waits for those that block its deletion.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// What becomes of the objects that an object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dependents {
    /// They follow their owner.
    #[default]
    Follow,
    /// They go first, if they say that they block it.
    First,
    /// They stay, without it.
    Stay,
    /// As its finalizers say, or as its kind does.
    AsUsual,
}

/// How something is to be deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) grace_seconds: Option<i64>,
    pub(super) dependents: Dependents,
    pub(super) dry_run: bool,
}

/// What a deletion led to.
#[derive(Clone, Debug)]
pub(super) enum Deleted {
    Gone(Arc<Value>),
    Going(Arc<Value>),
    Absent,
}

impl Wish {
    /// Whether the preconditions hold for `object`.
    ///
    /// # Errors
    /// 409 when they do not.
    pub(super) fn check(&self, kind: &ResourceKind, object: &Value) -> Result<(), Failure> {
        let name = fields::text(object, &["metadata", "name"]);
        let held = [("UID", &self.uid, "uid"), ("ResourceVersion", &self.resource_version, "resourceVersion")];
        for (word, wanted, field) in held {
            let found = fields::text(object, &["metadata", field]);
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != found) {
                let why = format!("the {word} in the precondition ({wanted}) does not match the {word} in record ({found})");
                return Err(Failure::conflict(kind, name, &why));
            }
        }
        Ok(())
    }
}

/// Deletes the object at `key`, or begins to; preconditions are the caller's to check.
pub(super) fn delete(world: &mut World, key: &Key, wish: &Wish) -> Deleted {
    let Some(object) = world.get(key) else { return Deleted::Absent };
    let Wish { grace_seconds, dependents, dry_run, uid: _, resource_version: _ } = wish;
    let grace_seconds = if key.is("", "pods") { pod_grace_seconds(&object, *grace_seconds) } else { 0 };
    let mut going = mark_going(world, &object, grace_seconds);
    hold(key, &mut going, *dependents);
    let goes_now = fields::int(&going, &GRACE, 0) == 0 && fields::list(&going, &["metadata", "finalizers"]).is_empty();
    match (goes_now, *dry_run) {
        (true, true) => Deleted::Gone(object),
        (true, false) => world.remove(key).map_or(Deleted::Absent, Deleted::Gone),
        (false, true) => Deleted::Going(Arc::new(going)),
        (false, false) => Deleted::Going(world.replace(key, going)),
    }
}

/// Removes the object at `key` if its deletion has begun and nothing holds it any more.
pub(super) fn finish(world: &mut World, key: &Key) {
    let Some(object) = world.get(key) else { return };
    if waits_for_nothing(&object) {
        world.remove(key);
    }
}

/// Whether an object's deletion has begun and nothing holds it any more.
pub(super) fn waits_for_nothing(object: &Value) -> bool {
    is_going(object) && fields::list(object, &["metadata", "finalizers"]).is_empty() && fields::int(object, &GRACE, 0) == 0
}

/// Has `going` wait for the collector of garbage, as `dependents` says.
fn hold(key: &Key, going: &mut Value, dependents: Dependents) {
    const FINALIZERS: [&str; 2] = ["metadata", "finalizers"];
    if key.plural == "events" {
        return;
    }
    let known = fields::list(going, &FINALIZERS).iter().filter_map(Value::as_str).find(|one| [ORPHAN, FOREGROUND].contains(one));
    let wanted = match (dependents, known) {
        (Dependents::Follow, _) => None,
        (Dependents::First, _) | (Dependents::AsUsual, Some(FOREGROUND)) => Some(FOREGROUND),
        (Dependents::Stay, _) | (Dependents::AsUsual, Some(_)) => Some(ORPHAN),
        // The default of batch/v1 Jobs, kept by Kubernetes for old clients.
        (Dependents::AsUsual, None) => key.is("batch", "jobs").then_some(ORPHAN),
    };
    for finalizer in [ORPHAN, FOREGROUND].into_iter().filter(|one| wanted != Some(*one)) {
        fields::exclude(going, &FINALIZERS, finalizer);
    }
    if let Some(finalizer) = wanted {
        fields::include(going, &FINALIZERS, finalizer);
    }
}

fn pod_grace_seconds(pod: &Value, asked: Option<i64>) -> i64 {
    let ended = matches!(fields::text(pod, &["status", "phase"]), "Succeeded" | "Failed");
    if ended || fields::text(pod, &["spec", "nodeName"]).is_empty() {
        return 0;
    }
    let own = fields::int(pod, &["spec", "terminationGracePeriodSeconds"], 30);
    let seconds = asked.unwrap_or(own);
    if seconds < 0 { 1 } else { seconds }
}

fn mark_going(world: &World, object: &Value, grace_seconds: i64) -> Value {
    let mut going = object.clone();
    let at = |seconds: i64| stamp(world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(world.now));
    if !is_going(object) {
        fields::set(&mut going, &["metadata", "deletionTimestamp"], at(grace_seconds));
        fields::set(&mut going, &GRACE, grace_seconds);
        let generation = fields::int(object, &["metadata", "generation"], 0);
        if generation > 0 {
            fields::set(&mut going, &["metadata", "generation"], generation + 1);
        }
    } else if grace_seconds < fields::int(object, &GRACE, 0) {
        fields::set(&mut going, &["metadata", "deletionTimestamp"], at(grace_seconds));
        fields::set(&mut going, &GRACE, grace_seconds);
    }
    going
}
