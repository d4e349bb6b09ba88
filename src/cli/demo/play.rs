//! The stage: the embedded API, the operator on it, a prober outside, people with orders.
//!
//! In: a branch, a speed. Out: the [`Night`] as the operator wrote it and the prober saw it. Invariants: the operator's code is the one
//! that runs in a cluster, through the same client; time is Tokio's, paused, so that hours pass in milliseconds. Not here: text.

use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::sync::watch;

use super::live::Pace;
use super::night::Night;
use super::prober::Prober;
use super::scene::{self, SERVICES, WORK};
use super::story::Paint;
use super::{Branch, RUNBOOK};
use crate::cli::read::read_texts;
use crate::clock::Clock;
use crate::embedded::Embedded;
use crate::engine::facts::{Ask, Order};
use crate::model::span::{Span, after, before};
use crate::operator::effects::{Switch, Tenant, Tenants, ledger};
use crate::operator::{Context, Getter, Orders, ServerTime, health};

const NIGHT: &str = "notte-9-febbraio";
const USER: &str = "system:serviceaccount:notturno-system:notturno";
/// Before its start the night is applied, by day.
const BY_DAY: Span = Span::minutes(6 * 60);
/// After must-serve-by the curtain falls, whatever is still closed.
const CURTAIN: Span = Span::minutes(12 * 60);

/// Why the demo cannot be played.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// A fault of ours.
    #[error("{0}")]
    Scene(String),
    /// A fault of ours.
    #[error("no runtime")]
    Runtime(#[from] std::io::Error),
}

fn scene_error(what: impl std::fmt::Display) -> DemoError {
    DemoError::Scene(what.to_string())
}

/// Plays the whole night.
pub(super) fn play(branch: &Branch, at_speed: Option<u32>, paint: Paint) -> Result<Night, DemoError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(on_stage(branch, at_speed, paint))
}

async fn on_stage(branch: &Branch, at_speed: Option<u32>, paint: Paint) -> Result<Night, DemoError> {
    let documents =
        read_texts([("sogei-2023.yaml", RUNBOOK.as_bytes())]).map_err(|problems| scene_error(format!("{problems:?}")))?;
    let start_at = start_of(documents.iter().map(|document| &document.value)).ok_or_else(|| scene_error("no start"))?;
    let clock = Clock::starting_at(before(start_at, BY_DAY));
    let embedded = Embedded::new(clock);
    for definition in crate::api::manifests::crds() {
        let definition = serde_json::to_value(definition).map_err(scene_error)?;
        embedded.register_definition(&definition).map_err(|failure| scene_error(format!("{failure:?}")))?;
    }
    let declared = documents.into_iter().map(|document| document.value);
    for object in scene::objects(branch).into_iter().chain(declared) {
        embedded.create(object).map_err(|failure| scene_error(format!("{failure:?}")))?;
    }
    let orders = operator(&embedded, clock)?;
    let prober = Prober::default();
    let watching = prober.clone();
    let (outside, services) = (embedded.clone(), services(&embedded));
    tokio::spawn(async move { watching.watch(outside, clock, SERVICES, services, start_at).await });
    let mut pace = Pace::new(at_speed, paint);
    let mut at = start_at;
    let mut extended = branch.extend_to.is_none();
    loop {
        clock.sleep_until(at).await;
        pace.keep(&embedded, clock).await;
        let status = status(&embedded);
        let deadline = status.get("mustServeBy").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        let curtain = deadline.is_some_and(|deadline| at >= after(deadline, CURTAIN)) || at >= after(start_at, CURTAIN + CURTAIN);
        if curtain || status.get("outcome").and_then(Value::as_str).is_some() {
            break;
        }
        if let Some(order) = order(branch, start_at).filter(|order| !extended && at >= order.at) {
            extended = orders.give(&format!("{WORK}/{NIGHT}"), order);
        }
        at = after(at, pace.step());
    }
    // One more question from outside, so that what opened last was seen.
    clock.sleep_until(after(clock.now(), Span::minutes(1))).await;
    let ledger = read_ledger(&embedded).await?.ok_or_else(|| scene_error("the operator accepted no night"))?;
    Ok(Night { plan: ledger.plan, entries: ledger.entries, status: status(&embedded), seen: prober.seen() })
}

