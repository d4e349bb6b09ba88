//! Server-side apply, as the Kubernetes documentation describes it and a real API server does it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Service};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::*;

async fn apply<K>(embedded: &notturno::embedded::Embedded, name: &str, params: &PatchParams, object: Value) -> kube::Result<Value>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
    K::DynamicType: Default,
{
    api::<K>(embedded).patch(name, params, &Patch::Apply(object)).await.map(|stored| serde_json::to_value(stored).unwrap())
}

fn by(manager: &str) -> PatchParams {
    PatchParams::apply(manager)
}

fn deployment(containers: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "motore"}, "spec": {"selector": {"matchLabels": {"app": "m"}},
        "template": {"metadata": {"labels": {"app": "m"}}, "spec": {"containers": containers}}}})
}

/// The documentation's own picture: who owns what is written down, for each manager, by field.
#[tokio::test(start_paused = true)]
async fn every_manager_owns_what_it_applies() {
    let embedded = embedded();
    apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({"a": "1"}))).await.unwrap();
    let both = apply::<ConfigMap>(&embedded, "piano", &by("due"), config("piano", &json!({"a": "1", "b": "2"}))).await.unwrap();
    assert_eq!(both["data"], json!({"a": "1", "b": "2"}));
    let owners = both["metadata"]["managedFields"].as_array().unwrap();
    let fields: Vec<(&str, &str, &Value)> = owners
        .iter()
        .map(|one| (one["manager"].as_str().unwrap(), one["operation"].as_str().unwrap(), &one["fieldsV1"]))
        .collect();
    let a = json!({"f:data": {"f:a": {}}});
    let ab = json!({"f:data": {"f:a": {}, "f:b": {}}});
    assert_eq!(fields, [("uno", "Apply", &a), ("due", "Apply", &ab)]);
}

#[tokio::test(start_paused = true)]
async fn another_value_is_a_conflict_and_force_takes_the_field() {
    let embedded = embedded();
    apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({"a": "1", "c": "3"}))).await.unwrap();
    let other = || config("piano", &json!({"a": "2"}));
    let conflict = apply::<ConfigMap>(&embedded, "piano", &by("due"), other()).await.unwrap_err();
    let kube::Error::Api(status) = &conflict else { panic!("{conflict:?}") };
    assert_eq!((status.code, status.message.as_str()), (409, "Apply failed with 1 conflict: conflict with \"uno\": .data.a"));
    let taken = apply::<ConfigMap>(&embedded, "piano", &by("due").force(), other()).await.unwrap();
    assert_eq!(taken["data"], json!({"a": "2", "c": "3"}));
    let fields = |object: &Value, index: usize| object["metadata"]["managedFields"][index]["fieldsV1"].clone();
    assert_eq!((fields(&taken, 0), fields(&taken, 1)), (json!({"f:data": {"f:c": {}}}), json!({"f:data": {"f:a": {}}})));
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_no_longer_applied_goes_unless_another_applied_it() {
    let embedded = embedded();
    apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({"a": "1", "b": "2", "c": "3"}))).await.unwrap();
    apply::<ConfigMap>(&embedded, "piano", &by("due"), config("piano", &json!({"b": "2"}))).await.unwrap();
    let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"c": "4"}})).await;
    let left = apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({}))).await.unwrap();
    assert_eq!(left["data"], json!({"b": "2", "c": "4"}), "b is another's, c was taken by the patch");
}

