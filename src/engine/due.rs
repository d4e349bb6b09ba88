//! When the next progress of a night is due: what the dead man's switch goes by (PROTOCOL rule 17).
//!
//! In: plan and state, nothing else. Out: [`Due`]. Invariants: it follows from the ledger, so that nobody promises or renews it; whoever
//! plays the night by the engine's rules records something by then, unless what it waits for hangs: then it may be relieved, which costs
//! nothing; it never lies after the moment from which the next service could not come back in time, nor, while anything may yet come
//! back, after the end of the schedule: the reserve is the sentinels'. Not here: the grace after it, and what happens then
//! ([`super::takeover`]).

use jiff::Timestamp;

use crate::model::need::{Begun, grace, reopen_by, turn_back_at};
use crate::model::plan::{Plan, PlannedStep, PlannedUndo, ServiceIndex};
use crate::model::span::{Span, after, before};

use super::state::{Direction, Running, ServiceState, State};
use super::{back, dirty, reopen};

/// A moment by which the ledger shows progress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// The moment.
    pub at: Timestamp,
    /// What is due.
    pub what: String,
}

/// The next progress that is due; none before the work begins and after the end.
#[must_use]
pub fn due(plan: &Plan, state: &State) -> Option<Due> {
    if state.outcome.is_some() || !state.armed {
        return None;
    }
    let mut moments = match &state.direction {
        Direction::Forward => vec![(going_back_at(plan, state), "turning back, or the end of the work".to_owned())],
        Direction::Back { .. } => undoing(plan, state),
        Direction::Still | Direction::Committed { .. } => Vec::new(),
    };
    if matches!(state.direction, Direction::Back { .. } | Direction::Committed { .. }) {
        moments.extend(reopening(plan, state));
    }
    moments.into_iter().min().map(|(at, what)| Due { at, what })
}

/// With a journal that makes no sense, anything may have begun.
fn going_back_at(plan: &Plan, state: &State) -> Timestamp {
    let known = state.turn_back_at(plan);
    if state.nonsense.is_empty() {
        return known;
    }
    let all = (0..plan.steps.len()).fold(state.begun(plan), |begun, step| begun.with(plan, step));
    known.min(turn_back_at(plan, &all))
}

/// What takes no time of its own is done soon after what came before.
fn soon(plan: &Plan, state: &State) -> Timestamp {
    after(state.progress_at.unwrap_or(plan.start_at), grace(plan))
}

/// Where the schedule ends: all that can be open is, and behind it another hand has the reserve. However late something was recorded
/// elsewhere, what is not done by then is due.
fn last_at(plan: &Plan) -> Timestamp {
    before(plan.deadline.must_serve_by, plan.reserve)
}

/// An undo's budget includes stopping its step (DESIGN §1); what nothing undoes has as long as a stale Job controller may take. A night
/// that turned at its last moment waits half of its reserve for that: the other half holds a grace and a wave's calls (PROTOCOL rule 21).
fn stopped_by(plan: &Plan, state: &State, planned: &PlannedStep) -> Timestamp {
    let Direction::Back { since, .. } = state.direction else { return soon(plan, state) };
    let undone_with = match planned.undo {
        PlannedUndo::CoveredBy { step } => plan.steps.get(step).map(PlannedStep::undo_budget).unwrap_or_default(),
        PlannedUndo::Job { .. }
        | PlannedUndo::Restore { .. }
        | PlannedUndo::Reopening
        | PlannedUndo::Nothing
        | PlannedUndo::Irreversible => planned.undo_budget(),
    };
    let by_budget = after(since, undone_with.max(back::STALE_CONTROLLER));
    let at_the_last = after(turn_back_at(plan, &state.begun(plan)), plan.reserve.quarter() + plan.reserve.quarter());
    soon(plan, state).max(by_budget.min(at_the_last))
}

/// When somebody has to be there for the end of an undo that runs, however long it already takes: from there the undos that wait behind it,
/// the verification and the reopening still fit, after a grace to take the night over and one for a wave's calls.
fn helps_until(plan: &Plan, state: &State) -> Timestamp {
    let waits = |index: &usize| {
        state.steps.get(*index).is_some_and(|step| step.undo == Running::Waiting) && !back::is_settled(plan, state, *index)
    };
    let begun = state.begun(plan);
    let behind = Begun { steps: begun.steps.into_iter().filter(waits).collect(), closed: begun.closed };
    let reserved = plan.reserve.less(grace(plan) + grace(plan));
    after(turn_back_at(plan, &behind), reserved)
}

