//! Answers that are none: what is not what was asked for is no knowledge and no proof, and what is said at length is cut.

use kube::Client;
use kube::client::Body;
use notturno::embedded::Fault;
use notturno::engine::facts::Pods;
use notturno::engine::{Entry, Event, JobKey};
use notturno::operator::effects::Tenant;
use notturno::operator::effects::ledger::append;
use serde_json::{Value, json};

use crate::scene::*;

/// The same hands; but to these methods at paths that end so the answer is 200 with this body, and nothing is done.
fn answered(scene: &Scene, method: &'static str, at: &'static str, body: Value) -> Tenant {
    let client = scene.tenant.client.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let wrong = request.method() == method && request.uri().path().ends_with(at);
        let (client, body) = (client.clone(), body.to_string().into_bytes());
        async move { if wrong { Ok(http::Response::new(Body::from(body))) } else { client.send(request).await } }
    });
    Tenant::new(Client::new(service, "default"), "centro-dati", "lavori-notturni")
}

#[tokio::test(start_paused = true)]
async fn a_list_without_items_or_in_part_shows_no_job_without_pods() {
    for wrong in [json!({}), json!(null), json!({"items": null}), json!({"metadata": {"continue": "more"}, "items": []})] {
        let mut armed = Scene::armed().await;
        let update = JobKey::Step(1);
        armed.perform(notturno::engine::Command::Release { job: update, not_after: None }).await.unwrap();
        seconds(5).await;
        assert_eq!(armed.observe().await.jobs[&update].pods, Pods::Alive);
        for at in ["/pods", "/jobs"] {
            let right = armed.scene.tenant.clone();
            armed.scene.tenant = answered(&armed.scene, "GET", at, wrong.clone());
            let seen = armed.observe().await;
            armed.scene.tenant = right;
            assert!(seen.jobs.is_empty() && !seen.blind.is_empty(), "{at}, {wrong}: {:?}", seen.jobs.get(&update));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_not_the_one_that_was_asked_for_shows_no_service_open() {
    let other = json!({"metadata": {"name": "another", "uid": "u"}, "spec": {"replicas": 2}});
    for wrong in [json!({}), json!([]), other] {
        let mut armed = Scene::armed().await;
        armed.perform(close(1)).await.unwrap();
        armed.scene.tenant = answered(&armed.scene, "GET", "/cup-api", wrong.clone());
        let seen = armed.observe().await;
        assert!(!seen.services.contains_key(&1) && !seen.blind.is_empty(), "{wrong}: {:?}", seen.services.get(&1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_in_the_ledger_when_it_was_seen_there_whatever_the_answer_was() {
    let scene = Scene::by_day();
    let head = scene.accept().await;
    let entry = || vec![Entry { at: scene.api.clock().now(), event: Event::Armed {}, why: "because".into() }];
    let before = scene.get("configmaps", "notturno-notte-0f0e0d0c-ledger");
    for wrong in [json!({}), before] {
        let deaf = answered(&scene, "PATCH", "-ledger", wrong);
        let appended = append(&deaf, &scene.plan, &head, "operator-0", entry()).await;
        assert!(appended.is_err(), "{appended:?}");
    }
    append(&scene.tenant, &scene.plan, &head, "operator-0", entry()).await.unwrap();
}

/// It becomes part of records, of which a ledger has room for a mebibyte.
#[tokio::test(start_paused = true)]
async fn what_the_api_server_says_at_length_is_cut() {
    let armed = Scene::armed().await;
    armed.scene.fault(|request, _| {
        let write = request.write_number.is_some();
        if write { Fault::Status(403, "però ".repeat(100_000)) } else { Fault::None }
    });
    let refused = armed.perform(close(1)).await.unwrap_err();
    assert!(refused.to_string().len() < 4000, "{}", refused.to_string().len());
}
