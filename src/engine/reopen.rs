//! Services come back: wave after wave, each with its probes, none waiting for what cannot come.
//!
//! In: plan, state, facts, now. Out: the next event from the first opening to the end. Invariants: a service opens only when its own
//! targets are burned and its marks are clear (PROTOCOL rule 6), or its undos have expired and nothing works on its data (rule 16); a
//! service held closed holds nobody else; after a commit nothing opens before every undo has expired (rule 10) or reopen-by has come; no
//! clock ever writes an outcome. Not here: undoing ([`super::back`]), what becomes of half-done work ([`super::dirty`]).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::need::reopen_by;
use crate::model::phase::Outcome;
use crate::model::plan::{Plan, PlannedService, ServiceIndex};
use crate::model::reference::ServiceRef;
use crate::model::service::{Text, WhenRed};
use crate::model::span::{Span, after};

use super::facts::{ClosingFact, Facts, JobKey, Probes, ServiceFact, TokenFact, jobs};
use super::journal::Event;
use super::state::{Direction, ServiceState, State, Work};
use super::words::clock;
use super::{Next, back, dirty};

/// What happens next on the way to open doors.
pub(super) fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    if state.reopening_since.is_none() {
        return begin(plan, state, facts, now).or_else(|| missed(plan, state, now));
    }
    settle(plan, state, facts, now)
        .or_else(|| missed(plan, state, now))
        .or_else(|| dirty::expire(plan, state, facts))
        .or_else(|| open(plan, state, facts, now))
        .or_else(|| finish(plan, state))
}

fn begin(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    let begun = state.so_far();
    let why = match &state.direction {
        Direction::Committed { .. } if undos_expired(plan, facts) => {
            Some("the work is done and its undos have expired".to_owned())
        }
        // No undo is released after a commit (rule 9): the burn is the second belt, and one that fails closes no doors.
        Direction::Committed { .. } => {
            let moment = reopen_by(plan, &begun.closed);
            (now >= moment).then(|| format!("it is {}: undos that cannot be expired hold nobody closed", clock(plan, moment)))
        }
        Direction::Back { .. } if back::is_over(plan, state) => Some("nothing is left to undo or to verify".to_owned()),
        Direction::Back { .. } => {
            let moment = reopen_by(plan, &begun.closed);
            (now >= moment).then(|| format!("it is {}: undoing stops delaying the reopening of others", clock(plan, moment)))
        }
        Direction::Still | Direction::Forward => None,
    }?;
    Some((Event::ReopeningBegun {}, why))
}

/// PROTOCOL rule 10: every undo Job is burned, or is not there.
fn undos_expired(plan: &Plan, facts: &Facts) -> bool {
    jobs(plan)
        .iter()
        .filter(|job| matches!(job, JobKey::Undo(..)))
        .all(|job| facts.jobs.get(job).is_some_and(|fact| fact.token == TokenFact::Expired || fact.end.is_some()))
}

/// Services that tonight's closings reach: closed ones, and those that call them, however indirectly.
fn reached(plan: &Plan, state: &State) -> BTreeSet<ServiceIndex> {
    let mut reached = state.so_far().closed.clone();
    for _ in 0..plan.services.len() {
        let calls =
            |(index, service): (ServiceIndex, &PlannedService)| (!service.upstreams.is_disjoint(&reached)).then_some(index);
        let more: BTreeSet<ServiceIndex> = plan.services.iter().enumerate().filter_map(calls).collect();
        if more.is_subset(&reached) {
            break;
        }
        reached.extend(more);
    }
    reached
}

/// The services to bring back, wave after wave.
pub(super) fn to_open(plan: &Plan, state: &State) -> Vec<Vec<ServiceIndex>> {
    let reached = reached(plan, state);
    plan.waves.iter().map(|wave| wave.iter().copied().filter(|index| reached.contains(index)).collect()).collect()
}

/// Outcomes of openings that are under way, and services that have to stay closed.
fn settle(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    to_open(plan, state).into_iter().flatten().find_map(|index| {
        let planned = plan.services.get(index)?;
        match state.services.get(index)? {
            ServiceState::Open | ServiceState::Closed { .. } => dirty::held(plan, state, index),
            ServiceState::Expiring { since } => dirty::unproven(plan, state, facts, index, *since, now),
            ServiceState::ClosingAgain { .. } => closed_again(planned, facts.services.get(&index)?),
            ServiceState::Opening { .. } => answered(plan, state, facts, index, now),
            ServiceState::Opened { .. } | ServiceState::Degraded { .. } | ServiceState::HeldClosed { .. } => None,
        }
        .or_else(|| dirty::open_already(plan, state, index))
    })
}

