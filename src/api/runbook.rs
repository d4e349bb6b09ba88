//! `Runbook` on the wire: the work of a night as a graph of steps with time budgets.
//!
//! In: what people write. Out: the raw object, as the API server stores it. Invariants: the doc comments are what
//! `kubectl explain` shows; an action is one named option out of several, never a tagged union, so that errors keep their
//! place and later actions are added beside. What is not here: order and sums ([`crate::plan`]).
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "kubectl explain shows these docs: they are plain text")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Apply, Close, Cordon, Hold, Http, Job, Notify, Patch, Restart, Scale, Suspend, Wait};
use super::calendar::Groups;
use super::schema;
use crate::model::runbook::{OnFutile, OnOverrun};

/// The work of a night: steps with budgets, each with the way to undo it, and the order in which services come back. A
/// Runbook does nothing by itself; an Intervention runs it for one night, with the Runbook as it was when the night was
/// accepted.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "notturno.dev",
    version = "v1alpha1",
    kind = "Runbook",
    namespaced,
    category = "notturno",
    derive = "PartialEq",
    doc = "The work of a night: steps with time budgets and the way to undo each, and the order in which services come back.",
    printcolumn = r#"{"name": "Description", "type": "string", "jsonPath": ".spec.description"}"#,
    printcolumn = r#"{"name": "Reopening", "type": "string", "jsonPath": ".spec.reopening.budget"}"#,
    printcolumn = r#"{"name": "Reserve", "type": "string", "jsonPath": ".spec.reserve"}"#,
    printcolumn = r#"{"name": "Runs As", "type": "string", "jsonPath": ".spec.serviceAccountName", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
pub struct RunbookSpec {
    /// What the work is, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub description: Option<String>,
    /// The ServiceAccount of this namespace whose rights do the work, closings and reopenings included. The operator has
    /// no such rights of its own: it asks for short-lived tokens of this account.
    #[schemars(schema_with = "schema::name")]
    pub service_account_name: String,
    /// The ServiceAccount of this namespace as which the dead man's switch runs, with the rights to give back and none to change
    /// anything else. If left out: that of the work with -sentinel behind it. That of the work itself is taken with a warning: the
    /// switch is as safe, but has rights that it does not need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::name")]
    pub sentinel_service_account_name: Option<String>,
    /// Values that a night may vary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub parameters: Vec<Parameter>,
    /// Time that nobody may plan with, as 20m: it is kept between the last moment of everything else and the deadline.
    #[schemars(schema_with = "schema::duration")]
    pub reserve: String,
    /// Verification behind closed doors after an undo, before anything opens. Its budget is kept free all night.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Smoke>,
    /// How services come back.
    pub reopening: Reopening,
    /// The work. A step starts when the steps it needs are done, and only while going back still opens everything in time.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<Step>,
    /// Who has to agree before the night. Shown, not yet acted on: until orders exist, such a night is refused when it is to
    /// run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
}

/// A value that a night may vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.type) || self.type == 'String' || (!has(self.pattern) && !has(self.allowed))",
     "message": "only a String has a pattern or a list of what is allowed: remove them"},
    {"rule": "(has(self.type) && self.type == 'Integer') || (!has(self.minimum) && !has(self.maximum))",
     "message": "only an Integer has a minimum and a maximum: remove them"},
    {"rule": "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",
     "message": "the minimum is not above the maximum"},
]))]
pub struct Parameter {
    /// Its name: letters, digits, hyphens and underscores.
    #[schemars(schema_with = "schema::parameter")]
    pub name: String,
    /// Its type: String, the default, Integer, Boolean (true or false) or Duration (as 1h30m). On the wire all are text.
    #[serde(rename = "type", default)]
    #[schemars(schema_with = "schema::parameter_type")]
    pub kind: ParameterType,
    /// A regular expression (RE2) that the whole value of a String has to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::expression")]
    pub pattern: Option<String>,
    /// The only values that a String may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::allowed")]
    pub allowed: Vec<String>,
    /// The least that an Integer may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub minimum: Option<i64>,
    /// The most that an Integer may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub maximum: Option<i64>,
    /// The value when the night gives none. Without it the night has to give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::value")]
    pub default: Option<String>,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ParameterType {
    /// Text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// An elapsed time.
    Duration,
}

/// Verification before doors open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "duration(self.budget) > duration('0s')", "message": "a budget is longer than nothing", "fieldPath": ".budget"},
]))]
pub struct Smoke {
    /// How long it may take.
    #[schemars(schema_with = "schema::duration")]
    pub budget: String,
    /// What runs.
    pub job: Job,
}

/// The order of opening.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "duration(self.budget) > duration('0s')", "message": "a budget is longer than nothing", "fieldPath": ".budget"},
]))]
pub struct Reopening {
    /// At least this much time is kept for reopening from the first minute of the night, even when the services' own
    /// budgets add up to less.
    #[schemars(schema_with = "schema::duration")]
    pub budget: String,
    /// Lists of services; the services of a list open together, a list after the one before it. A service that is closed
    /// and stands in no list opens last. One that is never closed may stand here too: it is asked whether it works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::waves")]
    pub waves: Vec<Vec<String>>,
}

