//! One night's invented world: how each thing goes when it is asked for.
//!
//! In: drawn from a scenario, or written by a test. Out: [`World`]. Invariant: nothing in it is left to chance any more. Not here: what
//! goes on in it ([`super::doing`]), what is drawn ([`super::draw`]).

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

use crate::engine::JobKey;
use crate::engine::facts::{ClosingFact, JobEnd, Order, Pods};
use crate::model::plan::{Plan, PlannedStep, StepIndex};
use crate::model::span::Span;

use super::switch::Switch;

/// How something goes in one night.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// It ends well.
    Ends {
        /// After how long.
        after: Span,
    },
    /// It fails.
    Fails {
        /// After how long.
        after: Span,
        /// What it says.
        reason: String,
    },
    /// It never ends.
    Hangs,
}

/// One night's world; positions are those of its plan.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// How each step goes; one that is not there takes its budget.
    pub steps: Vec<Run>,
    /// How each attempt at each undo goes; one that is not there takes its budget.
    pub undos: Vec<Vec<Run>>,
    /// How the verification goes.
    pub smoke: Run,
    /// How each reopening goes.
    pub services: Vec<Run>,
    /// Orders of people.
    pub orders: Vec<Order>,
    /// How long the Pods of a Job that was stopped are seen like this, before they have ended.
    pub left: BTreeMap<JobKey, (Span, Pods)>,
    /// While the server's clock is not bounded.
    pub clock_unbounded: Option<Range<Timestamp>>,
    /// The operator's death.
    pub death: Option<Death>,
    /// The dead man's switch; none where nobody asks for one.
    pub switch: Option<Switch>,
}

/// How the operator dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// Once the journal has so many entries, for good.
    After(usize),
    /// At a moment.
    At {
        /// When.
        dies_at: Timestamp,
        /// When it is back.
        returns_at: Option<Timestamp>,
        /// Whether a sentinel asks in its place.
        has_sentinel: bool,
    },
}

impl Default for Run {
    fn default() -> Self {
        Self::Ends { after: Span::ZERO }
    }
}

impl Run {
    /// For how long it goes; none when it never ends.
    #[must_use]
    pub fn lasts(&self) -> Option<Span> {
        match self {
            Self::Ends { after } | Self::Fails { after, .. } => Some(*after),
            Self::Hangs => None,
        }
    }

    pub(super) fn job_end(&self) -> JobEnd {
        match self {
            Self::Fails { reason, .. } => JobEnd::Failed { reason: reason.clone() },
            Self::Ends { .. } | Self::Hangs => JobEnd::Complete,
        }
    }

    pub(super) fn closing(&self) -> ClosingFact {
        match self {
            Self::Fails { reason, .. } => ClosingFact::Refused { reason: reason.clone() },
            Self::Ends { .. } | Self::Hangs => ClosingFact::Closed,
        }
    }
}

impl World {
    /// How a Job of the night goes.
    pub(super) fn job(&self, plan: &Plan, job: JobKey) -> Run {
        let (run, budget) = match job {
            JobKey::Step(step) => return self.step(plan, step),
            JobKey::Smoke => return self.smoke.clone(),
            JobKey::Undo(step, attempt) => {
                let index = usize::try_from(attempt).unwrap_or_default().saturating_sub(1);
                (self.undos.get(step).and_then(|undo| undo.get(index)), plan.steps.get(step).map(PlannedStep::undo_budget))
            }
        };
        run.cloned().unwrap_or(Run::Ends { after: budget.unwrap_or_default() })
    }

    /// How a step goes.
    pub(super) fn step(&self, plan: &Plan, step: StepIndex) -> Run {
        let budget = || plan.steps.get(step).map(|step| step.budget).unwrap_or_default();
        self.steps.get(step).cloned().unwrap_or_else(|| Run::Ends { after: budget() })
    }
}
