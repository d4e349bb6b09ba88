//! The Job controller, step by step as `syncJob` of Kubernetes 1.35 takes them.
//!
//! In: a Job and the Pods it controls. Out: Pods made or deleted, and `status`.
//! Invariants: every Pod is counted once, by taking its tracking finalizer; a Job that has finished is left alone; it
//! finishes only when none of its Pods is still terminating.
//! As in 1.35: a suspended Job's Pods are no longer counted (their finalizer goes before they are deleted), so exit 0 on
//! SIGTERM leaves it suspended; one whose success was counted becomes Complete although suspended; suspending keeps
//! `startTime`, resuming sets it anew, but only after the deadline was looked at with the old one: a Job resumed later
//! than `activeDeadlineSeconds` after its first start fails at once.
//! Not here: indexed Jobs, `podFailurePolicy`, `successPolicy`, `ttlSecondsAfterFinished`, stale caches.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::annotations::{self, OnStop};
use super::delete::{self, Wish};
use super::fields;
use super::garbage;
use super::job_pods;
use super::world::{Key, World, after, is_going, uid};

/// The finalizer by which the controller counts each Pod once.
pub(super) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const FINALIZERS: [&str; 2] = ["metadata", "finalizers"];

/// What is known of a Job beside its object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    /// Exactly when it started, where `status.startTime` has whole seconds.
    started_at: Option<Timestamp>,
    failures_in_a_row: u32,
    last_failure_at: Option<Timestamp>,
}

type Pods = Vec<(Key, Arc<Value>)>;

struct Sync<'a> {
    world: &'a mut World,
    key: &'a Key,
    job: Arc<Value>,
    status: Value,
    attempts: Attempts,
    /// When to look at the Job again if nothing else happens.
    again_at: Option<Timestamp>,
}

/// Takes the Job at `key` as far as it can go now.
pub(super) fn react(world: &mut World, key: &Key) {
    let Some(job) = world.get(key) else {
        world.attempts.remove(key);
        world.arm(key, None);
        return;
    };
    let other = !matches!(fields::text(&job, &["spec", "managedBy"]), "" | "kubernetes.io/job-controller");
    if other || holds(&job, "Complete") || holds(&job, "Failed") {
        world.arm(key, None);
        return;
    }
    let status = fields::at(&job, &["status"]).filter(|status| status.is_object()).cloned().unwrap_or_else(|| json!({}));
    let attempts = world.attempts.get(key).copied().unwrap_or_default();
    let mut sync = Sync { world, key, job, status, attempts, again_at: None };
    sync.run();
    let Sync { world, status, attempts, again_at, .. } = sync;
    world.attempts.insert(key.clone(), attempts);
    world.write_status(key, status);
    world.arm(key, again_at);
}

