//! `Runbook` → [`Runbook`].
//!
//! In: the raw object. Out: the validated one, or every problem. Invariants: as in [`super`]; names that point inside the runbook
//! (needs, covered by, parameters) point to something. What is not here: cycles, which services are meant, sums
//! ([`crate::plan`]).

use super::inside::Inside;
use super::{Checked, DEFAULT_NAMESPACE, Findings, action, undo};
use crate::api::runbook as raw;
use crate::model::parameter::{Kind, Parameter};
use crate::model::refusal::Refusal;
use crate::model::runbook::{Approvals, OnOverrun, Reopening, Runbook, Smoke, Step};

/// Behind the name of the work's account, where the runbook names none for the sentinel.
const SENTINEL_SUFFIX: &str = "-sentinel";

/// Validates a runbook.
///
/// # Errors
/// Every problem of the object.
pub fn runbook(raw: &raw::Runbook) -> Result<Checked<Runbook>, Vec<Refusal>> {
    let mut found = Findings::of("Runbook", raw, Some(namespace(raw)), &raw.spec);
    let value = read(raw, &mut found);
    warn(&mut found, &value);
    found.into_result(value)
}

/// The runbook as far as it can be read, with stand-ins in the places of what is refused: only ever used to find more problems.
#[must_use]
pub fn runbook_in_part(raw: &raw::Runbook) -> Runbook {
    read(raw, &mut Findings::of("Runbook", raw, Some(namespace(raw)), &raw.spec))
}

fn namespace(raw: &raw::Runbook) -> &str {
    raw.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
}

fn read(raw: &raw::Runbook, found: &mut Findings) -> Runbook {
    let namespace = namespace(raw);
    let raw::RunbookSpec {
        description,
        service_account_name,
        sentinel_service_account_name,
        parameters,
        reserve,
        smoke,
        reopening,
        steps,
        approvals,
    } = &raw.spec;
    let inside = Inside {
        namespace,
        steps: steps.iter().map(|step| step.name.as_str()).collect(),
        parameters: parameters.iter().map(|parameter| parameter.name.as_str()).collect(),
    };
    Runbook {
        namespace: namespace.to_owned(),
        name: raw.metadata.name.clone().unwrap_or_default(),
        description: description.clone().unwrap_or_default(),
        service_account: service_account_name.clone(),
        sentinel_service_account: sentinel_service_account_name
            .clone()
            .unwrap_or_else(|| format!("{service_account_name}{SENTINEL_SUFFIX}")),
        parameters: parameters.iter().enumerate().map(|(index, raw)| parameter(found, index, raw)).collect(),
        reserve: found.span("spec.reserve", reserve),
        smoke: smoke.as_ref().map(|smoke| Smoke {
            budget: found.budget("spec.smoke.budget", &smoke.budget),
            job: inside.job(found, "spec.smoke.job", &smoke.job),
        }),
        reopening: waves(found, reopening),
        steps: steps.iter().enumerate().map(|(index, raw)| step(found, &inside, &format!("spec.steps[{index}]"), raw)).collect(),
        approvals: approvals
            .as_ref()
            .map(|raw| Approvals { count: u32::try_from(raw.count).unwrap_or_default(), groups: raw.from.groups.clone() }),
    }
}

/// What is allowed, and seldom meant.
fn warn(found: &mut Findings, runbook: &Runbook) {
    if runbook.reserve.is_zero() && !found.has("spec.reserve") {
        found.warn(
            "NoReserve",
            "spec.reserve",
            "without a reserve the first thing that takes longer than promised opens doors late",
        );
    }
    if runbook.sentinel_service_account == runbook.service_account {
        found.warn(
            "SharedAccount",
            "spec.sentinelServiceAccountName",
            "the sentinel has every right of the work, and needs only those to give back: name an account of its own",
        );
    }
    if runbook.approvals.is_some() {
        let message =
            "approvals cannot be given yet, and the operator runs no night that asks for them: remove spec.approvals to run it";
        found.warn("NotActedOn", "spec.approvals", message);
    }
}

