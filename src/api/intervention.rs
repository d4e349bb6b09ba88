//! `Intervention` on the wire: one night.
//!
//! In: what people write. Out: the raw object, as the API server stores it. Invariants: the doc comments are what
//! `kubectl explain` shows; the spec never changes. It is immutable from its creation and not only from acceptance: acceptance
//! follows within seconds and nobody can see it coming, so an edit could race the plan made from what stood there before. An
//! Intervention is an order; who wants another night writes another one. What is not here: [`super::status`].

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
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Turn Back", type_ = "string", json_path = ".status.turnBackAt"),
    printcolumn(name = "Must Serve By", type_ = "string", json_path = ".status.mustServeBy"),
    printcolumn(name = "Slack", type_ = "string", json_path = ".status.slack"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "Needs Human", type_ = "boolean", json_path = ".status.needsHuman", priority = 1),
    printcolumn(name = "Start", type_ = "string", json_path = ".spec.startTime", priority = 1),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.why", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
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
    /// Run does the work. Rehearse does everything but the changes.
    #[serde(default)]
    #[schemars(schema_with = "schema::mode")]
    pub mode: Mode,
    /// When work begins: RFC 3339 with seconds and the offset, as 2023-02-10T00:30:00+01:00. Absolute, so that nothing starts
    /// again when the object is applied again: created later than startTime + startTolerance, the night is refused.
    #[schemars(schema_with = "schema::moment")]
    pub start_time: String,
    /// How much later than startTime work may still begin.
    #[serde(default = "half_an_hour")]
    #[schemars(schema_with = "schema::duration")]
    pub start_tolerance: String,
    /// How long before the first doors open everything has to be open: the deadline is the first opening less this.
    #[serde(default = "a_quarter")]
    #[schemars(schema_with = "schema::duration")]
    pub margin: String,
    /// How long before the first doors open people are told when something stays closed.
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
