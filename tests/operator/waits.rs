//! What a step waits for, as the operator looks: told by a watch, or read in bounded pauses; never polled.

use std::sync::Arc;
use std::time::Duration;

use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use serde_json::{Value, json};

use crate::world::{NIGHT, World, at};

/// The night of 2023 whose first step waits for a ConfigMap that says so.
fn waiting(until: &'static str) -> World {
    let world = World::new(false);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "sanita", "name": "esito"});
            object["spec"]["steps"][0] =
                json!({"name": "preflight", "budget": "30m", "wait": {"target": target, "until": until}});
        }
    });
    world
}

fn outcome(data: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "esito", "namespace": "sanita"}, "data": {"esito": data}})
}

async fn say(world: &World, data: &str) {
    let request = http::Request::patch("/api/v1/namespaces/sanita/configmaps/esito")
        .header("content-type", "application/merge-patch+json")
        .body(json!({"data": {"esito": data}}).to_string().into_bytes())
        .unwrap();
    world.embedded.client("another").request::<Value>(request).await.unwrap();
}

fn looks(world: &World, verb: Verb) -> u64 {
    let of = |key: &&notturno::embedded::CountKey| key.0 == verb && key.2 == "configmaps";
    world.embedded.counts().iter().filter(|(key, _)| of(key)).map(|(_, count)| count).sum()
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_object_says_so_and_nothing_is_asked_meanwhile() {
    let world = waiting("self.data.esito == 'bene'");
    let _operator = world.operator();
    world.until("2023-02-10T00:31:00+01:00").await;
    let reads = looks(&world, Verb::Get);
    world.create(outcome("forse"));
    world.until("2023-02-10T00:40:00+01:00").await;
    assert_eq!(world.status(NIGHT)["step"], "preflight");
    assert!(
        looks(&world, Verb::Get) - reads <= 8,
        "a read for each watch that ended, and no more: {}",
        looks(&world, Verb::Get) - reads
    );
    say(&world, "bene").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_ne!(world.status(NIGHT)["step"], "preflight");
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_watch_reads_in_bounded_pauses() {
    let world = waiting("self.data.esito == 'bene'");
    world.create(outcome("forse"));
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let refused = request.verb == Verb::Watch && request.resource == "configmaps" && stage == Stage::Before;
        if refused { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    })));
    let _operator = world.operator();
    world.until("2023-02-10T00:35:00+01:00").await;
    assert_eq!(world.status(NIGHT)["step"], "preflight");
    let reads = looks(&world, Verb::Get);
    world.until("2023-02-10T00:40:00+01:00").await;
    assert!(looks(&world, Verb::Get) - reads <= 25, "{}", looks(&world, Verb::Get) - reads);
    say(&world, "bene").await;
    tokio::time::sleep(Duration::from_secs(17)).await;
    assert_ne!(world.status(NIGHT)["step"], "preflight");
}

#[tokio::test(start_paused = true)]
async fn what_never_comes_true_is_turned_back_by_its_budget() {
    let world = waiting("self.data.esito == 'bene'");
    let _operator = world.operator();
    world.outcome(NIGHT).await;
    let ledger = world.ledger().await;
    let turned =
        ledger.entries.iter().find(|entry| entry.why.contains("preflight") && entry.at >= at("2023-02-10T01:00:00+01:00"));
    assert!(turned.is_some(), "{:#?}", ledger.entries.iter().map(|entry| &entry.why).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_of_an_object_has_not_come_true() {
    let world = waiting("self.data.esito > 3");
    world.create(outcome("forse"));
    let _operator = world.operator();
    world.until("2023-02-10T00:35:00+01:00").await;
    assert_eq!(world.status(NIGHT)["step"], "preflight");
}
