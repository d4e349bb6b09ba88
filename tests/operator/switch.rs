//! The dead man's switch: armed before the first closing, watched, mended, and the night turned back when it cannot be.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use notturno::embedded::{Embedded, Fault, Readiness, RequestInfo, Stage, Verb};
use notturno::engine::Event;
use notturno::engine::journal::Cause;
use serde_json::{Value, json};

use crate::killed::Killed;
use crate::world::{NIGHT, WORK, World, at};

const SENTINELS: (&str, &str) = ("notturno.dev/role", "sentinel");
/// Work is under way, services are closed.
const IN_THE_NIGHT: &str = "2023-02-10T02:30:00+01:00";

fn hanging() -> World {
    let world = World::new(true);
    world.declare(|_| {});
    world
}

fn name(sentinel: &Value) -> String {
    sentinel["metadata"]["name"].as_str().unwrap().to_owned()
}

async fn moment_of(world: &World, is: impl Fn(&Event) -> bool) -> Option<Timestamp> {
    world.ledger().await.entries.iter().find(|entry| is(&entry.event)).map(|entry| entry.at)
}

async fn begun_at(world: &World) -> Option<Timestamp> {
    moment_of(world, |event| matches!(event, Event::WorkBegun {})).await
}

async fn lost_at(world: &World) -> Option<Timestamp> {
    moment_of(world, |event| matches!(event, Event::GoingBack { cause: Cause::SwitchLost })).await
}

/// What another hand does to the sentinel's Deployment.
pub async fn another_hand(embedded: &Embedded, name: &str, verb: Verb, body: Value) {
    use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
    let kind = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api: Api<DynamicObject> = Api::namespaced_with(embedded.client("another"), WORK, &kind);
    match verb {
        Verb::Delete => drop(api.delete(name, &DeleteParams::default()).await.unwrap()),
        _ => drop(api.patch(name, &PatchParams::default(), &Patch::Merge(body)).await.unwrap()),
    }
}

fn notices(world: &World, reason: &str) -> usize {
    world.embedded.objects().into_iter().filter(|object| object["kind"] == "Event" && object["reason"] == reason).count()
}

