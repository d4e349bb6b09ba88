//! (d) The operator is dead for good: what nobody brings back until the dead man's switch exists.

use jiff::{SignedDuration, Timestamp};

use super::cluster::{say, wait};
use super::night::Night;
use super::operator::{self, By};
use super::stage::Stage;
use super::tenant::SERVICES;

#[test]
fn known_limit_with_the_operator_dead_for_good_during_the_upgrade_all_that_was_closed_stays_closed_past_the_opening() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(30), "12s");
    let before = night.until("stepIntended", "aggiorna", 120);
    operator::scale(&stage.cluster, 0);

    let look_at = night.must_serve_by + SignedDuration::from_secs(5);
    wait(300, "five seconds after the deadline", || (Timestamp::now() > look_at).then_some(()));
    assert!(stage.doors.asked_since(night.must_serve_by) > 5, "somebody still knocks");
    let closed = stage.doors.closed_at(night.must_serve_by);
    let all: std::collections::BTreeSet<&str> = SERVICES.iter().map(|service| service.name).collect();
    assert_eq!(
        closed.iter().copied().collect::<std::collections::BTreeSet<_>>(),
        all,
        "the limit is as wide as it is said to be"
    );
    assert_eq!(night.ledger().unwrap().record_count, before.record_count, "nobody else acts for it");
    say(
        "KNOWN LIMIT: with the operator dead for good from the upgrade on, and no dead man's switch yet, these are closed when doors open:",
    );
    for service in &SERVICES {
        say(format!(
            "  {}{}",
            service.name,
            if service.depends { " (not closed by us: it cannot work without the others)" } else { "" }
        ));
    }

    operator::scale(&stage.cluster, 2);
    let ledger = night.until_settled();
    assert_eq!(ledger.outcome(), Some("ReopenedLate"), "late, and said so: {}", ledger.story());
    assert_eq!(stage.database.fingerprint(), stage.fingerprint, "restored byte for byte, late");
    stage.is_as_before(&night);
    say("brought back, late, by an operator that returned");
}
