//! Half-done work: whose undos reach a service, and when nothing can touch its data any more (PROTOCOL rules 13 and 16).
//!
//! In: plan, state, facts, now. Out: the undos that expire when a service opens on half-done work, and the proof that none of them runs.
//! Invariants: an undo reaches the services that its step touches, and those of every step that it covers; undos that restore one object
//! expire together, since one token guards it. Not here: which service opens when ([`super::reopen`]).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::plan::{Plan, PlannedService, PlannedUndo, ServiceIndex, StepIndex};
use crate::model::service::WhenDirty;
use crate::model::span::after;

use super::Next;
use super::back::{is_gone, is_still};
use super::facts::{ClosingFact, Facts, JobEnd, JobKey, Pods, ServiceFact};
use super::journal::{Event, Proof};
use super::reopen::{is_passed, to_open};
use super::state::{Running, ServiceState, State, Work};
use super::words;

static NONE: BTreeSet<StepIndex> = BTreeSet::new();

impl ServiceState {
    /// The steps on whose half-done work it is open, or about to be.
    #[must_use]
    pub fn open_on(&self) -> &BTreeSet<StepIndex> {
        match self {
            Self::Opening { dirty, .. } | Self::Opened { dirty, .. } | Self::Degraded { dirty, .. } => dirty,
            Self::Open | Self::Closed { .. } | Self::Expiring { .. } | Self::ClosingAgain { .. } | Self::HeldClosed { .. } => {
                &NONE
            }
        }
    }

    /// People may be at it again.
    #[must_use]
    pub fn is_let_in(&self) -> bool {
        match self {
            Self::Opening { .. } | Self::Opened { .. } | Self::Degraded { .. } => true,
            Self::Open | Self::Closed { .. } | Self::Expiring { .. } | Self::ClosingAgain { .. } | Self::HeldClosed { .. } => {
                false
            }
        }
    }
}

/// Whether the undo of a step changes the data of this service: its own touches it, or one of those that it covers and that began.
fn reaches(plan: &Plan, state: &State, index: StepIndex, service: ServiceIndex) -> bool {
    let touches = |step: StepIndex| plan.steps.get(step).is_some_and(|step| step.touches.contains(&service));
    let began = |step: StepIndex| state.steps.get(step).is_some_and(|step| step.work != Work::Waiting);
    touches(index) || state.progress.tables().covered(plan, index).iter().any(|&step| touches(step) && began(step))
}

/// Steps whose undo reaches this service and is not complete, whatever became of it.
pub(super) fn undos(plan: &Plan, state: &State, service: ServiceIndex) -> BTreeSet<StepIndex> {
    let open = |index: &StepIndex| {
        let (Some(planned), Some(step)) = (plan.steps.get(*index), state.steps.get(*index)) else { return false };
        let begun = step.work != Work::Waiting && step.stopped != Some(Proof::NeverStarted);
        begun && planned.has_own_undo() && !matches!(step.undo, Running::Done { .. })
    };
    let all: BTreeSet<StepIndex> = (0..plan.steps.len()).filter(open).collect();
    let own: BTreeSet<StepIndex> = all.iter().copied().filter(|&index| reaches(plan, state, index, service)).collect();
    let objects: BTreeSet<_> = own.iter().filter_map(|&index| plan.steps.get(index)?.target()).collect();
    let beside =
        |index: &StepIndex| plan.steps.get(*index).and_then(|step| step.target()).is_some_and(|one| objects.contains(&one));
    all.into_iter().filter(|index| own.contains(index) || beside(index)).collect()
}

/// Those of them that have still to expire.
pub(super) fn to_expire(plan: &Plan, state: &State, service: ServiceIndex) -> BTreeSet<StepIndex> {
    let expired = |index: &StepIndex| state.steps.get(*index).is_some_and(|step| matches!(step.undo, Running::Expired { .. }));
    undos(plan, state, service).into_iter().filter(|index| !expired(index)).collect()
}

/// The steps that keep a service dirty which the night closed; one that it did not close is open whatever becomes of its data.
pub(super) fn through(plan: &Plan, state: &State, service: ServiceIndex) -> BTreeSet<StepIndex> {
    let closed = state.so_far().closed.contains(&service);
    if closed { state.dirty_through(plan, service) } else { BTreeSet::new() }
}

/// It declared to open on half-done work.
pub(super) fn declares_to_open(plan: &Plan, service: ServiceIndex) -> bool {
    plan.services.get(service).is_some_and(|planned| match planned.when_dirty {
        WhenDirty::OpenDegraded { .. } | WhenDirty::Open { .. } => true,
        WhenDirty::StayClosed => false,
    })
}

