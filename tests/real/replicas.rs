//! Two replicas: the leader sleeps for three minutes in mid-step and wakes while the step still hangs and the other leads; nothing happens
//! twice, and the night goes back.

use jiff::{SignedDuration, Timestamp};

use super::cluster::{say, wait};
use super::night::Night;
use super::operator::{self, By};
use super::stage::Stage;

#[test]
fn a_leader_that_sleeps_for_three_minutes_in_mid_step_and_wakes_into_a_night_that_still_runs_does_nothing_twice() {
    let stage = Stage::set(By::Manifests);
    operator::may_sleep(&stage.cluster);
    stage.database.break_upgrade("lungo");
    let night = Night::declare_long(&stage.cluster, SignedDuration::from_secs(35), "200s", SignedDuration::from_secs(200));
    night.until("stepIntended", "aggiorna", 120);
    let (leader, epoch) = (operator::leader(&stage.cluster), operator::epoch(&stage.cluster));
    let asleep = operator::Asleep::put(&stage.cluster);
    let slept_at = Timestamp::now();
    wait(40, "another leader", || (operator::leader(&stage.cluster) != leader).then_some(()));
    say(format!(
        "{} leads {:.1} s later",
        operator::leader(&stage.cluster),
        Timestamp::now().duration_since(slept_at).as_secs_f64()
    ));
    wait(240, "three minutes asleep", || (Timestamp::now() >= slept_at + SignedDuration::from_secs(180)).then_some(()));
    let (records, other) = (night.ledger().unwrap().record_count, operator::leader(&stage.cluster));
    let is_under_way = !night.ledger().unwrap().has("goingBack", "");
    asleep.wake();
    assert!(is_under_way, "the step must not have ended before the sleeper wakes");
    say(format!("woken in mid-step, with {records} records in the ledger"));
    night.until("goingBack", "", 60);
    let ledger = night.until_settled();
    assert_eq!(operator::leader(&stage.cluster), other, "who wakes takes nothing back");
    assert_eq!(operator::epoch(&stage.cluster), epoch + 1);
    stage.is_rolled_back(&night, &ledger);
    let appends = stage.audit.ours().iter().filter(|write| write.appends()).count();
    assert_eq!(appends + 1, ledger.record_count, "one append a record, whoever wrote it");
}
