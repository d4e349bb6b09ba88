//! The API server is gone, or does not answer, across the moment at which a night has to turn back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use notturno::embedded::{Fault, LoggedRequest, RequestInfo, Stage, Verb};
use notturno::engine::Event;
use notturno::engine::facts::{Ask, Order};
use serde_json::json;

use crate::world::{NIGHT, WORK, World};

/// A record is tried again that soon.
const TURNED_WITHIN: SignedDuration = SignedDuration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_back_after_the_turn_back_moment_finds_the_night_turning_back_within_four_seconds() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let journal = world.ledger().await.entries;
    let upgrade = |event: &Event| matches!(event, Event::StepIntended { step, .. } if step == "aggiorna");
    let begun_at = journal.iter().find(|entry| upgrade(&entry.event)).expect("the upgrade runs").at;
    let cap_at = begun_at + SignedDuration::from_mins(120);
    // Eight seconds after: tries at once and after one, three and seven seconds are in vain.
    let (clock, back_at) = (world.clock, cap_at + SignedDuration::from_secs(8));
    let gone = cap_at - SignedDuration::from_secs(5)..back_at;
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let refused = request.verb != Verb::Watch && stage == Stage::Before && gone.contains(&clock.now());
        if refused { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    })));
    clock.sleep_until(back_at + TURNED_WITHIN).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let journal = world.ledger().await.entries;
    let turned = journal.iter().find(|entry| matches!(entry.event, Event::GoingBack { .. }));
    let turned_at = turned.unwrap_or_else(|| panic!("nothing is recorded {TURNED_WITHIN:?} after the API server is back")).at;
    assert!(turned_at >= back_at, "it could not be recorded before: {turned_at}");
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}

/// PROTOCOL rule 22. Every call to the ledger takes its whole limit to fail, and none of that is added.
#[tokio::test(start_paused = true)]
async fn without_a_ledger_rights_are_taken_back_after_sixty_seconds_and_not_after_all_its_calls_have_failed_too() {
    taken_back_without_a_record_while(|request| if request.resource == "configmaps" { Fault::Hang } else { Fault::None }).await;
}

/// PROTOCOL rule 22, its other half: a right that is gone, a webhook, a full quota.
#[tokio::test(start_paused = true)]
async fn with_a_ledger_that_is_read_and_takes_no_record_rights_are_taken_back_after_sixty_seconds_too() {
    let refused = || Fault::Status(403, "Forbidden".to_owned());
    let writes = |request: &RequestInfo| request.resource == "configmaps" && request.verb == Verb::Patch;
    taken_back_without_a_record_while(move |request| if writes(request) { refused() } else { Fault::None }).await;
}

async fn taken_back_without_a_record_while(fault: impl Fn(&RequestInfo) -> Fault + Send + Sync + 'static) {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let faulty = move |request: &RequestInfo, stage: Stage| if stage == Stage::Before { fault(request) } else { Fault::None };
    world.embedded.set_fault(Some(Arc::new(faulty)));
    let before = world.embedded.log().len();
    let order = Order { name: "notte-1".to_owned(), by: "turno".to_owned(), at: world.clock.now(), ask: Ask::TurnBack };
    assert!(operator.context.orders.give(&format!("{WORK}/{NIGHT}"), order));
    tokio::time::sleep(Duration::from_secs(180)).await;
    let log = world.embedded.log().split_off(before);
    let first = |what: &str, resource: &str| {
        let found = log.iter().find(|one| one.request.verb == Verb::Patch && one.request.resource == resource);
        found.unwrap_or_else(|| panic!("no {what}")).at
    };
    let out_since = first("append", "configmaps");
    for (what, resource) in [("burn of a target", "deployments"), ("burn of the Job", "jobs")] {
        let after = first(what, resource).duration_since(out_since);
        let in_time = SignedDuration::from_secs(60)..=SignedDuration::from_secs(65);
        assert!(in_time.contains(&after), "{what} after {after:#}");
    }
    world.embedded.set_fault(None);
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}

