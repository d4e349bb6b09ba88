//! What the tests share: a clock that starts on the night of the story, clients, and short ways to say what they mean.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use notturno::clock::Clock;
use notturno::embedded::Embedded;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub const NS: &str = "centro-dati";

/// An empty API at 23:30 UTC on 9 February 2023.
pub fn embedded() -> Embedded {
    Embedded::new(Clock::starting_at("2023-02-09T23:30:00Z".parse().unwrap()))
}

pub fn client(embedded: &Embedded) -> Client {
    embedded.client("anna@centro-dati")
}

pub fn api<K>(embedded: &Embedded) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client(embedded), NS)
}

pub fn typed<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

pub async fn create<K>(embedded: &Embedded, value: Value) -> K
where
    K: Resource<Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug,
    K::DynamicType: Default,
{
    api::<K>(embedded).create(&PostParams::default(), &typed(value)).await.unwrap()
}

pub fn config(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub async fn read_config(embedded: &Embedded, name: &str) -> ConfigMap {
    api::<ConfigMap>(embedded).get(name).await.unwrap()
}

/// A Job of one container whose Pod template has these annotations; `spec` is merged over its spec.
pub fn job(name: &str, annotations: &Value, spec: &Value) -> Value {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": NS}, "spec": {
        "backoffLimit": 0,
        "template": {"metadata": {"labels": {"step": name}, "annotations": annotations},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "work", "image": "work:1"}]}}}});
    json_patch::merge(&mut job, &json!({"spec": spec}));
    job
}

pub async fn read_job(embedded: &Embedded, name: &str) -> Job {
    api::<Job>(embedded).get(name).await.unwrap()
}

pub async fn pods(embedded: &Embedded) -> Vec<Pod> {
    api::<Pod>(embedded).list(&ListParams::default()).await.unwrap().items
}

pub async fn suspend(embedded: &Embedded, name: &str, suspended: bool) -> Job {
    merge::<Job>(embedded, name, json!({"spec": {"suspend": suspended}})).await
}

pub async fn merge<K>(embedded: &Embedded, name: &str, patch: Value) -> K
where
    K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    K::DynamicType: Default,
{
    api::<K>(embedded).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
}

/// The status of a condition of a Job, empty when it has none.
pub fn condition(job: &Job, kind: &str) -> String {
    let conditions = job.status.clone().unwrap_or_default().conditions.unwrap_or_default();
    conditions.into_iter().find(|one| one.type_ == kind).map(|one| one.status).unwrap_or_default()
}

pub fn phase(pod: &Pod) -> String {
    pod.status.clone().unwrap_or_default().phase.unwrap_or_default()
}

/// The exit code of a Pod's first container, once it has ended.
pub fn exit_code(pod: &Pod) -> Option<i32> {
    let statuses = pod.status.clone()?.container_statuses?;
    statuses.first()?.state.clone()?.terminated.map(|ended| ended.exit_code)
}

/// Code and reason of a refused request.
pub fn refusal<T: Debug>(result: kube::Result<T>) -> (u16, String) {
    match result.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.reason),
        other => panic!("not an answer of the API: {other:?}"),
    }
}

pub fn refused(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

pub async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(count * 60)).await;
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