#[tokio::test(start_paused = true)]
async fn by_day_it_is_proven_a_quarter_of_an_hour_before_it_is_made_and_at_the_end_it_is_gone() {
    let world = hanging();
    let operator = world.operator_guarded();
    world.until("2023-02-10T00:14:50+01:00").await;
    assert_eq!(world.status(NIGHT)["phase"], "Armed");
    assert_eq!(world.status(NIGHT)["switch"]["armed"], false);
    assert_eq!(world.switch(), None);
    let tried = world.embedded.log().into_iter().filter(|one| one.request.dry_run && one.request.verb == Verb::Create);
    let tried: Vec<String> = tried.map(|one| one.request.resource.clone()).collect();
    assert!(tried.contains(&"deployments".to_owned()) && tried.contains(&"pods".to_owned()), "{tried:?}");
    world.until("2023-02-10T00:15:05+01:00").await;
    let sentinel = world.switch().expect("it is made");
    let template = &sentinel["spec"]["template"];
    assert_eq!(template["spec"]["serviceAccountName"], "lavori-notturni-sentinel");
    assert_eq!(sentinel["metadata"]["ownerReferences"], Value::Null);
    let text = operator.context.metrics.text(world.clock.now()).unwrap();
    assert!(text.contains(&format!(r#"notturno_switch_ready{{night="{WORK}/{NIGHT}"}} 1"#)), "{text}");
    world.until("2023-02-10T00:31:00+01:00").await;
    let switch = world.status(NIGHT)["switch"].clone();
    assert_eq!((&switch["armed"], &switch["deployment"]), (&json!(true), &json!(format!("{WORK}/{}", name(&sentinel)))));
    assert_eq!(begun_at(&world).await, Some(at("2023-02-10T00:30:00+01:00")));
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.switch(), None);
    assert_eq!((notices(&world, "SwitchArmed"), notices(&world, "SwitchLost"), notices(&world, "SwitchMended")), (1, 0, 0));
    let writes = world.embedded.log().into_iter().filter(|one| one.request.name == name(&sentinel) && one.changed).count();
    assert_eq!(writes, 2, "made once, deleted once");
    let night = world.embedded.log().into_iter().filter(|one| one.at > at("2023-02-10T00:15:01+01:00"));
    let by_tenant = |user: &str| user.ends_with("lavori-notturni");
    let of_ledger = night
        .filter(|one| one.request.verb == Verb::Get && one.request.name.ends_with("-ledger") && by_tenant(&one.request.user));
    let reads = of_ledger.count();
    assert!(
        reads <= 2,
        "its own appends are no news: it is read when a night that waited begins, and when it is settled: {reads}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_before_it_is_ready_and_people_see_why() {
    let world = hanging();
    world.embedded.say_of_deployments(SENTINELS, Some(Readiness::AtMost(0)));
    let _operator = world.operator_guarded();
    world.until("2023-02-10T00:33:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!((&status["phase"], &status["refusals"][0]["reason"]), (&json!("Armed"), &json!("SwitchNotReady")));
    world.embedded.say_of_deployments(SENTINELS, Some(Readiness::AtMost(1)));
    world.until("2023-02-10T00:35:00+01:00").await;
    assert_eq!(begun_at(&world).await, None, "one is not both");
    world.embedded.say_of_deployments(SENTINELS, Some(Readiness::After(SignedDuration::from_secs(20))));
    world.until("2023-02-10T00:35:40+01:00").await;
    let begun_at = begun_at(&world).await.expect("both are ready");
    assert!(begun_at <= at("2023-02-10T00:35:22+01:00"), "{begun_at}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_never_ready_cancels_the_night_at_its_latest_start_with_the_reason() {
    let world = hanging();
    world.embedded.say_of_deployments(SENTINELS, Some(Readiness::AtMost(0)));
    let _operator = world.operator_guarded();
    assert_eq!(world.outcome(NIGHT).await, "Cancelled");
    let why = world.ledger().await.entries.last().unwrap().why.clone();
    assert!(why.contains("the dead man's switch is not ready") && why.contains("minimum availability"), "{why}");
    assert_eq!(begun_at(&world).await, None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.switch(), None, "a cancelled night leaves none either");
}

#[tokio::test(start_paused = true)]
async fn what_another_hand_does_to_it_in_the_night_is_mended_within_a_minute_and_told() {
    let changes = [
        (Verb::Delete, Value::Null),
        (Verb::Patch, json!({"spec": {"replicas": 0}})),
        (Verb::Patch, json!({"spec": {"template": {"spec": {"serviceAccountName": "another"}}}})),
    ];
    for (verb, body) in changes {
        let world = hanging();
        let _operator = world.operator_guarded();
        world.until(IN_THE_NIGHT).await;
        let before = world.switch().expect("it stands");
        another_hand(&world.embedded, &name(&before), verb, body.clone()).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let after = world.switch().unwrap_or_else(|| panic!("not made anew: {body}"));
        assert_eq!(after["spec"], before["spec"], "{body}");
        assert_eq!(lost_at(&world).await, None, "{body}");
        assert_eq!((notices(&world, "SwitchLost"), notices(&world, "SwitchMended")), (1, 1), "{body}");
        assert_eq!(world.status(NIGHT)["switch"]["armed"], true, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_mended_turns_the_night_back_after_a_minute() {
    let world = hanging();
    let before = world.restored();
    let _operator = world.operator_guarded();
    world.until(IN_THE_NIGHT).await;
    let lost_from = world.clock.now();
    world.embedded.say_of_deployments(SENTINELS, Some(Readiness::AtMost(0)));
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(lost_at(&world).await, None);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let lost_at = lost_at(&world).await.expect("it went back");
    assert_eq!(lost_at.duration_since(lost_from).as_secs(), 60);
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.restored(), before);
}

#[tokio::test(start_paused = true)]
async fn with_one_sentinel_of_two_the_work_goes_on() {
    let world = World::new(false);
    world.declare(|_| {});
    let _operator = world.operator_guarded();
    world.until(IN_THE_NIGHT).await;
    world.embedded.say_of_deployments(SENTINELS, Some(Readiness::AtMost(1)));
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_says_nothing_of_it_turns_nothing_back() {
    let world = World::new(false);
    world.declare(|_| {});
    let _operator = world.operator_guarded();
    world.until(IN_THE_NIGHT).await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let ours = request.resource == "deployments" && request.name.ends_with("-sentinel");
        if ours && stage == Stage::Before { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    })));
    tokio::time::sleep(Duration::from_secs(300)).await;
    world.embedded.set_fault(None);
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_has_no_room_for_it_is_told_by_day_with_everything_else() {
    let world = hanging();
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let pod = request.verb == Verb::Create && request.resource == "pods" && request.dry_run;
        if pod && stage == Stage::Before { Fault::Status(403, "exceeded quota: lavori".into()) } else { Fault::None }
    })));
    let _operator = world.operator_guarded();
    world.until("2023-02-09T18:31:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!(status["phase"], "Pending");
    let why = status["why"].as_str().unwrap();
    assert!(
        why.contains("a Pod of Deployment centro-dati/notturno-notte-9-febbraio-") && why.contains("exceeded quota"),
        "{why}"
    );
    world.embedded.set_fault(None);
    world.until("2023-02-09T18:40:00+01:00").await;
    assert_eq!(world.status(NIGHT)["phase"], "Armed");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_was_told_no_image_arms_nothing_and_says_so() {
    let world = hanging();
    let _operator = world.operator_untold();
    world.until("2023-02-09T18:31:00+01:00").await;
    let why = world.status(NIGHT)["why"].to_string();
    assert!(why.contains("no dead man's switch: --sentinel-image is not set"), "{why}");
    assert_eq!(world.outcome(NIGHT).await, "Cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_plan_or_a_ledger_that_somebody_deletes_is_noticed_at_once() {
    for which in ["plan", "ledger"] {
        let world = hanging();
        let operator = world.operator_guarded();
        world.until(IN_THE_NIGHT).await;
        let deleted_at = world.clock.now();
        let maps = world.embedded.objects().into_iter().filter(|object| object["kind"] == "ConfigMap");
        let map = maps.map(|map| name(&map)).find(|name| name.ends_with(which)).expect("it is there");
        let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(world.embedded.client("another"), WORK);
        api.delete(&map, &kube::api::DeleteParams::default()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let back = moment_of(&world, |event| matches!(event, Event::GoingBack { cause: Cause::LedgerChanged })).await;
        assert_eq!(back, Some(deleted_at), "{which}");
        let text = operator.context.metrics.text(world.clock.now()).unwrap();
        assert!(text.contains("notturno_turn_backs_total{cause=\"ledger-changed\"} 1\n"), "{which}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_another_hand_changes_turns_the_night_back_and_is_told_apart_from_a_deletion() {
    let world = hanging();
    let _operator = world.operator_guarded();
    world.until(IN_THE_NIGHT).await;
    let maps = world.embedded.objects().into_iter().filter(|object| object["kind"] == "ConfigMap");
    let ledger = maps.map(|map| name(&map)).find(|name| name.ends_with("-ledger")).expect("it is there");
    let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(world.embedded.client("another"), WORK);
    let last = world.ledger().await.head.unwrap().key();
    let change = kube::api::Patch::Merge(json!({"data": {last: null}}));
    api.patch(&ledger, &kube::api::PatchParams::default(), &change).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let events = world.embedded.objects().into_iter().filter(|object| object["kind"] == "Event");
    let back: Vec<Value> = events.filter(|event| event["note"].to_string().contains("The night goes back")).collect();
    assert_eq!(back.len(), 1, "{back:#?}");
    let said = "The night goes back: plan or ledger were deleted or changed by another hand: going back.";
    assert_eq!((back[0]["note"].as_str(), back[0]["type"].as_str()), (Some(said), Some("Warning")));
}

/// In the night nothing is asked but the watches.
#[tokio::test(start_paused = true)]
async fn a_night_under_way_in_which_nothing_happens_asks_for_nothing_but_its_watches() {
    let world = hanging();
    let _operator = world.operator_guarded();
    world.until(IN_THE_NIGHT).await;
    let before = world.embedded.log().len();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let asked: Vec<_> = world.embedded.log().split_off(before).into_iter().map(|one| one.request).collect();
    assert!(asked.iter().all(|one| one.verb == Verb::Watch), "{asked:?}");
}

fn killed() -> Killed {
    Killed { world: hanging, operator: World::operator_guarded, found: World::restored }
}

#[test]
fn a_crash_before_or_after_each_write_to_the_switch_itself_changes_nothing_about_the_end() {
    let killed = killed();
    let writes = killed.writes(|request| request.name.ends_with("-sentinel"));
    assert_eq!(writes.len(), 2, "it is made and deleted: {writes:?}");
    for number in writes {
        for stage in [Stage::Before, Stage::After] {
            assert!(killed.at(number, stage), "{number} {stage:?}");
        }
    }
}

#[test]
fn a_crash_beside_other_writes_of_a_guarded_night_changes_nothing_about_the_end() {
    killed().at_each_write(Stage::Before, 3, 9);
    killed().at_each_write(Stage::After, 6, 9);
}
