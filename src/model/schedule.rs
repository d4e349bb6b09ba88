//! What has to end before a step may start, and whether what remains still fits.
//!
//! In: planned steps; measured ends. Out: [`predecessors`], [`ancestors`], [`Gate`]s. Rule: a step waits for what it needs and for every
//! step placed before it that shares a service or an object with it (DESIGN §3, law 4). Not here: deadlines of offices, decisions.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::need::{Begun, Need, need, reopen};
use super::plan::{Plan, PlannedStep, StepIndex};
use super::span::{Span, after, before};
use super::way_back::WayBack;

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
    /// The gate of work that ends at `ends_at` where going back takes `need` then.
    #[must_use]
    pub fn of(plan: &Plan, ends_at: Timestamp, need: Need) -> Self {
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
    let starts = Course::new(plan).remaining(begun, ends, now);
    let ends = starts.into_iter().map(|(start, index)| end_of(plan, index, start)).chain([running_end_at]);
    tighter(plan, index, back, ends.max().unwrap_or(now))
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

/// The steps that each step waits for: worked out once, because it is asked for again and again.
#[derive(Debug)]
pub struct Course<'a> {
    plan: &'a Plan,
    waits_for: Cow<'a, [BTreeSet<StepIndex>]>,
}

impl<'a> Course<'a> {
    /// The course of a plan's steps.
    #[must_use]
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, waits_for: (0..plan.steps.len()).map(|index| predecessors(&plan.steps, index)).collect() }
    }

    /// The same for whoever has worked it out before.
    #[must_use]
    pub fn known(plan: &'a Plan, waits_for: &'a [BTreeSet<StepIndex>]) -> Self {
        Self { plan, waits_for: Cow::Borrowed(waits_for) }
    }

    /// For each step, those that have to end before it starts.
    #[must_use]
    pub fn waits_for(&self) -> &[BTreeSet<StepIndex>] {
        &self.waits_for
    }

    /// When every step that has not begun starts if everything from `now` on takes its declared budget, in order of starts.
    fn remaining(&self, begun: &Begun, ends: &BTreeMap<StepIndex, Timestamp>, now: Timestamp) -> Vec<(Timestamp, StepIndex)> {
        let mut ends = ends.clone();
        let mut starts: Vec<(Timestamp, StepIndex)> = Vec::new();
        let all = self.plan.steps.iter().zip(self.waits_for.iter()).enumerate();
        for (index, (step, waits_for)) in all.filter(|(index, _)| !begun.steps.contains(index)) {
            let ready = waits_for.iter().filter_map(|before| ends.get(before)).max().copied();
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
        &self,
        begun: &Begun,
        ends: &BTreeMap<StepIndex, Timestamp>,
        now: Timestamp,
    ) -> Option<(StepIndex, Gate)> {
        let (plan, mut begun) = (self.plan, begun.clone());
        let starts = self.remaining(&begun, ends, now);
        let planned_end_at =
            starts.iter().map(|&(start, index)| end_of(plan, index, start)).chain(ends.values().copied()).max()?;
        let mut running_end_at = begun.steps.iter().filter_map(|step| ends.get(step)).max().copied();
        let mut way = WayBack::of(plan, &begun.steps);
        let smoke = plan.smoke.as_ref().map(|smoke| smoke.budget).unwrap_or_default();
        let mut reopening = reopen(plan, &begun.closed);
        for (start, index) in starts {
            let end_at = end_of(plan, index, start);
            running_end_at = running_end_at.max(Some(end_at));
            way.add(plan, &begun.steps, index);
            begun.add(plan, index);
            if plan.steps.get(index).is_some_and(|step| !step.closes().is_empty()) {
                reopening = reopen(plan, &begun.closed);
            }
            let need = Need { undo: way.longest(), smoke, reopen: reopening, reserve: plan.reserve };
            let back = Gate::of(plan, running_end_at.unwrap_or(end_at), need);
            let gate = tighter(plan, index, back, planned_end_at);
            if !gate.holds() {
                return Some((index, gate));
            }
        }
        None
    }

    /// For every step, the budgets between its end and the end of all that waits for it, however indirectly.
    #[must_use]
    pub fn what_follows(&self) -> Vec<Span> {
        let mut follows = vec![Span::ZERO; self.waits_for.len()];
        for (index, waits_for) in self.waits_for.iter().enumerate().rev() {
            let own = self.plan.steps.get(index).map(|step| step.budget).unwrap_or_default();
            let path = own + follows.get(index).copied().unwrap_or_default();
            for before in waits_for {
                if let Some(longest) = follows.get_mut(*before) {
                    *longest = path.max(*longest);
                }
            }
        }
        follows
    }
}

/// The gate of a step at its start when all the work ends at `work_ends_at`: a point of no return has a second condition (DESIGN §1).
fn tighter(plan: &Plan, index: StepIndex, back: Gate, work_ends_at: Timestamp) -> Gate {
    if !plan.steps.get(index).is_some_and(PlannedStep::is_irreversible) {
        return back;
    }
    let forward = Gate::of(plan, work_ends_at, forward_need(plan));
    let slack = |gate: &Gate| gate.limit.duration_since(gate.ends_at);
    if slack(&forward) < slack(&back) { forward } else { back }
}
