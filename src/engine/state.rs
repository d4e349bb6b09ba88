//! Where a night stands: a fold of its journal over its plan.
//!
//! In: plan and entries. Out: [`State`]. Invariants: the same entries always give the same state; an entry that does not fit is kept
//! as nonsense and changes nothing else (DESIGN §3, law 1). Not here: facts, now, any decision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::epoch::Epoch;
use crate::model::need;
use crate::model::phase::{Outcome, Phase};
use crate::model::plan::{Plan, PlannedStep, PlannedUndo, ServiceIndex, StepIndex};
use crate::model::span::after;

use super::facts::JobKey;
use super::fold;
use super::journal::{Cause, Entry, Event, Proof};
use super::progress::{Progress, Tables};

/// Everything the journal says.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The plan's hash, once accepted.
    pub plan_hash: Option<String>,
    /// Who acts.
    pub epoch: Epoch,
    /// When something was last recorded that does not only answer people.
    pub progress_at: Option<Timestamp>,
    /// Everything stands ready.
    pub armed: bool,
    /// Which way the night goes.
    pub direction: Direction,
    /// One for each planned step.
    pub steps: Vec<StepState>,
    /// One for each planned service.
    pub services: Vec<ServiceState>,
    /// The verification after undos.
    pub smoke: Running,
    /// When services began to come back.
    pub reopening_since: Option<Timestamp>,
    /// Must-serve-by passed with something closed.
    pub deadline_missed: bool,
    /// Who said that no further step starts for now.
    pub held: Option<String>,
    /// Orders that have had their answer.
    pub answered: BTreeSet<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Entries that make no sense.
    pub nonsense: Vec<String>,
    pub(super) progress: Progress,
}

/// Which way a night goes; it turns at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Not begun.
    Still,
    /// Forward.
    Forward,
    /// Back, for good.
    Back {
        /// Why.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
    /// Done, for good.
    Committed {
        /// Since when.
        since: Timestamp,
    },
}

/// One step so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepState {
    /// Its work.
    pub work: Work,
    /// The proof that it has ended, once going back.
    pub stopped: Option<Proof>,
    /// Its own undo.
    pub undo: Running,
    /// Undo attempts that failed.
    pub undo_failed_count: u32,
    /// Who confirmed it, for a hold.
    pub confirmed_by: BTreeSet<String>,
}

/// A step's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Not begun.
    Waiting,
    /// Under way.
    Running {
        /// Since when.
        since: Timestamp,
        /// When it is turned back.
        hard_cap_at: Timestamp,
        /// The overrun was recorded.
        overrun: bool,
    },
    /// Complete.
    Done {
        /// Since when it ran.
        since: Timestamp,
        /// When that was seen.
        at: Timestamp,
    },
    /// Failed.
    Failed {
        /// Since when it ran.
        since: Timestamp,
        /// When that was seen.
        at: Timestamp,
        /// How.
        reason: String,
    },
}

/// An undo or the smoke test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Running {
    /// Not released.
    #[default]
    Waiting,
    /// Released.
    Since {
        /// When.
        at: Timestamp,
        /// Which Job, from 1.
        attempt: u32,
        /// The overrun was recorded.
        overrun: bool,
    },
    /// Complete.
    Done {
        /// When that was seen.
        at: Timestamp,
    },
    /// Failed for good.
    Failed {
        /// When that was seen.
        at: Timestamp,
    },
    /// An undo that never runs again: a service that it reaches opens on half-done work.
    Expired {
        /// Since when.
        at: Timestamp,
        /// The last attempt that was ever released; 0 when none was.
        released: u32,
    },
}

