//! What the tests share: a cluster by day, a tenant, and ways to be interrupted.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use notturno::clock::Clock;
use notturno::embedded::{Embedded, Fault, RequestInfo, Stage, Verb};
use notturno::engine::{Command, Entry, Event, Interest};
use notturno::model::plan::Plan;
use notturno::operator::effects::Switch;
use notturno::operator::effects::ledger::{accept, plan_hash};
use notturno::operator::effects::pod_security::Level;
use notturno::operator::effects::{Done, Head, Judge, PerformError, Preimages, Seen, Tenant, arm, observe, perform};
use serde_json::{Value, json};

use crate::sample;

/// A cluster, and a night in it.
pub struct Scene {
    pub api: Embedded,
    pub tenant: Tenant,
    pub plan: Plan,
}

/// A night that is armed.
pub struct Armed {
    pub scene: Scene,
    pub preimages: Preimages,
}

impl Scene {
    /// By day: everything that the sample night names is there.
    pub fn by_day() -> Self {
        let api = Embedded::new(Clock::starting_at(at("2026-11-24T23:00:00Z")));
        for object in objects() {
            api.create(object).unwrap();
        }
        let tenant =
            Tenant::new(api.client("system:serviceaccount:centro-dati:lavori-notturni"), "centro-dati", "lavori-notturni");
        Self { api, tenant, plan: sample::plan() }
    }

    pub async fn accept(&self) -> Head {
        let entry = Entry {
            at: self.api.clock().now(),
            event: Event::Accepted { plan_hash: plan_hash(&self.plan) },
            why: "it fits".into(),
        };
        accept(&self.tenant, &self.plan, "operator-0", vec![entry]).await.unwrap()
    }

    pub async fn armed() -> Armed {
        let scene = Self::by_day();
        scene.accept().await;
        let preimages = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
        Armed { scene, preimages }
    }

    pub fn get(&self, resource: &str, name: &str) -> Value {
        let group = match resource {
            "deployments" => "apps",
            "cronjobs" | "jobs" => "batch",
            _ => "",
        };
        let namespace =
            if ["jobs", "pods"].contains(&resource) || name.starts_with("notturno-") { "centro-dati" } else { "sanita" };
        self.api.object(group, resource, namespace, name).unwrap_or(Value::Null)
    }

    pub fn token(&self, resource: &str, name: &str) -> String {
        let object = self.get(resource, name);
        let token = object["metadata"]["annotations"]["notturno.dev/token"].as_str().unwrap_or("none").to_owned();
        token.strip_prefix(&format!("{}.", sample::UID)).unwrap_or(&token).to_owned()
    }

    /// What another hand does to an object, as a merge patch.
    pub async fn another_hand(&self, resource: &str, name: &str, patch: Value) {
        merge(&self.api, resource, name, patch).await;
    }

    /// The names of the objects changed since the `count`th request, oldest first.
    pub fn changed_since(&self, count: usize) -> Vec<String> {
        self.api.log().into_iter().skip(count).filter(|logged| logged.changed).map(|logged| logged.request.name).collect()
    }

    pub fn fault(&self, fault: impl Fn(&RequestInfo, Stage) -> Fault + Send + Sync + 'static) {
        self.api.set_fault(Some(Arc::new(fault)));
    }

    /// The next patch of `name` is sent and lands only after `seconds`.
    pub fn delay_patches_of(&self, name: &'static str, seconds: u64) {
        self.fault(move |request, stage| {
            let late = request.verb == Verb::Patch && !request.dry_run && request.name == name && stage == Stage::Before;
            let ours = request.user.contains("lavori-notturni");
            if late && ours { Fault::Delay(Duration::from_secs(seconds)) } else { Fault::None }
        });
    }

    pub fn set_calm(&self) {
        self.api.set_fault(None);
    }
}

impl Armed {
    pub async fn perform(&self, command: Command) -> Result<Done, PerformError> {
        let now = self.scene.api.clock().now();
        perform(&self.scene.tenant, &self.scene.plan, &self.preimages, now, &command).await
    }

