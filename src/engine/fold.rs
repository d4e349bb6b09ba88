//! What each event does to the state: the whole legality of a journal in one place.
//!
//! In: a state and an entry. Out: the next state, or nothing when the entry makes no sense there.
//! Invariant: `GoingBack` and `Committed` exclude each other for good (PROTOCOL rule 9). Not here: when an event is decided.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::plan::{Plan, PlannedUndo, ServiceIndex, StepIndex};
use crate::model::reference::ServiceRef;
use crate::model::span::after;

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
        Event::WorkBegun {} => turn(state, Direction::Forward),
        Event::GoingBack { cause } => turn(state, Direction::Back { cause: cause.clone(), since: at }),
        Event::Committed {} => turn(state, Direction::Committed { since: at }),
        Event::StepIntended { step, .. } => begin(state, plan, step, at),
        Event::StepDone { step } => end(state, plan, step, |since| Work::Done { since, at }),
        Event::StepFailed { step, reason } => end(state, plan, step, |since| Work::Failed { since, at, reason: reason.clone() }),
        Event::Overrun { step } => match &mut step_mut(state, plan, step)?.work {
            Work::Running { overrun, .. } => mark(overrun),
            Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
        },
        Event::Extended { step, until, order, .. } => extend(state, plan, step, *until, order),
        Event::OrderRefused { order, .. } => state.answered.insert(order.clone()).then_some(()),
        Event::StepStopped { step, proof } => stopped(state, plan, step, *proof),
        Event::UndoReleased { .. } | Event::UndoDone { .. } | Event::UndoFailed { .. } | Event::UndoOverrun { .. } => {
            undo(state, plan, &entry.event, at)
        }
        Event::SmokeReleased {} | Event::SmokeDone {} | Event::SmokeFailed { .. } => smoke(state, &entry.event, at),
        Event::ReopeningBegun {} => {
            (state.reopening_since.is_none() && has_turned(state)).then_some(())?;
            state.reopening_since = Some(at);
            Some(())
        }
        Event::Opening { .. }
        | Event::Opened { .. }
        | Event::Degraded { .. }
        | Event::HeldClosed { .. }
        | Event::OpeningLate { .. } => service(state, plan, &entry.event, at),
        Event::DeadlineMissed { .. } => mark(&mut state.deadline_missed),
        Event::Finished { outcome } => set(&mut state.outcome, *outcome),
    }
}

/// The event's name on the wire.
pub(super) fn name(event: &Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_default();
    value.as_object().and_then(|object| object.keys().next().cloned()).unwrap_or_default()
}

fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

fn mark(place: &mut bool) -> Option<()> {
    (!std::mem::replace(place, true)).then_some(())
}

fn has_turned(state: &State) -> bool {
    matches!(state.direction, Direction::Back { .. } | Direction::Committed { .. })
}

fn turn(state: &mut State, to: Direction) -> Option<()> {
    let all_done = state.steps.iter().all(|step| matches!(step.work, Work::Done { .. }));
    let good = match (&state.direction, &to) {
        (Direction::Still, Direction::Forward) => state.armed,
        (Direction::Forward, Direction::Back { .. }) => true,
        (Direction::Forward, Direction::Committed { .. }) => all_done,
        (Direction::Still | Direction::Forward | Direction::Back { .. } | Direction::Committed { .. }, _) => false,
    };
    good.then(|| state.direction = to)
}

fn step_mut<'a>(state: &'a mut State, plan: &Plan, name: &str) -> Option<&'a mut StepState> {
    let (index, _) = plan.step_named(name)?;
    state.steps.get_mut(index)
}

fn begin(state: &mut State, plan: &Plan, name: &str, at: Timestamp) -> Option<()> {
    let (_, planned) = plan.step_named(name)?;
    let done = |index: &StepIndex| state.steps.get(*index).is_some_and(|step| matches!(step.work, Work::Done { .. }));
    (state.direction == Direction::Forward && planned.needs.iter().all(done)).then_some(())?;
    let step = step_mut(state, plan, name)?;
    (step.work == Work::Waiting).then_some(())?;
    step.work = Work::Running { since: at, hard_cap_at: after(at, planned.hard_cap), overrun: false };
    for &service in planned.closes() {
        *state.services.get_mut(service)? = ServiceState::Closed { since: at };
    }
    Some(())
}

fn end(state: &mut State, plan: &Plan, name: &str, work: impl Fn(Timestamp) -> Work) -> Option<()> {
    (state.direction == Direction::Forward).then_some(())?;
    let step = step_mut(state, plan, name)?;
    match step.work {
        Work::Running { since, .. } => {
            step.work = work(since);
            Some(())
        }
        Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    }
}

