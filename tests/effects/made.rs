//! What steps make: only where nothing is, deleted again, and a creation that comes late is found.

use notturno::embedded::{Access, Fault, Stage, Verb};
use notturno::engine::Command;
use notturno::engine::facts::ClosingFact;
use notturno::operator::effects::{PerformError, prove};
use serde_json::{Value, json};

use crate::scene::*;
use crate::step_scene::*;

fn makes() -> (Value, Value) {
    (target("v1", "ConfigMap", "nuova"), json!({"apply": {"manifest": manifest("nuova", json!({"a": "b"}))}}))
}

fn made(scene: &Scene) -> Option<Value> {
    scene.api.object("", "configmaps", "sanita", "nuova")
}

#[tokio::test(start_paused = true)]
async fn what_a_step_made_is_deleted_again() {
    let mut armed = armed(&[makes()]).await;
    assert!(armed.preimages.targets["step/passo-0"].is_absent());
    intend(&mut armed, STEP).await;
    assert_eq!(armed.perform(change(STEP)).await.unwrap().write_count, 1);
    assert_eq!(armed.perform(change(STEP)).await.unwrap().write_count, 0);
    assert_eq!(made(&armed.scene).unwrap()["data"], json!({"a": "b"}));
    assert_eq!(seen(&armed, STEP).await.change, ClosingFact::Closed);
    turn(&mut armed);
    armed.perform(BURN).await.unwrap();
    let fact = seen(&armed, STEP).await;
    assert_eq!((fact.burned, fact.restored), (true, false));
    assert_eq!(armed.perform(RESTORE).await.unwrap().write_count, 1);
    assert_eq!(made(&armed.scene), None);
    assert!(!seen(&armed, STEP).await.restored, "a request of before could still make it");
    seconds(20).await;
    let fact = seen(&armed, STEP).await;
    assert_eq!((fact.burned, fact.restored), (true, true));
}

/// What there is nothing to try on yet, the sentinel asks for by its rights.
#[tokio::test(start_paused = true)]
async fn a_way_back_that_may_not_delete_what_a_step_makes_does_not_hold() {
    let armed = armed(&[makes()]).await;
    let Armed { scene, preimages } = &armed;
    let lacking = async |verbs: &'static [&'static str]| {
        scene.api.set_forbidden(Some(std::sync::Arc::new(move |access: &Access| {
            verbs.contains(&access.verb.as_str()) && access.resource == "configmaps" && access.name == "nuova"
        })));
        prove(&scene.tenant, &scene.plan, preimages, scene.api.clock().now()).await
    };
    let told = |verbs: &str| format!("ConfigMap sanita/nuova: this account may not {verbs} it: `notturno rbac` prints the Role");
    assert_eq!(lacking(&[]).await, Vec::<String>::new());
    assert_eq!(lacking(&["delete"]).await, [told("delete")]);
    assert_eq!(lacking(&["patch", "delete"]).await, [told("patch, delete")]);
    assert_eq!(made(scene), None, "nothing is made to be tried");
}

#[tokio::test(start_paused = true)]
async fn what_a_finished_night_made_stays_without_our_marks() {
    let armed = armed(&[makes()]).await;
    armed.perform(change(STEP)).await.unwrap();
    for command in [BURN, Command::Disarm] {
        armed.perform(command).await.unwrap();
    }
    assert_eq!(made(&armed.scene).unwrap()["metadata"].get("annotations"), None);
}

/// Rule 2, last sentence: a creation that comes late is found and taken back.
#[tokio::test(start_paused = true)]
async fn a_late_creation_is_found_and_taken_back() {
    let mut armed = armed(&[makes()]).await;
    armed.scene.fault(|request, stage| {
        let late = request.verb == Verb::Create && !request.dry_run && request.resource == "configmaps" && stage == Stage::Before;
        if late { Fault::Delay(std::time::Duration::from_secs(9)) } else { Fault::None }
    });
    turn(&mut armed);
    let look = async {
        seconds(2).await;
        let fact = seen(&armed, STEP).await;
        assert_eq!((fact.burned, fact.restored), (false, false), "it may still land");
    };
    let (late, ()) = tokio::join!(armed.perform(change(STEP)), look);
    late.unwrap();
    let fact = seen(&armed, STEP).await;
    assert_eq!((fact.burned, fact.restored), (false, false));
    armed.perform(BURN).await.unwrap();
    armed.perform(RESTORE).await.unwrap();
    assert_eq!(made(&armed.scene), None);
}

