//! What one night does, or fails at, hurts only itself.

use std::sync::Arc;
use std::time::Duration;

use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use serde_json::json;

use crate::processes;
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
    let told =
        world.embedded.objects().into_iter().filter(|one| one["kind"] == "Event" && one["reason"] == "OperatorFault").count();
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

#[tokio::test(start_paused = true)]
async fn a_tenant_that_may_not_watch_is_looked_after_all_the_same() {
    let world = World::new(false);
    world.declare(|_| {});
    let (clock, long) = (world.clock, crate::world::at("2023-02-10T01:30:00+01:00"));
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, _: Stage| {
        let watches = request.verb == Verb::Watch && request.user.contains("lavori") && clock.now() < long;
        if watches { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    })));
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_gives_no_token_is_told_so_and_accepted_once_it_does() {
    let world = World::new(false);
    world.declare(|_| {});
    let refused = |request: &RequestInfo, _: Stage| match request.subresource.as_str() {
        "token" => Fault::Status(403, "Forbidden".into()),
        _ => Fault::None,
    };
    world.embedded.set_fault(Some(Arc::new(refused)));
    let _operator = world.operator();
    world.until("2023-02-09T19:30:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!(status["phase"], "Pending");
    assert!(status["why"].as_str().unwrap().contains("no token for ServiceAccount centro-dati/lavori-notturni"), "{status}");
    world.embedded.set_fault(None);
    world.until("2023-02-09T19:36:00+01:00").await;
    assert_eq!(world.status(NIGHT)["phase"], "Armed");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_out_of_reach_stops_the_work_and_takes_rights_back_without_it() {
    let world = World::new(true);
    world.declare(|_| {});
    let clock = world.clock;
    let out = crate::world::at("2023-02-10T03:45:00+01:00")..crate::world::at("2023-02-10T04:20:00+01:00");
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let ledger = request.resource == "configmaps" && stage == Stage::Before && out.contains(&clock.now());
        if ledger { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    })));
    let _operator = world.operator();
    world.until("2023-02-10T04:10:00+01:00").await;
    let stopped = world.embedded.objects().into_iter().filter(|one| one["kind"] == "Job").find(|job| {
        let name = job["metadata"]["name"].as_str().unwrap();
        name.ends_with("-aggiorna")
    });
    assert_eq!(stopped.unwrap()["spec"]["suspend"], true, "stopped at 04:00 though nothing could be recorded");
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    assert_eq!(world.ledger().await.broken, None);
}

/// Thousands of operators are played in one process, each in a runtime of its own.
#[test]
fn an_operator_that_is_gone_leaves_nothing_in_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let tokens = runtime.block_on(async {
        let world = World::new(false);
        world.declare(|_| {});
        let client_for_token = processes::directly(&world.embedded);
        let tokens = Arc::downgrade(&client_for_token);
        let _operator = world.operator_with(client_for_token);
        world.until("2023-02-10T00:40:00+01:00").await;
        assert!(tokens.upgrade().is_some(), "it acts for a tenant");
        tokens
    });
    drop(runtime);
    assert!(tokens.upgrade().is_none(), "what gives tokens is kept by itself");
}
