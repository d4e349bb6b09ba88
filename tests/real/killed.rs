//! (c) The operator is killed, in each phase: the night ends as if it had not been.

use jiff::SignedDuration;

use super::cluster::{say, wait};
use super::night::Night;
use super::operator::{self, By};
use super::stage::Stage;

/// Plays a night whose upgrade hangs, kills the operator the moment such an event is in the ledger, and compares the end.
fn killed_at(kind: &str, of: &str, kill: fn(&super::cluster::Cluster)) {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(35), "12s");
    let before = night.until(kind, of, 180);
    let pods = operator::pod_names(&stage.cluster);
    kill(&stage.cluster);
    say(format!("killed with {} records in the ledger", before.record_count));
    let ledger = night.until_settled();
    assert!(ledger.record_count > before.record_count, "the night went on after the kill");
    assert_eq!(ledger.events[..before.events.len()].len(), before.events.len());
    for (then, now) in before.events.iter().zip(&ledger.events) {
        assert_eq!(then, now, "what was written stays written");
    }
    is_another_process(&stage, &pods);
    stage.is_rolled_back(&night, &ledger);
}

/// It was really killed: another Pod is there, or the same one has started its container again.
fn is_another_process(stage: &Stage, pods: &[String]) {
    wait(30, "another process of the operator", || {
        let restarts =
            |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        let name = |pod: &serde_json::Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
        let now = stage.cluster.list("/api/v1/namespaces/notturno-system/pods");
        now.iter().any(|pod| !pods.contains(&name(pod)) || restarts(pod) > 0).then_some(())
    });
}

#[test]
fn killed_while_everything_stands_and_nothing_runs_the_night_begins_and_ends_all_the_same() {
    killed_at("armed", "", operator::kill);
}

#[test]
fn killed_as_the_upgrade_starts_the_night_starts_it_once_and_goes_back() {
    killed_at("stepIntended", "aggiorna", operator::kill);
}

#[test]
fn killed_by_force_while_the_upgrade_runs_two_operators_are_as_good_as_one() {
    killed_at("stepIntended", "aggiorna", operator::delete_by_force);
}

#[test]
fn killed_as_it_turns_back_the_upgrade_is_stopped_all_the_same() {
    killed_at("goingBack", "", operator::kill);
}

#[test]
fn killed_as_the_undo_starts_the_database_is_restored_once() {
    killed_at("undoReleased", "", operator::kill);
}

#[test]
fn killed_as_the_first_services_open_the_others_open_too() {
    killed_at("opening", "anagrafe-assistiti", operator::kill);
}

#[test]
fn killed_while_services_are_asked_whether_they_answer_the_night_is_finished() {
    killed_at("opening", "portale-ts", operator::kill);
}
