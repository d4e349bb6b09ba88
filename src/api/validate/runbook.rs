//! `Runbook` → [`Runbook`].
//!
//! In: the raw object. Out: the validated one, or every problem. Invariants: as in [`super`]; names that point inside the runbook
//! (needs, covered by, parameters) point to something. What is not here: cycles, which services are meant, sums
//! ([`crate::plan`]).

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{Checked, DEFAULT_NAMESPACE, Findings};
use crate::api::runbook::{self as raw, NoUndoReason};
use crate::api::structure::closest;
use crate::model::refusal::Refusal;
use crate::model::runbook::{Action, Approvals, EnvValue, EnvVar, JobSource, Parameter, Reopening, Runbook, Smoke, Step, Undo};

/// The compiled size of a parameter's pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Validates a runbook.
///
/// # Errors
/// Every problem of the object.
pub fn runbook(raw: &raw::Runbook) -> Result<Checked<Runbook>, Vec<Refusal>> {
    let namespace = raw.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let mut found = Findings::of("Runbook", raw, Some(namespace), &raw.spec);
    let raw::RunbookSpec { description, service_account_name, parameters, reserve, smoke, reopening, steps, approvals } =
        &raw.spec;
    let inside = Inside {
        steps: steps.iter().map(|step| step.name.as_str()).collect(),
        parameters: parameters.iter().map(|parameter| parameter.name.as_str()).collect(),
    };
    let value = Runbook {
        namespace: namespace.to_owned(),
        name: raw.metadata.name.clone().unwrap_or_default(),
        description: description.clone().unwrap_or_default(),
        service_account: service_account_name.clone(),
        parameters: parameters.iter().enumerate().map(|(index, raw)| parameter(&mut found, index, raw)).collect(),
        reserve: found.span("spec.reserve", reserve),
        smoke: smoke.as_ref().map(|smoke| Smoke {
            budget: found.budget("spec.smoke.budget", &smoke.budget),
            job: job(&mut found, &inside, "spec.smoke.job", &smoke.job),
        }),
        reopening: waves(&mut found, reopening),
        steps: steps
            .iter()
            .enumerate()
            .map(|(index, raw)| step(&mut found, &inside, &format!("spec.steps[{index}]"), raw))
            .collect(),
        approvals: approvals
            .as_ref()
            .map(|raw| Approvals { count: u32::try_from(raw.count).unwrap_or_default(), groups: raw.from.groups.clone() }),
    };
    if value.reserve.is_zero() && !found.has("spec.reserve") {
        found.warn(
            "NoReserve",
            "spec.reserve",
            "without a reserve the first thing that takes longer than promised opens doors late",
        );
    }
    found.into_result(value)
}

/// The names that a runbook may point to in itself.
struct Inside<'a> {
    steps: BTreeSet<&'a str>,
    parameters: BTreeSet<&'a str>,
}

/// Compiles `pattern` so that it matches whole values.
fn whole(pattern: &str) -> Result<Regex, String> {
    let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    // Alone first: "a)|(b" would be valid between the brackets, and match parts.
    compile(pattern).and_then(|_| compile(&format!("^(?:{pattern})$"))).map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
    })
}

fn parameter(found: &mut Findings, index: usize, raw: &raw::Parameter) -> Parameter {
    let path = format!("spec.parameters[{index}]");
    let raw::Parameter { name, kind: raw::ParameterType::String, pattern, default } = raw;
    match pattern.as_deref().map(|pattern| (pattern, whole(pattern))) {
        Some((_, Err(problem))) => {
            found.refuse("BadPattern", &format!("{path}.pattern"), format!("not a regular expression: {problem}"));
        }
        Some((text, Ok(pattern))) => {
            if let Some(value) = default.as_deref().filter(|value| !pattern.is_match(value)) {
                found.refuse(
                    "BadValue",
                    &format!("{path}.default"),
                    format!("{value:?} does not match the parameter's own pattern {text}: change one of them"),
                );
            }
        }
        None => {}
    }
    Parameter { name: name.clone(), pattern: pattern.clone(), default: default.clone() }
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
    let raw::Step { name, needs, budget, hard_cap, on_overrun, on_futile, job: _, close: _, touches, undo: _, no_undo: _ } = raw;
    for (index, need) in needs.iter().enumerate() {
        points_to_step(found, inside, name, need, &format!("{path}.needs[{index}]"));
    }
    let budget = found.budget(&format!("{path}.budget"), budget);
    let hard_cap = hard_cap.as_ref().map(|text| found.budget(&format!("{path}.hardCap"), text));
    if let Some(cap) = hard_cap.filter(|cap| !cap.is_zero() && *cap < budget) {
        let message = format!(
            "the hard cap {cap} is below the budget {budget}: the step would be turned back while it is in time; raise it"
        );
        found.refuse("HardCapBelowBudget", &format!("{path}.hardCap"), message);
    }
    if touches.is_some() && raw.close.is_some() {
        found.refuse("NotAllowed", &format!("{path}.touches"), "closing changes no data: remove touches");
    }
    Step {
        name: name.clone(),
        needs: needs.clone(),
        budget,
        hard_cap,
        on_overrun: *on_overrun,
        on_futile: *on_futile,
        touches: touches.as_ref().map(|touches| found.references(&format!("{path}.touches"), touches)),
        undo: undo(found, inside, path, raw),
        action: action(found, inside, path, raw),
    }
}