/// People may be at a service that this undo would change.
pub(super) fn is_beneath_people(plan: &Plan, state: &State, index: StepIndex) -> bool {
    let closed = &state.so_far().closed;
    let let_in = |service: &ServiceIndex| state.services.get(*service).is_some_and(ServiceState::is_let_in);
    closed.iter().any(|service| let_in(service) && reaches(plan, state, index, *service))
}

/// What keeps a dirty service from being opened as it declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing: no work on its data runs, and none can.
    Proven,
    /// Something that will be known soon.
    Awaited,
    /// Something that nobody but a person can find out.
    Lost {
        /// What.
        reason: String,
    },
}

/// Whether every Job and every undo that touches the data of this service is at rest for good.
pub(super) fn rest(plan: &Plan, state: &State, facts: &Facts, service: ServiceIndex, now: Timestamp) -> Rest {
    let mut jobs: Vec<JobKey> = Vec::new();
    let mut proven = to_expire(plan, state, service).is_empty();
    for index in through(plan, state, service) {
        let still = plan.steps.get(index).zip(state.steps.get(index)).is_some_and(|(planned, step)| is_still(planned, step));
        proven &= still;
        jobs.extend((!still).then_some(JobKey::Step(index)));
    }
    for index in undos(plan, state, service) {
        proven &= is_expired(plan, state, facts, index, now);
        jobs.extend(
            attempts(plan, index)
                .filter(|&attempt| !is_attempt_gone(state, facts, index, attempt, now))
                .map(|attempt| JobKey::Undo(index, attempt)),
        );
    }
    if proven {
        return Rest::Proven;
    }
    jobs.into_iter().find_map(|job| lost(state, facts, job)).map_or(Rest::Awaited, |reason| Rest::Lost { reason })
}

fn lost(state: &State, facts: &Facts, job: JobKey) -> Option<String> {
    let fact = facts.jobs.get(&job)?;
    if let Pods::Unknown { reason } = &fact.pods {
        return Some(reason.clone());
    }
    let was_released = match job {
        JobKey::Undo(step, attempt) => attempt <= released(state, step),
        JobKey::Step(_) | JobKey::Smoke => true,
    };
    (fact.end == Some(JobEnd::Vanished) && was_released).then(|| format!("the Job of {job} is not there any more"))
}

fn attempts(plan: &Plan, index: StepIndex) -> std::ops::RangeInclusive<u32> {
    let prepared = match plan.steps.get(index).map(|planned| &planned.undo) {
        Some(PlannedUndo::Job { attempts, .. }) => *attempts,
        Some(
            PlannedUndo::Restore { .. }
            | PlannedUndo::Reopening
            | PlannedUndo::Nothing
            | PlannedUndo::CoveredBy { .. }
            | PlannedUndo::Irreversible,
        )
        | None => 0,
    };
    1..=prepared
}

fn released(state: &State, index: StepIndex) -> u32 {
    match state.steps.get(index).map(|step| (&step.undo, step.undo_failed_count)) {
        Some((Running::Expired { released, .. }, _)) => *released,
        Some((Running::Since { attempt, .. }, _)) => *attempt,
        Some((Running::Waiting | Running::Done { .. } | Running::Failed { .. }, failed)) => failed,
        None => 0,
    }
}

/// Every attempt of an undo is burned and none of its Pods can run; no restoring of its object can land.
pub(super) fn is_expired(plan: &Plan, state: &State, facts: &Facts, index: StepIndex, now: Timestamp) -> bool {
    let restores = plan.steps.get(index).is_some_and(|planned| matches!(planned.undo, PlannedUndo::Restore { .. }));
    let object = !restores || facts.changes.get(&index).is_some_and(|fact| fact.expired);
    object && attempts(plan, index).all(|attempt| is_attempt_gone(state, facts, index, attempt, now))
}

/// One that was never released and is not there cannot run either: nobody makes it anew (PROTOCOL rule 12).
fn is_attempt_gone(state: &State, facts: &Facts, index: StepIndex, attempt: u32, now: Timestamp) -> bool {
    facts.jobs.get(&JobKey::Undo(index, attempt)).is_some_and(|job| {
        is_gone(job, now) || (job.end == Some(JobEnd::Vanished) && job.pods == Pods::NoneSeen && attempt > released(state, index))
    })
}

/// What it declared for half-done work stands, where its data is half done and anything was declared.
pub(super) fn is_as_declared(plan: &Plan, state: &State, fact: Option<&ServiceFact>, service: ServiceIndex) -> bool {
    let clean = state.services.get(service).is_none_or(|one| one.open_on().is_empty());
    let nothing = plan.services.get(service).is_none_or(|planned| planned.when_dirty.actions().is_empty());
    let stands = |fact: &ServiceFact| matches!(fact.degraded, ClosingFact::Draining | ClosingFact::Closed);
    clean || nothing || fact.is_some_and(stands)
}

