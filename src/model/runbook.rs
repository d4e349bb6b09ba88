//! The work of a night as a graph of steps with budgets, and one night that runs it.
//!
//! In: a `Runbook` and an `Intervention` that passed [`crate::api`]'s validation. Out: [`Runbook`], [`Intervention`].
//! Invariants: budgets are above zero; a hard cap is not below its budget; step names are unique labels.
//! Not here: what a step does ([`super::action`]); order, times, deadlines ([`crate::plan`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::{Action, JobSource, Undo};
use super::parameter::Parameter;
use super::reference::Reference;
use super::span::Span;

/// A `Runbook`, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Runbook {
    /// Its namespace; work runs there.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The `ServiceAccount` the work runs as, in the runbook's namespace.
    pub service_account: String,
    /// The `ServiceAccount` that the dead man's switch runs as, in the same namespace.
    pub sentinel_service_account: String,
    /// What a night may vary.
    pub parameters: Vec<Parameter>,
    /// Time nobody may plan with.
    pub reserve: Span,
    /// The verification behind closed doors after an undo.
    pub smoke: Option<Smoke>,
    /// How services come back.
    pub reopening: Reopening,
    /// The work.
    pub steps: Vec<Step>,
    /// Who has to agree before the night, when anybody.
    pub approvals: Option<Approvals>,
}

/// Verification after an undo, before anything opens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Smoke {
    /// How long it may take.
    pub budget: Span,
    /// What runs.
    pub job: JobSource,
}

/// The way back to open doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopening {
    /// At least this much is kept for it from the first minute.
    pub budget: Span,
    /// Services by wave.
    pub waves: Vec<Vec<Reference>>,
}

/// People who must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How many.
    pub count: u32,
    /// From which groups.
    pub groups: Vec<String>,
}

/// One step of the work.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// A label, unique in the runbook.
    pub name: String,
    /// The steps that have to be done first.
    pub needs: Vec<String>,
    /// How long it may take.
    pub budget: Span,
    /// After this it is turned back at once; the budget when not written.
    pub hard_cap: Option<Span>,
    /// When the budget is gone.
    pub on_overrun: OnOverrun,
    /// When what follows cannot fit any more.
    pub on_futile: OnFutile,
    /// What it does.
    pub action: Action,
    /// The services whose data it changes; for a Job that says nothing, all that the runbook closes.
    pub touches: Option<Vec<Reference>>,
    /// How it is undone.
    pub undo: Undo,
}

/// What happens when a step's budget is gone and its hard cap is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnOverrun {
    /// Go back.
    TurnBack,
    /// Ask people; silence means go on to the hard cap.
    #[default]
    Ask,
    /// Go on to the hard cap.
    Continue,
}

/// What happens when a step could start but what follows it cannot fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFutile {
    /// Go back at once: waiting only costs reopening time.
    #[default]
    TurnBack,
    /// Go on as far as the gates allow.
    Continue,
}

/// Whether a night changes anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It does.
    #[default]
    Run,
    /// Everything but the changes.
    Rehearse,
}

/// An `Intervention`, validated: one night.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervention {
    /// Its namespace, and the runbook's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The runbook's name.
    pub runbook: String,
    /// Values for the runbook's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Run or rehearse.
    pub mode: Mode,
    /// When work begins.
    pub start_at: Timestamp,
    /// How much later it may still begin.
    pub start_tolerance: Span,
    /// Between must-serve-by and the first opening.
    pub margin: Span,
    /// People are told by the first opening less this.
    pub tell_before: Span,
    /// Who asked for it.
    pub requester: String,
}
