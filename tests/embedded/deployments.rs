//! Deployments, whose readiness is what closing and reopening come down to.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use notturno::embedded::Embedded;
use serde_json::{Value, json};

use crate::scene::*;

fn deployment(name: &str, replicas: i32, annotations: &Value) -> Value {
    json!({"metadata": {"name": name, "annotations": annotations}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": []}}}})
}

async fn status(embedded: &Embedded) -> DeploymentStatus {
    api::<Deployment>(embedded).get("ricetta-api").await.unwrap().status.unwrap()
}

async fn scale(embedded: &Embedded, replicas: i32) {
    let _: Deployment = merge(embedded, "ricetta-api", json!({"spec": {"replicas": replicas}})).await;
}

#[tokio::test(start_paused = true)]
async fn replicas_are_ready_when_their_time_has_come_and_gone_at_once() {
    let embedded = embedded();
    let _: Deployment =
        create(&embedded, deployment("ricetta-api", 3, &json!({"embedded.notturno.dev/ready-after": "9m30s"}))).await;
    minutes(9).await;
    let starting = status(&embedded).await;
    assert_eq!((starting.replicas, starting.ready_replicas, starting.unavailable_replicas), (Some(3), None, Some(3)));
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let ready = status(&embedded).await;
    assert_eq!((ready.ready_replicas, ready.available_replicas, ready.updated_replicas), (Some(3), Some(3), Some(3)));
    assert_eq!((ready.unavailable_replicas, ready.observed_generation), (None, Some(1)));
    scale(&embedded, 0).await;
    let closed = status(&embedded).await;
    assert_eq!((closed.replicas, closed.ready_replicas, closed.observed_generation), (None, None, Some(2)));
    scale(&embedded, 3).await;
    minutes(5).await;
    scale(&embedded, 2).await;
    minutes(9).await;
    assert_eq!(status(&embedded).await.ready_replicas, None, "asked for anew, counted anew");
    minutes(1).await;
    assert_eq!(status(&embedded).await.ready_replicas, Some(2));
    let condition = status(&embedded).await.conditions.unwrap().into_iter().find(|one| one.type_ == "Available").unwrap();
    assert_eq!((condition.status.as_str(), condition.last_transition_time.unwrap().0), ("True", at("2023-02-09T23:54:00Z")));
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_everything_is_ready_at_once_and_nothing_is_written_twice() {
    let embedded = embedded();
    let _: Deployment = create(&embedded, deployment("ricetta-api", 2, &json!({}))).await;
    let first = api::<Deployment>(&embedded).get("ricetta-api").await.unwrap();
    assert_eq!(first.status.as_ref().unwrap().ready_replicas, Some(2));
    minutes(600).await;
    assert_eq!(api::<Deployment>(&embedded).get("ricetta-api").await.unwrap(), first);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_rolled_out_while_the_old_replicas_serve() {
    let embedded = embedded();
    let _: Deployment = create(&embedded, deployment("ricetta-api", 2, &json!({}))).await;
    let slow = json!({"metadata": {"annotations": {"embedded.notturno.dev/ready-after": "2m"}}});
    let _: Deployment = merge(&embedded, "ricetta-api", slow).await;
    api::<Deployment>(&embedded).restart("ricetta-api").await.unwrap();
    let rolling = status(&embedded).await;
    assert_eq!((rolling.ready_replicas, rolling.updated_replicas), (Some(2), None));
    minutes(2).await;
    assert_eq!(status(&embedded).await.updated_replicas, Some(2));
}
