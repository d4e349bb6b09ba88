//! Whole nights: as planned, hanging, deleted, refused, and the hours in which nothing happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use notturno::engine::Event;
use notturno::engine::facts::{Ask, Order};
use serde_json::{Value, json};

use crate::world::{NIGHT, WORK, World, at};

fn condition(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    all.iter().find(|one| one["type"] == kind).map(|one| one["status"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_night_that_goes_well_completes_and_leaves_everything_as_it_was() {
    let world = World::new(false);
    let before = world.restored();
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-09T19:00:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!((&status["phase"], &status["turnBackAt"]), (&json!("Armed"), &json!("2023-02-10T05:55:00+01:00")));
    assert_eq!((condition(&status, "Ready"), condition(&status, "Complete")), ("True".into(), "False".into()));
    world.until("2023-02-10T02:30:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!(
        (&status["phase"], &status["step"], &status["turnBackAt"]),
        (&json!("Working"), &json!("aggiorna"), &json!("2023-02-10T04:55:00+01:00"))
    );
    assert_eq!(condition(&status, "Reconciling"), "True");
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = world.status(NIGHT);
    assert_eq!((condition(&status, "Complete"), condition(&status, "Ready")), ("True".into(), "True".into()));
    assert_eq!(world.restored(), before, "byte for byte, and no mark of ours");
    assert!(world.starts().iter().all(|(_, starts)| *starts <= 1), "{:?}", world.starts());
    let night = world.intervention(NIGHT).unwrap();
    assert_eq!(night["metadata"]["finalizers"], Value::Null);
    drop(operator);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_hangs_is_rolled_back_before_the_doors_open_and_every_entry_is_told() {
    let world = World::new(true);
    let before = world.restored();
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-10T04:30:00+01:00").await;
    assert_eq!((&world.status(NIGHT)["phase"], &world.status(NIGHT)["turnBackAt"]), (&json!("TurningBack"), &Value::Null));
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.restored(), before);
    let ledger = world.ledger().await;
    assert_eq!(ledger.broken, None);
    let told = world.embedded.objects().into_iter().filter(|object| object["kind"] == "Event").count();
    assert_eq!(told, ledger.entries.len());
    let open = ledger.entries.iter().filter(|entry| matches!(entry.event, Event::Opened { .. })).map(|entry| entry.at).max();
    assert!(open.unwrap() < "2023-02-10T05:45:00+01:00".parse().unwrap(), "{open:?}");
    let numbers = operator.context.metrics.text(world.clock.now()).unwrap();
    assert!(numbers.contains(r#"notturno_effects_total{kind="reopen",result="ok"} 5"#), "{numbers}");
    assert!(!numbers.contains(r#"result="failed""#), "{numbers}");
}

#[tokio::test(start_paused = true)]
async fn a_night_that_waits_asks_nothing_but_the_one_watch() {
    let world = World::new(false);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-09T19:00:00+01:00").await;
    let before = world.embedded.log().len();
    world.until("2023-02-10T00:29:00+01:00").await;
    let asked: Vec<RequestInfo> = world.embedded.log().split_off(before).into_iter().map(|logged| logged.request).collect();
    assert!(asked.iter().all(|one| one.verb == Verb::Watch && one.resource == "interventions"), "{asked:?}");
    assert!(asked.len() <= 335, "one watch a minute: {}", asked.len());
}

#[tokio::test(start_paused = true)]
async fn a_night_writes_what_it_has_to_and_nothing_twice() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.outcome(NIGHT).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut writes: BTreeMap<(String, String), u32> = BTreeMap::new();
    for logged in world.embedded.log().iter().filter(|logged| logged.request.write_number.is_some()) {
        assert!(logged.changed, "a write that changes nothing: {:?}", logged.request);
        let request = &logged.request;
        *writes.entry((format!("{:?}", request.verb), format!("{} {}", request.resource, request.subresource))).or_default() += 1;
    }
    println!("{writes:#?}");
    let ledger = world.ledger().await;
    let records = ledger.head.unwrap().seq;
    let statuses = writes[&("Patch".to_owned(), "interventions status".to_owned())];
    assert!(statuses <= records, "one status a wave at most: {statuses} of {records}");
    assert_eq!(world.status(NIGHT)["toldUpTo"], records, "which says how far people were told");
}

#[tokio::test(start_paused = true)]
async fn a_night_deleted_in_the_middle_of_a_step_goes_back_and_then_goes_away() {
    let world = World::new(false);
    let before = world.restored();
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let kind = kube::api::ApiResource::erase::<notturno::api::Intervention>(&());
    let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(world.embedded.client("anna"), WORK, &kind);
    let ledger = world.ledger();
    let uid = ledger.await.plan.uid;
    api.delete(NIGHT, &kube::api::DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.status(NIGHT)["phase"], "TurningBack");
    world.until("2023-02-10T05:00:00+01:00").await;
    assert_eq!(world.intervention(NIGHT), None, "its finalizer is off");
    assert_eq!(world.restored(), before);
    let tenant = notturno::operator::effects::Tenant::new(world.embedded.client("test"), WORK, "lavori-notturni");
    let ledger = notturno::operator::effects::ledger::read(&tenant, NIGHT, &uid).await.unwrap().unwrap();
    assert!(matches!(ledger.entries.last().unwrap().event, Event::Finished { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_night_that_does_not_fit_is_refused_with_every_reason_and_touches_nothing() {
    let world = World::new(false);
    let before = world.restored();
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            object["spec"]["reserve"] = json!("200m");
            object["spec"]["approvals"] = json!({"count": 2, "from": {"groups": ["responsabili"]}});
        }
    });
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = world.status(NIGHT);
    let reasons: Vec<&str> = status["refusals"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert!(reasons.contains(&"ApprovalsNotSupported") && reasons.contains(&"DoesNotFit"), "{reasons:?}");
    assert_eq!((condition(&status, "Stalled"), condition(&status, "Failed")), ("True".into(), "True".into()));
    assert_eq!(world.restored(), before);
    let made = world.embedded.objects().into_iter().filter(|one| one["kind"] == "ConfigMap" || one["kind"] == "Job").count();
    assert_eq!(made, 0);
}

#[tokio::test(start_paused = true)]
async fn two_operators_that_accept_one_night_at_once_go_by_the_acceptance_that_came_first() {
    let world = World::new(false);
    world.declare(|_| {});
    let slow = AtomicBool::new(true);
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let ledger = request.verb == Verb::Create && request.name.ends_with("-ledger") && stage == Stage::Before;
        if ledger && slow.swap(false, Ordering::Relaxed) { Fault::Delay(Duration::from_secs(8)) } else { Fault::None }
    })));
    let _first = world.operator();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let _second = world.operator();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let accepted = world.ledger().await.entries.remove(0);
    assert!(
        accepted.at > world.clock.now() - SignedDuration::from_secs(4),
        "the second one's, while the first one's is under way"
    );
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert_eq!(world.ledger().await.entries[0], accepted);
}

#[tokio::test(start_paused = true)]
async fn a_night_created_too_late_is_not_replayed() {
    let world = World::new(false);
    let _operator = world.operator();
    world.until("2023-02-10T01:00:01+01:00").await;
    world.declare(|_| {});
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    assert_eq!(world.status(NIGHT)["refusals"][0]["reason"], "TooLate");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_delays_nothing() {
    let world = World::new(true);
    world.declare(|_| {});
    world.embedded.set_fault(Some(std::sync::Arc::new(|request: &RequestInfo, stage| {
        let status = request.subresource == "status" && request.resource == "interventions" && stage == Stage::Before;
        if status { Fault::Hang } else { Fault::None }
    })));
    let _operator = world.operator();
    world.until("2023-02-10T05:50:00+01:00").await;
    let ledger = world.ledger().await;
    assert!(matches!(ledger.entries.last().unwrap().event, Event::Finished { .. }), "{:?}", ledger.entries.last());
    world.embedded.set_fault(None);
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_asked_to_stop_stops_and_another_goes_on() {
    let world = World::new(true);
    world.declare(|_| {});
    let first = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    first.stopped().await;
    world.until("2023-02-10T03:00:00+01:00").await;
    let _second = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    assert_eq!(world.ledger().await.broken, None);
}

#[tokio::test(start_paused = true)]
async fn people_may_give_a_step_more_time_and_the_order_wakes_the_night() {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-10T03:20:00+01:00").await;
    let ask = Ask::Extend { step: "aggiorna".to_owned(), until: at("2023-02-10T04:30:00+01:00") };
    let order = Order { name: "proroga-1".to_owned(), by: "due responsabili".to_owned(), at: world.clock.now(), ask };
    assert!(operator.context.orders.give(&format!("{WORK}/{NIGHT}"), order));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let last = world.ledger().await.entries.pop().unwrap();
    assert!(matches!(last.event, Event::Extended { .. }), "{last:?}");
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_starts_leaves_nights_that_are_over_alone() {
    let world = World::new(false);
    world.declare(|_| {});
    let first = world.operator();
    world.outcome(NIGHT).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    first.stopped().await;
    let before = world.embedded.log().len();
    let _second = world.operator();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let asked = world.embedded.log().split_off(before);
    assert!(asked.iter().all(|logged| logged.request.write_number.is_none() && !logged.changed), "{asked:?}");
    let reads = asked.iter().filter(|logged| logged.request.verb == Verb::Get).count();
    assert_eq!(reads, 2, "its plan and its ledger, once");
}
