//! What a hostile hand or a broken cluster does to ledger and answers: what is clean opens in time all the same, and nobody calls a night
//! over that is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use notturno::engine::Event;
use notturno::operator::effects::ledger::LedgerRead;
use serde_json::{Value, json};

use crate::sentinel::{found, paused};
use crate::told::events;
use crate::world::{NIGHT, WORK, World, at};

const UNTOUCHED: [&str; 2] = ["portale-ts", "archivio-730"];
const TOUCHED: [&str; 3] = ["ricetta-elettronica", "anagrafe-assistiti", "accesso-ts"];

fn world() -> World {
    let world = World::new(true);
    world.declare(|_| {});
    world
}

fn replicas(world: &World, name: &str) -> Value {
    world.embedded.object("apps", "deployments", "sanita", name).unwrap()["spec"]["replicas"].clone()
}

fn undo_runs(world: &World) -> bool {
    world.starts().iter().any(|(name, starts)| name.contains("undo") && *starts > 0)
}

/// The first change of `portale-ts` tonight is refused, with more words than a ledger has room for.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_million_characters_keeps_no_night_from_going_back() {
    let world = world();
    let by_day = world.restored();
    let (clock, once) = (world.clock, Arc::new(AtomicBool::new(false)));
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let closing = request.verb == Verb::Patch && request.name == "portale-ts" && !request.dry_run;
        let tonight = clock.now() >= at("2023-02-10T00:30:00+01:00") && stage == Stage::Before;
        if closing && tonight && !once.swap(true, Ordering::SeqCst) {
            return Fault::Status(403, "no ".repeat(350_000));
        }
        Fault::None
    })));
    let _operator = world.operator();
    world.until("2023-02-10T02:00:00+01:00").await;
    assert_eq!(world.status(NIGHT)["outcome"], "RolledBack", "refused at 01:00, it needs no hour");
    assert_eq!(found(&world, "").await, by_day);
}

/// Both died and were made anew, and nobody lets them read.
#[tokio::test(start_paused = true)]
async fn sentinels_that_never_read_the_ledger_give_back_what_was_never_touched() {
    let world = world();
    let operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let ledger = request.resource == "configmaps" && stage == Stage::Before && request.user == "sentinel";
        if ledger { Fault::Status(403, "Forbidden".to_owned()) } else { Fault::None }
    })));
    let _sentinels = ["a", "b"].map(|by| world.stands_watch(by));
    world.until("2023-02-10T06:14:00+01:00").await;
    assert_eq!(UNTOUCHED.map(|name| replicas(&world, name)), [2, 2], "no step touches them");
    assert_eq!(TOUCHED.map(|name| replicas(&world, name)), [0, 0, 0], "the upgrade had begun");
    assert!(!undo_runs(&world), "a commit might be in the ledger");
}

/// Their Deployment was left, the ledger was not, and a node that is drained makes them anew.
#[tokio::test(start_paused = true)]
async fn sentinels_that_are_made_anew_the_day_after_write_over_nothing() {
    let world = world();
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    world.until("2023-02-11T12:00:00+01:00").await;
    let scaled = json!({"spec": {"replicas": 5}}).to_string().into_bytes();
    let request = http::Request::patch("/apis/apps/v1/namespaces/sanita/deployments/portale-ts");
    let request = request.header("content-type", "application/merge-patch+json").body(scaled).unwrap();
    world.embedded.client("another").request::<Value>(request).await.unwrap();
    let before = world.restored();
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let ledger = request.resource == "configmaps" && stage == Stage::Before && request.user == "sentinel";
        if ledger { Fault::Status(404, "NotFound".to_owned()) } else { Fault::None }
    })));
    let _sentinels = ["a", "b"].map(|by| world.stands_watch(by));
    tokio::time::sleep(std::time::Duration::from_secs(1800)).await;
    assert_eq!(world.restored(), before);
}

/// Somebody writes another text into this record.
async fn damage(world: &World, seq: u32) {
    let uid = world.intervention(NIGHT).unwrap()["metadata"]["uid"].as_str().unwrap()[..8].to_owned();
    let patch = json!({"data": {(format!("{seq:06}")): "{}"}});
    let at = format!("/api/v1/namespaces/{WORK}/configmaps/notturno-{NIGHT}-{uid}-ledger");
    let request = http::Request::patch(at).header("content-type", "application/merge-patch+json");
    let request = request.body(patch.to_string().into_bytes()).unwrap();
    world.embedded.client("another").request::<Value>(request).await.unwrap();
}

async fn damaged_while_dead(seq: impl Fn(&LedgerRead) -> u32, told: &str) {
    let world = world();
    let operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    let before = world.ledger().await;
    damage(&world, seq(&before)).await;
    let _returned = world.operator();
    world.until("2023-02-10T06:14:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!(UNTOUCHED.map(|name| replicas(&world, name)), [2, 2], "{told}: no step touches them: {status}");
    assert_eq!(TOUCHED.map(|name| replicas(&world, name)), [0, 0, 0], "{told}: the upgrade had begun");
    assert!(!undo_runs(&world), "{told}: a commit might be in what cannot be read");
    world.until("2023-02-10T07:30:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!((&status["outcome"], &status["needsHuman"]), (&Value::Null, &json!(true)), "{told}: {status}");
    assert!(!world.ledger_has(|event| matches!(event, Event::Finished { .. })).await, "{told}");
    let torn = |event: &&Value| event["reason"] == "LedgerTorn" && event["type"] == "Warning";
    assert_eq!(events(&world).iter().filter(torn).count(), 1, "{told}: people are told");
    let held = &world.intervention(NIGHT).unwrap()["metadata"]["finalizers"];
    assert!(held.as_array().is_some_and(|held| !held.is_empty()), "{told}: only a person lets it go");
}

#[test]
fn an_operator_that_returns_to_a_damaged_ledger_gives_back_what_was_never_touched_and_calls_a_person() {
    for (told, seq) in [("the second record", 2), ("one in the middle", 5)] {
        paused(damaged_while_dead(|_| seq, told));
    }
    paused(damaged_while_dead(|read| read.head.as_ref().unwrap().seq, "the last record"));
}

/// It died between the end and letting go, because its Events found nobody; then somebody damaged the very end.
#[tokio::test(start_paused = true)]
async fn a_night_whose_end_is_lost_is_let_go_by_a_person_alone() {
    let world = world();
    let operator = world.operator();
    world.until("2023-02-10T04:48:00+01:00").await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, _: Stage| {
        if request.resource == "events" { Fault::Status(503, "Unavailable".to_owned()) } else { Fault::None }
    })));
    let finished = |event: &Event| matches!(event, Event::Finished { .. });
    while !world.ledger_has(finished).await {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    drop(operator);
    damage(&world, world.ledger().await.head.unwrap().seq).await;
    world.embedded.set_fault(None);
    let _returned = world.operator();
    tokio::time::sleep(std::time::Duration::from_secs(900)).await;
    assert_eq!(world.status(NIGHT)["needsHuman"], true, "{}", world.status(NIGHT));
    let held = &world.intervention(NIGHT).unwrap()["metadata"]["finalizers"];
    assert!(held.as_array().is_some_and(|held| !held.is_empty()), "what was lost may be more than the end");
}
