//! Sentinels in trouble: an API server that blinks, a ledger that another hand changes or hides, an effect that hangs, a Pod made anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, Patch, PatchParams};
use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use notturno::engine::{Entry, Event};
use notturno::model::epoch::Epoch;
use notturno::model::phase::Outcome;
use notturno::operator::effects::{Tenant, ledger};
use notturno::sentinel::Readiness;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::switch::another_hand;
use crate::world::{NIGHT, WORK, World, at};

/// How often two sentinels that act may read the ledger in ten minutes: they look about every fifteen seconds when nothing moves.
const READS_MAX: usize = 300;

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

/// Taken over and going back, with the operator dead since the upgrade.
async fn taken_over() -> (World, [JoinSet<()>; 2]) {
    let world = hanging();
    let operator = world.operator();
    let sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    world.until("2023-02-10T05:10:00+01:00").await;
    assert!(world.ledger_has(|event| matches!(event, Event::TakenOver { .. })).await);
    (world, sentinels)
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

/// Counts what sentinels read of the ledger; whoever reads without a pause is slowed down, or the time of the test would stand still.
fn reads_of_the_ledger(world: &World, fault: impl Fn(&RequestInfo) -> Option<Fault> + Send + Sync + 'static) -> Arc<AtomicUsize> {
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        if stage != Stage::Before || request.user != "sentinel" || request.dry_run {
            return Fault::None;
        }
        let is_read = request.verb == Verb::Get && request.name.ends_with("-ledger");
        if is_read && count.fetch_add(1, Ordering::Relaxed) > READS_MAX {
            return Fault::Delay(Duration::from_secs(1));
        }
        fault(request).unwrap_or_default()
    })));
    reads
}

#[tokio::test(start_paused = true)]
async fn a_night_that_is_taken_back_without_its_ledger_is_looked_at_in_pauses() {
    let (world, _sentinels) = taken_over().await;
    let refused = |request: &RequestInfo| (request.resource == "configmaps").then(|| Fault::Status(403, "Forbidden".to_owned()));
    let reads = reads_of_the_ledger(&world, refused);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let count = reads.load(Ordering::Relaxed);
    assert!((20..=READS_MAX).contains(&count), "{count}");
    world.embedded.set_fault(None);
    assert_eq!(world.outcome_in_ledger().await, Outcome::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_hangs_in_a_night_that_was_taken_over_is_waited_for_in_pauses() {
    let world = hanging();
    let operator = world.operator();
    let _sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    world.until("2023-02-10T04:50:00+01:00").await;
    let hangs = |request: &RequestInfo| {
        (request.verb == Verb::Patch && request.resource == "deployments" && request.name == "accesso-ts").then_some(Fault::Hang)
    };
    let reads = reads_of_the_ledger(&world, hangs);
    world.until("2023-02-10T05:06:00+01:00").await;
    let count = reads.load(Ordering::Relaxed);
    assert!((20..=READS_MAX).contains(&count), "{count}");
    world.embedded.set_fault(None);
    assert_eq!(world.outcome_in_ledger().await, Outcome::RolledBack);
}

/// For how long a sentinel was not ready at a stretch, as its kubelet sees it, second by second, until then.
async fn not_ready_for_max(world: &World, readiness: &Readiness, until: Timestamp) -> Duration {
    let (mut longest, mut so_far) = (Duration::ZERO, Duration::ZERO);
    while world.clock.now() < until {
        tokio::time::sleep(Duration::from_secs(1)).await;
        so_far = if readiness.why_not().is_some() { so_far + Duration::from_secs(1) } else { Duration::ZERO };
        longest = longest.max(so_far);
    }
    longest
}

/// The API server answers nobody for half a minute, from the first dry run of a rehearsal after this moment on.
async fn blinks_at_a_rehearsal(from: &str) -> Duration {
    let world = hanging();
    let _operator = world.operator();
    let readiness = Readiness::default();
    let _sentinel = world.stands_watch_saying("a", readiness.clone());
    world.until(from).await;
    assert_eq!(readiness.why_not(), None);
    let (clock, blink) = (world.clock, std::sync::Mutex::new(None::<Timestamp>));
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        if stage != Stage::Before || request.user != "sentinel" {
            return Fault::None;
        }
        let mut blink = blink.lock().unwrap();
        if request.dry_run {
            blink.get_or_insert(clock.now());
        }
        let gone = blink.is_some_and(|since| clock.now() < since + SignedDuration::from_secs(30));
        if gone { Fault::Status(503, "ServiceUnavailable".to_owned()) } else { Fault::None }
    })));
    let until = world.clock.now() + SignedDuration::from_mins(40);
    not_ready_for_max(&world, &readiness, until).await
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_blinks_while_the_way_back_is_rehearsed_costs_no_night() {
    for from in ["2023-02-09T22:00:00+01:00", "2023-02-10T02:00:00+01:00"] {
        let longest = blinks_at_a_rehearsal(from).await;
        let seconds = longest.as_secs();
        assert!((20..45).contains(&seconds), "{from}: not ready for {seconds} s, and a night goes back after 60");
    }
}

