//! Targets that are deleted in mid-night: one is made anew from a dump, as backup programs do, one is gone until somebody notices.

use jiff::SignedDuration;
use serde_json::Value;

use super::cluster::{say, until};
use super::five::{Five, RESERVE};
use super::judged::{During, Excuse};

const AGAIN: &str = "/apis/apps/v1/namespaces/citta/deployments/pagamenti";
const GONE: &str = "/apis/apps/v1/namespaces/citta/deployments/prestiti";

/// The object as a dump keeps it.
fn dumped(mut object: Value) -> Value {
    for kept_by_the_server in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(kept_by_the_server);
    }
    object.as_object_mut().unwrap().remove("status");
    object
}

#[test]
fn a_target_made_anew_in_mid_night_is_opened_in_time_and_one_that_is_gone_holds_nobody_and_is_told_before_doors_open() {
    let mut day = Value::Null;
    let five = Five::declare(RESERVE, |cluster| day = dumped(cluster.get(GONE).unwrap()));
    five.until_placed();
    let closed = dumped(five.cluster.get(AGAIN).unwrap());
    assert_eq!(closed["spec"]["replicas"], 0, "it is closed");
    assert!(closed["metadata"]["annotations"]["notturno.dev/token"].is_string(), "a dump keeps the token too");
    five.cluster.delete(AGAIN);
    five.cluster.delete(GONE);
    five.cluster.apply(&closed.to_string());

    until(five.must_serve_by + SignedDuration::from_secs(2));
    assert_eq!(five.doors.closed_at(five.must_serve_by), ["prestiti"], "what is gone is closed, and nothing else");
    assert!(five.nights.iter().flat_map(|night| night.tenant.services).all(|service| five.doors.torn(service.name).is_none()));
    let night = five.night("biblioteca");
    let told = five.ledger(night).unwrap();
    let late = told.place("openingLate", "prestiti").expect("it is told");
    say(format!("told: {}", told.events[late].2));
    assert!(told.at("openingLate", "prestiti").unwrap() < five.must_serve_by, "before doors open");
    assert!(told.events[late].2.contains("not there"), "{}", told.events[late].2);
    assert_eq!(five.night("tributi").database.fingerprint(), five.night("tributi").fingerprint, "the data is as before");

    five.cluster.apply(&day.to_string());
    five.until_settled();
    assert_eq!(five.ledger(night).unwrap().outcome(), Some("ReopenedLate"));
    for night in five.nights.iter().filter(|night| night.tenant.name != "biblioteca") {
        assert_eq!(five.ledger(night).unwrap().outcome(), Some("RolledBack"), "{}", night.tenant.name);
    }
    assert!(five.doors.all_open(), "once it is there again it is open");
    let gone = Excuse {
        promise: "open before doors",
        about: "citta/prestiti is not open".to_owned(),
        during: During::Ever,
        why: "what was closed is not there any more: somebody deleted it",
    };
    five.keep_every_promise(&[("biblioteca", vec![gone])].into());
}
