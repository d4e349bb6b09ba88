//! The programs of a night as tasks on the embedded API: the operator and the sentinels, each of which may be killed at once.
//!
//! In: an embedded API. Out: what runs. Invariants: it is the code that ships, from its first request on; dropped, it is dead in the middle of whatever it did.
//! Not here: scenes, and who is killed when.
#![allow(dead_code, reason = "each test uses its part")]

pub mod line;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use kube::Client;
use notturno::embedded::Embedded;
use notturno::model::epoch::Epoch;
use notturno::operator::connect;
use notturno::operator::effects::call::LIMIT;
use notturno::operator::effects::ledger::{self, LedgerRead};
use notturno::operator::effects::tenants::ClientForToken;
use notturno::operator::effects::{Image, Switch, Tenant, Tenants};
use notturno::operator::lead::lead;
use notturno::operator::lease::Elector;
use notturno::operator::{Context, Getter, ServerTime, health, run};
use notturno::sentinel::{self, Post, Readiness};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Whose name the operator bears.
pub const OPERATOR: &str = "notturno";
/// Where its lease is.
pub const LEASE_IN: &str = "notturno-system";

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

/// A user's client, whose calls end when those of a real one do.
pub fn client(embedded: &Embedded, user: &str) -> Client {
    connect::bounded(embedded.client(user), LIMIT)
}

/// Tenants' clients that reach the API as they are.
pub fn directly(embedded: &Embedded) -> ClientForToken {
    let tokens = embedded.clone();
    Arc::new(move |token| Ok(connect::bounded(tokens.client_for_token(token), LIMIT)))
}

/// The image that an operator that arms the dead man's switch was told.
pub fn image() -> Switch {
    Switch::Image(Image { name: "registro.example/notturno@sha256:0".to_owned(), pull_policy: "IfNotPresent".to_owned() })
}

/// Starts an operator without a dead man's switch; `change` may say otherwise.
pub fn operator(embedded: &Embedded, client_for_token: ClientForToken, change: impl FnOnce(&mut Context)) -> Running {
    started(embedded, client_for_token, change, false)
}

/// The same as one replica of several: it works while it holds the lease.
pub fn leader(embedded: &Embedded, client_for_token: ClientForToken, change: impl FnOnce(&mut Context)) -> Running {
    started(embedded, client_for_token, change, true)
}

fn started(embedded: &Embedded, client_for_token: ClientForToken, change: impl FnOnce(&mut Context), elects: bool) -> Running {
    let tenants = Tenants::new(client(embedded, OPERATOR), client_for_token);
    let asked = embedded.clone();
    let getter: Getter = Arc::new(move |url: String| std::future::ready(asked.http_get(&url)).boxed());
    let time = ServerTime::of(embedded.clock());
    let mut context = Context::new(client(embedded, OPERATOR), tenants, time, getter).expect("numbers");
    context.switch = Switch::Without;
    change(&mut context);
    let (_, pulse) = health::health(context.metrics.clone(), context.time.clone());
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let own = context.clone();
    if elects {
        let client = client(embedded, OPERATOR);
        let elector = Elector::new(client, LEASE_IN, OPERATOR, "uno", own.time.clone(), own.metrics.clone());
        tasks.spawn(async move { lead(own, elector, pulse, stopped).await.expect("the watch goes on") });
    } else {
        tasks.spawn(async move { run(own, pulse, stopped).await.expect("the watch goes on") });
    }
    Running { tasks, stop, context }
}

/// Whose night it is.
#[derive(Clone, Debug)]
pub struct Whose {
    pub namespace: &'static str,
    pub name: &'static str,
}

/// The night's ledger; none before it was accepted.
pub async fn ledger_of(embedded: &Embedded, whose: &Whose) -> Option<LedgerRead> {
    let night = embedded.object("notturno.dev", "interventions", whose.namespace, whose.name)?;
    let uid = night["metadata"]["uid"].as_str().expect("a UID").to_owned();
    let tenant = Tenant::new(embedded.client("test"), whose.namespace, "test");
    ledger::read(&tenant, whose.name, &uid).await.ok().flatten()
}

/// What its machine takes for the time; none: it has the API server's.
pub type Wall = Option<fn() -> Timestamp>;

/// One of the two sentinels of the night, from the arming on; dropped, it is dead at once.
pub fn sentinel(embedded: &Embedded, whose: &Whose, by: &str, client: Client, readiness: Readiness, wall: Wall) -> JoinSet<()> {
    let (embedded, whose, by) = (embedded.clone(), whose.clone(), format!("sentinel {by}"));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (plan, plan_hash, preimages) = loop {
            let read = ledger_of(&embedded, &whose).await;
            if let Some(LedgerRead { plan, plan_hash, preimages: Some(preimages), .. }) = read {
                break (plan, plan_hash, preimages);
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        let time = match wall {
            Some(local) => ServerTime::measured(&client, local).await,
            None => ServerTime::of(embedded.clock()),
        };
        let tenant = Tenant::new(client, whose.namespace, "").with_epoch(Epoch::SENTINELS);
        let getter: Getter = Arc::new(move |url: String| std::future::ready(embedded.http_get(&url)).boxed());
        let post = Post { tenant, plan: Arc::new(plan), plan_hash, preimages, time, getter, by };
        let (_stop, stopped) = watch::channel(false);
        sentinel::stand(post, readiness, stopped).await;
    });
    tasks
}