/// One service so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// As by day.
    Open,
    /// Closed, or being closed.
    Closed {
        /// Since when.
        since: Timestamp,
    },
    /// Being opened, or asked whether it answers.
    Opening {
        /// Since when.
        since: Timestamp,
        /// Its budget is gone.
        late: bool,
        /// Its turn in the waves had come before: those that never had theirs do not wait for it.
        again: bool,
        /// It is late after finished work, and declared that it then counts as open in part.
        tolerated: bool,
        /// The steps that left its data half done; none for one that is clean.
        dirty: BTreeSet<StepIndex>,
    },
    /// Its data is half done and it declared to open all the same, once nothing can touch that data any more.
    Expiring {
        /// Since when its undos have expired.
        since: Timestamp,
    },
    /// After finished work it does not answer and is being closed again, as it declared.
    ClosingAgain {
        /// Since when.
        since: Timestamp,
    },
    /// It answers.
    Opened {
        /// When that was seen.
        at: Timestamp,
        /// The steps that left its data half done; none for one that is clean.
        dirty: BTreeSet<StepIndex>,
    },
    /// Open as far as it can be.
    Degraded {
        /// Since when.
        since: Timestamp,
        /// What it waits for.
        because: BTreeSet<ServiceIndex>,
        /// The steps that left its data half done; none for one that is clean.
        dirty: BTreeSet<StepIndex>,
    },
    /// Closed as it declared.
    HeldClosed {
        /// Since when.
        since: Timestamp,
        /// The steps that left it dirty; none when it was closed again because it did not answer.
        through: BTreeSet<StepIndex>,
    },
}

impl State {
    /// The state after all entries, oldest first.
    #[must_use]
    pub fn fold(plan: &Plan, entries: &[Entry]) -> Self {
        Self::fold_with(plan, &Arc::default(), entries)
    }

    /// The same for whoever plays many nights of one plan: `tables` are worked out once for all of them.
    #[must_use]
    pub fn fold_with(plan: &Plan, tables: &Arc<Tables>, entries: &[Entry]) -> Self {
        let mut state = Self::new(plan, Progress::new(Arc::clone(tables)));
        for entry in entries {
            state.apply(plan, entry);
        }
        state
    }

    fn new(plan: &Plan, progress: Progress) -> Self {
        let step = StepState {
            work: Work::Waiting,
            stopped: None,
            undo: Running::Waiting,
            undo_failed_count: 0,
            confirmed_by: BTreeSet::new(),
        };
        Self {
            plan_hash: None,
            epoch: Epoch::OPERATOR,
            progress_at: None,
            armed: false,
            direction: Direction::Still,
            steps: vec![step; plan.steps.len()],
            services: vec![ServiceState::Open; plan.services.len()],
            smoke: Running::Waiting,
            reopening_since: None,
            deadline_missed: false,
            held: None,
            answered: BTreeSet::new(),
            outcome: None,
            nonsense: Vec::new(),
            progress,
        }
    }

    /// The same state one entry later; an entry that does not fit is noted and changes nothing.
    pub fn apply(&mut self, plan: &Plan, entry: &Entry) {
        match fold::apply(self, plan, entry) {
            None => self.nonsense.push(format!("{} at {}: {}", entry.event.name(), entry.at, entry.why)),
            Some(()) if matches!(entry.event, Event::OrderRefused { .. }) => {}
            Some(()) => self.progress_at = Some(entry.at),
        }
    }

    /// Where the night is (see the phase table in [`super::phases`]).
    #[must_use]
    pub fn phase(&self, plan: &Plan) -> Phase {
        if self.outcome.is_some() {
            return Phase::Finished;
        }
        match (&self.direction, self.reopening_since) {
            (Direction::Still, _) if self.armed => Phase::Armed,
            (Direction::Still, _) => Phase::Pending,
            (Direction::Forward, _) => Phase::Working,
            (Direction::Back { .. }, None) => Phase::TurningBack,
            (Direction::Back { .. } | Direction::Committed { .. }, _) if self.waits_to_open(plan) => Phase::Reopening,
            (Direction::Back { .. } | Direction::Committed { .. }, Some(_)) => Phase::Verifying,
            (Direction::Committed { .. }, None) => Phase::Reopening,
        }
    }

    fn waits_to_open(&self, plan: &Plan) -> bool {
        let closed = |index: &ServiceIndex| {
            matches!(
                self.services.get(*index),
                Some(
                    ServiceState::Closed { .. }
                        | ServiceState::Expiring { .. }
                        | ServiceState::HeldClosed { .. }
                        | ServiceState::ClosingAgain { .. }
                )
            )
        };
        plan.waves.iter().flatten().any(closed)
    }