/// Starts the operator on the embedded API.
fn operator(embedded: &Embedded, clock: Clock) -> Result<Orders, DemoError> {
    let tokens = embedded.clone();
    let tenants = Tenants::new(embedded.client(USER), Arc::new(move |token: &str| Ok(tokens.client_for_token(token))));
    let asked = embedded.clone();
    let getter: Getter = Arc::new(move |url: String| std::future::ready(asked.http_get(&url)).boxed());
    let time = ServerTime::of(clock);
    let mut context = Context::new(embedded.client(USER), tenants, time.clone(), getter).map_err(scene_error)?;
    // The operator of the demo does not die.
    context.switch = Switch::Without;
    let orders = context.orders.clone();
    let (_, pulse) = health::health(context.metrics.clone(), time);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        // Held until the stage is taken down, so that nothing asks the operator to stop.
        let _stop = stop;
        if let Err(error) = crate::operator::run(context, pulse, stopped).await {
            crate::cli::note(&format!("the operator ended: {error}"));
        }
    });
    Ok(orders)
}

fn start_of<'a>(mut documents: impl Iterator<Item = &'a Value>) -> Option<Timestamp> {
    let night = documents.find(|document| document.get("kind").and_then(Value::as_str) == Some("Intervention"))?;
    night.get("spec")?.get("startTime")?.as_str()?.parse().ok()
}

fn services(embedded: &Embedded) -> Vec<String> {
    let services = embedded.objects();
    let services = services.iter().filter(|object| object.get("kind").and_then(Value::as_str) == Some("PublicService"));
    let name = |object: &Value| object.get("metadata")?.get("name")?.as_str().map(str::to_owned);
    services.filter_map(name).collect()
}

/// `Intervention.status` as it is now.
fn status(embedded: &Embedded) -> Value {
    let night = embedded.object("notturno.dev", "interventions", WORK, NIGHT);
    night.and_then(|night| night.get("status").cloned()).unwrap_or_default()
}

/// The ledger's owner, with rights that only read here.
fn tenant(embedded: &Embedded) -> (Tenant, String) {
    let uid = embedded.object("notturno.dev", "interventions", WORK, NIGHT);
    let uid = uid.and_then(|night| night.get("metadata")?.get("uid")?.as_str().map(str::to_owned)).unwrap_or_default();
    (Tenant::new(embedded.client("demo"), WORK, "lavori-notturni"), uid)
}

/// Two people ask for more time at 03:40: the budget is gone, the hard cap is near.
fn order(branch: &Branch, start_at: Timestamp) -> Option<Order> {
    let until = branch.extend_to?;
    let zone = TimeZone::get("Europe/Rome").ok()?;
    let asked = start_at.to_zoned(zone.clone()).date().to_datetime(jiff::civil::time(3, 40, 0, 0)).to_zoned(zone.clone()).ok()?;
    let until = start_at.to_zoned(zone.clone()).date().to_datetime(until).to_zoned(zone).ok()?;
    Some(Order {
        name: "proroga-1".to_owned(),
        by: "responsabile.a, responsabile.b".to_owned(),
        at: asked.timestamp(),
        ask: Ask::Extend { step: "aggiorna".to_owned(), until: until.timestamp() },
    })
}

/// The plan and the entries in the ledger.
pub(super) async fn read_ledger(embedded: &Embedded) -> Result<Option<ledger::LedgerRead>, DemoError> {
    let (tenant, uid) = tenant(embedded);
    ledger::read(&tenant, NIGHT, &uid).await.map_err(scene_error)
}
