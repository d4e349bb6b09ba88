//! Nights as kstatus reads them: what Flux, kapp, Helm and `kubectl wait` make of the conditions.
//!
//! The rules are those that sigs.k8s.io/cli-utils publishes for kinds that it does not know (pkg/kstatus: generic.go, status.go), written
//! here anew: a deletion first, then an unseen generation, then the first true one of Reconciling and Stalled in the order of the list, then
//! Ready; without any of these an object counts as current.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use notturno::api::conditions::{Standing, conditions};
use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use notturno::model::phase::{Outcome, Phase};
use serde_json::{Value, json};

use crate::world::{NIGHT, WORK, World, at};

fn kstatus(object: &Value) -> &'static str {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating";
    }
    let seen = &object["status"]["observedGeneration"];
    if !seen.is_null() && *seen != object["metadata"]["generation"] {
        return "InProgress";
    }
    let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for condition in &all {
        match (condition["type"].as_str(), condition["status"].as_str()) {
            (Some("Reconciling"), Some("True")) => return "InProgress",
            (Some("Stalled"), Some("True")) => return "Failed",
            _ => {}
        }
    }
    let ready = all.iter().find(|condition| condition["type"] == "Ready");
    match ready.map(|condition| condition["status"].as_str()) {
        Some(Some("False" | "Unknown")) => "InProgress",
        Some(_) | None => "Current",
    }
}

/// What `kubectl wait --for=condition=KIND` waits for.
fn is(object: &Value, kind: &str) -> bool {
    let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// An Intervention with the conditions of this standing.
fn object(phase: Phase, outcome: Option<Outcome>, needs_human: bool) -> Value {
    let standing = Standing { phase, outcome, needs_human, why: "because" };
    let conditions = conditions(standing, 3, at("2023-02-10T00:30:00Z"), &[]);
    json!({"metadata": {"generation": 3}, "status": {"observedGeneration": 3, "conditions": conditions}})
}

#[test]
fn every_phase_and_every_outcome_has_the_conditions_of_the_design() {
    let row = |phase, outcome, human| {
        let object = object(phase, outcome, human);
        let all = object["status"]["conditions"].as_array().unwrap();
        assert!(all.iter().all(|condition| condition["observedGeneration"] == 3 && condition["message"] == "because"));
        let statuses = ["Ready", "Reconciling", "Stalled", "Complete", "Failed"].map(|kind| {
            let found: Vec<_> = all.iter().filter(|condition| condition["type"] == kind).collect();
            assert_eq!(found.len(), 1, "{kind} once");
            found[0]["status"].as_str().unwrap().to_owned()
        });
        (statuses.join(" "), kstatus(&object))
    };
    for (phase, kstatus) in [
        (Phase::Pending, "Current"),
        (Phase::Armed, "Current"),
        (Phase::Working, "InProgress"),
        (Phase::TurningBack, "InProgress"),
        (Phase::Reopening, "InProgress"),
        (Phase::Verifying, "InProgress"),
    ] {
        let before = matches!(phase, Phase::Pending | Phase::Armed);
        let expected = if before { "True False False False False" } else { "Unknown True False False False" };
        assert_eq!(row(phase, None, false), (expected.to_owned(), kstatus), "{phase}");
    }
    let over = |outcome| row(Phase::Finished, Some(outcome), false);
    assert_eq!(over(Outcome::Completed), ("True False False True False".into(), "Current"));
    assert_eq!(over(Outcome::Cancelled), ("True False False True False".into(), "Current"));
    assert_eq!(over(Outcome::Refused), ("False False True False True".into(), "Failed"));
    // kstatus has no word for "ended otherwise": without Stalled, which here means that a person is needed, it goes on waiting.
    // manifests/flux.yaml tells Flux that Failed is final.
    assert_eq!(over(Outcome::RolledBack), ("False False False False True".into(), "InProgress"));
    assert_eq!(over(Outcome::ReopenedLate), ("False False False False True".into(), "InProgress"));
    // Whoever needs a person is Stalled; while the night still goes on by itself it is in progress all the same.
    assert_eq!(row(Phase::Reopening, None, true), ("Unknown True True False False".into(), "InProgress"));
    assert_eq!(row(Phase::Finished, Some(Outcome::ReopenedLate), true), ("False False True False True".into(), "Failed"));
    assert_eq!(row(Phase::Finished, Some(Outcome::Completed), true).1, "Failed");
}

#[test]
fn a_night_that_nobody_has_looked_at_yet_is_not_taken_for_ready() {
    let crds = notturno::api::manifests::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == "Intervention").unwrap();
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
    let status = &schema["openAPIV3Schema"]["properties"]["status"]["default"];
    assert_eq!(kstatus(&json!({"metadata": {"generation": 1}, "status": status})), "InProgress");
    assert_eq!(kstatus(&json!({"metadata": {"generation": 1}})), "Current", "which is why there is a default");
}

