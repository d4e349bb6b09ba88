//! Jobs: released once, burned with a proof, seen to end.

use notturno::embedded::{Fault, Stage};
use notturno::engine::facts::{Burned, JobEnd, JobFact, Pods, TokenFact};
use notturno::engine::{BurnTo, Command, JobKey};
use notturno::model::epoch::Epoch;
use notturno::operator::effects::PerformError;
use notturno::operator::effects::Switch;
use notturno::operator::effects::pod_security::Level;
use serde_json::json;

use crate::sample;
use crate::scene::*;

const WORK: JobKey = JobKey::Step(1);
const UNDO: JobKey = JobKey::Undo(1, 1);
const NAME: &str = "notte-0f0e0d0c-aggiorna";

fn release(job: JobKey) -> Command {
    let not_after = matches!(job, JobKey::Step(_)).then(|| at("2026-11-25T04:00:00Z"));
    Command::Release { job, not_after }
}

const fn burn(job: JobKey, to: BurnTo) -> Command {
    Command::BurnJob { job, to }
}

async fn fact(armed: &Armed, job: JobKey) -> JobFact {
    armed.observe().await.jobs.remove(&job).unwrap()
}

fn refused(result: Result<impl std::fmt::Debug, PerformError>) -> String {
    match result {
        Err(error @ PerformError::Refused { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_released_once_and_stopped_by_its_burn() {
    let armed = Scene::armed().await;
    let before = fact(&armed, WORK).await;
    assert_eq!((before.token, before.suspended, before.pods), (TokenFact::Forward, true, Pods::NoneSeen));
    assert_eq!(armed.perform(release(WORK)).await.unwrap().write_count, 1);
    assert_eq!(armed.perform(release(WORK)).await.unwrap().write_count, 0);
    seconds(60).await;
    assert_eq!(fact(&armed, WORK).await.pods, Pods::Alive);

    let burned_at = armed.scene.api.clock().now();
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    assert_eq!(armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap().write_count, 0);
    let stopping = fact(&armed, WORK).await;
    assert_eq!(
        (stopping.token, stopping.burned, stopping.burned_at),
        (TokenFact::Expired, Some(Burned::Started), Some(burned_at))
    );
    assert_eq!((stopping.pods, stopping.suspended), (Pods::Alive, true), "it takes its time to stop");
    seconds(25).await;
    let stopped = fact(&armed, WORK).await;
    assert_eq!((stopped.pods, stopped.held, stopped.end), (Pods::Terminal, true, None));

    assert_eq!(armed.perform(Command::LetGo { job: WORK }).await.unwrap().write_count, 1);
    assert_eq!(armed.perform(Command::LetGo { job: WORK }).await.unwrap().write_count, 0);
    let gone = fact(&armed, WORK).await;
    assert_eq!((gone.pods, gone.held), (Pods::NoneSeen, false));
}

#[tokio::test(start_paused = true)]
async fn a_living_pod_is_not_let_go() {
    let armed = Scene::armed().await;
    armed.perform(release(WORK)).await.unwrap();
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    assert_eq!(armed.perform(Command::LetGo { job: WORK }).await.unwrap().write_count, 0);
    assert!(fact(&armed, WORK).await.held);
}

/// Rule 5, H20.
#[tokio::test(start_paused = true)]
async fn the_burn_of_a_job_that_was_never_released_proves_it() {
    let armed = Scene::armed().await;
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    let burned = fact(&armed, WORK).await;
    assert_eq!((burned.token, burned.burned, burned.suspended), (TokenFact::Expired, Some(Burned::NeverStarted), true));
}

/// H16: the release was sent before the burn and lands after it.
#[tokio::test(start_paused = true)]
async fn a_late_release_starts_nothing_after_the_burn() {
    let armed = Scene::armed().await;
    armed.scene.delay_patches_of(NAME, 5);
    let turn = async {
        seconds(1).await;
        armed.scene.set_calm();
        armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    };
    let (late, ()) = tokio::join!(armed.perform(release(WORK)), turn);
    assert!(refused(late).contains("its token says expired, not forward"));
    let burned = fact(&armed, WORK).await;
    assert_eq!((burned.burned, burned.suspended, burned.pods), (Some(Burned::NeverStarted), true, Pods::NoneSeen));
}

/// The other order: the burn read a Job at rest and lands after the release.
#[tokio::test(start_paused = true)]
async fn a_burn_that_the_release_overtook_says_started() {
    let armed = Scene::armed().await;
    armed.scene.delay_patches_of(NAME, 5);
    let start = async {
        seconds(1).await;
        armed.scene.set_calm();
        armed.perform(release(WORK)).await.unwrap();
    };
    let (burned, ()) = tokio::join!(armed.perform(burn(WORK, BurnTo::Expired)), start);
    burned.unwrap();
    let burned = fact(&armed, WORK).await;
    assert_eq!((burned.burned, burned.suspended), (Some(Burned::Started), true));
}

#[tokio::test(start_paused = true)]
async fn a_job_suspended_by_another_hand_was_started_all_the_same_and_never_runs_twice() {
    let armed = Scene::armed().await;
    armed.perform(release(WORK)).await.unwrap();
    armed.scene.another_hand("jobs", NAME, json!({"spec": {"suspend": true}})).await;
    assert!(refused(armed.perform(release(WORK)).await).contains("it never runs twice"));
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    assert_eq!(fact(&armed, WORK).await.burned, Some(Burned::Started));
}

#[tokio::test(start_paused = true)]
async fn a_job_resumed_by_another_hand_after_its_burn_is_stopped_again() {
    let armed = Scene::armed().await;
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    armed.scene.another_hand("jobs", NAME, json!({"spec": {"suspend": false}})).await;
    assert_eq!(armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap().write_count, 1);
    assert_eq!(fact(&armed, WORK).await.burned, Some(Burned::Started));
}

/// Rule 11.
#[tokio::test(start_paused = true)]
async fn an_undo_is_released_only_on_the_way_back() {
    let armed = Scene::armed().await;
    assert!(refused(armed.perform(release(UNDO)).await).contains("its token says forward, not back"));
    armed.perform(burn(UNDO, BurnTo::Back)).await.unwrap();
    assert_eq!(fact(&armed, UNDO).await.burned, None, "it may still run");
    armed.perform(release(UNDO)).await.unwrap();
    seconds(660).await;
    let done = fact(&armed, UNDO).await;
    assert_eq!((done.end, done.pods), (Some(JobEnd::Complete), Pods::Terminal));
    assert_eq!(armed.perform(release(UNDO)).await.unwrap().write_count, 0, "one-shot");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_expired_never_comes_back() {
    let armed = Scene::armed().await;
    armed.perform(burn(UNDO, BurnTo::Back)).await.unwrap();
    armed.perform(burn(UNDO, BurnTo::Expired)).await.unwrap();
    assert_eq!(armed.perform(burn(UNDO, BurnTo::Back)).await.unwrap().write_count, 0);
    assert!(refused(armed.perform(release(UNDO)).await).contains("its token says expired, not back"));
}

#[tokio::test(start_paused = true)]
async fn a_step_is_not_released_where_its_release_could_outlive_the_turn_back_moment() {
    let armed = Scene::armed().await;
    let not_after = Some(armed.scene.api.clock().now() + jiff::SignedDuration::from_secs(9));
    let fenced = armed.perform(Command::Release { job: WORK, not_after }).await.unwrap_err();
    assert!(matches!(fenced, PerformError::Fenced { .. }), "{fenced:?}");
    assert!(fact(&armed, WORK).await.suspended);
}

#[tokio::test(start_paused = true)]
async fn a_missing_token_is_put_by_the_burn_and_other_epochs_are_left_alone() {
    let armed = Scene::armed().await;
    armed.scene.another_hand("jobs", NAME, json!({"metadata": {"annotations": null}})).await;
    assert!(refused(armed.perform(release(WORK)).await).contains("its token is gone"));
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    let burned = fact(&armed, WORK).await;
    assert_eq!(
        (burned.token, burned.burned),
        (TokenFact::Expired, Some(Burned::Started)),
        "nothing is proven without the annotation"
    );

    let token = format!("{}.2.expired", sample::UID);
    armed
        .scene
        .another_hand("jobs", "notte-0f0e0d0c-smoke", json!({"metadata": {"annotations": {"notturno.dev/token": token}}}))
        .await;
    let deposed = armed.perform(burn(JobKey::Smoke, BurnTo::Back)).await.unwrap_err();
    assert!(matches!(deposed, PerformError::Deposed { epoch: Epoch::SENTINELS, .. }), "{deposed:?}");
    assert_eq!(fact(&armed, JobKey::Smoke).await.token, TokenFact::Deposed);
}

/// H17: a Job made anew from a dump bears the token and would run.
#[tokio::test(start_paused = true)]
async fn a_job_made_anew_is_never_released_and_counts_as_vanished() {
    let armed = Scene::armed().await;
    recreate(&armed.scene.api, "jobs", NAME).await;
    assert!(refused(armed.perform(release(WORK)).await).contains("made anew"));
    assert_eq!(fact(&armed, WORK).await.end, Some(JobEnd::Vanished));
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    let mark = &armed.scene.get("jobs", NAME)["metadata"]["annotations"]["notturno.dev/burned"];
    assert_eq!(mark, "started", "of the first one nothing is proven");
}

/// Rule 14: that it is Complete is told beside the burn, so that nobody takes it for done.
#[tokio::test(start_paused = true)]
async fn a_completion_after_the_stop_is_seen_beside_the_burn() {
    let armed = armed_with(json!({"embedded.notturno.dev/on-stop": "Completes"})).await;
    armed.perform(release(WORK)).await.unwrap();
    seconds(60).await;
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    seconds(60).await;
    let complete = fact(&armed, WORK).await;
    assert_eq!((complete.end, complete.burned), (Some(JobEnd::Complete), Some(Burned::Started)));
}

#[tokio::test(start_paused = true)]
async fn a_completion_before_the_stop_is_written_down_by_the_burn_and_no_later_stop_makes_one() {
    let ends = || armed_with(json!({"embedded.notturno.dev/ends": "Succeeded", "embedded.notturno.dev/takes": "1h"}));
    let armed = ends().await;
    armed.perform(release(WORK)).await.unwrap();
    seconds(2 * 3600).await;
    assert_eq!(fact(&armed, WORK).await.end, Some(JobEnd::Complete));
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    assert_eq!(fact(&armed, WORK).await.burned, Some(Burned::Completed));

    // One that was stopped, resumed by another hand and ends well has not ended well.
    let armed = ends().await;
    armed.perform(release(WORK)).await.unwrap();
    seconds(60).await;
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    armed.scene.another_hand("jobs", NAME, json!({"spec": {"suspend": false}})).await;
    seconds(2 * 3600).await;
    assert_eq!(fact(&armed, WORK).await.end, Some(JobEnd::Complete));
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    assert_eq!(fact(&armed, WORK).await.burned, Some(Burned::Started));
}

/// Its Pods behave as these annotations say.
async fn armed_with(annotations: serde_json::Value) -> Armed {
    let scene = Scene::by_day();
    let pods = json!({"spec": {"jobTemplate": {"spec": {"template": {"metadata": {"annotations": annotations}}}}}});
    merge_in_centro(&scene, "aggiorna", pods).await;
    scene.accept().await;
    let preimages =
        notturno::operator::effects::arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without)
            .await
            .unwrap();
    Armed { scene, preimages }
}

async fn merge_in_centro(scene: &Scene, cron_job: &str, patch: serde_json::Value) {
    let request = http::Request::patch(format!("/apis/batch/v1/namespaces/centro-dati/cronjobs/{cron_job}"))
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_string().into_bytes())
        .unwrap();
    scene.api.client("another").request::<serde_json::Value>(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_on_a_lost_node_is_never_taken_for_ended() {
    let armed = armed_with(json!({"embedded.notturno.dev/stops-after": "never"})).await;
    armed.perform(release(WORK)).await.unwrap();
    seconds(60).await;
    armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap();
    seconds(2 * 3600).await;
    let pods = fact(&armed, WORK).await.pods;
    assert!(matches!(pods, Pods::Alive | Pods::Unknown { .. }), "{pods:?}");
}

#[tokio::test(start_paused = true)]
async fn a_burn_whose_answer_was_lost_is_known_by_what_it_left() {
    for stage in [Stage::Before, Stage::After] {
        let armed = Scene::armed().await;
        armed.scene.fault(move |request, at| {
            let ours = request.name == NAME && request.write_number.is_some() && at == stage;
            if ours { Fault::Hang } else { Fault::None }
        });
        let unknown = armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap_err();
        assert!(matches!(unknown, PerformError::Unreached { .. }), "{unknown:?}");
        armed.scene.set_calm();
        let writes = armed.perform(burn(WORK, BurnTo::Expired)).await.unwrap().write_count;
        assert_eq!(writes, u32::from(stage == Stage::Before));
        assert_eq!(fact(&armed, WORK).await.burned, Some(Burned::NeverStarted));
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_left_out_and_holds_nothing_else() {
    let armed = Scene::armed().await;
    armed.scene.fault(|request, _| {
        let out_of_reach = request.name == "cup-api" || request.resource == "pods";
        if out_of_reach { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    });
    let seen = armed.observe().await;
    assert_eq!((seen.jobs.len(), seen.services.keys().copied().collect::<Vec<_>>(), seen.blind.len()), (0, vec![0], 2));
}
