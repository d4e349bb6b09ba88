//! What follows from the steps that have begun and ended, kept up to date instead of being worked out at every question.
//!
//! In: a plan, and each beginning and end of a step. Out: what is running, what may start, what going back takes, whether the rest fits.
//! Invariants: nothing here is known that the plan and the steps' states do not say, so states that differ in nothing else are equal; what
//! depends on the plan alone ([`Tables`]) is worked out once, when it is first asked for. Not here: events ([`super::fold`]), decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::model::need::{Begun, Need, need, reopen};
use crate::model::plan::{Plan, PlannedStep, PlannedUndo, StepIndex};
use crate::model::schedule::{Course, Gate, ancestors};
use crate::model::span::{Span, after, before};
use crate::model::way_back::WayBack;

use super::facts::{JobKey, jobs};
use super::state::State;

/// What depends on the plan alone.
#[derive(Debug, Default)]
pub struct Tables {
    is_terse: bool,
    names: OnceLock<BTreeMap<String, StepIndex>>,
    order: OnceLock<Order>,
    undo_order: OnceLock<Vec<Vec<StepIndex>>>,
    jobs: OnceLock<Vec<JobKey>>,
    jobs_by_key: OnceLock<Vec<JobKey>>,
    irreversible: OnceLock<bool>,
    covered: OnceLock<Vec<Vec<StepIndex>>>,
    whole_need: OnceLock<Span>,
}

/// What waits for what.
#[derive(Debug)]
struct Order {
    waits_for: Vec<BTreeSet<StepIndex>>,
    followers: Vec<Vec<StepIndex>>,
    /// For each step, the budgets from its start to the end of all that waits for it.
    tails: Vec<Span>,
    /// All steps, those with the longest tail first.
    longest: Vec<StepIndex>,
    held_until: Vec<(Timestamp, StepIndex)>,
}

impl Order {
    fn of(plan: &Plan) -> Self {
        let course = Course::new(plan);
        let waits_for = course.waits_for().to_vec();
        let mut followers = vec![Vec::new(); plan.steps.len()];
        for (index, all) in waits_for.iter().enumerate() {
            for &before in all {
                if let Some(behind) = followers.get_mut(before) {
                    behind.push(index);
                }
            }
        }
        let tails: Vec<Span> =
            plan.steps.iter().zip(course.what_follows()).map(|(step, follows)| step.budget + follows).collect();
        let mut longest: Vec<StepIndex> = (0..plan.steps.len()).collect();
        longest.sort_by_key(|&index| std::cmp::Reverse(tails.get(index).copied()));
        let held = plan.steps.iter().enumerate().filter_map(|(index, step)| Some((step.not_before?, index)));
        let held_until = held.collect();
        Self { waits_for, followers, tails, longest, held_until }
    }

    fn tail(&self, index: StepIndex) -> Span {
        self.tails.get(index).copied().unwrap_or_default()
    }
}

impl Tables {
    /// For whoever plays thousands of nights and reads no reason: those that would cost much are left empty. Nothing else differs.
    #[must_use]
    pub fn terse() -> Self {
        Self { is_terse: true, ..Self::default() }
    }

    /// The course of the plan's steps.
    pub(super) fn course<'a>(&'a self, plan: &'a Plan) -> Course<'a> {
        Course::known(plan, &self.order(plan).waits_for)
    }

    fn order(&self, plan: &Plan) -> &Order {
        self.order.get_or_init(|| Order::of(plan))
    }

    /// The position of the step of that name.
    pub(super) fn step_named(&self, plan: &Plan, name: &str) -> Option<StepIndex> {
        let names = self
            .names
            .get_or_init(|| plan.steps.iter().enumerate().rev().map(|(index, step)| (step.name.clone(), index)).collect());
        names.get(name).copied()
    }

    /// Every Job that the plan prepares.
    pub(super) fn jobs(&self, plan: &Plan) -> &[JobKey] {
        self.jobs.get_or_init(|| jobs(plan))
    }

    /// The same, sorted.
    pub(super) fn jobs_by_key(&self, plan: &Plan) -> &[JobKey] {
        self.jobs_by_key.get_or_init(|| {
            let mut all = self.jobs(plan).to_vec();
            all.sort_unstable();
            all
        })
    }

    /// Whether there is a point of no return in the plan.
    pub(super) fn has_irreversible(&self, plan: &Plan) -> bool {
        *self.irreversible.get_or_init(|| plan.steps.iter().any(PlannedStep::is_irreversible))
    }

    /// The steps that the undo of `index` covers.
    pub(super) fn covered(&self, plan: &Plan, index: StepIndex) -> &[StepIndex] {
        let all = self.covered.get_or_init(|| {
            let mut all = vec![Vec::new(); plan.steps.len()];
            for (step, planned) in plan.steps.iter().enumerate() {
                let PlannedUndo::CoveredBy { step: covering } = planned.undo else { continue };
                if let Some(covered) = all.get_mut(covering) {
                    covered.push(step);
                }
            }
            all
        });
        all.get(index).map(Vec::as_slice).unwrap_or_default()
    }