/// PROTOCOL rule 22: what was never touched opens without a record, at reopen-by; what the upgrade touched stays as it is, and nothing is
/// undone.
#[tokio::test(start_paused = true)]
async fn with_the_ledger_gone_across_the_doors_clean_services_open_and_nothing_is_undone() {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let hangs = |request: &RequestInfo, stage: Stage| {
        if stage == Stage::Before && request.resource == "configmaps" { Fault::Hang } else { Fault::None }
    };
    world.embedded.set_fault(Some(Arc::new(hangs)));
    let order = Order { name: "notte-1".to_owned(), by: "turno".to_owned(), at: world.clock.now(), ask: Ask::TurnBack };
    assert!(operator.context.orders.give(&format!("{WORK}/{NIGHT}"), order));
    let replicas = |name: &str| world.embedded.object("apps", "deployments", "sanita", name).unwrap()["spec"]["replicas"].clone();
    world.until("2023-02-10T06:09:00+01:00").await;
    assert_eq!((replicas("portale-ts"), replicas("accesso-ts")), (json!(0), json!(0)), "not before its moment");
    world.until("2023-02-10T06:12:00+01:00").await;
    for (name, count) in
        [("portale-ts", 2), ("archivio-730", 2), ("accesso-ts", 0), ("anagrafe-assistiti", 0), ("ricetta-elettronica", 0)]
    {
        assert_eq!(replicas(name), count, "{name}");
    }
    world.until("2023-02-10T07:00:00+01:00").await;
    let undos = world
        .embedded
        .objects()
        .into_iter()
        .filter(|one| one["kind"] == "Pod" && one["metadata"]["labels"]["notturno.dev/role"] == "undo");
    assert_eq!((undos.count(), replicas("accesso-ts")), (0, json!(0)));
    world.embedded.set_fault(None);
    assert_eq!(world.outcome(NIGHT).await, "ReopenedLate");
    assert_eq!(world.ledger().await.broken, None);
}

/// A record lands and its answer does not; then the ledger is out of reach for longer than rights outlive it. Nothing is looked at before a
/// night is armed: that moment passes with nobody to heed it but the round itself.
#[tokio::test(start_paused = true)]
async fn a_night_that_does_not_know_whether_it_is_armed_reads_its_ledger_again_however_long_that_was_out_of_reach() {
    let world = World::new(false);
    world.declare(|_| {});
    let (clock, lost_at) = (world.clock, Mutex::new(None));
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let mut lost_at = lost_at.lock().unwrap();
        let record = request.verb == Verb::Patch && request.name.ends_with("-ledger");
        let hangs = match *lost_at {
            None => record && stage == Stage::After,
            Some(since) => request.resource == "configmaps" && clock.now() < since + SignedDuration::from_mins(3),
        };
        if hangs {
            lost_at.get_or_insert(clock.now());
        }
        if hangs { Fault::Hang } else { Fault::None }
    })));
    let _operator = world.operator();
    world.until("2023-02-09T18:45:00+01:00").await;
    let armed = world.ledger().await.entries.iter().filter(|entry| matches!(entry.event, Event::Armed {})).count();
    assert_eq!((armed, world.status(NIGHT)["phase"].as_str()), (1, Some("Armed")));
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

