//! Whether the night fits: every gate of DESIGN §1 at declared budgets, and for each step how late is too late.
//!
//! In: a plan with times and deadline. Out: `turn_back_at` and `finish_by` of every step; a refusal with its sum for every gate that
//! does not hold. Not here: the same gates during the night, with measured times ([`crate::engine`]).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::need::{Begun, turn_back_at};
use crate::model::plan::{Plan, StepIndex};
use crate::model::refusal::Refusal;
use crate::model::runbook::Runbook;
use crate::model::schedule::{self, Gate, predecessors};
use crate::model::span::{Span, before};

use super::{Findings, runbook_object};

/// Sets the moments of every step and refuses the gates that do not hold.
pub(super) fn check(plan: &mut Plan, runbook: &Runbook, findings: &mut Findings) {
    let gates: Vec<Gate> = (0..plan.steps.len()).map(|index| gate(plan, index)).collect();
    for (index, gate) in gates.iter().enumerate() {
        if !gate.holds() {
            findings.refusals.push(does_not_fit(plan, runbook, index, gate));
        }
    }
    let finish_by: Vec<Timestamp> = (0..plan.steps.len()).map(|index| finish_by(plan, index)).collect();
    for (index, finish_by) in finish_by.into_iter().enumerate() {
        let turn_back = turn_back_at(plan, &begun_at(plan, index));
        if let Some(step) = plan.steps.get_mut(index) {
            step.turn_back_at = turn_back;
            step.finish_by = finish_by.min(turn_back);
        }
    }
}

/// What has begun when step `index` starts, itself included.
fn begun_at(plan: &Plan, index: StepIndex) -> Begun {
    let Some(start_at) = plan.steps.get(index).map(|step| step.start_at) else { return Begun::default() };
    let earlier = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(other, step)| step.start_at < start_at || (step.start_at == start_at && *other <= index));
    earlier.fold(Begun::default(), |begun, (other, _)| begun.with(plan, other))
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
    let message = format!(
        "going back from step {name:?} at its end would open services {short} too late: start earlier, or give less time to the steps, \
         the undo, the reopening or the reserve"
    );
    let path = format!("spec.steps[{written}]");
    let mut refusal = Refusal::new("DoesNotFit", &runbook_object(runbook), &path, message);
    refusal.sum = gate.need.sum_from(gate.ends_at, plan.deadline.must_serve_by);
    refusal
}

/// The latest end of step `index` from which every later gate still holds; what follows it is pushed by as much as it is late.
fn finish_by(plan: &Plan, index: StepIndex) -> Timestamp {
    let mut latest = turn_back_at(plan, &begun_at(plan, index));
    let Some(own) = plan.steps.get(index) else { return latest };
    let pushed = pushed(plan, index);
    let to_the_end = pushed.values().max().copied().unwrap_or_default();
    for (later, step) in plan.steps.iter().enumerate() {
        let comes_later = step.start_at > own.start_at || (step.start_at == own.start_at && later > index);
        if !comes_later {
            continue;
        }
        let path = pushed.get(&later).copied().unwrap_or_default();
        latest = latest.min(before(turn_back_at(plan, &begun_at(plan, later)), path));
        if step.is_irreversible() {
            latest = latest.min(before(schedule::forward_limit(plan), to_the_end));
        }
    }
    latest
}

/// For every step that waits for `index`, however indirectly, the budgets between the end of `index` and its own end.
fn pushed(plan: &Plan, index: StepIndex) -> BTreeMap<StepIndex, Span> {
    let mut longest_to: BTreeMap<StepIndex, Span> = BTreeMap::from([(index, Span::ZERO)]);
    for (later, step) in plan.steps.iter().enumerate().filter(|(later, _)| *later != index) {
        let path = predecessors(&plan.steps, later).iter().filter_map(|before| longest_to.get(before)).max().copied();
        longest_to.extend(path.map(|span| (later, span + step.budget)));
    }
    longest_to
}