fn action(found: &mut Findings, inside: &Inside<'_>, path: &str, raw: &raw::Step) -> Action {
    let nothing = Action::Close { services: Vec::new() };
    match (&raw.job, &raw.close) {
        (Some(raw), None) => Action::Job(job(found, inside, &format!("{path}.job"), raw)),
        (None, Some(close)) => Action::Close { services: found.references(&format!("{path}.close.services"), &close.services) },
        (None, None) | (Some(_), Some(_)) => {
            found.refuse("NotExactlyOne", path, "a step does exactly one thing: write one of job, close");
            nothing
        }
    }
}

fn undo(found: &mut Findings, inside: &Inside<'_>, path: &str, raw: &raw::Step) -> Undo {
    let closes = raw.close.is_some() && raw.job.is_none();
    if closes && raw.undo.is_some() {
        found.refuse("NotAllowed", &format!("{path}.undo"), "closing is undone by reopening: remove undo");
    }
    if closes && raw.no_undo.is_some() {
        found.refuse("NotAllowed", &format!("{path}.noUndo"), "closing is undone by reopening: remove noUndo");
    }
    let own = raw.undo.as_ref().map(|undo| Undo::Job {
        budget: found.budget(&format!("{path}.undo.budget"), &undo.budget),
        attempts: u32::try_from(undo.attempts).unwrap_or_default(),
        job: job(found, inside, &format!("{path}.undo.job"), &undo.job),
    });
    let none = raw.no_undo.as_ref().map(|none| no_undo(found, inside, &raw.name, &format!("{path}.noUndo"), none));
    match (own, none) {
        (Some(undo), None) | (None, Some(undo)) => undo,
        (None, None) if closes => Undo::Reopening,
        (None, None) | (Some(_), Some(_)) => {
            if !closes && raw.job.is_some() {
                found.refuse("NotExactlyOne", path, "a job says how it is undone: write either undo, or noUndo with its reason");
            }
            Undo::Nothing
        }
    }
}

fn no_undo(found: &mut Findings, inside: &Inside<'_>, own: &str, path: &str, raw: &raw::NoUndo) -> Undo {
    let here = format!("{path}.step");
    match (raw.reason, &raw.step) {
        (NoUndoReason::CoveredBy, Some(step)) => {
            points_to_step(found, inside, own, step, &here);
            Undo::CoveredBy { step: step.clone() }
        }
        (NoUndoReason::CoveredBy, None) => {
            found.refuse("Missing", &here, "CoveredBy names the step whose undo covers this one: write step");
            Undo::Nothing
        }
        (NoUndoReason::NothingToUndo | NoUndoReason::Irreversible, Some(_)) => {
            found.refuse("NotAllowed", &here, "only CoveredBy names a step: remove it, or write reason: CoveredBy");
            Undo::Nothing
        }
        (NoUndoReason::NothingToUndo, None) => Undo::Nothing,
        (NoUndoReason::Irreversible, None) => Undo::Irreversible,
    }
}

fn points_to_step(found: &mut Findings, inside: &Inside<'_>, own: &str, name: &str, path: &str) {
    if name == own {
        found.refuse("PointsToItself", path, format!("{name} points to itself: remove it"));
    } else if !inside.steps.contains(name) {
        found.refuse("UnknownStep", path, not_there("step", name, &inside.steps));
    }
}

fn not_there(what: &str, name: &str, known: &BTreeSet<&str>) -> String {
    let hint = closest(name, known.iter().copied()).map(|meant| format!("; did you mean {meant}?"));
    format!("the runbook has no {what} {name:?}{}", hint.unwrap_or_default())
}

fn job(found: &mut Findings, inside: &Inside<'_>, path: &str, raw: &raw::Job) -> JobSource {
    let mut env = BTreeMap::new();
    for (index, raw) in raw.env.iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        let value = match (&raw.value, &raw.parameter) {
            (Some(value), None) => EnvValue::Value(value.clone()),
            (None, Some(parameter)) => {
                if !inside.parameters.contains(parameter.as_str()) {
                    let message = not_there("parameter", parameter, &inside.parameters);
                    found.refuse("UnknownParameter", &format!("{path}.parameter"), message);
                }
                EnvValue::Parameter(parameter.clone())
            }
            (None, None) | (Some(_), Some(_)) => {
                found.refuse("NotExactlyOne", &path, "a variable has exactly one source: write value or parameter");
                continue;
            }
        };
        env.insert(index, EnvVar { name: raw.name.clone(), value });
    }
    JobSource { cron_job: raw.from.cron_job.clone(), env: env.into_values().collect() }
}
