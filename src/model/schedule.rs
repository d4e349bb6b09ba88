//! What has to end before a step may start, and whether what remains still fits.
//!
//! In: planned steps; measured ends. Out: predecessors, and [`Fit`]. Rule: a step waits for what it needs and for every step placed
//! before it that shares a service with it (DESIGN §3, law 4). Not here: deadlines of offices, decisions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::need::{Begun, Need, need};
use super::plan::{Plan, PlannedStep, StepIndex};
use super::span::{after, before};

/// The steps before `index` that have to end before it starts.
#[must_use]
pub fn predecessors(steps: &[PlannedStep], index: StepIndex) -> BTreeSet<StepIndex> {
    let Some(step) = steps.get(index) else { return BTreeSet::new() };
    let concerns = step.concerns();
    let shares = |other: &PlannedStep| !other.concerns().is_disjoint(&concerns);
    let sharing = steps.iter().take(index).enumerate().filter(|(_, other)| shares(other)).map(|(position, _)| position);
    step.needs.iter().copied().chain(sharing).collect()
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
    /// Whether it lets the step through.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.ends_at <= self.limit
    }
}

/// The gate of step `index` at `now`, when `begun` has begun and all that runs ends by `running_end_at`.
#[must_use]
pub fn gate(plan: &Plan, begun: &Begun, index: StepIndex, now: Timestamp, running_end_at: Timestamp) -> Gate {
    let budget = plan.steps.get(index).map(|step| step.budget).unwrap_or_default();
    let need = need(plan, &begun.with(plan, index));
    let ends_at = after(now, budget).max(running_end_at);
    Gate { ends_at, need, limit: before(plan.deadline.must_serve_by, need.total()) }
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
    let mut ends = ends.clone();
    let mut starts: Vec<(Timestamp, StepIndex)> = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if begun.steps.contains(&index) {
            continue;
        }
        let ready = predecessors(&plan.steps, index).iter().filter_map(|before| ends.get(before)).max().copied();
        let start = ready.unwrap_or(now).max(now).max(step.not_before.unwrap_or(now));
        ends.insert(index, after(start, step.budget));
        starts.push((start, index));
    }
    starts.sort_unstable();
    let mut begun = begun.clone();
    for (start, index) in starts {
        let running = begun.steps.iter().filter_map(|step| ends.get(step)).max().copied().unwrap_or(start);
        let gate = gate(plan, &begun, index, start, running);
        if !gate.holds() {
            return Some((index, gate));
        }
        begun = begun.with(plan, index);
    }
    None
}
