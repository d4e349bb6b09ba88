//! Closing, burning, opening: exact, in order, and only with the right token.

use std::time::Duration;

use notturno::embedded::{Fault, Stage, Verb};
use notturno::engine::Command;
use notturno::engine::facts::ClosingFact;
use notturno::model::epoch::Epoch;
use notturno::operator::effects::Switch;
use notturno::operator::effects::pod_security::Level;
use notturno::operator::effects::{Advice, PerformError};
use serde_json::json;

use crate::sample;
use crate::scene::*;

const BURN: Command = Command::BurnTargets { service: 0 };
const REOPEN: Command = Command::Reopen { service: 0 };

fn replicas(scene: &Scene) -> i64 {
    scene.get("deployments", "ricetta-api")["spec"]["replicas"].as_i64().unwrap()
}

fn refusal(result: Result<impl std::fmt::Debug, PerformError>) -> String {
    match result {
        Err(error @ PerformError::Refused { .. }) => {
            assert_eq!(error.advice(), Advice::TellAPerson);
            error.to_string()
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn closed_and_opened_again_every_object_is_byte_for_byte_as_before() {
    let day = all_written(&Scene::by_day().api);
    let armed = Scene::armed().await;
    assert_eq!(armed.perform(close(0)).await.unwrap().write_count, 3);
    assert_eq!(replicas(&armed.scene), 0);
    assert_eq!(armed.scene.get("configmaps", "pagina")["data"], json!({"chiuso": "si"}));
    assert_eq!(armed.scene.get("cronjobs", "ricetta-batch")["spec"]["suspend"], true);
    assert_eq!(armed.observe().await.services[&0].closing, ClosingFact::Closed);
    for command in [BURN, Command::BurnTargets { service: 1 }, REOPEN, Command::Disarm] {
        armed.perform(command).await.unwrap();
    }
    let left = all_written(&armed.scene.api);
    let ours = |object: &serde_json::Value| object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "notturno";
    assert_eq!(left.into_iter().filter(|object| !ours(object)).collect::<Vec<_>>(), day);
}

#[tokio::test(start_paused = true)]
async fn targets_close_in_declared_order_and_open_in_reverse() {
    let armed = Scene::armed().await;
    let begin = armed.scene.api.log().len();
    armed.perform(close(0)).await.unwrap();
    assert_eq!(armed.scene.changed_since(begin), ["pagina", "ricetta-api", "ricetta-batch"]);
    armed.perform(BURN).await.unwrap();
    let begin = armed.scene.api.log().len();
    armed.perform(REOPEN).await.unwrap();
    assert_eq!(armed.scene.changed_since(begin), ["ricetta-batch", "ricetta-api", "pagina"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_repeated_writes_nothing() {
    let armed = Scene::armed().await;
    for command in [close(0), BURN, REOPEN, Command::Disarm] {
        assert!(armed.perform(command.clone()).await.unwrap().write_count > 0, "{command:?}");
        assert_eq!(armed.perform(command.clone()).await.unwrap().write_count, 0, "{command:?}");
    }
}

/// Rule 2, H3: what was sent before the burn lands after it, and changes nothing.
#[tokio::test(start_paused = true)]
async fn a_late_close_changes_nothing_after_the_burn() {
    let armed = Scene::armed().await;
    armed.scene.delay_patches_of("ricetta-api", 5);
    let turn = async {
        seconds(1).await;
        armed.scene.set_calm();
        armed.perform(BURN).await.unwrap();
    };
    let (late, ()) = tokio::join!(armed.perform(close(0)), turn);
    assert!(refusal(late).contains("its token says reopen: the night has turned"));
    assert_eq!(replicas(&armed.scene), 3);
}

/// H8: made anew from a dump, the object bears the token; only its UID tells.
#[tokio::test(start_paused = true)]
async fn an_object_made_anew_from_a_dump_is_not_closed() {
    let armed = Scene::armed().await;
    armed.scene.delay_patches_of("ricetta-api", 5);
    let restore = async {
        seconds(1).await;
        recreate(&armed.scene.api, "deployments", "ricetta-api").await;
    };
    let (late, ()) = tokio::join!(armed.perform(close(0)), restore);
    assert!(refusal(late).contains("it was deleted and made anew since arming"));
    assert_eq!((replicas(&armed.scene), armed.scene.token("deployments", "ricetta-api").as_str()), (3, "1.forward"));
    let fact = armed.observe().await.services.remove(&0).unwrap();
    assert!(matches!(&fact.closing, ClosingFact::Refused { reason } if reason.contains("made anew")), "{fact:?}");
}

/// Made anew while it was closed, from a dump of then: it is opened all the same.
#[tokio::test(start_paused = true)]
async fn an_object_made_anew_as_closed_is_opened() {
    let armed = Scene::armed().await;
    armed.perform(close(0)).await.unwrap();
    armed.perform(BURN).await.unwrap();
    recreate(&armed.scene.api, "deployments", "ricetta-api").await;
    armed.perform(REOPEN).await.unwrap();
    assert_eq!(replicas(&armed.scene), 3);
}

#[tokio::test(start_paused = true)]
async fn no_forward_write_may_be_alive_after_the_turn_back_moment() {
    let armed = Scene::armed().await;
    let now = armed.scene.api.clock().now();
    let until = |seconds| Command::Close { service: 0, not_after: now + jiff::SignedDuration::from_secs(seconds) };
    let fenced = armed.perform(until(9)).await.unwrap_err();
    assert!(matches!(fenced, PerformError::Fenced { .. }), "{fenced:?}");
    assert_eq!(armed.scene.get("configmaps", "pagina")["data"], json!({"avviso": "buongiorno"}), "nothing was sent");
    armed.scene.delay_patches_of("pagina", 5);
    let fenced = armed.perform(until(14)).await.unwrap_err();
    assert!(
        matches!(fenced, PerformError::Fenced { ref what, .. } if what.contains("ricetta-api")),
        "time passes between writes: {fenced:?}"
    );
    armed.scene.set_calm();
    armed.perform(until(30)).await.unwrap();
}

/// H9: a token may vanish. Forward fails, backward does not.
#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_closes_and_everything_opens() {
    let armed = Scene::armed().await;
    let strip = json!({"metadata": {"annotations": null}});
    armed.scene.another_hand("deployments", "ricetta-api", strip.clone()).await;
    assert!(refusal(armed.perform(close(0)).await).contains("a target without token is never closed"));
    assert!(matches!(armed.observe().await.services[&0].closing, ClosingFact::Refused { .. }));

    let armed = Scene::armed().await;
    armed.perform(close(0)).await.unwrap();
    armed.scene.another_hand("deployments", "ricetta-api", strip.clone()).await;
    armed.perform(BURN).await.unwrap();
    assert_eq!(armed.scene.token("deployments", "ricetta-api"), "1.reopen", "the burn puts it back");
    armed.scene.another_hand("deployments", "ricetta-api", strip).await;
    armed.perform(REOPEN).await.unwrap();
    assert_eq!(replicas(&armed.scene), 3);
}

/// Rule 6: the burn of one target failed; opening it takes the right to close in the same write.
#[tokio::test(start_paused = true)]
async fn opening_a_target_whose_burn_failed_burns_it() {
    let armed = Scene::armed().await;
    armed.perform(close(0)).await.unwrap();
    armed.perform(REOPEN).await.unwrap();
    assert_eq!((replicas(&armed.scene), armed.scene.token("deployments", "ricetta-api").as_str()), (3, "1.reopen"));
}

/// H5, rules 2 and 7: the next night has closed; an opening of this one comes late.
#[tokio::test(start_paused = true)]
async fn a_late_opening_does_not_open_what_the_next_night_closed() {
    let armed = Scene::armed().await;
    armed.perform(close(0)).await.unwrap();
    armed.perform(BURN).await.unwrap();
    armed.scene.delay_patches_of("ricetta-api", 5);
    let next_night = async {
        seconds(1).await;
        let stamp = json!({"metadata": {"annotations": {"notturno.dev/token": "next-night.1.forward"}}});
        armed.scene.another_hand("deployments", "ricetta-api", stamp).await;
    };
    let (late, ()) = tokio::join!(armed.perform(REOPEN), next_night);
    assert!(matches!(late, Err(PerformError::Claimed { ref night, .. }) if night == "next-night"), "{late:?}");
    assert_eq!(replicas(&armed.scene), 0);
    armed.scene.set_calm();
    armed.perform(Command::Disarm).await.unwrap();
    assert_eq!(armed.scene.token("deployments", "ricetta-api"), "next-night.1.forward", "foreign tokens are left alone");
}

#[tokio::test(start_paused = true)]
async fn a_newer_epoch_deposes() {
    let armed = Scene::armed().await;
    let token = format!("{}.2.reopen", sample::UID);
    armed.scene.another_hand("configmaps", "pagina", json!({"metadata": {"annotations": {"notturno.dev/token": token}}})).await;
    for command in [close(0), BURN] {
        let deposed = armed.perform(command).await.unwrap_err();
        assert!(matches!(deposed, PerformError::Deposed { epoch: Epoch::SENTINELS, .. }), "{deposed:?}");
        assert_eq!(deposed.advice(), Advice::OnChange);
    }
    armed.perform(Command::Disarm).await.unwrap();
    assert_eq!(armed.scene.token("configmaps", "pagina"), "none", "once the night is over its tokens go, whosever they are");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_holds_no_other() {
    let armed = Scene::armed().await;
    armed.perform(close(0)).await.unwrap();
    armed.scene.fault(|request, stage| {
        let denied = request.name == "ricetta-api" && request.verb == Verb::Patch && stage == Stage::Before;
        if denied { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    });
    assert!(armed.perform(BURN).await.unwrap_err().is_for_good());
    for (resource, name) in [("configmaps", "pagina"), ("cronjobs", "ricetta-batch")] {
        assert_eq!(armed.scene.token(resource, name), "1.reopen", "{name}");
    }
    assert!(armed.perform(REOPEN).await.unwrap_err().is_for_good());
    assert_eq!(armed.scene.get("configmaps", "pagina")["data"], json!({"avviso": "buongiorno"}));
    assert_eq!(armed.scene.get("cronjobs", "ricetta-batch")["spec"]["suspend"], false);
}

/// What may succeed later keeps its place in the order.
#[tokio::test(start_paused = true)]
async fn a_target_out_of_reach_is_waited_for() {
    let armed = Scene::armed().await;
    armed.perform(close(0)).await.unwrap();
    armed.perform(BURN).await.unwrap();
    armed.scene.fault(|request, stage| {
        let lost = request.name == "ricetta-api" && request.verb == Verb::Patch && stage == Stage::After;
        if lost { Fault::Hang } else { Fault::None }
    });
    let error = armed.perform(REOPEN).await.unwrap_err();
    assert_eq!(error.advice(), Advice::RetryLater, "{error:?}");
    assert_eq!(armed.scene.get("configmaps", "pagina")["data"], json!({"chiuso": "si"}));
    armed.scene.set_calm();
    assert_eq!(armed.perform(REOPEN).await.unwrap().write_count, 1, "the write that hung had landed");
}

#[tokio::test(start_paused = true)]
async fn what_others_change_after_the_opening_is_theirs() {
    let armed = Scene::armed().await;
    for command in [close(0), BURN, REOPEN] {
        armed.perform(command).await.unwrap();
    }
    armed.scene.another_hand("deployments", "ricetta-api", json!({"spec": {"replicas": 9}})).await;
    assert!(armed.observe().await.services[&0].restored);
    assert_eq!(armed.perform(REOPEN).await.unwrap().write_count, 0);
    assert_eq!(replicas(&armed.scene), 9);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_changed_after_its_preimage_was_recorded_is_not_overwritten() {
    let armed = Scene::armed().await;
    armed.scene.another_hand("deployments", "ricetta-api", json!({"spec": {"replicas": 5}})).await;
    let fact = armed.observe().await.services.remove(&0).unwrap();
    assert_eq!(fact.preimages.keys().collect::<Vec<_>>(), ["sanita/ricetta/backend"]);
    assert_eq!(fact.preimages["sanita/ricetta/backend"]["fields"], json!([{"pointer": "/spec/replicas", "before": 5}]));
    assert!(refusal(armed.perform(close(0)).await).contains("/spec/replicas changed after its pre-image was recorded"));
    assert_eq!(replicas(&armed.scene), 5);

    let why = "because".to_owned();
    let event = notturno::engine::Event::StepIntended { step: "chiudi".into(), dirty: vec![], preimages: fact.preimages };
    let entry = notturno::engine::Entry { at: armed.scene.api.clock().now(), event, why };
    let Armed { scene, preimages } = armed;
    let armed = Armed { scene, preimages: preimages.as_intended(&[entry]) };
    for command in [close(0), BURN, REOPEN] {
        armed.perform(command).await.unwrap();
    }
    assert_eq!(replicas(&armed.scene), 5, "restored to what the intention recorded");
}

#[tokio::test(start_paused = true)]
async fn an_arming_that_was_interrupted_leaves_nothing_after_disarming() {
    let scene = Scene::by_day();
    scene.accept().await;
    scene.fault(|request, stage| {
        let job = request.resource == "jobs" && request.verb == Verb::Create && stage == Stage::Before;
        if job { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    });
    notturno::operator::effects::arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without)
        .await
        .unwrap_err();
    assert_eq!(scene.token("deployments", "cup-api"), "1.forward");
    let armed = Armed { scene, preimages: notturno::operator::effects::Preimages::default() };
    armed.perform(Command::Disarm).await.unwrap();
    for (resource, name) in [("configmaps", "pagina"), ("deployments", "cup-api"), ("cronjobs", "ricetta-batch")] {
        assert_eq!(armed.scene.token(resource, name), "none", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_is_named() {
    let armed = Scene::armed().await;
    armed.perform(close(1)).await.unwrap();
    let request = http::Request::delete("/apis/apps/v1/namespaces/sanita/deployments/cup-api").body(Vec::new()).unwrap();
    armed.scene.api.client("another").request::<serde_json::Value>(request).await.unwrap();
    assert_eq!(armed.perform(Command::BurnTargets { service: 1 }).await.unwrap().write_count, 0);
    let reason = refusal(armed.perform(Command::Reopen { service: 1 }).await);
    assert_eq!(reason, "Deployment sanita/cup-api: it is not there, so it cannot be opened");
    let fact = armed.observe().await.services.remove(&1).unwrap();
    assert_eq!((fact.burned, fact.restored), (true, false));
}

#[tokio::test(start_paused = true)]
async fn a_service_drains_until_nothing_runs_behind_its_targets() {
    let armed = Scene::armed().await;
    let slow = json!({"metadata": {"annotations": {"embedded.notturno.dev/drains-for": "1m"}}});
    armed.scene.another_hand("deployments", "cup-api", slow).await;
    armed.perform(close(1)).await.unwrap();
    assert_eq!(armed.observe().await.services[&1].closing, ClosingFact::Draining);
    seconds(61).await;
    assert_eq!(armed.observe().await.services[&1].closing, ClosingFact::Closed);
}

/// A silent API server costs two limits of a call, however many targets there are.
#[tokio::test(start_paused = true)]
async fn looking_takes_a_bounded_time() {
    let armed = Scene::armed().await;
    let mut many = armed.scene.plan.clone();
    many.services = std::iter::repeat_n(many.services[0].clone(), 64).collect();
    let interest = notturno::engine::Interest { jobs: true, targets: (0..64).collect(), ..Default::default() };
    armed.scene.fault(|_, _| Fault::Hang);
    let begin = armed.scene.api.clock().now();
    let seen = notturno::operator::effects::observe(&armed.scene.tenant, &many, &armed.preimages, begin, &interest).await;
    assert_eq!((seen.services.len(), seen.blind.len()), (0, 65));
    assert!(armed.scene.api.clock().now().duration_since(begin) <= jiff::SignedDuration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_look_ends_in_two_limits_of_a_call_however_slow_each_target_is() {
    let armed = Scene::armed().await;
    armed.scene.fault(|request, stage| {
        let slow = request.verb == Verb::Get && stage == Stage::Before;
        if slow { Fault::Delay(Duration::from_secs(9)) } else { Fault::None }
    });
    let since = armed.scene.api.clock().now();
    let seen = armed.observe().await;
    let took = armed.scene.api.clock().now().duration_since(since);
    assert!(took <= jiff::SignedDuration::from_secs(20), "{took:?}");
    assert_eq!((seen.services.len(), seen.blind.len()), (1, 1), "three targets take too long, one does not: {seen:?}");
}