/// A step: a name, a budget, exactly one action, and where something changes the way to undo it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.job), has(self.close), has(self.scale), has(self.patch), has(self.apply), has(self.suspend), has(self.restart), \
has(self.wait), has(self.http), has(self.hold), has(self.cordon), has(self.notify)].filter(one, one).size() == 1",
     "message": "a step does exactly one thing: write one of job, close, scale, patch, apply, suspend, restart, wait, http, hold, cordon, \
notify"},
    {"rule": "!has(self.job) || has(self.undo) != has(self.noUndo)",
     "message": "a job says how it is undone: write either undo, or noUndo with its reason"},
    {"rule": "!has(self.job) || !has(self.undo) || has(self.undo.job)",
     "message": "what a job did only a job can undo: write undo.job"},
    {"rule": "!has(self.undo) || !has(self.noUndo)", "message": "write undo or noUndo, not both"},
    {"rule": "!has(self.close) || (!has(self.undo) && !has(self.noUndo))",
     "message": "closing is undone by reopening: remove undo and noUndo"},
    {"rule": "!(has(self.restart) || has(self.wait) || has(self.http) || has(self.hold) || has(self.notify)) || \
(!has(self.undo) && !has(self.noUndo))",
     "message": "such a step leaves nothing to undo: remove undo and noUndo"},
    {"rule": "!(has(self.close) || has(self.restart) || has(self.wait) || has(self.http) || has(self.hold) || has(self.notify)) || \
!has(self.touches)",
     "message": "such a step changes no data: remove touches"},
    {"rule": "!has(self.noUndo) || self.noUndo.reason != 'Irreversible' || has(self.onOverrun)",
     "message": "past a point of no return the policy for an overrun is said in advance: write onOverrun"},
    {"rule": "!has(self.hold) || (!has(self.hardCap) && !has(self.onOverrun))",
     "message": "a hold ends with its budget, and onSilence says how: remove hardCap and onOverrun"},
    {"rule": "duration(self.budget) > duration('0s')", "message": "a budget is longer than nothing", "fieldPath": ".budget"},
    {"rule": "!has(self.hardCap) || duration(self.hardCap) >= duration(self.budget)",
     "message": "the hard cap is not below the budget", "fieldPath": ".hardCap"},
]))]
pub struct Step {
    /// A name, unique in the runbook.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// The steps that have to be done before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub needs: Vec<String>,
    /// How long the step may take, as 1h30m. The night is planned with it.
    #[schemars(schema_with = "schema::duration")]
    pub budget: String,
    /// When the step outlives this, the night goes back at once. The budget when not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub hard_cap: Option<String>,
    /// When the budget is gone and the hard cap is not. TurnBack: go back. Ask, the default: tell people and go on to the hard
    /// cap unless somebody decides. Continue: go on to the hard cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::on_overrun")]
    pub on_overrun: Option<OnOverrun>,
    /// When the step ends and what follows cannot fit any more. TurnBack, the default: go back at once. Continue: go on as far
    /// as the deadline allows.
    #[serde(default)]
    #[schemars(schema_with = "schema::on_futile")]
    pub on_futile: OnFutile,
    /// Runs a Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Closes services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<Close>,
    /// Sets the number of replicas of a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Patches an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
    /// Applies an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<Apply>,
    /// Suspends a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<Suspend>,
    /// Restarts a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Waits for a state of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Waits for an address to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Waits for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Keeps new Pods from a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cordon: Option<Cordon>,
    /// Says something to people, as an Event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// The services whose data the step changes, by name or namespace/name. While its work is half done they open only if their
    /// whenDirty says so.
    /// Not written: for a job, all that the runbook closes; for other steps, none. [] says that it changes no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::references")]
    pub touches: Option<Vec<String>>,
    /// How the step is undone when the night goes back. A change of an object is undone without it too: what it replaced is put
    /// back, in the time that the step itself had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Why the step has no undo of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_undo: Option<NoUndo>,
}

/// The way back of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "duration(self.budget) > duration('0s')", "message": "a budget is longer than nothing", "fieldPath": ".budget"},
]))]
pub struct Undo {
    /// How long it may take, stopping the step included. This time is kept free from the moment the step begins.
    #[schemars(schema_with = "schema::duration")]
    pub budget: String,
    /// How many Jobs may try it, one after the other. All exist before the night. Default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 5))]
    pub attempts: i32,
    /// What runs. Without it what a change replaced is put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// Why a step has no undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.reason == 'CoveredBy') == has(self.step)",
     "message": "CoveredBy names the step whose undo covers this one: write step; the other reasons have none"},
]))]
pub struct NoUndo {
    /// NothingToUndo: the step leaves nothing behind. CoveredBy: another step's undo takes this one back too. Irreversible:
    /// there is no way back; the night can start it only when all that follows fits.
    pub reason: NoUndoReason,
    /// The step whose undo covers this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub step: Option<String>,
}

/// Why a step has no undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NoUndoReason {
    /// It leaves nothing behind.
    NothingToUndo,
    /// Another step's undo takes it back too.
    CoveredBy,
    /// There is no way back.
    Irreversible,
}

/// People who must agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approvals {
    /// How many.
    #[schemars(range(min = 1, max = 10))]
    pub count: i32,
    /// Who they may be.
    pub from: Groups,
}

fn two() -> i32 {
    2
}
