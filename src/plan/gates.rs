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
    let finish_by: Vec<Timestamp> = (0..plan.steps.len()).map(|index| finish_by(plan, index, &gates)).collect();
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
    let begun = begun_at(plan, index);
    let ends = begun.steps.iter().filter_map(|&other| plan.steps.get(other)).map(|step| step.end_at);
    let ends_at = ends.max().unwrap_or(plan.start_at);
    let start_at = plan.steps.get(index).map_or(plan.start_at, |step| step.start_at);
    schedule::gate(plan, &begun, index, start_at, ends_at)
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
fn finish_by(plan: &Plan, index: StepIndex, gates: &[Gate]) -> Timestamp {
    let mut longest_to: BTreeMap<StepIndex, Span> = BTreeMap::from([(index, Span::ZERO)]);
    let mut latest = turn_back_at(plan, &begun_at(plan, index));
    let Some(own) = plan.steps.get(index) else { return latest };
    for (later, step) in plan.steps.iter().enumerate() {
        let path = predecessors(&plan.steps, later).iter().filter_map(|before| longest_to.get(before)).max().copied();
        let path = path.filter(|_| later != index).map(|span| span + step.budget);
        if let Some(path) = path {
            longest_to.insert(later, path);
        }
        let comes_later = step.start_at > own.start_at || (step.start_at == own.start_at && later > index);
        if let Some(gate) = gates.get(later).filter(|_| comes_later) {
            latest = latest.min(before(gate.limit, path.unwrap_or_default()));
        }
    }
    latest
}
