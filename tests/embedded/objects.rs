//! Creating, reading, changing and deleting objects.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::scene::*;

#[tokio::test(start_paused = true)]
async fn a_new_object_carries_what_only_the_server_may_say() {
    let embedded = embedded();
    let mut wish = config("piano", &json!({"a": "1"}));
    wish["metadata"]["uid"] = json!("forged");
    wish["metadata"]["creationTimestamp"] = json!("1999-01-01T00:00:00Z");
    let stored: ConfigMap = create(&embedded, wish).await;
    assert_eq!(stored.namespace().as_deref(), Some(NS));
    assert_ne!(stored.uid().unwrap(), "forged");
    assert_eq!(stored.creation_timestamp().unwrap().0, at("2023-02-09T23:30:00Z"));
    let other: ConfigMap = create(&embedded, config("registro", &json!({}))).await;
    assert_ne!(&stored.uid().unwrap()[..8], &other.uid().unwrap()[..8]);
    let revision = |object: &ConfigMap| object.resource_version().unwrap().parse::<u64>().unwrap();
    assert!(revision(&other) > revision(&stored));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_refused_and_generated_names_differ() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let again = api::<ConfigMap>(&embedded).create(&PostParams::default(), &typed(config("piano", &json!({})))).await;
    assert_eq!(refusal(again), refused(409, "AlreadyExists"));
    let generated = json!({"metadata": {"generateName": "voce-"}});
    let one: ConfigMap = create(&embedded, generated.clone()).await;
    let two: ConfigMap = create(&embedded, generated).await;
    assert!(one.name_any().starts_with("voce-") && one.name_any().len() == 10, "{}", one.name_any());
    assert_ne!(one.name_any(), two.name_any());
    assert_eq!(refusal(api::<ConfigMap>(&embedded).get("nessuno").await), refused(404, "NotFound"));
}

#[tokio::test(start_paused = true)]
async fn a_write_made_from_an_old_copy_is_a_conflict_and_changes_nothing() {
    let embedded = embedded();
    let old: ConfigMap = create(&embedded, config("piano", &json!({"a": "1"}))).await;
    let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": "2"}})).await;
    let mut late = old.clone();
    late.data = Some([("a".to_owned(), "3".to_owned())].into());
    let maps = api::<ConfigMap>(&embedded);
    assert_eq!(refusal(maps.replace("piano", &PostParams::default(), &late).await), refused(409, "Conflict"));
    let patch = json!({"metadata": {"resourceVersion": old.resource_version()}, "data": {"a": "3"}});
    let patched = maps.patch("piano", &PatchParams::default(), &Patch::Merge(patch)).await;
    assert_eq!(refusal(patched), refused(409, "Conflict"));
    late.metadata.resource_version = None;
    late.metadata.uid = Some("another".to_owned());
    assert_eq!(refusal(maps.replace("piano", &PostParams::default(), &late).await), refused(409, "Conflict"));
    assert_eq!(read_config(&embedded, "piano").await.data.unwrap()["a"], "2");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_changes_nothing_moves_no_resource_version() {
    let embedded = embedded();
    let first: ConfigMap = create(&embedded, config("piano", &json!({"a": "1"}))).await;
    let same: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": "1"}, "metadata": {"annotations": {"x": null}}})).await;
    assert_eq!(same.resource_version(), first.resource_version());
    let replaced = api::<ConfigMap>(&embedded).replace("piano", &PostParams::default(), &first).await.unwrap();
    assert_eq!(replaced.resource_version(), first.resource_version());
    assert_eq!(embedded.log().iter().filter(|one| one.changed).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn generation_counts_specs_and_on_deployments_annotations_too() {
    let embedded = embedded();
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}});
    let wish = json!({"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}});
    let created: Deployment = create(&embedded, wish).await;
    assert_eq!(created.metadata.generation, Some(1));
    assert_eq!(created.spec.unwrap().replicas, Some(1), "as the API server defaults it");
    let stamped: Deployment = merge(&embedded, "x", json!({"metadata": {"annotations": {"t": "1"}}})).await;
    assert_eq!(stamped.metadata.generation, Some(2));
    let labelled: Deployment = merge(&embedded, "x", json!({"metadata": {"labels": {"t": "1"}}})).await;
    assert_eq!(labelled.metadata.generation, Some(2));
    let scaled: Deployment = merge(&embedded, "x", json!({"spec": {"replicas": 3}, "status": {"replicas": 99}})).await;
    assert_eq!(scaled.metadata.generation, Some(3));
    let now = api::<Deployment>(&embedded).get("x").await.unwrap();
    assert_eq!(now.status.unwrap().replicas, Some(3), "status is not the main resource's to write");
}

#[tokio::test(start_paused = true)]
async fn the_status_subresource_leaves_the_spec_alone() {
    let embedded = embedded();
    let wish = json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "wait"}], "containers": []}});
    let _: Pod = create(&embedded, wish).await;
    let pods = api::<Pod>(&embedded);
    let patch = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"nodeName": "elsewhere"}, "status": {"reason": "said"}});
    let patched = pods.patch_status("p", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    assert_eq!(patched.status.clone().unwrap().reason.as_deref(), Some("said"));
    assert_eq!(patched.spec.clone().unwrap().node_name, None);
    assert_eq!(patched.labels()["x"], "y", "metadata is not the spec");
    let mut whole = patched.clone();
    whole.status.as_mut().unwrap().message = Some("put".to_owned());
    let put = pods.replace_status("p", &PostParams::default(), &whole).await.unwrap();
    assert_eq!(put.status.unwrap().message.as_deref(), Some("put"));
    let old = pods.replace_status("p", &PostParams::default(), &patched).await;
    assert_eq!(refusal(old), refused(409, "Conflict"));
}