impl Sync<'_> {
    fn run(&mut self) {
        if !self.suspended() && self.attempts.started_at.is_none() {
            self.start();
        }
        let pods = self.pods();
        self.count_failures(&pods);
        let mut verdict = self.verdict(&pods);
        if verdict.is_some() {
            self.delete_active(&pods, false);
        } else {
            if !is_going(&self.job) {
                self.manage(&pods);
            }
            if self.succeeded(&pods) >= self.spec("completions", 1) && active(&self.pods()) == 0 {
                verdict = Some(("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"));
            } else if !is_going(&self.job) {
                self.note_suspension();
            }
        }
        self.count_pods(&pods, verdict.map(|(kind, ..)| kind));
        self.report();
        if let Some(verdict) = verdict {
            self.conclude(verdict);
        }
    }

    fn spec(&self, field: &str, otherwise: i64) -> i64 {
        fields::int(&self.job, &["spec", field], otherwise)
    }

    fn suspended(&self) -> bool {
        fields::flag(&self.job, &["spec", "suspend"])
    }

    fn pods(&self) -> Pods {
        garbage::controlled(self.world, "", "pods", &self.key.namespace, uid(&self.job))
    }

    fn start(&mut self) {
        self.attempts.started_at = Some(self.world.now);
        fields::set(&mut self.status, &["startTime"], self.world.stamp());
    }

    fn has_failed(&self, pod: &Value) -> bool {
        let only_ended = fields::text(&self.job, &["spec", "podReplacementPolicy"]) == "Failed";
        let phase = fields::text(pod, &["status", "phase"]);
        let lost = is_going(pod) && phase != "Succeeded" && annotations::on_stop(pod) != OnStop::Completes;
        phase == "Failed" || (lost && !only_ended)
    }

    fn succeeded(&self, pods: &Pods) -> i64 {
        let new = pods.iter().filter(|(_, pod)| tracked(pod) && fields::text(pod, &["status", "phase"]) == "Succeeded");
        fields::int(&self.status, &["succeeded"], 0) + count(new)
    }

    fn failed(&self, pods: &Pods) -> i64 {
        let new = pods.iter().filter(|(_, pod)| tracked(pod) && self.has_failed(pod));
        fields::int(&self.status, &["failed"], 0) + count(new)
    }

    /// Each failed Pod lengthens the wait before the next one, until one succeeds.
    fn count_failures(&mut self, pods: &Pods) {
        let new = self.failed(pods) - fields::int(&self.status, &["failed"], 0);
        if new > 0 {
            let new = u32::try_from(new).unwrap_or(u32::MAX);
            self.attempts.failures_in_a_row = self.attempts.failures_in_a_row.saturating_add(new);
            self.attempts.last_failure_at = Some(self.world.now);
        }
    }

    fn verdict(&mut self, pods: &Pods) -> Option<(&'static str, &'static str, &'static str)> {
        const LIMIT: (&str, &str, &str) =
            ("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
        const LATE: (&str, &str, &str) = ("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline");
        if condition(&self.status, "SuccessCriteriaMet").is_some() {
            return Some(("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"));
        }
        if let Some(before) = condition(&self.status, "FailureTarget") {
            return Some(if fields::text(before, &["reason"]) == LATE.1 { LATE } else { LIMIT });
        }
        if self.failed(pods) > self.spec("backoffLimit", 6) {
            return Some(LIMIT);
        }
        let deadline = fields::at(&self.job, &["spec", "activeDeadlineSeconds"]).and_then(Value::as_i64);
        let (Some(seconds), Some(started_at), false) = (deadline, self.attempts.started_at, self.suspended()) else {
            return None;
        };
        let ends_at = after(started_at, SignedDuration::from_secs(seconds));
        if ends_at <= self.world.now {
            return Some(LATE);
        }
        self.again_at = Some(ends_at);
        None
    }

    fn manage(&mut self, pods: &Pods) {
        if self.suspended() {
            self.delete_active(pods, true);
            return;
        }
        let running = active(pods);
        let wanted = (self.spec("completions", 1) - self.succeeded(pods)).clamp(0, self.spec("parallelism", 1));
        let only_ended = fields::text(&self.job, &["spec", "podReplacementPolicy"]) == "Failed";
        let held = if only_ended { terminating(pods) } else { 0 };
        let missing = wanted - running - held;
        if missing <= 0 {
            return;
        }
        if let Some(wait_until) = self.back_off().filter(|until| *until > self.world.now) {
            self.again_at = Some(self.again_at.map_or(wait_until, |other| other.min(wait_until)));
            return;
        }
        for _ in 0..missing.min(500) {
            job_pods::create(self.world, self.key, &self.job);
        }
    }

    /// 10 s after the first failure in a row, twice as long after each further one, at most ten minutes.
    fn back_off(&self) -> Option<Timestamp> {
        let doublings = self.attempts.failures_in_a_row.checked_sub(1)?.min(6);
        let seconds = (10_i64 << doublings).min(600);
        self.attempts.last_failure_at?.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// Deletes what is active; `uncounted` takes the finalizer first, so that its end says nothing any more.
    fn delete_active(&mut self, pods: &Pods, uncounted: bool) {
        for (key, pod) in pods.iter().filter(|(_, pod)| is_active(pod)) {
            if uncounted && annotations::on_stop(pod) != OnStop::Completes {
                release(self.world, key);
            }
            delete::delete(self.world, key, &Wish::default());
        }
    }

    fn note_suspension(&mut self) {
        let suspended = self.suspended();
        let was = condition(&self.status, "Suspended").map(|one| fields::text(one, &["status"]) == "True");
        match (suspended, was) {
            (true, Some(true)) | (false, Some(false) | None) => {}
            (true, Some(false) | None) => self.set_condition("Suspended", "True", "JobSuspended", "Job suspended"),
            (false, Some(true)) => {
                self.set_condition("Suspended", "False", "JobResumed", "Job resumed");
                self.start();
            }
        }
    }

    fn count_pods(&mut self, pods: &Pods, verdict: Option<&str>) {
        for (key, _) in pods {
            let Some(pod) = self.world.get(key).filter(|pod| tracked(pod)) else { continue };
            let succeeded = fields::text(&pod, &["status", "phase"]) == "Succeeded";
            let failed = self.has_failed(&pod);
            if !(succeeded || failed || verdict.is_some() || is_going(&self.job)) {
                continue;
            }
            if succeeded {
                self.attempts.failures_in_a_row = 0;
                self.add("succeeded");
            } else if failed || verdict == Some("FailureTarget") {
                self.add("failed");
            }
            release(self.world, key);
            delete::finish(self.world, key);
        }
    }

    fn add(&mut self, field: &str) {
        let before = fields::int(&self.status, &[field], 0);
        fields::set(&mut self.status, &[field], before + 1);
    }

    fn report(&mut self) {
        let pods = self.pods();
        let ready = count(pods.iter().filter(|(_, pod)| is_active(pod) && fields::text(pod, &["status", "phase"]) == "Running"));
        match active(&pods) {
            0 => fields::unset(&mut self.status, &["active"]),
            running => fields::set(&mut self.status, &["active"], running),
        }
        fields::set(&mut self.status, &["ready"], ready);
        fields::set(&mut self.status, &["terminating"], terminating(&pods));
        fields::set(&mut self.status, &["uncountedTerminatedPods"], json!({}));
    }

    fn conclude(&mut self, (interim, reason, message): (&'static str, &'static str, &'static str)) {
        if condition(&self.status, interim).is_none() {
            self.set_condition(interim, "True", reason, message);
        }
        if terminating(&self.pods()) > 0 {
            return;
        }
        if interim == "SuccessCriteriaMet" {
            self.set_condition("Complete", "True", reason, message);
            fields::set(&mut self.status, &["completionTime"], self.world.stamp());
        } else {
            self.set_condition("Failed", "True", reason, message);
        }
        self.again_at = None;
    }

    fn set_condition(&mut self, kind: &str, holds: &str, reason: &str, message: &str) {
        let mut conditions = fields::list(&self.status, &["conditions"]).to_vec();
        let new = json!({"type": kind, "status": holds, "reason": reason, "message": message,
            "lastProbeTime": self.world.stamp(), "lastTransitionTime": self.world.stamp()});
        match conditions.iter_mut().find(|one| fields::text(one, &["type"]) == kind) {
            Some(old) => *old = new,
            None => conditions.push(new),
        }
        fields::set(&mut self.status, &["conditions"], conditions);
    }
}

fn release(world: &mut World, key: &Key) {
    if let Some(pod) = world.get(key) {
        let mut pod = (*pod).clone();
        fields::exclude(&mut pod, &FINALIZERS, TRACKING);
        world.replace(key, pod);
    }
}

fn holds(job: &Value, kind: &str) -> bool {
    let conditions = fields::list(job, &["status", "conditions"]).iter();
    conditions.filter(|one| fields::text(one, &["type"]) == kind).any(|one| fields::text(one, &["status"]) == "True")
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    fields::list(status, &["conditions"]).iter().find(|one| fields::text(one, &["type"]) == kind)
}

fn tracked(pod: &Value) -> bool {
    fields::includes(pod, &FINALIZERS, TRACKING)
}

fn has_ended(pod: &Value) -> bool {
    matches!(fields::text(pod, &["status", "phase"]), "Succeeded" | "Failed")
}

fn is_active(pod: &Value) -> bool {
    !has_ended(pod) && !is_going(pod)
}

fn active(pods: &Pods) -> i64 {
    count(pods.iter().filter(|(_, pod)| is_active(pod)))
}

fn terminating(pods: &Pods) -> i64 {
    count(pods.iter().filter(|(_, pod)| is_going(pod) && !has_ended(pod)))
}

fn count<T>(items: impl Iterator<Item = T>) -> i64 {
    i64::try_from(items.count()).unwrap_or(i64::MAX)
}
