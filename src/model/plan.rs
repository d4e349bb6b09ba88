//! The frozen night: everything that the engine knows, by value.
//!
//! In: [`crate::plan`] makes it. Out: [`crate::engine`] plays it, the ledger keeps it, people read it.
//! Invariants: steps are in topological order, so what a step needs stands before it; every service that is closed stands in
//! exactly one wave; indices in it are valid. Nothing in it points to an object that could be edited later.
//! Not here: how it is made; what happened in the night.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::{Check, Hold, JobSource};
use super::reference::{ServiceRef, Target};
use super::runbook::{Mode, OnFutile, OnOverrun, Smoke};
use super::service::{Closing, Contact, Probe, Text, WhenDirty, WhenRed};
use super::span::Span;

/// The position of a step in [`Plan::steps`].
pub type StepIndex = usize;
/// The position of a service in [`Plan::services`].
pub type ServiceIndex = usize;

/// One night, frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The format of this value; 1.
    pub version: u32,
    /// The `Intervention`'s namespace, where the work runs.
    pub namespace: String,
    /// The `Intervention`'s name.
    pub name: String,
    /// The `Intervention`'s UID; empty outside a cluster.
    #[serde(default)]
    pub uid: String,
    /// Run or rehearse.
    pub mode: Mode,
    /// Who asked for the night, as written: nobody has verified it.
    pub requester: String,
    /// The `ServiceAccount` that does the work.
    pub service_account: String,
    /// The `ServiceAccount` that the dead man's switch runs as; empty in plans that were frozen before there was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sentinel_service_account: String,
    /// The zone in which moments are shown: that of the calendar that binds the night.
    pub time_zone: String,
    /// When work begins.
    pub start_at: Timestamp,
    /// After this it does not begin any more.
    pub start_by: Timestamp,
    /// The earliest deadline of all.
    pub deadline: Deadline,
    /// The first opening of any site concerned, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_opening_at: Option<Timestamp>,
    /// People are told by this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tell_people_by: Option<Timestamp>,
    /// When everything is open again if all takes its budget.
    pub planned_open_at: Timestamp,
    /// Time nobody may plan with.
    pub reserve: Span,
    /// At least this much is kept for reopening.
    pub reopening_budget: Span,
    /// The verification after an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Smoke>,
    /// The work, in topological order.
    pub steps: Vec<PlannedStep>,
    /// What is closed, and what depends on it.
    pub services: Vec<PlannedService>,
    /// The order of reopening.
    pub waves: Vec<Vec<ServiceIndex>>,
}

/// By when services have to be open, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deadline {
    /// The moment.
    pub must_serve_by: Timestamp,
    /// The service that sets it.
    pub service: ServiceRef,
    /// The site.
    pub site: String,
    /// The site's calendar.
    pub calendar: String,
    /// The sum behind the moment.
    pub because: Because,
}

/// Why a site sets the deadline that it sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Because {
    /// It opens at `at`, less the night's margin.
    Opens {
        /// The opening.
        at: Timestamp,
        /// The night's margin.
        margin: Span,
    },
    /// It is open and bears the closing at `from` for so long.
    Tolerates {
        /// The planned closing.
        from: Timestamp,
        /// What it declared.
        closed_for: Span,
    },
}

/// A step with its times at declared budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// Its name.
    pub name: String,
    /// Steps that have to be done first.
    pub needs: Vec<StepIndex>,
    /// How long it may take.
    pub budget: Span,
    /// After this it is turned back.
    pub hard_cap: Span,
    /// When its budget is gone.
    pub on_overrun: OnOverrun,
    /// When what follows cannot fit.
    pub on_futile: OnFutile,
    /// What it does.
    pub action: PlannedAction,
    /// The services whose data it changes.
    pub touches: BTreeSet<ServiceIndex>,
    /// How it is undone.
    pub undo: PlannedUndo,
    /// Other services whose data its undo changes: those that the steps touch which it covers. Nothing in plans that were frozen before
    /// this was known.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub undo_touches: BTreeSet<ServiceIndex>,
    /// When it starts.
    pub start_at: Timestamp,
    /// It does not start before, however early the steps before it end: until then an office may be open that its closing hits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// When it ends.
    pub end_at: Timestamp,
    /// While it runs, the latest moment to go back.
    pub turn_back_at: Timestamp,
    /// The latest end from which every later gate still holds.
    pub finish_by: Timestamp,
}

/// What a step does, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlannedAction {
    /// Close these services.
    Close {
        /// Which.
        services: BTreeSet<ServiceIndex>,
    },
    /// Run a Job.
    Job(JobSource),
    /// Change an object.
    Change(Closing),
    /// Wait until something is so.
    Check(Check),
    /// Wait for a person.
    Hold(Hold),
    /// Say something to people.
    Notify {
        /// What.
        message: String,
    },
}

