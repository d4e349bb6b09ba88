//! Jobs that run to an end of their own.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use serde_json::json;

use crate::scene::*;

#[tokio::test(start_paused = true)]
async fn a_job_created_suspended_waits_and_starts_when_released() {
    let embedded = embedded();
    let wish = job("aggiorna", &json!({"embedded.notturno.dev/takes": "90m"}), &json!({"suspend": true}));
    let _: Job = create(&embedded, wish).await;
    minutes(60).await;
    let waiting = read_job(&embedded, "aggiorna").await;
    assert_eq!(condition(&waiting, "Suspended"), "True");
    assert_eq!(waiting.status.unwrap().start_time, None);
    assert!(pods(&embedded).await.is_empty());

    suspend(&embedded, "aggiorna", false).await;
    let running = read_job(&embedded, "aggiorna").await;
    assert_eq!(condition(&running, "Suspended"), "False");
    let status = running.status.clone().unwrap();
    assert_eq!((status.active, status.ready, status.start_time.unwrap().0), (Some(1), Some(1), at("2023-02-10T00:30:00Z")));
    let pod = pods(&embedded).await.remove(0);
    assert_eq!(phase(&pod), "Running");
    assert_eq!(pod.spec.as_ref().unwrap().node_name.as_deref(), Some("embedded-node"));
    assert_eq!(pod.labels()["batch.kubernetes.io/job-name"], "aggiorna");
    assert_eq!(pod.labels()["batch.kubernetes.io/controller-uid"], running.uid().unwrap());
    assert_eq!(pod.labels()["step"], "aggiorna");
    assert_eq!(pod.annotations()["embedded.notturno.dev/takes"], "90m");
    let owner = &pod.owner_references()[0];
    assert_eq!((owner.uid.as_str(), owner.controller), (running.uid().unwrap().as_str(), Some(true)));

    minutes(89).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Complete"), "");
    minutes(2).await;
    let done = read_job(&embedded, "aggiorna").await;
    assert_eq!((condition(&done, "Complete").as_str(), condition(&done, "SuccessCriteriaMet").as_str()), ("True", "True"));
    let status = done.status.unwrap();
    assert_eq!((status.succeeded, status.active, status.failed), (Some(1), None, None));
    assert_eq!(status.completion_time.unwrap().0, at("2023-02-10T02:00:00Z"), "at its own moment, not when it was looked at");
    let pod = pods(&embedded).await.remove(0);
    assert_eq!((phase(&pod).as_str(), exit_code(&pod)), ("Succeeded", Some(0)));
    assert!(pod.finalizers().is_empty(), "counted");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_may_not_retry_fails_with_its_first_pod() {
    let embedded = embedded();
    let annotations = json!({"embedded.notturno.dev/takes": "5m", "embedded.notturno.dev/ends": "Failed"});
    let _: Job = create(&embedded, job("aggiorna", &annotations, &json!({}))).await;
    minutes(6).await;
    let failed = read_job(&embedded, "aggiorna").await;
    assert_eq!((condition(&failed, "Failed").as_str(), condition(&failed, "FailureTarget").as_str()), ("True", "True"));
    let status = failed.status.unwrap();
    assert_eq!((status.failed, status.succeeded, status.active), (Some(1), None, None));
    let reason = status.conditions.unwrap().into_iter().find(|one| one.type_ == "Failed").unwrap().reason;
    assert_eq!(reason.as_deref(), Some("BackoffLimitExceeded"));
    let pod = pods(&embedded).await.remove(0);
    assert_eq!((phase(&pod).as_str(), exit_code(&pod)), ("Failed", Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_may_retry_waits_longer_each_time_and_gives_up_at_its_limit() {
    let embedded = embedded();
    let annotations = json!({"embedded.notturno.dev/ends": "Failed"});
    let _: Job = create(&embedded, job("prova", &annotations, &json!({"backoffLimit": 2}))).await;
    let counts = async || (pods(&embedded).await.len(), condition(&read_job(&embedded, "prova").await, "Failed"));
    let seconds = async |count| tokio::time::sleep(std::time::Duration::from_secs(count)).await;
    assert_eq!(counts().await, (1, String::new()));
    seconds(9).await;
    assert_eq!(counts().await, (1, String::new()));
    seconds(1).await;
    assert_eq!(counts().await, (2, String::new()), "after 10 s");
    seconds(19).await;
    assert_eq!(counts().await, (2, String::new()));
    seconds(1).await;
    assert_eq!(counts().await, (3, "True".to_owned()), "after 20 s more");
    minutes(60).await;
    assert_eq!(counts().await, (3, "True".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_job_past_its_deadline_fails_and_its_pod_is_stopped() {
    let embedded = embedded();
    let annotations = json!({"embedded.notturno.dev/ends": "Hangs", "embedded.notturno.dev/stops-after": "20s"});
    let _: Job = create(&embedded, job("aggiorna", &annotations, &json!({"activeDeadlineSeconds": 5400}))).await;
    minutes(89).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "FailureTarget"), "");
    minutes(1).await;
    let late = read_job(&embedded, "aggiorna").await;
    assert_eq!((condition(&late, "FailureTarget").as_str(), condition(&late, "Failed").as_str()), ("True", ""));
    assert_eq!(late.status.unwrap().terminating, Some(1));
    minutes(1).await;
    let failed = read_job(&embedded, "aggiorna").await;
    assert_eq!(condition(&failed, "Failed"), "True");
    let conditions = failed.status.unwrap().conditions.unwrap();
    assert!(conditions.iter().all(|one| one.reason.as_deref() == Some("DeadlineExceeded")));
    assert_eq!(conditions.last().unwrap().last_transition_time.clone().unwrap().0, at("2023-02-10T01:00:20Z"));
    assert!(pods(&embedded).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_gated_pod_waits_for_its_gate() {
    let embedded = embedded();
    let gated = json!({"template": {"spec": {"schedulingGates": [{"name": "notturno.dev/start"}]}}});
    let _: Job = create(&embedded, job("aggiorna", &json!({}), &gated)).await;
    minutes(60).await;
    let pod = pods(&embedded).await.remove(0);
    assert_eq!((phase(&pod).as_str(), pod.spec.clone().unwrap().node_name), ("Pending", None));
    let _: k8s_openapi::api::core::v1::Pod = merge(&embedded, &pod.name_any(), json!({"spec": {"schedulingGates": null}})).await;
    assert_eq!(condition(&read_job(&embedded, "aggiorna").await, "Complete"), "True");
}

#[tokio::test(start_paused = true)]
async fn parallel_pods_succeed_as_often_as_the_job_asks() {
    let embedded = embedded();
    let annotations = json!({"embedded.notturno.dev/takes": "10m"});
    let _: Job = create(&embedded, job("indici", &annotations, &json!({"completions": 3, "parallelism": 2}))).await;
    assert_eq!(pods(&embedded).await.len(), 2);
    minutes(10).await;
    assert_eq!(pods(&embedded).await.len(), 3);
    minutes(10).await;
    let done = read_job(&embedded, "indici").await;
    assert_eq!((condition(&done, "Complete").as_str(), done.status.unwrap().succeeded), ("True", Some(3)));
}