/// Undos that run end by their budget, while that helps anybody; what they have to stop ends by the same; the next in line, and the
/// verification, begin soon.
fn undoing(plan: &Plan, state: &State) -> Vec<(Timestamp, String)> {
    let mut moments = Vec::new();
    let soon = soon(plan, state);
    for (index, (planned, step)) in plan.steps.iter().zip(&state.steps).enumerate() {
        match step.undo {
            Running::Since { at, overrun, .. } => {
                let helps_until = helps_until(plan, state);
                let at = if overrun { helps_until } else { helps_until.min(after(at, planned.undo_budget())) };
                moments.push((at, format!("the end of the undo of {}", planned.name)));
            }
            Running::Waiting | Running::Done { .. } | Running::Failed { .. } if back::is_next(plan, state, index) => {
                let at = if back::is_still(planned, step) { soon } else { stopped_by(plan, state, planned) };
                moments.push((at, format!("the end of {}, or its undo", planned.name)));
            }
            Running::Waiting | Running::Done { .. } | Running::Failed { .. } | Running::Expired { .. } => {}
        }
    }
    match (&state.smoke, &plan.smoke) {
        (Running::Since { at, .. }, Some(smoke)) => {
            moments.push((after(*at, smoke.budget), "the end of the verification".to_owned()));
        }
        (Running::Waiting, Some(_)) if back::wants_smoke(plan, state) => {
            moments.push((soon, "the verification".to_owned()));
        }
        _ => {}
    }
    moments.into_iter().map(|(at, what)| (at.min(last_at(plan)), what)).collect()
}

fn reopening(plan: &Plan, state: &State) -> Vec<(Timestamp, String)> {
    let closed = &state.so_far().closed;
    let reopen_by = reopen_by(plan, closed);
    if state.reopening_since.is_none() {
        let ready = matches!(state.direction, Direction::Committed { .. }) || back::is_over(plan, state);
        let at = if ready { reopen_by.min(soon(plan, state)) } else { reopen_by };
        return vec![(at, "the reopening".to_owned())];
    }
    let mut moments = Vec::new();
    let mut turn_at = reopen_by;
    let mut passed = true;
    for wave in reopen::to_open(plan, state) {
        let mut longest = Span::ZERO;
        for &index in &wave {
            moments.extend(opening(plan, state, index, passed.then_some(turn_at)));
            longest = longest
                .max(plan.services.get(index).filter(|_| closed.contains(&index)).map(|s| s.reopen_budget).unwrap_or_default());
        }
        passed &= wave.iter().all(|&index| has_had_its_turn(state, index));
        turn_at = after(turn_at, longest);
    }
    if !state.deadline_missed {
        moments.push((plan.deadline.must_serve_by, "every service".to_owned()));
    }
    if moments.is_empty() && reopen::is_at_its_end(plan, state) {
        moments.push((soon(plan, state), "the end of the night".to_owned()));
    }
    moments
}

/// What is due of one service; `turn_at` is when its wave begins at the latest, once those before it have had their turn.
fn opening(plan: &Plan, state: &State, index: ServiceIndex, turn_at: Option<Timestamp>) -> Option<(Timestamp, String)> {
    let planned = plan.services.get(index)?;
    let what = format!("{}, opened", planned.id);
    let last_at = last_at(plan);
    match state.services.get(index)? {
        ServiceState::Open | ServiceState::Closed { .. } => turn_at.map(|at| (at.min(soon(plan, state)), what)),
        // The proof that undos have ended takes as long as Pods take; at the end of its budget the service is held closed.
        ServiceState::Opening { since, late: false, .. } | ServiceState::Expiring { since } => {
            Some((after(*since, planned.reopen_budget).min(last_at), what))
        }
        ServiceState::ClosingAgain { .. } => Some((soon(plan, state), format!("{}, closed again", planned.id))),
        // That it is late is no progress: whoever wrote so may have given it nothing back.
        ServiceState::Opening { late: true, tolerated: false, .. } => {
            Some((last_at, format!("{}, opened though late", planned.id)))
        }
        // It turned out clean, and could be open.
        ServiceState::HeldClosed { through, .. } if !through.is_empty() && state.dirty_through(plan, index).is_empty() => {
            Some((last_at.min(soon(plan, state)), what))
        }
        // It declared to open, and may once it is proven that nothing works on its data.
        ServiceState::HeldClosed { through, .. } if !through.is_empty() && dirty::declares_to_open(plan, index) => {
            Some((last_at, what))
        }
        ServiceState::Opening { late: true, .. }
        | ServiceState::Opened { .. }
        | ServiceState::Degraded { .. }
        | ServiceState::HeldClosed { .. } => None,
    }
}

fn has_had_its_turn(state: &State, index: ServiceIndex) -> bool {
    match state.services.get(index) {
        Some(ServiceState::Open | ServiceState::Closed { .. } | ServiceState::Opening { late: false, .. }) => false,
        Some(
            ServiceState::Expiring { .. }
            | ServiceState::Opening { late: true, .. }
            | ServiceState::ClosingAgain { .. }
            | ServiceState::Opened { .. }
            | ServiceState::Degraded { .. }
            | ServiceState::HeldClosed { .. },
        )
        | None => true,
    }
}