#[test]
fn a_condition_keeps_its_moment_until_its_status_changes() {
    let (early, late) = (at("2023-02-09T18:30:00Z"), at("2023-02-10T00:30:00Z"));
    let standing = |phase| Standing { phase, outcome: None, needs_human: false, why: "because" };
    let armed = conditions(standing(Phase::Armed), 1, early, &[]);
    let working = conditions(standing(Phase::Working), 1, late, &armed);
    let moments: Vec<(String, bool)> =
        working.iter().map(|one| (one.type_.clone(), one.last_transition_time.0 == late)).collect();
    let expected = [("Ready", true), ("Reconciling", true), ("Stalled", false), ("Complete", false), ("Failed", false)];
    assert_eq!(moments, expected.map(|(kind, moved)| (kind.to_owned(), moved)));
    let text = serde_json::to_value(&working[0]).unwrap()["lastTransitionTime"].clone();
    assert_eq!(text, "2023-02-10T00:30:00Z", "whole seconds, as metav1.Time");
}

/// What kstatus says in each phase, and at the end by outcome.
async fn played(world: &World) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut seen: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for _ in 0..4000 {
        let night = world.intervention(NIGHT).expect("the night");
        let status = &night["status"];
        let stands = status["outcome"].as_str().or(status["phase"].as_str()).unwrap_or("Unseen");
        seen.entry(stands.to_owned()).or_default().insert(kstatus(&night));
        assert_eq!(is(&night, "Complete"), ["Completed", "Cancelled"].contains(&stands), "{status}");
        assert_eq!(is(&night, "Failed"), ["RolledBack", "ReopenedLate", "Refused"].contains(&stands), "{status}");
        if status["outcome"].is_string() {
            return seen;
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    panic!("no outcome: {}", world.status(NIGHT));
}

fn expected(pairs: &[(&str, &'static str)]) -> BTreeMap<String, BTreeSet<&'static str>> {
    pairs.iter().map(|(stands, verdict)| ((*stands).to_owned(), BTreeSet::from([*verdict]))).collect()
}

const WAY_BACK: [(&str, &str); 5] = [
    ("Armed", "Current"),
    ("Working", "InProgress"),
    ("TurningBack", "InProgress"),
    ("Reopening", "InProgress"),
    ("Verifying", "InProgress"),
];

fn without_the_first(mut seen: BTreeMap<String, BTreeSet<&'static str>>) -> BTreeMap<String, BTreeSet<&'static str>> {
    seen.retain(|stands, _| !["Unseen", "Pending"].contains(&stands.as_str()));
    seen
}

#[tokio::test(start_paused = true)]
async fn nights_of_every_end_are_read_as_they_are() {
    let world = World::new(false);
    world.declare(|_| {});
    let operator = world.operator();
    let mut completed: Vec<(&str, &str)> = WAY_BACK.iter().copied().filter(|(phase, _)| *phase != "TurningBack").collect();
    completed.push(("Completed", "Current"));
    assert_eq!(without_the_first(played(&world).await), expected(&completed));
    drop(operator);

    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    let mut back = WAY_BACK.to_vec();
    back.push(("RolledBack", "InProgress"));
    assert_eq!(without_the_first(played(&world).await), expected(&back));
}

#[tokio::test(start_paused = true)]
async fn a_refused_night_is_failed_and_a_cancelled_one_is_done() {
    let world = World::new(false);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            object["spec"]["reserve"] = json!("200m");
        }
    });
    let operator = world.operator();
    assert_eq!(played(&world).await["Refused"], BTreeSet::from(["Failed"]));
    drop(operator);

    let world = World::new(false);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-09T19:00:00+01:00").await;
    drop(operator);
    world.until("2023-02-10T01:10:00+01:00").await;
    let _operator = world.operator();
    assert_eq!(played(&world).await["Cancelled"], BTreeSet::from(["Current"]));
}

#[tokio::test(start_paused = true)]
async fn a_night_that_is_deleted_is_terminating_until_its_services_are_settled() {
    let world = World::new(false);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let kind = kube::api::ApiResource::erase::<notturno::api::Intervention>(&());
    let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(world.embedded.client("anna"), WORK, &kind);
    api.delete(NIGHT, &kube::api::DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kstatus(&world.intervention(NIGHT).unwrap()), "Terminating");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_shut_calls_a_person_and_the_night_is_late() {
    let world = World::new(true);
    world.declare(|_| {});
    world.embedded.set_fault(Some(refused_until(&world, "2023-02-10T07:10:00+01:00")));
    let _operator = world.operator();
    world.until("2023-02-10T06:30:00+01:00").await;
    let night = world.intervention(NIGHT).unwrap();
    assert!(is(&night, "Stalled") && is(&night, "Reconciling"), "{}", night["status"]["conditions"]);
    let seen = played(&world).await;
    assert_eq!(seen["ReopenedLate"], BTreeSet::from(["InProgress"]), "open at last, so nobody is needed any more");
}

/// From 04:00 on no Deployment can be changed until `moment`.
pub fn refused_until(world: &World, moment: &str) -> notturno::embedded::FaultFn {
    let (clock, from, until) = (world.clock, at("2023-02-10T04:00:00+01:00"), at(moment));
    Arc::new(move |request: &RequestInfo, stage| {
        let changes = request.resource == "deployments" && request.verb == Verb::Patch && stage == Stage::Before;
        if changes && (from..until).contains(&clock.now()) {
            Fault::Status(503, "ServiceUnavailable".to_owned())
        } else {
            Fault::None
        }
    })
}
