//! `PublicService` on the wire: a service people use, how it is closed and how it is known to be open again.
//!
//! In: what people write. Out: the raw object, as the API server stores it. Invariants: the doc comments are what
//! `kubectl explain` shows; a closing is one named option out of several, never a tagged union, so that errors keep their
//! place. What is not here: reading durations and references ([`super::validate`]).
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "kubectl explain shows these docs: they are plain text")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::action::Operation;
use super::schema;
use crate::model::service::{DependencyMode, WhenRed};

/// A service that people use. It says who stands before which door and when, what it cannot work without, how it is
/// closed, how one knows that it is open again, and which namespaces may close it. Nothing is closed because a
/// PublicService exists: a Runbook closes it, for one night.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "notturno.dev",
    version = "v1alpha1",
    kind = "PublicService",
    namespaced,
    category = "notturno",
    derive = "PartialEq",
    doc = "A service that people use: who needs it when, how it is closed, how one knows that it is open again.",
    printcolumn = r#"{"name": "Title", "type": "string", "jsonPath": ".spec.title.it"}"#,
    printcolumn = r#"{"name": "Reopen Budget", "type": "string", "jsonPath": ".spec.reopen.budget"}"#,
    printcolumn = r#"{"name": "When Dirty", "type": "string", "jsonPath": ".spec.whenDirty"}"#,
    printcolumn = r#"{"name": "Depends On", "type": "string", "jsonPath": ".spec.dependsOn[*].service", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.close) || self.close.size() == 0 || (has(self.reopen) && has(self.reopen.budget))",
     "message": "a service that can be closed says how long opening it takes: write reopen.budget"},
    {"rule": "(has(self.degraded) && self.degraded.size() > 0) == (has(self.whenDirty) && self.whenDirty == 'OpenDegraded')",
     "message": "whenDirty: OpenDegraded and degraded, what is changed then, go together: write both or neither"},
    {"rule": "has(self.whenDirtyReason) == (has(self.whenDirty) && self.whenDirty == 'Open')",
     "message": "whenDirty: Open and whenDirtyReason, why that is better than a closed door, go together: write both or neither"},
]))]
pub struct PublicServiceSpec {
    /// The service's name for the public.
    pub title: Text,
    /// Where people stand before the service, each place with its opening hours. The first site that opens after the
    /// service was closed sets the night's deadline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sites: Vec<Site>,
    /// The services that this one calls. When one that it calls with mode Sync is closed, this one does not work either, and its
    /// sites count for the night's deadline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service"]))]
    pub depends_on: Vec<Dependency>,
    /// How to close the service: changes of objects in the service's own namespace, made in this order. What each one
    /// replaces is captured before the night and put back in reverse order. Empty for a service that is never closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub close: Vec<Closing>,
    /// How long opening may take and how one knows that the service is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopen: Option<Reopen>,
    /// What becomes of the service when work on its data is half done and could not be undone before doors. StayClosed, the
    /// default: it stays closed. OpenDegraded: it opens and is changed as degraded says. Open: it opens as it is, for the reason in
    /// whenDirtyReason. Before it opens so, what would still undo the work is stopped for good. In all three people are told, by
    /// Event, status and metrics: nobody is called by the program itself.
    #[serde(default)]
    #[schemars(schema_with = "schema::when_dirty")]
    pub when_dirty: WhenDirty,
    /// With whenDirty OpenDegraded: changes of objects in the service's own namespace, made in this order right after what was closed
    /// is as before, such as one that makes it read-only. They may be of the same objects as those in close. They stay until a person
    /// takes them away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub degraded: Vec<Closing>,
    /// With whenDirty Open: why half-done work behind an open door is better than a closed one. People read it when it happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub when_dirty_reason: Option<String>,
    /// What becomes of the service when the work was finished, the service was opened, and it does not answer within its budget.
    /// CallPerson, the default: it is left as it is. OpenDegraded: it counts as open in part, and the night may end.
    /// CloseAgain: it is closed again, with nothing restored. In all three people are told.
    #[serde(default)]
    #[schemars(schema_with = "schema::when_red")]
    pub when_red: WhenRed,
    /// The namespaces whose runbooks may close this service; its own always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"]))]
    pub allowed_from: Vec<AllowedFrom>,
    /// Whom to call, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub contacts: Vec<Contact>,
}

/// What becomes of a service on half-done work, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenDirty {
    /// It stays closed.
    #[default]
    StayClosed,
    /// It opens, changed as it declares.
    OpenDegraded,
    /// It opens.
    Open,
}

/// A text for the public, in at least one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.it) || has(self.en)", "message": "write the text in at least one language: it or en"},
]))]
pub struct Text {
    /// Italian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub it: Option<String>,
    /// English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub en: Option<String>,
}

/// A place with opening hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// A name, unique in the service.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// The OfficeCalendar that the site keeps.
    #[schemars(schema_with = "schema::name")]
    pub calendar: String,
    /// What the site bears when the service is closed while the site is open. A night that closes the service during this
    /// site's hours is refused unless it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerates: Option<Tolerates>,
}

