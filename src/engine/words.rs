//! Moments and sums as people read them at 03:00.
//!
//! In: values. Out: short text in the plan's zone. Invariant: an unknown zone shows UTC with its offset, never a silent local time.
//! Not here: titles, translations.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::plan::{Plan, PlannedService, StepIndex};
use crate::model::refusal::Term;
use crate::model::service::{Closing, Contact};

/// `04:55`, or `04:55:30` when there are seconds.
#[must_use]
pub fn clock(plan: &Plan, moment: Timestamp) -> String {
    let (zone, mark) = match TimeZone::get(&plan.time_zone) {
        Ok(zone) => (zone, ""),
        Err(_) => (TimeZone::UTC, "Z"),
    };
    let civil = zone.to_datetime(moment);
    let (hour, minute) = (civil.hour(), civil.minute());
    match civil.second() {
        0 => format!("{hour:02}:{minute:02}{mark}"),
        second => format!("{hour:02}:{minute:02}:{second:02}{mark}"),
    }
}

/// RFC 3339 with the offset of the plan's zone: `2023-02-10T07:00:00+01:00`.
#[must_use]
pub fn rfc3339(plan: &Plan, moment: Timestamp) -> String {
    let zone = TimeZone::get(&plan.time_zone).unwrap_or(TimeZone::UTC);
    moment.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
}

/// `03:30 + undo 1h + smoke 15m + reopen 30m + reserve 20m = 05:35, mustServeBy 07:00`.
#[must_use]
pub fn said(plan: &Plan, sum: &[Term]) -> String {
    let mut text = String::new();
    for term in sum {
        let part = match (term.term.as_str(), term.at, term.span) {
            ("end", Some(at), _) => clock(plan, at),
            ("total", Some(at), _) => format!(" = {}", clock(plan, at)),
            (name, Some(at), _) => format!(", {name} {}", clock(plan, at)),
            (name, None, Some(span)) => format!(" + {name} {span}"),
            (name, None, None) => format!(" + {name}"),
        };
        text.push_str(&part);
    }
    text
}

/// The names of steps.
#[must_use]
pub fn steps(plan: &Plan, steps: &BTreeSet<StepIndex>) -> Vec<String> {
    steps.iter().filter_map(|&step| plan.steps.get(step)).map(|step| step.name.clone()).collect()
}

/// `sola-lettura (ConfigMap sanita/opzioni)`.
#[must_use]
pub fn actions(actions: &[Closing]) -> String {
    actions.iter().map(|action| format!("{} ({})", action.name, action.target)).collect::<Vec<_>>().join(", ")
}

/// On what half-done work a service is open, what a person has to take away, and whom to call.
#[must_use]
pub fn open_on(plan: &Plan, planned: &PlannedService, through: &BTreeSet<StepIndex>) -> String {
    let away = match planned.when_dirty.actions() {
        [] => String::new(),
        declared => {
            let known = "what was there before stands in the night's plan, preimages.json";
            format!("; when its data is whole, take away by hand: {} ({known})", actions(declared))
        }
    };
    format!("open on half-done work through {}{away}{}", steps(plan, through).join(", "), call(planned))
}

/// `; call reperibile Turno A (sala-operativa)`, or nothing where nobody is named.
#[must_use]
pub fn call(planned: &PlannedService) -> String {
    let one = |contact: &Contact| {
        let Contact { role, name, notify } = contact;
        if notify.is_empty() { format!("{role} {name}") } else { format!("{role} {name} ({notify})") }
    };
    match planned.contacts.as_slice() {
        [] => String::new(),
        contacts => format!("; call {}", contacts.iter().map(one).collect::<Vec<_>>().join(", then ")),
    }
}
