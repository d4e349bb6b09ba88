//! The arithmetic of the promise (DESIGN §1): what going back takes, and how late it may begin.
//!
//! In: a [`Plan`] and what has begun. Out: [`Need`] and the moments computed from it. Invariants: adding a step or a closing
//! never makes a need smaller, but for a point of no return: what it needed is kept. Not here: when steps start (the planner and the
//! engine decide that), any clock.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::plan::{Plan, PlannedStep, ServiceIndex, StepIndex};
use super::reference::Target;
use super::refusal::Term;
use super::schedule::ancestors;
use super::span::{Span, after, before};

/// What is open at a moment of the night: the sets `D` and `C` of DESIGN §1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Steps begun and not undone, running ones included.
    pub steps: BTreeSet<StepIndex>,
    /// Services closed, or being closed.
    pub closed: BTreeSet<ServiceIndex>,
}

impl Begun {
    /// What is open when these steps have begun.
    #[must_use]
    pub fn of(plan: &Plan, steps: impl IntoIterator<Item = StepIndex>) -> Self {
        let steps: BTreeSet<StepIndex> = steps.into_iter().collect();
        let closed = steps.iter().filter_map(|&step| plan.steps.get(step)).flat_map(PlannedStep::closes).copied().collect();
        Self { steps, closed }
    }

    /// The same with one more step.
    #[must_use]
    pub fn with(&self, plan: &Plan, step: StepIndex) -> Self {
        let mut more = self.clone();
        more.add(plan, step);
        more
    }

    /// One more step has begun.
    pub fn add(&mut self, plan: &Plan, step: StepIndex) {
        self.steps.insert(step);
        if let Some(step) = plan.steps.get(step) {
            self.closed.extend(step.closes());
        }
    }
}

/// The time it takes to be back: `undo + smoke + reopen + reserve`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Critical path of the undos.
    pub undo: Span,
    /// Verification behind closed doors.
    pub smoke: Span,
    /// Reopening in waves.
    pub reopen: Span,
    /// What nobody may plan with.
    pub reserve: Span,
}

impl Need {
    /// Their sum.
    #[must_use]
    pub fn total(self) -> Span {
        self.undo + self.smoke + self.reopen + self.reserve
    }

    /// The sum line by line, from work that ends at `end_at` to the moment everything is open.
    #[must_use]
    pub fn sum_from(self, end_at: Timestamp, must_serve_by: Timestamp) -> Vec<Term> {
        vec![
            Term::at("end", end_at),
            Term::span("undo", self.undo),
            Term::span("smoke", self.smoke),
            Term::span("reopen", self.reopen),
            Term::span("reserve", self.reserve),
            Term::at("total", after(end_at, self.total())),
            Term::at("mustServeBy", must_serve_by),
        ]
    }
}

/// The steps that are not undone any more: points of no return that have begun, and all that they needed.
#[must_use]
pub fn kept(plan: &Plan, begun: &BTreeSet<StepIndex>) -> BTreeSet<StepIndex> {
    let passed = begun.iter().filter(|&&index| plan.steps.get(index).is_some_and(PlannedStep::is_irreversible));
    let mut kept: BTreeSet<StepIndex> = passed.copied().collect();
    if !kept.is_empty() {
        kept.extend(ancestors(&plan.steps, &kept.iter().copied().collect::<Vec<_>>()));
    }
    kept
}

/// `undo(D)`: every undo waits for those of the steps that needed its step, and for every undo placed before it that touches
/// a common service or restores the same object; undos are placed in reverse topological order. What a point of no return needed is
/// not undone.
#[must_use]
pub fn undo(plan: &Plan, begun: &BTreeSet<StepIndex>) -> Span {
    let kept = kept(plan, begun);
    let mut may_start: Vec<Span> = vec![Span::ZERO; plan.steps.len()];
    let mut longest = Span::ZERO;
    let mut service_free: Vec<Span> = vec![Span::ZERO; plan.services.len()];
    let mut object_free: BTreeMap<&Target, Span> = BTreeMap::new();
    for &index in begun.iter().rev().filter(|index| !kept.contains(index)) {
        let Some(step) = plan.steps.get(index) else { continue };
        let after_dependents = may_start.get(index).copied().unwrap_or_default();
        let budget = step.undo_budget();
        let mut end = after_dependents;
        if !budget.is_zero() {
            let services = step.undo_services().filter_map(|service| service_free.get(service));
            let objects = step.target().into_iter().filter_map(|object| object_free.get(object));
            let shared = services.chain(objects).max().copied().unwrap_or_default();
            end = after_dependents.max(shared) + budget;
            for service in step.undo_services() {
                if let Some(free) = service_free.get_mut(service) {
                    *free = end;
                }
            }
            object_free.extend(step.target().map(|object| (object, end)));
        }
        for &needed in &step.needs {
            if let Some(start) = may_start.get_mut(needed) {
                *start = end.max(*start);
            }
        }
        longest = longest.max(end);
    }
    longest
}

/// `reopen(C)`: wave after wave, the longest of each; at least the declared budget.
#[must_use]
pub fn reopen(plan: &Plan, closed: &BTreeSet<ServiceIndex>) -> Span {
    let wave = |wave: &Vec<ServiceIndex>| {
        let budgets = wave.iter().filter(|index| closed.contains(index)).filter_map(|&index| plan.services.get(index));
        budgets.map(|service| service.reopen_budget).max().unwrap_or_default()
    };
    plan.waves.iter().map(wave).sum::<Span>().max(plan.reopening_budget)
}

/// `need(D, C)`.
#[must_use]
pub fn need(plan: &Plan, begun: &Begun) -> Need {
    Need {
        undo: undo(plan, &begun.steps),
        smoke: plan.smoke.as_ref().map(|smoke| smoke.budget).unwrap_or_default(),
        reopen: reopen(plan, &begun.closed),
        reserve: plan.reserve,
    }
}

/// `turnBackAt(D, C)`: the last moment at which going back still opens everything in time.
#[must_use]
pub fn turn_back_at(plan: &Plan, begun: &Begun) -> Timestamp {
    before(plan.deadline.must_serve_by, need(plan, begun).total())
}

/// How long after progress was due somebody else may take the night over (PROTOCOL, `G`): a quarter of the reserve, so that this grace, as
/// much again for what takes no time of its own, and a wave's calls fit into it (rule 21).
#[must_use]
pub fn grace(plan: &Plan) -> Span {
    plan.reserve.quarter().clamp(Span::seconds(1), Span::seconds(60))
}

/// `reopenBy(C)`: from here on undoing stops delaying the reopening of others.
#[must_use]
pub fn reopen_by(plan: &Plan, closed: &BTreeSet<ServiceIndex>) -> Timestamp {
    before(plan.deadline.must_serve_by, plan.reserve + reopen(plan, closed))
}