    /// The steps whose undo comes before that of `index`, if they have begun.
    pub(super) fn undone_before(&self, plan: &Plan, index: StepIndex) -> &[StepIndex] {
        let all = self.undo_order.get_or_init(|| undo_order(plan));
        all.get(index).map(Vec::as_slice).unwrap_or_default()
    }

    /// What going back takes with all steps begun.
    fn whole_need(&self, plan: &Plan) -> Span {
        *self.whole_need.get_or_init(|| need(plan, &Begun::of(plan, 0..plan.steps.len())).total())
    }
}

fn undo_order(plan: &Plan) -> Vec<Vec<StepIndex>> {
    let mut before = vec![Vec::new(); plan.steps.len()];
    for (later, step) in plan.steps.iter().enumerate() {
        let needed = ancestors(&plan.steps, &step.needs);
        for (index, own) in plan.steps.iter().enumerate().take(later) {
            let shares = !step.undo_budget().is_zero() && step.undo_shares_with(own);
            if let Some(all) = before.get_mut(index).filter(|_| shares || needed.contains(&index)) {
                all.push(later);
            }
        }
    }
    before
}

fn need_of(plan: &Plan, undo: Span, reopen: Span) -> Need {
    Need { undo, smoke: plan.smoke.as_ref().map(|smoke| smoke.budget).unwrap_or_default(), reopen, reserve: plan.reserve }
}

/// What may start.
#[derive(Clone, Debug, Default)]
struct Ready {
    /// For each step, how many of those that it waits for are not done.
    missing: Vec<usize>,
    steps: BTreeSet<StepIndex>,
    /// No step has begun before one that it waits for was done.
    is_orderly: bool,
    /// In the order of tails: those before it have begun.
    next_longest: usize,
}

/// What follows from the steps so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    tables: Arc<Tables>,
    begun: Begun,
    running: BTreeSet<StepIndex>,
    done: BTreeSet<StepIndex>,
    failed_count: usize,
    /// The step that was done last, and when.
    last_done: Option<(Timestamp, StepIndex)>,
    ended_at: Option<Timestamp>,
    way: OnceLock<WayBack>,
    reopen: OnceLock<Span>,
    ready: OnceLock<Ready>,
    kept: OnceLock<BTreeSet<StepIndex>>,
}