fn extend(state: &mut State, plan: &Plan, name: &str, until: Timestamp, order: &str) -> Option<()> {
    state.answered.insert(order.to_owned()).then_some(())?;
    match &mut step_mut(state, plan, name)?.work {
        Work::Running { hard_cap_at, .. } => {
            *hard_cap_at = until;
            Some(())
        }
        Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    }
}

fn stopped(state: &mut State, plan: &Plan, name: &str, proof: Proof) -> Option<()> {
    let turned_back = matches!(state.direction, Direction::Back { .. });
    let step = step_mut(state, plan, name)?;
    (turned_back && step.work != Work::Waiting && step.stopped.is_none()).then_some(())?;
    step.stopped = Some(proof);
    Some(())
}

fn undo(state: &mut State, plan: &Plan, event: &Event, at: Timestamp) -> Option<()> {
    matches!(state.direction, Direction::Back { .. }).then_some(())?;
    let (name, attempt) = match event {
        Event::UndoReleased { step, attempt }
        | Event::UndoDone { step, attempt }
        | Event::UndoFailed { step, attempt, .. }
        | Event::UndoOverrun { step, attempt } => (step, *attempt),
        _ => return None,
    };
    let (_, planned) = plan.step_named(name)?;
    let PlannedUndo::Job { attempts, .. } = planned.undo else { return None };
    let step = step_mut(state, plan, name)?;
    if let Event::UndoReleased { .. } = event {
        let next = step.undo == Running::Waiting && attempt == step.undo_failed_count + 1 && attempt <= attempts;
        next.then_some(())?;
        step.undo = Running::Since { at, attempt, overrun: false };
        return Some(());
    }
    let Running::Since { attempt: current, overrun, .. } = &mut step.undo else { return None };
    (*current == attempt).then_some(())?;
    match event {
        Event::UndoDone { .. } => step.undo = Running::Done { at },
        Event::UndoFailed { .. } => {
            step.undo_failed_count = attempt;
            step.undo = if attempt < attempts { Running::Waiting } else { Running::Failed { at } };
        }
        _ => return mark(overrun),
    }
    Some(())
}

fn smoke(state: &mut State, event: &Event, at: Timestamp) -> Option<()> {
    matches!(state.direction, Direction::Back { .. }).then_some(())?;
    let next = match (&state.smoke, event) {
        (Running::Waiting, Event::SmokeReleased {}) => Running::Since { at, attempt: 1, overrun: false },
        (Running::Since { .. }, Event::SmokeDone {}) => Running::Done { at },
        (Running::Since { .. }, Event::SmokeFailed { .. }) => Running::Failed { at },
        _ => return None,
    };
    state.smoke = next;
    Some(())
}

fn positions(plan: &Plan, ids: &[ServiceRef]) -> Option<BTreeSet<ServiceIndex>> {
    ids.iter().map(|id| plan.service_named(id).map(|(index, _)| index)).collect()
}

fn service(state: &mut State, plan: &Plan, event: &Event, at: Timestamp) -> Option<()> {
    state.reopening_since?;
    if let Event::Opening { services } = event {
        for index in positions(plan, services)? {
            let service = state.services.get_mut(index)?;
            let again = matches!(service, ServiceState::HeldClosed { .. } | ServiceState::Degraded { .. });
            *service = ServiceState::Opening { since: at, late: false, again };
        }
        return Some(());
    }
    let (id, next) = match event {
        Event::Opened { service } => (service, ServiceState::Opened { at }),
        Event::Degraded { service, because } => {
            (service, ServiceState::Degraded { since: at, because: positions(plan, because)? })
        }
        Event::HeldClosed { service, through } => {
            let through = through.iter().map(|step| plan.step_named(step).map(|(index, _)| index)).collect::<Option<_>>()?;
            (service, ServiceState::HeldClosed { since: at, through })
        }
        Event::OpeningLate { service, .. } => {
            let (index, _) = plan.service_named(service)?;
            return match state.services.get_mut(index)? {
                ServiceState::Opening { late, .. } => mark(late),
                ServiceState::Open
                | ServiceState::Closed { .. }
                | ServiceState::Opened { .. }
                | ServiceState::Degraded { .. }
                | ServiceState::HeldClosed { .. } => None,
            };
        }
        _ => return None,
    };
    let (index, _) = plan.service_named(id)?;
    *state.services.get_mut(index)? = next;
    Some(())
}
