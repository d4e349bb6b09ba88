//! What is supposed, in words: what the scenario says, and what holds where it says nothing.
//!
//! In: the subject, and for one night its world. Out: sentences. Invariant: whatever nobody wrote is named with what was taken for it.
//! Not here: what becomes of it.

use super::Subject;
use super::words::Said;
use crate::model::plan::{Plan, PlannedAction, PlannedUndo};
use crate::model::span::Span;
use crate::sim::scenario::Going;
use crate::sim::{Run, World};

/// The most names of one sentence; more of them are counted.
const NAMES_MAX: usize = 12;

/// What nobody said, and what is taken for it.
pub(super) fn defaults(subject: &Subject) -> Vec<String> {
    let (plan, said) = (&subject.plan, &subject.written.said);
    let steps = plan.steps.iter().enumerate().filter(|(index, step)| {
        let takes_time = match step.action {
            PlannedAction::Job(_) | PlannedAction::Close { .. } | PlannedAction::Change(_) | PlannedAction::Check(_) => true,
            PlannedAction::Hold(_) | PlannedAction::Notify { .. } => false,
        };
        takes_time && !said.steps.contains(index)
    });
    let undos = plan.steps.iter().enumerate().filter(|(index, step)| {
        matches!(step.undo, PlannedUndo::Job { .. } | PlannedUndo::Restore { .. }) && !said.undos.contains(index)
    });
    let services = plan.services.iter().enumerate().filter(|(index, _)| !said.services.contains(index));
    let mut lines = Vec::new();
    lines.extend(listed("each takes its budget", steps.map(|(_, step)| (step.name.clone(), step.budget))));
    let undos = undos.map(|(_, step)| (format!("undo of {}", step.name), step.undo_budget()));
    lines.extend(listed("each takes its budget", undos.chain(smoke(plan, said))));
    let services = services.map(|(_, service)| (service.id.to_string(), service.reopen_budget));
    lines.extend(listed("each answers when its reopening budget is gone", services));
    lines.push("nothing else hangs or fails; Pods that are stopped end at once".to_owned());
    lines
}

fn smoke(plan: &Plan, said: &Said) -> Option<(String, Span)> {
    let smoke = plan.smoke.as_ref().filter(|_| !said.smoke)?;
    Some(("verification".to_owned(), smoke.budget))
}

fn listed(what: &str, all: impl Iterator<Item = (String, Span)>) -> Option<String> {
    let all: Vec<String> = all.map(|(name, span)| format!("{name} {span}")).collect();
    let more = all.len().saturating_sub(NAMES_MAX);
    let names = all.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!all.is_empty()).then(|| format!("{what}: {names}{more}"))
}

/// What was drawn for one night, where chance had a say.
pub(super) fn drawn(subject: &Subject, world: &World) -> Vec<String> {
    let (plan, scenario) = (&subject.plan, &subject.written.scenario);
    let steps =
        plan.steps.iter().zip(&scenario.steps).zip(&world.steps).map(|((step, going), run)| (step.name.clone(), going, run));
    let undos = plan.steps.iter().zip(&scenario.undos).zip(&world.undos).flat_map(|((step, going), runs)| {
        let name = |attempt: usize| format!("undo of {}, attempt {}", step.name, attempt + 1);
        runs.iter().enumerate().map(move |(attempt, run)| (name(attempt), going, run)).collect::<Vec<_>>()
    });
    let smoke = [("verification".to_owned(), &scenario.smoke, &world.smoke)];
    let services = plan.services.iter().zip(&scenario.services).zip(&world.services);
    let services = services.map(|((service, going), run)| (service.id.to_string(), going, run));
    let all = steps.chain(undos).chain(smoke).chain(services);
    let chance = all.filter(|(_, going, _): &(String, &Going, &Run)| !going.is_fixed());
    let mut lines: Vec<String> = chance.map(|(name, _, run)| format!("{name} {}", said(run))).collect();
    if scenario.operator.as_ref().is_some_and(|operator| !operator.dies.is_fixed()) {
        lines.push(format!("the operator {}", if world.death.is_some() { "dies" } else { "lives" }));
    }
    lines
}

fn said(run: &Run) -> String {
    match run {
        Run::Ends { after } => format!("takes {after}"),
        Run::Fails { after, .. } => format!("fails after {after}"),
        Run::Hangs => "hangs".to_owned(),
    }
}