    /// Steps that a begun point of no return keeps from being undone.
    #[must_use]
    pub fn kept(&self, plan: &Plan) -> &BTreeSet<StepIndex> {
        static NONE: BTreeSet<StepIndex> = BTreeSet::new();
        if !self.progress.tables().has_irreversible(plan) {
            return &NONE;
        }
        let ran = |(_, step): &(StepIndex, &StepState)| step.work != Work::Waiting && step.stopped != Some(Proof::NeverStarted);
        self.progress.kept(|| need::kept(plan, &self.steps.iter().enumerate().filter(ran).map(|(index, _)| index).collect()))
    }

    /// The steps that keep this service dirty.
    #[must_use]
    pub fn dirty_through(&self, plan: &Plan, service: ServiceIndex) -> BTreeSet<StepIndex> {
        let touches = |step: &StepIndex| plan.steps.get(*step).is_some_and(|step| step.touches.contains(&service));
        (0..plan.steps.len()).filter(touches).filter(|&index| self.is_dirty(plan, index)).collect()
    }

    fn is_dirty(&self, plan: &Plan, index: StepIndex) -> bool {
        let (Some(planned), Some(step)) = (plan.steps.get(index), self.steps.get(index)) else { return false };
        let clean = planned.touches.is_empty()
            || matches!(step.work, Work::Waiting)
            || matches!(self.direction, Direction::Committed { .. })
            || step.stopped == Some(Proof::NeverStarted);
        if clean {
            return false;
        }
        let complete = matches!(step.work, Work::Done { .. }) || step.stopped == Some(Proof::Completed);
        if self.kept(plan).contains(&index) {
            return !complete;
        }
        match &planned.undo {
            PlannedUndo::Job { .. } | PlannedUndo::Restore { .. } => !self.is_undone(plan, index),
            PlannedUndo::CoveredBy { step: covering } => step.stopped.is_none() && !complete || !self.is_undone(plan, *covering),
            PlannedUndo::Nothing | PlannedUndo::Reopening | PlannedUndo::Irreversible => !complete,
        }
    }

    /// A step's undo is complete and, where there is a smoke test, that has passed since.
    fn is_undone(&self, plan: &Plan, index: StepIndex) -> bool {
        let done = self.steps.get(index).is_some_and(|step| matches!(step.undo, Running::Done { .. }));
        done && (plan.smoke.is_none() || matches!(self.smoke, Running::Done { .. }))
    }

    /// Whether somebody has to be called.
    #[must_use]
    pub fn needs_human(&self) -> bool {
        let stuck = |service: &ServiceState| {
            matches!(
                service,
                ServiceState::HeldClosed { .. }
                    | ServiceState::Expiring { .. }
                    | ServiceState::ClosingAgain { .. }
                    | ServiceState::Opening { late: true, tolerated: false, .. }
            ) || !service.open_on().is_empty()
        };
        let lost = |step: &StepState| matches!(step.undo, Running::Failed { .. } | Running::Expired { .. });
        !self.nonsense.is_empty()
            || self.services.iter().any(stuck)
            || self.steps.iter().any(lost)
            || matches!(self.smoke, Running::Failed { .. })
    }

    /// The Job that runs as this undo's current attempt.
    #[must_use]
    pub fn undo_job(&self, plan: &Plan, index: StepIndex) -> Option<JobKey> {
        let PlannedUndo::Job { .. } = plan.steps.get(index)?.undo else { return None };
        match self.steps.get(index)?.undo {
            Running::Since { attempt, .. } => Some(JobKey::Undo(index, attempt)),
            Running::Waiting | Running::Done { .. } | Running::Failed { .. } | Running::Expired { .. } => None,
        }
    }

    /// When every begun step ended, or ends by its budget; one that overran is taken to end now.
    #[must_use]
    pub fn ends(&self, plan: &Plan, now: Timestamp) -> BTreeMap<StepIndex, Timestamp> {
        let end = |(index, (planned, step)): (StepIndex, (&PlannedStep, &StepState))| match step.work {
            Work::Waiting => None,
            Work::Running { since, .. } => Some((index, after(since, planned.budget).max(now))),
            Work::Done { at, .. } | Work::Failed { at, .. } => Some((index, at)),
        };
        plan.steps.iter().zip(&self.steps).enumerate().filter_map(end).collect()
    }
}