/// A look may take ten seconds, and this one begins three before the moment.
#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_when_the_turn_back_moment_comes_is_left_and_the_night_turns_at_its_moment() {
    let world = World::new(true);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            let upgrade =
                object["spec"]["steps"].as_array_mut().unwrap().iter_mut().find(|step| step["name"] == "aggiorna").unwrap();
            upgrade["hardCap"] = json!("4h");
            upgrade["onOverrun"] = json!("Continue");
            upgrade["onFutile"] = json!("Continue");
        }
    });
    let _operator = world.operator();
    world.until("2023-02-10T03:40:00+01:00").await;
    let turn_back_at = world.status(NIGHT)["turnBackAt"].as_str().expect("it says when").parse::<Timestamp>().unwrap();
    let embedded = world.embedded.clone();
    world.clock.sleep_until(turn_back_at - SignedDuration::from_secs(3)).await;
    assert_eq!(world.status(NIGHT)["phase"], "Working");
    let clock = world.clock;
    embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let look = request.verb == Verb::List && request.resource == "jobs" && stage == Stage::Before;
        let hangs = look && clock.now() < turn_back_at + SignedDuration::from_secs(60);
        if hangs { Fault::Hang } else { Fault::None }
    })));
    // Something of its Job is told, so that the night looks.
    let job = embedded.objects().into_iter().find(|one| one["kind"] == "Job" && one["status"]["active"] == 1).expect("it runs");
    let name = job["metadata"]["name"].as_str().unwrap().to_owned();
    let jobs: kube::Api<k8s_openapi::api::batch::v1::Job> = kube::Api::namespaced(embedded.client("another"), WORK);
    let touched = json!({"status": {"conditions": [{"type": "Touched", "status": "True"}]}});
    jobs.patch_status(&name, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(touched)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let looks = |request: &LoggedRequest| request.request.verb == Verb::List && request.request.resource == "jobs";
    assert!(embedded.log().iter().any(looks), "it looks");
    clock.sleep_until(turn_back_at + SignedDuration::from_secs(20)).await;
    let journal = world.ledger().await.entries;
    let turned = journal.iter().find(|entry| matches!(entry.event, Event::GoingBack { .. })).expect("it turned");
    let late = turned.at.duration_since(turn_back_at);
    assert!(SignedDuration::ZERO <= late && late <= SignedDuration::from_secs(2), "{late:?}: {}", turned.why);
}

/// Nothing else would ask again before morning: nobody answers, and nothing runs that could be told of.
#[tokio::test(start_paused = true)]
async fn a_status_that_is_written_slowly_across_a_moment_delays_what_is_due_by_no_more_than_itself() {
    let world = World::new(false);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            object["spec"]["steps"][0] = json!({"name": "preflight", "budget": "4s", "hold": {"message": "si comincia?"}});
        }
    });
    // The first is refused, so that it is written when nothing else is to be done.
    let (clock, tries) = (world.clock, AtomicUsize::new(0));
    let start_at = crate::world::at("2023-02-10T00:30:00+01:00");
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let told = request.resource == "interventions" && request.subresource == "status" && stage == Stage::Before;
        match (told && clock.now() >= start_at).then(|| tries.fetch_add(1, Ordering::Relaxed)) {
            Some(0) => Fault::Status(503, "ServiceUnavailable".to_owned()),
            Some(_) => Fault::Delay(Duration::from_secs(5)),
            None => Fault::None,
        }
    })));
    let _operator = world.operator();
    clock.sleep_until(start_at + SignedDuration::from_secs(60)).await;
    let journal = world.ledger().await.entries;
    let turned = journal.iter().find(|entry| matches!(entry.event, Event::GoingBack { .. })).expect("it turned");
    let late = turned.at.duration_since(start_at + SignedDuration::from_secs(4));
    assert!(SignedDuration::ZERO < late && late <= SignedDuration::from_secs(5), "{late:?}: {}", turned.why);
}

/// Whoever finds an Intervention that was let go leaves its ledger as it is: that one has to go first.
#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_let_go_at_the_end_holds_its_intervention_until_it_can() {
    let world = World::new(false);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let held = world.held();
    let (tries, embedded) = (Arc::new(AtomicUsize::new(0)), world.embedded.clone());
    let count = Arc::clone(&tries);
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let lets_go = request.resource == "configmaps" && request.verb == Verb::Patch && stage == Stage::Before;
        let told = || embedded.object("notturno.dev", "interventions", WORK, NIGHT).unwrap()["status"]["outcome"].is_string();
        let refused = lets_go && told() && count.fetch_add(1, Ordering::Relaxed) < 3;
        if refused { Fault::Status(503, "ServiceUnavailable".to_owned()) } else { Fault::None }
    })));
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(held.len() >= 3 && tries.load(Ordering::Relaxed) > 3, "{held:?}");
    assert_eq!(world.held(), [] as [String; 0]);
}
