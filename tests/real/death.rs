//! (d) The operator is dead for good: the sentinels bring back what was closed.

use jiff::{SignedDuration, Timestamp};

use super::audit::{Result, SENTINEL, TENANT};
use super::cluster::{Cluster, say, wait};
use super::night::Night;
use super::operator::{self, By};
use super::process;
use super::stage::Stage;
use super::tenant::SERVICES;

/// What a sentinel may need, in bytes.
const SENTINEL_MEMORY_MAX: u64 = 16 << 20;

/// The most memory that any sentinel has needed so far, in bytes.
fn memory_max(cluster: &Cluster) -> u64 {
    let pods = cluster.list("/api/v1/namespaces/centro-dati/pods?labelSelector=notturno.dev%2Frole%3Dsentinel");
    assert_eq!(pods.len(), 2, "the sentinels of this night alone");
    pods.iter().map(|pod| process::memory_max(process::of(pod).expect("a sentinel that runs"))).max().unwrap()
}

#[test]
fn with_the_operator_dead_for_good_during_the_upgrade_the_sentinels_restore_the_data_and_open_every_door_in_time() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(30), "12s");
    let before = night.until("stepIntended", "aggiorna", 120);
    operator::scale(&stage.cluster, 0);
    let dead = night.ledger().unwrap();

    let left = || night.must_serve_by.duration_since(Timestamp::now()).as_secs().unsigned_abs();
    wait(left(), "an end without the operator", || night.ledger()?.outcome().map(drop));
    let ended_at = Timestamp::now();
    let all_are_open = || (stage.doors.asked_since(ended_at) > 3 && stage.doors.all_open()).then_some(());
    wait(left(), "doors that are all open, to everybody who still knocks", all_are_open);
    assert!(Timestamp::now() <= night.must_serve_by, "in time");
    let memory_max = memory_max(&stage.cluster);
    say(format!("a sentinel has needed {} KiB of memory", memory_max >> 10));
    assert!((1 << 20..=SENTINEL_MEMORY_MAX).contains(&memory_max), "{memory_max} bytes");
    let ledger = night.ledger().unwrap();
    assert_eq!(before.events, ledger.events[..before.events.len()], "what was written stays written");
    assert!(ledger.at("takenOver", "2").unwrap() > dead.at("stepIntended", "aggiorna").unwrap(), "{}", ledger.story());
    let after = |write: &&super::audit::Write| write.at > ledger.at("takenOver", "2").unwrap() && write.result == Result::Stored;
    let of = |user: &str| stage.audit.writes().iter().filter(after).filter(|write| write.user == user).count();
    assert!(of(SENTINEL) >= SERVICES.iter().filter(|service| !service.depends).count(), "the sentinels did it");
    assert_eq!(of(TENANT), 0, "and nobody else");
    say(ledger.course(night.start_at));

    operator::scale(&stage.cluster, 2);
    let ledger = night.until_settled();
    stage.is_rolled_back(&night, &ledger);
}