/// How long an open site can do without the service, and with what instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tolerates {
    /// How long, counted from the planned closing, as 7h; gets no margin.
    #[schemars(schema_with = "schema::duration")]
    pub closed_for: String,
    /// What people use instead.
    pub fallback: Text,
}

/// A service that this one calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The PublicService: its name in this namespace, or namespace/name.
    #[schemars(schema_with = "schema::reference")]
    pub service: String,
    /// Sync: when the other is closed, people here notice at once. Async: they notice later; the deadline is not theirs.
    #[schemars(schema_with = "schema::dependency_mode")]
    pub mode: DependencyMode,
    /// What people use while the other is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Text>,
}

/// One reversible change of one object: a name and exactly one of scale, suspend and patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(has(self.scale) ? 1 : 0) + (has(self.suspend) ? 1 : 0) + (has(self.patch) ? 1 : 0) == 1",
     "message": "a closing does exactly one thing: write one of scale, suspend, patch"},
]))]
pub struct Closing {
    /// A name, unique in the service.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// Sets spec.replicas of a Deployment, a StatefulSet, or anything that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Sets spec.suspend of a CronJob, or of anything that has it, to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<Suspend>,
    /// Merges a patch into an object, such as the one that points people to a courtesy page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
}

/// A number of replicas while closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// The object.
    pub target: Target,
    /// The replicas while closed. The number from before comes back when the service opens.
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: i32,
}

/// A schedule that rests while closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suspend {
    /// The object.
    pub target: Target,
}

/// A change of an object while closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.target.kind != 'Secret' || self.target.apiVersion != 'v1'",
     "message": "a Secret is never a target: its content would stand in the night's records"},
    {"rule": "has(self.merge) != has(self.json)", "message": "a patch has exactly one form: write merge or json"},
]))]
pub struct Patch {
    /// The object.
    pub target: Target,
    /// A JSON merge patch (RFC 7386): what it names becomes this while closed, null removes, lists are replaced whole.
    /// What it replaces comes back when the service opens. It may change anything but apiVersion, kind, status and, of the
    /// metadata, more than labels and annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    pub merge: Option<Map<String, Value>>,
    /// A JSON patch (RFC 6902), all or nothing. What it changes comes back when the service opens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub json: Vec<Operation>,
}

/// An object in the service's own namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its API group and version, as apps/v1; v1 for the core group.
    #[schemars(schema_with = "schema::api_version")]
    pub api_version: String,
    /// Its kind, as Deployment.
    #[schemars(schema_with = "schema::kind")]
    pub kind: String,
    /// Its name.
    #[schemars(schema_with = "schema::name")]
    pub name: String,
}

/// The way back to an open door.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.budget) || duration(self.budget) > duration('0s')", "message": "a budget is longer than nothing",
     "fieldPath": ".budget"},
]))]
pub struct Reopen {
    /// How long opening may take, from the first change to the last good answer of the probes, as 6m. This time is kept
    /// free from the first minute of the night.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub budget: Option<String>,
    /// The shares in which people are let in again, as [10%, 50%, 100%]. Recorded, not yet acted on: everybody is let in at
    /// once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ramp")]
    pub ramp: Vec<String>,
    /// How one knows that the service is open: all of them answer. Without a probe it counts as open once its objects are as
    /// they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub probes: Vec<Probe>,
}

/// A question that an open service answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.every) || duration(self.every) > duration('0s')", "message": "time between two questions is longer than nothing",
     "fieldPath": ".every"},
]))]
pub struct Probe {
    /// A name, unique in the service.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// An HTTP GET from inside the cluster.
    pub http: HttpGet,
    /// How many good answers in a row mean open. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub consecutive: i32,
    /// Time between two questions. Default 10s.
    #[serde(default = "ten_seconds")]
    #[schemars(schema_with = "schema::duration")]
    pub every: String,
}

/// An HTTP GET.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// The address, as http://name.namespace:8080/health. Plain http only, and no user in it.
    #[schemars(schema_with = "schema::address")]
    pub url: String,
    /// The answers that mean open. Default [200].
    #[serde(default = "ok")]
    #[schemars(schema_with = "schema::codes")]
    pub status: Vec<i32>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedFrom {
    /// The namespace whose runbooks may close the service.
    #[schemars(schema_with = "schema::label")]
    pub namespace: String,
}

/// Somebody to call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// The duty, as reperibile (on call).
    #[schemars(schema_with = "schema::title")]
    pub role: String,
    /// Who has it.
    #[schemars(schema_with = "schema::title")]
    pub name: String,
    /// The channel on which to call. Recorded and shown, not yet acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::title")]
    pub notify: Option<String>,
}

pub(super) fn one() -> i32 {
    1
}

pub(super) fn ten_seconds() -> String {
    "10s".to_owned()
}

pub(super) fn ok() -> Vec<i32> {
    vec![200]
}
