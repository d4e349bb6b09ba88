//! What was recorded and not told yet is told, whoever wrote it, whoever died in between, and for how long no Event could be sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use notturno::embedded::{Fault, FaultFn, RequestInfo, Stage, Verb};
use notturno::engine::Event;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::told::{is_let_go, nights, of_records, tries};
use crate::world::{NIGHT, Running, WORK, World, at};

fn hanging() -> World {
    let world = World::new(true);
    world.declare(|_| {});
    world
}

/// Whether this request has just put the first record into the ledger in which `word` stands.
fn records(world: &World, word: &'static str) -> impl Fn(&RequestInfo, Stage) -> bool + Send + Sync + 'static {
    let embedded = world.embedded.clone();
    move |request, stage| {
        let record = request.verb == Verb::Patch && request.name.ends_with("-ledger") && stage == Stage::After;
        let ledger = || embedded.object("", "configmaps", WORK, &request.name).unwrap_or_default();
        record && ledger()["data"].to_string().contains(word)
    }
}

fn creates_event(request: &RequestInfo, stage: Stage) -> bool {
    request.resource == "events" && request.verb == Verb::Create && stage == Stage::Before
}

fn unavailable(fails: bool) -> Fault {
    if fails { Fault::Status(503, "ServiceUnavailable".to_owned()) } else { Fault::None }
}

/// From the record on in which `word` stands no Event is created, for so long.
fn no_events_from(world: &World, word: &'static str, lasts: SignedDuration) -> FaultFn {
    let (clock, begins, since) = (world.clock, records(world, word), Mutex::new(None));
    Arc::new(move |request: &RequestInfo, stage: Stage| {
        let mut since = since.lock().unwrap();
        if since.is_none() && begins(request, stage) {
            *since = Some(clock.now());
        }
        unavailable(creates_event(request, stage) && since.is_some_and(|since| clock.now() < since + lasts))
    })
}

/// Waits until the status shows this phase.
async fn shows(world: &World, phase: &str) {
    while world.status(NIGHT)["phase"] != phase {
        assert!(world.clock.now() < at("2023-02-10T06:00:00+01:00"), "{}", world.status(NIGHT));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The last record that the status counts as told, and the last one of the ledger.
async fn told_of(world: &World) -> (u32, u32) {
    let told_up_to = world.status(NIGHT)["toldUpTo"].as_u64().unwrap_or_default();
    (u32::try_from(told_up_to).unwrap(), world.ledger().await.head.unwrap().seq)
}

/// At the end of the night each entry is an Event, the status says so, and the night is let go.
async fn all_is_told(world: &World) {
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(of_records(world).len(), world.ledger().await.entries.len());
    let (told, last) = told_of(world).await;
    assert!(last > 0 && told == last, "{told} of {last}");
    assert!(is_let_go(world));
}

/// How many Events had this result.
fn count_of(world: &World, operator: &Running, result: &str) -> usize {
    let text = operator.context.metrics.text(world.clock.now()).unwrap();
    let series = format!("notturno_events_total{{result=\"{result}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_before_the_operator_died_is_told_by_the_next_one() {
    let world = hanging();
    world.embedded.set_fault(Some(no_events_from(&world, "goingBack", SignedDuration::from_hours(6))));
    let first = world.operator();
    shows(&world, "TurningBack").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (told, last) = told_of(&world).await;
    assert!(0 < told && told < last, "{told} of {last}: the status is written, and says that people were not told");
    assert!(of_records(&world).len() < world.ledger().await.entries.len());
    drop(first);
    world.embedded.set_fault(None);
    let _second = world.operator();
    all_is_told(&world).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_are_not_taken_for_some_minutes_are_sent_once_they_are() {
    let world = hanging();
    world.embedded.set_fault(Some(no_events_from(&world, "goingBack", SignedDuration::from_mins(4))));
    let operator = world.operator();
    shows(&world, "TurningBack").await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert!(of_records(&world).len() < world.ledger().await.entries.len());
    all_is_told(&world).await;
    assert_eq!((count_of(&world, &operator, "lost"), count_of(&world, &operator, "known")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn events_that_are_never_taken_are_given_up_and_hold_no_night() {
    let world = hanging();
    let forbidden = || Fault::Status(403, "Forbidden".to_owned());
    let refused =
        move |request: &RequestInfo, stage: Stage| if creates_event(request, stage) { forbidden() } else { Fault::None };
    world.embedded.set_fault(Some(Arc::new(refused)));
    let operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(is_let_go(&world));
    let entries = world.ledger().await.entries.len();
    assert_eq!((of_records(&world).len(), count_of(&world, &operator, "lost")), (0, entries));
    assert_eq!(tries(&world), entries + 4, "only the first is tried five times");
    let (told, last) = told_of(&world).await;
    assert_eq!(told, last, "what was given up is not tried by the next one");
}

#[tokio::test(start_paused = true)]
async fn a_night_is_let_go_only_when_people_were_told_how_it_ended() {
    let world = hanging();
    world.embedded.set_fault(Some(no_events_from(&world, "finished", SignedDuration::from_hours(6))));
    let first = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack", "the status says it");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (told, last) = told_of(&world).await;
    assert!(told < last && !is_let_go(&world), "{told} of {last}");
    drop(first);
    world.embedded.set_fault(None);
    let _second = world.operator();
    all_is_told(&world).await;
}

/// The record with this word lands and its answer is lost; then the ledger is out of the operator's reach for half a minute. Rung when it
/// is lost.
fn answer_lost(world: &World, word: &'static str) -> Arc<Notify> {
    let (clock, lands, lost, lost_at) = (world.clock, records(world, word), Arc::new(Notify::new()), Mutex::new(None));
    let bell = Arc::clone(&lost);
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let mut lost_at = lost_at.lock().unwrap();
        if lost_at.is_none() && lands(request, stage) {
            *lost_at = Some(clock.now());
            bell.notify_one();
        }
        let lasts = SignedDuration::from_secs(30);
        let out = request.resource == "configmaps" && request.user != "test";
        unavailable(out && lost_at.is_some_and(|since| clock.now() < since + lasts))
    })));
    lost
}

#[tokio::test(start_paused = true)]
async fn a_record_that_landed_although_its_answer_was_lost_is_told_by_the_operator_that_wrote_it() {
    let world = hanging();
    let lost = answer_lost(&world, "stepDone");
    let operator = world.operator();
    lost.notified().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(of_records(&world).len() < world.ledger().await.entries.len(), "nobody knows yet that it landed");
    all_is_told(&world).await;
    assert_eq!(count_of(&world, &operator, "known"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_writer_died_before_it_could_tell_it_is_told_and_counted_by_the_next_one() {
    let world = hanging();
    let lost = answer_lost(&world, "goingBack");
    let first = world.operator();
    lost.notified().await;
    drop(first);
    let told = of_records(&world).iter().filter(|event| event["reason"] == "GoingBack").count();
    assert!(told == 0 && world.ledger_has(|event| matches!(event, Event::GoingBack { .. })).await);
    let second = world.operator();
    all_is_told(&world).await;
    let text = second.context.metrics.text(world.clock.now()).unwrap();
    assert!(text.contains("notturno_turn_backs_total{cause=\"hard-cap\"} 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn of_a_night_whose_status_does_not_say_how_far_all_is_told_once_more_under_the_same_names() {
    let world = hanging();
    drop_in_the_night(&world).await;
    let forget = json!([{"op": "remove", "path": "/status/toldUpTo"}]);
    let forget = Patch::<()>::Json(serde_json::from_value(forget).unwrap());
    nights(&world).patch_status(NIGHT, &PatchParams::default(), &forget).await.unwrap();
    let (told, written) = (of_records(&world).len(), tries(&world));
    assert!(told > 0 && world.status(NIGHT)["toldUpTo"] == Value::Null);
    let second = world.operator();
    world.until("2023-02-10T02:35:00+01:00").await;
    assert_eq!((of_records(&world).len(), tries(&world)), (told, written + told));
    assert_eq!(count_of(&world, &second, "known"), told);
    let (up_to, last) = told_of(&world).await;
    assert_eq!(up_to, last, "from then on the status says it");
    drop(second);
    let _third = world.operator();
    all_is_told(&world).await;
    assert_eq!(tries(&world), written + told + of_records(&world).len() - told, "and nobody tells it again");
}

/// An operator works until half past two and dies.
async fn drop_in_the_night(world: &World) {
    let operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
}
