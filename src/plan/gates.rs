//! Whether the night fits: every gate of DESIGN §1 at declared budgets, and for each step how late is too late.
//!
//! In: a plan with times and deadline. Out: `turn_back_at` and `finish_by` of every step; a refusal with its sum for every gate that
//! does not hold. Not here: the same gates during the night, with measured times ([`crate::engine`]).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::need::{Begun, turn_back_at};
use crate::model::plan::{Plan, PlannedStep, StepIndex};
use crate::model::refusal::Refusal;
use crate::model::runbook::Runbook;
use crate::model::schedule::{self, Course, Gate};
use crate::model::span::{Span, after, before};

use super::{Findings, runbook_object};

/// Sets the moments of every step and refuses the gates that do not hold.
pub(super) fn check(plan: &mut Plan, runbook: &Runbook, findings: &mut Findings) {
    let gates: Vec<Gate> = (0..plan.steps.len()).map(|index| gate(plan, index)).collect();
    for (index, gate) in gates.iter().enumerate() {
        if !gate.holds() {
            findings.refusals.push(does_not_fit(plan, runbook, index, gate));
        }
    }
    for (index, finish_by) in latest_ends(plan).into_iter().enumerate() {
        let turn_back = turn_back_at(plan, &begun_at(plan, index));
        if let Some(step) = plan.steps.get_mut(index) {
            step.turn_back_at = turn_back;
            step.finish_by = finish_by;
        }
    }
}

fn latest_ends(plan: &Plan) -> Vec<Timestamp> {
    let course = Course::new(plan);
    let all = Begun::of(plan, 0..plan.steps.len());
    let all_back_at = turn_back_at(plan, &all);
    let follows = course.what_follows().into_iter().enumerate();
    follows.map(|(index, follows)| finish_by(plan, &course, index, follows, all_back_at)).collect()
}

/// What has begun when step `index` starts, itself included.
fn begun_at(plan: &Plan, index: StepIndex) -> Begun {
    let Some(start_at) = plan.steps.get(index).map(|step| step.start_at) else { return Begun::default() };
    let earlier = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(other, step)| step.start_at < start_at || (step.start_at == start_at && *other <= index));
    Begun::of(plan, earlier.map(|(other, _)| other))
}

fn gate(plan: &Plan, index: StepIndex) -> Gate {
    let mut begun = begun_at(plan, index);
    begun.steps.remove(&index);
    let ends = begun.steps.iter().filter_map(|&other| Some((other, plan.steps.get(other)?.end_at))).collect();
    let start_at = plan.steps.get(index).map_or(plan.start_at, |step| step.start_at);
    schedule::gate(plan, &begun, &ends, index, start_at)
}

fn does_not_fit(plan: &Plan, runbook: &Runbook, index: StepIndex, gate: &Gate) -> Refusal {
    let name = plan.steps.get(index).map(|step| step.name.clone()).unwrap_or_default();
    let written = runbook.steps.iter().position(|step| step.name == name).unwrap_or(index);
    let short = Span::between(gate.limit, gate.ends_at);
    let own_end_at = plan.steps.get(index).map(|step| after(step.start_at, step.budget));
    // What runs beside it, or what has to follow it, may end later than the step itself.
    let at = if own_end_at == Some(gate.ends_at) { "at its end" } else { "when all that counts with it has ended" };
    let message = format!(
        "going back from step {name:?} {at} would open services {short} too late: start earlier, or give less time to the steps, \
         the undo, the reopening or the reserve"
    );
    let path = format!("spec.steps[{written}]");
    let mut refusal = Refusal::new("DoesNotFit", &runbook_object(runbook), &path, message);
    refusal.sum = gate.need.sum_from(gate.ends_at, plan.deadline.must_serve_by);
    refusal
}

/// The latest end of step `index` from which every later gate still holds; what follows it is pushed by as much as it is late.
///
/// What has begun only grows, and with it what going back takes, so the gate of the step that starts last is the tightest: all the work
/// has to end by the turn-back moment of all the work. Only a point of no return makes a need smaller; with one, later ends are tried.
fn finish_by(plan: &Plan, course: &Course<'_>, index: StepIndex, follows: Span, all_back_at: Timestamp) -> Timestamp {
    let begun = begun_at(plan, index);
    let latest = turn_back_at(plan, &begun);
    if !plan.steps.iter().any(PlannedStep::is_irreversible) {
        return latest.min(before(all_back_at, follows));
    }
    tried(plan, course, index, &begun, latest)
}

/// How often a later end is tried: each time at least one gate is made to hold.
const TRIES_MAX: usize = 64;

/// The same by trying: from the turn-back moment back by as much as the first gate that does not hold is missed by.
fn tried(plan: &Plan, course: &Course<'_>, index: StepIndex, begun: &Begun, latest: Timestamp) -> Timestamp {
    let Some(own) = plan.steps.get(index) else { return latest };
    let mut ends: BTreeMap<StepIndex, Timestamp> =
        begun.steps.iter().filter_map(|&step| Some((step, plan.steps.get(step)?.end_at))).collect();
    let mut end_at = latest;
    for _ in 0..TRIES_MAX {
        ends.insert(index, end_at);
        let Some((_, gate)) = course.first_that_does_not_fit(begun, &ends, own.start_at) else { return end_at };
        end_at = before(end_at, Span::between(gate.limit, gate.ends_at));
        if end_at <= own.end_at {
            break;
        }
    }
    own.end_at
}