/// What becomes of one that is being opened.
fn answered(plan: &Plan, state: &State, facts: &Facts, index: ServiceIndex, now: Timestamp) -> Next {
    let planned = plan.services.get(index)?;
    let ServiceState::Opening { since, late, tolerated, .. } = state.services.get(index)? else { return None };
    let ours = is_closed_by_us(state, index);
    let fact = facts.services.get(&index);
    // An answer from what is not seen as it was (a courtesy page, no probe at all) is none.
    let seen = fact.filter(|fact| !ours || fact.restored && dirty::is_as_declared(plan, state, Some(fact), index));
    let waits_for = waits_for(plan, state, index);
    let gone = now >= after(*since, planned.reopen_budget);
    let heard_for = heard_for(plan, state, facts, index, now);
    let is_judged = heard_for >= planned.reopen_budget;
    // When the doors are to open, any answer has to do to call it open in part.
    let is_heard = is_judged || now >= plan.deadline.must_serve_by;
    match seen.map(|fact| &fact.probes) {
        Some(Probes::Green) if waits_for.is_empty() => {
            let why = format!("{} answers its probes{}", planned.id, dirty::open_on(plan, state, index));
            Some((Event::Opened { service: planned.id.clone() }, why))
        }
        Some(Probes::Green) => Some(degraded(plan, index, &waits_for)),
        Some(Probes::Red { .. } | Probes::NotAsked) | None if !waits_for.is_empty() && (gone || !ours) => {
            Some(degraded(plan, index, &waits_for))
        }
        Some(Probes::Red { reason, .. }) if gone && !late => {
            let most_of_it = planned.reopen_budget.quarter() + planned.reopen_budget.quarter();
            Some(opening_late(state, planned, reason, heard_for < most_of_it && !is_heard))
        }
        Some(Probes::NotAsked) | None if gone && !late => {
            let reason = dirty::not_degraded(fact).or(in_the_way(fact)).unwrap_or("no answer yet");
            Some(opening_late(state, planned, reason, true))
        }
        Some(Probes::Red { reason, .. }) if *late && !tolerated && is_open_when_red(state, planned) && is_heard => {
            Some(opening_late(state, planned, reason, false))
        }
        Some(Probes::Red { reason, .. }) if *late && ours && is_closed_when_red(state, planned) && is_judged => {
            let why = format!("{} does not answer and declared to be closed again then: {reason}", planned.id);
            Some((Event::ClosedAgain { service: planned.id.clone(), reason: reason.clone() }, why))
        }
        Some(Probes::Red { .. } | Probes::NotAsked) | None => None,
    }
}

/// For how long its silence has been its own: who returns or takes over asks anew, and before what it calls was open no answer meant
/// anything. Nothing is closed again, or counts as open in part, by a clock alone.
fn heard_for(plan: &Plan, state: &State, facts: &Facts, index: ServiceIndex, now: Timestamp) -> Span {
    let Some(Probes::Red { asked_for, .. }) = facts.services.get(&index).map(|fact| &fact.probes) else { return Span::ZERO };
    let upstreams = plan.services.get(index).into_iter().flat_map(|service| &service.upstreams);
    let open_since = upstreams.filter_map(|&upstream| match state.services.get(upstream)? {
        ServiceState::Opened { at, .. } | ServiceState::Degraded { since: at, .. } => Some(Span::between(*at, now)),
        ServiceState::Open
        | ServiceState::Closed { .. }
        | ServiceState::Opening { .. }
        | ServiceState::Expiring { .. }
        | ServiceState::ClosingAgain { .. }
        | ServiceState::HeldClosed { .. } => None,
    });
    open_since.fold(*asked_for, Span::min)
}

