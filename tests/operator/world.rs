//! The invented data centre of the tests, with the night of 2023 on it, and an operator that can be killed.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use kube::Client;
use notturno::cli::read::read_texts;
use notturno::clock::Clock;
use notturno::embedded::{Embedded, annotations};
use notturno::engine::Event;
use notturno::model::epoch::Epoch;
use notturno::model::phase::Outcome;
use notturno::operator::effects::ledger::{self, LedgerRead};
use notturno::operator::effects::tenants::ClientForToken;
use notturno::operator::effects::{Image, Judge, Switch, Tenant, Tenants};
use notturno::operator::{Context, Getter, ServerTime, health, run};
use notturno::sentinel::{self, Post, Readiness};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub const NIGHT: &str = "notte-9-febbraio";
pub const WORK: &str = "centro-dati";
pub const SERVICES: [&str; 7] =
    ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica", "cup", "zerocode", "archivio-730", "portale-ts"];
const USER: &str = "notturno";

/// One embedded cluster with everything that the night needs.
pub struct World {
    pub embedded: Embedded,
    pub clock: Clock,
}

/// An operator; dropped, it is dead at once.
pub struct Running {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    pub context: Context,
}

impl Running {
    /// SIGTERM, and the end.
    pub async fn stopped(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("the operator ends well");
        }
    }
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
        let tokens = self.embedded.clone();
        self.operator_with(Arc::new(move |token| Ok(tokens.client_for_token(token))))
    }

    /// An operator whose tenants' clients are made so.
    pub fn operator_with(&self, client_for_token: ClientForToken) -> Running {
        self.start(client_for_token, |_| {})
    }

    /// An operator whose administrator allows only what `judge` does.
    pub fn operator_where(&self, judge: Judge) -> Running {
        let tokens = self.embedded.clone();
        self.start(Arc::new(move |token| Ok(tokens.client_for_token(token))), |context| context.judge = judge)
    }

    /// An operator that arms the dead man's switch.
    pub fn operator_guarded(&self) -> Running {
        let tokens = self.embedded.clone();
        self.operator_guarded_with(Arc::new(move |token| Ok(tokens.client_for_token(token))))
    }

    /// The same, whose tenants' clients are made so.
    pub fn operator_guarded_with(&self, client_for_token: ClientForToken) -> Running {
        let image = Image { name: "registro.example/notturno@sha256:0".to_owned(), pull_policy: "IfNotPresent".to_owned() };
        let guarded = move |context: &mut Context| context.switch = Switch::Image(image);
        self.start(client_for_token, guarded)
    }

    /// An operator that was told nothing about the dead man's switch.
    pub fn operator_untold(&self) -> Running {
        let tokens = self.embedded.clone();
        self.start(Arc::new(move |token| Ok(tokens.client_for_token(token))), |context| context.switch = Switch::Missing)
    }

    /// The Deployment of the night's dead man's switch.
    pub fn switch(&self) -> Option<Value> {
        let found = self.embedded.objects().into_iter().filter(|object| object["kind"] == "Deployment");
        found.into_iter().find(|object| object["metadata"]["labels"]["notturno.dev/role"] == "sentinel")
    }

    fn start(&self, client_for_token: ClientForToken, change: impl FnOnce(&mut Context)) -> Running {
        let tenants = Tenants::new(self.embedded.client(USER), client_for_token);
        let asked = self.embedded.clone();
        let getter: Getter = Arc::new(move |url: String| std::future::ready(asked.http_get(&url)).boxed());
        let time = ServerTime::of(self.clock);
        let mut context = Context::new(self.embedded.client(USER), tenants, time.clone(), getter).expect("numbers");
        context.switch = Switch::Without;
        change(&mut context);
        let (_, pulse) = health::health(context.metrics.clone(), time);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let own = context.clone();
        tasks.spawn(async move { run(own, pulse, stopped).await.expect("the watch goes on") });
        Running { tasks, stop, context }
    }

    /// One of the two sentinels of the night, from the arming on; dropped, it is dead at once.
    pub fn stands_watch(&self, by: &str) -> JoinSet<()> {
        self.stands_watch_through(by, self.embedded.client("sentinel"))
    }

    /// The same, with this client.
    pub fn stands_watch_through(&self, by: &str, client: Client) -> JoinSet<()> {
        let (embedded, clock) = (self.embedded.clone(), self.clock);
        let by = format!("sentinel {by}");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let world = World { embedded: embedded.clone(), clock };
            let (plan, plan_hash, preimages) = loop {
                let read = world.ledger_if_any().await;
                if let Some(LedgerRead { plan, plan_hash, preimages: Some(preimages), .. }) = read {
                    break (plan, plan_hash, preimages);
                }
                tokio::time::sleep(Duration::from_secs(60)).await;
            };
            let tenant = Tenant::new(client, WORK, "").with_epoch(Epoch::SENTINELS);
            let getter: Getter = Arc::new(move |url: String| std::future::ready(embedded.http_get(&url)).boxed());
            let post = Post { tenant, plan: Arc::new(plan), plan_hash, preimages, time: ServerTime::of(clock), getter, by };
            let (_stop, stopped) = watch::channel(false);
            sentinel::stand(post, Readiness::default(), stopped).await;
        });
        tasks
    }

    async fn ledger_if_any(&self) -> Option<LedgerRead> {
        let uid = self.intervention(NIGHT)?["metadata"]["uid"].as_str().expect("a UID").to_owned();
        let tenant = Tenant::new(self.embedded.client("test"), WORK, "lavori-notturni");
        ledger::read(&tenant, NIGHT, &uid).await.ok().flatten()
    }

    pub async fn ledger_has(&self, is: impl Fn(&Event) -> bool) -> bool {
        self.ledger_if_any().await.is_some_and(|read| read.entries.iter().any(|entry| is(&entry.event)))
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
        let uid = self.intervention(NIGHT).expect("the night")["metadata"]["uid"].as_str().expect("a UID").to_owned();
        let tenant = Tenant::new(self.embedded.client("test"), WORK, "lavori-notturni");
        ledger::read(&tenant, NIGHT, &uid).await.expect("a ledger").expect("a ledger")
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
