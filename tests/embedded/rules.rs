//! What may not be stored.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::scene::*;

#[tokio::test(start_paused = true)]
async fn names_that_are_not_dns_names_are_invalid_and_those_of_jobs_end_at_63() {
    let embedded = embedded();
    let post = PostParams::default();
    let maps = api::<ConfigMap>(&embedded);
    for name in ["Piano", "-piano", "piano-", "a..b", "a_b", &"x".repeat(254)] {
        assert_eq!(refusal(maps.create(&post, &typed(config(name, &json!({})))).await), refused(422, "Invalid"), "{name}");
    }
    assert!(maps.create(&post, &typed(config(&"x".repeat(253), &json!({})))).await.is_ok());
    let jobs = api::<Job>(&embedded);
    let long =
        |count: usize| typed::<Job>(job(&"j".repeat(count), &json!({}), &json!({"template": {"metadata": {"labels": null}}})));
    assert_eq!(refusal(jobs.create(&post, &long(64)).await), refused(422, "Invalid"));
    assert!(jobs.create(&post, &long(63)).await.is_ok());
    let service = json!({"metadata": {"name": "a.b"}, "spec": {}});
    assert_eq!(refusal(api::<Service>(&embedded).create(&post, &typed(service)).await), refused(422, "Invalid"));
    let label = json!({"metadata": {"name": "m", "labels": {"k": "no spaces"}}});
    assert_eq!(refusal(maps.create(&post, &typed(label)).await), refused(422, "Invalid"));
    let key = json!({"metadata": {"name": "m", "annotations": {"a/b/c": "x"}}});
    assert_eq!(refusal(maps.create(&post, &typed(key)).await), refused(422, "Invalid"));
    assert_eq!(refusal(maps.create(&post, &typed(json!({"metadata": {}}))).await), refused(422, "Invalid"));
}

#[tokio::test(start_paused = true)]
async fn a_sealed_config_map_keeps_its_data_and_its_seal_and_lets_its_metadata_change() {
    let embedded = embedded();
    let _: ConfigMap = create(&embedded, config("piano", &json!({"plan.json": "{}"}))).await;
    let _: ConfigMap = merge(&embedded, "piano", json!({"immutable": true, "data": {"preimages.json": "[]"}})).await;
    let maps = api::<ConfigMap>(&embedded);
    for patch in [
        json!({"data": {"plan.json": "x"}}),
        json!({"data": {"new": "x"}}),
        json!({"immutable": null}),
        json!({"immutable": false}),
    ] {
        let patched = maps.patch("piano", &PatchParams::default(), &Patch::Merge(patch.clone())).await;
        assert_eq!(refusal(patched), refused(422, "Invalid"), "{patch}");
    }
    let _: ConfigMap = merge(&embedded, "piano", json!({"metadata": {"finalizers": ["notturno.dev/night"]}})).await;
    assert_eq!(read_config(&embedded, "piano").await.data.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_config_map_ends_at_one_mebibyte_and_a_request_at_three() {
    let embedded = embedded();
    let maps = api::<ConfigMap>(&embedded);
    let of = |bytes: usize| typed::<ConfigMap>(config("grande", &json!({"a": "x".repeat(bytes)})));
    let mebibyte = 1024 * 1024;
    assert_eq!(refusal(maps.create(&PostParams::default(), &of(mebibyte + 1)).await), refused(422, "Invalid"));
    assert_eq!(refusal(maps.create(&PostParams::default(), &of(4 * mebibyte)).await), refused(413, "RequestEntityTooLarge"));
    assert!(maps.create(&PostParams::default(), &of(mebibyte)).await.is_ok());
    let added = maps.patch("grande", &PatchParams::default(), &Patch::Merge(json!({"data": {"b": "x"}}))).await;
    assert_eq!(refusal(added), refused(422, "Invalid"), "the ledger may not grow past it either");
}

#[tokio::test(start_paused = true)]
async fn a_jobs_template_is_fixed_but_for_its_placement_before_the_first_start() {
    let embedded = embedded();
    let _: Job =
        create(&embedded, job("aggiorna", &json!({"embedded.notturno.dev/ends": "Hangs"}), &json!({"suspend": true}))).await;
    let jobs = api::<Job>(&embedded);
    let image: Value = json!({"spec": {"template": {"spec": {"containers": [{"name": "work", "image": "work:2"}]}}}});
    let annotate: Value = json!({"spec": {"template": {"metadata": {"annotations": {"x": "y"}}}}});
    let refused_image = jobs.patch("aggiorna", &PatchParams::default(), &Patch::Merge(image)).await;
    assert_eq!(refusal(refused_image), refused(422, "Invalid"));
    assert!(jobs.patch("aggiorna", &PatchParams::default(), &Patch::Merge(annotate.clone())).await.is_ok());
    suspend(&embedded, "aggiorna", false).await;
    suspend(&embedded, "aggiorna", true).await;
    let late = jobs
        .patch(
            "aggiorna",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"template": {"metadata": {"annotations": {"x": "z"}}}}})),
        )
        .await;
    assert_eq!(refusal(late), refused(422, "Invalid"));
    let completions = jobs.patch("aggiorna", &PatchParams::default(), &Patch::Merge(json!({"spec": {"completions": 2}}))).await;
    assert_eq!(refusal(completions), refused(422, "Invalid"));
}

#[tokio::test(start_paused = true)]
async fn a_scene_that_says_something_unknown_is_refused() {
    let embedded = embedded();
    for (annotation, value) in [("takes", "ten minutes"), ("ends", "Perhaps"), ("stops-after", "-1m"), ("on-stop", "Dies")] {
        let wish = job("prova", &json!({format!("embedded.notturno.dev/{annotation}"): value}), &json!({}));
        let created = api::<Job>(&embedded).create(&PostParams::default(), &typed(wish)).await;
        assert_eq!(refusal(created), refused(422, "Invalid"), "{annotation}");
    }
}
