//! What goes with its owner, and what outlives it.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Resource, ResourceExt};
use notturno::embedded::Embedded;
use serde_json::json;

use crate::scene::*;

fn owned(name: &str, owners: &[&ConfigMap]) -> serde_json::Value {
    let references: Vec<_> = owners.iter().map(|owner| owner.owner_ref(&()).unwrap()).collect();
    json!({"metadata": {"name": name, "ownerReferences": references}})
}

#[tokio::test(start_paused = true)]
async fn what_is_owned_goes_with_its_last_owner() {
    let embedded = embedded();
    let one: ConfigMap = create(&embedded, config("uno", &json!({}))).await;
    let two: ConfigMap = create(&embedded, config("due", &json!({}))).await;
    let child: ConfigMap = create(&embedded, owned("figlio", &[&one, &two])).await;
    let _: ConfigMap = create(&embedded, owned("nipote", &[&child])).await;
    let maps = api::<ConfigMap>(&embedded);
    maps.delete("uno", &DeleteParams::default()).await.unwrap();
    assert_eq!(read_config(&embedded, "figlio").await.owner_references().len(), 1);
    maps.delete("due", &DeleteParams::default()).await.unwrap();
    assert!(embedded.objects().is_empty());
    let _: ConfigMap = create(&embedded, owned("orfano", &[&one])).await;
    assert!(embedded.objects().is_empty(), "an owner that does not exist");
}

async fn job_with_pod(embedded: &Embedded) {
    let annotations = json!({"embedded.notturno.dev/ends": "Hangs", "embedded.notturno.dev/stops-after": "20s"});
    let _: Job = create(embedded, job("aggiorna", &annotations, &json!({}))).await;
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_deleted_job_are_stopped_in_background_and_foreground() {
    for params in [DeleteParams::background(), DeleteParams::foreground()] {
        let embedded = embedded();
        job_with_pod(&embedded).await;
        api::<Job>(&embedded).delete("aggiorna", &params).await.unwrap();
        assert!(pods(&embedded).await[0].meta().deletion_timestamp.is_some());
        minutes(1).await;
        assert!(embedded.objects().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_job_deleted_without_saying_more_stay_as_they_do_for_old_clients() {
    for params in [DeleteParams::default(), DeleteParams::orphan()] {
        let embedded = embedded();
        job_with_pod(&embedded).await;
        api::<Job>(&embedded).delete("aggiorna", &params).await.unwrap();
        minutes(60).await;
        let pod = pods(&embedded).await.remove(0);
        assert_eq!((phase(&pod).as_str(), pod.owner_references().len(), pod.finalizers().len()), ("Running", 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_takes_everything_in_it_along_but_what_a_finalizer_holds() {
    let embedded = embedded();
    let namespaces: Api<Namespace> = Api::all(client(&embedded));
    namespaces.create(&PostParams::default(), &typed(json!({"metadata": {"name": NS}}))).await.unwrap();
    let _: ConfigMap = create(&embedded, config("piano", &json!({}))).await;
    let mut held = config("registro", &json!({}));
    held["metadata"]["finalizers"] = json!(["notturno.dev/night"]);
    let _: ConfigMap = create(&embedded, held).await;
    let elsewhere = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "altrove", "namespace": "sanita"}});
    embedded.create(elsewhere).unwrap();
    namespaces.delete(NS, &DeleteParams::default()).await.unwrap();
    let names: Vec<String> = embedded.objects().iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["registro", "altrove"]);
    assert!(read_config(&embedded, "registro").await.meta().deletion_timestamp.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_nobody_runs_and_is_stopped_like_any_other() {
    let embedded = embedded();
    let annotations = json!({"embedded.notturno.dev/takes": "1h", "embedded.notturno.dev/stops-after": "5s"});
    let wish =
        json!({"metadata": {"name": "solo", "annotations": annotations}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let pod: Pod = create(&embedded, wish).await;
    assert_eq!(phase(&pod), "Pending", "the answer shows what was written, not what follows");
    assert_eq!(phase(&pods(&embedded).await.remove(0)), "Running");
    api::<Pod>(&embedded).delete("solo", &DeleteParams::default()).await.unwrap();
    assert_eq!(pods(&embedded).await.len(), 1);
    minutes(1).await;
    assert!(pods(&embedded).await.is_empty());
}
