//! A second opinion on a plan: does it keep the promise, worked out another way.
//!
//! In: a finished plan. Out: everything in it that does not hold, in words. Invariants: nothing of the timeline, the gates or
//! [`crate::model::need`] is used here: times are checked against what a plan says of itself, and the way back is worked out from its end.
//! Every plan that the planner accepts has passed here. Not here: whether the plan is the one that was asked for; `finish_by`, whose
//! exactness only trying can show (a test does).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::model::plan::{Because, Deadline, Plan, PlannedStep, PlannedUndo, ServiceIndex, StepIndex};

/// What does not hold; nothing for a good plan.
#[must_use]
pub fn check(plan: &Plan) -> Vec<String> {
    let mut wrong = Vec::new();
    order(plan, &mut wrong);
    services(plan, &mut wrong);
    deadlines(plan, &mut wrong);
    if wrong.is_empty() {
        times(plan, &mut wrong);
        promise(plan, &mut wrong);
    }
    wrong
}

fn must(holds: bool, wrong: &mut Vec<String>, words: impl FnOnce() -> String) {
    if !holds {
        wrong.push(words());
    }
}

/// Indices are valid, needs come first, an undo that covers is one.
fn order(plan: &Plan, wrong: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let name = &step.name;
        must(names.insert(name), wrong, || format!("two steps are called {name}"));
        must(step.needs.iter().all(|&need| need < index), wrong, || format!("{name} stands before what it needs"));
        let known = step.touches.iter().chain(step.closes()).all(|&service| service < plan.services.len());
        must(known, wrong, || format!("{name} is about a service that the plan does not have"));
        must(step.budget <= step.hard_cap, wrong, || format!("the hard cap of {name} is below its budget"));
        if let PlannedUndo::CoveredBy { step: covering } = step.undo {
            let undo = plan.steps.get(covering).map(|covering| &covering.undo);
            let covers = matches!(undo, Some(PlannedUndo::Job { .. } | PlannedUndo::Restore { .. }));
            must(covers && covering < index, wrong, || format!("nothing covers {name}"));
        }
    }
}

/// What is closed is closed once, says how, and stands in one wave.
fn services(plan: &Plan, wrong: &mut Vec<String>) {
    for (index, service) in plan.services.iter().enumerate() {
        let id = &service.id;
        let closing: Vec<&PlannedStep> = plan.steps.iter().filter(|step| step.closes().contains(&index)).collect();
        let places = plan.waves.iter().flatten().filter(|&&placed| placed == index).count();
        let closed_at = closing.first().map(|step| step.start_at);
        must(closing.len() <= 1, wrong, || format!("{id} is closed twice"));
        must(service.close_at == closed_at, wrong, || format!("{id} closes when no step closes it"));
        must(closing.is_empty() || !service.close.is_empty(), wrong, || format!("{id} does not say how it closes"));
        must(places == 1 || (places == 0 && closing.is_empty()), wrong, || format!("{id} stands in {places} waves"));
        let touching = plan.steps.iter().enumerate().filter(|(_, step)| step.touches.contains(&index)).map(|(step, _)| step);
        let through: BTreeSet<StepIndex> = if closing.is_empty() { BTreeSet::new() } else { touching.collect() };
        must(service.could_stay_closed_by == through, wrong, || format!("{id} could stay closed through other steps"));
    }
    let known = plan.waves.iter().flatten().all(|&placed| placed < plan.services.len());
    must(known, wrong, || "a wave names a service that the plan does not have".to_owned());
}

/// The earliest deadline binds, and each is the sum that it says.
fn deadlines(plan: &Plan, wrong: &mut Vec<String>) {
    let own = plan.services.iter().filter_map(|service| service.deadline.as_ref());
    let earliest = own.clone().map(|deadline| deadline.must_serve_by).min();
    must(earliest == Some(plan.deadline.must_serve_by), wrong, || "the earliest deadline does not bind the night".to_owned());
    for Deadline { must_serve_by, because, service, .. } in own {
        let sum = match because {
            Because::Opens { at, margin } => at.duration_since(*must_serve_by) == margin.get(),
            Because::Tolerates { from, closed_for } => must_serve_by.duration_since(*from) == closed_for.get(),
        };
        must(sum, wrong, || format!("the deadline of {service} is not the sum that it says"));
    }
    must(plan.start_at <= plan.start_by, wrong, || "the latest start is before the start".to_owned());
}

/// Nothing overlaps that may not, and nothing waits for nothing.
fn times(plan: &Plan, wrong: &mut Vec<String>) {
    for (index, step) in plan.steps.iter().enumerate() {
        let name = &step.name;
        must(step.end_at.duration_since(step.start_at) == step.budget.get(), wrong, || {
            format!("{name} does not take its budget")
        });
        let mut waits_until = plan.start_at.max(step.not_before.unwrap_or(plan.start_at));
        for (other, earlier) in plan.steps.iter().enumerate().take(index) {
            let apart = excludes(step, earlier);
            must(!apart || step.start_at >= earlier.end_at || earlier.start_at >= step.end_at, wrong, || {
                format!("{name} runs beside {}, with which it shares a service or an object", earlier.name)
            });
            if apart || step.needs.contains(&other) {
                waits_until = waits_until.max(earlier.end_at);
            }
        }
        must(step.start_at == waits_until, wrong, || format!("{name} starts at {} and could at {waits_until}", step.start_at));
    }
}

fn excludes(one: &PlannedStep, other: &PlannedStep) -> bool {
    let works_on = |step: &PlannedStep, service| step.touches.contains(&service) || step.closes().contains(&service);
    let shared = one.touches.iter().chain(one.closes()).any(|&service| works_on(other, service));
    shared || changes_same(one, other)
}