#[tokio::test(start_paused = true)]
async fn containers_ports_and_variables_are_merged_by_their_keys() {
    let embedded = embedded();
    let first = json!([{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 80}]}]);
    apply::<Deployment>(&embedded, "motore", &by("uno"), deployment(&first)).await.unwrap();
    let second = json!([{"name": "b", "image": "b:1"}, {"name": "a", "env": [{"name": "Y", "value": "2"}], "ports": [{"containerPort": 80, "protocol": "UDP"}]}]);
    let merged = apply::<Deployment>(&embedded, "motore", &by("due"), deployment(&second)).await.unwrap();
    let containers = &merged["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        containers,
        &json!([{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
            "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]}, {"name": "b", "image": "b:1"}])
    );
    let image = json!([{"name": "a", "image": "a:2"}]);
    let conflict = apply::<Deployment>(&embedded, "motore", &by("due"), deployment(&image)).await.unwrap_err();
    assert!(conflict.to_string().contains(".spec.template.spec.containers[name=\"a\"].image"), "{conflict}");
    let back = apply::<Deployment>(&embedded, "motore", &by("due"), deployment(&json!([{"name": "a"}]))).await.unwrap();
    let containers = &back["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 1, "the container that only it applied goes with its fields");
    assert_eq!(containers[0]["env"], json!([{"name": "X", "value": "1"}]));
}

#[tokio::test(start_paused = true)]
async fn a_services_ports_are_told_apart_by_number_and_protocol() {
    let embedded = embedded();
    let service =
        |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}});
    apply::<Service>(&embedded, "s", &by("uno"), service(json!([{"port": 80, "targetPort": 8080}]))).await.unwrap();
    let merged = apply::<Service>(
        &embedded,
        "s",
        &by("due"),
        service(json!([{"port": 80, "protocol": "TCP", "name": "http"}, {"port": 53, "protocol": "UDP"}])),
    )
    .await
    .unwrap();
    assert_eq!(merged["spec"]["ports"][0], json!({"port": 80, "targetPort": 8080, "protocol": "TCP", "name": "http"}));
    assert_eq!(merged["spec"]["ports"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_request_says_of_identity_has_to_hold() {
    let embedded = embedded();
    let stored = apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({"a": "1"}))).await.unwrap();
    let with = |field: &str, value: Value| {
        let mut object = config("piano", &json!({"a": "2"}));
        object["metadata"][field] = value;
        object
    };
    for (field, value, code) in [("resourceVersion", json!("1"), 409), ("uid", json!("another"), 422)] {
        let refusal = apply::<ConfigMap>(&embedded, "piano", &by("uno"), with(field, value)).await.unwrap_err();
        assert!(matches!(&refusal, kube::Error::Api(status) if status.code == code), "{field}: {refusal:?}");
    }
    let revision = stored["metadata"]["resourceVersion"].clone();
    apply::<ConfigMap>(&embedded, "piano", &by("uno"), with("resourceVersion", revision)).await.unwrap();
    let managed = with("managedFields", json!([{"manager": "x"}]));
    let refusal = apply::<ConfigMap>(&embedded, "piano", &by("uno"), managed).await.unwrap_err();
    assert!(refusal.to_string().contains("metadata.managedFields must be nil"), "{refusal}");
    let mut gone = config("manca", &json!({}));
    gone["metadata"]["uid"] = json!("was-there");
    let refusal = apply::<ConfigMap>(&embedded, "manca", &by("uno"), gone).await.unwrap_err();
    assert!(matches!(&refusal, kube::Error::Api(status) if status.code == 409), "what is gone is not made anew: {refusal:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_again_changes_nothing_and_tried_only_stores_nothing() {
    let embedded = embedded();
    let first = apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({"a": "1"}))).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let again = apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({"a": "1"}))).await.unwrap();
    assert_eq!(first, again);
    let tried = apply::<ConfigMap>(&embedded, "piano", &by("uno").dry_run(), config("piano", &json!({"a": "2"}))).await.unwrap();
    assert_eq!(tried["data"]["a"], "2");
    assert_eq!(embedded.object("", "configmaps", NS, "piano").unwrap()["data"]["a"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_in_no_namespace() {
    let embedded = embedded();
    let nodes: kube::Api<Node> = kube::Api::all(embedded.client("test"));
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "nodo-1"}, "spec": {"unschedulable": true}});
    let stored = nodes.patch("nodo-1", &by("uno"), &Patch::Apply(node)).await.unwrap();
    assert_eq!(stored.spec.unwrap().unschedulable, Some(true));
}

#[tokio::test(start_paused = true)]
async fn every_conflict_is_told_and_who_owns_nothing_any_more_is_forgotten() {
    let embedded = embedded();
    apply::<ConfigMap>(&embedded, "piano", &by("uno"), config("piano", &json!({"a": "1", "b": "1"}))).await.unwrap();
    let other = || config("piano", &json!({"a": "2", "b": "2"}));
    let refused = apply::<ConfigMap>(&embedded, "piano", &by("due"), other()).await.unwrap_err().to_string();
    assert!(refused.contains("2 conflicts") && refused.contains(".data.a") && refused.contains(".data.b"), "{refused}");
    let taken = apply::<ConfigMap>(&embedded, "piano", &by("due").force(), other()).await.unwrap();
    assert_eq!(taken["metadata"]["managedFields"].as_array().unwrap().len(), 1, "{taken}");
}

#[tokio::test(start_paused = true)]
async fn a_status_is_not_applied_with_the_rest_and_nobody_applies_without_a_name() {
    let embedded = embedded();
    let mut object = deployment(&json!([{"name": "a", "image": "a:1"}]));
    object["status"] = json!({"collisionCount": 7});
    let stored = apply::<Deployment>(&embedded, "motore", &by("uno"), object.clone()).await.unwrap();
    assert_eq!(stored["metadata"]["managedFields"][0]["fieldsV1"].get("f:status"), None, "{stored}");
    let request = http::Request::patch(format!("/api/v1/namespaces/{NS}/configmaps/piano"))
        .header("content-type", "application/apply-patch+yaml")
        .body(config("piano", &json!({})).to_string().into_bytes())
        .unwrap();
    let refused = embedded.client("test").request::<Value>(request).await.unwrap_err();
    assert!(refused.to_string().contains("fieldManager: Required"), "{refused}");
}
