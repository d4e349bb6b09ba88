//! (b) The upgrade hangs: the night goes back, and everything is as it was before doors open.

use jiff::{SignedDuration, Timestamp};

use super::allowance::{Course, compare};
use super::audit::{Result, TENANT};
use super::cluster::say;
use super::night::Night;
use super::operator::By;
use super::stage::{Stage, served_state};

#[test]
fn an_upgrade_that_hangs_and_hears_nothing_is_stopped_and_restored_byte_for_byte_before_doors_open() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(30), "12s");
    night.until("goingBack", "hardCap", 120);
    assert_eq!((stage.database.rows_of("v15"), stage.database.rows_of("v16")), (200, 200), "it hung half-way, in place");
    assert_eq!(stage.doors.closed_at(Timestamp::now()).len(), 7, "nobody can use anything meanwhile");

    let ledger = night.until_settled();
    stage.is_rolled_back(&night, &ledger);
    assert!(served_state().contains("400 righe, v15"), "people see the old engine: {}", served_state());
    pods_are_seen_gone_before_the_undo(&stage, &night);

    let waves = vec![
        ("armed", 1),
        ("work begun", 1),
        ("steps end", 4),
        ("budget gone", 1),
        ("going back", 1),
        ("stopped", 1),
        ("undo released, then done", 2),
        ("verification released, then done", 2),
    ];
    let (table, excess) = compare(&stage.audit.ours(), &Course { released: 5, waves, operators: 1 });
    table.iter().for_each(say);
    assert!(excess.is_empty(), "more writes than are allowed:\n{}", excess.join("\n"));
}

/// In the audit log: the stop, the end of the Pod, which our finalizer kept until it was recorded, then the undo.
fn pods_are_seen_gone_before_the_undo(stage: &Stage, night: &Night) {
    let writes = stage.audit.writes();
    let job = |what: &str| night.job(what);
    let at = |what: &str, found: &dyn Fn(&super::audit::Write) -> bool| {
        let write = writes.iter().find(|write| write.result == Result::Stored && found(write));
        write.unwrap_or_else(|| panic!("no {what} in the audit log")).at
    };
    let stopped = at("stop of the upgrade", &|write| {
        write.resource == "jobs"
            && write.name == job("aggiorna")
            && write.user == TENANT
            && write.body.to_string().contains("burned")
    });
    let deleted = at("deletion of the upgrade's Pod", &|write| {
        write.resource == "pods" && write.verb == "delete" && write.name.starts_with(&job("aggiorna-")) && write.at >= stopped
    });
    let let_go = at("release of the upgrade's Pod", &|write| {
        write.resource == "pods" && write.user == TENANT && write.name.starts_with(&job("aggiorna-"))
    });
    let undone = at("release of the undo", &|write| write.name == job("aggiorna-undo-1") && write.releases());
    assert!(stopped <= deleted && deleted < undone, "stopped {stopped}, deleted {deleted}, undo {undone}");
    assert!(let_go > deleted, "the Pod was kept until its end was recorded: deleted {deleted}, let go {let_go}");
    say(format!("stopped {stopped}, Pod deleted {deleted}, let go {let_go}, undo released {undone}"));
}

#[test]
fn an_upgrade_that_claims_success_when_it_is_stopped_is_not_believed() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("cortese");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(30), "12s");
    let ledger = night.until_settled();
    assert!(!ledger.has("stepDone", "aggiorna"), "PROTOCOL rule 14: {}", ledger.story());
    stage.is_rolled_back(&night, &ledger);
}
