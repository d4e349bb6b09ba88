//! Faults, and what a crash test is made of.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use notturno::embedded::{Embedded, Fault, FaultFn, Stage, Verb};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::scene::*;

fn at_write(number: u64, stage: Stage, fault: Fault) -> FaultFn {
    Arc::new(move |request, at| if request.write_number == Some(number) && at == stage { fault.clone() } else { Fault::None })
}

/// Ten creations, one after the other, as an operator's task.
async fn work(embedded: Embedded) {
    for count in 0..10 {
        let _: ConfigMap = create(&embedded, config(&format!("n{count}"), &json!({}))).await;
        let _ = api::<ConfigMap>(&embedded).list(&ListParams::default()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_the_nth_write_leaves_it_undone_or_done_with_its_answer_lost() {
    for (stage, done) in [(Stage::Before, 3), (Stage::After, 4)] {
        let embedded = embedded();
        embedded.set_fault(Some(at_write(4, stage, Fault::Hang)));
        assert!(timeout(Duration::from_hours(1), work(embedded.clone())).await.is_err());
        assert_eq!(embedded.objects().len(), done);
        let last = embedded.log().pop().unwrap();
        assert_eq!((last.request.write_number, last.code, last.changed), (Some(4), None, stage == Stage::After));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_answered_before_or_after_the_write_is_done() {
    for (stage, done) in [(Stage::Before, false), (Stage::After, true)] {
        let embedded = embedded();
        embedded.set_fault(Some(at_write(1, stage, Fault::Status(504, "Timeout".to_owned()))));
        let created = api::<ConfigMap>(&embedded).create(&PostParams::default(), &typed(config("piano", &json!({})))).await;
        assert_eq!(refusal(created), refused(504, "Timeout"));
        assert_eq!(embedded.object("", "configmaps", NS, "piano").is_some(), done);
        assert_eq!(embedded.log()[0].code, Some(504));
        embedded.set_fault(None);
        assert!(api::<ConfigMap>(&embedded).list(&ListParams::default()).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_write_lands_late_and_overtakes_nothing_that_came_before() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    embedded.set_fault(Some(at_write(2, Stage::Before, Fault::Delay(Duration::from_mins(1)))));
    let patch = |value: &str| Patch::Merge(json!({"data": {"by": value}}));
    let maps = api::<ConfigMap>(&embedded);
    let (params, slow, fast) = (PatchParams::default(), patch("slow"), patch("fast"));
    let start = Instant::now();
    let late = async { (maps.patch("piano", &params, &slow).await.unwrap(), start.elapsed()) };
    let soon = async { (maps.patch("piano", &params, &fast).await.unwrap(), start.elapsed()) };
    let ((late, slow_took), (soon, fast_took)) = futures::join!(late, soon);
    assert_eq!((slow_took, fast_took), (Duration::from_mins(1), Duration::ZERO));
    let revision = |map: &ConfigMap| map.resource_version().unwrap().parse::<u64>().unwrap();
    assert!(revision(&late) > revision(&soon));
    assert_eq!(read_config(&embedded, "piano").await.data.unwrap()["by"], "slow");
}

#[tokio::test(start_paused = true)]
async fn a_fault_sees_who_asks_for_what_and_may_ask_the_api_back() {
    let embedded = embedded();
    let inside = embedded.clone();
    embedded.set_fault(Some(Arc::new(move |request, _| {
        let forbidden = request.user == "anna@centro-dati" && request.verb == Verb::Patch && request.resource == "configmaps";
        let there = inside.object("", "configmaps", &request.namespace, &request.name).is_some();
        if forbidden && there { Fault::Status(403, "Forbidden".to_owned()) } else { Fault::None }
    })));
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let patched =
        api::<ConfigMap>(&embedded).patch("piano", &PatchParams::default(), &Patch::Merge(json!({"data": {"a": "1"}}))).await;
    assert_eq!(refusal(patched), refused(403, "Forbidden"));
    let kept = read_config(&embedded, "piano").await;
    assert_eq!((kept.name_any().as_str(), kept.data), ("piano", None));
}

#[tokio::test(start_paused = true)]
async fn the_same_night_played_twice_leaves_the_same_world() {
    async fn night() -> (Vec<serde_json::Value>, Vec<String>) {
        let embedded = embedded();
        embedded
            .create(job(
                "aggiorna",
                &json!({"embedded.notturno.dev/takes": "90m", "embedded.notturno.dev/ends": "Failed"}),
                &json!({"backoffLimit": 2}),
            ))
            .unwrap();
        let _: ConfigMap = create(&embedded, json!({"metadata": {"generateName": "voce-"}})).await;
        minutes(600).await;
        let requests = embedded.log().iter().map(|one| format!("{one:?}")).collect();
        (embedded.objects(), requests)
    }
    assert_eq!(night().await, night().await);
}
