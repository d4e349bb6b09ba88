//! The dead man's switch in the cluster: a Deployment of two sentinels (DESIGN §4), made with the tenant's hands.
//!
//! In: a plan, the identity of its `ConfigMap`, an image. Out: the Deployment as a value; what is there instead; problems by day.
//! Invariants: it needs nothing of ours but the two `ConfigMaps`, so it has no ownerReference; it bears the hash of the spec it was made
//! with, and one that says otherwise is not it; what is not this night's is never changed or deleted. Not here: when it is made, mended
//! and taken down (the engine), what a sentinel does.

use serde_json::{Value, json};

use crate::engine::switch::SENTINEL_COUNT;
use crate::model::plan::Plan;

use super::call::{Answer, CallError};
use super::ledger::PlanIdentity;
use super::marks;
use super::names::{LedgerNames, sentinel_name, sha256};
use super::operations::{add, annotate, annotated, at, replace, test, text};
use super::perform::PerformError;
use super::tenant::{Tenant, path};

/// Where the program finds the plan.
const PLAN_DIR: &str = "/plan";
const PORT: u16 = 8080;
/// The user of the image.
const USER: u32 = 65532;
/// A node that does not answer keeps its sentinel so long, in seconds: it may still act.
const KEPT_FOR_SECONDS: u32 = 24 * 60 * 60;

/// What the operator was told about the dead man's switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// Nothing: no night is armed.
    #[default]
    Missing,
    /// To do without: nights have nobody but the operator.
    Without,
    /// To run it from this image.
    Image(Image),
}

/// What a sentinel runs from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name, at best with a digest.
    pub name: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
}

impl Image {
    /// The very bytes are named, and not a tag that may move.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.name.contains("@sha256:")
    }
}

/// Why a night is not armed when the operator knows no image.
pub const NO_IMAGE: &str = "no dead man's switch: --sentinel-image is not set; give the operator the image it runs from itself";

/// What is there under the sentinel's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// It is being deleted.
    Going,
    /// Another night's, or nobody's we know.
    Foreign,
    /// It was changed, or made by another version of us.
    Other {
        /// In which respect.
        reason: String,
    },
    /// As it was made.
    Made {
        /// How many sentinels are ready, at least.
        ready_count: u32,
        /// What the Deployment says of the others.
        reason: String,
    },
}

/// `namespace/name` of the Deployment.
#[must_use]
pub fn place(plan: &Plan) -> String {
    format!("{}/{}", plan.namespace, sentinel_name(&plan.name, &plan.uid))
}

fn account(plan: &Plan) -> String {
    match plan.sentinel_service_account.as_str() {
        // Of a plan that was frozen before it could say.
        "" => format!("{}-sentinel", plan.service_account),
        named => named.to_owned(),
    }
}

fn labels(plan: &Plan) -> Value {
    json!({(marks::MANAGED_BY): marks::US, (marks::NIGHT): plan.uid, (marks::ROLE): marks::SENTINEL})
}

/// The whole Deployment.
#[must_use]
pub fn deployment(plan: &Plan, identity: &PlanIdentity, image: &Image) -> Value {
    let own = json!({(marks::NIGHT): plan.uid, (marks::ROLE): marks::SENTINEL});
    let spec = json!({
        "replicas": SENTINEL_COUNT,
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": own},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "template": {"metadata": {"labels": labels(plan)}, "spec": pod(plan, identity, image, &own)},
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": sentinel_name(&plan.name, &plan.uid), "namespace": plan.namespace, "labels": labels(plan),
            "annotations": {(marks::MADE_AS): sha256(spec.to_string())}},
        "spec": spec,
    })
}

fn pod(plan: &Plan, identity: &PlanIdentity, image: &Image, own: &Value) -> Value {
    let apart = |weight: u32, key: &str| json!({"weight": weight, "podAffinityTerm": {"topologyKey": key, "labelSelector": {"matchLabels": own}}});
    let kept =
        |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": KEPT_FOR_SECONDS});
    json!({
        "serviceAccountName": account(plan),
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 5,
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            apart(100, "kubernetes.io/hostname"), apart(50, "topology.kubernetes.io/zone")]}},
        "tolerations": [kept("node.kubernetes.io/not-ready"), kept("node.kubernetes.io/unreachable")],
        "securityContext": {"runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(plan, identity, image)],
        "volumes": [{"name": "plan", "configMap": {"name": identity.name}}],
    })
}

