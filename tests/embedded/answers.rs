//! What an API server answers and stores, as a real one taught: each was found by `tests/real/differential`.

use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::client::Body;
use notturno::embedded::Embedded;
use serde_json::{Value, json};

use crate::scene::*;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// Code and body of an answer; `place` is below the namespace, and behind the group where there is one.
async fn ask(embedded: &Embedded, method: &str, place: &str, media: &str, body: Value) -> (u16, Value) {
    let (root, rest) = if place.starts_with("apis/") { place.rsplit_once(' ').unwrap() } else { ("api/v1", place) };
    let uri = format!("/{root}/namespaces/{NS}/{rest}");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(uri).header("content-type", media).body(Body::from(body)).unwrap();
    let answer = client(embedded).send(request).await.unwrap();
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap())
}

fn named(name: &str, more: &Value) -> Value {
    let mut object = json!({"metadata": {"name": name}});
    json_patch::merge(&mut object, more);
    object
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_refused_before_it_is_looked_up() {
    let embedded = embedded();
    let piano = || named("piano", &json!({"data": {"a": "1"}}));
    assert_eq!(ask(&embedded, "POST", "configmaps", JSON, piano()).await.0, 201);
    let code = async |method: &str, place: &str, body: Value| ask(&embedded, method, place, JSON, body).await.0;
    assert_eq!(code("POST", "configmaps", named("piano", &json!({"data": {"no key": "x"}}))).await, 422);
    assert_eq!(code("POST", "configmaps", named("piano", &json!({"data": {"a": 1}}))).await, 400);
    assert_eq!(code("POST", "configmaps", piano()).await, 409);
    assert_eq!(code("PUT", "configmaps/nessuno", piano()).await, 400, "its name is another");
    assert_eq!(code("PUT", "configmaps/nessuno", named("nessuno", &json!({"data": []}))).await, 400);
    assert_eq!(code("PUT", "configmaps/nessuno", named("nessuno", &json!({}))).await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_revision_of_what_is_to_be_made_is_an_error_without_a_reason_and_nothing_to_a_dry_run() {
    let embedded = embedded();
    let dated = || named("piano", &json!({"metadata": {"resourceVersion": "1"}}));
    let (code, body) = ask(&embedded, "POST", "configmaps", JSON, dated()).await;
    assert_eq!((code, body.get("reason")), (500, None));
    assert_eq!(ask(&embedded, "POST", "configmaps?dryRun=All", JSON, dated()).await.0, 201);
    assert_eq!(
        ask(&embedded, "PATCH", "configmaps/piano?fieldManager=uno", APPLY, dated()).await.0,
        201,
        "applying does not mind"
    );
}

#[tokio::test(start_paused = true)]
async fn leases_events_and_services_are_made_by_an_update_of_what_is_not_there() {
    let embedded = embedded();
    for (place, more) in [
        ("apis/coordination.k8s.io/v1 leases", json!({"spec": {"holderIdentity": "uno"}})),
        ("events", json!({"involvedObject": {"namespace": NS}})),
        ("services", json!({"spec": {"clusterIP": "None"}})),
    ] {
        let one = format!("{place}/uno");
        assert_eq!(ask(&embedded, "PUT", &one, JSON, named("uno", &more)).await.0, 201, "{place}");
        let (code, _) =
            ask(&embedded, "PUT", &format!("{place}/due"), JSON, named("due", &json!({"metadata": {"uid": "was-there"}}))).await;
        assert_eq!(code, 409, "{place}: another was meant");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_says_what_it_lists_once_and_how_much_is_left() {
    let embedded = embedded();
    for name in ["a", "b", "c"] {
        let _: ConfigMap = create(&embedded, config(name, &json!({}))).await;
    }
    let (_, page) = ask(&embedded, "GET", "configmaps?limit=1", JSON, Value::Null).await;
    assert_eq!((&page["kind"], page["items"][0].get("kind")), (&json!("ConfigMapList"), None));
    assert_eq!(page["metadata"]["remainingItemCount"], 2);
    let (_, selected) = ask(&embedded, "GET", "configmaps?limit=1&labelSelector=!x", JSON, Value::Null).await;
    assert_eq!(selected["metadata"].get("remainingItemCount"), None, "of a selection nobody knows");
    assert_eq!(ask(&embedded, "GET", "configmaps?limit=1&continue=odd", JSON, Value::Null).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_answers_as_its_kind_does_and_its_body_is_all_that_counts() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    ask(&embedded, "POST", "serviceaccounts", JSON, named("conto", &json!({}))).await;
    let odd = json!({"propagationPolicy": "Odd"});
    assert_eq!(ask(&embedded, "DELETE", "configmaps/piano", JSON, odd).await.0, 422);
    let tried = ask(&embedded, "DELETE", "configmaps/piano", JSON, json!({"dryRun": ["All"]})).await;
    assert_eq!((tried.0, &tried.1["status"]), (200, &json!("Success")));
    let (_, conto) = ask(&embedded, "DELETE", "serviceaccounts/conto", JSON, Value::Null).await;
    assert_eq!(conto["metadata"]["name"], "conto");
    let background = json!({"propagationPolicy": "Background"});
    let (_, gone) = ask(&embedded, "DELETE", "configmaps/piano?dryRun=All", JSON, background).await;
    assert_eq!((&gone["status"], gone["details"].get("group")), (&json!("Success"), None));
    assert_eq!(embedded.object("", "configmaps", NS, "piano"), None, "the query was not looked at");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_collector_of_garbage_says_so_and_goes_after_what_blocks_it() {
    let embedded = embedded();
    embedded.stop_controllers();
    let wish = job("aggiorna", &json!({}), &json!({"suspend": true}));
    let _: Job = create(&embedded, wish).await;
    let (_, going) = ask(&embedded, "DELETE", "apis/batch/v1 jobs/aggiorna", JSON, Value::Null).await;
    assert_eq!(going["metadata"]["finalizers"], json!(["orphan"]), "as old clients expect of Jobs");
    let again = json!({"propagationPolicy": "Background"});
    assert_eq!(ask(&embedded, "DELETE", "apis/batch/v1 jobs/aggiorna", JSON, again).await.1["status"], "Success");

    let embedded = crate::scene::embedded();
    let owner: ConfigMap = create(&embedded, config("padre", &json!({}))).await;
    let reference =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "padre", "uid": owner.metadata.uid, "blockOwnerDeletion": true});
    let held = json!({"metadata": {"ownerReferences": [reference], "finalizers": ["notturno.dev/night"]}});
    ask(&embedded, "POST", "configmaps", JSON, named("figlio", &held)).await;
    ask(&embedded, "DELETE", "configmaps/padre?propagationPolicy=Foreground", JSON, Value::Null).await;
    let padre = embedded.object("", "configmaps", NS, "padre").unwrap();
    assert_eq!(padre["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    ask(&embedded, "PATCH", "configmaps/figlio", MERGE, json!({"metadata": {"finalizers": null}})).await;
    assert!(embedded.objects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_decoded_again_is_defaulted_again() {
    let embedded = embedded();
    let wish = json!({"metadata": {"name": "sito"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "s"}},
        "template": {"metadata": {"labels": {"app": "s"}}, "spec": {"containers": []}}}});
    let _: Deployment = create(&embedded, wish).await;
    let removed = json!([{"op": "remove", "path": "/spec/replicas"}]);
    assert_eq!(ask(&embedded, "PATCH", "apis/apps/v1 deployments/sito", OPERATIONS, removed).await.1["spec"]["replicas"], 1);
    let wish = json!({"metadata": {"name": "chiave"}, "data": {"a": "MQ=="}, "stringData": {"a": "x", "b": "due"}});
    let (_, secret) = ask(&embedded, "POST", "secrets", JSON, wish).await;
    assert_eq!((&secret["data"], secret.get("stringData")), (&json!({"a": "eA==", "b": "ZHVl"}), None));
    let other = ask(&embedded, "PATCH", "secrets/chiave", MERGE, json!({"type": "notturno.dev/other"})).await;
    assert_eq!(other.0, 422, "a Secret keeps its type");
    let _: Secret = typed(secret);
}

#[tokio::test(start_paused = true)]
async fn a_field_of_another_type_is_refused_in_each_way_of_writing_in_another() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let wrong = json!({"immutable": "yes"});
    let code =
        async |method: &str, place: &str, media: &str| ask(&embedded, method, place, media, named("piano", &wrong)).await.0;
    assert_eq!(code("POST", "configmaps", JSON).await, 400);
    assert_eq!(code("PUT", "configmaps/piano", JSON).await, 400);
    assert_eq!(code("PATCH", "configmaps/piano", MERGE).await, 422);
    let (code, said) = ask(&embedded, "PATCH", "configmaps/piano?fieldManager=uno", APPLY, named("piano", &wrong)).await;
    assert_eq!(code, 500);
    assert!(said["message"].as_str().unwrap().starts_with("failed to create typed patch object"), "{said}");
    let whole = json!({"spec": {"renewTime": "2023-02-09T23:30:00Z"}});
    let (code, _) = ask(&embedded, "POST", "apis/coordination.k8s.io/v1 leases", JSON, named("uno", &whole)).await;
    assert_eq!(code, 400, "it wants six digits after the second");
}

#[tokio::test(start_paused = true)]
async fn the_last_finalizer_takes_the_object_along_and_nobody_sees_it_without() {
    let embedded = embedded();
    embedded.keep_audit();
    let held = named("piano", &json!({"metadata": {"finalizers": ["notturno.dev/night"]}}));
    ask(&embedded, "POST", "configmaps", JSON, held).await;
    let (_, going) = ask(&embedded, "DELETE", "configmaps/piano", JSON, Value::Null).await;
    let (_, gone) = ask(&embedded, "PATCH", "configmaps/piano", MERGE, json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(gone["metadata"]["resourceVersion"], going["metadata"]["resourceVersion"], "it was not stored");
    let told: Vec<bool> = embedded.audit().iter().map(|change| change.after.is_none()).collect();
    assert_eq!(told, [false, false, true], "made, going, gone");
}

#[tokio::test(start_paused = true)]
async fn owners_are_whole_and_named_once_and_finalizers_have_a_domain() {
    let embedded = embedded();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "padre", "uid": "u"});
    let event = json!({"apiVersion": "v1", "kind": "Event", "name": "padre", "uid": "u"});
    embedded.stop_controllers();
    let code =
        async |metadata: Value| ask(&embedded, "POST", "configmaps", JSON, named("x", &json!({"metadata": metadata}))).await;
    assert_eq!(code(json!({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": ""}]})).await.0, 422);
    assert_eq!(code(json!({"ownerReferences": [event]})).await.0, 422);
    assert_eq!(code(json!({"finalizers": ["night"]})).await.0, 422);
    let (_, made) = code(json!({"ownerReferences": [owner, owner]})).await;
    assert_eq!(made["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_names_nothing_writes_nothing_and_a_map_named_alone_is_not_owned() {
    let embedded = embedded();
    let made: ConfigMap = create(&embedded, config("piano", &json!({"a": "1"}))).await;
    let apply =
        async |more: Value| ask(&embedded, "PATCH", "configmaps/piano?fieldManager=uno", APPLY, named("piano", &more)).await.1;
    assert_eq!(apply(json!({})).await["metadata"]["resourceVersion"], json!(made.metadata.resource_version));
    apply(json!({"data": {}})).await;
    assert_eq!(apply(json!({"data": {"b": "2"}})).await["data"], json!({"a": "1", "b": "2"}));
}

#[tokio::test(start_paused = true)]
async fn who_applies_the_same_again_beside_another_changes_nothing_and_leaves_no_empty_list() {
    let embedded = embedded();
    let apply = async |by: &str, more: Value| {
        ask(&embedded, "PATCH", &format!("services/sito?fieldManager={by}&force=true"), APPLY, named("sito", &more)).await.1
    };
    let whole = json!({"spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}});
    apply("uno", whole.clone()).await;
    let both = apply("due", json!({"spec": {"selector": {"app": "s"}}})).await;
    assert_eq!(apply("uno", whole).await, both);
    let less = apply("uno", json!({"spec": {"clusterIP": "None"}})).await;
    assert_eq!(less["spec"].get("ports"), None);
}

#[tokio::test(start_paused = true)]
async fn pages_show_what_there_was_at_the_first_until_that_is_forgotten() {
    let embedded = embedded();
    for name in ["a", "b"] {
        let _: ConfigMap = create(&embedded, config(name, &json!({"k": "1"}))).await;
    }
    let (_, first) = ask(&embedded, "GET", "configmaps?limit=1", JSON, Value::Null).await;
    ask(&embedded, "PATCH", "configmaps/b", MERGE, json!({"data": {"k": "2"}})).await;
    let next = format!("configmaps?limit=1&continue={}", first["metadata"]["continue"].as_str().unwrap());
    let (_, second) = ask(&embedded, "GET", &next, JSON, Value::Null).await;
    assert_eq!(second["items"][0]["data"]["k"], "1");
    embedded.compact(0);
    let (code, said) = ask(&embedded, "GET", &next, JSON, Value::Null).await;
    assert_eq!((code, &said["reason"]), (410, &json!("Expired")));
}

#[tokio::test(start_paused = true)]
async fn the_map_of_a_sealed_secret_that_is_not_there_cannot_be_made_empty() {
    let embedded = embedded();
    ask(&embedded, "POST", "secrets", JSON, named("chiave", &json!({"immutable": true}))).await;
    assert_eq!(ask(&embedded, "PATCH", "secrets/chiave", MERGE, json!({"data": {"k": null}})).await.0, 422);
    ask(&embedded, "POST", "configmaps", JSON, named("piano", &json!({"immutable": true}))).await;
    assert_eq!(
        ask(&embedded, "PATCH", "configmaps/piano", MERGE, json!({"data": {"k": null}})).await.0,
        200,
        "nobody minds it there"
    );
}
