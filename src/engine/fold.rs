//! What each event does to the state: the whole legality of a journal in one place.
//!
//! In: a state and an entry. Out: the next state, or nothing when the entry makes no sense there.
//! Invariant: `GoingBack` and `Committed` exclude each other for good (PROTOCOL rule 9). Not here: when an event is decided.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::epoch::Epoch;
use crate::model::plan::{Plan, PlannedAction, PlannedUndo, ServiceIndex, StepIndex};
use crate::model::reference::ServiceRef;
use crate::model::service::WhenRed;
use crate::model::span::after;

use super::back::is_still;
use super::dirty;
use super::journal::{Entry, Event, Proof};
use super::state::{Direction, Running, ServiceState, State, StepState, Work};

/// Applies the entry; none, with nothing changed, when it makes no sense here.
pub(super) fn apply(state: &mut State, plan: &Plan, entry: &Entry) -> Option<()> {
    let at = entry.at;
    if state.outcome.is_some() {
        return None;
    }
    match &entry.event {
        Event::Accepted { plan_hash } => set(&mut state.plan_hash, plan_hash.clone()),
        Event::Armed {} if state.plan_hash.is_some() => mark(&mut state.armed),
        Event::Armed {} => None,
        Event::WorkBegun {} => turn(state, plan, Direction::Forward),
        Event::TakenOver { epoch } => take_over(state, *epoch),
        Event::GoingBack { cause } => turn(state, plan, Direction::Back { cause: cause.clone(), since: at }),
        Event::Committed {} => turn(state, plan, Direction::Committed { since: at }),
        Event::StepIntended { step, .. } => begin(state, plan, step, at),
        Event::StepDone { step } => end(state, plan, step, at, |since| Work::Done { since, at }),
        Event::StepFailed { step, reason } => {
            end(state, plan, step, at, |since| Work::Failed { since, at, reason: reason.clone() })
        }
        Event::Overrun { step } => match &mut step_mut(state, plan, step)?.work {
            Work::Running { overrun, .. } => mark(overrun),
            Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
        },
        Event::Extended { step, until, order, .. } => extend(state, plan, step, *until, order),
        Event::Confirmed { step, order, by } => confirm(state, plan, step, order, by),
        Event::Held { order, by } => answer(state, order).and_then(|()| set(&mut state.held, by.clone())),
        Event::Resumed { order, .. } => answer(state, order).and_then(|()| state.held.take().map(drop)),
        Event::OrderRefused { order, .. } => answer(state, order),
        Event::StepStopped { step, proof } => stopped(state, plan, step, *proof),
        Event::UndoReleased { step, attempt } => release_undo(state, plan, step, *attempt, at),
        Event::UndoDone { step, attempt } => {
            running_undo(state, plan, step, *attempt)?.undo = Running::Done { at };
            Some(())
        }
        Event::UndoFailed { step, attempt, .. } => fail_undo(state, plan, step, *attempt, at),
        Event::UndoOverrun { step, attempt } => match &mut running_undo(state, plan, step, *attempt)?.undo {
            Running::Since { overrun, .. } => mark(overrun),
            Running::Waiting | Running::Done { .. } | Running::Failed { .. } | Running::Expired { .. } => None,
        },
        Event::SmokeReleased {} => smoke(state, is_waiting, Running::Since { at, attempt: 1, overrun: false }),
        Event::SmokeDone {} => smoke(state, is_running, Running::Done { at }),
        Event::SmokeFailed { .. } => smoke(state, is_running, Running::Failed { at }),
        Event::ReopeningBegun {} => begin_reopening(state, at),
        Event::UndosExpired { service, steps } => expire_undos(state, plan, service, steps, at),
        Event::Opening { services } => open(state, plan, services, at),
        Event::Opened { service } => let_in(state, plan, service, |dirty| ServiceState::Opened { at, dirty }),
        Event::Degraded { service, because } => {
            let because = positions(plan, because)?;
            let_in(state, plan, service, |dirty| ServiceState::Degraded { since: at, because, dirty })
        }
        Event::HeldClosed { service, through } => {
            let through = step_positions(plan, through)?;
            hold_closed(state, plan, service, ServiceState::HeldClosed { since: at, through })
        }
        Event::OpeningLate { service, shut, .. } => opening_late(state, plan, service, *shut),
        Event::ClosedAgain { service, .. } => close_again(state, plan, service, at),
        Event::DeadlineMissed { .. } => mark(&mut state.deadline_missed),
        Event::Finished { outcome } => set(&mut state.outcome, *outcome),
    }
}

fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

fn mark(place: &mut bool) -> Option<()> {
    (!std::mem::replace(place, true)).then_some(())
}

fn take_over(state: &mut State, epoch: Epoch) -> Option<()> {
    (state.direction != Direction::Still && epoch > state.epoch).then(|| state.epoch = epoch)
}

fn begin_reopening(state: &mut State, at: Timestamp) -> Option<()> {
    if has_turned(state) { set(&mut state.reopening_since, at) } else { None }
}

fn has_turned(state: &State) -> bool {
    matches!(state.direction, Direction::Back { .. } | Direction::Committed { .. })
}

fn turn(state: &mut State, plan: &Plan, to: Direction) -> Option<()> {
    let all_done = state.progress.is_all_done(plan);
    let good = match (&state.direction, &to) {
        (Direction::Still, Direction::Forward) => state.armed,
        (Direction::Forward, Direction::Back { .. }) => true,
        (Direction::Forward, Direction::Committed { .. }) => all_done,
        (Direction::Still | Direction::Forward | Direction::Back { .. } | Direction::Committed { .. }, _) => false,
    };
    good.then(|| state.direction = to)
}

fn position(state: &State, plan: &Plan, name: &str) -> Option<StepIndex> {
    state.progress.tables().step_named(plan, name)
}

fn step_mut<'a>(state: &'a mut State, plan: &Plan, name: &str) -> Option<&'a mut StepState> {
    let index = position(state, plan, name)?;
    state.steps.get_mut(index)
}

fn begin(state: &mut State, plan: &Plan, name: &str, at: Timestamp) -> Option<()> {
    let index = position(state, plan, name)?;
    let planned = plan.steps.get(index)?;
    let done = |index: &StepIndex| state.steps.get(*index).is_some_and(|step| matches!(step.work, Work::Done { .. }));
    (state.direction == Direction::Forward && planned.needs.iter().all(done)).then_some(())?;
    let step = state.steps.get_mut(index)?;
    (step.work == Work::Waiting).then_some(())?;
    step.work = Work::Running { since: at, hard_cap_at: after(at, planned.hard_cap), overrun: false };
    state.progress.begin(plan, index);
    for &service in planned.closes() {
        *state.services.get_mut(service)? = ServiceState::Closed { since: at };
    }
    Some(())
}

fn end(state: &mut State, plan: &Plan, name: &str, at: Timestamp, work: impl Fn(Timestamp) -> Work) -> Option<()> {
    (state.direction == Direction::Forward).then_some(())?;
    let index = position(state, plan, name)?;
    let step = state.steps.get_mut(index)?;
    match step.work {
        Work::Running { since, .. } => {
            step.work = work(since);
            let is_done = matches!(step.work, Work::Done { .. });
            state.progress.end(plan, index, at, is_done);
            Some(())
        }
        Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    }
}

fn extend(state: &mut State, plan: &Plan, name: &str, until: Timestamp, order: &str) -> Option<()> {
    answer(state, order)?;
    match &mut step_mut(state, plan, name)?.work {
        Work::Running { hard_cap_at, .. } => {
            *hard_cap_at = until;
            Some(())
        }
        Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    }
}

fn answer(state: &mut State, order: &str) -> Option<()> {
    state.answered.insert(order.to_owned()).then_some(())
}

fn confirm(state: &mut State, plan: &Plan, name: &str, order: &str, by: &str) -> Option<()> {
    answer(state, order)?;
    let planned = plan.steps.get(position(state, plan, name)?)?;
    let step = step_mut(state, plan, name)?;
    let asked = matches!(planned.action, PlannedAction::Hold(_)) && matches!(step.work, Work::Running { .. });
    (asked && step.confirmed_by.insert(by.to_owned())).then_some(())
}

fn stopped(state: &mut State, plan: &Plan, name: &str, proof: Proof) -> Option<()> {
    let turned_back = matches!(state.direction, Direction::Back { .. });
    let step = step_mut(state, plan, name)?;
    (turned_back && step.work != Work::Waiting && step.stopped.is_none()).then_some(())?;
    step.stopped = Some(proof);
    state.progress.stopped();
    Some(())
}

