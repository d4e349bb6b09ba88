//! `Intervention` on the wire: one night.
//!
//! In: what people write. Out: the raw object, as the API server stores it. Invariants: the doc comments are what
//! `kubectl explain` shows; the spec never changes. It is immutable from its creation and not only from acceptance: acceptance
//! follows within seconds and nobody can see it coming, so an edit could race the plan made from what stood there before. An
//! Intervention is an order; who wants another night writes another one. What is not here: [`super::status`].
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "kubectl explain shows these docs: they are plain text")]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::status::InterventionStatus;
use crate::model::runbook::Mode;

/// One night: a runbook, its values, and the moment at which work begins. The plan is frozen by value when the night is
/// accepted; what is edited afterwards cannot alter it. Deleting an unfinished Intervention means turning back: the object
/// stays until the services are settled. The spec is immutable; who wants another night writes another Intervention.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "notturno.dev",
    version = "v1alpha1",
    kind = "Intervention",
    namespaced,
    category = "notturno",
    status = "InterventionStatus",
    derive = "PartialEq",
    doc = "One night: a runbook, its values, the moment at which work begins, and in the status how it goes.",
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Step", "type": "string", "jsonPath": ".status.step"}"#,
    printcolumn = r#"{"name": "Turn Back", "type": "string", "jsonPath": ".status.turnBackAt"}"#,
    printcolumn = r#"{"name": "Must Serve By", "type": "string", "jsonPath": ".status.mustServeBy"}"#,
    printcolumn = r#"{"name": "Slack", "type": "string", "jsonPath": ".status.slack"}"#,
    printcolumn = r#"{"name": "Outcome", "type": "string", "jsonPath": ".status.outcome"}"#,
    printcolumn = r#"{"name": "Needs Human", "type": "boolean", "jsonPath": ".status.needsHuman", "priority": 1}"#,
    printcolumn = r#"{"name": "Start", "type": "string", "jsonPath": ".spec.startTime", "priority": 1}"#,
    printcolumn = r#"{"name": "Why", "type": "string", "jsonPath": ".status.why", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "the spec of an Intervention never changes: write another Intervention"},
]))]
pub struct InterventionSpec {
    /// The Runbook, by its name in this namespace.
    #[schemars(schema_with = "schema::name")]
    pub runbook: String,
    /// Values for the runbook's parameters, all of them strings: quote numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::values")]
    pub parameters: BTreeMap<String, String>,
    /// Run, the default, does the work. Rehearse tries every effect at once, whatever the start, as a dry run with the rights of the work,
    /// and changes nothing: the status says what would be refused.
    #[serde(default)]
    #[schemars(schema_with = "schema::mode")]
    pub mode: Mode,
    /// When work begins: RFC 3339 with seconds and the offset, as 2023-02-10T00:30:00+01:00. Absolute, so that nothing starts
    /// again when the object is applied again: created later than startTime + startTolerance, the night is refused.
    #[schemars(schema_with = "schema::moment")]
    pub start_time: String,
    /// How much later than startTime work may still begin. Default 30m.
    #[serde(default = "half_an_hour")]
    #[schemars(schema_with = "schema::duration")]
    pub start_tolerance: String,
    /// How long before the first doors open everything has to be open: the deadline is the first opening less this.
    /// Default 15m.
    #[serde(default = "a_quarter")]
    #[schemars(schema_with = "schema::duration")]
    pub margin: String,
    /// How long before the first doors open people are told when something stays closed. Default 75m.
    #[serde(default = "an_hour_and_a_quarter")]
    #[schemars(schema_with = "schema::duration")]
    pub tell_before: String,
    /// Who asks for the night. Recorded as written; nothing checks it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::title")]
    pub requester: Option<String>,
}

fn half_an_hour() -> String {
    "30m".to_owned()
}

fn a_quarter() -> String {
    "15m".to_owned()
}

fn an_hour_and_a_quarter() -> String {
    "75m".to_owned()
}
