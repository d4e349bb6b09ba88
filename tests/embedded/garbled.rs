//! Answers that are none, clocks that are wrong, other people's webhooks, and Pods that wait for a node.

use std::sync::Arc;

use http::Request;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use notturno::embedded::{Admitted, Embedded, Fault, RequestInfo, Stage};
use serde_json::{Value, json};

use crate::scene::*;

fn every(embedded: &Embedded, when: Stage, fault: Fault) {
    embedded.set_fault(Some(Arc::new(move |_: &RequestInfo, stage| if stage == when { fault.clone() } else { Fault::None })));
}

async fn asked(embedded: &Embedded, path: &str) -> http::Response<Body> {
    client(embedded).send(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn whoever_is_asked_to_come_back_later_is_told_so_in_header_and_body() {
    let embedded = embedded();
    for (after, seconds) in [("1000000", json!(1_000_000)), ("-1", json!(-1)), ("domani", Value::Null)] {
        every(&embedded, Stage::Before, Fault::RetryAfter(429, "TooManyRequests".to_owned(), after.to_owned()));
        let answer = asked(&embedded, "/api/v1/namespaces/centro-dati/configmaps").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &after.parse().unwrap()));
        let body: Value = serde_json::from_slice(&answer.into_body().collect_bytes().await.unwrap()).unwrap();
        assert_eq!((&body["reason"], &body["details"]["retryAfterSeconds"]), (&json!("TooManyRequests"), &seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_is_no_answer_and_a_broken_answer_was_done() {
    let embedded = embedded();
    let maps = api::<ConfigMap>(&embedded);
    every(&embedded, Stage::Before, Fault::Page(200, "<html>".to_owned()));
    assert!(matches!(maps.list(&ListParams::default()).await, Err(kube::Error::SerdeError(_))));
    for (stage, is_there) in [(Stage::Before, false), (Stage::After, true)] {
        every(&embedded, stage, Fault::Cut);
        let created = maps.create(&PostParams::default(), &typed(config("piano", &json!({})))).await;
        assert!(matches!(created, Err(kube::Error::SerdeError(_))), "{created:?}");
        assert_eq!(embedded.object("", "configmaps", NS, "piano").is_some(), is_there);
    }
}

#[tokio::test(start_paused = true)]
async fn dates_are_off_by_as_much_as_a_scene_says_and_nothing_else_is() {
    let embedded = embedded();
    embedded.set_date_off_by(SignedDuration::from_secs(-90));
    let answer = asked(&embedded, "/version").await;
    assert_eq!(answer.headers()["date"], "Thu, 09 Feb 2023 23:28:30 GMT");
    let made: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    assert_eq!(made.metadata.creation_timestamp.unwrap().0, at("2023-02-09T23:30:00Z"));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_alters_what_is_written_through_the_api_dry_runs_too_and_nothing_else() {
    let embedded = embedded();
    embedded.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "piano", "namespace": NS}})).unwrap();
    embedded.set_admission(Some(Arc::new(|admitted: Admitted<'_>, object: &mut Value| {
        if (admitted.resource, admitted.namespace, admitted.name) == ("configmaps", NS, "piano") {
            object["data"]["visto"] = json!("si");
        }
    })));
    assert_eq!(read_config(&embedded, "piano").await.data, None, "what the scene makes is not altered");
    let maps = api::<ConfigMap>(&embedded);
    let patch = Patch::Merge(json!({"data": {"a": "b"}}));
    let tried = maps.patch("piano", &PatchParams { dry_run: true, ..PatchParams::default() }, &patch).await.unwrap();
    let done = maps.patch("piano", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!((&tried.data.as_ref().unwrap()["visto"], &tried.data), (&"si".to_owned(), &done.data));
    let _: ConfigMap = create(&embedded, config("altro", &json!({}))).await;
    assert_eq!(read_config(&embedded, "altro").await.data.unwrap_or_default().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_a_node_as_long_as_its_template_says() {
    for (waits, phases) in [("5m", ["Pending", "Running"]), ("never", ["Pending", "Pending"])] {
        let embedded = embedded();
        let marks = json!({"embedded.notturno.dev/scheduled-after": waits, "embedded.notturno.dev/takes": "10m"});
        let _: k8s_openapi::api::batch::v1::Job = create(&embedded, job("lavoro", &marks, &json!({}))).await;
        minutes(4).await;
        assert_eq!(phase(&pods(&embedded).await[0]), phases[0], "{waits}");
        minutes(1).await;
        assert_eq!(phase(&pods(&embedded).await[0]), phases[1], "{waits}");
        suspend(&embedded, "lavoro", true).await;
        minutes(1).await;
        assert_eq!(pods(&embedded).await.len(), 0, "{waits}: what never ran is gone at once");
    }
}
