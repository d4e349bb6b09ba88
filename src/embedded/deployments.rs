//! The Deployment controller, seen from outside: `status` follows `spec`.
//!
//! In: a Deployment, its annotations `ready-after` and `drains-for`, and what a scene says of its Pods. Out: its `status`.
//! Invariants: new replicas are ready exactly `ready-after` after they were asked for, all at once; replicas scaled away are not
//! ready at once and are gone after `drains-for`; a changed template is rolled out while the old replicas serve.
//! Not here: `ReplicaSets` and Pods (there are none), surge and unavailability limits, progress deadlines, pausing.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::annotations;
use super::fields;
use super::world::{Key, Scope, World, after, is_going};

/// How ready the Pods of some Deployments become, whatever their annotations say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All, after so long.
    After(SignedDuration),
    /// So many at most, those included that were ready before.
    AtMost(i64),
}

/// What a scene says of the Deployments with a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saying {
    pub(super) label: (String, String),
    pub(super) readiness: Readiness,
}

/// Has the Deployments with this label become so ready from now on; none ends that.
pub(super) fn say(world: &mut World, label: (&str, &str), readiness: Option<Readiness>) {
    let label = (label.0.to_owned(), label.1.to_owned());
    world.sayings.retain(|saying| saying.label != label);
    world.sayings.extend(readiness.map(|readiness| Saying { label: label.clone(), readiness }));
    let concerned = world.copies(&Scope::new("apps", "deployments", None)).into_iter();
    let concerned = concerned.filter(|(_, object)| fields::text(object, &["metadata", "labels", &label.0]) == label.1);
    let keys: Vec<Key> = concerned.map(|(key, _)| key).collect();
    world.dirty.extend(keys);
}

fn said(world: &World, deployment: &Value) -> Option<Readiness> {
    let bears = |saying: &&Saying| fields::text(deployment, &["metadata", "labels", &saying.label.0]) == saying.label.1;
    world.sayings.iter().find(bears).map(|saying| saying.readiness)
}

/// What a Deployment is on its way to.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    template: Value,
    ready_count: i64,
    updated: bool,
    pending: Option<Pending>,
    /// Pods that were scaled away and have not ended.
    draining: Option<Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    wanted_count: i64,
    at: Timestamp,
}

/// Takes the Deployment at `key` as far as it can go now.
pub(super) fn react(world: &mut World, key: &Key) {
    let Some(deployment) = world.get(key) else {
        world.rollouts.remove(key);
        world.arm(key, None);
        return;
    };
    if is_going(&deployment) {
        return;
    }
    let wanted_count = fields::int(&deployment, &["spec", "replicas"], 1);
    let template = fields::at(&deployment, &["spec", "template"]).cloned().unwrap_or_default();
    let known = world.rollouts.get(key).cloned();
    let fresh = Rollout { template: template.clone(), ready_count: 0, updated: true, pending: None, draining: None };
    let mut rollout = known.unwrap_or(fresh);
    if rollout.template != template {
        rollout = Rollout { template, updated: false, pending: None, ..rollout };
    }
    follow(world, &deployment, &mut rollout, wanted_count);
    let due = rollout.pending.iter().chain(&rollout.draining).map(|pending| pending.at).min();
    world.arm(key, due);
    let status = status(world, &deployment, &rollout, wanted_count);
    world.rollouts.insert(key.clone(), rollout);
    world.write_status(key, status);
}

fn follow(world: &World, deployment: &Value, rollout: &mut Rollout, wanted_count: i64) {
    drain(world, deployment, rollout, wanted_count);
    let span = annotations::span(deployment, annotations::READY_AFTER);
    let (wanted_count, span) = match said(world, deployment) {
        Some(Readiness::After(span)) => (wanted_count, span),
        Some(Readiness::AtMost(count)) => (wanted_count.min(count), span),
        None => (wanted_count, span),
    };
    rollout.ready_count = rollout.ready_count.min(wanted_count);
    if rollout.ready_count == wanted_count && (rollout.updated || wanted_count == 0) {
        *rollout = Rollout { updated: true, pending: None, ..rollout.clone() };
        return;
    }
    let same = rollout.pending.filter(|pending| pending.wanted_count == wanted_count);
    let fresh = || Pending { wanted_count, at: after(world.now, span) };
    let pending = same.unwrap_or_else(fresh);
    if pending.at <= world.now {
        *rollout = Rollout { ready_count: wanted_count, updated: true, pending: None, ..rollout.clone() };
    } else {
        rollout.pending = Some(pending);
    }
}

fn drain(world: &World, deployment: &Value, rollout: &mut Rollout, wanted_count: i64) {
    rollout.draining = rollout.draining.filter(|draining| draining.at > world.now);
    let leaving = rollout.ready_count - wanted_count;
    let span = annotations::span(deployment, annotations::DRAINS_FOR);
    if leaving > 0 && !span.is_zero() {
        let at = after(world.now, span);
        rollout.draining = Some(Pending { wanted_count: leaving, at });
    }
}

fn status(world: &World, deployment: &Value, rollout: &Rollout, wanted_count: i64) -> Value {
    let ready_count = rollout.ready_count;
    let updated_count = if rollout.updated { wanted_count } else { 0 };
    let mut status = json!({"observedGeneration": fields::int(deployment, &["metadata", "generation"], 1)});
    let counts = [
        ("replicas", wanted_count + rollout.draining.map_or(0, |draining| draining.wanted_count)),
        ("updatedReplicas", updated_count),
        ("readyReplicas", ready_count),
        ("availableReplicas", ready_count),
        ("unavailableReplicas", wanted_count - ready_count),
    ];
    // The API server writes no zeroes here.
    counts.iter().filter(|(_, count)| *count > 0).for_each(|(field, count)| fields::set(&mut status, &[field], *count));
    let available = if ready_count >= wanted_count {
        ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let progressing = if rollout.pending.is_none() {
        ("Progressing", "True", "NewReplicaSetAvailable", "The rollout has been carried out.")
    } else {
        ("Progressing", "True", "ReplicaSetUpdated", "The rollout is under way.")
    };
    let conditions = [available, progressing].map(|new| condition(world, deployment, new));
    fields::set(&mut status, &["conditions"], conditions.to_vec());
    status
}

fn condition(world: &World, deployment: &Value, (kind, holds, reason, message): (&str, &str, &str, &str)) -> Value {
    let before = fields::list(deployment, &["status", "conditions"]).iter().find(|one| fields::text(one, &["type"]) == kind);
    let now = world.stamp();
    let kept = |field: &str, same: bool| match before.and_then(|one| one.get(field)) {
        Some(time) if same => time.clone(),
        Some(_) | None => now.clone(),
    };
    let same_status = before.is_some_and(|one| fields::text(one, &["status"]) == holds);
    let same = same_status && before.is_some_and(|one| fields::text(one, &["reason"]) == reason);
    json!({"type": kind, "status": holds, "reason": reason, "message": message,
        "lastUpdateTime": kept("lastUpdateTime", same), "lastTransitionTime": kept("lastTransitionTime", same_status)})
}
