//! What probes see.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, Patch, PatchParams};
use notturno::embedded::Embedded;
use serde_json::{Value, json};

use crate::scene::*;

const URL: &str = "http://ricetta.sanita:8080/health";

fn place(embedded: &Embedded, name: &str, ready_after: &str, service: &Value) {
    let labels = json!({"app": name});
    embedded.create(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "sanita", "annotations": {"embedded.notturno.dev/ready-after": ready_after}},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": []}}}})).unwrap();
    embedded.create(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "sanita", "annotations": service},
        "spec": {"selector": labels, "ports": [{"port": 8080}]}})).unwrap();
}

async fn patch_service(embedded: &Embedded, name: &str, patch: Value) {
    let services: Api<Service> = Api::namespaced(client(embedded), "sanita");
    services.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

async fn scale(embedded: &Embedded, name: &str, replicas: i32) {
    let deployments: Api<Deployment> = Api::namespaced(client(embedded), "sanita");
    deployments.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": replicas}}))).await.unwrap();
}

fn get(embedded: &Embedded, name: &str) -> Result<u16, String> {
    embedded.http_get(&format!("http://{name}.sanita.svc.cluster.local:8080/health"))
}

#[tokio::test(start_paused = true)]
async fn a_service_answers_when_something_ready_is_behind_it() {
    let embedded = embedded();
    assert!(embedded.http_get(URL).unwrap_err().starts_with("no such host"));
    place(&embedded, "ricetta", "9m", &json!({}));
    assert!(embedded.http_get(URL).unwrap_err().starts_with("connection refused"));
    minutes(9).await;
    assert_eq!(embedded.http_get(URL), Ok(200));
    assert_eq!(get(&embedded, "ricetta"), Ok(200));
    assert!(embedded.http_get("http://ricetta.sanita/health").unwrap_err().starts_with("connection timed out"));
    assert!(embedded.http_get("http://ricetta:8080/").unwrap_err().starts_with("no such host"));
    scale(&embedded, "ricetta", 0).await;
    assert!(embedded.http_get(URL).unwrap_err().starts_with("connection refused"));
}

#[tokio::test(start_paused = true)]
async fn a_courtesy_page_answers_in_place_of_a_service_whose_selector_points_to_it() {
    let embedded = embedded();
    place(&embedded, "ricetta", "0s", &json!({}));
    embedded
        .create(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cortesia", "namespace": "sanita"},
        "spec": {"selector": {"matchLabels": {"app": "cortesia"}}, "template": {"metadata": {"labels": {"app": "cortesia"},
            "annotations": {"embedded.notturno.dev/answers": "503"}}, "spec": {"containers": []}}}}))
        .unwrap();
    patch_service(&embedded, "ricetta", json!({"spec": {"selector": {"app": "cortesia"}}})).await;
    assert_eq!(embedded.http_get(URL), Ok(503));
    patch_service(&embedded, "ricetta", json!({"spec": {"selector": {"app": "ricetta"}}})).await;
    assert_eq!(embedded.http_get(URL), Ok(200));
    patch_service(&embedded, "ricetta", json!({"spec": {"selector": {"app": "nobody"}}})).await;
    assert!(embedded.http_get(URL).is_err());
}

fn chain(embedded: &Embedded) {
    place(embedded, "portale", "0s", &json!({"embedded.notturno.dev/healthy-with": "ricetta.sanita"}));
    place(
        embedded,
        "ricetta",
        "0s",
        &json!({"embedded.notturno.dev/healthy-with": "anagrafe.sanita,accesso.sanita", "embedded.notturno.dev/recovers-after": "9m"}),
    );
    place(embedded, "anagrafe", "4m", &json!({}));
    place(embedded, "accesso", "0s", &json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_service_is_healthy_with_all_that_it_needs_and_recovers_after_their_outage() {
    let embedded = embedded();
    chain(&embedded);
    assert_eq!(get(&embedded, "ricetta"), Ok(503), "anagrafe is not up yet");
    minutes(4).await;
    assert_eq!((get(&embedded, "ricetta"), get(&embedded, "portale")), (Ok(200), Ok(200)), "a first start is no recovery");

    scale(&embedded, "anagrafe", 0).await;
    assert_eq!((get(&embedded, "ricetta"), get(&embedded, "portale")), (Ok(503), Ok(503)));
    minutes(60).await;
    scale(&embedded, "anagrafe", 2).await;
    minutes(12).await;
    assert_eq!(
        (get(&embedded, "anagrafe"), get(&embedded, "ricetta")),
        (Ok(200), Ok(503)),
        "4 minutes to be ready, 9 to recover"
    );
    minutes(1).await;
    assert_eq!((get(&embedded, "ricetta"), get(&embedded, "portale")), (Ok(200), Ok(200)));
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_counted_from_its_own_moment_even_if_nobody_looked() {
    let embedded = embedded();
    chain(&embedded);
    minutes(4).await;
    scale(&embedded, "anagrafe", 0).await;
    scale(&embedded, "anagrafe", 2).await;
    tokio::time::sleep(std::time::Duration::from_mins(13) - std::time::Duration::from_millis(1)).await;
    assert_eq!(get(&embedded, "ricetta"), Ok(503));
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(get(&embedded, "ricetta"), Ok(200));
    scale(&embedded, "accesso", 0).await;
    scale(&embedded, "accesso", 2).await;
    assert_eq!(get(&embedded, "ricetta"), Ok(503), "however short, it was an outage");
}

#[tokio::test(start_paused = true)]
async fn recoveries_follow_one_another_down_the_chain() {
    let embedded = embedded();
    chain(&embedded);
    patch_service(&embedded, "portale", json!({"metadata": {"annotations": {"embedded.notturno.dev/recovers-after": "5m"}}}))
        .await;
    minutes(4).await;
    scale(&embedded, "anagrafe", 0).await;
    scale(&embedded, "anagrafe", 2).await;
    minutes(17).await;
    assert_eq!((get(&embedded, "ricetta"), get(&embedded, "portale")), (Ok(200), Ok(503)));
    minutes(1).await;
    assert_eq!(get(&embedded, "portale"), Ok(200), "4 + 9 + 5 minutes");
}

#[tokio::test(start_paused = true)]
async fn services_that_wait_for_one_another_in_a_circle_never_answer_200() {
    let embedded = embedded();
    place(&embedded, "uno", "0s", &json!({"embedded.notturno.dev/healthy-with": "due.sanita"}));
    place(&embedded, "due", "0s", &json!({"embedded.notturno.dev/healthy-with": "uno.sanita"}));
    minutes(60).await;
    assert_eq!((get(&embedded, "uno"), get(&embedded, "due")), (Ok(503), Ok(503)));
}