fn release_undo(state: &mut State, plan: &Plan, name: &str, attempt: u32, at: Timestamp) -> Option<()> {
    // People may be at what it would change (PROTOCOL rule 16).
    let beneath_people = position(state, plan, name).is_some_and(|index| dirty::is_beneath_people(plan, state, index));
    (!beneath_people).then_some(())?;
    let (step, attempts) = undoable(state, plan, name)?;
    let next = step.undo == Running::Waiting && attempt == step.undo_failed_count + 1 && attempt <= attempts;
    next.then(|| step.undo = Running::Since { at, attempt, overrun: false })
}

fn fail_undo(state: &mut State, plan: &Plan, name: &str, attempt: u32, at: Timestamp) -> Option<()> {
    let (_, attempts) = undoable(state, plan, name)?;
    let step = running_undo(state, plan, name, attempt)?;
    step.undo_failed_count = attempt;
    step.undo = if attempt < attempts { Running::Waiting } else { Running::Failed { at } };
    Some(())
}

/// On the way back, a step with an undo of its own, and how often that may be tried.
fn undoable<'a>(state: &'a mut State, plan: &Plan, name: &str) -> Option<(&'a mut StepState, u32)> {
    matches!(state.direction, Direction::Back { .. }).then_some(())?;
    let planned = plan.steps.get(position(state, plan, name)?)?;
    let attempts = match planned.undo {
        PlannedUndo::Job { attempts, .. } => attempts,
        PlannedUndo::Restore { .. } => 1,
        PlannedUndo::Reopening | PlannedUndo::Nothing | PlannedUndo::CoveredBy { .. } | PlannedUndo::Irreversible => return None,
    };
    Some((step_mut(state, plan, name)?, attempts))
}

/// The same, while this attempt at its undo runs.
fn running_undo<'a>(state: &'a mut State, plan: &Plan, name: &str, attempt: u32) -> Option<&'a mut StepState> {
    let (step, _) = undoable(state, plan, name)?;
    let runs = matches!(step.undo, Running::Since { attempt: current, .. } if current == attempt);
    runs.then_some(step)
}

fn is_waiting(run: &Running) -> bool {
    matches!(run, Running::Waiting)
}

fn is_running(run: &Running) -> bool {
    matches!(run, Running::Since { .. })
}

fn smoke(state: &mut State, from: fn(&Running) -> bool, to: Running) -> Option<()> {
    let good = matches!(state.direction, Direction::Back { .. }) && from(&state.smoke);
    good.then(|| state.smoke = to)
}

fn positions(plan: &Plan, ids: &[ServiceRef]) -> Option<BTreeSet<ServiceIndex>> {
    ids.iter().map(|id| plan.service_named(id).map(|(index, _)| index)).collect()
}

fn open(state: &mut State, plan: &Plan, services: &[ServiceRef], at: Timestamp) -> Option<()> {
    state.reopening_since?;
    let indices = positions(plan, services)?;
    let dirty: Vec<BTreeSet<StepIndex>> = indices.iter().map(|&index| dirty::through(plan, state, index)).collect();
    let sane = |(&index, dirty): (&ServiceIndex, &BTreeSet<StepIndex>)| dirty.is_empty() || may_open_dirty(state, plan, index);
    indices.iter().zip(&dirty).all(sane).then_some(())?;
    for (index, mut dirty) in indices.into_iter().zip(dirty) {
        let service = state.services.get_mut(index)?;
        let again =
            matches!(service, ServiceState::HeldClosed { .. } | ServiceState::Degraded { .. } | ServiceState::Expiring { .. });
        // What it opened with once stands until a person takes it away.
        dirty.extend(service.open_on());
        *service = ServiceState::Opening { since: at, late: false, again, tolerated: false, dirty };
    }
    Some(())
}

/// Nothing may work on its data beneath people: it declared to open, its undos have expired, and its work has ended.
fn may_open_dirty(state: &State, plan: &Plan, index: ServiceIndex) -> bool {
    let ended = |&step: &StepIndex| {
        plan.steps.get(step).zip(state.steps.get(step)).is_some_and(|(planned, step)| is_still(planned, step))
    };
    match state.services.get(index) {
        Some(ServiceState::Degraded { .. }) => true,
        Some(ServiceState::Expiring { .. } | ServiceState::HeldClosed { .. }) => {
            let expired = dirty::to_expire(plan, state, index).is_empty();
            dirty::declares_to_open(plan, index) && expired && dirty::through(plan, state, index).iter().all(ended)
        }
        Some(
            ServiceState::Open
            | ServiceState::Closed { .. }
            | ServiceState::Opening { .. }
            | ServiceState::ClosingAgain { .. }
            | ServiceState::Opened { .. },
        )
        | None => false,
    }
}

