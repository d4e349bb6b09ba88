//! The node: Pods are placed, run for as long as their annotations say, and stop when asked.
//!
//! In: Pods and the annotations of [`super::annotations`]. Out: `spec.nodeName`, phases and container states.
//! Invariants: a Pod is placed once, at once unless its annotations say otherwise, ends once, and shows all its containers terminated
//! when it has ended; a deleted Pod goes after its containers have stopped, at
//! the latest after its grace, and stays while it has finalizers.
//! Not here: images, readiness probes, init containers, restarts (every Pod is `restartPolicy: Never`), evictions;
//! Pods of Deployments, which do not exist at all.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::annotations::{self, Ends, OnStop, StopsAfter};
use super::delete;
use super::fields;
use super::garbage;
use super::jobs::TRACKING;
use super::world::{Key, World, after, is_going, stamp};

/// The only node there is.
pub const NODE: &str = "embedded-node";

const KILLED: i64 = 137;
const TERMINATED: i64 = 143;

/// What is known of a running Pod beside its object: exact moments, where the object has whole seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    started_at: Timestamp,
    /// When it ends by itself.
    due: Option<Timestamp>,
    asked_at: Option<Timestamp>,
}

/// Takes the Pod at `key` as far as it can go now.
pub(super) fn react(world: &mut World, key: &Key) {
    let Some(pod) = world.get(key) else {
        world.runs.remove(key);
        world.arm(key, None);
        return;
    };
    if release_if_orphaned(world, key, &pod) {
        return;
    }
    match fields::text(&pod, &["status", "phase"]) {
        "Succeeded" | "Failed" => put_away(world, key, &pod),
        "Running" => run_on(world, key, &pod),
        // What Pod GC does with a Pod that goes before it was placed and that a finalizer keeps.
        _ if is_going(&pod) => world.write_status(key, json!({"phase": "Failed", "qosClass": "BestEffort"})),
        _ if fields::list(&pod, &["spec", "schedulingGates"]).is_empty() => place(world, key, &pod),
        _ => {}
    }
}

/// A Pod whose Job has gone is no longer counted by anybody.
fn release_if_orphaned(world: &mut World, key: &Key, pod: &Value) -> bool {
    let finalizers = ["metadata", "finalizers"];
    let counted = garbage::controller(pod).is_some_and(|job| world.key_of_uid(fields::text(job, &["uid"])).is_some());
    if counted || !fields::includes(pod, &finalizers, TRACKING) {
        return false;
    }
    let mut released = pod.clone();
    fields::exclude(&mut released, &finalizers, TRACKING);
    world.replace(key, released);
    delete::finish(world, key);
    true
}

/// Starts it once there is a node for it, counted from the second in which it was made.
fn place(world: &mut World, key: &Key, pod: &Value) {
    let Some(waits) = annotations::scheduled_after(pod) else { return };
    let made_at = fields::text(pod, &["metadata", "creationTimestamp"]).parse().unwrap_or(world.now);
    let at = after(made_at, waits);
    if at <= world.now { start(world, key, pod) } else { world.arm(key, Some(at)) }
}

fn start(world: &mut World, key: &Key, pod: &Value) {
    let takes = annotations::span(pod, annotations::TAKES);
    let due = match annotations::ends(pod) {
        Ends::Hangs => None,
        Ends::Succeeded | Ends::Failed => Some(after(world.now, takes)),
    };
    world.runs.insert(key.clone(), Run { started_at: world.now, due, asked_at: None });
    let mut pod = pod.clone();
    if fields::text(&pod, &["spec", "nodeName"]).is_empty() {
        fields::set(&mut pod, &["spec", "nodeName"], NODE);
    }
    let state = json!({"running": {"startedAt": world.stamp()}});
    let status = status(world, &pod, "Running", &state);
    fields::set(&mut pod, &["status"], status);
    world.replace(key, pod);
}

fn run_on(world: &mut World, key: &Key, pod: &Value) {
    let now = world.now;
    let mut run = world.runs.get(key).copied().unwrap_or(Run { started_at: now, due: None, asked_at: None });
    if is_going(pod) && run.asked_at.is_none() {
        run.asked_at = Some(now);
    }
    world.runs.insert(key.clone(), run);
    let (due, code) = match run.asked_at {
        Some(asked_at) => stopping(pod, asked_at),
        None => (run.due, i64::from(annotations::ends(pod) == Ends::Failed)),
    };
    if due.is_some_and(|due| due <= now) {
        end(world, key, pod, code);
    } else {
        world.arm(key, due);
    }
}

/// When and how a Pod ends that was asked to stop at `asked_at`: by itself, or killed when its grace is over.
fn stopping(pod: &Value, asked_at: Timestamp) -> (Option<Timestamp>, i64) {
    let grace = SignedDuration::from_secs(fields::int(pod, &["metadata", "deletionGracePeriodSeconds"], 0));
    match annotations::stops_after(pod) {
        StopsAfter::Never => (None, KILLED),
        StopsAfter::Span(needs) if needs <= grace => {
            let code = match annotations::on_stop(pod) {
                OnStop::Failed => TERMINATED,
                OnStop::Succeeded | OnStop::Completes => 0,
            };
            (Some(after(asked_at, needs)), code)
        }
        StopsAfter::Span(_) => (Some(after(asked_at, grace)), KILLED),
    }
}

fn end(world: &mut World, key: &Key, pod: &Value, code: i64) {
    world.arm(key, None);
    let started_at = world.runs.remove(key).map_or(world.now, |run| run.started_at);
    let reason = if code == 0 { "Completed" } else { "Error" };
    let state = json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": stamp(started_at),
        "finishedAt": world.stamp(), "containerID": "embedded://none"}});
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let status = status(world, pod, phase, &state);
    world.write_status(key, status);
}

/// The last thing the node does for a Pod that has ended and is to go.
fn put_away(world: &mut World, key: &Key, pod: &Value) {
    if !is_going(pod) {
        return;
    }
    let mut pod = pod.clone();
    fields::set(&mut pod, &["metadata", "deletionGracePeriodSeconds"], 0);
    world.replace(key, pod);
    delete::finish(world, key);
}

fn status(world: &World, pod: &Value, phase: &str, state: &Value) -> Value {
    let running = phase == "Running";
    let container = |container: &Value| {
        json!({"name": container.get("name"), "image": container.get("image"), "imageID": "", "containerID": "embedded://none",
            "ready": running, "started": running, "restartCount": 0, "lastState": {}, "state": state})
    };
    let containers: Vec<Value> = fields::list(pod, &["spec", "containers"]).iter().map(container).collect();
    let condition = |kind: &str, holds: bool| {
        let mut condition = json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastProbeTime": null,
            "lastTransitionTime": world.stamp()});
        if !holds {
            fields::set(&mut condition, &["reason"], if phase == "Succeeded" { "PodCompleted" } else { "PodFailed" });
        }
        fields::drop_nulls(&mut condition);
        condition
    };
    let conditions = [
        condition("PodScheduled", true),
        condition("Initialized", true),
        condition("ContainersReady", running),
        condition("Ready", running),
    ];
    let started_at = fields::at(pod, &["status", "startTime"]).cloned().unwrap_or_else(|| world.stamp());
    json!({"phase": phase, "startTime": started_at, "qosClass": "BestEffort", "hostIP": "198.18.1.1", "podIP": "198.18.0.2",
        "containerStatuses": containers, "conditions": conditions})
}
