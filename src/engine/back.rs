//! Going back: prove what was stopped, undo in reverse, verify behind closed doors.
//!
//! In: plan, state, facts. Out: the next event. Invariants: an undo is released only after the proof that its step's Job is dead
//! (PROTOCOL rules 11 and 13); an undo that fails for good is passed over; nothing here waits for a person.
//! Not here: which services open when ([`super::reopen`]).

use jiff::Timestamp;

use crate::model::plan::{Plan, PlannedAction, PlannedStep, PlannedUndo, StepIndex};
use crate::model::span::{Span, after};

use super::Next;
use super::dirty;
use super::facts::{Burned, ChangeFact, Facts, JobEnd, JobFact, JobKey, Pods, TokenFact};
use super::journal::{Event, Proof};
use super::state::{Running, State, StepState, Work};

/// What happens next on the way back, reopening aside.
pub(super) fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    stopped(plan, state, facts, now)
        .or_else(|| undo_outcome(plan, state, facts, now))
        .or_else(|| smoke_outcome(state, facts))
        .or_else(|| release_undo(plan, state, facts, now))
        .or_else(|| release_smoke(plan, state, facts))
}

fn begun<'a>(plan: &'a Plan, state: &'a State) -> impl DoubleEndedIterator<Item = (StepIndex, &'a PlannedStep, &'a StepState)> {
    let all = state.so_far().steps.iter();
    all.filter_map(|&index| Some((index, plan.steps.get(index)?, state.steps.get(index)?)))
}

/// Steps whose Job may still have run, or whose object may still have been changed, when the night turned.
fn stopped(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    begun(plan, state).find_map(|(index, planned, step)| {
        if step.stopped.is_some() || matches!(step.work, Work::Done { .. }) {
            return None;
        }
        let (proof, words) = match &planned.action {
            PlannedAction::Job(_) => match proof(facts.jobs.get(&JobKey::Step(index))?, now)? {
                Proof::NeverStarted => (Proof::NeverStarted, "its Job was stopped before it ever started"),
                Proof::Dead => (Proof::Dead, "its Job is stopped and all its Pods were seen to end"),
                Proof::Completed => (Proof::Completed, "its Job was complete before it was stopped"),
            },
            PlannedAction::Change(_) => {
                let fact = facts.changes.get(&index).filter(|fact| fact.burned)?;
                if fact.restored {
                    (Proof::NeverStarted, "its object was not changed and cannot be any more")
                } else {
                    (Proof::Dead, "nothing can change its object any more")
                }
            }
            PlannedAction::Close { .. } | PlannedAction::Check(_) | PlannedAction::Hold(_) | PlannedAction::Notify { .. } => {
                return None;
            }
        };
        let why = format!("step {}: {words}", planned.name);
        Some((Event::StepStopped { step: planned.name.clone(), proof }, why))
    })
}

/// How long after a burn a stale Job controller may still create a Pod: the life of its request, which nobody but the API server bounds
/// (`--request-timeout`, a minute by default), and its lag.
pub const STALE_CONTROLLER: Span = Span::seconds(75);

/// PROTOCOL rule 13. A Pod that was created is seen whatever crashes: our finalizer keeps it until its end is recorded. A Job that was
/// deleted has no burn to show: only a Pod of it that was seen to end is proof, since no Job of ours has a second one.
fn proof(job: &JobFact, now: Timestamp) -> Option<Proof> {
    if job.end == Some(JobEnd::Vanished) {
        return (job.pods == Pods::Terminal).then_some(Proof::Dead);
    }
    match (job.burned?, &job.pods) {
        (Burned::NeverStarted, _) => Some(Proof::NeverStarted),
        (Burned::Completed, Pods::Terminal | Pods::NoneSeen) => Some(Proof::Completed),
        (Burned::Started, Pods::Terminal) => Some(Proof::Dead),
        (Burned::Started, Pods::NoneSeen) => (now >= after(job.burned_at?, STALE_CONTROLLER)).then_some(Proof::Dead),
        (Burned::Started | Burned::Completed, Pods::Alive | Pods::Unknown { .. }) => None,
    }
}