/// It follows from what is compared beside it.
impl PartialEq for Progress {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Progress {
    pub(super) fn new(tables: Arc<Tables>) -> Self {
        Self { tables, ..Self::default() }
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(super) fn begun(&self) -> &Begun {
        &self.begun
    }

    pub(super) fn running(&self) -> &BTreeSet<StepIndex> {
        &self.running
    }

    pub(super) fn is_all_done(&self, plan: &Plan) -> bool {
        self.done.len() == plan.steps.len()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed_count > 0
    }

    pub(super) fn last_done(&self) -> Option<(Timestamp, StepIndex)> {
        self.last_done
    }

    /// A step has begun.
    pub(super) fn begin(&mut self, plan: &Plan, index: StepIndex) {
        if let Some(way) = self.way.get_mut() {
            way.add(plan, &self.begun.steps, index);
        }
        if plan.steps.get(index).is_some_and(|step| !step.closes().is_empty()) {
            self.reopen = OnceLock::new();
        }
        self.begun.add(plan, index);
        self.kept = OnceLock::new();
        self.running.insert(index);
        if let Some(ready) = self.ready.get_mut() {
            ready.is_orderly &= ready.steps.remove(&index);
            let longest = &self.tables.order(plan).longest;
            while longest.get(ready.next_longest).is_some_and(|next| self.begun.steps.contains(next)) {
                ready.next_longest += 1;
            }
        }
    }

    /// A running step is done, or has failed.
    pub(super) fn end(&mut self, plan: &Plan, index: StepIndex, at: Timestamp, is_done: bool) {
        self.running.remove(&index);
        self.ended_at = self.ended_at.max(Some(at));
        if !is_done {
            self.failed_count += 1;
            return;
        }
        self.done.insert(index);
        self.last_done = self.last_done.max(Some((at, index)));
        if let Some(ready) = self.ready.get_mut() {
            let followers = self.tables.order(plan).followers.get(index).map(Vec::as_slice).unwrap_or_default();
            for &follower in followers {
                let Some(missing) = ready.missing.get_mut(follower) else { continue };
                *missing = missing.saturating_sub(1);
                if *missing == 0 && !self.begun.steps.contains(&follower) {
                    ready.steps.insert(follower);
                }
            }
        }
    }

    /// It is proven of a step whether it ever ran.
    pub(super) fn stopped(&mut self) {
        self.kept = OnceLock::new();
    }

    /// What a point of no return keeps from being undone; worked out when something was begun or stopped since.
    pub(super) fn kept(&self, work_out: impl FnOnce() -> BTreeSet<StepIndex>) -> &BTreeSet<StepIndex> {
        self.kept.get_or_init(work_out)
    }

    fn readiness(&self, plan: &Plan) -> &Ready {
        self.ready.get_or_init(|| {
            let order = self.tables.order(plan);
            let missing: Vec<usize> = order.waits_for.iter().map(|all| all.difference(&self.done).count()).collect();
            let (begun, waiting): (Vec<StepIndex>, Vec<StepIndex>) =
                (0..plan.steps.len()).partition(|index| self.begun.steps.contains(index));
            let is_free = |index: &StepIndex| missing.get(*index) == Some(&0);
            let next_longest = order.longest.iter().take_while(|index| self.begun.steps.contains(index)).count();
            let is_orderly = begun.iter().all(is_free);
            let steps = waiting.into_iter().filter(is_free).collect();
            Ready { missing, steps, is_orderly, next_longest }
        })
    }

    /// Waiting steps whose predecessors are done, in order.
    pub(super) fn ready(&self, plan: &Plan) -> &BTreeSet<StepIndex> {
        &self.readiness(plan).steps
    }

    fn way(&self, plan: &Plan) -> &WayBack {
        self.way.get_or_init(|| WayBack::of(plan, &self.begun.steps))
    }

    fn reopen(&self, plan: &Plan) -> Span {
        *self.reopen.get_or_init(|| reopen(plan, &self.begun.closed))
    }

    /// `need(D, C)` of all that has begun.
    pub(super) fn need(&self, plan: &Plan) -> Need {
        need_of(plan, self.way(plan).longest(), self.reopen(plan))
    }

    /// The gate of a step that has an undo or needs none; `ends_at` is the end by budget of everything that would run then.
    pub(super) fn gate(&self, plan: &Plan, index: StepIndex, ends_at: Timestamp) -> Gate {
        let closes = plan.steps.get(index).is_some_and(|step| !step.closes().is_empty());
        let reopen = if closes { reopen(plan, &self.begun.with(plan, index).closed) } else { self.reopen(plan) };
        Gate::of(plan, ends_at, need_of(plan, self.way(plan).with(plan, &self.begun.steps, index), reopen))
    }

    /// The latest end of all that has begun: as it was seen, or by `ends`, those of what is running.
    pub(super) fn ends_at(&self, running: impl Iterator<Item = Timestamp>) -> Option<Timestamp> {
        running.chain(self.ended_at).max()
    }

    /// Whether everything that remains fits if it takes its budget: that the last of it does is enough, as going back never takes less
    /// with more begun. None where that is not so, or this short way does not show it.
    pub(super) fn fits(
        &self,
        plan: &Plan,
        running: impl Iterator<Item = (StepIndex, Timestamp)>,
        now: Timestamp,
    ) -> Option<bool> {
        let (order, ready) = (self.tables.order(plan), self.readiness(plan));
        let is_plain = ready.is_orderly && self.ended_at.is_none_or(|at| at <= now) && !self.tables.has_irreversible(plan);
        if !is_plain {
            return None;
        }
        let Some(&longest) = order.longest.get(ready.next_longest) else { return Some(true) };
        let waits = |index: &StepIndex| !self.begun.steps.contains(index);
        let held = order.held_until.iter().filter(|(_, index)| waits(index)).map(|&(at, index)| after(at, order.tail(index)));
        let behind = running.map(|(index, ends_at)| {
            let followers = order.followers.get(index).into_iter().flatten();
            after(ends_at, followers.map(|&follower| order.tail(follower)).max().unwrap_or_default())
        });
        let end_at = held.chain(behind).chain(self.ended_at).chain([after(now, order.tail(longest))]).max();
        end_at.map(|end_at| after(end_at, self.tables.whole_need(plan)) <= plan.deadline.must_serve_by)
    }
}

impl State {
    /// A reason, where anybody reads it.
    pub(super) fn say(&self, words: impl FnOnce() -> String) -> String {
        if self.progress.tables.is_terse { String::new() } else { words() }
    }

    /// The sets `D` and `C`.
    #[must_use]
    pub fn begun(&self, _: &Plan) -> Begun {
        self.so_far().clone()
    }

    /// The same, to look at only.
    #[must_use]
    pub fn so_far(&self) -> &Begun {
        self.progress.begun()
    }

    /// The last moment to go back, of all that has begun.
    #[must_use]
    pub fn turn_back_at(&self, plan: &Plan) -> Timestamp {
        before(plan.deadline.must_serve_by, self.progress.need(plan).total())
    }
}
