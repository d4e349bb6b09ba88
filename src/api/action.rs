//! What a step may do, on the wire: one named option each.
//!
//! In: what people write. Out: the raw values, as the API server stores them. Invariants: as in [`super::runbook`]; nothing of other
//! people's types is copied into our schemas: a Job's template and an applied object are kept as written, and the API server that
//! runs them judges them at arming. What is not here: reading them ([`super::validate`]).
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "kubectl explain shows these docs: they are plain text")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::schema;
use crate::model::action::OnSilence;

/// A Job made from a CronJob, or from a template written here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.from) != has(self.template)", "message": "a Job has exactly one template: write from, or template"},
]))]
pub struct Job {
    /// Where the Job's template stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<JobFrom>,
    /// The template itself, as spec.jobTemplate of a CronJob. Its Pods have to keep the Pod Security Standard "restricted" unless
    /// the administrator of the operator allows more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    pub template: Option<Map<String, Value>>,
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

/// An object; the rights of the runbook's ServiceAccount say whether the step may change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.kind != 'Secret' || self.apiVersion != 'v1'",
     "message": "a Secret is never a target: its content would stand in the night's records"},
]))]
pub struct Object {
    /// Its API group and version, as apps/v1; v1 for the core group.
    #[schemars(schema_with = "schema::api_version")]
    pub api_version: String,
    /// Its kind, as Deployment.
    #[schemars(schema_with = "schema::kind")]
    pub kind: String,
    /// Its namespace; the runbook's when not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub namespace: Option<String>,
    /// Its name.
    #[schemars(schema_with = "schema::name")]
    pub name: String,
}

/// A number of replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// The object.
    pub target: Object,
    /// The replicas. The step is done when so many are ready.
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: i32,
}

/// A change of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.merge) != has(self.json)", "message": "a patch has exactly one form: write merge or json"},
]))]
pub struct Patch {
    /// The object.
    pub target: Object,
    /// A JSON merge patch (RFC 7386): what it names becomes this, null removes, lists are replaced whole. It may change anything
    /// but apiVersion, kind, status and, of the metadata, more than labels and annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    pub merge: Option<Map<String, Value>>,
    /// A JSON patch (RFC 6902), all or nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub json: Vec<Operation>,
}

/// One operation of a JSON patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// add, remove, replace, or test: the patch holds only if the value is this.
    pub op: OperationKind,
    /// Where, as /spec/replicas (RFC 6901).
    #[schemars(schema_with = "schema::pointer")]
    pub path: String,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::anything")]
    pub value: Option<Value>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Puts a value there.
    Add,
    /// Takes away what is there.
    Remove,
    /// Puts a value in the place of what is there.
    Replace,
    /// Asks for a value.
    Test,
}

/// An object as it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Apply {
    /// The object, with apiVersion, kind and metadata.name, and no more than should be owned. It is applied on the server's side.
    /// One that is not there is created, and deleted by the undo.
    #[schemars(schema_with = "schema::any_object")]
    pub manifest: Map<String, Value>,
}

/// Something that rests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suspend {
    /// A CronJob, or anything that has spec.suspend.
    pub target: Object,
}

/// A workload whose Pods are replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// A Deployment, a StatefulSet or a DaemonSet. The step is done when all its Pods are new and ready. Nothing is to undo.
    pub target: Object,
}

/// A state of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The object.
    pub target: Object,
    /// A CEL expression that is true when the step is done; self is the object, as self.status.readyReplicas >= 3. What is not
    /// there yet counts as not true.
    #[schemars(schema_with = "schema::cel")]
    pub until: String,
}

/// An address that has to answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.every) || duration(self.every) > duration('0s')", "message": "time between two questions is longer than nothing",
     "fieldPath": ".every"},
]))]
pub struct Http {
    /// The address, as http://name.namespace:8080/health. Plain http only, and no user in it.
    #[schemars(schema_with = "schema::address")]
    pub url: String,
    /// The answers that are good. Default [200].
    #[serde(default = "super::service::ok")]
    #[schemars(schema_with = "schema::codes")]
    pub status: Vec<i32>,
    /// How many good answers in a row. Default 1.
    #[serde(default = "super::service::one")]
    #[schemars(range(min = 1, max = 100))]
    pub consecutive: i32,
    /// Time between two questions. Default 10s.
    #[serde(default = "super::service::ten_seconds")]
    #[schemars(schema_with = "schema::duration")]
    pub every: String,
}

/// A question to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What people are asked to confirm.
    #[schemars(schema_with = "schema::text")]
    pub message: String,
    /// How many different people have to confirm. Default 1.
    #[serde(default = "super::service::one")]
    #[schemars(range(min = 1, max = 10))]
    pub confirmations: i32,
    /// What it means when not enough people answered within the budget. TurnBack, the default: no. Continue: yes.
    #[serde(default)]
    #[schemars(schema_with = "schema::on_silence")]
    pub on_silence: OnSilence,
}

/// A node to which no new Pod comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cordon {
    /// The node's name.
    #[schemars(schema_with = "schema::name")]
    pub node: String,
}

/// Something to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// What people read in the Event.
    #[schemars(schema_with = "schema::text")]
    pub message: String,
}