fn notices(world: &World, reason: &str) -> usize {
    world.embedded.objects().into_iter().filter(|object| object["kind"] == "Event" && object["reason"] == reason).count()
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_was_deposed_still_makes_the_switch_again_when_somebody_takes_it_away() {
    let world = hanging();
    let operator = world.operator_guarded();
    let _sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    world.until("2023-02-10T05:10:00+01:00").await;
    let _returned = world.operator_guarded();
    world.until("2023-02-10T05:12:00+01:00").await;
    let before = world.switch().expect("it stands");
    let name = before["metadata"]["name"].as_str().unwrap().to_owned();
    another_hand(&world.embedded, &name, Verb::Delete, Value::Null).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let after = world.switch().expect("it is made again");
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!((notices(&world, "SwitchLost"), notices(&world, "SwitchMended")), (1, 1));
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.switch(), None);
}

#[tokio::test(start_paused = true)]
async fn a_sentinel_that_is_made_anew_once_the_night_has_turned_is_ready_whoever_has_the_night() {
    let (world, _sentinels) = taken_over().await;
    let readiness = Readiness::default();
    let _third = world.stands_watch_saying("c", readiness.clone());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(readiness.why_not(), None, "it has the night");

    let world = hanging();
    let _operator = world.operator();
    while !world.ledger_has(|event| matches!(event, Event::GoingBack { .. })).await {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    let readiness = Readiness::default();
    let _third = world.stands_watch_saying("c", readiness.clone());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(readiness.why_not(), None, "the operator has it");
    let refused = |request: &RequestInfo, stage: Stage| {
        let reads = request.user == "sentinel" && request.resource == "configmaps" && stage == Stage::Before;
        if reads { Fault::Status(403, "Forbidden".to_owned()) } else { Fault::None }
    };
    world.embedded.set_fault(Some(Arc::new(refused)));
    tokio::time::sleep(Duration::from_secs(150)).await;
    let why = readiness.why_not().expect("one that cannot read the ledger is no help");
    assert!(why.starts_with("the ledger: "), "{why}");
}

/// PROTOCOL rule 22 holds for whoever has the night: that its takeover was recorded once helps nobody now.
#[tokio::test(start_paused = true)]
async fn sentinels_that_lose_the_ledger_after_they_took_the_night_open_what_is_clean_by_its_moment() {
    let (world, _sentinels) = taken_over().await;
    let refused = |request: &RequestInfo, stage: Stage| {
        let ledger = request.resource == "configmaps" && stage == Stage::Before;
        if ledger { Fault::Status(403, "Forbidden".to_owned()) } else { Fault::None }
    };
    world.embedded.set_fault(Some(Arc::new(refused)));
    let replicas = |name: &str| world.embedded.object("apps", "deployments", "sanita", name).unwrap()["spec"]["replicas"].clone();
    world.until("2023-02-10T06:09:00+01:00").await;
    assert_eq!((replicas("portale-ts"), replicas("accesso-ts")), (json!(0), json!(0)), "not before its moment");
    world.until("2023-02-10T06:12:00+01:00").await;
    assert_eq!((replicas("portale-ts"), replicas("accesso-ts")), (json!(2), json!(0)));
}

/// Each call is answered within its limit, and all of them together are no way back that anybody could rely on.
#[tokio::test(start_paused = true)]
async fn a_sentinel_whose_rehearsal_does_not_end_is_not_ready_and_says_so() {
    let world = hanging();
    let _operator = world.operator();
    let slow = |request: &RequestInfo, stage: Stage| {
        let tried = request.user == "sentinel" && request.dry_run && stage == Stage::Before;
        if tried { Fault::Delay(Duration::from_secs(9)) } else { Fault::None }
    };
    world.embedded.set_fault(Some(Arc::new(slow)));
    world.until("2023-02-09T22:00:00+01:00").await;
    let readiness = Readiness::default();
    let _sentinel = world.stands_watch_saying("a", readiness.clone());
    tokio::time::sleep(Duration::from_secs(180)).await;
    let why = readiness.why_not().expect("nothing was shown");
    assert!(why.contains("the rehearsal took longer than"), "{why}");
}
