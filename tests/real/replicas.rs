//! Two replicas: the leader sleeps for three minutes in mid-step and wakes; the other has gone on, and nothing happens twice.

use jiff::{SignedDuration, Timestamp};

use super::cluster::{say, wait};
use super::night::Night;
use super::operator::{self, By};
use super::stage::Stage;

#[test]
fn a_leader_that_sleeps_for_three_minutes_in_mid_step_and_wakes_finds_the_other_one_further_and_does_nothing_twice() {
    let stage = Stage::set(By::Manifests);
    operator::may_sleep(&stage.cluster);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(15), "12s");
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
    night.until("goingBack", "", 120);
    wait(240, "three minutes asleep", || (Timestamp::now() >= slept_at + SignedDuration::from_secs(180)).then_some(()));
    let (records, other) = (night.ledger().unwrap().record_count, operator::leader(&stage.cluster));
    asleep.wake();
    say(format!("woken with {records} records in the ledger"));
    let ledger = night.until_settled();
    assert_eq!(operator::leader(&stage.cluster), other, "who wakes takes nothing back");
    assert_eq!(operator::epoch(&stage.cluster), epoch + 1);
    stage.is_rolled_back(&night, &ledger);
    let appends = stage.audit.ours().iter().filter(|write| write.appends()).count();
    assert_eq!(appends + 1, ledger.record_count, "one append a record, whoever wrote it");
}
