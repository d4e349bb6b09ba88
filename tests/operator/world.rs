//! The invented data centre of the tests, with the night of 2023 on it, and an operator that can be killed.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use notturno::cli::read::read_texts;
use notturno::clock::Clock;
use notturno::embedded::{Embedded, annotations};
use notturno::engine::Event;
use notturno::model::phase::Outcome;
use notturno::operator::effects::ledger::LedgerRead;
use notturno::operator::effects::tenants::ClientForToken;
use notturno::operator::effects::{Judge, Switch};
use notturno::sentinel::Readiness;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::processes::{self, Whose};

pub use crate::processes::Running;

pub const NIGHT: &str = "notte-9-febbraio";
pub const WORK: &str = "centro-dati";
pub const SERVICES: [&str; 7] =
    ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica", "cup", "zerocode", "archivio-730", "portale-ts"];
const WHOSE: Whose = Whose { namespace: WORK, name: NIGHT };

/// One embedded cluster with everything that the night needs.
pub struct World {
    pub embedded: Embedded,
    pub clock: Clock,
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// 18:30 the evening before.
pub fn evening() -> Timestamp {
    at("2023-02-09T18:30:00+01:00")
}

impl World {
    /// The data centre by day; the upgrade hangs, or not.
    pub fn new(upgrade_hangs: bool) -> Self {
        let clock = Clock::starting_at(evening());
        let embedded = Embedded::new(clock);
        for definition in notturno::api::manifests::crds() {
            embedded.register_definition(&serde_json::to_value(definition).expect("JSON")).expect("a definition");
        }
        let world = Self { embedded, clock };
        for object in objects(upgrade_hangs) {
            world.create(object);
        }
        world
    }

    pub fn create(&self, object: Value) {
        let what = object.to_string();
        self.embedded.create(object).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    }

    /// The night of 2023, as its file has it; `change` may make another night of it.
    pub fn declare(&self, change: impl Fn(&mut Value)) {
        for mut object in night() {
            change(&mut object);
            self.create(object);
        }
    }

    pub fn operator(&self) -> Running {
        self.operator_with(processes::directly(&self.embedded))
    }

    /// An operator whose tenants' clients are made so.
    pub fn operator_with(&self, client_for_token: ClientForToken) -> Running {
        processes::operator(&self.embedded, client_for_token, |_| {})
    }

    /// An operator whose administrator allows only what `judge` does.
    pub fn operator_where(&self, judge: Judge) -> Running {
        processes::operator(&self.embedded, processes::directly(&self.embedded), |context| context.judge = judge)
    }

    /// An operator that arms the dead man's switch.
    pub fn operator_guarded(&self) -> Running {
        self.operator_guarded_with(processes::directly(&self.embedded))
    }

    /// The same, whose tenants' clients are made so.
    pub fn operator_guarded_with(&self, client_for_token: ClientForToken) -> Running {
        processes::operator(&self.embedded, client_for_token, |context| context.switch = processes::image())
    }

    /// An operator that was told nothing about the dead man's switch.
    pub fn operator_untold(&self) -> Running {
        processes::operator(&self.embedded, processes::directly(&self.embedded), |context| context.switch = Switch::Missing)
    }

    /// The Deployment of the night's dead man's switch.
    pub fn switch(&self) -> Option<Value> {
        let found = self.embedded.objects().into_iter().filter(|object| object["kind"] == "Deployment");
        found.into_iter().find(|object| object["metadata"]["labels"]["notturno.dev/role"] == "sentinel")
    }

    /// One of the two sentinels of the night, from the arming on; dropped, it is dead at once.
    pub fn stands_watch(&self, by: &str) -> JoinSet<()> {
        self.stands_watch_through(by, self.embedded.client("sentinel"))
    }

    /// The same, with this client.
    pub fn stands_watch_through(&self, by: &str, client: Client) -> JoinSet<()> {
        self.stands_watch_with(by, client, Readiness::default())
    }

    /// The same, whose readiness somebody asks for.
    pub fn stands_watch_saying(&self, by: &str, readiness: Readiness) -> JoinSet<()> {
        self.stands_watch_with(by, self.embedded.client("sentinel"), readiness)
    }

    fn stands_watch_with(&self, by: &str, client: Client, readiness: Readiness) -> JoinSet<()> {
        processes::sentinel(&self.embedded, &WHOSE, by, client, readiness, None)
    }

    pub async fn ledger_has(&self, is: impl Fn(&Event) -> bool) -> bool {
        processes::ledger_of(&self.embedded, &WHOSE).await.is_some_and(|read| read.entries.iter().any(|entry| is(&entry.event)))
    }

