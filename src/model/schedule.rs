//! What has to end before a step may start, and whether what remains still fits.
//!
//! In: planned steps; measured ends. Out: [`predecessors`], [`ancestors`], [`Gate`]s. Rule: a step waits for what it needs and for every
//! step placed before it that shares a service or an object with it (DESIGN §3, law 4). Not here: deadlines of offices, decisions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::need::{Begun, Need, need, reopen};
use super::plan::{Plan, PlannedStep, StepIndex};
use super::span::{after, before};

/// The steps before `index` that have to end before it starts.
#[must_use]
pub fn predecessors(steps: &[PlannedStep], index: StepIndex) -> BTreeSet<StepIndex> {
    let Some(step) = steps.get(index) else { return BTreeSet::new() };
    let sharing = steps.iter().take(index).enumerate().filter(|(_, other)| step.shares_with(other)).map(|(position, _)| position);
    step.needs.iter().copied().chain(sharing).collect()
}

/// All steps that had to be done before one that needs `needs`, however indirectly.
#[must_use]
pub fn ancestors(steps: &[PlannedStep], needs: &[StepIndex]) -> BTreeSet<StepIndex> {
    let mut all: BTreeSet<StepIndex> = needs.iter().copied().collect();
    let mut open: Vec<StepIndex> = needs.to_vec();
    while let Some(index) = open.pop() {
        for &needed in steps.get(index).map(|step| step.needs.as_slice()).unwrap_or_default() {
            if all.insert(needed) {
                open.push(needed);
            }
        }
    }
    all
}

/// A gate (DESIGN §1): whether a step may start at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The end by budget of everything that would run then.
    pub ends_at: Timestamp,
    /// What going back would take then.
    pub need: Need,
    /// What `ends_at` may be at the latest: the turn-back moment that the start creates.
    pub limit: Timestamp,
}

impl Gate {
    fn of(plan: &Plan, ends_at: Timestamp, need: Need) -> Self {
        Self { ends_at, need, limit: before(plan.deadline.must_serve_by, need.total()) }
    }

    /// Whether it lets the step through.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.ends_at <= self.limit
    }
}

/// The gate of step `index` at `now`; `ends` has the measured or expected end of every step begun so far.
///
/// A point of no return has a second condition (DESIGN §1): all the work that remains, at declared budgets, and the reopening fit
/// before the deadline. The tighter of the two is the gate.
#[must_use]
pub fn gate(plan: &Plan, begun: &Begun, ends: &BTreeMap<StepIndex, Timestamp>, index: StepIndex, now: Timestamp) -> Gate {
    let Some(step) = plan.steps.get(index) else { return closed_for_good(plan, begun, now) };
    let need = need(plan, &begun.with(plan, index));
    let running_end_at = begun.steps.iter().filter_map(|step| ends.get(step)).max().copied().unwrap_or(now);
    let back = Gate::of(plan, after(now, step.budget).max(running_end_at), need);
    if !step.is_irreversible() {
        return back;
    }
    let ends =
        remaining(plan, begun, ends, now).into_iter().map(|(start, index)| end_of(plan, index, start)).chain([running_end_at]);
    let forward = Gate::of(plan, ends.max().unwrap_or(now), forward_need(plan));
    let slack = |gate: &Gate| gate.limit.duration_since(gate.ends_at);
    if slack(&forward) < slack(&back) { forward } else { back }
}

/// What follows the last step when all the work is done: reopening and reserve.
fn forward_need(plan: &Plan) -> Need {
    let all = plan.steps.iter().flat_map(PlannedStep::closes).copied().collect();
    Need { reopen: reopen(plan, &all), reserve: plan.reserve, ..Need::default() }
}

/// The latest end of all the work from which reopening keeps the promise: the limit of points of no return.
#[must_use]
pub fn forward_limit(plan: &Plan) -> Timestamp {
    before(plan.deadline.must_serve_by, forward_need(plan).total())
}

/// A step that the plan does not have: never.
fn closed_for_good(plan: &Plan, begun: &Begun, now: Timestamp) -> Gate {
    Gate { ends_at: Timestamp::MAX, ..Gate::of(plan, now, need(plan, begun)) }
}

fn end_of(plan: &Plan, index: StepIndex, start: Timestamp) -> Timestamp {
    after(start, plan.steps.get(index).map(|step| step.budget).unwrap_or_default())
}

/// When every step that has not begun starts if everything from `now` on takes its declared budget, in order of starts.
fn remaining(plan: &Plan, begun: &Begun, ends: &BTreeMap<StepIndex, Timestamp>, now: Timestamp) -> Vec<(Timestamp, StepIndex)> {
    let mut ends = ends.clone();
    let mut starts: Vec<(Timestamp, StepIndex)> = Vec::new();
    for (index, step) in plan.steps.iter().enumerate().filter(|(index, _)| !begun.steps.contains(index)) {
        let ready = predecessors(&plan.steps, index).iter().filter_map(|before| ends.get(before)).max().copied();
        let start = ready.unwrap_or(now).max(now).max(step.not_before.unwrap_or(now));
        ends.insert(index, after(start, step.budget));
        starts.push((start, index));
    }
    starts.sort_unstable();
    starts
}

/// The first step whose gate does not hold when everything from `now` on takes its declared budget.
///
/// `ends` has the measured or expected end of every step begun so far.
#[must_use]
pub fn first_that_does_not_fit(
    plan: &Plan,
    begun: &Begun,
    ends: &BTreeMap<StepIndex, Timestamp>,
    now: Timestamp,
) -> Option<(StepIndex, Gate)> {
    let (mut begun, mut ends) = (begun.clone(), ends.clone());
    for (start, index) in remaining(plan, &begun, &ends, now) {
        let gate = gate(plan, &begun, &ends, index, start);
        if !gate.holds() {
            return Some((index, gate));
        }
        ends.insert(index, end_of(plan, index, start));
        begun = begun.with(plan, index);
    }
    None
}
