//! `Intervention` → [`Intervention`].
//!
//! In: the raw object. Out: the validated one, or every problem. Invariants: as in [`super`]; a moment has its offset, nothing is
//! added to civil time. What is not here: whether the values fit the runbook's parameters, whether it is too late
//! ([`crate::plan`]); the status, which is never read.

use jiff::Timestamp;

use super::{Checked, DEFAULT_NAMESPACE, Findings};
use crate::api::intervention as raw;
use crate::model::refusal::Refusal;
use crate::model::runbook::Intervention;

/// Validates an intervention.
///
/// # Errors
/// Every problem of the object.
pub fn intervention(raw: &raw::Intervention) -> Result<Checked<Intervention>, Vec<Refusal>> {
    let namespace = raw.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let mut found = Findings::of("Intervention", raw, Some(namespace), &raw.spec);
    let raw::InterventionSpec { runbook, parameters, mode, start_time, start_tolerance, margin, tell_before, requester } =
        &raw.spec;
    for name in parameters.keys().filter(|name| !is_parameter_name(name)) {
        let message = "a parameter's name begins with a letter and has letters, digits, '-' and '_', at most 63 of them";
        found.refuse("BadName", &format!("spec.parameters[{name:?}]"), message);
    }
    let value = Intervention {
        namespace: namespace.to_owned(),
        name: raw.metadata.name.clone().unwrap_or_default(),
        runbook: runbook.clone(),
        parameters: parameters.clone(),
        mode: *mode,
        start_at: moment(&mut found, "spec.startTime", start_time),
        start_tolerance: found.span("spec.startTolerance", start_tolerance),
        margin: found.span("spec.margin", margin),
        tell_before: found.span("spec.tellBefore", tell_before),
        requester: requester.clone().unwrap_or_default(),
    };
    found.into_result(value)
}

fn is_parameter_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= 63 && name.chars().all(inner)
}

/// A moment with its offset; the epoch in the place of one that cannot be read.
fn moment(found: &mut Findings, path: &str, text: &str) -> Timestamp {
    let example = "write date, time and offset, as 2023-02-10T00:30:00+01:00";
    match text.parse::<Timestamp>() {
        Ok(moment) if !text.contains('[') => return moment,
        Ok(_) => found.refuse("BadTime", path, format!("{text:?} names a zone, which not every reader takes: {example}")),
        Err(_) if text.parse::<jiff::civil::DateTime>().is_ok() => {
            let message = format!("{text:?} has no offset, and civil time may come twice or never: {example}");
            found.refuse("BadTime", path, message);
        }
        Err(_) => found.refuse("BadTime", path, format!("{text:?} is not a moment: {example}")),
    }
    Timestamp::UNIX_EPOCH
}
