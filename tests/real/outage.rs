//! The API server is away for ten seconds across the moment at which the night has to go back.

use jiff::{SignedDuration, Timestamp};

use super::cluster::{say, wait};
use super::components::away;
use super::night::Night;
use super::operator::By;
use super::stage::Stage;

#[test]
fn an_api_server_that_is_away_across_the_turn_back_moment_delays_it_until_it_is_back_and_all_opens_in_time() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(30), "12s");
    let begun = night.until("stepIntended", "aggiorna", 120);
    let cap_at = begun.at("stepIntended", "aggiorna").unwrap() + SignedDuration::from_secs(12);
    wait(30, "five seconds before the hard cap", || (Timestamp::now() >= cap_at - SignedDuration::from_secs(5)).then_some(()));
    let (gone_at, back_at) = away(&stage.cluster, "kube-apiserver", 10);
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