fn undo_outcome(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    begun(plan, state).find_map(|(index, planned, step)| {
        let Running::Since { at, attempt, overrun } = step.undo else { return None };
        let name = planned.name.clone();
        let end = match planned.undo {
            PlannedUndo::Restore { .. } => facts.changes.get(&index).and_then(restored),
            PlannedUndo::Job { .. }
            | PlannedUndo::Reopening
            | PlannedUndo::Nothing
            | PlannedUndo::CoveredBy { .. }
            | PlannedUndo::Irreversible => facts.jobs.get(&JobKey::Undo(index, attempt)).and_then(|job| job.end.clone()),
        };
        let failed = |reason: &str| {
            let why = format!("undo of {}, attempt {attempt}, failed: {reason}", planned.name);
            Some((Event::UndoFailed { step: planned.name.clone(), attempt, reason: reason.to_owned() }, why))
        };
        match end {
            Some(JobEnd::Complete) => {
                let why = format!("undo of {name}, attempt {attempt}, is complete");
                Some((Event::UndoDone { step: name, attempt }, why))
            }
            Some(JobEnd::Failed { reason }) => failed(&reason),
            Some(JobEnd::Vanished) => failed("its Job is not there any more"),
            None if !overrun && now >= after(at, planned.undo_budget()) => {
                let why =
                    format!("undo of {name}, attempt {attempt}, used up its budget of {}; it goes on", planned.undo_budget());
                Some((Event::UndoOverrun { step: name, attempt }, why))
            }
            None => None,
        }
    })
}

/// An object's way back ends as a Job's does.
fn restored(fact: &ChangeFact) -> Option<JobEnd> {
    if fact.restored {
        return Some(JobEnd::Complete);
    }
    fact.cannot_restore.clone().map(|reason| JobEnd::Failed { reason })
}

fn smoke_outcome(state: &State, facts: &Facts) -> Next {
    let Running::Since { .. } = state.smoke else { return None };
    let failed = |reason: &str| {
        let why = format!("verification behind closed doors failed: {reason}; what was undone stays dirty");
        Some((Event::SmokeFailed { reason: reason.to_owned() }, why))
    };
    match facts.jobs.get(&JobKey::Smoke)?.end.as_ref()? {
        JobEnd::Complete => Some((Event::SmokeDone {}, "verification behind closed doors passed".to_owned())),
        JobEnd::Failed { reason } => failed(reason),
        JobEnd::Vanished => failed("its Job is not there any more"),
    }
}

/// Whether nothing of this step runs or can still be undone: later undos need not wait for it.
pub(super) fn is_settled(plan: &Plan, state: &State, index: StepIndex) -> bool {
    let (Some(planned), Some(step)) = (plan.steps.get(index), state.steps.get(index)) else { return true };
    if step.work == Work::Waiting {
        return true;
    }
    if !is_still(planned, step) {
        return false;
    }
    if state.kept(plan).contains(&index) {
        return true;
    }
    match planned.undo {
        PlannedUndo::Job { .. } | PlannedUndo::Restore { .. } => {
            step.stopped == Some(Proof::NeverStarted)
                || matches!(step.undo, Running::Done { .. } | Running::Failed { .. } | Running::Expired { .. })
        }
        PlannedUndo::Reopening | PlannedUndo::Nothing | PlannedUndo::CoveredBy { .. } | PlannedUndo::Irreversible => true,
    }
}

/// The step's own work is known to have ended.
pub(super) fn is_still(planned: &PlannedStep, step: &StepState) -> bool {
    match (&step.work, &planned.action) {
        (Work::Waiting | Work::Done { .. }, _)
        | (_, PlannedAction::Close { .. } | PlannedAction::Check(_) | PlannedAction::Hold(_) | PlannedAction::Notify { .. }) => {
            true
        }
        (Work::Running { .. } | Work::Failed { .. }, PlannedAction::Job(_) | PlannedAction::Change(_)) => step.stopped.is_some(),
    }
}

/// Reverse topological order; a later undo that shares a service goes first, as in `need`'s arithmetic.
fn release_undo(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    let kept = state.kept(plan);
    begun(plan, state).rev().find_map(|(index, planned, step)| {
        let may = planned.has_own_undo()
            && !kept.contains(&index)
            && step.undo == Running::Waiting
            && step.stopped != Some(Proof::NeverStarted)
            && is_still(planned, step)
            && !dirty::is_beneath_people(plan, state, index)
            && must_go_first(plan, state, index)
                .all(|other| is_settled(plan, state, other) && has_left(plan, state, facts, other, now));
        if !may {
            return None;
        }
        let attempt = step.undo_failed_count + 1;
        let event = Event::UndoReleased { step: planned.name.clone(), attempt };
        if matches!(planned.undo, PlannedUndo::Restore { .. }) {
            let burned = facts.changes.get(&index).is_some_and(|fact| fact.burned);
            return burned.then(|| (event, format!("undo of {} starts: its object gets back what was captured", planned.name)));
        }
        let ready = facts.jobs.get(&JobKey::Undo(index, attempt)).is_some_and(may_be_released);
        let previous_gone =
            attempt == 1 || facts.jobs.get(&JobKey::Undo(index, attempt - 1)).is_some_and(|job| is_gone(job, now));
        (ready && previous_gone).then(|| {
            let why = format!("undo of {} starts, attempt {attempt}", planned.name);
            (event, why)
        })
    })
}

