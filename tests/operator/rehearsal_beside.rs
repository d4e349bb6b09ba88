//! Rehearsals of objects that others hold or change meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::client::Body;
use serde_json::json;

use crate::rehearsal::{findings, message, world};
use crate::world::NIGHT;

#[tokio::test(start_paused = true)]
async fn an_object_that_others_change_meanwhile_is_looked_at_again_and_is_no_finding() {
    let world = world(|_| {}).await;
    let (embedded, changed) = (world.embedded.clone(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&changed);
    let _operator = world.operator_with(Arc::new(move |token| {
        let (inner, other, counted) = (embedded.client_for_token(token), embedded.client("anna"), Arc::clone(&counted));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (inner, other, counted) = (inner.clone(), other.clone(), Arc::clone(&counted));
            async move {
                let is_first = request.method() == "PATCH" && request.uri().path().ends_with("/services/ricetta-elettronica");
                if is_first && counted.fetch_add(1, Ordering::SeqCst) == 0 {
                    let services: kube::Api<k8s_openapi::api::core::v1::Service> = kube::Api::namespaced(other, "sanita");
                    let label = kube::api::Patch::Merge(json!({"metadata": {"labels": {"di": "anna"}}}));
                    services.patch("ricetta-elettronica", &kube::api::PatchParams::default(), &label).await.unwrap();
                }
                Ok::<_, Infallible>(inner.send(request).await.unwrap())
            }
        });
        Ok(kube::Client::new(service, "default"))
    }));
    assert_eq!(world.outcome(NIGHT).await, "Completed", "{:#}", world.status(NIGHT));
    assert_eq!(world.status(NIGHT)["why"], "rehearsed: 24 effects would be accepted");
    assert_eq!(changed.load(Ordering::SeqCst), 3, "refused once, then there and back");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_another_night_holds_is_named_with_that_night() {
    let world = world(|_| {}).await;
    let deployments: kube::Api<k8s_openapi::api::apps::v1::Deployment> =
        kube::Api::namespaced(world.embedded.client("anna"), "sanita");
    let token = kube::api::Patch::Merge(json!({"metadata": {"annotations": {"notturno.dev/token": "altra-notte.1.forward"}}}));
    deployments.patch("accesso-ts", &kube::api::PatchParams::default(), &token).await.unwrap();
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let status = world.status(NIGHT);
    let expected = ["Claimed", "Deployment sanita/accesso-ts", "closing sanita/accesso-ts/backend"].map(str::to_owned);
    assert_eq!(findings(&status), [expected], "{status:#}");
    assert!(message(&status, "Deployment sanita/accesso-ts").contains("the night altra-notte has claimed it"));
}

#[tokio::test(start_paused = true)]
async fn a_template_in_the_runbook_that_asks_for_too_much_is_a_finding_of_the_rehearsal() {
    let world = world(|object| {
        if object["kind"] == "Runbook" {
            let pods =
                json!({"spec": {"hostNetwork": true, "restartPolicy": "Never", "containers": [{"name": "c", "image": "c:1"}]}});
            object["spec"]["steps"][0]["job"] = json!({"template": {"spec": {"template": pods}}});
        }
    })
    .await;
    let _operator = world.operator();
    world.outcome(NIGHT).await;
    let status = world.status(NIGHT);
    let found = findings(&status).into_iter().filter(|[reason, ..]| reason == "PodSecurity").count();
    assert!(found >= 2, "{status:#}");
    assert!(status["refusals"].to_string().contains("spec.hostNetwork"), "{status:#}");
}
