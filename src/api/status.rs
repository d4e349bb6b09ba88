//! The status of an `Intervention`: a report of the ledger for people and tools.
//!
//! In: what the operator knows. Out: what `kubectl get` and `kubectl describe` show. Invariants: **never read back** but for what
//! people were told already, so a lost or forged status cannot alter a night; [`InterventionStatus::within_bounds`] before every write,
//! because an API server refuses a status that its schema does not hold. What is not here: conditions from states
//! ([`super::conditions`]).
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "kubectl explain shows these docs: they are plain text")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::model::phase::{Outcome, Phase};

/// How the night goes: a report of the night's ledger. It is written for people and never read back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct InterventionStatus {
    /// Pending, Armed (everything the night needs exists), Working, TurningBack (stopping and undoing), Reopening, Verifying,
    /// Finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::phase")]
    pub phase: Option<Phase>,
    /// How the night ended. Completed: the work is done. RolledBack: the work was undone. ReopenedLate: a service opened after
    /// its deadline, or is still closed. Cancelled and Refused: nothing was touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::outcome")]
    pub outcome: Option<Outcome>,
    /// Whether a person has to act; why says on what.
    #[serde(default)]
    pub needs_human: bool,
    /// The step that runs, or the last one that ran; several are joined by a comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::why")]
    pub step: Option<String>,
    /// The hash of the frozen plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::title")]
    pub plan_hash: Option<String>,
    /// When work begins, in the zone of the doors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub start_at: Option<String>,
    /// The deadline: everything is open by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub must_serve_by: Option<String>,
    /// The last moment at which going back still opens everything in time. It moves as the night goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub turn_back_at: Option<String>,
    /// The moment from which undoing no longer delays the opening of other services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub reopen_by: Option<String>,
    /// The moment by which people are told when something stays closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub tell_people_by: Option<String>,
    /// When everything is open again if each step takes its budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub planned_open: Option<String>,
    /// turnBackAt less the moment of this report, which stands beside it, as 2h55m at 02:00. It is written when the night moves on and
    /// not as time passes; notturno status shows that of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::title")]
    pub slack: Option<String>,
    /// What the night waits for, or why it ended as it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::why")]
    pub why: Option<String>,
    /// When the night looks at itself again if nothing happens before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub wake_at: Option<String>,
    /// The doors that set the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_by: Option<BoundBy>,
    /// The services that tonight concerns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub services: Vec<ServiceReport>,
    /// The steps, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<StepReport>,
    /// Why the night may not take place, every reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub refusals: Vec<RefusalReport>,
    /// The dead man's switch: who takes over when the operator is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<SwitchReport>,
    /// The last record in the ledger of which people were told: all its entries, and those of every record before it, are Events and
    /// counted in the metrics, whoever wrote them. It never runs ahead of what was told and may lag behind; an operator that comes
    /// back tells what follows it. An Event that the API server did not take for some minutes counts as told: it stands in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_up_to: Option<i32>,
    /// Ready, Reconciling, Stalled, Complete and Failed, as kstatus and kubectl wait read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The metadata.generation that this report is about; -1 until there is a report, so that nobody takes silence for ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The dead man's switch tonight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SwitchReport {
    /// Whether it would take over.
    pub armed: bool,
    /// Since when that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub since: Option<String>,
    /// Its Deployment, as namespace/name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::reference")]
    pub deployment: Option<String>,
    /// What it waits for, or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::why")]
    pub why: Option<String>,
}

/// The doors that set the deadline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoundBy {
    /// The service, as namespace/name.
    #[schemars(schema_with = "schema::reference")]
    pub service: String,
    /// The site.
    #[schemars(schema_with = "schema::label")]
    pub site: String,
    /// The site's calendar.
    #[schemars(schema_with = "schema::name")]
    pub calendar: String,
}

/// One service tonight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// The service, as namespace/name.
    #[schemars(schema_with = "schema::reference")]
    pub name: String,
    /// Where it stands, one CamelCase word, as Open, Closed, Dirty.
    #[schemars(schema_with = "schema::title")]
    pub state: String,
    /// When its closing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub closed_at: Option<String>,
    /// When its probes proved that it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub open_at: Option<String>,
    /// Why it stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::why")]
    pub because: Option<String>,
}

/// One step tonight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// The step.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// Where it stands, one CamelCase word, as Running, Succeeded, Undone.
    #[schemars(schema_with = "schema::title")]
    pub state: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub ended_at: Option<String>,
}

/// One reason why the night may not take place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusalReport {
    /// The kind of reason, one CamelCase word.
    #[schemars(schema_with = "schema::title")]
    pub reason: String,
    /// The object, as Kind/namespace/name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::why")]
    pub object: Option<String>,
    /// The field, as spec.steps[4].budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::why")]
    pub path: Option<String>,
    /// What is wrong and what to do.
    #[schemars(schema_with = "schema::why")]
    pub message: String,
    /// The sum that does not come out, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub sum: Vec<TermReport>,
}

/// One line of a sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TermReport {
    /// What it is, as undo, smoke, reopen, reserve, total.
    #[schemars(schema_with = "schema::title")]
    pub term: String,
    /// The moment, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub at: Option<String>,
    /// The time it takes, when it is one.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::title")]
    pub span: Option<String>,
}

impl InterventionStatus {
    /// The same, cut to what the schema holds: long texts end in `…`, long lists end early.
    #[must_use]
    pub fn within_bounds(mut self) -> Self {
        for text in [&mut self.step, &mut self.why].into_iter().flatten() {
            cut(text);
        }
        self.services.truncate(schema::REPORTED_MAX);
        self.services.iter_mut().filter_map(|service| service.because.as_mut()).for_each(cut);
        self.steps.truncate(schema::STEPS_MAX);
        self.refusals.truncate(schema::REPORTED_MAX);
        for refusal in &mut self.refusals {
            cut(&mut refusal.message);
            [&mut refusal.object, &mut refusal.path].into_iter().flatten().for_each(cut);
            refusal.sum.truncate(64);
        }
        self.switch.iter_mut().filter_map(|switch| switch.why.as_mut()).for_each(cut);
        self.conditions.iter_mut().for_each(|condition| cut(&mut condition.message));
        self
    }
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(schema::WHY_MAX) {
        let last = text.char_indices().nth(schema::WHY_MAX - 1).map_or(at, |(last, _)| last);
        text.truncate(last);
        text.push('…');
    }
}
