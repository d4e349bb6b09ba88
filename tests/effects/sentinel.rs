//! The dead man's switch in the cluster: what is made, what is known again, what is mended and what is left alone.

use notturno::operator::effects::ledger::{PlanIdentity, identity};
use notturno::operator::effects::pod_security::{Level, violations};
use notturno::operator::effects::sentinel::{Found, deployment, fall, look, stand};
use notturno::operator::effects::{Image, Switch, arm};
use serde_json::{Value, json};

use crate::scene::{Scene, any_address};

fn image() -> Image {
    Image { name: "registro.example/notturno@sha256:1".to_owned(), pull_policy: "IfNotPresent".to_owned() }
}

async fn accepted() -> (Scene, PlanIdentity) {
    let scene = Scene::by_day();
    scene.accept().await;
    let identity = identity(&scene.tenant, &scene.plan).await.unwrap();
    (scene, identity)
}

/// One that stands, and its name.
async fn standing() -> (Scene, PlanIdentity, String) {
    let (scene, identity) = accepted().await;
    assert_eq!(stand(&scene.tenant, &scene.plan, &identity, &image()).await.unwrap(), 1);
    let name = deployment(&scene.plan, &identity, &image())["metadata"]["name"].as_str().unwrap().to_owned();
    (scene, identity, name)
}

fn live(scene: &Scene, name: &str) -> Value {
    scene.api.object("apps", "deployments", "centro-dati", name).unwrap_or(Value::Null)
}

#[tokio::test(start_paused = true)]
async fn it_is_two_pods_that_keep_the_level_restricted_and_know_which_plan_they_guard() {
    let (scene, identity) = accepted().await;
    let made = deployment(&scene.plan, &identity, &image());
    let template = &made["spec"]["template"];
    assert_eq!(violations(template, Level::Restricted), Vec::<String>::new());
    assert_eq!((&made["spec"]["replicas"], &made["metadata"]["ownerReferences"]), (&json!(2), &Value::Null));
    let container = &template["spec"]["containers"][0];
    let args: Vec<&str> = container["args"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let expected = format!(
        "sentinel --namespace centro-dati --name {} --uid {} --plan-uid {} --plan-hash {} --plan-dir /plan --listen 0.0.0.0:8080",
        scene.plan.name, scene.plan.uid, identity.uid, identity.hash
    );
    assert_eq!(args.join(" "), expected);
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/plan");
    assert_eq!(template["spec"]["volumes"][0]["configMap"]["name"], identity.name.as_str());
    assert_eq!(template["metadata"]["labels"]["notturno.dev/role"], "sentinel");
}

#[tokio::test(start_paused = true)]
async fn as_the_api_server_stores_it_it_is_known_again_and_what_anybody_changes_is_named_and_mended() {
    let (scene, identity, name) = standing().await;
    let seen = async || look(&scene.tenant, &scene.plan, &identity).await.unwrap();
    assert_eq!(seen().await, Found::Made { ready_count: 2, reason: String::new() });
    let container = json!([{"name": "sentinel", "image": "registro.example/altro:1"}]);
    for (patch, named) in [
        (json!({"spec": {"replicas": 1}}), "spec.replicas is 1 and was made 2"),
        (json!({"spec": {"template": {"spec": {"serviceAccountName": "altro"}}}}), "spec.template.spec.serviceAccountName"),
        (json!({"spec": {"template": {"spec": {"containers": container}}}}), "spec.template.spec.containers[0]"),
        (json!({"metadata": {"annotations": {"notturno.dev/made-as": "x"}}}), "was not made with it"),
    ] {
        scene.another_hand("deployments", &name, patch.clone()).await;
        let Found::Other { reason } = seen().await else { panic!("{patch} is not seen") };
        assert!(reason.contains(named), "{reason}");
        assert_eq!(stand(&scene.tenant, &scene.plan, &identity, &image()).await.unwrap(), 1, "{patch}");
        assert!(matches!(seen().await, Found::Made { .. }), "{patch}");
        assert_eq!(stand(&scene.tenant, &scene.plan, &identity, &image()).await.unwrap(), 0, "nothing twice");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_an_operator_of_another_version_made_is_left_as_it_is() {
    let (scene, identity, name) = standing().await;
    let newer = Image { name: "registro.example/notturno@sha256:2".to_owned(), ..image() };
    assert_eq!(stand(&scene.tenant, &scene.plan, &identity, &newer).await.unwrap(), 0);
    assert_eq!(live(&scene, &name)["spec"]["template"]["spec"]["containers"][0]["image"], image().name.as_str());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_this_nights_is_neither_changed_nor_deleted() {
    let (scene, identity, name) = standing().await;
    scene.another_hand("deployments", &name, json!({"metadata": {"labels": {"notturno.dev/night": "altra"}}})).await;
    let before = live(&scene, &name);
    assert!(stand(&scene.tenant, &scene.plan, &identity, &image()).await.unwrap_err().to_string().contains("delete it"));
    assert_eq!(fall(&scene.tenant, &scene.plan).await.unwrap(), 0);
    assert_eq!(live(&scene, &name), before);
}

#[tokio::test(start_paused = true)]
async fn it_is_taken_down_once() {
    let (scene, identity, name) = standing().await;
    assert_eq!(fall(&scene.tenant, &scene.plan).await.unwrap(), 1);
    assert_eq!(live(&scene, &name), Value::Null);
    assert_eq!(fall(&scene.tenant, &scene.plan).await.unwrap(), 0);
    assert_eq!(look(&scene.tenant, &scene.plan, &identity).await.unwrap(), Found::Missing);
}

#[tokio::test(start_paused = true)]
async fn arming_proves_it_by_dry_run_and_stores_nothing_of_it() {
    let (scene, identity) = accepted().await;
    arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Image(image())).await.unwrap();
    assert_eq!(look(&scene.tenant, &scene.plan, &identity).await.unwrap(), Found::Missing);
    let told = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Missing).await.unwrap_err();
    assert!(told.to_string().contains("--sentinel-image is not set"), "{told}");
}