/// The way back of this step waits for nothing but what is known of its own Job or object.
pub(super) fn is_next(plan: &Plan, state: &State, index: StepIndex) -> bool {
    !is_settled(plan, state, index) && must_go_first(plan, state, index).all(|other| is_settled(plan, state, other))
}

/// Its token says so; one that is not there any more is released too, so that its failure is told at once and not at reopen-by.
fn may_be_released(job: &JobFact) -> bool {
    job.token == TokenFact::Back || job.end == Some(JobEnd::Vanished)
}

/// The attempt before is burned and none of its Pods can run (PROTOCOL rule 11).
pub(super) fn is_gone(job: &JobFact, now: Timestamp) -> bool {
    job.token == TokenFact::Expired && proof(job, now).is_some()
}

/// No Pod of an undo that failed for good, or expired, can run beside the next one.
fn has_left(plan: &Plan, state: &State, facts: &Facts, index: StepIndex, now: Timestamp) -> bool {
    let Some(step) = state.steps.get(index) else { return true };
    if matches!(step.undo, Running::Expired { .. }) {
        return dirty::is_expired(plan, state, facts, index, now);
    }
    let last = facts.jobs.get(&JobKey::Undo(index, step.undo_failed_count));
    let by_job = plan.steps.get(index).is_some_and(|planned| matches!(planned.undo, PlannedUndo::Job { .. }));
    !by_job || !matches!(step.undo, Running::Failed { .. }) || last.is_some_and(|job| is_gone(job, now))
}

/// Begun steps whose undo comes before that of `index`.
fn must_go_first<'a>(plan: &Plan, state: &'a State, index: StepIndex) -> impl Iterator<Item = StepIndex> + 'a {
    let begun = &state.so_far().steps;
    state.progress.tables().undone_before(plan, index).iter().copied().filter(|other| begun.contains(other))
}

/// Everything is undone that can be, and not verified.
pub(super) fn wants_smoke(plan: &Plan, state: &State) -> bool {
    plan.smoke.is_some()
        && state.smoke == Running::Waiting
        && state.steps.iter().any(|step| matches!(step.undo, Running::Done { .. }))
        && (0..plan.steps.len()).all(|index| is_settled(plan, state, index))
}

fn release_smoke(plan: &Plan, state: &State, facts: &Facts) -> Next {
    let wanted = wants_smoke(plan, state);
    let ready = facts.jobs.get(&JobKey::Smoke).is_some_and(may_be_released);
    (wanted && ready).then(|| (Event::SmokeReleased {}, "verification behind closed doors starts".to_owned()))
}

/// Whether undoing and verifying are over: verified, or nothing can still succeed.
pub(super) fn is_over(plan: &Plan, state: &State) -> bool {
    let settled = (0..plan.steps.len()).all(|index| is_settled(plan, state, index));
    let undone = state.steps.iter().any(|step| matches!(step.undo, Running::Done { .. }));
    let verified = plan.smoke.is_none() || !undone || matches!(state.smoke, Running::Done { .. } | Running::Failed { .. });
    settled && verified
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an API server keeps a request for, unless it is told otherwise.
    const REQUEST_FOR_MAX: Span = Span::seconds(60);

    #[test]
    fn a_job_that_was_let_run_and_shows_no_pod_is_dead_only_when_no_request_for_one_can_be_alive() {
        let burned_at = Timestamp::UNIX_EPOCH;
        let proof_after = |burned, pods, span| {
            let (token, burned_at) = (TokenFact::Expired, Some(burned_at));
            let job = JobFact { token, burned: Some(burned), burned_at, suspended: true, end: None, pods, held: false };
            proof(&job, after(Timestamp::UNIX_EPOCH, span))
        };
        assert_eq!(proof_after(Burned::Started, Pods::NoneSeen, REQUEST_FOR_MAX + Span::seconds(10)), None);
        assert_eq!(proof_after(Burned::Started, Pods::NoneSeen, STALE_CONTROLLER), Some(Proof::Dead));
        assert_eq!(proof_after(Burned::Started, Pods::Terminal, Span::ZERO), Some(Proof::Dead));
        assert_eq!(proof_after(Burned::NeverStarted, Pods::NoneSeen, Span::ZERO), Some(Proof::NeverStarted));
    }
}
