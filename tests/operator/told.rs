//! Events on the Intervention: one for each entry of the journal, whoever tells it, and none twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event as KubeEvent;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use notturno::model::phase::Outcome;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{NIGHT, Running, WORK, World};

pub fn events(world: &World) -> Vec<Value> {
    world.embedded.objects().into_iter().filter(|object| object["kind"] == "Event").collect()
}

/// How often anybody tried to tell something.
pub fn tries(world: &World) -> usize {
    let log = world.embedded.log();
    log.iter().filter(|one| one.request.verb == Verb::Create && one.request.resource == "events").count()
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn every_entry_is_told_once_as_a_sentence_also_by_an_operator_that_came_later() {
    let world = World::new(true);
    world.declare(|_| {});
    let first = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(first);
    let before = (events(&world).len(), tries(&world));
    assert!(before.0 > 0);
    let _second = world.operator();
    world.until("2023-02-10T02:35:00+01:00").await;
    assert_eq!((events(&world).len(), tries(&world)), before, "what was told is not told again, nor tried");
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (told, entries) = (events(&world), world.ledger().await.entries);
    assert_eq!(told.len(), entries.len());
    for event in &told {
        let note = text(event, "note");
        assert!(note.ends_with('.') && note.len() <= 1024 && note.split_whitespace().count() >= 3, "{note}");
        assert!(text(event, "reason").starts_with(|first: char| first.is_ascii_uppercase()), "{event}");
        assert_eq!(event["series"], Value::Null, "never counted up: the first sentence would stand for all");
        assert_eq!((text(event, "reportingController"), text(&event["regarding"], "name")), ("notturno.dev/operator", NIGHT));
    }
    let of = |reason: &str| -> Vec<(&str, &str)> {
        let all = told.iter().filter(|event| text(event, "reason") == reason);
        all.map(|event| (text(event, "action"), text(event, "type"))).collect()
    };
    assert_eq!(of("GoingBack"), [("aggiorna", "Warning")], "the step stands in the action");
    assert_eq!(of("Finished"), [("RolledBack", "Warning")]);
    let done: BTreeSet<&str> = of("StepDone").into_iter().map(|(action, _)| action).collect();
    assert_eq!(done, BTreeSet::from(["preflight", "chiudi-portali", "istantanea", "chiudi-nucleo"]));
}

/// Those of entries: the switch has its own.
pub fn of_records(world: &World) -> Vec<Value> {
    let is_place = |event: &Value| text(&event["metadata"], "name").split('.').count() == 4;
    events(world).into_iter().filter(|event| is_place(event)).collect()
}

/// The night of which the operator dies in mid-upgrade, with two sentinels.
async fn left_alone() -> (World, [JoinSet<()>; 2]) {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator_guarded();
    let sentinels = ["a", "b"].map(|by| world.stands_watch(by));
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    (world, sentinels)
}

/// Every entry is told once, and counted as if it were the operator's own.
async fn all_told(world: &World, returned: &Running) {
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (told, entries) = (of_records(world), world.ledger().await.entries);
    assert_eq!(told.len(), entries.len());
    let of = |reason: &str| -> Vec<&str> {
        told.iter().filter(|event| text(event, "reason") == reason).map(|event| text(event, "note")).collect()
    };
    let [taken_over] = of("TakenOver")[..] else { panic!("{told:?}") };
    assert!(taken_over.starts_with("The night is taken over: "), "{taken_over}");
    assert_eq!((of("GoingBack").len(), of("Finished").len()), (1, 1));
    assert_eq!(counted(world, returned), (1, 1));
}

/// Nights taken over and nights rolled back, as this operator counts them.
fn counted(world: &World, operator: &Running) -> (usize, usize) {
    let text = operator.context.metrics.text(world.clock.now()).unwrap();
    let count = |series: &str| text.lines().filter(|line| *line == format!("{series} 1")).count();
    let known = text.lines().filter(|line| line.contains("_turn_backs_total{") || line.contains("_outcomes_total{")).count();
    assert!(known <= 2, "{text}");
    (count(r#"notturno_turn_backs_total{cause="taken-over"}"#), count(r#"notturno_outcomes_total{outcome="RolledBack"}"#))
}

/// The API server keeps Events for an hour.
async fn forget_events(world: &World) {
    let api: Api<KubeEvent> = Api::namespaced(world.embedded.client("another"), WORK);
    for event in events(world) {
        api.delete(text(&event["metadata"], "name"), &DeleteParams::default()).await.unwrap();
    }
    assert_eq!(events(world).len(), 0);
}

/// Another operator comes when the Events are forgotten, as after one that died before it let the night go: nothing is said or counted
/// again, nor tried.
async fn nothing_told_again(world: &World) {
    forget_events(world).await;
    let hold = json!({"metadata": {"finalizers": ["notturno.dev/night"]}});
    nights(world).patch(NIGHT, &PatchParams::default(), &Patch::Merge(hold)).await.unwrap();
    let before = tries(world);
    let another = world.operator_guarded();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(is_let_go(world), "it was looked at");
    assert_eq!(tries(world), before, "{:?}", of_records(world));
    assert_eq!(counted(world, &another), (0, 0));
}

/// As somebody with every right sees them.
pub fn nights(world: &World) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<notturno::api::Intervention>(&());
    Api::namespaced_with(world.embedded.client("another"), WORK, &kind)
}

/// Whether the Intervention may be deleted.
pub fn is_let_go(world: &World) -> bool {
    world.intervention(NIGHT).unwrap()["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
}

#[tokio::test(start_paused = true)]
async fn what_sentinels_did_is_told_once_by_an_operator_that_returns_meanwhile() {
    let (world, _sentinels) = left_alone().await;
    world.until("2023-02-10T05:30:00+01:00").await;
    let returned = world.operator_guarded();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    all_told(&world, &returned).await;
    drop(returned);
    nothing_told_again(&world).await;
}

#[tokio::test(start_paused = true)]
async fn what_sentinels_did_is_told_once_by_operators_that_return_one_after_the_other() {
    let (world, _sentinels) = left_alone().await;
    world.until("2023-02-10T05:10:00+01:00").await;
    let first = world.operator_guarded();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counted(&world, &first), (1, 0));
    drop(first);
    let known = of_records(&world).len();
    forget_events(&world).await;
    let second = world.operator_guarded();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(known + of_records(&world).len(), world.ledger().await.entries.len(), "each by one of them");
    assert_eq!(counted(&world, &second), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_sentinels_did_is_told_once_by_an_operator_that_returns_when_all_is_over() {
    let (world, _sentinels) = left_alone().await;
    assert_eq!(world.outcome_in_ledger().await, Outcome::RolledBack);
    world.until("2023-02-10T11:00:00+01:00").await;
    let returned = world.operator_guarded();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    all_told(&world, &returned).await;
    drop(returned);
    nothing_told_again(&world).await;
}

#[tokio::test(start_paused = true)]
async fn what_sentinels_did_is_told_once_by_an_operator_that_was_only_cut_off() {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator_guarded();
    let _sentinels = ["a", "b"].map(|by| world.stands_watch(by));
    world.until("2023-02-10T02:30:00+01:00").await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let cut = request.user != "sentinel" && request.user != "test" && stage == Stage::Before;
        if cut { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    })));
    world.until("2023-02-10T05:05:00+01:00").await;
    world.embedded.set_fault(None);
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    all_told(&world, &operator).await;
    drop(operator);
    nothing_told_again(&world).await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_dies_before_the_status_says_what_it_told_is_repeated_under_the_same_names() {
    let (world, _sentinels) = left_alone().await;
    world.until("2023-02-10T05:30:00+01:00").await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let report = request.resource == "interventions" && request.subresource == "status" && stage == Stage::Before;
        if report { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    })));
    let first = world.operator_guarded();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counted(&world, &first), (1, 0));
    drop(first);
    world.embedded.set_fault(None);
    let second = world.operator_guarded();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    all_told(&world, &second).await;
    let text = second.context.metrics.text(world.clock.now()).unwrap();
    assert!(text.contains(r#"notturno_events_total{result="known"}"#), "{text}");
}
