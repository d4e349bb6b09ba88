//! What steps apply: over the claims of others, under our name, labels too; taken for done only when all of it is.

use serde_json::{Value, json};

use crate::scene::*;
use crate::step_scene::*;

fn applies(labels: &Value) -> (Value, Value) {
    let mut manifest = manifest("opzioni", json!({"livello": "2", "altro": "y"}));
    manifest["metadata"]["labels"] = labels.clone();
    (options(), json!({"apply": {"manifest": manifest}}))
}

#[tokio::test(start_paused = true)]
async fn a_field_that_another_manager_applied_is_taken_under_our_name_and_comes_back() {
    let scene = with_steps(&[applies(&json!({"notte": "si"}))]);
    let theirs = manifest("opzioni", json!({"livello": "1"}));
    let request = http::Request::patch("/api/v1/namespaces/sanita/configmaps/opzioni?fieldManager=anna")
        .header("content-type", "application/apply-patch+yaml")
        .body(theirs.to_string().into_bytes())
        .unwrap();
    scene.api.client("anna").request::<Value>(request).await.unwrap();
    let day = object(&scene, &options());
    scene.accept().await;
    let level = notturno::operator::effects::pod_security::Level::Restricted;
    let preimages = notturno::operator::effects::arm(
        &scene.tenant,
        &scene.plan,
        level,
        &crate::scene::any_address(),
        &notturno::operator::effects::Switch::Without,
    )
    .await
    .unwrap();
    let mut armed = Armed { scene, preimages };
    intend(&mut armed, STEP).await;
    assert_eq!(armed.perform(change(STEP)).await.unwrap().write_count, 1);
    let live = armed.scene.get("configmaps", "opzioni");
    assert_eq!((&live["data"]["livello"], &live["metadata"]["labels"]), (&json!("2"), &json!({"notte": "si"})));
    let managers = live["metadata"]["managedFields"].as_array().unwrap();
    let of_level = managers.iter().filter(|one| one["fieldsV1"]["f:data"].get("f:livello").is_some());
    assert_eq!(of_level.map(|one| one["manager"].as_str().unwrap()).collect::<Vec<_>>(), ["notturno"]);
    armed.perform(BURN).await.unwrap();
    armed.perform(RESTORE).await.unwrap();
    armed.perform(notturno::engine::Command::Disarm).await.unwrap();
    assert_eq!(object(&armed.scene, &options()), day);
}

#[tokio::test(start_paused = true)]
async fn one_field_that_another_hand_set_as_wanted_does_not_make_the_change_done() {
    let mut armed = armed(&[applies(&json!({}))]).await;
    intend(&mut armed, STEP).await;
    armed.scene.another_hand("configmaps", "opzioni", json!({"data": {"altro": "y"}})).await;
    assert_eq!(armed.perform(change(STEP)).await.unwrap().write_count, 1);
    assert_eq!(object(&armed.scene, &options())["data"], json!({"livello": "2", "altro": "y"}));
}
