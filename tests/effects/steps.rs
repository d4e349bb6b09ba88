//! What steps change: changed, repeated, burned, given back; never past a token, never over what was not captured.

use notturno::embedded::{Fault, Stage, Verb};
use notturno::engine::Command;
use notturno::engine::facts::ClosingFact;
use notturno::model::service::Change;
use notturno::operator::effects::Switch;
use notturno::operator::effects::arm;
use notturno::operator::effects::pod_security::Level;
use serde_json::{Value, json};

use crate::sample;
use crate::scene::*;
use crate::step_scene::*;

/// Every kind of change, with where its effect is seen.
fn every() -> Vec<(Value, Value, &'static str, Value)> {
    let engine = || target("apps/v1", "Deployment", "motore");
    let add = json!([{"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "d", "image": "d:1"}}]);
    vec![
        (engine(), json!({"scale": {"replicas": 5}}), "/spec/replicas", json!(5)),
        (target("batch/v1", "CronJob", "ricetta-batch"), json!({"suspend": {}}), "/spec/suspend", json!(true)),
        (options(), json!({"merge": {"merge": {"data": {"livello": "2", "altro": null}}}}), "/data", json!({"livello": "2"})),
        (engine(), json!({"json": {"operations": add}}), "/spec/template/spec/containers/1/name", json!("d")),
        (options(), json!({"apply": {"manifest": manifest("opzioni", json!({"livello": "3"}))}}), "/data/livello", json!("3")),
        (target("v1", "Node", "nodo-1"), json!({"cordon": {}}), "/spec/unschedulable", json!(true)),
        (
            engine(),
            json!({"restart": {}}),
            "/spec/template/metadata/annotations/notturno.dev~1restarted-by",
            json!(format!("{}.passo-0", sample::UID)),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_change_is_made_once_and_taken_back_byte_for_byte() {
    for (target, wanted, pointer, value) in every() {
        let mut scene = with_steps(&[(target.clone(), wanted.clone())]);
        // The closing of the sample night has the CronJob's field.
        scene.plan.services[0].close.truncate(2);
        scene.accept().await;
        let day = object(&scene, &target);
        let preimages = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
        let mut armed = Armed { scene, preimages };
        assert_eq!(seen(&armed, STEP).await.change, ClosingFact::Open, "{wanted}");
        intend(&mut armed, STEP).await;
        assert_eq!(armed.perform(change(STEP)).await.unwrap().write_count, 1, "{wanted}");
        assert_eq!(object(&armed.scene, &target).pointer(pointer), Some(&value), "{wanted}");
        assert_eq!(armed.perform(change(STEP)).await.unwrap().write_count, 0, "{wanted}");
        seconds(120).await;
        let fact = seen(&armed, STEP).await;
        assert_eq!((fact.change, fact.burned, fact.restored), (ClosingFact::Closed, false, false), "{wanted}");
        assert_eq!(armed.perform(BURN).await.unwrap().write_count, 1, "{wanted}");
        assert!(seen(&armed, STEP).await.burned, "{wanted}");
        assert_eq!(armed.perform(change(STEP)).await.unwrap().write_count, 0, "{wanted}");
        let done = armed.perform(RESTORE).await.unwrap();
        assert_eq!((done.write_count, done.overwritten), (1, vec![]), "{wanted}");
        assert_eq!(armed.perform(RESTORE).await.unwrap().write_count, 0, "{wanted}");
        assert!(seen(&armed, STEP).await.restored, "{wanted}");
        armed.perform(Command::Disarm).await.unwrap();
        assert_eq!(object(&armed.scene, &target), day, "{wanted}");
    }
}

/// Rule 2: what was sent before the burn lands after it, and changes nothing.
#[tokio::test(start_paused = true)]
async fn a_late_change_changes_nothing_after_the_burn() {
    for (target, wanted, pointer, _) in every() {
        let mut scene = with_steps(&[(target.clone(), wanted.clone())]);
        scene.plan.services[0].close.truncate(2);
        scene.accept().await;
        let preimages = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
        let armed = Armed { scene, preimages };
        let before = object(&armed.scene, &target).pointer(pointer).cloned();
        let name = target["name"].as_str().unwrap().to_owned();
        armed.scene.fault(move |request, stage| {
            let late = request.verb == Verb::Patch && !request.dry_run && request.name == name && stage == Stage::Before;
            if late && request.user.contains("lavori-notturni") {
                Fault::Delay(std::time::Duration::from_secs(5))
            } else {
                Fault::None
            }
        });
        let turn = async {
            seconds(1).await;
            armed.scene.set_calm();
            armed.perform(BURN).await.unwrap();
        };
        let (late, ()) = tokio::join!(armed.perform(change(STEP)), turn);
        assert!(refusal(late).contains("its token says reopen: the night has turned"), "{wanted}");
        assert_eq!(object(&armed.scene, &target).pointer(pointer).cloned(), before, "{wanted}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_changed_and_everything_is_given_back() {
    let strip = json!({"metadata": {"annotations": null}});
    for change_of in [
        json!({"merge": {"merge": {"data": {"livello": "2"}}}}),
        json!({"apply": {"manifest": manifest("opzioni", json!({"livello": "2"}))}}),
    ] {
        let armed = armed(&[(options(), change_of)]).await;
        armed.scene.another_hand("configmaps", "opzioni", strip.clone()).await;
        assert!(refusal(armed.perform(change(STEP)).await).contains("its token is gone"));
        assert!(matches!(seen(&armed, STEP).await.change, ClosingFact::Refused { .. }));
    }
    let armed = armed(&[(options(), json!({"merge": {"merge": {"data": {"livello": "2"}}}}))]).await;
    armed.perform(change(STEP)).await.unwrap();
    armed.scene.another_hand("configmaps", "opzioni", strip.clone()).await;
    assert!(!seen(&armed, STEP).await.burned, "a change sent before may find its token given back");
    armed.perform(BURN).await.unwrap();
    armed.scene.another_hand("configmaps", "opzioni", strip).await;
    armed.perform(RESTORE).await.unwrap();
    assert_eq!(object(&armed.scene, &options())["data"], json!({"livello": "1", "altro": "x"}));
}

/// The night promised what was before: its own fields get that, whoever changed them; other fields stay as others made them.
#[tokio::test(start_paused = true)]
async fn what_others_changed_elsewhere_is_kept_and_what_they_changed_here_is_told() {
    let armed = armed(&[(options(), json!({"merge": {"merge": {"data": {"livello": "2"}}}}))]).await;
    armed.perform(change(STEP)).await.unwrap();
    armed.scene.another_hand("configmaps", "opzioni", json!({"data": {"livello": "9", "nuovo": "y"}})).await;
    armed.perform(BURN).await.unwrap();
    let done = armed.perform(RESTORE).await.unwrap();
    assert_eq!(object(&armed.scene, &options())["data"], json!({"livello": "1", "altro": "x", "nuovo": "y"}));
    assert_eq!(done.overwritten.len(), 1);
    assert!(done.overwritten[0].contains("/data/livello was set to \"9\" by another hand"), "{:?}", done.overwritten);
    armed.scene.another_hand("configmaps", "opzioni", json!({"data": {"livello": "7"}})).await;
    assert_eq!(armed.perform(RESTORE).await.unwrap().write_count, 0, "what others change after that is theirs");
}

#[tokio::test(start_paused = true)]
async fn a_field_that_moved_after_the_intention_is_not_changed() {
    for wanted in [
        json!({"merge": {"merge": {"data": {"livello": "2"}}}}),
        json!({"apply": {"manifest": manifest("opzioni", json!({"livello": "2"}))}}),
        json!({"json": {"operations": [{"op": "replace", "path": "/data/livello", "value": "2"}]}}),
    ] {
        let mut armed = armed(&[(options(), wanted)]).await;
        intend(&mut armed, STEP).await;
        armed.scene.another_hand("configmaps", "opzioni", json!({"data": {"livello": "9"}})).await;
        assert!(refusal(armed.perform(change(STEP)).await).contains("/data/livello changed after its pre-image was recorded"));
        intend(&mut armed, STEP).await;
        armed.perform(change(STEP)).await.unwrap();
        armed.perform(BURN).await.unwrap();
        armed.perform(RESTORE).await.unwrap();
        assert_eq!(object(&armed.scene, &options())["data"]["livello"], "9", "the pre-image is of the intention");
    }
}

#[tokio::test(start_paused = true)]
async fn two_steps_change_one_field_one_after_the_other_and_come_back_in_reverse() {
    let append = |name: &str| {
        let container = json!({"name": name, "image": "x:1"});
        json!({"json": {"operations": [{"op": "add", "path": "/spec/template/spec/containers/-", "value": container}]}})
    };
    let engine = target("apps/v1", "Deployment", "motore");
    let mut armed = armed(&[(engine.clone(), append("d")), (engine.clone(), append("e"))]).await;
    let day = object(&armed.scene, &engine);
    let names = |armed: &Armed| {
        let containers = object(&armed.scene, &engine).pointer("/spec/template/spec/containers").cloned().unwrap();
        containers.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for step in [STEP, STEP + 1] {
        intend(&mut armed, step).await;
        armed.perform(change(step)).await.unwrap();
    }
    assert_eq!(names(&armed), ["c", "d", "e"]);
    armed.perform(BURN).await.unwrap();
    assert!(seen(&armed, STEP + 1).await.burned, "one token, one burn");
    armed.perform(Command::Restore { step: STEP + 1 }).await.unwrap();
    assert_eq!(names(&armed), ["c", "d"]);
    assert!(!seen(&armed, STEP).await.restored);
    armed.perform(RESTORE).await.unwrap();
    let mut end = object(&armed.scene, &engine);
    end["metadata"] = day["metadata"].clone();
    assert_eq!(end, day);
}

#[tokio::test(start_paused = true)]
async fn a_closing_and_a_step_may_not_change_one_field() {
    let scene = with_steps(&[(target("apps/v1", "Deployment", "ricetta-api"), json!({"scale": {"replicas": 1}}))]);
    let found = not_armed(&scene).await;
    assert!(
        found.len() == 1 && found[0].contains("step/passo-0 and sanita/ricetta/backend both change /spec/replicas"),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_at_night_is_told_by_day_with_its_reason() {
    let json_of = |op: Value| json!({"json": {"operations": [op]}});
    let scene = with_steps(&[
        (options(), json_of(json!({"op": "test", "path": "/data/livello", "value": "4"}))),
        (target("v1", "ConfigMap", "pagina"), json!({"restart": {}})),
        (target("v1", "Node", "nodo-9"), json!({"cordon": {}})),
        (target("v1", "ConfigMap", "manca"), json!({"merge": {"merge": {"data": {"a": "b"}}}})),
        (target("apps/v1", "Deployment", "motore"), json_of(json!({"op": "remove", "path": "/spec/niente"}))),
    ]);
    let found = not_armed(&scene).await;
    for part in [
        "ConfigMap sanita/opzioni: step/passo-0 would fail: json[0], /data/livello: the condition does not hold: it is \"1\"",
        "a ConfigMap cannot be restarted",
        "Node nodo-9",
        "ConfigMap sanita/manca",
        "json[0], /spec/niente: remove does not apply: nothing is there",
    ] {
        assert_eq!(found.iter().filter(|problem| problem.contains(part)).count(), 1, "{part}: {found:#?}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

/// What an earlier step will have made true is not asked by day; at night it is, and said.
#[tokio::test(start_paused = true)]
async fn a_condition_on_what_an_earlier_step_does_is_asked_at_its_turn() {
    let test =
        json!([{"op": "test", "path": "/data/livello", "value": "2"}, {"op": "add", "path": "/data/fatto", "value": "si"}]);
    let steps = [
        (options(), json!({"merge": {"merge": {"data": {"livello": "2"}}}})),
        (options(), json!({"json": {"operations": test}})),
    ];
    let mut armed = armed(&steps).await;
    let fact = seen(&armed, STEP + 1).await;
    assert!(
        matches!(&fact.change, ClosingFact::Refused { reason } if reason.contains("the condition does not hold: it is \"1\"")),
        "{fact:?}"
    );
    assert!(refusal(armed.perform(change(STEP + 1)).await).contains("the condition does not hold"));
    armed.perform(change(STEP)).await.unwrap();
    intend(&mut armed, STEP + 1).await;
    armed.perform(change(STEP + 1)).await.unwrap();
    assert_eq!(seen(&armed, STEP + 1).await.change, ClosingFact::Closed);
    armed.perform(BURN).await.unwrap();
    armed.perform(Command::Restore { step: STEP + 1 }).await.unwrap();
    assert_eq!(object(&armed.scene, &options())["data"], json!({"livello": "2", "altro": "x"}));
}

#[tokio::test(start_paused = true)]
async fn a_step_on_a_workload_is_done_when_the_workload_is() {
    for wanted in [json!({"scale": {"replicas": 5}}), json!({"restart": {}})] {
        let armed = armed(&[(target("apps/v1", "Deployment", "motore"), wanted.clone())]).await;
        seconds(120).await;
        armed.perform(change(STEP)).await.unwrap();
        assert_eq!(seen(&armed, STEP).await.change, ClosingFact::Draining, "{wanted}");
        seconds(61).await;
        assert_eq!(seen(&armed, STEP).await.change, ClosingFact::Closed, "{wanted}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_went_cannot_be_given_back_and_says_so() {
    let armed = armed(&[(options(), json!({"merge": {"merge": {"data": {"livello": "2"}}}}))]).await;
    armed.perform(change(STEP)).await.unwrap();
    delete(&armed.scene, "opzioni").await;
    let fact = seen(&armed, STEP).await;
    assert_eq!((fact.burned, fact.cannot_restore.as_deref()), (true, Some("ConfigMap sanita/opzioni is not there")));
    assert!(refusal(armed.perform(change(STEP)).await).contains("it is not there"));
    armed.scene.api.create(manifest("opzioni", json!({"livello": "1"}))).unwrap();
    let fact = seen(&armed, STEP).await;
    assert!((fact.burned, fact.restored, fact.cannot_restore) == (true, true, None), "another's object is left alone");
    assert!(refusal(armed.perform(change(STEP)).await).contains("made anew"));
}

async fn delete(scene: &Scene, name: &str) {
    let request = http::Request::delete(format!("/api/v1/namespaces/sanita/configmaps/{name}")).body(Vec::new()).unwrap();
    scene.api.client("another").request::<Value>(request).await.unwrap();
}

/// After a commit: closed with the token that gave the objects back, and open again when a person changes that.
#[tokio::test(start_paused = true)]
async fn a_service_that_stays_red_is_closed_again_until_a_person_opens_it() {
    let again = Command::CloseAgain { service: 0 };
    let armed = Scene::armed().await;
    for command in [close(0), Command::BurnTargets { service: 0 }, Command::Reopen { service: 0 }] {
        armed.perform(command).await.unwrap();
    }
    assert_eq!(armed.perform(again.clone()).await.unwrap().write_count, 3);
    assert_eq!(armed.perform(again.clone()).await.unwrap().write_count, 0);
    assert_eq!(armed.scene.token("deployments", "ricetta-api"), "1.reopen");
    let fact = armed.observe().await.services.remove(&0).unwrap();
    assert_eq!((fact.closing, fact.restored, fact.burned), (ClosingFact::Closed, false, true));
    armed.scene.another_hand("deployments", "ricetta-api", json!({"spec": {"replicas": 4}})).await;
    armed.scene.another_hand("configmaps", "pagina", json!({"data": {"chiuso": null}})).await;
    assert!(!armed.observe().await.services[&0].restored, "one object is still closed");
    armed.scene.another_hand("cronjobs", "ricetta-batch", json!({"spec": {"suspend": false}})).await;
    assert!(armed.observe().await.services[&0].restored);
    armed.perform(Command::Disarm).await.unwrap();
    let left = armed.scene.get("deployments", "ricetta-api");
    assert_eq!((left["metadata"].get("annotations"), left["spec"]["replicas"].as_i64()), (None, Some(4)));
}

#[test]
fn a_restart_is_no_change_that_a_service_could_declare() {
    let restart: Change = serde_json::from_value(json!({"restart": {}})).unwrap();
    assert!(notturno::operator::effects::capture::changes(&json!({}), &restart).is_empty());
}

/// The same change twice: the second is a change too, and its pre-image is what the first left.
#[tokio::test(start_paused = true)]
async fn a_step_that_looks_done_before_its_turn_is_done_at_its_turn() {
    let append =
        json!({"json": {"operations": [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "b"}]}});
    let engine = target("apps/v1", "Deployment", "motore");
    let mut armed = armed(&[(engine.clone(), append.clone()), (engine.clone(), append)]).await;
    let args = |armed: &Armed| object(&armed.scene, &engine).pointer("/spec/template/spec/containers/0/args").cloned().unwrap();
    for step in [STEP, STEP + 1] {
        intend(&mut armed, step).await;
        armed.perform(change(step)).await.unwrap();
    }
    assert_eq!(args(&armed), json!(["a", "b", "b"]));
    armed.perform(BURN).await.unwrap();
    for (step, left) in [(STEP + 1, json!(["a", "b"])), (STEP, json!(["a"]))] {
        armed.perform(Command::Restore { step }).await.unwrap();
        assert_eq!(args(&armed), left);
    }
}