    /// Waits until the ledger has an outcome, whatever anybody reports; the outcome.
    pub async fn outcome_in_ledger(&self) -> Outcome {
        let deadline = at("2023-02-10T12:00:00+01:00");
        loop {
            let entries = self.ledger().await.entries;
            let outcome = entries.iter().find_map(|entry| match entry.event {
                Event::Finished { outcome } => Some(outcome),
                _ => None,
            });
            if let Some(outcome) = outcome {
                return outcome;
            }
            let journal = entries.into_iter().map(|entry| format!("{} {}", entry.at, entry.why));
            assert!(self.clock.now() < deadline, "no outcome:\n{}", journal.collect::<Vec<_>>().join("\n"));
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
    }

    pub async fn until(&self, moment: &str) {
        self.clock.sleep_until(at(moment)).await;
    }

    pub fn intervention(&self, name: &str) -> Option<Value> {
        self.embedded.object("notturno.dev", "interventions", WORK, name)
    }

    pub fn status(&self, name: &str) -> Value {
        self.intervention(name).and_then(|night| night.get("status").cloned()).unwrap_or_default()
    }

    /// Waits until the night has an outcome; the outcome.
    pub async fn outcome(&self, name: &str) -> String {
        for _ in 0..2000 {
            if let Some(outcome) = self.status(name)["outcome"].as_str() {
                return outcome.to_owned();
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        let journal = self.ledger().await.entries.into_iter().map(|entry| format!("{} {}", entry.at, entry.why));
        panic!("no outcome:\n{}\n{}", journal.collect::<Vec<_>>().join("\n"), self.status(name));
    }

    pub async fn ledger(&self) -> LedgerRead {
        processes::ledger_of(&self.embedded, &WHOSE).await.expect("a ledger")
    }

    /// What people would find: the spec and our marks on everything that a closing touches.
    pub fn restored(&self) -> Vec<Value> {
        let mut found = vec![];
        for name in SERVICES {
            found.push(self.embedded.object("apps", "deployments", "sanita", name).expect("a Deployment"));
            found.push(self.embedded.object("", "services", "sanita", name).expect("a Service"));
        }
        found.push(self.embedded.object("batch", "cronjobs", "sanita", "ricetta-batch").expect("a CronJob"));
        let part = |object: Value| {
            let annotations = object["metadata"]["annotations"].clone();
            json!({"name": object["metadata"]["name"], "spec": object["spec"], "annotations": annotations})
        };
        found.into_iter().map(part).collect()
    }

    /// What cannot go because of a finalizer of ours.
    pub fn held(&self) -> Vec<String> {
        let holds = |object: &Value| object["metadata"]["finalizers"].to_string().contains("notturno.dev");
        let held = self.embedded.objects().into_iter().filter(holds);
        held.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
    }

    /// How often each Job of the night was started: its Pods, ended or not.
    pub fn starts(&self) -> Vec<(String, i64)> {
        let jobs = self.embedded.objects().into_iter().filter(|object| object["kind"] == "Job");
        let count = |job: &Value, field: &str| job["status"][field].as_i64().unwrap_or(0);
        let all = ["active", "succeeded", "failed", "terminating"];
        let starts = |job: Value| (job["metadata"]["name"].to_string(), all.iter().map(|field| count(&job, field)).sum());
        jobs.map(starts).collect()
    }
}

fn night() -> Vec<Value> {
    let text = include_str!("../../runbooks/sogei-2023.yaml");
    let documents = read_texts([("sogei-2023.yaml", text.as_bytes())]).expect("the runbook");
    documents.into_iter().map(|document| document.value).collect()
}

fn objects(upgrade_hangs: bool) -> Vec<Value> {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lavori-notturni", "namespace": WORK}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "ricetta-batch", "namespace": "sanita"},
            "spec": {"schedule": "*/10 * * * *", "suspend": false, "jobTemplate": job("ricetta-batch", "1m", "Succeeded")}}),
    ];
    for name in SERVICES {
        objects.push(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "sanita", "annotations": {(annotations::READY_AFTER): "2m"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "servizio", "image": "registro.example/servizio:1"}]}}}}));
        objects.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "sanita"},
            "spec": {"selector": {"app": name}, "ports": [{"port": 8080}]}}));
    }
    let upgrade_ends = if upgrade_hangs { "Hangs" } else { "Succeeded" };
    let work = [
        ("verifica-backup", "28m", "Succeeded"),
        ("istantanea", "38m", "Succeeded"),
        ("aggiorna", "85m", upgrade_ends),
        ("ripristina", "55m", "Succeeded"),
        ("indici", "43m", "Succeeded"),
        ("prova-a-porte-chiuse", "13m", "Succeeded"),
    ];
    objects.extend(work.map(|(name, takes, ends)| {
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": WORK},
            "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": job(name, takes, ends)}})
    }));
    objects
}

fn job(name: &str, takes: &str, ends: &str) -> Value {
    let behaviour = json!({(annotations::TAKES): takes, (annotations::ENDS): ends, (annotations::STOPS_AFTER): "20s"});
    json!({"spec": {"template": {"metadata": {"annotations": behaviour},
        "spec": {"restartPolicy": "Never", "containers": [{"name": name, "image": "registro.example/lavori:1"}]}}}})
}