#[tokio::test(start_paused = true)]
async fn lists_select_by_label_by_name_and_over_all_namespaces_page_by_page() {
    let embedded = embedded();
    for (namespace, name, tier) in [("a", "uno", "front"), ("a", "due", "back"), ("b", "uno", "front"), ("b", "tre", "")] {
        let labels = if tier.is_empty() { json!({}) } else { json!({"tier": tier}) };
        embedded.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, "labels": labels}})).unwrap();
    }
    let everywhere: Api<ConfigMap> = Api::all(client(&embedded));
    let names = async |params: ListParams| {
        let list = everywhere.list(&params).await.unwrap();
        list.items.iter().map(|one| format!("{}/{}", one.namespace().unwrap(), one.name_any())).collect::<Vec<_>>()
    };
    assert_eq!(names(ListParams::default()).await, ["a/due", "a/uno", "b/tre", "b/uno"]);
    assert_eq!(names(ListParams::default().labels("tier=front")).await, ["a/uno", "b/uno"]);
    assert_eq!(names(ListParams::default().labels("tier in (back, other)")).await, ["a/due"]);
    assert_eq!(names(ListParams::default().labels("tier notin (back)")).await, ["a/uno", "b/tre", "b/uno"]);
    assert_eq!(names(ListParams::default().labels("tier,tier!=back")).await, ["a/uno", "b/uno"]);
    assert_eq!(names(ListParams::default().labels("!tier")).await, ["b/tre"]);
    assert_eq!(names(ListParams::default().fields("metadata.name=uno,metadata.namespace!=a")).await, ["b/uno"]);
    assert_eq!(refusal(everywhere.list(&ListParams::default().fields("data.x=1")).await), refused(400, "BadRequest"));
    let first = everywhere.list(&ListParams::default().limit(3)).await.unwrap();
    assert_eq!(first.items.len(), 3);
    let rest = everywhere.list(&ListParams::default().limit(3).continue_token(&first.metadata.continue_.unwrap())).await.unwrap();
    assert_eq!((rest.items.len(), rest.metadata.continue_), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_keeps_its_preconditions_and_finalizers_hold_the_object() {
    let embedded = embedded();
    let maps = api::<ConfigMap>(&embedded);
    let mut wish = config("registro", &json!({}));
    wish["metadata"]["finalizers"] = json!(["notturno.dev/night"]);
    let stored: ConfigMap = create(&embedded, wish).await;
    let wrong = |uid: Option<&str>, revision: Option<&str>| DeleteParams {
        preconditions: Some(Preconditions { uid: uid.map(Into::into), resource_version: revision.map(Into::into) }),
        ..DeleteParams::default()
    };
    assert_eq!(refusal(maps.delete("registro", &wrong(Some("other"), None)).await), refused(409, "Conflict"));
    assert_eq!(refusal(maps.delete("registro", &wrong(None, Some("1"))).await), refused(409, "Conflict"));
    let going = maps.delete("registro", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(going.meta().deletion_timestamp.is_some());
    let again = maps.delete("registro", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(again.resource_version(), going.resource_version());
    let more = json!({"metadata": {"finalizers": ["notturno.dev/night", "another.dev/x"]}});
    let more = maps.patch("registro", &PatchParams::default(), &Patch::Merge(more)).await;
    assert_eq!(refusal(more), refused(422, "Invalid"));
    let released: ConfigMap = merge(&embedded, "registro", json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(released.uid(), stored.uid());
    assert_eq!(maps.get_opt("registro").await.unwrap(), None);
    let _: ConfigMap = create(&embedded, config("libero", &json!({}))).await;
    assert!(maps.delete("libero", &DeleteParams::default()).await.unwrap().is_right(), "a Status, as the API server answers");
    assert_eq!(refusal(maps.delete("libero", &DeleteParams::default()).await), refused(404, "NotFound"));
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_by_selector() {
    let embedded = embedded();
    for (name, night) in [("uno", "1"), ("due", "1"), ("tre", "2")] {
        embedded.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NS, "labels": {"night": night}}})).unwrap();
    }
    let maps = api::<ConfigMap>(&embedded);
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("night=1")).await.unwrap();
    let left = maps.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["tre"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({"a": "1"}))).await;
    let before = embedded.objects();
    let maps = api::<ConfigMap>(&embedded);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let created = maps.create(&dry, &typed(config("altro", &json!({})))).await.unwrap();
    assert_eq!(created.name_any(), "altro");
    let patch = Patch::Merge(json!({"data": {"a": "2"}}));
    let patched = maps.patch("piano", &PatchParams::default().dry_run(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap()["a"], "2");
    maps.delete("piano", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.unwrap();
    let bad = maps.create(&dry, &typed(config("Non Valido", &json!({})))).await;
    assert_eq!(refusal(bad), refused(422, "Invalid"));
    assert_eq!(embedded.objects(), before);
    assert!(embedded.log().iter().skip(1).all(|one| one.request.dry_run && one.request.write_number.is_none() && !one.changed));
}
