//! Jobs that are stopped in the middle, and what is left to see of them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use notturno::embedded::Embedded;
use serde_json::{Value, json};

use crate::scene::*;

const FINALIZER: &str = "notturno.dev/seen";

/// A Job that has run for half an hour, whose Pod a finalizer holds.
async fn running(embedded: &Embedded, more: &Value) {
    let mut annotations = json!({"embedded.notturno.dev/ends": "Hangs"});
    json_patch::merge(&mut annotations, more);
    let template = json!({"template": {"metadata": {"finalizers": [FINALIZER]}}, "podReplacementPolicy": "Failed"});
    let _: Job = create(embedded, job("aggiorna", &annotations, &template)).await;
    minutes(30).await;
}

#[tokio::test(start_paused = true)]
async fn suspending_stops_the_pod_which_stays_to_be_seen_while_a_finalizer_holds_it() {
    let embedded = embedded();
    running(&embedded, &json!({"embedded.notturno.dev/stops-after": "20s"})).await;
    suspend(&embedded, "aggiorna", true).await;
    let stopping = read_job(&embedded, "aggiorna").await;
    assert_eq!(condition(&stopping, "Suspended"), "True");
    let status = stopping.status.unwrap();
    assert_eq!((status.active, status.terminating), (None, Some(1)));
    assert_eq!(status.start_time.unwrap().0, at("2023-02-09T23:30:00Z"), "kept, as Kubernetes 1.35 keeps it");
    let pod = pods(&embedded).await.remove(0);
    assert_eq!((phase(&pod).as_str(), exit_code(&pod)), ("Running", None));
    assert_eq!(pod.metadata.deletion_timestamp.as_ref().unwrap().0, at("2023-02-10T00:00:30Z"));

    minutes(1).await;
    let pod = pods(&embedded).await.remove(0);
    assert_eq!((phase(&pod).as_str(), exit_code(&pod)), ("Failed", Some(143)));
    assert_eq!(pod.finalizers(), [FINALIZER]);
    let stopped = read_job(&embedded, "aggiorna").await;
    let status = stopped.status.clone().unwrap();
    assert_eq!((status.terminating, status.failed, status.succeeded), (Some(0), None, None), "not counted");
    assert_eq!((condition(&stopped, "Failed").as_str(), condition(&stopped, "Complete").as_str()), ("", ""));

    let name = pod.name_any();
    let _: Pod = merge(&embedded, &name, json!({"metadata": {"finalizers": null}})).await;
    assert!(pods(&embedded).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_nothing_holds_vanishes_as_soon_as_it_has_stopped() {
    let embedded = embedded();
    let _: Job = create(&embedded, job("aggiorna", &json!({"embedded.notturno.dev/ends": "Hangs"}), &json!({}))).await;
    suspend(&embedded, "aggiorna", true).await;
    assert!(pods(&embedded).await.is_empty());
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Suspended"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_needs_longer_than_its_grace_is_killed_and_one_on_a_lost_node_never_ends() {
    let embedded = embedded();
    running(&embedded, &json!({"embedded.notturno.dev/stops-after": "5m"})).await;
    suspend(&embedded, "aggiorna", true).await;
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(exit_code(&pods(&embedded).await.remove(0)), Some(137));

    let other = embedded_with_lost_node().await;
    minutes(600).await;
    let pod = pods(&other).await.remove(0);
    assert_eq!((phase(&pod).as_str(), exit_code(&pod)), ("Running", None));
    let force = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    api::<Pod>(&other).delete(&pod.name_any(), &force).await.unwrap();
    let _: Pod = merge(&other, &pod.name_any(), json!({"metadata": {"finalizers": null}})).await;
    assert!(pods(&other).await.is_empty(), "gone by force, never seen to end");
}

async fn embedded_with_lost_node() -> Embedded {
    let embedded = embedded();
    running(&embedded, &json!({"embedded.notturno.dev/stops-after": "never"})).await;
    suspend(&embedded, "aggiorna", true).await;
    embedded
}

#[tokio::test(start_paused = true)]
async fn exit_0_on_the_stop_signal_leaves_the_job_suspended() {
    let embedded = embedded();
    running(&embedded, &json!({"embedded.notturno.dev/on-stop": "Succeeded"})).await;
    suspend(&embedded, "aggiorna", true).await;
    let pod = pods(&embedded).await.remove(0);
    assert_eq!((phase(&pod).as_str(), exit_code(&pod)), ("Succeeded", Some(0)));
    let stopped = read_job(&embedded, "aggiorna").await;
    assert_eq!((condition(&stopped, "Complete").as_str(), condition(&stopped, "Suspended").as_str()), ("", "True"));
    assert_eq!(stopped.status.unwrap().succeeded, None, "its tracking finalizer went before it ended");
}

#[tokio::test(start_paused = true)]
async fn exit_0_that_is_still_counted_makes_the_suspended_job_complete() {
    let embedded = embedded();
    running(&embedded, &json!({"embedded.notturno.dev/on-stop": "Completes", "embedded.notturno.dev/stops-after": "10s"})).await;
    suspend(&embedded, "aggiorna", true).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Complete"), "");
    minutes(1).await;
    let done = read_job(&embedded, "aggiorna").await;
    assert_eq!((condition(&done, "Complete").as_str(), done.spec.unwrap().suspend), ("True", Some(true)));
    assert_eq!(done.status.unwrap().succeeded, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_by_somebody_else_that_exits_0_completes_the_job_suspended_meanwhile() {
    let embedded = embedded();
    running(&embedded, &json!({"embedded.notturno.dev/on-stop": "Succeeded", "embedded.notturno.dev/stops-after": "10s"})).await;
    let name = pods(&embedded).await.remove(0).name_any();
    api::<Pod>(&embedded).delete(&name, &DeleteParams::default()).await.unwrap();
    suspend(&embedded, "aggiorna", true).await;
    minutes(1).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Complete"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_job_starts_anew_with_a_new_pod() {
    let embedded = embedded();
    let annotations = json!({"embedded.notturno.dev/takes": "90m"});
    let _: Job = create(&embedded, job("aggiorna", &annotations, &json!({}))).await;
    minutes(30).await;
    let first = pods(&embedded).await.remove(0).name_any();
    suspend(&embedded, "aggiorna", true).await;
    minutes(30).await;
    suspend(&embedded, "aggiorna", false).await;
    let resumed = read_job(&embedded, "aggiorna").await;
    assert_eq!(resumed.status.clone().unwrap().start_time.unwrap().0, at("2023-02-10T00:30:00Z"));
    assert_eq!((condition(&resumed, "Suspended").as_str(), resumed.status.unwrap().active), ("False", Some(1)));
    assert_ne!(pods(&embedded).await.remove(0).name_any(), first);
    minutes(90).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Complete"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_is_replaced_at_once_or_only_when_it_has_ended_as_the_job_says() {
    for (policy, at_once) in [("TerminatingOrFailed", 2), ("Failed", 1)] {
        let embedded = embedded();
        let annotations = json!({"embedded.notturno.dev/ends": "Hangs", "embedded.notturno.dev/stops-after": "20s"});
        let _: Job =
            create(&embedded, job("prova", &annotations, &json!({"backoffLimit": 3, "podReplacementPolicy": policy}))).await;
        let name = pods(&embedded).await.remove(0).name_any();
        api::<Pod>(&embedded).delete(&name, &DeleteParams::default()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        assert_eq!(pods(&embedded).await.len(), at_once, "{policy}: the first one is still stopping");
        minutes(1).await;
        let all = pods(&embedded).await;
        assert_eq!((all.len(), all[0].name_any() == name), (1, false), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_resumed_after_its_deadline_fails_at_once_as_it_does_in_kubernetes_1_35() {
    let embedded = embedded();
    let annotations = json!({"embedded.notturno.dev/ends": "Hangs"});
    let _: Job = create(&embedded, job("aggiorna", &annotations, &json!({"activeDeadlineSeconds": 3600}))).await;
    minutes(30).await;
    suspend(&embedded, "aggiorna", true).await;
    minutes(40).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Failed"), "", "no deadline counts while it is suspended");
    suspend(&embedded, "aggiorna", false).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Failed"), "True");
}
