//! Opened on half-done work: what was declared stands, nothing sent before takes it away, and no step's object is given back.

use std::time::Duration;

use notturno::embedded::{Access, Fault, Stage, Verb};
use notturno::engine::Command;
use notturno::engine::facts::ClosingFact;
use notturno::operator::effects::pod_security::Level;
use notturno::operator::effects::{Switch, arm, prove};
use serde_json::{Value, json};

use crate::scene::*;
use crate::step_scene::{BURN, RESTORE, STEP, change, manifest, not_armed, options, refusal, seen, target, with_steps};

const DEGRADE: Command = Command::Degrade { service: 0 };
const REOPEN: Command = Command::Reopen { service: 0 };
const EXPIRE: Command = Command::ExpireChange { step: STEP };

/// The field that its closing changed, and one more of an object that its closing changes too.
fn actions() -> Value {
    json!({"OpenDegraded": {"actions": [
        {"name": "una-sola", "target": target("apps/v1", "Deployment", "ricetta-api"), "change": {"scale": {"replicas": 1}}},
        {"name": "avviso", "target": target("v1", "ConfigMap", "pagina"),
            "change": {"json": {"operations": [{"op": "replace", "path": "/data/avviso", "value": "sola lettura"}]}}}]}})
}

fn declared(mut scene: Scene) -> Scene {
    scene.plan.services[0].when_dirty = serde_json::from_value(actions()).unwrap();
    scene
}

async fn armed_with(scene: Scene) -> Armed {
    scene.accept().await;
    let preimages = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
    Armed { scene, preimages }
}

/// Closed, and its targets burned.
async fn closed() -> Armed {
    let armed = armed_with(declared(Scene::by_day())).await;
    armed.perform(close(0)).await.unwrap();
    armed.perform(Command::BurnTargets { service: 0 }).await.unwrap();
    armed
}

fn shown(armed: &Armed) -> (Value, Value) {
    let of =
        |resource: &str, name: &str, pointer: &str| armed.scene.get(resource, name).pointer(pointer).cloned().unwrap_or_default();
    (of("deployments", "ricetta-api", "/spec/replicas"), of("configmaps", "pagina", "/data/avviso"))
}

async fn fact(armed: &Armed) -> (bool, ClosingFact) {
    let fact = armed.observe().await.services.remove(&0).unwrap();
    (fact.restored, fact.degraded)
}