    pub async fn observe(&self) -> Seen {
        let changes = (0..self.scene.plan.steps.len()).collect();
        let interest = Interest { jobs: true, jobs_change: true, targets: [0, 1].into(), degraded: [0, 1].into(), changes };
        observe(&self.scene.tenant, &self.scene.plan, &self.preimages, self.scene.api.clock().now(), &interest).await
    }
}

/// All may be asked.
pub fn any_address() -> Judge {
    Arc::new(|_| Box::pin(std::future::ready(Ok(()))))
}

/// A merge patch by somebody with other rights.
pub async fn merge(api: &Embedded, resource: &str, name: &str, patch: Value) {
    let group = match resource {
        "deployments" => "apis/apps/v1",
        "cronjobs" | "jobs" => "apis/batch/v1",
        _ => "api/v1",
    };
    let ours = ["jobs", "pods"].contains(&resource) || name.starts_with("notturno-") || name == "prova";
    let namespace = if ours { "centro-dati" } else { "sanita" };
    let request = http::Request::patch(format!("/{group}/namespaces/{namespace}/{resource}/{name}"))
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_string().into_bytes())
        .unwrap();
    api.client("another").request::<Value>(request).await.unwrap();
}

/// Deletes an object and makes it anew, as a dump would: all but what the API server gives.
pub async fn recreate(api: &Embedded, resource: &str, name: &str) {
    let group = if resource == "deployments" { "apps" } else { "batch" };
    let namespace = if resource == "jobs" { "centro-dati" } else { "sanita" };
    let mut object = api.object(group, resource, namespace, name).unwrap();
    let request =
        http::Request::delete(format!("/apis/{group}/v1/namespaces/{namespace}/{resource}/{name}")).body(Vec::new()).unwrap();
    api.client("another").request::<Value>(request).await.unwrap();
    for given in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(given);
    }
    object.as_object_mut().unwrap().remove("status");
    api.create(object).unwrap();
}

/// An object as people wrote it: without what the API server and controllers keep in it.
pub fn written(mut object: Value) -> Value {
    object.as_object_mut().unwrap().remove("status");
    for kept in ["resourceVersion", "generation", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(kept);
    }
    object
}

/// Every object, as [`written`].
pub fn all_written(api: &Embedded) -> Vec<Value> {
    let mut all: Vec<Value> = api.objects().into_iter().map(written).collect();
    for object in &mut all {
        object["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    }
    all
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

fn objects() -> Vec<Value> {
    let deployment = |name: &str, replicas: i64| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "sanita"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}}}})
    };
    let cron_job = |namespace: &str, name: &str, suspend: bool, behaviour: Value| {
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": namespace},
            "spec": {"schedule": "0 0 1 1 *", "suspend": suspend, "jobTemplate": {"spec": {"backoffLimit": 3, "template": {
                "metadata": {"annotations": behaviour},
                "spec": {"restartPolicy": "OnFailure", "containers": [{"name": "work", "image": "work:1"}]}}}}}})
    };
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lavori-notturni", "namespace": "centro-dati"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pagina", "namespace": "sanita",
            "annotations": {"note": "theirs"}}, "data": {"avviso": "buongiorno"}}),
        deployment("ricetta-api", 3),
        deployment("cup-api", 2),
        cron_job("sanita", "ricetta-batch", false, json!({})),
        cron_job(
            "centro-dati",
            "aggiorna",
            true,
            json!({"embedded.notturno.dev/ends": "Hangs", "embedded.notturno.dev/stops-after": "20s"}),
        ),
        cron_job("centro-dati", "ripristina", true, json!({"embedded.notturno.dev/takes": "10m"})),
        cron_job("centro-dati", "prova", true, json!({})),
    ]
}

/// Closes a service, with time enough.
pub fn close(service: usize) -> Command {
    Command::Close { service, not_after: at("2026-11-25T04:00:00Z") }
}