/// Why what it declared for half-done work does not stand.
pub(super) fn not_degraded(fact: Option<&ServiceFact>) -> Option<&str> {
    match &fact?.degraded {
        ClosingFact::Refused { reason } => Some(reason),
        ClosingFact::Open | ClosingFact::Draining | ClosingFact::Closed => None,
    }
}

pub(super) fn held(plan: &Plan, state: &State, index: ServiceIndex) -> Next {
    let planned = plan.services.get(index)?;
    let through = words::steps(plan, &through(plan, state, index));
    if through.is_empty() || declares_to_open(plan, index) {
        return None;
    }
    let why = format!(
        "{} stays closed, as it declares: work on its data is half done through {}{}",
        planned.id,
        through.join(", "),
        words::call(planned)
    );
    Some((Event::HeldClosed { service: planned.id.clone(), through }, why))
}

/// The first dirty service that declared to open and whose turn it is: first its undos expire (PROTOCOL rule 16).
pub(super) fn expire(plan: &Plan, state: &State, facts: &Facts) -> Next {
    let waves = to_open(plan, state);
    let shut =
        |index: &ServiceIndex| matches!(state.services.get(*index), Some(ServiceState::Open | ServiceState::Closed { .. }));
    let dirty = |index: &ServiceIndex| declares_to_open(plan, *index) && !through(plan, state, *index).is_empty();
    let index = waves.iter().enumerate().find_map(|(number, wave)| {
        let earlier = || waves.iter().take(number).flatten();
        let turn = |next: ServiceIndex| earlier().all(|&one| is_passed(plan, state, facts, one, next));
        wave.iter().copied().find(|index| shut(index) && dirty(index) && turn(*index))
    })?;
    let planned = plan.services.get(index)?;
    let through = words::steps(plan, &through(plan, state, index)).join(", ");
    let why = format!(
        "work on the data of {} is half done through {through}; {}; before it opens, what would undo the work is stopped for good",
        planned.id,
        match &planned.when_dirty {
            WhenDirty::OpenDegraded { actions } => format!("it declared to open with {}", words::actions(actions)),
            WhenDirty::Open { reason } => format!("it declared to open all the same: {reason}"),
            WhenDirty::StayClosed => "it stays closed".to_owned(),
        }
    );
    Some((expired(plan, state, planned, index), format!("{why}{}", words::call(planned))))
}

fn expired(plan: &Plan, state: &State, planned: &PlannedService, index: ServiceIndex) -> Event {
    let steps = words::steps(plan, &to_expire(plan, state, index));
    Event::UndosExpired { service: planned.id.clone(), steps }
}

/// It is open and turns out to be dirty: no undo may change its data beneath people any more.
pub(super) fn open_already(plan: &Plan, state: &State, index: ServiceIndex) -> Next {
    let planned = plan.services.get(index)?;
    let service = state.services.get(index).filter(|service| service.is_let_in())?;
    let known = !service.open_on().is_empty() && to_expire(plan, state, index).is_empty();
    let at_risk = !known && !through(plan, state, index).is_empty();
    at_risk.then(|| {
        let why =
            format!("{} is open already: nothing is undone beneath the people who use it{}", planned.id, words::call(planned));
        (expired(plan, state, planned, index), why)
    })
}

/// That nothing works on its data any more cannot be shown, or not in its own time: it stays closed whatever it declared.
pub(super) fn unproven(plan: &Plan, state: &State, facts: &Facts, index: ServiceIndex, since: Timestamp, now: Timestamp) -> Next {
    let planned = plan.services.get(index)?;
    let through = words::steps(plan, &through(plan, state, index));
    let reason = match rest(plan, state, facts, index, now) {
        Rest::Lost { reason } => reason,
        Rest::Awaited if now >= after(since, planned.reopen_budget) => "no proof within its reopening budget".to_owned(),
        Rest::Awaited | Rest::Proven => return None,
    };
    if through.is_empty() {
        return None;
    }
    let why = format!(
        "{} stays closed, although it declared to open: nobody can say that nothing works on its data any more ({reason}); half done \
         through {}{}",
        planned.id,
        through.join(", "),
        words::call(planned)
    );
    Some((Event::HeldClosed { service: planned.id.clone(), through }, why))
}

/// On what half-done work a service is open, in words; nothing for one that is clean.
pub(super) fn open_on(plan: &Plan, state: &State, index: ServiceIndex) -> String {
    let known = plan.services.get(index).zip(state.services.get(index)).filter(|(_, service)| !service.open_on().is_empty());
    known.map(|(planned, service)| format!("; it is {}", words::open_on(plan, planned, service.open_on()))).unwrap_or_default()
}
