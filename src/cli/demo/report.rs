//! The played night as one JSON object (the contract of `notturno demo -o json`).
//!
//! In: a [`Night`]. Out: JSON. Invariant: moments carry the offset of the plan's zone; unknown ones are left out.
//! Not here: text for people.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::night::Night;
use super::scene::SERVICES;
use crate::engine::words::rfc3339;

/// `outcome, mustServeBy, openAt, services[], timeline[]`.
pub(super) fn json(night: &Night) -> Value {
    let show = |at: Timestamp| rfc3339(&night.plan, at);
    let services = night.seen.iter().map(|(name, seen)| {
        let mut service = json!({ "name": format!("{SERVICES}/{name}"), "state": night.state_of(name) });
        put(&mut service, "closedAt", seen.closed_at.map(show));
        put(&mut service, "openAt", seen.open_at.map(show));
        service
    });
    let timeline = night.timeline().into_iter().map(|line| {
        let mut entry = json!({
            "at": show(line.at), "phase": line.phase.as_str(), "what": line.what, "why": line.why,
        });
        put(&mut entry, "step", line.step);
        entry
    });
    let mut report = json!({
        "outcome": night.outcome(),
        "needsHuman": night.status.get("needsHuman").and_then(Value::as_bool).unwrap_or_default(),
        "mustServeBy": show(night.plan.deadline.must_serve_by),
        "promiseKept": night.kept_the_promise(),
        "services": services.collect::<Vec<_>>(),
        "timeline": timeline.collect::<Vec<_>>(),
    });
    put(&mut report, "openAt", night.open_at().map(show));
    report
}

fn put(object: &mut Value, field: &str, value: Option<String>) {
    if let (Some(value), Some(fields)) = (value, object.as_object_mut()) {
        fields.insert(field.to_owned(), Value::String(value));
    }
}
