//! The annotations with which a scene says how its workloads behave.
//!
//! In: an object. Out: the behaviour it asks for, or a problem with the field's path.
//! Invariants: an object with a problem is never stored, so readers may fall back to the default silently.
//! Not here: what the controllers do with the behaviour.

use jiff::SignedDuration;
use serde_json::Value;

use super::failure::Cause;
use super::fields;

/// On a Deployment: how long its new Pods take to become ready (a Go duration; default at once).
pub const READY_AFTER: &str = "embedded.notturno.dev/ready-after";
/// On a Deployment: how long Pods that are scaled away need to end; they take no requests meanwhile (default no time).
pub const DRAINS_FOR: &str = "embedded.notturno.dev/drains-for";
/// On a Pod template: the name of a script whose runs differ: the n-th Pod of that name takes the n-th of the comma-separated
/// values of [`TAKES`] and [`ENDS`], later ones the last.
pub const SCRIPT: &str = "embedded.notturno.dev/script";
/// On a Pod template: how long its work takes (default no time).
pub const TAKES: &str = "embedded.notturno.dev/takes";
/// On a Pod template: how its work ends: `Succeeded` (default), `Failed` or `Hangs`.
pub const ENDS: &str = "embedded.notturno.dev/ends";
/// On a Pod template: how long after it was made a Pod waits for a node (default no time); `never` finds none.
pub const SCHEDULED_AFTER: &str = "embedded.notturno.dev/scheduled-after";
/// On a Pod template: how long its containers need to stop when asked (default no time); `never` is a lost node.
pub const STOPS_AFTER: &str = "embedded.notturno.dev/stops-after";
/// On a Pod template: how it ends when asked to stop: `Failed` (default), `Succeeded` or `Completes`.
pub const ON_STOP: &str = "embedded.notturno.dev/on-stop";
/// On a Service: `name.namespace,…` of the Services it needs; it answers 503 until all of them answer 200.
pub const HEALTHY_WITH: &str = "embedded.notturno.dev/healthy-with";
/// On a Service: how long it stays 503 after all of [`HEALTHY_WITH`] answer 200 again.
pub const RECOVERS_AFTER: &str = "embedded.notturno.dev/recovers-after";
/// On a Deployment or its Pod template: the HTTP status it answers (default 200).
pub const ANSWERS: &str = "embedded.notturno.dev/answers";

/// How a Pod's work ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Succeeded,
    Failed,
    Hangs,
}

/// How a Pod ends when asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnStop {
    /// Exit code 143: it died of SIGTERM.
    Failed,
    /// Exit code 0. A Job that is suspended no longer counts this Pod, as the controller of 1.35 does.
    Succeeded,
    /// Exit code 0, seen by the Job controller before it stopped counting: the suspended Job becomes Complete.
    Completes,
}

/// How long a Pod's containers need to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopsAfter {
    Span(SignedDuration),
    Never,
}

/// The value of annotation `name` on `object`.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    fields::text(object, &["metadata", "annotations", name])
}

/// The duration in annotation `name`; none when absent.
pub(super) fn span(object: &Value, name: &str) -> SignedDuration {
    parse(text(object, name)).unwrap_or_default()
}

pub(super) fn ends(pod: &Value) -> Ends {
    match text(pod, ENDS) {
        "Failed" => Ends::Failed,
        "Hangs" => Ends::Hangs,
        _ => Ends::Succeeded,
    }
}

pub(super) fn on_stop(pod: &Value) -> OnStop {
    match text(pod, ON_STOP) {
        "Succeeded" => OnStop::Succeeded,
        "Completes" => OnStop::Completes,
        _ => OnStop::Failed,
    }
}

pub(super) fn stops_after(pod: &Value) -> StopsAfter {
    match text(pod, STOPS_AFTER) {
        "never" => StopsAfter::Never,
        span => StopsAfter::Span(parse(span).unwrap_or_default()),
    }
}

/// How long a Pod waits for a node; none when it finds none.
pub(super) fn scheduled_after(pod: &Value) -> Option<SignedDuration> {
    match text(pod, SCHEDULED_AFTER) {
        "never" => None,
        span => Some(parse(span).unwrap_or_default()),
    }
}

/// The `run`-th value (from 0) of a list of them, or the last.
pub(super) fn of_run(list: &str, run: usize) -> &str {
    list.split(',').nth(run).or_else(|| list.rsplit(',').next()).unwrap_or(list)
}

/// The HTTP status that `deployment` declares: on its Pod template first, then on itself.
pub(super) fn answers(deployment: &Value) -> Option<u16> {
    let template = fields::text(deployment, &["spec", "template", "metadata", "annotations", ANSWERS]);
    template.parse().or_else(|_| text(deployment, ANSWERS).parse()).ok()
}

/// Every annotation of ours on `object` or on its Pod templates that cannot be understood.
pub(super) fn problems(object: &Value) -> Vec<Cause> {
    let templates: [&[&str]; 3] = [&[], &["spec", "template"], &["spec", "jobTemplate", "spec", "template"]];
    let mut causes = Vec::new();
    for template in templates {
        let path: Vec<&str> = template.iter().copied().chain(["metadata", "annotations"]).collect();
        for (name, value) in fields::strings(object, &path).iter().filter(|(name, value)| !understood(name, value)) {
            let field = format!("{}[{name}]", path.join("."));
            causes.push(Cause::invalid(&field, value, "not a value the embedded API knows"));
        }
    }
    causes
}

fn understood(name: &str, value: &str) -> bool {
    match name {
        TAKES => value.split(',').all(|one| parse(one).is_some()),
        READY_AFTER | DRAINS_FOR | RECOVERS_AFTER => parse(value).is_some(),
        STOPS_AFTER | SCHEDULED_AFTER => value == "never" || parse(value).is_some(),
        ENDS => value.split(',').all(|one| ["Succeeded", "Failed", "Hangs"].contains(&one)),
        ON_STOP => ["Succeeded", "Failed", "Completes"].contains(&value),
        ANSWERS => value.parse::<u16>().is_ok_and(|code| (100..600).contains(&code)),
        HEALTHY_WITH => value.split(',').all(|one| one.trim().split('.').count() >= 2),
        _ => true,
    }
}

/// A Go duration. jiff's friendly format reads every form that Go writes.
fn parse(text: &str) -> Option<SignedDuration> {
    text.parse::<SignedDuration>().ok().filter(|span| !span.is_negative())
}