/// Exactly the undos that reach it; it waits from then on, unless people are at it already.
fn expire_undos(state: &mut State, plan: &Plan, id: &ServiceRef, steps: &[String], at: Timestamp) -> Option<()> {
    state.reopening_since?;
    let (index, _) = plan.service_named(id)?;
    let steps: BTreeSet<StepIndex> = step_positions(plan, steps)?;
    let dirty = dirty::through(plan, state, index);
    (!dirty.is_empty() && steps == dirty::to_expire(plan, state, index)).then_some(())?;
    match state.services.get_mut(index)? {
        service @ (ServiceState::Open | ServiceState::Closed { .. }) => {
            dirty::declares_to_open(plan, index).then_some(())?;
            *service = ServiceState::Expiring { since: at };
        }
        ServiceState::Opening { dirty: open_on, .. }
        | ServiceState::Opened { dirty: open_on, .. }
        | ServiceState::Degraded { dirty: open_on, .. } => open_on.extend(dirty),
        ServiceState::Expiring { .. } | ServiceState::ClosingAgain { .. } | ServiceState::HeldClosed { .. } => return None,
    }
    for index in steps {
        let step = state.steps.get_mut(index)?;
        let released = match step.undo {
            Running::Since { attempt, .. } => attempt,
            Running::Waiting | Running::Done { .. } | Running::Failed { .. } | Running::Expired { .. } => step.undo_failed_count,
        };
        step.undo = Running::Expired { at, released };
    }
    Some(())
}

/// Only what is being opened is open at last.
fn let_in(state: &mut State, plan: &Plan, id: &ServiceRef, to: impl FnOnce(BTreeSet<StepIndex>) -> ServiceState) -> Option<()> {
    let service = reopening_service(state, plan, id)?;
    let ServiceState::Opening { dirty, .. } = service else { return None };
    let dirty = std::mem::take(dirty);
    *service = to(dirty);
    Some(())
}

/// Only what is closed stays closed.
fn hold_closed(state: &mut State, plan: &Plan, id: &ServiceRef, to: ServiceState) -> Option<()> {
    let service = reopening_service(state, plan, id)?;
    // Of several states each has to be thought of, a new one too.
    let may_stay_closed = match service {
        ServiceState::Open | ServiceState::Closed { .. } | ServiceState::Expiring { .. } | ServiceState::ClosingAgain { .. } => {
            true
        }
        ServiceState::Opening { .. }
        | ServiceState::Opened { .. }
        | ServiceState::Degraded { .. }
        | ServiceState::HeldClosed { .. } => false,
    };
    may_stay_closed.then(|| *service = to)
}

fn step_positions(plan: &Plan, names: &[String]) -> Option<BTreeSet<StepIndex>> {
    names.iter().map(|name| plan.step_named(name).map(|(index, _)| index)).collect()
}

fn opening_late(state: &mut State, plan: &Plan, id: &ServiceRef, shut: bool) -> Option<()> {
    let committed = matches!(state.direction, Direction::Committed { .. });
    let (_, planned) = plan.service_named(id)?;
    let ServiceState::Opening { late, tolerated, .. } = reopening_service(state, plan, id)? else { return None };
    let counts = committed && !shut && planned.when_red == WhenRed::OpenDegraded;
    // It is late once, and may come to count as open in part after that.
    (!*late || counts && !*tolerated).then(|| (*late, *tolerated) = (true, counts))
}

fn close_again(state: &mut State, plan: &Plan, id: &ServiceRef, at: Timestamp) -> Option<()> {
    matches!(state.direction, Direction::Committed { .. }).then_some(())?;
    let service = reopening_service(state, plan, id)?;
    matches!(service, ServiceState::Opening { late: true, .. }).then(|| *service = ServiceState::ClosingAgain { since: at })
}

/// The service, once services come back.
fn reopening_service<'a>(state: &'a mut State, plan: &Plan, id: &ServiceRef) -> Option<&'a mut ServiceState> {
    state.reopening_since?;
    let (index, _) = plan.service_named(id)?;
    state.services.get_mut(index)
}