fn container(plan: &Plan, identity: &PlanIdentity, image: &Image) -> Value {
    let probe = |path: &str, seconds: u32| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": seconds, "timeoutSeconds": 5, "failureThreshold": 3});
    let listen = format!("0.0.0.0:{PORT}");
    json!({
        "name": "sentinel",
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "args": ["sentinel", "--namespace", plan.namespace, "--name", plan.name, "--uid", plan.uid,
            "--plan-uid", identity.uid, "--plan-hash", identity.hash, "--plan-dir", PLAN_DIR, "--listen", listen],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": probe("/readyz", 5),
        "livenessProbe": probe("/healthz", 10),
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
        "volumeMounts": [{"name": "plan", "mountPath": PLAN_DIR, "readOnly": true}],
    })
}

fn collection(tenant: &Tenant) -> String {
    path("apps/v1", &tenant.namespace, "deployments", "")
}

fn path_of(tenant: &Tenant, plan: &Plan) -> String {
    path("apps/v1", &tenant.namespace, "deployments", &sentinel_name(&plan.name, &plan.uid))
}

async fn live(tenant: &Tenant, plan: &Plan) -> Result<Option<Value>, CallError> {
    match tenant.get(&path_of(tenant, plan)).await {
        Err(error) if error.answer() == Some(Answer::NotFound) => Ok(None),
        other => other.map(Some),
    }
}

/// Looks at it.
///
/// # Errors
/// The call's.
pub async fn look(tenant: &Tenant, plan: &Plan, identity: &PlanIdentity) -> Result<Found, CallError> {
    Ok(live(tenant, plan).await?.map_or(Found::Missing, |live| found(&live, plan, identity)))
}

/// What the object is.
#[must_use]
pub fn found(live: &Value, plan: &Plan, identity: &PlanIdentity) -> Found {
    if text(live, &["metadata", "labels", marks::NIGHT]) != plan.uid {
        return Found::Foreign;
    }
    if at(live, &["metadata", "deletionTimestamp"]).is_some() {
        return Found::Going;
    }
    // Whatever image it was made with: an operator of another version does not replace a switch that works.
    let running = live.pointer("/spec/template/spec/containers/0").unwrap_or(&Value::Null);
    let image = Image { name: text(running, &["image"]).to_owned(), pull_policy: text(running, &["imagePullPolicy"]).to_owned() };
    let made = deployment(plan, identity, &image);
    let null = &Value::Null;
    if let Some(reason) = difference("spec", made.get("spec").unwrap_or(null), live.get("spec").unwrap_or(null)) {
        return Found::Other { reason };
    }
    if annotated(live, marks::MADE_AS) != annotated(&made, marks::MADE_AS) {
        return Found::Other { reason: format!("it runs {}, and was not made with it", image.name) };
    }
    Found::Made { ready_count: ready_count(live), reason: said(live) }
}

/// Where `live` has not what was made; what is only there is the API server's own.
fn difference(place: &str, made: &Value, live: &Value) -> Option<String> {
    match (made, live) {
        (Value::Object(made), Value::Object(live)) => made
            .iter()
            .find_map(|(key, value)| difference(&format!("{place}.{key}"), value, live.get(key).unwrap_or(&Value::Null))),
        (Value::Array(made), Value::Array(live)) if made.len() == live.len() => {
            let each = made.iter().zip(live).enumerate();
            each.into_iter().find_map(|(index, (made, live))| difference(&format!("{place}[{index}]"), made, live))
        }
        (made, live) if made == live => None,
        (made, live) => Some(format!("{place} is {live} and was made {made}")),
    }
}

/// Pods that are ready and of this template, at least: the API server counts the two apart.
fn ready_count(live: &Value) -> u32 {
    let count = |field: &str| at(live, &["status", field]).and_then(Value::as_u64).unwrap_or(0);
    let generation = |of: &[&str]| at(live, of).and_then(Value::as_i64).unwrap_or(0);
    if generation(&["status", "observedGeneration"]) < generation(&["metadata", "generation"]) {
        return 0;
    }
    let both = (count("readyReplicas") + count("updatedReplicas")).saturating_sub(count("replicas"));
    u32::try_from(both.min(count("readyReplicas"))).unwrap_or(u32::MAX)
}