/// In how long its silence is known to be its own, where anything follows from that.
pub(super) fn judged_in(plan: &Plan, state: &State, facts: &Facts, index: ServiceIndex, now: Timestamp) -> Option<Span> {
    let planned = plan.services.get(index)?;
    let asks = is_closed_when_red(state, planned) || is_open_when_red(state, planned);
    asks.then(|| planned.reopen_budget.less(heard_for(plan, state, facts, index, now)))
}

fn is_closed_by_us(state: &State, index: ServiceIndex) -> bool {
    state.so_far().closed.contains(&index)
}

/// Why nobody could ask it yet, where that is known.
fn in_the_way(fact: Option<&ServiceFact>) -> Option<&str> {
    match &fact.filter(|fact| !fact.restored)?.closing {
        ClosingFact::Refused { reason } => Some(reason),
        ClosingFact::Open | ClosingFact::Draining | ClosingFact::Closed => None,
    }
}

/// One that was not seen as it was, or not asked for long enough, counts as nothing: it may be closed still.
fn opening_late(state: &State, planned: &PlannedService, reason: &str, shut: bool) -> (Event, String) {
    let id = &planned.id;
    let then = match planned.when_red {
        WhenRed::OpenDegraded if is_open_when_red(state, planned) && !shut => {
            format!("it counts as open in part, as it declares{}", instead(planned))
        }
        WhenRed::OpenDegraded | WhenRed::CallPerson | WhenRed::CloseAgain => "it holds nobody else".to_owned(),
    };
    let why = format!("{id} does not answer within its reopening budget: {reason}; {then}");
    (Event::OpeningLate { service: id.clone(), reason: reason.to_owned(), shut }, why)
}

fn is_closed_when_red(state: &State, planned: &PlannedService) -> bool {
    planned.when_red == WhenRed::CloseAgain && matches!(state.direction, Direction::Committed { .. })
}

fn is_open_when_red(state: &State, planned: &PlannedService) -> bool {
    planned.when_red == WhenRed::OpenDegraded && matches!(state.direction, Direction::Committed { .. })
}

/// Once its targets show it: it stays closed until a person opens it.
fn closed_again(planned: &PlannedService, fact: &ServiceFact) -> Next {
    let shut = !fact.restored && matches!(fact.closing, ClosingFact::Draining | ClosingFact::Closed);
    shut.then(|| {
        let why = format!("{} is closed again; it opens when a person has mended it and given its objects back", planned.id);
        (Event::HeldClosed { service: planned.id.clone(), through: Vec::new() }, why)
    })
}

fn degraded(plan: &Plan, index: ServiceIndex, waits_for: &BTreeSet<ServiceIndex>) -> (Event, String) {
    let id = |index: &ServiceIndex| plan.services.get(*index).map(|service| service.id.clone());
    let because: Vec<ServiceRef> = waits_for.iter().filter_map(id).collect();
    let service = id(&index).unwrap_or_else(|| ServiceRef::new("", ""));
    let instead = plan.services.get(index).map(instead).unwrap_or_default();
    let names = because.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let stay = if because.len() == 1 { "stays" } else { "stay" };
    let why = format!("{service} works only in part while {names} {stay} closed{instead}");
    (Event::Degraded { service, because }, why)
}

/// What people use meanwhile, where anything was declared.
fn instead(planned: &PlannedService) -> String {
    let Text { it, en } = &planned.fallback;
    let text = if it.is_empty() { en } else { it };
    if text.is_empty() { String::new() } else { format!("; instead: {text}") }
}

/// Upstreams that are not open and are not about to be: held closed, late, or themselves waiting for such a one.
fn waits_for(plan: &Plan, state: &State, index: ServiceIndex) -> BTreeSet<ServiceIndex> {
    let upstreams = plan.services.get(index).map(|service| &service.upstreams);
    let stuck = |upstream: &&ServiceIndex| is_stuck(plan, state, **upstream, &mut BTreeSet::from([index]));
    upstreams.into_iter().flatten().filter(stuck).copied().collect()
}

