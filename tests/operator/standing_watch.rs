//! Sentinels in trouble: an API server that blinks, a ledger that another hand changes or hides, an effect that hangs, a Pod made anew.

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use notturno::embedded::RequestInfo;
use notturno::engine::{Entry, Event};
use notturno::model::epoch::Epoch;
use notturno::model::phase::Outcome;
use notturno::operator::effects::{Tenant, ledger};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{NIGHT, WORK, World, at};

fn hanging() -> World {
    let world = World::new(true);
    world.declare(|_| {});
    world
}

/// The upgrade hangs, and nothing turns the night back before its last moment.
fn hanging_to_the_last() -> World {
    let world = World::new(true);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            let steps = object["spec"]["steps"].as_array_mut().unwrap();
            let upgrade = steps.iter_mut().find(|step| step["name"] == "aggiorna").unwrap();
            upgrade["hardCap"] = json!("4h");
            upgrade["onOverrun"] = json!("Continue");
            upgrade["onFutile"] = json!("Continue");
        }
    });
    world
}

fn two(world: &World) -> [JoinSet<()>; 2] {
    ["a", "b"].map(|by| world.stands_watch(by))
}

/// Somebody labels, annotates, copies: a key that is nobody's record.
async fn add_a_key_to_the_ledger(world: &World) {
    let maps = world.embedded.objects().into_iter().filter(|object| object["kind"] == "ConfigMap");
    let mut names = maps.map(|map| map["metadata"]["name"].as_str().unwrap().to_owned());
    let ledger = names.find(|name| name.ends_with("-ledger")).expect("it is there");
    let api: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(world.embedded.client("another"), WORK);
    let change = Patch::Merge(json!({"data": {"appunti": "di un altro"}}));
    api.patch(&ledger, &PatchParams::default(), &change).await.unwrap();
}

fn wrote(request: &RequestInfo) -> bool {
    request.user == "sentinel" && request.write_number.is_some() && !request.dry_run
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_hand_in_the_ledger_blinds_no_sentinel_to_an_operator_that_goes_back() {
    let world = hanging_to_the_last();
    let by_day = world.restored();
    let _operator = world.operator_guarded();
    let _sentinels = two(&world);
    world.until("2023-02-10T04:30:00+01:00").await;
    add_a_key_to_the_ledger(&world).await;
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(120)).await;
    let written: Vec<_> = world.embedded.log().into_iter().filter(|one| wrote(&one.request)).collect();
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(world.restored(), by_day);
}

#[tokio::test(start_paused = true)]
async fn with_a_key_of_another_hand_in_the_ledger_and_the_operator_dead_the_sentinels_undo_and_open_in_time() {
    let world = hanging();
    let by_day = world.restored();
    let operator = world.operator();
    let _sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    add_a_key_to_the_ledger(&world).await;
    assert_eq!(world.outcome_in_ledger().await, Outcome::RolledBack);
    let over_at = world.ledger().await.entries.last().unwrap().at;
    assert!(over_at <= at("2023-02-10T07:00:00+01:00"), "{over_at}");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(world.restored(), by_day);
}

#[tokio::test(start_paused = true)]
async fn an_operator_reads_on_in_a_ledger_with_a_key_of_another_hand_also_behind_its_own_records() {
    let world = hanging_to_the_last();
    let _operator = world.operator_guarded();
    world.until("2023-02-10T04:30:00+01:00").await;
    add_a_key_to_the_ledger(&world).await;
    world.until("2023-02-10T04:40:00+01:00").await;
    let read = world.ledger().await;
    let turned = |entry: &Entry| matches!(entry.event, Event::GoingBack { .. });
    assert!(read.entries.iter().any(turned), "a journal that makes no sense turns the night");
    let taken = Entry { at: world.clock.now(), event: Event::TakenOver { epoch: Epoch::SENTINELS }, why: "by a test".to_owned() };
    let tenant = Tenant::new(world.embedded.client("sentinel"), WORK, "");
    let head = ledger::append(&tenant, &read.plan, &read.head.unwrap(), "sentinel a", vec![taken]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let told = |object: &Value| {
        object["kind"] == "Event" && object["metadata"]["name"].to_string().contains(&format!(".{}.", head.key()))
    };
    assert_eq!(world.embedded.objects().iter().filter(|object| told(object)).count(), 1, "people hear of the takeover from it");
}
