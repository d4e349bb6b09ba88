//! The server around the objects: discovery, time, identities, its log.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt};
use notturno::embedded::{Audited, ResourceKind, Verb};
use serde_json::{Value, json};

use crate::scene::*;

fn definition() -> Value {
    let version = json!({"name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "interventions.notturno.dev"},
        "spec": {"group": "notturno.dev", "scope": "Namespaced", "names": {"kind": "Intervention", "plural": "interventions"}, "versions": [version]}})
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_dated_by_the_embedded_clock() {
    let embedded = embedded();
    tokio::time::sleep(Duration::from_millis(90 * 60 * 1000 + 999)).await;
    for (path, code) in [
        ("/version", 200),
        ("/api/v1/namespaces/x/configmaps/none", 404),
        ("/api/v1/configmaps?watch=true&resourceVersion=1", 200),
    ] {
        let request = Request::get(path).body(kube::client::Body::empty()).unwrap();
        let response = client(&embedded).send(request).await.unwrap();
        assert_eq!(response.status(), code);
        assert_eq!(response.headers()["date"], "Fri, 10 Feb 2023 01:00:00 GMT");
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_leads_from_kinds_to_plurals() {
    let embedded = embedded();
    embedded.register_definition(&definition()).unwrap();
    assert_eq!(client(&embedded).apiserver_version().await.unwrap().minor, "35");
    let discovery = Discovery::new(client(&embedded)).run().await.unwrap();
    let find = |group: &str, kind: &str| discovery.get(group).and_then(|group| group.recommended_kind(kind)).unwrap();
    let (resource, capabilities) = find("notturno.dev", "Intervention");
    assert_eq!((resource.plural.as_str(), resource.version.as_str()), ("interventions", "v1alpha1"));
    assert!(capabilities.supports_operation(verbs::WATCH) && capabilities.scope == Scope::Namespaced);
    assert_eq!(find("batch", "CronJob").0.plural, "cronjobs");
    assert_eq!(find("", "ConfigMap").0.plural, "configmaps");
    assert!(find("", "Namespace").1.scope == Scope::Cluster);
    let (pinned, _) =
        kube::discovery::pinned_kind(&client(&embedded), &kube::api::GroupVersionKind::gvk("apps", "v1", "Deployment"))
            .await
            .unwrap();
    assert_eq!(pinned.plural, "deployments");
}

#[tokio::test(start_paused = true)]
async fn a_custom_kind_lives_like_any_other_once_its_definition_is_applied() {
    let embedded = embedded();
    let custom = ApiResource::from_gvk_with_plural(
        &kube::api::GroupVersionKind::gvk("notturno.dev", "v1alpha1", "Intervention"),
        "interventions",
    );
    let nights: Api<DynamicObject> = Api::namespaced_with(client(&embedded), NS, &custom);
    assert_eq!(refusal(nights.list(&ListParams::default()).await), refused(404, "NotFound"));
    let crd = ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let crds: Api<DynamicObject> = Api::all_with(client(&embedded), &crd);
    crds.patch("interventions.notturno.dev", &PatchParams::apply("t"), &Patch::Apply(definition())).await.unwrap();
    let established = crds.get("interventions.notturno.dev").await.unwrap();
    assert_eq!(established.data["status"]["conditions"][1]["type"], "Established");

    let wish = DynamicObject::new("notte", &custom).data(json!({"spec": {"mode": "Run"}, "status": {"phase": "Forged"}}));
    let created = nights.create(&PostParams::default(), &wish).await.unwrap();
    assert_eq!((created.metadata.generation, created.data.get("status")), (Some(1), None));
    let told = Patch::Merge(json!({"status": {"phase": "Armed"}, "spec": {"mode": "Rehearse"}}));
    let reported = nights.patch_status("notte", &PatchParams::default(), &told).await.unwrap();
    assert_eq!((reported.data["status"]["phase"].as_str(), reported.data["spec"]["mode"].as_str()), (Some("Armed"), Some("Run")));
    assert_eq!(reported.metadata.generation, Some(1));
    let mut unversioned = reported.clone();
    unversioned.metadata.resource_version = None;
    assert_eq!(refusal(nights.replace("notte", &PostParams::default(), &unversioned).await), refused(422, "Invalid"));
    let changed =
        nights.patch("notte", &PatchParams::default(), &Patch::Merge(json!({"spec": {"mode": "Rehearse"}}))).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_registered_cluster_wide_kind_has_no_namespaces() {
    let embedded = embedded();
    let [group, version, kind, plural] = ["notturno.dev", "v1alpha1", "OfficeCalendar", "officecalendars"].map(str::to_owned);
    embedded.register(ResourceKind { group, version, kind, plural, namespaced: false, status_subresource: false });
    let custom = ApiResource::from_gvk_with_plural(
        &kube::api::GroupVersionKind::gvk("notturno.dev", "v1alpha1", "OfficeCalendar"),
        "officecalendars",
    );
    let calendars: Api<DynamicObject> = Api::all_with(client(&embedded), &custom);
    calendars.create(&PostParams::default(), &DynamicObject::new("prelievi", &custom).data(json!({}))).await.unwrap();
    assert_eq!(calendars.list(&ListParams::default()).await.unwrap().items[0].namespace(), None);
    let elsewhere: Api<DynamicObject> = Api::namespaced_with(client(&embedded), NS, &custom);
    assert_eq!(refusal(elsewhere.get("prelievi").await), refused(404, "NotFound"));
}

async fn token(client: Client, seconds: i64) -> kube::Result<TokenRequest> {
    let wish = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(seconds), audiences: vec!["api".into()], ..Default::default() },
        ..Default::default()
    };
    Api::<ServiceAccount>::namespaced(client, NS).create_token_request("lavori-notturni", &PostParams::default(), &wish).await
}

#[tokio::test(start_paused = true)]
async fn a_token_request_gives_a_client_that_acts_as_the_service_account_until_it_expires() {
    let embedded = embedded();
    assert_eq!(refusal(token(client(&embedded), 600).await), refused(404, "NotFound"));
    let _: ServiceAccount = create(&embedded, json!({"metadata": {"name": "lavori-notturni"}})).await;
    assert_eq!(refusal(token(client(&embedded), 599).await), refused(422, "Invalid"));
    let given = token(client(&embedded), 600).await.unwrap().status.unwrap();
    assert_eq!(given.expiration_timestamp.0, at("2023-02-09T23:40:00Z"));
    let tenant = embedded.client_for_token(&given.token);
    let maps: Api<ConfigMap> = Api::namespaced(tenant, NS);
    maps.create(&PostParams::default(), &typed(config("piano", &json!({})))).await.unwrap();
    let last = embedded.log().pop().unwrap();
    assert_eq!((last.request.user.as_str(), last.code), ("system:serviceaccount:centro-dati:lavori-notturni", Some(201)));
    minutes(10).await;
    assert_eq!(refusal(maps.get("piano").await), refused(401, "Unauthorized"));

    let second = token(client(&embedded), 600).await.unwrap().status.unwrap().token;
    let maps: Api<ConfigMap> = Api::namespaced(embedded.client_for_token(&second), NS);
    assert!(maps.get("piano").await.is_ok());
    api::<ServiceAccount>(&embedded).delete("lavori-notturni", &DeleteParams::default()).await.unwrap();
    assert_eq!(refusal(maps.get("piano").await), refused(401, "Unauthorized"));
}

#[tokio::test(start_paused = true)]
async fn access_reviews_allow_what_no_scene_forbids_and_are_not_stored() {
    let embedded = embedded();
    let review: SelfSubjectAccessReview =
        typed(json!({"spec": {"resourceAttributes": {"verb": "patch", "resource": "deployments"}}}));
    let answer = Api::<SelfSubjectAccessReview>::all(client(&embedded)).create(&PostParams::default(), &review).await.unwrap();
    assert!(answer.status.unwrap().allowed);
    assert!(embedded.objects().is_empty());
}

/// Verb by verb, on one object: what the review says is what the call gets.
#[tokio::test(start_paused = true)]
async fn an_access_review_says_what_the_call_would_get() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    embedded.set_forbidden(Some(std::sync::Arc::new(|access: &notturno::embedded::Access| {
        access.user == "anna@centro-dati" && access.name == "piano" && ["patch", "watch"].contains(&access.verb.as_str())
    })));
    let allowed = async |verb: &str| {
        let attributes = json!({"verb": verb, "resource": "configmaps", "namespace": NS, "name": "piano"});
        let review: SelfSubjectAccessReview = typed(json!({"spec": {"resourceAttributes": attributes}}));
        let answer = Api::<SelfSubjectAccessReview>::all(client(&embedded)).create(&PostParams::default(), &review).await;
        answer.unwrap().status.unwrap().allowed
    };
    assert_eq!((allowed("get").await, allowed("patch").await, allowed("watch").await), (true, false, false));
    let maps = api::<ConfigMap>(&embedded);
    assert!(maps.get("piano").await.is_ok());
    let patch = kube::api::Patch::Merge(json!({"data": {"a": "1"}}));
    assert_eq!(refusal(maps.patch("piano", &kube::api::PatchParams::default(), &patch).await), refused(403, "Forbidden"));
    let one = kube::api::WatchParams::default().fields("metadata.name=piano");
    let watched = maps.watch(&one, "0").await.map(drop);
    assert_eq!(refusal(watched), refused(403, "Forbidden"));
    embedded.set_forbidden(None);
    assert!(allowed("patch").await);
}

#[tokio::test(start_paused = true)]
async fn the_log_says_who_asked_what_and_counts_it() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    minutes(1).await;
    let _: ConfigMap = merge(&embedded, "piano", json!({"data": {"a": "1"}})).await;
    let _ = api::<ConfigMap>(&embedded).get("nessuno").await;
    let log = embedded.log();
    let lines: Vec<String> = log
        .iter()
        .map(|one| format!("{} {} {} {:?} {:?}", one.at, one.request.verb, one.request.name, one.code, one.request.write_number))
        .collect();
    assert_eq!(
        lines,
        [
            "2023-02-09T23:30:00Z create piano Some(201) Some(1)",
            "2023-02-09T23:31:00Z patch piano Some(200) Some(2)",
            "2023-02-09T23:31:00Z get nessuno Some(404) None",
        ]
    );
    assert_eq!(log[0].request.user, "anna@centro-dati");
    assert_eq!(embedded.counts()[&(Verb::Patch, String::new(), "configmaps".to_owned())], 1);
}

