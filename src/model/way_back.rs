//! `undo(D)` while steps begin one after the other: what [`super::need::undo`] works out anew, kept up to date.
//!
//! In: steps in the order in which they begin. Out: the critical path of their undos, and what it would be with one more. Invariants: it is
//! always what [`super::need::undo`] says of the same steps; a step that begins after all that its undo has to go before costs time in
//! proportion to what it needs and touches; any other order, and points of no return, cost as much as working it out anew.
//! Not here: everything else that going back takes.
//!
//! Undos run against the order of the work, so the longest way from a step's undo on leads over undos of steps before it, all of which have
//! begun: it does not change when later steps begin.

use std::collections::{BTreeMap, BTreeSet};

use super::need::undo;
use super::plan::{Plan, PlannedStep, StepIndex};
use super::reference::Target;
use super::span::Span;

/// The critical path of the undos of what has begun.
#[derive(Clone, Debug)]
pub struct WayBack {
    /// For each step that has begun: from the beginning of its undo to the end of the last that waits for it.
    from: Vec<Span>,
    services: Vec<Span>,
    objects: BTreeMap<Target, Span>,
    has_irreversible: bool,
    longest: Span,
}

impl WayBack {
    /// Of steps that have begun, in whatever order.
    #[must_use]
    pub fn of(plan: &Plan, begun: &BTreeSet<StepIndex>) -> Self {
        let mut way = Self {
            from: vec![Span::ZERO; plan.steps.len()],
            services: vec![Span::ZERO; plan.services.len()],
            objects: BTreeMap::new(),
            has_irreversible: begun.iter().any(|&index| is_irreversible(plan, index)),
            longest: Span::ZERO,
        };
        if way.has_irreversible {
            way.longest = undo(plan, begun);
        } else {
            for &index in begun {
                way.put(plan, index);
            }
        }
        way
    }

    /// `undo(D)`.
    #[must_use]
    pub fn longest(&self) -> Span {
        self.longest
    }

    /// `undo(D ∪ {index})`; `begun` is D.
    #[must_use]
    pub fn with(&self, plan: &Plan, begun: &BTreeSet<StepIndex>, index: StepIndex) -> Span {
        if self.is_last(plan, begun, index) {
            return self.longest.max(self.path(plan, index));
        }
        let mut more = begun.clone();
        more.insert(index);
        undo(plan, &more)
    }

    /// One more has begun; `begun` is what had begun before.
    pub fn add(&mut self, plan: &Plan, begun: &BTreeSet<StepIndex>, index: StepIndex) {
        if self.is_last(plan, begun, index) {
            return self.put(plan, index);
        }
        let mut more = begun.clone();
        more.insert(index);
        *self = Self::of(plan, &more);
    }

    /// No undo of what has begun has to go before that of `index` in another way than its own order says.
    fn is_last(&self, plan: &Plan, begun: &BTreeSet<StepIndex>, index: StepIndex) -> bool {
        let Some(step) = plan.steps.get(index) else { return true };
        let is_apart = |later: &StepIndex| {
            plan.steps.get(*later).is_none_or(|later| !later.needs.contains(&index) && !later.undo_shares_with(step))
        };
        !self.has_irreversible && !step.is_irreversible() && begun.range(index..).all(is_apart)
    }

    fn path(&self, plan: &Plan, index: StepIndex) -> Span {
        let Some(step) = plan.steps.get(index) else { return Span::ZERO };
        let needed = step.needs.iter().filter_map(|&needed| self.from.get(needed)).max().copied().unwrap_or_default();
        let budget = step.undo_budget();
        if budget.is_zero() {
            return needed;
        }
        let services = step.undo_services().filter_map(|service| self.services.get(service));
        let objects = step.target().into_iter().filter_map(|object| self.objects.get(object));
        needed.max(services.chain(objects).max().copied().unwrap_or_default()) + budget
    }

    fn put(&mut self, plan: &Plan, index: StepIndex) {
        let Some(step) = plan.steps.get(index) else { return };
        let path = self.path(plan, index);
        if let Some(from) = self.from.get_mut(index) {
            *from = path;
        }
        if !step.undo_budget().is_zero() {
            for service in step.undo_services() {
                if let Some(longest) = self.services.get_mut(service) {
                    *longest = path.max(*longest);
                }
            }
            if let Some(object) = step.target() {
                self.objects.insert(object.clone(), path);
            }
        }
        self.longest = self.longest.max(path);
    }
}

fn is_irreversible(plan: &Plan, index: StepIndex) -> bool {
    plan.steps.get(index).is_some_and(PlannedStep::is_irreversible)
}