/// What its conditions say of Pods that are not there.
fn said(live: &Value) -> String {
    let conditions = at(live, &["status", "conditions"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let holds =
        |kind: &str, status: &str| conditions.iter().find(|one| text(one, &["type"]) == kind && text(one, &["status"]) == status);
    let telling =
        holds("ReplicaFailure", "True").or_else(|| holds("Progressing", "False")).or_else(|| holds("Available", "False"));
    telling.map(|one| text(one, &["message"]).to_owned()).unwrap_or_default()
}

/// Makes it, or makes it again what it was; the number of writes.
///
/// # Errors
/// What keeps it from being made.
pub async fn stand(tenant: &Tenant, plan: &Plan, identity: &PlanIdentity, image: &Image) -> Result<u32, PerformError> {
    let what = format!("Deployment {}", place(plan));
    let of = |error| PerformError::of(&what, error);
    let wanted = deployment(plan, identity, image);
    let Some(live) = live(tenant, plan).await.map_err(of)? else {
        return match tenant.create(&collection(tenant), &wanted).await {
            // Another replica was faster: what it made is looked at.
            Err(error) if error.answer() == Some(Answer::AlreadyExists) => Ok(0),
            other => other.map(|_| 1).map_err(of),
        };
    };
    match found(&live, plan, identity) {
        Found::Made { .. } | Found::Missing | Found::Going => Ok(0),
        Found::Foreign => {
            let reason = "it is there already and is not this night's: delete it".to_owned();
            Err(PerformError::Refused { what, reason })
        }
        Found::Other { .. } if live.pointer("/spec/selector") != wanted.pointer("/spec/selector") => {
            // A selector cannot be changed: the next look finds nothing and makes it anew.
            tenant.delete_by_uid(&path_of(tenant, plan), text(&live, &["metadata", "uid"])).await.map(|_| 1).map_err(of)
        }
        Found::Other { .. } => tenant.patch(&path_of(tenant, plan), &mending(&live, &wanted)).await.map(|_| 1).map_err(of),
    }
}

fn mending(live: &Value, wanted: &Value) -> Vec<Value> {
    let part = |pointer: &str| wanted.pointer(pointer).cloned().unwrap_or_default();
    let mut patch = vec![
        test("/metadata/uid", text(live, &["metadata", "uid"])),
        replace("/spec", part("/spec")),
        add("/metadata/labels", part("/metadata/labels")),
    ];
    patch.extend(annotate(live, &[(marks::MADE_AS, annotated(wanted, marks::MADE_AS).unwrap_or_default())]));
    patch
}

/// Takes it down: that very one, when it is this night's; the number of writes.
///
/// # Errors
/// What keeps it there.
pub async fn fall(tenant: &Tenant, plan: &Plan) -> Result<u32, PerformError> {
    let what = format!("Deployment {}", place(plan));
    let of = |error| PerformError::of(&what, error);
    let Some(live) = live(tenant, plan).await.map_err(of)? else { return Ok(0) };
    if text(&live, &["metadata", "labels", marks::NIGHT]) != plan.uid {
        return Ok(0);
    }
    match tenant.delete_by_uid(&path_of(tenant, plan), text(&live, &["metadata", "uid"])).await {
        Err(error) if error.answer() == Some(Answer::NotFound) => Ok(0),
        // Another object has the name by now: it is looked at again.
        Err(error) if error.answer() == Some(Answer::Conflict) => Err(PerformError::Restless { what }),
        other => other.map(|_| 1).map_err(of),
    }
}

/// What a dry run said of one object.
pub(super) struct Tried {
    /// Kind, namespace and name.
    pub(super) object: String,
    /// Whether it would be created.
    pub(super) answer: Result<(), CallError>,
    /// In which respect it would not be what was sent.
    pub(super) changed: Option<String>,
}

/// The Deployment and one of its Pods, as dry runs: admission and quotas answer as they would. Two Pods at once cannot be tried.
pub(super) async fn try_all(tenant: &Tenant, plan: &Plan, image: &Image) -> Vec<Tried> {
    let name = LedgerNames::of(&plan.name, &plan.uid).plan;
    let identity = PlanIdentity { name, uid: plan.uid.clone(), hash: super::ledger::plan_hash(plan) };
    let wanted = deployment(plan, &identity, image);
    let template = wanted.pointer("/spec/template").cloned().unwrap_or_default();
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "notturno-sentinel-rehearsed", "namespace": plan.namespace,
            "labels": template.pointer("/metadata/labels").cloned().unwrap_or_default()},
        "spec": template.get("spec").cloned().unwrap_or_default()});
    let deployments = tenant.try_create(&collection(tenant), &wanted).await;
    let pods = tenant.try_create(&path("v1", &tenant.namespace, "pods", ""), &pod).await;
    let changed = deployments.as_ref().ok().and_then(|stored| match found(stored, plan, &identity) {
        Found::Other { reason } => Some(reason),
        Found::Missing | Found::Going | Found::Foreign | Found::Made { .. } => None,
    });
    let object = format!("Deployment {}", place(plan));
    vec![
        Tried { object: format!("a Pod of {object}"), answer: pods.map(drop), changed: None },
        Tried { object, answer: deployments.map(drop), changed },
    ]
}