#[tokio::test(start_paused = true)]
async fn what_was_declared_is_done_once_on_what_was_given_back_and_leaves_no_mark() {
    let armed = closed().await;
    assert_eq!(fact(&armed).await, (false, ClosingFact::Open));
    armed.perform(REOPEN).await.unwrap();
    assert_eq!(shown(&armed), (json!(3), json!("buongiorno")));
    assert_eq!(armed.perform(DEGRADE).await.unwrap().write_count, 2);
    assert_eq!(shown(&armed), (json!(1), json!("sola lettura")));
    assert_eq!(fact(&armed).await, (true, ClosingFact::Closed));
    for command in [DEGRADE, REOPEN, Command::BurnTargets { service: 0 }] {
        assert_eq!(armed.perform(command.clone()).await.unwrap().write_count, 0, "{command:?}");
    }
    // What a person makes of it is theirs.
    armed.scene.another_hand("deployments", "ricetta-api", json!({"spec": {"replicas": 2}})).await;
    assert_eq!(armed.perform(DEGRADE).await.unwrap().write_count, 0);
    armed.perform(Command::Disarm).await.unwrap();
    assert_eq!(armed.scene.get("configmaps", "pagina")["metadata"]["annotations"], json!({"note": "theirs"}));
    assert_eq!(armed.scene.get("deployments", "ricetta-api")["metadata"]["annotations"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn it_is_done_where_nothing_was_ever_closed_and_where_the_token_is_gone() {
    let armed = armed_with(declared(Scene::by_day())).await;
    armed.perform(Command::BurnTargets { service: 0 }).await.unwrap();
    armed.perform(REOPEN).await.unwrap();
    armed.scene.another_hand("deployments", "ricetta-api", json!({"metadata": {"annotations": null}})).await;
    armed.perform(DEGRADE).await.unwrap();
    assert_eq!((shown(&armed), fact(&armed).await), ((json!(1), json!("sola lettura")), (true, ClosingFact::Closed)));
    assert_eq!(armed.perform(REOPEN).await.unwrap().write_count, 0, "no opening takes it away");
}

/// Closed; what it declared for half-done work is on an object of its own, and on the one that its closing changed.
async fn closed_beside_a_notice() -> Armed {
    let mut scene = Scene::by_day();
    scene.api.create(manifest("avvisi", json!({"riga": "aperto"}))).unwrap();
    let mut own = actions();
    let line = json!({"name": "riga", "target": target("v1", "ConfigMap", "avvisi"),
        "change": {"merge": {"merge": {"data": {"riga": "sola lettura"}}}}});
    own["OpenDegraded"]["actions"].as_array_mut().unwrap().insert(0, line);
    scene.plan.services[0].when_dirty = serde_json::from_value(own).unwrap();
    let armed = armed_with(scene).await;
    armed.perform(close(0)).await.unwrap();
    armed
}

fn forbid(armed: &Armed, verb: &'static str) {
    armed
        .scene
        .api
        .set_forbidden(Some(std::sync::Arc::new(move |access: &Access| access.verb == verb && access.name == "avvisi")));
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_may_not_do_what_was_declared_does_not_hold() {
    let armed = closed_beside_a_notice().await;
    let Armed { scene, preimages } = &armed;
    let problems = async || prove(&scene.tenant, &scene.plan, preimages, scene.api.clock().now()).await;
    assert_eq!(problems().await, Vec::<String>::new(), "also while the closing is on the same object");
    for verb in ["get", "patch"] {
        forbid(&armed, verb);
        let told = problems().await;
        assert!(
            matches!(&told[..], [one] if one.contains("ConfigMap sanita/avvisi") && one.contains("forbidden")),
            "{verb}: {told:?}"
        );
    }
    scene.api.set_forbidden(None);
    assert_eq!(scene.get("configmaps", "avvisi")["data"]["riga"], "aperto", "nothing is done to be tried");
    // What it changes is given back without that key, so that nothing can replace it.
    scene.another_hand("configmaps", "pagina", json!({"data": {"chiuso": null}})).await;
    armed.perform(REOPEN).await.unwrap();
    scene.another_hand("configmaps", "pagina", json!({"data": {"avviso": null}})).await;
    let told = problems().await;
    assert!(matches!(&told[..], [one] if one.contains("ConfigMap sanita/pagina")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_of_what_was_declared_hides_nothing_of_the_closings() {
    let armed = closed_beside_a_notice().await;
    armed.perform(Command::BurnTargets { service: 0 }).await.unwrap();
    forbid(&armed, "get");
    let is_told = |fact: &ClosingFact| matches!(fact, ClosingFact::Refused { reason } if reason.contains("forbidden"));
    for restored in [false, true] {
        let fact = armed.observe().await.services.remove(&0).expect("what could be read is known");
        assert_eq!((fact.burned, fact.restored, is_told(&fact.degraded)), (true, restored, true), "{fact:?}");
        armed.perform(REOPEN).await.unwrap();
    }
    armed.scene.fault(|request, _| {
        let fails = request.verb == Verb::Get && request.name == "avvisi";
        if fails { Fault::Status(503, "ServiceUnavailable".to_owned()) } else { Fault::None }
    });
    armed.scene.api.set_forbidden(None);
    let mut seen = armed.observe().await;
    let fact = seen.services.remove(&0).expect("what could be read is known");
    assert_eq!((fact.burned, fact.restored, fact.degraded), (true, true, ClosingFact::Open));
    assert_eq!(seen.blind.len(), 1, "{:?}", seen.blind);
}

/// An opening by another replica is under way when what was declared is done: it lands after that.
#[tokio::test(start_paused = true)]
async fn an_opening_that_lands_late_does_not_take_away_what_was_declared() {
    let armed = closed().await;
    armed.scene.delay_patches_of("ricetta-api", 5);
    let meanwhile = async {
        seconds(1).await;
        armed.scene.set_calm();
        armed.perform(REOPEN).await.unwrap();
        armed.perform(DEGRADE).await.unwrap();
    };
    let (late, ()) = tokio::join!(armed.perform(REOPEN), meanwhile);
    late.unwrap();
    assert_eq!(shown(&armed), (json!(1), json!("sola lettura")));
}

#[tokio::test(start_paused = true)]
async fn by_day_it_is_tried_and_shares_no_object_with_a_step_and_no_field_with_another_service() {
    let merge = json!({"merge": {"merge": {"data": {"livello": "2"}}}});
    let scene = declared(with_steps(&[(target("v1", "ConfigMap", "pagina"), merge)]));
    let problems = not_armed(&scene).await;
    let said = "sanita/ricetta/degraded/avviso both change it; let one of them change another object";
    assert!(
        problems.iter().any(|problem| problem.contains("ConfigMap sanita/pagina: step/passo-0 and") && problem.contains(said)),
        "{problems:?}"
    );
    let mut scene = declared(Scene::by_day());
    let others = target("apps/v1", "Deployment", "cup-api");
    let mut own = actions();
    own["OpenDegraded"]["actions"][0]["target"] = others;
    own["OpenDegraded"]["actions"][1]["change"]["json"]["operations"][0]["path"] = json!("/data/manca");
    scene.plan.services[0].when_dirty = serde_json::from_value(own).unwrap();
    let problems = not_armed(&scene).await;
    assert!(problems.iter().any(|one| one.contains("/spec/replicas; make them one")), "{problems:?}");
    let mut scene = declared(Scene::by_day());
    scene.plan.services[0].when_dirty = serde_json::from_value(json!({"OpenDegraded": {"actions": [
        {"name": "avviso", "target": target("v1", "ConfigMap", "pagina"),
            "change": {"json": {"operations": [{"op": "replace", "path": "/data/manca", "value": "x"}]}}}]}}))
    .unwrap();
    let problems = not_armed(&scene).await;
    assert!(problems.iter().any(|one| one.contains("sanita/ricetta/degraded/avviso would fail")), "{problems:?}");
}

/// With everything of ours gone: a person sees what was declared, and the marks of it come off at the end.
#[tokio::test(start_paused = true)]
async fn the_page_for_people_shows_what_was_declared_and_runs_none_of_it() {
    let mut scene = declared(Scene::by_day());
    scene.plan.services[0].could_stay_closed_by = [1].into();
    let armed = armed_with(scene).await;
    let page = notturno::operator::by_hand::page(&armed.scene.plan, &armed.preimages, None);
    let scaled = r#"    kubectl -n sanita patch deployments.v1.apps ricetta-api --type=merge -p '{"spec":{"replicas":1}}'"#;
    let noticed = r#"    kubectl -n sanita patch configmaps pagina --type=json -p '[{"op":"replace","path":"/data/avviso","value":"sola lettura"}]'"#;
    for words in [
        "It opens all the same if aggiorna began and is not undone and verified",
        scaled,
        noticed,
        "Only if its data is half changed",
    ] {
        assert!(page.contains(words), "{words}:\n{page}");
    }
    let in_blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect::<String>();
    assert!(!in_blocks.contains("sola lettura"), "{in_blocks}");
    assert!(!in_blocks.contains(r#"{"replicas":1}"#), "{in_blocks}");
}

/// PROTOCOL rule 16, for an object: what was sent before lands after its right has expired, and gives nothing back.
#[tokio::test(start_paused = true)]
async fn a_restoring_that_lands_late_gives_nothing_back_once_its_undo_has_expired() {
    let merge = json!({"merge": {"merge": {"data": {"livello": "2"}}}});
    let armed = armed_with(with_steps(&[(options(), merge)])).await;
    armed.perform(change(STEP)).await.unwrap();
    armed.perform(BURN).await.unwrap();
    assert!(!seen(&armed, STEP).await.expired);
    armed.scene.fault(|request, stage| {
        let late = request.verb == Verb::Patch && request.name == "opzioni" && stage == Stage::Before;
        if late { Fault::Delay(Duration::from_secs(5)) } else { Fault::None }
    });
    let meanwhile = async {
        seconds(1).await;
        armed.scene.set_calm();
        assert_eq!(armed.perform(EXPIRE).await.unwrap().write_count, 1);
    };
    let (late, ()) = tokio::join!(armed.perform(RESTORE), meanwhile);
    assert!(refusal(late).contains("its undo has expired"));
    let fact = seen(&armed, STEP).await;
    assert_eq!((fact.burned, fact.expired, fact.restored), (true, true, false));
    assert_eq!(armed.scene.get("configmaps", "opzioni")["data"]["livello"], "2");
    for again in [EXPIRE, BURN] {
        assert_eq!(armed.perform(again.clone()).await.unwrap().write_count, 0, "{again:?}");
    }
    // One whose token others removed gets a tombstone too.
    armed.scene.another_hand("configmaps", "opzioni", json!({"metadata": {"annotations": null}})).await;
    assert!(!seen(&armed, STEP).await.expired);
    armed.perform(EXPIRE).await.unwrap();
    assert!(refusal(armed.perform(RESTORE).await).contains("its undo has expired"));
}

/// A closing of the same object opens all the same.
#[tokio::test(start_paused = true)]
async fn a_service_opens_on_an_object_whose_step_is_not_undone_any_more() {
    let merge = json!({"merge": {"merge": {"data": {"altro": "x"}}}});
    let armed = armed_with(with_steps(&[(target("v1", "ConfigMap", "pagina"), merge)])).await;
    armed.perform(close(0)).await.unwrap();
    armed.perform(change(STEP)).await.unwrap();
    for command in [Command::BurnTargets { service: 0 }, BURN, EXPIRE] {
        armed.perform(command).await.unwrap();
    }
    assert!(armed.observe().await.services[&0].burned);
    armed.perform(REOPEN).await.unwrap();
    assert_eq!(armed.scene.get("configmaps", "pagina")["data"], json!({"avviso": "buongiorno", "altro": "x"}));
    assert_eq!(armed.scene.token("configmaps", "pagina"), "1.expired");
    assert!(refusal(armed.perform(RESTORE).await).contains("its undo has expired"));
}

/// A takeover gives nobody back what has expired.
#[tokio::test(start_paused = true)]
async fn what_has_expired_stays_so_when_a_sentinel_opens_on_the_same_object() {
    let merge = json!({"merge": {"merge": {"data": {"altro": "x"}}}});
    let mut armed = armed_with(with_steps(&[(target("v1", "ConfigMap", "pagina"), merge)])).await;
    armed.perform(close(0)).await.unwrap();
    armed.perform(change(STEP)).await.unwrap();
    for command in [Command::BurnTargets { service: 0 }, BURN, EXPIRE] {
        armed.perform(command).await.unwrap();
    }
    armed.scene.tenant = armed.scene.tenant.clone().with_epoch(notturno::model::epoch::Epoch::SENTINELS);
    armed.perform(REOPEN).await.unwrap();
    assert_eq!(armed.scene.token("configmaps", "pagina"), "2.expired");
    assert_eq!(armed.scene.get("configmaps", "pagina")["data"], json!({"avviso": "buongiorno", "altro": "x"}));
    assert!(refusal(armed.perform(RESTORE).await).contains("its undo has expired"));
}
