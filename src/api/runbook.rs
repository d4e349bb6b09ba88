//! `Runbook` on the wire: the work of a night as a graph of steps with time budgets.
//!
//! In: what people write. Out: the raw object, as the API server stores it. Invariants: the doc comments are what
//! `kubectl explain` shows; an action is one named option out of several, never a tagged union, so that errors keep their
//! place and later actions are added beside. What is not here: order and sums ([`crate::plan`]).
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "kubectl explain shows these docs: they are plain text")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
pub struct Parameter {
    /// Its name: letters, digits, hyphens and underscores.
    #[schemars(schema_with = "schema::parameter")]
    pub name: String,
    /// Its type. String, the default, is the only one so far.
    #[serde(rename = "type", default)]
    pub kind: ParameterType,
    /// A regular expression (RE2) that the whole value has to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::expression")]
    pub pattern: Option<String>,
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

/// A step: a name, a budget, exactly one action (job or close), and for a job the way to undo it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(has(self.job) ? 1 : 0) + (has(self.close) ? 1 : 0) == 1",
     "message": "a step does exactly one thing: write one of job, close"},
    {"rule": "!has(self.job) || has(self.close) || has(self.undo) != has(self.noUndo)",
     "message": "a job says how it is undone: write either undo, or noUndo with its reason"},
    {"rule": "!has(self.close) || has(self.job) || (!has(self.undo) && !has(self.noUndo))",
     "message": "closing is undone by reopening: remove undo and noUndo"},
    {"rule": "!has(self.close) || !has(self.touches)",
     "message": "closing changes no data: remove touches"},
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
    #[serde(default)]
    #[schemars(schema_with = "schema::on_overrun")]
    pub on_overrun: OnOverrun,
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
    /// The services whose data the job changes, by name or namespace/name. While its work is half done they do not open.
    /// Not written: all that the runbook closes. [] says that it changes no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::references")]
    pub touches: Option<Vec<String>>,
    /// How the job is undone when the night goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Why the job has no undo of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_undo: Option<NoUndo>,
}

/// A Job made from a CronJob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Where the Job's template stands.
    pub from: JobFrom,
    /// Added to the environment of every container; wins over what the template says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<Variable>,
}

/// Where a Job's template stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobFrom {
    /// A suspended CronJob of the runbook's namespace; its template is used as kubectl create job --from does.
    #[schemars(schema_with = "schema::name")]
    pub cron_job: String,
}

/// An environment variable: a name and exactly one of value and parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.value) != has(self.parameter)", "message": "a variable has exactly one source: write value or parameter"},
]))]
pub struct Variable {
    /// Its name.
    #[schemars(schema_with = "schema::variable")]
    pub name: String,
    /// Its value, as written. Nothing is expanded in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::value")]
    pub value: Option<String>,
    /// The parameter that its value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::parameter")]
    pub parameter: Option<String>,
}

/// Services to close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Close {
    /// The PublicServices, by name or namespace/name. A bare name means one of this namespace, else the only one anywhere
    /// that allows this namespace.
    #[schemars(schema_with = "schema::some_references")]
    pub services: Vec<String>,
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
    /// What runs.
    pub job: Job,
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
