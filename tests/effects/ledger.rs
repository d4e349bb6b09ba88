//! The ledger: appended by compare-and-set, believed as far as its chain holds, never made anew.

use notturno::embedded::{Fault, Stage};
use notturno::engine::{Entry, Event};
use notturno::operator::effects::ledger::{AppendError, LedgerError, accept, append, finish, plan_hash, read};
use notturno::operator::effects::{Head, LedgerRead};
use serde_json::{Value, json};

use crate::sample;
use crate::scene::*;

const PLAN: &str = "notturno-notte-0f0e0d0c-plan";
const LEDGER: &str = "notturno-notte-0f0e0d0c-ledger";

fn entry(event: Event) -> Entry {
    Entry { at: at("2026-11-24T23:00:00Z"), event, why: "because".into() }
}

async fn reading(scene: &Scene) -> LedgerRead {
    read(&scene.tenant, "notte", sample::UID).await.unwrap().unwrap()
}

async fn add(scene: &Scene, head: &Head, by: &str, event: Event) -> Result<Head, AppendError> {
    append(&scene.tenant, &scene.plan, head, by, vec![entry(event)]).await
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_and_appended_is_what_is_read() {
    let scene = Scene::by_day();
    assert!(read(&scene.tenant, "notte", sample::UID).await.unwrap().is_none());
    let head = scene.accept().await;
    let head = add(&scene, &head, "operator-0", Event::Armed {}).await.unwrap();
    let kept = reading(&scene).await;
    assert_eq!((&kept.plan, &kept.plan_hash), (&scene.plan, &plan_hash(&scene.plan)));
    assert_eq!((kept.head, kept.broken, kept.preimages, kept.deleting), (Some(head), None, None, false));
    assert_eq!(kept.entries.len(), 2);
    for name in [PLAN, LEDGER] {
        let metadata = scene.get("configmaps", name)["metadata"].clone();
        assert_eq!(metadata["finalizers"], json!(["notturno.dev/ledger"]));
        assert_eq!(metadata["labels"], json!({"app.kubernetes.io/managed-by": "notturno", "notturno.dev/night": sample::UID}));
        assert_eq!(metadata.get("ownerReferences"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn acceptance_interrupted_anywhere_and_repeated_ends_the_same() {
    for number in [1, 2] {
        for stage in [Stage::Before, Stage::After] {
            let scene = Scene::by_day();
            scene.fault(
                move |request, at| {
                    if request.write_number == Some(number) && at == stage { Fault::Hang } else { Fault::None }
                },
            );
            let first = vec![entry(Event::Accepted { plan_hash: plan_hash(&scene.plan) })];
            let interrupted = accept(&scene.tenant, &scene.plan, "operator-0", first.clone()).await;
            assert_eq!(interrupted.is_err(), stage == Stage::Before, "what was created is found: {interrupted:?}");
            let head = accept(&scene.tenant, &scene.plan, "operator-1", first).await.unwrap();
            let kept = reading(&scene).await;
            assert_eq!((kept.head, kept.broken, kept.entries.len()), (Some(head), None, 1), "write {number} {stage:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_has_one_plan() {
    let mut scene = Scene::by_day();
    scene.accept().await;
    scene.plan.reserve = notturno::model::span::Span::minutes(1);
    let error = accept(&scene.tenant, &scene.plan, "operator-0", vec![]).await.unwrap_err();
    assert!(matches!(error, LedgerError::OtherPlan { .. }), "{error:?}");
}

/// Rule 8.
#[tokio::test(start_paused = true)]
async fn of_two_appends_after_one_head_only_one_lands_and_foreign_metadata_is_no_conflict() {
    let scene = Scene::by_day();
    let head = scene.accept().await;
    scene.another_hand("configmaps", LEDGER, json!({"metadata": {"labels": {"backup": "weekly"}}})).await;
    add(&scene, &head, "operator-0", Event::Armed {}).await.unwrap();
    let lost = add(&scene, &head, "operator-1", Event::WorkBegun {}).await.unwrap_err();
    assert!(matches!(lost, AppendError::Moved), "{lost:?}");
    assert_eq!(reading(&scene).await.entries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_answer_was_lost_is_known_by_its_hash() {
    for fault in [Fault::Hang, Fault::Status(504, "Timeout".into())] {
        for (stage, landed) in [(Stage::After, true), (Stage::Before, false)] {
            let scene = Scene::by_day();
            let head = scene.accept().await;
            let once = fault.clone();
            scene.fault(
                move |request, at| {
                    if request.write_number.is_some() && at == stage { once.clone() } else { Fault::None }
                },
            );
            let result = add(&scene, &head, "operator-0", Event::Armed {}).await;
            scene.set_calm();
            match result {
                Ok(head) => assert_eq!((landed, reading(&scene).await.head), (true, Some(head))),
                Err(AppendError::Unknown(_)) => assert!(!landed, "{fault:?}"),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

/// H32: it landed after all, later; the next append meets it.
#[tokio::test(start_paused = true)]
async fn an_append_that_lands_late_makes_the_next_one_read_again() {
    let scene = Scene::by_day();
    let head = scene.accept().await;
    scene.delay_patches_of(LEDGER, 15);
    let unknown = add(&scene, &head, "operator-0", Event::Armed {}).await.unwrap_err();
    assert!(matches!(unknown, AppendError::Unknown(_)), "{unknown:?}");
    scene.set_calm();
    seconds(10).await;
    let next = add(&scene, &head, "operator-0", Event::Armed {}).await;
    let landed = reading(&scene).await.entries.len() == 2;
    assert!(landed && matches!(next, Ok(_) | Err(AppendError::Moved)), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_ledger_says_so() {
    let scene = Scene::by_day();
    let mut head = scene.accept().await;
    let long = |why: &str| Entry { why: why.repeat(400_000), ..entry(Event::Armed {}) };
    for _ in 0..2 {
        head = append(&scene.tenant, &scene.plan, &head, "operator-0", vec![long("x")]).await.unwrap();
    }
    let full = append(&scene.tenant, &scene.plan, &head, "operator-0", vec![long("x")]).await.unwrap_err();
    assert!(matches!(full, AppendError::Refused(_)), "{full:?}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_was_tampered_with_is_told_and_believed_only_so_far() {
    let scene = Scene::by_day();
    let head = scene.accept().await;
    let head = add(&scene, &head, "operator-0", Event::Armed {}).await.unwrap();
    add(&scene, &head, "operator-0", Event::WorkBegun {}).await.unwrap();
    let second = scene.get("configmaps", LEDGER)["data"]["000002"].as_str().unwrap().replace("because", "I say so");
    scene.another_hand("configmaps", LEDGER, json!({"data": {"000002": second}})).await;
    let kept = reading(&scene).await;
    assert_eq!((kept.entries.len(), kept.broken.as_deref()), (2, Some("record 3 does not follow the one before")));
}

async fn delete(scene: &Scene, name: &str) {
    let request = http::Request::delete(format!("/api/v1/namespaces/centro-dati/configmaps/{name}")).body(Vec::new()).unwrap();
    scene.api.client("another").request::<Value>(request).await.unwrap();
}

/// Rule 12.
#[tokio::test(start_paused = true)]
async fn a_deleted_ledger_stays_to_be_written_until_the_night_is_finished() {
    let armed = Scene::armed().await;
    let scene = &armed.scene;
    delete(scene, LEDGER).await;
    let kept = reading(scene).await;
    assert!(kept.deleting);
    add(scene, &kept.head.unwrap(), "operator-0", Event::Armed {}).await.unwrap();
    finish(&scene.tenant, "notte", sample::UID).await.unwrap();
    finish(&scene.tenant, "notte", sample::UID).await.unwrap();
    assert_eq!(scene.get("configmaps", LEDGER), Value::Null);
    assert!(scene.get("configmaps", PLAN)["metadata"].get("finalizers").is_none_or(|all| all == &json!([])));
}

#[tokio::test(start_paused = true)]
async fn the_ledger_of_an_armed_night_is_never_made_anew() {
    let armed = Scene::armed().await;
    let scene = &armed.scene;
    scene.another_hand("configmaps", LEDGER, json!({"metadata": {"finalizers": null}})).await;
    delete(scene, LEDGER).await;
    let kept = reading(scene).await;
    assert!(kept.broken.is_some_and(|reason| reason.contains("is gone")));
    let error = accept(&scene.tenant, &scene.plan, "operator-0", vec![]).await.unwrap_err();
    assert!(matches!(error, LedgerError::LedgerGone { .. }), "{error:?}");
}
