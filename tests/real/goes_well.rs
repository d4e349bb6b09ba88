//! (a) All goes well: the engine is upgraded, services are open, and nobody wrote more than was allowed.

use jiff::{SignedDuration, Timestamp};

use super::allowance::{Course, compare};
use super::audit::Audit;
use super::cluster::{say, wait};
use super::night::Night;
use super::operator::By;
use super::stage::{Stage, served_state};

/// A minute before the night and a minute after it are the two idle ones.
const IDLE_FOR: SignedDuration = SignedDuration::from_secs(60);

#[test]
fn a_night_that_goes_well_upgrades_the_engine_and_opens_every_door_with_no_write_too_many() {
    let stage = Stage::set(By::Chart);
    let night = Night::declare(&stage.cluster, IDLE_FOR + SignedDuration::from_secs(45), "16s");
    night.until("armed", "", 12);
    // Until the sentinels stand, and the report of it is written.
    let armed_for = SignedDuration::from_secs(25);
    stays_silent(&stage, "an armed night", Timestamp::now() + armed_for);

    let ledger = night.until_settled();
    say(format!("{} records in the ledger", ledger.record_count));
    assert_eq!(ledger.outcome(), Some("Completed"), "{}", ledger.story());
    assert_eq!((stage.database.rows_of("v15"), stage.database.rows_of("v16")), (0, 400), "every row is upgraded");
    assert_ne!(stage.database.fingerprint(), stage.fingerprint);
    stage.opened_in_time(&night);
    stage.is_as_before(&night);
    assert!(served_state().contains("400 righe, v16"), "people see the new engine: {}", served_state());
    stage.nothing_ran_twice(&night, &["preflight", "istantanea", "aggiorna", "indici", "prova"]);

    let waves = vec![("armed", 1), ("work begun", 1), ("steps end", 7)];
    let (table, excess) = compare(&stage.audit.ours(), &Course { released: 5, waves, operators: 1 });
    table.iter().for_each(say);
    assert!(excess.is_empty(), "more writes than are allowed:\n{}", excess.join("\n"));
    let appends = stage.audit.ours().iter().filter(|write| write.appends()).count();
    assert_eq!(appends + 1, ledger.record_count, "one append a wave, none in vain; the first record came with the ledger");

    stays_silent(&stage, "a finished night", Timestamp::now());
}

/// Nothing of ours writes anything from `from` on, for a minute.
fn stays_silent(stage: &Stage, what: &str, from: Timestamp) {
    wait(10, "the beginning of an idle minute", || (Timestamp::now() >= from).then_some(()));
    let audit = Audit::from_now(&stage.cluster);
    wait(IDLE_FOR.as_secs().unsigned_abs() + 10, "an idle minute", || (Timestamp::now() >= from + IDLE_FOR).then_some(()));
    let writes = audit.ours();
    assert!(writes.is_empty(), "{what} wrote while nothing happened: {writes:#?}");
    say(format!("{what}: no write within {} s", IDLE_FOR.as_secs()));
}
