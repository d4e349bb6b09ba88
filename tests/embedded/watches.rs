//! Following changes.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use notturno::embedded::{Embedded, WatchFault};
use serde_json::json;
use tokio::time::Instant;

use crate::scene::*;

/// The events of a watch of `seconds` from `revision` on, told in words.
async fn told(embedded: &Embedded, params: WatchParams, revision: &str) -> Vec<String> {
    let stream = api::<ConfigMap>(embedded).watch(&params, revision).await.unwrap();
    let word = |event: WatchEvent<ConfigMap>| match event {
        WatchEvent::Added(object) => format!("added {}", object.name_any()),
        WatchEvent::Modified(object) => format!("modified {}", object.name_any()),
        WatchEvent::Deleted(object) => format!("deleted {}", object.name_any()),
        WatchEvent::Bookmark(mark) => format!("bookmark {}", mark.metadata.annotations.keys().cloned().collect::<String>()),
        WatchEvent::Error(status) => format!("error {} {}", status.code, status.reason),
    };
    stream.map_ok(word).try_collect().await.unwrap()
}

fn short() -> WatchParams {
    WatchParams { bookmarks: false, ..WatchParams::default().timeout(10) }
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_where_a_list_or_another_watch_ended_and_ends_in_its_time() {
    let embedded = embedded();
    let piano: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let _: ConfigMap = create(&embedded, config("registro", &json!({}))).await;
    let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": "1"}})).await;
    api::<ConfigMap>(&embedded).delete("registro", &DeleteParams::default()).await.unwrap();
    let start = Instant::now();
    let events = told(&embedded, short(), &piano.resource_version().unwrap()).await;
    assert_eq!(events, ["added registro", "modified piano", "deleted registro"]);
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert_eq!(told(&embedded, short(), "0").await, ["added piano"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_before_the_history_is_expired() {
    let embedded = embedded();
    let piano: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    for count in 0..5 {
        let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": count.to_string()}})).await;
    }
    embedded.compact(2);
    assert_eq!(told(&embedded, short(), &piano.resource_version().unwrap()).await, ["error 410 Expired"]);
    let ahead = api::<ConfigMap>(&embedded).watch(&short(), "1000").await;
    assert_eq!(refusal(ahead.map(|_| ())), refused(504, "Timeout"));
}

#[tokio::test(start_paused = true)]
async fn the_history_is_bounded_and_forgets_the_oldest() {
    let embedded = embedded();
    let piano: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    for count in 0..8200 {
        let patch = Patch::Merge(json!({"data": {"a": count.to_string()}}));
        api::<ConfigMap>(&embedded).patch("piano", &PatchParams::default(), &patch).await.unwrap();
    }
    assert_eq!(told(&embedded, short(), &piano.resource_version().unwrap()).await, ["error 410 Expired"]);
    let recent = (piano.resource_version().unwrap().parse::<u64>().unwrap() + 1000).to_string();
    assert_eq!(told(&embedded, short(), &recent).await.len(), 7200);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_enters_or_leaves_the_selection_is_added_or_deleted() {
    let embedded = embedded();
    let piano: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    for night in ["1", "1", "2"] {
        let _: ConfigMap = merge(&embedded, "piano", json!({"metadata": {"labels": {"night": night}}})).await;
    }
    let _: ConfigMap = merge(&embedded, "piano", json!({"metadata": {"labels": {"night": "1", "x": "y"}}})).await;
    let _: ConfigMap = merge(&embedded, "piano", json!({"metadata": {"labels": {"x": "z"}}})).await;
    let events = told(&embedded, short().labels("night=1"), &piano.resource_version().unwrap()).await;
    assert_eq!(events, ["added piano", "deleted piano", "added piano", "modified piano"]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_a_selection_is_shown_as_it_was_in_it_with_the_revision_of_its_leaving() {
    let embedded = embedded();
    let wish = json!({"metadata": {"name": "piano", "labels": {"night": "1"}}, "data": {"a": "1"}});
    let piano: ConfigMap = create(&embedded, wish).await;
    let left: ConfigMap = merge(&embedded, "piano", json!({"metadata": {"labels": {"night": "2"}}, "data": {"a": "2"}})).await;
    let maps = api::<ConfigMap>(&embedded);
    let stream = maps.watch(&short().labels("night=1"), &piano.resource_version().unwrap()).await.unwrap();
    let events: Vec<WatchEvent<ConfigMap>> = stream.try_collect().await.unwrap();
    let [WatchEvent::Deleted(shown)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&shown.labels()["night"], &shown.data.as_ref().unwrap()["a"]), (&"1".to_owned(), &"1".to_owned()));
    assert_eq!(shown.resource_version(), left.resource_version());
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_is_told_each_minute_where_it_is() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let params = WatchParams { bookmarks: true, ..WatchParams::default().timeout(150) };
    assert_eq!(told(&embedded, params, "2").await, ["bookmark ", "bookmark ", "bookmark "]);
    let mut streaming = short();
    streaming.bookmarks = true;
    streaming.send_initial_events = true;
    assert_eq!(told(&embedded, streaming, "0").await, ["added piano", "bookmark k8s.io/initial-events-end", "bookmark "]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_misses_nothing_in_a_night_of_reconnections_and_recovers_from_a_lost_history() {
    let embedded = embedded();
    let changing = embedded.clone();
    let writer = tokio::spawn(async move {
        for count in 0..60 {
            minutes(7).await;
            let params = PatchParams::apply("t");
            let map = config("registro", &json!({"n": count.to_string()}));
            api::<ConfigMap>(&changing).patch("registro", &params, &Patch::Apply(map)).await.unwrap();
            if count == 30 {
                changing.compact(0);
            }
        }
    });
    let start = Instant::now();
    let stream = watcher(api::<ConfigMap>(&embedded), watcher::Config::default()).default_backoff().applied_objects();
    let mut lost = 0;
    let value = |map: kube::runtime::watcher::Result<ConfigMap>| match map {
        Ok(map) => map.data.map(|mut data| data.remove("n").unwrap()),
        Err(watcher::Error::WatchError(status)) => {
            assert_eq!(status.code, 410);
            lost += 1;
            None
        }
        Err(other) => panic!("{other}"),
    };
    let seen: Vec<String> = stream.map(value).filter_map(futures::future::ready).take(60).collect().await;
    assert_eq!(lost, 1);
    assert_eq!(seen, (0..60).map(|count| count.to_string()).collect::<Vec<_>>());
    assert_eq!(start.elapsed(), Duration::from_hours(7));
    writer.await.unwrap();
    let lists = embedded.log().iter().filter(|one| one.request.verb == notturno::embedded::Verb::List).count();
    assert!(lists <= 2, "{lists} lists: reconnecting must not list again");
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_told_of_what_happens_by_itself_at_the_moment_it_happens() {
    let embedded = embedded();
    embedded.create(job("aggiorna", &json!({"embedded.notturno.dev/takes": "90m7s"}), &json!({}))).unwrap();
    let stream = watcher(api::<k8s_openapi::api::batch::v1::Job>(&embedded), watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let start = Instant::now();
    let done = stream
        .try_filter(|job| futures::future::ready(condition(job, "Complete") == "True"))
        .boxed()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5407), "nobody else moved the clock or looked");
    assert_eq!(done.status.unwrap().completion_time.unwrap().0, at("2023-02-10T01:00:07Z"));
}

/// What a watch of ten seconds tells of three writes when this goes wrong with the second, and what the next tells from where that one ended.
async fn told_with(fault: WatchFault) -> (Vec<String>, Vec<String>) {
    let embedded = embedded();
    let piano: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let from = piano.resource_version().unwrap();
    embedded.set_watch_fault(Some(Arc::new(move |event| {
        assert_eq!(
            (event.user.as_str(), event.resource.as_str(), event.namespace.as_str()),
            ("anna@centro-dati", "configmaps", NS)
        );
        if event.number == 2 { fault } else { WatchFault::None }
    })));
    for count in 1..=3 {
        let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": count.to_string()}})).await;
    }
    let value = |map: ConfigMap| map.data.and_then(|mut data| data.remove("a")).unwrap_or_default();
    let word = |event: WatchEvent<ConfigMap>| match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => value(object),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => status.code.to_string(),
    };
    let stream = api::<ConfigMap>(&embedded).watch(&short(), &from).await.unwrap();
    let limit = tokio::time::sleep(Duration::from_secs(60));
    let first: Vec<String> = stream.map_ok(word).take_until(limit).try_collect().await.unwrap();
    let ended = Instant::now();
    let stream = api::<ConfigMap>(&embedded).watch(&short(), &from).await.unwrap();
    let again: Vec<String> = stream.map_ok(word).try_collect().await.unwrap();
    assert_eq!(ended.elapsed(), Duration::from_secs(10));
    (first, again)
}

#[tokio::test(start_paused = true)]
async fn an_event_can_be_lost_late_told_twice_or_behind_the_next_and_the_watch_can_end_or_fall_silent_before_it() {
    let cases: [(WatchFault, &[&str]); 8] = [
        (WatchFault::None, &["1", "2", "3"]),
        (WatchFault::Lost, &["1", "3"]),
        (WatchFault::Late(Duration::from_secs(5)), &["1", "2", "3"]),
        (WatchFault::Twice, &["1", "2", "2", "3"]),
        (WatchFault::AfterNext, &["1", "3", "2"]),
        (WatchFault::Compacted, &["1", "410"]),
        (WatchFault::Ended, &["1"]),
        (WatchFault::Silent, &["1"]),
    ];
    for (fault, told) in cases {
        let (first, again) = told_with(fault).await;
        assert_eq!(first, told, "{fault:?}");
        assert_eq!(again, ["1", "2", "3"], "{fault:?}: only that one watch");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_event_holds_back_what_follows_it() {
    let embedded = embedded();
    let piano: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let late = WatchFault::Late(Duration::from_secs(7));
    embedded.set_watch_fault(Some(Arc::new(move |event| if event.number == 1 { late } else { WatchFault::None })));
    for count in 1..=2 {
        let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": count.to_string()}})).await;
    }
    let start = Instant::now();
    let stream = api::<ConfigMap>(&embedded).watch(&short(), &piano.resource_version().unwrap()).await.unwrap();
    let moments: Vec<Duration> = stream.map_ok(|_| start.elapsed()).try_collect().await.unwrap();
    assert_eq!(moments, [Duration::from_secs(7); 2]);
}
