//! The patches with which every write of a night is made.

use json_patch::Patch as JsonPatch;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use notturno::embedded::Embedded;
use serde_json::{Value, json};

use crate::scene::*;

const TOKEN: &str = "/metadata/annotations/notturno.dev~1token";

async fn json_patch(embedded: &Embedded, name: &str, operations: Value) -> kube::Result<ConfigMap> {
    let patch: JsonPatch = typed(operations);
    api::<ConfigMap>(embedded).patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await
}

async fn stamped(embedded: &Embedded) -> ConfigMap {
    let mut wish = config("bersaglio", &json!({"serving": "yes"}));
    wish["metadata"]["annotations"] = json!({"notturno.dev/token": "n1.1.forward"});
    create(embedded, wish).await
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_token_matches_is_done() {
    let embedded = embedded();
    let target = stamped(&embedded).await;
    let patched = json_patch(
        &embedded,
        "bersaglio",
        json!([
            {"op": "test", "path": "/metadata/uid", "value": target.uid()},
            {"op": "test", "path": TOKEN, "value": "n1.1.forward"},
            {"op": "replace", "path": TOKEN, "value": "n1.2.back"},
            {"op": "replace", "path": "/data/serving", "value": "no"},
        ]),
    );
    let patched = patched.await.unwrap();
    assert_eq!(patched.annotations()["notturno.dev/token"], "n1.2.back");
    assert_eq!(patched.data.unwrap()["serving"], "no");
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_token_was_burned_is_422_and_nothing_is_changed() {
    let embedded = embedded();
    stamped(&embedded).await;
    let before = embedded.objects();
    for test in [
        json!({"op": "test", "path": TOKEN, "value": "n1.2.back"}),
        json!({"op": "test", "path": "/metadata/uid", "value": "another"}),
        json!({"op": "test", "path": "/metadata/annotations/missing", "value": "x"}),
        json!({"op": "test", "path": "/nowhere/at/all", "value": null}),
        json!({"op": "remove", "path": "/metadata/annotations/missing"}),
        json!({"op": "replace", "path": "/nowhere/missing", "value": "x"}),
        json!({"op": "add", "path": "/spec/x", "value": "no parent"}),
    ] {
        let change = json!({"op": "replace", "path": "/data/serving", "value": "no"});
        let refused_patch = json_patch(&embedded, "bersaglio", json!([change, test.clone()])).await;
        assert_eq!(refusal(refused_patch), refused(422, "Invalid"), "{test}");
        assert_eq!(embedded.objects(), before, "{test}");
    }
    let put =
        json_patch(&embedded, "bersaglio", json!([{"op": "replace", "path": "/data/missing", "value": "x"}])).await.unwrap();
    assert_eq!(put.data.unwrap()["missing"], "x", "as the API server's library has it");
    let absent = json!([{"op": "test", "path": "/metadata/annotations/missing", "value": null}]);
    assert!(json_patch(&embedded, "bersaglio", absent).await.is_ok(), "as the API server's library has it");
}

#[tokio::test(start_paused = true)]
async fn the_last_annotation_takes_the_whole_map_along() {
    let embedded = embedded();
    stamped(&embedded).await;
    let removed = json_patch(&embedded, "bersaglio", json!([{"op": "remove", "path": TOKEN}])).await.unwrap();
    assert_eq!(removed.metadata.annotations, None);
    let orphan = json_patch(&embedded, "bersaglio", json!([{"op": "add", "path": TOKEN, "value": "x"}])).await;
    assert_eq!(refusal(orphan), refused(422, "Invalid"), "there is no map to add to");
}

#[tokio::test(start_paused = true)]
async fn the_server_keeps_what_is_its_own_whatever_a_patch_says() {
    let embedded = embedded();
    let target = stamped(&embedded).await;
    let other = json_patch(&embedded, "bersaglio", json!([{"op": "replace", "path": "/metadata/uid", "value": "x"}])).await;
    assert_eq!(refusal(other), refused(422, "Invalid"));
    let born = json!([{"op": "replace", "path": "/metadata/creationTimestamp", "value": "1999-01-01T00:00:00Z"}]);
    assert_eq!(json_patch(&embedded, "bersaglio", born).await.unwrap(), target, "it is not looked at");
    let renamed = json_patch(&embedded, "bersaglio", json!([{"op": "replace", "path": "/metadata/name", "value": "x"}])).await;
    assert_eq!(refusal(renamed), refused(400, "BadRequest"));
    let revision = json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]);
    assert_eq!(refusal(json_patch(&embedded, "bersaglio", revision).await), refused(409, "Conflict"));
    let number = json!([{"op": "add", "path": "/metadata/annotations/n", "value": 1}]);
    assert_eq!(refusal(json_patch(&embedded, "bersaglio", number).await), refused(422, "Invalid"));
    assert_eq!(read_config(&embedded, "bersaglio").await, target);
}

#[tokio::test(start_paused = true)]
async fn a_merge_patch_adds_replaces_and_removes() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({"a": "1", "b": "2"}))).await;
    let patched: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": null, "b": "3", "c": "4"}})).await;
    assert_eq!(serde_json::to_value(patched.data).unwrap(), json!({"b": "3", "c": "4"}));
}

#[tokio::test(start_paused = true)]
async fn applying_creates_what_is_absent_and_merges_into_what_is_there() {
    let embedded = embedded();
    let params = PatchParams::apply("notturno").force();
    let maps = api::<ConfigMap>(&embedded);
    let created = maps.patch("piano", &params, &Patch::Apply(config("piano", &json!({"a": "1"})))).await.unwrap();
    let merged = maps.patch("piano", &params, &Patch::Apply(config("piano", &json!({"a": "1", "b": "2"})))).await.unwrap();
    assert_eq!(created.uid(), merged.uid());
    assert_eq!(merged.data.unwrap().len(), 2);
    let mut stale = config("piano", &json!({"b": "3"}));
    stale["metadata"]["resourceVersion"] = json!(created.resource_version());
    assert_eq!(refusal(maps.patch("piano", &params, &Patch::Apply(stale)).await), refused(409, "Conflict"));
    let strategic = maps.patch("piano", &PatchParams::default(), &Patch::Strategic(json!({"data": {"a": "2"}}))).await;
    assert_eq!(refusal(strategic), refused(415, "UnsupportedMediaType"));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_closed_and_reopened_by_json_patch_of_the_object_itself() {
    let embedded = embedded();
    let wish = json!({"metadata": {"name": "ricetta-api", "annotations": {"notturno.dev/token": "n1.1.forward"}},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "r"}}, "template": {"metadata": {"labels": {"app": "r"}}, "spec": {"containers": []}}}});
    let _: Deployment = create(&embedded, wish).await;
    let close: JsonPatch = typed(json!([
        {"op": "test", "path": TOKEN, "value": "n1.1.forward"},
        {"op": "replace", "path": "/spec/replicas", "value": 0},
    ]));
    let deployments = api::<Deployment>(&embedded);
    deployments.patch("ricetta-api", &PatchParams::default(), &Patch::Json::<()>(close)).await.unwrap();
    let closed = deployments.get("ricetta-api").await.unwrap();
    assert_eq!(closed.status.unwrap().ready_replicas, None);
}