#[tokio::test(start_paused = true)]
async fn every_change_is_in_the_audit_log_with_who_asked_for_it_and_what_it_changed() {
    let embedded = embedded();
    create::<ConfigMap>(&embedded, config("prima", &json!({"a": "1"}))).await;
    embedded.keep_audit();
    create::<Job>(&embedded, job("lavoro", &json!({}), &json!({}))).await;
    let merge = Patch::Merge(json!({"data": {"a": "2"}}));
    api::<ConfigMap>(&embedded).patch("prima", &PatchParams::default(), &merge).await.unwrap();
    // It changes nothing, so it is no change.
    api::<ConfigMap>(&embedded).patch("prima", &PatchParams::default(), &merge).await.unwrap();
    api::<ConfigMap>(&embedded).delete("prima", &DeleteParams::default()).await.unwrap();
    let audit = embedded.audit();
    let told = |one: &Audited| format!("{} {} {}", one.user.as_deref().unwrap_or("-"), one.resource, one.name);
    let by_anna: Vec<String> = audit.iter().filter(|one| one.user.is_some()).map(told).collect();
    assert_eq!(
        by_anna,
        ["anna@centro-dati jobs lavoro", "anna@centro-dati configmaps prima", "anna@centro-dati configmaps prima"]
    );
    assert!(audit.iter().any(|one| one.user.is_none() && one.resource == "pods" && one.before.is_none()), "the Job's Pod");
    let [.., changed, removed] = &audit[..] else { panic!("{audit:?}") };
    let data = |object: &Option<std::sync::Arc<Value>>| object.as_ref().map(|object| object["data"]["a"].clone());
    assert_eq!((data(&changed.before), data(&changed.after)), (Some(json!("1")), Some(json!("2"))));
    assert_eq!((data(&removed.before), data(&removed.after)), (Some(json!("2")), None));
    assert!(audit.windows(2).all(|pair| pair[0].revision < pair[1].revision), "in the order of the store");
}