#[tokio::test(start_paused = true)]
async fn what_another_hand_made_meanwhile_is_neither_changed_nor_deleted() {
    let mut armed = armed(&[makes()]).await;
    armed.scene.api.create(manifest("nuova", json!({"di": "altri"}))).unwrap();
    assert!(refusal(armed.perform(change(STEP)).await).contains("another hand made it since"));
    assert!(matches!(seen(&armed, STEP).await.change, ClosingFact::Refused { .. }));
    turn(&mut armed);
    armed.perform(BURN).await.unwrap();
    armed.perform(RESTORE).await.unwrap();
    armed.perform(Command::Disarm).await.unwrap();
    let left = made(&armed.scene).unwrap();
    assert_eq!((left["data"].clone(), left["metadata"].get("annotations")), (json!({"di": "altri"}), None));
    seconds(20).await;
    assert!(seen(&armed, STEP).await.restored);
}

/// A step changes what an earlier one makes.
#[tokio::test(start_paused = true)]
async fn a_step_on_what_an_earlier_step_makes_has_its_preimage_from_its_intention() {
    let (new, makes) = makes();
    let mut armed = armed(&[(new.clone(), makes), (new, json!({"merge": {"merge": {"data": {"a": "c"}}}}))]).await;
    for step in [STEP, STEP + 1] {
        intend(&mut armed, step).await;
        armed.perform(change(step)).await.unwrap();
    }
    assert_eq!(made(&armed.scene).unwrap()["data"], json!({"a": "c"}));
    turn(&mut armed);
    armed.perform(BURN).await.unwrap();
    armed.perform(Command::Restore { step: STEP + 1 }).await.unwrap();
    assert_eq!(made(&armed.scene).unwrap()["data"], json!({"a": "b"}));
    armed.perform(RESTORE).await.unwrap();
    assert_eq!(made(&armed.scene), None);
}

#[tokio::test(start_paused = true)]
async fn no_change_may_be_alive_after_the_turn_back_moment() {
    for (place, wanted) in [(options(), json!({"apply": {"manifest": manifest("opzioni", json!({"livello": "2"}))}})), makes()] {
        let armed = armed(&[(place, wanted)]).await;
        let not_after = armed.scene.api.clock().now() + jiff::SignedDuration::from_secs(9);
        let before = armed.scene.api.log().len();
        let fenced = armed.perform(Command::Change { step: STEP, not_after }).await.unwrap_err();
        assert!(matches!(fenced, PerformError::Fenced { .. }), "{fenced:?}");
        assert_eq!(armed.scene.changed_since(before), Vec::<String>::new());
    }
}

/// A deletion that comes late holds for what was looked at only.
#[tokio::test(start_paused = true)]
async fn what_another_hand_takes_over_while_its_deletion_is_under_way_is_left_alone() {
    let mut armed = armed(&[makes()]).await;
    armed.perform(change(STEP)).await.unwrap();
    turn(&mut armed);
    armed.perform(BURN).await.unwrap();
    armed.scene.fault(|request, stage| {
        let late = request.verb == Verb::Delete && stage == Stage::Before;
        if late { Fault::Delay(std::time::Duration::from_secs(5)) } else { Fault::None }
    });
    let taken_over = async {
        seconds(1).await;
        armed.scene.another_hand("configmaps", "nuova", json!({"metadata": {"annotations": null}})).await;
    };
    let (restored, ()) = tokio::join!(armed.perform(RESTORE), taken_over);
    assert_eq!(restored.unwrap().write_count, 0);
    assert_eq!(made(&armed.scene).unwrap()["data"], json!({"a": "b"}));
}

#[tokio::test(start_paused = true)]
async fn what_another_hand_makes_while_the_creation_is_under_way_is_refused() {
    let armed = armed(&[makes()]).await;
    armed.scene.fault(|request, stage| {
        let late = request.verb == Verb::Create && request.user.contains("lavori-notturni") && stage == Stage::Before;
        if late { Fault::Delay(std::time::Duration::from_secs(5)) } else { Fault::None }
    });
    let meanwhile = async {
        seconds(1).await;
        armed.scene.api.create(manifest("nuova", json!({"di": "altri"}))).unwrap();
    };
    let (created, ()) = tokio::join!(armed.perform(change(STEP)), meanwhile);
    assert!(refusal(created).contains("another hand made it since"));
}

#[tokio::test(start_paused = true)]
async fn what_a_step_made_and_another_night_holds_is_not_deleted() {
    let mut armed = armed(&[makes()]).await;
    armed.perform(change(STEP)).await.unwrap();
    turn(&mut armed);
    let other = json!({"metadata": {"annotations": {"notturno.dev/token": "0f0e0d0c-0b0a-4000-8000-00000000000f.1.forward"}}});
    armed.scene.another_hand("configmaps", "nuova", other).await;
    let claimed = armed.perform(RESTORE).await.unwrap_err();
    assert!(matches!(claimed, PerformError::Claimed { .. }), "{claimed:?}");
    assert!(made(&armed.scene).is_some());
}
