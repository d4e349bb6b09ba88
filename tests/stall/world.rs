//! A small data centre behind a socket: two services, a night of seconds, and the operator with its shipped client stack.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use notturno::clock::Clock;
use notturno::embedded::{Embedded, annotations};
use notturno::engine::facts::{Ask, Order};
use notturno::operator::effects::ledger::{self, LedgerRead};
use notturno::operator::effects::tenants::ClientForToken;
use notturno::operator::effects::{Tenant, Tenants};
use notturno::operator::{Context, Getter, ServerTime, connect, health, run};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::front::Front;

pub const WORK: &str = "centro-dati";
pub const NIGHT: &str = "notte";
/// So long a call may take in most tests.
pub const LIMIT: Duration = Duration::from_secs(10);

pub struct World {
    pub embedded: Embedded,
    pub clock: Clock,
    pub front: Front,
}

/// An operator; dropped, it is dead at once.
pub struct Running {
    tasks: JoinSet<()>,
    _stop: watch::Sender<bool>,
    pub context: Context,
}

impl Running {
    /// It has not ended by itself.
    pub fn is_alive(&mut self) -> bool {
        self.tasks.try_join_next().is_none()
    }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Half past midnight, UTC.
pub fn midnight() -> Timestamp {
    at("2027-01-14T00:30:00Z")
}

/// The upgrade as it is asked for: how long it takes, or that it hangs.
pub struct Upgrade(pub &'static str, pub &'static str);

pub const QUICK: Upgrade = Upgrade("1s", "Succeeded");
pub const HANGS: Upgrade = Upgrade("1s", "Hangs");

impl World {
    pub async fn new(upgrade: Upgrade) -> Self {
        let clock = Clock::starting_at(midnight());
        let embedded = Embedded::new(clock);
        for definition in notturno::api::manifests::crds() {
            embedded.register_definition(&serde_json::to_value(definition).unwrap()).unwrap();
        }
        let world = Self { front: Front::before(&embedded).await, embedded, clock };
        world.create(json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "OfficeCalendar", "metadata": {"name": "sportello"},
            "spec": {"timeZone": "UTC", "hours": "Mo-Su 07:00-16:00"}}));
        world.create(cron_job("ripristina", "1s", "Succeeded"));
        world.create(cron_job("aggiorna", upgrade.0, upgrade.1));
        world.tenant("lavori-notturni");
        for name in ["ricetta", "archivio"] {
            world.service(name);
        }
        world.runbook("aggiornamento", "lavori-notturni", &["ricetta", "archivio"]);
        world
    }

    pub fn create(&self, object: Value) {
        let what = object.to_string();
        self.embedded.create(object).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    }

    pub fn tenant(&self, name: &str) {
        self.create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": WORK}}));
    }

    pub fn service(&self, name: &str) {
        self.create(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "sanita"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "servizio", "image": "registro.example/servizio:1"}]}}}}));
        self.create(json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "PublicService",
            "metadata": {"name": name, "namespace": "sanita"},
            "spec": {"title": {"it": name, "en": name}, "sites": [{"name": "sportelli", "calendar": "sportello"}],
                "close": [{"name": "backend", "scale": {"target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    "replicas": 0}}],
                "reopen": {"budget": "1m"}, "allowedFrom": [{"namespace": WORK}]}}));
    }

    pub fn runbook(&self, name: &str, account: &str, services: &[&str]) {
        let services: Vec<String> = services.iter().map(|name| format!("sanita/{name}")).collect();
        let job = |name: &str| json!({"from": {"cronJob": name}});
        self.create(
            json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": name, "namespace": WORK},
            "spec": {"description": name, "serviceAccountName": account, "reserve": "10m",
                "reopening": {"budget": "10m", "waves": [services]},
                "steps": [
                    {"name": "chiudi", "budget": "10m", "close": {"services": services}},
                    {"name": "aggiorna", "needs": ["chiudi"], "budget": "30m", "job": job("aggiorna"), "touches": services,
                        "undo": {"budget": "30m", "attempts": 2, "job": job("ripristina")}}]}}),
        );
    }

    pub fn declare(&self, name: &str, runbook: &str, starts_in_seconds: i64) {
        let start = self.clock.now() + SignedDuration::from_secs(starts_in_seconds);
        self.create(json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Intervention",
            "metadata": {"name": name, "namespace": WORK},
            "spec": {"runbook": runbook, "mode": "Run", "startTime": start.to_string(), "startTolerance": "30m",
                "margin": "15m", "tellBefore": "1h", "requester": "turno@asl.example"}}));
    }

    /// The night of most tests.
    pub fn night(&self) {
        self.declare(NIGHT, "aggiornamento", 1);
    }

    pub fn operator(&self) -> Running {
        self.operator_with(LIMIT, 60)
    }

    pub fn operator_with(&self, limit: Duration, watch_for_seconds: u32) -> Running {
        self.start(limit, watch_for_seconds, |config| Arc::new(connect::client_for_token(config, limit)))
    }

    /// An operator that makes clients for tokens in another way.
    pub fn operator_where(&self, clients: impl FnOnce(&kube::Config) -> ClientForToken) -> Running {
        self.start(LIMIT, 60, clients)
    }

    fn start(&self, limit: Duration, watch_for_seconds: u32, clients: impl FnOnce(&kube::Config) -> ClientForToken) -> Running {
        let config = self.front.config();
        let client = connect::client(&config, limit).unwrap();
        let tenants = Tenants::new(client.clone(), clients(&config));
        let getter: Getter = Arc::new(|_| ready(Ok(200)).boxed());
        let time = ServerTime::of(self.clock);
        let mut context = Context::new(client, tenants, time.clone(), getter).unwrap();
        context.switch = notturno::operator::effects::Switch::Without;
        context.watch_for_seconds = watch_for_seconds;
        let (_, pulse) = health::health(context.metrics.clone(), time);
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, own) = (JoinSet::new(), context.clone());
        tasks.spawn(async move { run(own, pulse, stopped).await.unwrap() });
        Running { tasks, _stop: stop, context }
    }

    pub fn status(&self, name: &str) -> Value {
        let night = self.embedded.object("notturno.dev", "interventions", WORK, name);
        night.and_then(|night| night.get("status").cloned()).unwrap_or_default()
    }

    /// Waits for something, 30 s at most; how long it took.
    pub async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) -> Duration {
        let since = Instant::now();
        while !is(self) {
            let all = || self.embedded.objects().into_iter().filter(|one| one["kind"] == "Intervention").collect::<Vec<_>>();
            assert!(since.elapsed() < Duration::from_secs(30), "no {what}:\n{}\n{:?}", self.front.story(), all());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        since.elapsed()
    }

    pub async fn phase(&self, name: &str, phase: &str) -> Duration {
        self.until(&format!("{phase} of {name}"), |world| world.status(name)["phase"] == phase).await
    }

    pub async fn outcome(&self, name: &str) -> String {
        self.until(&format!("outcome of {name}"), |world| world.status(name)["outcome"].is_string()).await;
        self.status(name)["outcome"].as_str().unwrap().to_owned()
    }

    /// Waits until a step of a night is under way in this state.
    pub async fn step(&self, name: &str, step: &str, state: &str) {
        let is = |world: &Self| {
            let steps = world.status(name)["steps"].as_array().cloned().unwrap_or_default();
            steps.iter().any(|one| one["name"] == step && one["state"] == state)
        };
        self.until(&format!("{step} {state}"), is).await;
    }

    pub fn uid(&self, name: &str) -> String {
        let night = self.embedded.object("notturno.dev", "interventions", WORK, name).unwrap();
        night["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    pub async fn ledger(&self, name: &str) -> LedgerRead {
        let tenant = Tenant::new(self.embedded.client("test"), WORK, "lavori-notturni");
        ledger::read(&tenant, name, &self.uid(name)).await.unwrap().unwrap()
    }

    /// The jobs of the world that ever had a Pod, with how many.
    pub fn starts(&self) -> Vec<(String, i64)> {
        let count = |job: &Value, field: &str| job["status"][field].as_i64().unwrap_or(0);
        let all = ["active", "succeeded", "failed", "terminating"];
        let jobs = self.embedded.objects().into_iter().filter(|object| object["kind"] == "Job");
        let starts = jobs.map(|job| {
            let name = job["metadata"]["name"].as_str().unwrap();
            let step = name.splitn(3, '-').last().unwrap().to_owned();
            (step, all.iter().map(|field| count(&job, field)).sum())
        });
        starts.filter(|(_, count)| *count > 0).collect()
    }

    pub fn replicas(&self, service: &str) -> i64 {
        self.embedded.object("apps", "deployments", "sanita", service).unwrap()["spec"]["replicas"].as_i64().unwrap()
    }

    /// A person wants this night to go back; the moment at which it was said.
    pub fn turn_back(&self, operator: &Running, name: &str) -> Instant {
        let order = Order { name: format!("{name}-1"), by: "turno".to_owned(), at: self.clock.now(), ask: Ask::TurnBack };
        assert!(operator.context.orders.give(&format!("{WORK}/{name}"), order));
        Instant::now()
    }
}

fn cron_job(name: &str, takes: &str, ends: &str) -> Value {
    let behaviour = json!({(annotations::TAKES): takes, (annotations::ENDS): ends});
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": WORK},
        "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": {
            "metadata": {"annotations": behaviour},
            "spec": {"restartPolicy": "Never", "containers": [{"name": name, "image": "registro.example/lavori:1"}]}}}}}})
}