fn parameter(found: &mut Findings, index: usize, raw: &raw::Parameter) -> Parameter {
    let path = format!("spec.parameters[{index}]");
    let raw::Parameter { name, kind, pattern, allowed, minimum, maximum, default } = raw;
    if *kind != raw::ParameterType::String && (pattern.is_some() || !allowed.is_empty()) {
        found.refuse("NotAllowed", &path, "only a String has a pattern or a list of what is allowed: remove them");
    }
    if *kind != raw::ParameterType::Integer && (minimum.is_some() || maximum.is_some()) {
        found.refuse("NotAllowed", &path, "only an Integer has a minimum and a maximum: remove them");
    }
    if minimum.zip(*maximum).is_some_and(|(least, most)| least > most) {
        found.refuse("BadValue", &format!("{path}.minimum"), "the minimum is not above the maximum");
    }
    let kind = match kind {
        raw::ParameterType::String => Kind::Text { pattern: pattern.clone(), allowed: allowed.clone() },
        raw::ParameterType::Integer => Kind::Integer { minimum: *minimum, maximum: *maximum },
        raw::ParameterType::Boolean => Kind::Boolean,
        raw::ParameterType::Duration => Kind::Duration,
    };
    let parameter = Parameter { name: name.clone(), kind, default: default.clone() };
    if let Some(problem) = parameter.pattern_problem() {
        found.refuse("BadPattern", &format!("{path}.pattern"), format!("not a regular expression: {problem}"));
    }
    if let Some(problem) = default.as_deref().and_then(|value| parameter.problem(value)) {
        found.refuse("BadValue", &format!("{path}.default"), problem);
    }
    parameter
}

fn waves(found: &mut Findings, raw: &raw::Reopening) -> Reopening {
    let mut named = Vec::new();
    let mut waves = Vec::new();
    for (index, wave) in raw.waves.iter().enumerate() {
        let path = format!("spec.reopening.waves[{index}]");
        waves.push(found.references(&path, wave));
        named.extend(wave.iter().enumerate().map(|(index, name)| (format!("{path}[{index}]"), name.clone())));
    }
    found.distinct(named);
    Reopening { budget: found.budget("spec.reopening.budget", &raw.budget), waves }
}

fn step(found: &mut Findings, inside: &Inside<'_>, path: &str, raw: &raw::Step) -> Step {
    for (index, need) in raw.needs.iter().enumerate() {
        inside.points_to_step(found, &raw.name, need, &format!("{path}.needs[{index}]"));
    }
    let budget = found.budget(&format!("{path}.budget"), &raw.budget);
    let hard_cap = raw.hard_cap.as_ref().map(|text| found.budget(&format!("{path}.hardCap"), text));
    if let Some(cap) = hard_cap.filter(|cap| !cap.is_zero() && *cap < budget) {
        let message = format!(
            "the hard cap {cap} is below the budget {budget}: the step would be turned back while it is in time; raise it"
        );
        found.refuse("HardCapBelowBudget", &format!("{path}.hardCap"), message);
    }
    if hard_cap.is_none() && matches!(raw.on_overrun, Some(OnOverrun::Ask | OnOverrun::Continue)) {
        let message = "the hard cap is the budget when none is written, so there is no time in which to go on: write hardCap";
        found.warn("NoHardCap", &format!("{path}.onOverrun"), message);
    }
    Step {
        name: raw.name.clone(),
        needs: raw.needs.clone(),
        budget,
        hard_cap,
        on_overrun: raw.on_overrun.unwrap_or_default(),
        on_futile: raw.on_futile,
        touches: raw.touches.as_ref().map(|touches| found.references(&format!("{path}.touches"), touches)),
        undo: undo::undo(found, inside, path, raw, budget),
        action: action::action(found, inside, path, raw, budget),
    }
}
