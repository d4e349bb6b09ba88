//! The API server is away for ten seconds across the moment at which the night has to go back.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};

use super::cluster::{Cluster, say, wait};
use super::night::Night;
use super::operator::By;
use super::stage::Stage;

/// Ends the API server that `tests/cluster/up` started, by its id, and lets it come back after `seconds`.
fn away(cluster: &Cluster, seconds: i64) -> (Timestamp, Timestamp) {
    let file = cluster.state().join("pids/kube-apiserver");
    let text = std::fs::read_to_string(file).unwrap();
    let id = text.split_whitespace().next().unwrap().to_owned();
    let killed = Command::new("kill").args(["-9", &id]).status().unwrap();
    assert!(killed.success(), "process {id} was not there to be killed");
    let gone_at = Timestamp::now();
    wait(30, "an outage", || (Timestamp::now() >= gone_at + SignedDuration::from_secs(seconds)).then_some(()));
    let up = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/up");
    let started = Command::new(up).output().unwrap();
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    (gone_at, Timestamp::now())
}

#[test]
fn an_api_server_that_is_away_across_the_turn_back_moment_delays_it_until_it_is_back_and_all_opens_in_time() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(30), "12s");
    let begun = night.until("stepIntended", "aggiorna", 120);
    let cap_at = begun.at("stepIntended", "aggiorna").unwrap() + SignedDuration::from_secs(12);
    wait(30, "five seconds before the hard cap", || (Timestamp::now() >= cap_at - SignedDuration::from_secs(5)).then_some(()));
    let (gone_at, back_at) = away(&stage.cluster, 10);
    assert!(gone_at < cap_at && cap_at < back_at, "away across the moment: {gone_at} {cap_at} {back_at}");
    let ledger = night.until("goingBack", "", 60);
    let went_at = ledger.at("goingBack", "").unwrap();
    say(format!(
        "away {:.1} s from {:.1} s before the hard cap on; going back {:.1} s after its return",
        back_at.duration_since(gone_at).as_secs_f64(),
        cap_at.duration_since(gone_at).as_secs_f64(),
        went_at.duration_since(back_at).as_secs_f64()
    ));
    // Both replicas have lost the lease by then: it expires ten seconds later at most, and tries are four seconds apart at most.
    assert!(went_at <= back_at + SignedDuration::from_secs(16), "the lease expires and a record is tried again");
    let ledger = night.until_settled();
    stage.is_rolled_back(&night, &ledger);
}
