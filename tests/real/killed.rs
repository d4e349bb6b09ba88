//! (c) The operator is killed, in each phase: the night ends as if it had not been.

use jiff::SignedDuration;
use serde_json::Value;

use super::cluster::{Cluster, say, wait};
use super::night::Night;
use super::operator::{self, By};
use super::stage::Stage;

/// An event, and what it is of.
type Told = (&'static str, &'static str);

/// How the leader dies, once the first is recorded and before the second is.
type Death = (Told, Told, fn(&Cluster));

/// Plays a night whose upgrade hangs, kills whoever leads at each of the moments, and compares the end.
fn killed_at(deaths: &[Death]) {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(35), "12s");
    let lives = deaths.iter().map(|&((kind, of), (next, of_next), kill)| {
        let before = night.until(kind, of, 180);
        assert!(!before.has(next, of_next), "the moment has passed:\n{}", before.story());
        let pods = pods(&stage.cluster);
        kill(&stage.cluster);
        say(format!("killed with {} records in the ledger", before.record_count));
        is_another_process(&stage.cluster, &pods);
        before
    });
    let lives: Vec<_> = lives.collect();
    let ledger = night.until_settled();
    for before in lives {
        assert!(ledger.record_count > before.record_count, "the night went on after the kill");
        assert_eq!(before.events, ledger.events[..before.events.len()], "what was written stays written");
    }
    stage.is_rolled_back(&night, &ledger);
}

/// Each Pod of the operator, and how often its process was started again.
fn pods(cluster: &Cluster) -> Vec<(String, u64)> {
    let pods = cluster.list("/api/v1/namespaces/notturno-system/pods");
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
    pods.iter().map(|pod| (pod["metadata"]["name"].as_str().unwrap().to_owned(), restarts(pod))).collect()
}

/// It was really killed: another Pod is there, or one has started its process again.
fn is_another_process(cluster: &Cluster, before: &[(String, u64)]) {
    wait(60, "another process of the operator", || pods(cluster).iter().any(|pod| !before.contains(pod)).then_some(()));
}

#[test]
fn killed_before_the_start_during_the_upgrade_and_as_it_turns_back_the_night_ends_all_the_same() {
    killed_at(&[
        (("armed", ""), ("workBegun", ""), operator::kill),
        // Gone from the API while its process may still live: two operators are as good as one.
        (("stepIntended", "aggiorna"), ("goingBack", ""), operator::delete_by_force),
        (("goingBack", ""), ("undoReleased", ""), operator::kill),
    ]);
}

#[test]
fn killed_as_the_upgrade_starts_and_as_its_undo_starts_each_is_started_once() {
    killed_at(&[
        (("stepIntended", "aggiorna"), ("goingBack", ""), operator::kill),
        (("undoReleased", ""), ("undoDone", ""), operator::kill),
    ]);
}

#[test]
fn killed_as_the_first_services_open_and_as_the_last_are_asked_whether_they_answer_all_open() {
    killed_at(&[
        (("opening", "anagrafe-assistiti"), ("opened", "anagrafe-assistiti"), operator::kill),
        (("opening", "portale-ts"), ("opened", "portale-ts"), operator::kill),
    ]);
}
