//! The dead man's switch on the embedded API: the operator's and the sentinels' own code, under paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use notturno::embedded::{Fault, FaultFn, RequestInfo, Stage, Verb};
use notturno::engine::journal::Cause;
use notturno::engine::{Entry, Event};
use notturno::model::phase::Outcome;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::world::{NIGHT, SERVICES, World, at};

/// One write in so many; all of them with `--features bench`.
const EVERY: usize = if cfg!(feature = "bench") { 1 } else { 23 };

pub fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(work)
}

fn world(hangs: bool) -> World {
    let world = World::new(hangs);
    world.declare(|_| {});
    world
}

fn two(world: &World) -> [JoinSet<()>; 2] {
    ["a", "b"].map(|by| world.stands_watch(by))
}

fn must_serve_by() -> Timestamp {
    at("2023-02-10T07:00:00+01:00")
}

/// What a person finds: everything as by day, every service open in time, no Job started twice.
pub async fn found(world: &World, told: &str) -> Vec<Value> {
    let read = world.ledger().await;
    assert_eq!(read.broken, None, "{told}");
    let course = || read.entries.iter().map(|entry| format!("{} {}\n", entry.at, entry.why)).collect::<String>();
    let late = read.entries.iter().any(|entry| matches!(entry.event, Event::DeadlineMissed { .. }));
    let opened = |name: &str| {
        let is = |entry: &&Entry| matches!(&entry.event, Event::Opened { service } if service.name == name);
        read.entries.iter().rfind(is).is_none_or(|entry| entry.at <= must_serve_by())
    };
    assert!(!late && SERVICES.iter().all(|name| opened(name)), "{told}\n{}", course());
    assert!(world.starts().iter().all(|(_, starts)| *starts <= 1), "{told}: {:?}", world.starts());
    world.restored()
}

fn taken_over(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().find(|entry| matches!(entry.event, Event::TakenOver { .. })).map(|entry| entry.at)
}

#[tokio::test(start_paused = true)]
async fn with_the_operator_dead_in_mid_upgrade_the_sentinels_take_the_night_back_before_doors_open() {
    let world = world(true);
    let by_day = world.restored();
    let operator = world.operator();
    let _sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    assert_eq!(world.outcome_in_ledger().await, Outcome::RolledBack);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(found(&world, "").await, by_day);
    let entries = world.ledger().await.entries;
    assert_eq!(taken_over(&entries), Some(at("2023-02-10T04:56:00+01:00")), "the turn-back moment and one grace");
    assert!(entries.iter().any(|entry| entry.event == Event::GoingBack { cause: Cause::TakenOver }));
}