/// Services that call each other in a ring do not wait for each other: `seen` has those that are asked already.
fn is_stuck(plan: &Plan, state: &State, index: ServiceIndex, seen: &mut BTreeSet<ServiceIndex>) -> bool {
    if !seen.insert(index) {
        return false;
    }
    match state.services.get(index) {
        Some(
            ServiceState::HeldClosed { .. }
            | ServiceState::Expiring { .. }
            | ServiceState::ClosingAgain { .. }
            | ServiceState::Opening { late: true, tolerated: false, .. },
        ) => true,
        Some(ServiceState::Closed { .. }) => !state.dirty_through(plan, index).is_empty(),
        Some(ServiceState::Degraded { .. }) => {
            let upstreams = plan.services.get(index).map(|service| &service.upstreams);
            upstreams.into_iter().flatten().any(|&upstream| is_stuck(plan, state, upstream, seen))
        }
        Some(ServiceState::Open | ServiceState::Opening { .. } | ServiceState::Opened { .. }) | None => false,
    }
}

/// The next services whose turn it is.
fn open(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    let waves = to_open(plan, state);
    let mut opening = Vec::new();
    for (number, wave) in waves.iter().enumerate() {
        let passed =
            |next: ServiceIndex| waves.iter().take(number).flatten().all(|&earlier| is_passed(plan, state, facts, earlier, next));
        opening.extend(wave.iter().copied().filter(|&index| may_open(plan, state, facts, index, now) && passed(index)));
    }
    let services: Vec<ServiceRef> =
        opening.iter().filter_map(|&index| plan.services.get(index)).map(|service| service.id.clone()).collect();
    if services.is_empty() {
        return None;
    }
    let names = services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let half_done = |index: &&ServiceIndex| !dirty::through(plan, state, **index).is_empty();
    let half_done: Vec<String> =
        opening.iter().filter(half_done).filter_map(|&index| Some(plan.services.get(index)?.id.to_string())).collect();
    let on = if half_done.is_empty() {
        String::new()
    } else {
        format!("; nothing works on the data of {} any more, and nothing can: open on half-done work", half_done.join(", "))
    };
    let dirty = |service: &ServiceState| matches!(service, ServiceState::HeldClosed { through, .. } if !through.is_empty());
    let held = |index: &ServiceIndex| state.services.get(*index).is_some_and(dirty);
    let late = Span::between(reopen_by(plan, &state.so_far().closed), now);
    let used = opening.iter().any(held).then(|| format!("; {late} after reopen-by: so much of the reserve is used"));
    Some((Event::Opening { services }, format!("it is the turn of {names}{}{on}", used.unwrap_or_default())))
}

/// The service `next` of a later wave need not wait for this one any more.
pub(super) fn is_passed(plan: &Plan, state: &State, facts: &Facts, index: ServiceIndex, next: ServiceIndex) -> bool {
    // What is only asked has no time of its own in `reopen(C)`: it may be red for reasons of its own, and holds nobody.
    if !is_closed_by_us(state, index) {
        return true;
    }
    // What clears late opens in order with its like, and beside those whose time was kept free from the first minute.
    let first_time = matches!(state.services.get(next), Some(ServiceState::Open | ServiceState::Closed { .. }));
    match state.services.get(index) {
        Some(
            ServiceState::Opened { .. }
            | ServiceState::Degraded { .. }
            | ServiceState::Expiring { .. }
            | ServiceState::ClosingAgain { .. },
        )
        | None => true,
        Some(ServiceState::HeldClosed { through, .. }) if through.is_empty() => true,
        Some(ServiceState::HeldClosed { .. }) => first_time || !state.dirty_through(plan, index).is_empty(),
        Some(ServiceState::Opening { late, again, .. }) => *late || *again && first_time,
        Some(ServiceState::Open | ServiceState::Closed { .. }) => {
            !facts.services.get(&index).is_some_and(|fact| fact.burned) && !only_asks(plan, state, next, index)
        }
    }
}

/// It was never closed and calls `upstream`: before that one had its turn, no answer of it means anything.
fn only_asks(plan: &Plan, state: &State, index: ServiceIndex, upstream: ServiceIndex) -> bool {
    let calls = plan.services.get(index).is_some_and(|service| service.upstreams.contains(&upstream));
    calls && !is_closed_by_us(state, index)
}