fn changes_same(one: &PlannedStep, other: &PlannedStep) -> bool {
    one.target().is_some() && one.target() == other.target()
}

/// At the end of every step, going back still opens everything in time; past a point of no return, going on does.
fn promise(plan: &Plan, wrong: &mut Vec<String>) {
    let must_serve_by = plan.deadline.must_serve_by;
    let latest_end = plan.steps.iter().map(|step| step.end_at).max().unwrap_or(plan.start_at);
    let all: BTreeSet<StepIndex> = (0..plan.steps.len()).collect();
    let open_at = later(latest_end, reopening(plan, &all));
    must(plan.planned_open_at == open_at, wrong, || format!("planned open is {open_at}, the plan says {}", plan.planned_open_at));
    for (index, step) in plan.steps.iter().enumerate() {
        let name = &step.name;
        let comes_first = |other: &StepIndex| {
            plan.steps.get(*other).is_some_and(|earlier| (earlier.start_at, *other) <= (step.start_at, index))
        };
        let begun: BTreeSet<StepIndex> = all.iter().copied().filter(comes_first).collect();
        let ends = begun.iter().filter_map(|&other| plan.steps.get(other)).map(|other| other.end_at);
        let end_at = ends.max().unwrap_or(step.end_at);
        let back = way_back(plan, &begun);
        must(later(end_at, back) <= must_serve_by, wrong, || format!("going back from the end of {name} is too late"));
        must(later(step.turn_back_at, back) == must_serve_by, wrong, || {
            format!("the turn-back moment of {name} is not the last one")
        });
        must(step.finish_by <= step.turn_back_at && step.finish_by >= step.end_at, wrong, || {
            format!("{name} is to finish by {}, which cannot be", step.finish_by)
        });
        let fits = later(open_at, plan.reserve.get()) <= must_serve_by;
        must(fits || step.undo != PlannedUndo::Irreversible, wrong, || {
            format!("what follows {name} does not fit, and it has no undo")
        });
    }
}

/// From the decision to go back until everything is open, reserve included.
fn way_back(plan: &Plan, begun: &BTreeSet<StepIndex>) -> SignedDuration {
    let smoke = plan.smoke.as_ref().map_or(SignedDuration::ZERO, |smoke| smoke.budget.get());
    [smoke, reopening(plan, begun), plan.reserve.get()].into_iter().fold(undoing(plan, begun), SignedDuration::saturating_add)
}

fn reopening(plan: &Plan, begun: &BTreeSet<StepIndex>) -> SignedDuration {
    let is_closed =
        |service: usize| begun.iter().any(|&step| plan.steps.get(step).is_some_and(|s| s.closes().contains(&service)));
    let mut total = SignedDuration::ZERO;
    for wave in &plan.waves {
        let budgets = wave.iter().filter(|&&service| is_closed(service)).filter_map(|&service| plan.services.get(service));
        total = total.saturating_add(budgets.map(|service| service.reopen_budget.get()).max().unwrap_or_default());
    }
    total.max(plan.reopening_budget.get())
}

/// When the last undo ends, asking each undo when it can end.
fn undoing(plan: &Plan, begun: &BTreeSet<StepIndex>) -> SignedDuration {
    let mut past_return: BTreeSet<StepIndex> = begun
        .iter()
        .copied()
        .filter(|&index| plan.steps.get(index).is_some_and(|s| s.undo == PlannedUndo::Irreversible))
        .collect();
    for (index, step) in plan.steps.iter().enumerate().rev() {
        if past_return.contains(&index) {
            past_return.extend(&step.needs);
        }
    }
    let undone: BTreeSet<StepIndex> = begun.difference(&past_return).copied().collect();
    let mut ends: BTreeMap<StepIndex, SignedDuration> = BTreeMap::new();
    // What needs a step stands behind it, so from the last to the first every question has its answer already.
    for &index in undone.iter().rev() {
        let Some(step) = plan.steps.get(index) else { continue };
        let own = undo_takes(step);
        let later = undone.range(index + 1..).filter_map(|&later| Some((later, plan.steps.get(later)?)));
        let first = later.filter(|(other, later)| {
            let undos_meet = !own.is_zero() && !undo_takes(later).is_zero() && meets(plan, (index, step), (*other, later));
            later.needs.contains(&index) || undos_meet
        });
        let starts = first.filter_map(|(later, _)| ends.get(&later)).max().copied().unwrap_or_default();
        ends.insert(index, starts.saturating_add(own));
    }
    ends.into_values().max().unwrap_or_default()
}

/// What is undone with a step is given back by its undo.
fn meets(plan: &Plan, one: (StepIndex, &PlannedStep), other: (StepIndex, &PlannedStep)) -> bool {
    let given_back = |(index, own): (StepIndex, &PlannedStep)| -> BTreeSet<ServiceIndex> {
        let covered = plan.steps.iter().filter(|step| step.undo == PlannedUndo::CoveredBy { step: index });
        own.touches.iter().chain(covered.flat_map(|step| &step.touches)).copied().collect()
    };
    !given_back(one).is_disjoint(&given_back(other)) || changes_same(one.1, other.1)
}

fn undo_takes(step: &PlannedStep) -> SignedDuration {
    match &step.undo {
        PlannedUndo::Restore { budget } | PlannedUndo::Job { budget, .. } => budget.get(),
        PlannedUndo::Reopening | PlannedUndo::Nothing | PlannedUndo::CoveredBy { .. } | PlannedUndo::Irreversible => {
            SignedDuration::ZERO
        }
    }
}

/// A moment later; at the latest the end of time.
fn later(moment: Timestamp, by: SignedDuration) -> Timestamp {
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}
