//! What a step does, and how that is undone.
//!
//! In: a `Runbook` that passed [`crate::api`]'s validation. Out: [`Action`] and [`Undo`]. Invariants: exactly one action a step; whatever
//! has a knowable pre-image is undone by restoring it unless a Job is named. Not here: how anything is done to an object
//! (the operator), what a step closes tonight ([`super::plan`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reference::{Reference, Target};
use super::service::{Change, Probe};
use super::span::Span;

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Close services.
    Close {
        /// Which.
        services: Vec<Reference>,
    },
    /// Run a Job.
    Job(JobSource),
    /// Change an object; its state before is captured.
    Change {
        /// The object.
        target: Target,
        /// How.
        change: Change,
    },
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

/// Something that has to be so before the work goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// An object of the cluster fulfils an expression.
    Wait {
        /// The object.
        target: Target,
        /// A CEL expression over `self`, the object; true means done.
        until: String,
    },
    /// An address answers.
    Http(Probe),
}

/// A person confirms, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What is asked.
    pub message: String,
    /// How many people have to confirm.
    pub confirmations: u32,
    /// What it means when nobody answers within the budget.
    pub on_silence: OnSilence,
}

/// What silence means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnSilence {
    /// No.
    #[default]
    TurnBack,
    /// Yes.
    Continue,
}

/// A Job of the night, and what its environment gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSource {
    /// Where its template stands.
    #[serde(flatten)]
    pub template: Template,
    /// Added to the environment of every container; after planning, all are plain values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
}

/// Where a Job's template stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Template {
    /// In a suspended `CronJob` of the runbook's namespace, by its name, as `kubectl create job --from` takes it.
    CronJob(String),
    /// In the runbook itself: a `batch/v1` `JobTemplateSpec`.
    Inline(Value),
}

/// One variable of a Job's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    #[serde(flatten)]
    pub value: EnvValue,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EnvValue {
    /// As written.
    Value(String),
    /// A parameter of the runbook.
    Parameter(String),
}

/// How a step is undone.
#[derive(Clone, Debug, PartialEq)]
pub enum Undo {
    /// A closing: the reopening itself.
    Reopening,
    /// A change: what was captured is put back.
    Restore {
        /// How long it may take, stopping the step included.
        budget: Span,
    },
    /// A Job of its own.
    Job {
        /// How long it may take, stopping the step included.
        budget: Span,
        /// How many Jobs may try it.
        attempts: u32,
        /// What runs.
        job: JobSource,
    },
    /// Nothing to undo.
    Nothing,
    /// Another step's undo covers it.
    CoveredBy {
        /// Which.
        step: String,
    },
    /// It cannot be undone: a point of no return.
    Irreversible,
}