fn may_open(plan: &Plan, state: &State, facts: &Facts, index: ServiceIndex, now: Timestamp) -> bool {
    let waits = match state.services.get(index) {
        // Closed again: a person gives it its objects back.
        Some(ServiceState::HeldClosed { through, .. }) if through.is_empty() => {
            return facts.services.get(&index).is_some_and(|fact| fact.restored);
        }
        Some(ServiceState::Expiring { .. } | ServiceState::HeldClosed { .. }) if dirty::declares_to_open(plan, index) => {
            let clean = dirty::through(plan, state, index).is_empty();
            let burned = facts.services.get(&index).is_some_and(|fact| fact.burned);
            return burned && (clean || dirty::rest(plan, state, facts, index, now) == dirty::Rest::Proven);
        }
        Some(
            ServiceState::Open | ServiceState::Closed { .. } | ServiceState::Expiring { .. } | ServiceState::HeldClosed { .. },
        ) => true,
        // It is open on what it declared: nothing more has to be clean.
        Some(ServiceState::Degraded { dirty, .. }) if !dirty.is_empty() => {
            return waits_for(plan, state, index).is_empty() && facts.services.get(&index).is_some_and(|fact| fact.burned);
        }
        Some(ServiceState::Degraded { .. }) => waits_for(plan, state, index).is_empty(),
        Some(ServiceState::Opening { .. } | ServiceState::ClosingAgain { .. } | ServiceState::Opened { .. }) | None => false,
    };
    // One that was never closed is only asked: its data is no matter of opening.
    if !is_closed_by_us(state, index) {
        return waits;
    }
    let burned = facts.services.get(&index).is_some_and(|fact| fact.burned);
    waits && burned && state.dirty_through(plan, index).is_empty()
}

/// It answers, or is open in part as it declared.
fn is_open(state: &State, index: ServiceIndex) -> bool {
    matches!(state.services.get(index), Some(ServiceState::Opened { .. } | ServiceState::Opening { tolerated: true, .. }))
}

fn missed(plan: &Plan, state: &State, now: Timestamp) -> Next {
    if state.deadline_missed || now < plan.deadline.must_serve_by {
        return None;
    }
    let late: Vec<ServiceIndex> = to_open(plan, state).into_iter().flatten().filter(|&index| !is_open(state, index)).collect();
    if late.is_empty() {
        return None;
    }
    let id = |index: &ServiceIndex| plan.services.get(*index).map(|service| service.id.clone());
    let is_in_part = |index: &ServiceIndex| matches!(state.services.get(*index), Some(ServiceState::Degraded { .. }));
    let (in_part, closed): (Vec<ServiceIndex>, Vec<ServiceIndex>) = late.iter().partition(|index| is_in_part(index));
    let told = [("not open", closed), ("open only in part", in_part)].into_iter().filter(|(_, some)| !some.is_empty());
    let told = told.map(|(what, some)| {
        let names: Vec<String> = some.iter().filter_map(id).map(|id| id.to_string()).collect();
        format!("{what}: {}", names.join(", "))
    });
    let why = format!("it is {} and {}", clock(plan, plan.deadline.must_serve_by), told.collect::<Vec<_>>().join("; "));
    Some((Event::DeadlineMissed { services: late.iter().filter_map(id).collect() }, why))
}

/// Nothing is left to open, and nothing to undo.
pub(super) fn is_at_its_end(plan: &Plan, state: &State) -> bool {
    let all_open = to_open(plan, state).into_iter().flatten().all(|index| is_open(state, index));
    let going_back = matches!(state.direction, Direction::Back { .. });
    all_open && (!going_back || back::is_over(plan, state))
}

fn finish(plan: &Plan, state: &State) -> Next {
    if !is_at_its_end(plan, state) {
        return None;
    }
    let nothing_begun = state.steps.iter().all(|step| step.work == Work::Waiting);
    let on_half_done = state.services.iter().any(|service| !service.open_on().is_empty());
    let (outcome, why) = match state.direction {
        Direction::Back { .. } if nothing_begun => (Outcome::Cancelled, "nothing had begun"),
        _ if state.deadline_missed => (Outcome::ReopenedLate, "every service answers again, after the moment that was promised"),
        Direction::Committed { .. } => (Outcome::Completed, "the work is done and every service answers"),
        Direction::Back { .. } | Direction::Forward | Direction::Still if on_half_done => {
            (Outcome::RolledBack, "what could be undone is undone and every service answers, some on half-done work")
        }
        Direction::Back { .. } | Direction::Forward | Direction::Still => {
            (Outcome::RolledBack, "the work is undone and every service answers")
        }
    };
    Some((Event::Finished { outcome }, why.to_owned()))
}