/// How a step is undone, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlannedUndo {
    /// By reopening what it closed.
    Reopening,
    /// By putting back what was captured.
    Restore {
        /// How long it may take, stopping the step included.
        budget: Span,
    },
    /// By a Job.
    Job {
        /// How long it may take, stopping the step included.
        budget: Span,
        /// How many Jobs may try it.
        attempts: u32,
        /// What runs.
        job: JobSource,
    },
    /// There is nothing to undo.
    Nothing,
    /// The undo of that step covers it.
    CoveredBy {
        /// Which.
        step: StepIndex,
    },
    /// Not at all: a point of no return.
    Irreversible,
}

/// A service that tonight concerns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedService {
    /// Who it is.
    pub id: ServiceRef,
    /// Its name for the public.
    pub title: Text,
    /// When it is planned to close; none for one that only depends on closed ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_at: Option<Timestamp>,
    /// Its own deadline, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// How it is closed.
    pub close: Vec<Closing>,
    /// How long reopening it may take.
    pub reopen_budget: Span,
    /// How one knows that it is open.
    pub probes: Vec<Probe>,
    /// What becomes of it when work on its data is half done.
    pub when_dirty: WhenDirty,
    /// What becomes of it when it does not answer although the work was finished.
    #[serde(default)]
    pub when_red: WhenRed,
    /// The planned services that it calls synchronously, directly.
    pub upstreams: BTreeSet<ServiceIndex>,
    /// What people use while it does not work.
    #[serde(default)]
    pub fallback: Text,
    /// Steps through which it could stay closed.
    pub could_stay_closed_by: BTreeSet<StepIndex>,
    /// Whom to call.
    pub contacts: Vec<Contact>,
}

impl PlannedStep {
    /// The services that it closes.
    #[must_use]
    pub fn closes(&self) -> &BTreeSet<ServiceIndex> {
        static NONE: BTreeSet<ServiceIndex> = BTreeSet::new();
        match &self.action {
            PlannedAction::Close { services } => services,
            PlannedAction::Job(_)
            | PlannedAction::Change(_)
            | PlannedAction::Check(_)
            | PlannedAction::Hold(_)
            | PlannedAction::Notify { .. } => &NONE,
        }
    }

    /// The object that it changes.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        match &self.action {
            PlannedAction::Change(closing) => Some(&closing.target),
            PlannedAction::Close { .. }
            | PlannedAction::Job(_)
            | PlannedAction::Check(_)
            | PlannedAction::Hold(_)
            | PlannedAction::Notify { .. } => None,
        }
    }

    /// The budget of its own undo.
    #[must_use]
    pub fn undo_budget(&self) -> Span {
        match &self.undo {
            PlannedUndo::Job { budget, .. } | PlannedUndo::Restore { budget } => *budget,
            PlannedUndo::Reopening | PlannedUndo::Nothing | PlannedUndo::CoveredBy { .. } | PlannedUndo::Irreversible => {
                Span::ZERO
            }
        }
    }

    /// It is undone by itself, and not by the reopening or by another step.
    #[must_use]
    pub fn has_own_undo(&self) -> bool {
        match self.undo {
            PlannedUndo::Job { .. } | PlannedUndo::Restore { .. } => true,
            PlannedUndo::Reopening | PlannedUndo::Nothing | PlannedUndo::CoveredBy { .. } | PlannedUndo::Irreversible => false,
        }
    }

    /// Once it has begun, what came before it is not undone any more.
    #[must_use]
    pub fn is_irreversible(&self) -> bool {
        matches!(self.undo, PlannedUndo::Irreversible)
    }

    /// Whether both work on one service, or change one object: neither they nor their undos run at the same time.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        let object = self.target().is_some_and(|target| other.target() == Some(target));
        let meets =
            |services: &BTreeSet<ServiceIndex>| !services.is_disjoint(&other.touches) || !services.is_disjoint(other.closes());
        object || meets(&self.touches) || meets(self.closes())
    }

    /// The services whose data its undo changes.
    pub fn undo_services(&self) -> impl Iterator<Item = ServiceIndex> {
        self.touches.union(&self.undo_touches).copied()
    }

    /// Whether the undos of both touch one service, or restore one object.
    #[must_use]
    pub fn undo_shares_with(&self, other: &Self) -> bool {
        let object = self.target().is_some_and(|target| other.target() == Some(target));
        let touched = |service: ServiceIndex| other.touches.contains(&service) || other.undo_touches.contains(&service);
        object || self.undo_services().any(touched)
    }
}

impl Plan {
    /// The step of that name.
    #[must_use]
    pub fn step_named(&self, name: &str) -> Option<(StepIndex, &PlannedStep)> {
        self.steps.iter().enumerate().find(|(_, step)| step.name == name)
    }

    /// The service of that name.
    #[must_use]
    pub fn service_named(&self, id: &ServiceRef) -> Option<(ServiceIndex, &PlannedService)> {
        self.services.iter().enumerate().find(|(_, service)| &service.id == id)
    }
}
