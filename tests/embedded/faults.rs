//! Faults, and what a crash test is made of.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
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

#[tokio::test(start_paused = true)]
async fn a_write_that_is_late_lands_although_whoever_sent_it_is_dead() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    embedded.set_fault(Some(at_write(2, Stage::Before, Fault::Late(Duration::from_mins(1)))));
    let patch = Patch::Merge(json!({"data": {"by": "a ghost"}}));
    let (maps, params) = (api::<ConfigMap>(&embedded), PatchParams::default());
    assert!(timeout(Duration::from_secs(10), maps.patch("piano", &params, &patch)).await.is_err(), "it waits");
    assert_eq!(read_config(&embedded, "piano").await.data, None);
    tokio::time::sleep(Duration::from_secs(51)).await;
    assert_eq!(read_config(&embedded, "piano").await.data.unwrap()["by"], "a ghost");
}

#[tokio::test(start_paused = true)]
async fn an_older_list_shows_what_there_was_and_a_watch_from_it_tells_the_rest() {
    let embedded = embedded();
    for name in ["piano", "registro"] {
        let _: ConfigMap = create(&embedded, config(name, &json!({}))).await;
    }
    let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": "1"}})).await;
    api::<ConfigMap>(&embedded).delete("registro", &DeleteParams::default()).await.unwrap();
    let _: ConfigMap = create(&embedded, config("chiave", &json!({}))).await;
    let back = |count| -> FaultFn {
        Arc::new(
            move |request, stage| {
                if request.verb == Verb::List && stage == Stage::Before { Fault::Older(count) } else { Fault::None }
            },
        )
    };
    for (count, shown) in
        [(0, "chiave, piano 1"), (1, "piano 1"), (2, "piano 1, registro"), (3, "piano, registro"), (4, "piano"), (9, "")]
    {
        embedded.set_fault(Some(back(count)));
        let list = api::<ConfigMap>(&embedded).list(&ListParams::default()).await.unwrap();
        let word = |map: &ConfigMap| {
            let value = map.data.as_ref().map(|data| format!(" {}", data["a"])).unwrap_or_default();
            format!("{}{value}", map.name_any())
        };
        assert_eq!(list.items.iter().map(word).collect::<Vec<_>>().join(", "), shown, "{count} changes ago");
        let params = WatchParams { bookmarks: false, ..WatchParams::default().timeout(1) };
        let rest = api::<ConfigMap>(&embedded).watch(&params, &list.metadata.resource_version.unwrap()).await.unwrap();
        assert_eq!(
            rest.try_collect::<Vec<_>>().await.unwrap().len(),
            usize::try_from(count.min(5)).unwrap(),
            "{count} changes ago"
        );
    }
}