#[tokio::test(start_paused = true)]
async fn beside_an_operator_that_lives_sentinels_write_nothing() {
    let world = world(true);
    let _operator = world.operator();
    let _sentinels = two(&world);
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    let wrote = |request: &RequestInfo| request.user == "sentinel" && request.write_number.is_some() && !request.dry_run;
    let written: Vec<_> = world.embedded.log().into_iter().filter(|one| wrote(&one.request)).collect();
    assert!(written.is_empty(), "{written:?}");
    let read = world.embedded.log().into_iter().filter(|one| one.request.user == "sentinel").count();
    assert!(read > 20, "they stood watch: {read}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_returns_after_a_takeover_reports_its_course_and_its_end() {
    let world = world(true);
    let operator = world.operator_guarded();
    let _sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    world.until("2023-02-10T05:30:00+01:00").await;
    let before = world.embedded.log().len();
    let _returned = world.operator_guarded();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    let mut tenant = world.embedded.log().split_off(before);
    tenant
        .retain(|one| one.request.user != "sentinel" && one.request.resource == "deployments" && one.request.verb == Verb::Patch);
    let over_at = world.ledger().await.entries.last().unwrap().at;
    assert!(tenant.iter().all(|one| one.at >= over_at), "it only reports: {tenant:?}");
    tokio::time::sleep(Duration::from_secs(120)).await;
    let finalizers = &world.intervention(NIGHT).unwrap()["metadata"]["finalizers"];
    assert!(finalizers.as_array().is_none_or(Vec::is_empty), "and lets go: {finalizers}");
}

#[tokio::test(start_paused = true)]
async fn after_the_end_sentinels_that_nobody_takes_away_look_now_and_then_and_ask_little() {
    let world = world(true);
    let operator = world.operator();
    let _sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    assert_eq!(world.outcome_in_ledger().await, Outcome::RolledBack);
    let (asked, since) = (Arc::new(AtomicUsize::new(0)), world.clock.now());
    let count = Arc::clone(&asked);
    // Whoever asks without a pause is slowed down, or the time of this test would stand still.
    world.embedded.set_fault(Some(Arc::new(move |_: &RequestInfo, stage: Stage| {
        let many = stage == Stage::Before && count.fetch_add(1, Ordering::Relaxed) > 400;
        if many { Fault::Delay(Duration::from_secs(1)) } else { Fault::None }
    })));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let count = asked.load(Ordering::Relaxed);
    assert!((12..=400).contains(&count), "{count} since {since}");
}

/// Dead for good at one write of the night, before or after it.
async fn dead_at(number: u64, stage: Stage, hangs: bool) -> Option<(Outcome, Vec<Value>)> {
    let world = world(hangs);
    let dead = Arc::new(Notify::new());
    let bell = Arc::clone(&dead);
    let fault: FaultFn = Arc::new(move |request: &RequestInfo, now: Stage| {
        if request.write_number == Some(number) && now == stage && request.user != "sentinel" {
            bell.notify_one();
            return Fault::Hang;
        }
        Fault::None
    });
    world.embedded.set_fault(Some(fault));
    let operator = world.operator();
    let _sentinels = two(&world);
    tokio::select! {
        biased;
        () = dead.notified() => {}
        _ = world.outcome(NIGHT) => return None,
    }
    drop(operator);
    world.embedded.set_fault(None);
    let began = world.ledger_has(|event| matches!(event, Event::WorkBegun {})).await;
    if !began {
        return Some((Outcome::Cancelled, vec![]));
    }
    let outcome = world.outcome_in_ledger().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    Some((outcome, found(&world, &format!("write {number}, {stage:?}, hangs: {hangs}")).await))
}

fn dead_at_every_write(hangs: bool, step: usize) {
    let by_day = paused(async { world(hangs).restored() });
    let (mut rolled_back, mut completed) = (0, 0);
    for stage in [Stage::Before, Stage::After] {
        for number in (1..).step_by(step) {
            let Some((outcome, end)) = paused(dead_at(number, stage, hangs)) else { break };
            match outcome {
                Outcome::Cancelled => continue,
                Outcome::RolledBack => rolled_back += 1,
                Outcome::Completed => completed += 1,
                Outcome::ReopenedLate | Outcome::Refused => panic!("write {number}, {stage:?}: {outcome}"),
            }
            assert_eq!(end, by_day, "write {number}, {stage:?}");
        }
    }
    println!("dead for good: {rolled_back} nights rolled back, {completed} completed");
    assert!(rolled_back + completed > 5 && (hangs || completed > 0), "{rolled_back} {completed}");
}

#[test]
fn whichever_write_the_operator_dies_at_the_sentinels_take_a_hanging_night_back_in_time() {
    dead_at_every_write(true, EVERY);
}

#[test]
fn whichever_write_the_operator_dies_at_a_night_that_goes_well_is_undone_or_finished_in_time() {
    dead_at_every_write(false, EVERY);
}

/// The operator is dead, and each sentinel dies at one write of its own; the other one goes on.
#[test]
fn whichever_write_a_sentinel_dies_at_the_other_one_ends_the_night_in_time() {
    let by_day = paused(async { world(true).restored() });
    let mut count = 0;
    for stage in [Stage::Before, Stage::After] {
        for number in (1..).step_by(EVERY) {
            let Some(end) = paused(sentinel_dead_at(number, stage)) else { break };
            assert_eq!(end, by_day, "write {number}, {stage:?}");
            count += 1;
        }
    }
    assert!(count > 3, "{count}");
}

async fn sentinel_dead_at(number: u64, stage: Stage) -> Option<Vec<Value>> {
    let world = world(true);
    let operator = world.operator();
    let [first, _second] = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    let from = world.embedded.log().iter().filter(|one| one.request.write_number.is_some()).count() as u64;
    let dead = Arc::new(Notify::new());
    let bell = Arc::clone(&dead);
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, now: Stage| {
        if request.write_number == Some(from + number) && now == stage && !request.dry_run {
            bell.notify_one();
            return Fault::Hang;
        }
        Fault::None
    })));
    tokio::select! {
        biased;
        () = dead.notified() => {}
        _ = world.outcome_in_ledger() => return None,
    }
    // Whichever of the two it was, one is dead now and one write of the other may hang for its limit.
    drop(first);
    world.embedded.set_fault(None);
    assert_eq!(world.outcome_in_ledger().await, Outcome::RolledBack, "write {number}, {stage:?}");
    tokio::time::sleep(Duration::from_secs(120)).await;
    Some(found(&world, &format!("write {number}, {stage:?}")).await)
}

/// PROTOCOL rule 22: nobody can read the ledger, and the operator is dead.
#[tokio::test(start_paused = true)]
async fn without_a_ledger_what_was_never_touched_is_given_back_and_the_rest_waits_for_a_person() {
    let world = world(true);
    let operator = world.operator();
    let _sentinels = two(&world);
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let ledger = request.resource == "configmaps" && stage == Stage::Before;
        if ledger { Fault::Status(403, "Forbidden".to_owned()) } else { Fault::None }
    })));
    world.until("2023-02-10T06:14:00+01:00").await;
    let replicas = |name: &str| world.embedded.object("apps", "deployments", "sanita", name).unwrap()["spec"]["replicas"].clone();
    assert_eq!([replicas("portale-ts"), replicas("archivio-730")], [2, 2], "no step touches them");
    assert_eq!([replicas("ricetta-elettronica"), replicas("accesso-ts")], [0, 0], "the upgrade had begun");
    let undo_runs = world.starts().iter().any(|(name, starts)| name.contains("undo") && *starts > 0);
    assert!(!undo_runs, "a commit might be in the ledger");
    world.embedded.set_fault(None);
    assert_eq!(world.outcome_in_ledger().await, Outcome::ReopenedLate, "once it is back, the rest is undone");
}
