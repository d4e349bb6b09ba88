//! What one night does, or fails at, hurts only itself.

use std::sync::Arc;
use std::time::Duration;

use notturno::embedded::{Fault, RequestInfo, Stage};
use serde_json::json;

use crate::world::{NIGHT, WORK, World};

#[tokio::test(start_paused = true)]
async fn an_intervention_that_cannot_be_decoded_is_refused_and_its_neighbour_is_armed() {
    let world = World::new(false);
    world.create(json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Intervention",
        "metadata": {"name": "guasta", "namespace": WORK}, "spec": {"runbook": {"no": "name"}, "startTime": 5}}));
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-09T18:45:00+01:00").await;
    assert_eq!(world.status("guasta")["outcome"], "Refused");
    assert!(world.status("guasta")["refusals"].as_array().is_some_and(|all| !all.is_empty()));
    assert_eq!(world.status(NIGHT)["phase"], "Armed");
}

#[tokio::test(start_paused = true)]
async fn a_night_that_makes_the_operator_panic_is_quarantined_and_its_neighbour_completes() {
    let world = World::new(false);
    world.declare(|_| {});
    let mut poison = world.intervention(NIGHT).unwrap();
    poison["metadata"] = json!({"name": "veleno", "namespace": "altrove"});
    poison["spec"]["runbook"] = json!("veleno");
    world.create(poison);
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, _: Stage| {
        assert!(request.namespace != "altrove" || request.resource != "runbooks", "poison");
        Fault::None
    })));
    let _operator = world.operator();
    world.until("2023-02-09T19:00:00+01:00").await;
    let poison = world.embedded.object("notturno.dev", "interventions", "altrove", "veleno").unwrap();
    assert_eq!(poison["status"]["needsHuman"], true);
    assert!(poison["status"]["why"].as_str().unwrap().contains("poison"), "{}", poison["status"]);
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    let told = world.embedded.objects().into_iter().filter(|one| one["kind"] == "Event" && one["reason"] == "OperatorFault").count();
    assert_eq!(told, 1, "once, however often it is tried");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_refuses_its_burn_holds_no_other_service() {
    let world = World::new(true);
    world.declare(|_| {});
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let bad = request.resource == "deployments" && request.name == "archivio-730" && request.user.contains("lavori");
        let hangs = bad && request.write_number.is_some_and(|number| number > 60) && stage == Stage::Before;
        if hangs { Fault::Hang } else { Fault::None }
    })));
    let _operator = world.operator();
    world.until("2023-02-10T06:00:00+01:00").await;
    let status = world.status(NIGHT);
    let state = |name: &str| {
        let all = status["services"].as_array().unwrap();
        all.iter().find(|one| one["name"] == format!("sanita/{name}")).unwrap()["state"].as_str().unwrap().to_owned()
    };
    for name in ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica", "portale-ts", "cup", "zerocode"] {
        assert_eq!(state(name), "Open", "{name}: {status}");
    }
    world.embedded.set_fault(None);
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(1)).await;
}
