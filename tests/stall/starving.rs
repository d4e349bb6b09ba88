//! The way back does not wait for the way forward.

use std::time::Duration;

use tokio::time::Instant;

use crate::front::{Asked, Deed};
use crate::world::{HANGS, NIGHT, QUICK, World};

const AT_ONCE: Duration = Duration::from_secs(1);

/// A token is taken from the night's upgrade.
fn job_burn(asked: &Asked) -> bool {
    asked.is("PATCH", "/jobs/notte-") && asked.path.ends_with("-aggiorna") && asked.body.contains(".expired")
}

/// A token is taken from a target, and nothing else is changed.
fn target_burn(asked: &Asked) -> bool {
    asked.is("PATCH", "/deployments/") && asked.body.contains(".reopen") && !asked.body.contains("/spec/replicas")
}

async fn burns(world: &World, since: Instant) {
    let job = world.front.until("the burn of the Job", job_burn).await;
    let target = world.front.until("the burn of a target", target_burn).await;
    let took = [job, target].map(|burn| burn.at.duration_since(since));
    assert!(took.iter().all(|took| Duration::ZERO < *took && *took < AT_ONCE), "{took:?}");
}

/// Forty nights of the same tenant, each with calls that are never answered.
fn crowd(world: &World) {
    world.service("cup");
    world.runbook("folla", "lavori-notturni", &["cup"]);
    for n in 0..40 {
        world.declare(&format!("folla-{n}"), "folla", 3600);
    }
}

fn of_the_crowd(asked: &Asked) -> bool {
    asked.path.contains("folla") || asked.body.contains("folla")
}

#[tokio::test]
async fn a_night_turns_back_at_once_while_the_forward_calls_of_forty_others_hang() {
    let world = World::new(HANGS).await;
    world.night();
    let operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    world.front.rule(|asked| if of_the_crowd(asked) { Deed::Swallow } else { Deed::Pass });
    crowd(&world);
    world.until("calls that hang", |world| world.front.count(of_the_crowd) >= 40).await;
    let since = world.turn_back(&operator, NIGHT);
    burns(&world, since).await;
}

#[tokio::test]
async fn a_night_turns_back_at_once_after_a_restart_though_forty_introductions_hang() {
    let world = World::new(HANGS).await;
    world.night();
    let operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    drop(operator);
    world.front.rule(|asked| if of_the_crowd(asked) { Deed::Swallow } else { Deed::Pass });
    crowd(&world);
    let operator = world.operator();
    let since = world.turn_back(&operator, NIGHT);
    burns(&world, since).await;
}

#[tokio::test]
async fn a_night_whose_own_closings_hang_turns_back_at_once() {
    let world = World::new(QUICK).await;
    let closing = |asked: &Asked| {
        let closes = asked.is("PATCH", "/deployments/") && asked.body.contains("/spec/replicas");
        closes && asked.body.contains(".forward") && !asked.query.contains("dryRun")
    };
    world.front.rule(move |asked| if closing(asked) { Deed::Swallow } else { Deed::Pass });
    world.night();
    let operator = world.operator();
    world.front.until("a closing", closing).await;
    let since = world.turn_back(&operator, NIGHT);
    let burn = world.front.until("the burn of a target", target_burn).await;
    assert!(burn.at > since && burn.at < since + AT_ONCE, "{:?}", burn.at.duration_since(since));
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}

#[tokio::test]
async fn a_night_whose_looks_hang_turns_back_after_a_head_start() {
    let world = World::new(HANGS).await;
    world.night();
    let operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    let list = |asked: &Asked| asked.is("GET", "/jobs") && asked.path.ends_with("/jobs") && !asked.is_watch();
    world.front.rule(move |asked| if list(asked) { Deed::Swallow } else { Deed::Pass });
    let since = world.turn_back(&operator, NIGHT);
    // The Job is burned once it is seen: which Jobs there are to burn is the engine's matter.
    let burn = world.front.until("the burn of a target", target_burn).await;
    let took = burn.at.duration_since(since);
    assert!(took < 2 * AT_ONCE, "{took:?}");
    world.front.calm();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}

#[tokio::test]
async fn ten_burns_that_hang_hold_neither_the_other_burns_nor_the_undo() {
    let world = World::new(HANGS).await;
    let names: Vec<String> = (0..12).map(|n| format!("servizio-{n:02}")).collect();
    for name in &names {
        world.service(name);
    }
    world.runbook("molti", "lavori-notturni", &names.iter().map(String::as_str).collect::<Vec<_>>());
    world.declare(NIGHT, "molti", 1);
    let operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    world.front.rule(|asked| {
        let hangs = target_burn(asked) && asked.path.contains("/servizio-0");
        if hangs { Deed::Swallow } else { Deed::Pass }
    });
    let since = world.turn_back(&operator, NIGHT);
    for name in ["servizio-10", "servizio-11"] {
        let burn = world.front.until(name, |asked| target_burn(asked) && asked.path.contains(name)).await;
        assert!(burn.at < since + AT_ONCE, "{name}: {:?}", burn.at.duration_since(since));
    }
    world.front.until("the burn of the Job", job_burn).await;
}

#[tokio::test]
async fn a_status_that_hangs_delays_no_undo() {
    let world = World::new(HANGS).await;
    world.night();
    let operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    world.front.rule(|asked| if asked.is("PATCH", "/status") { Deed::Swallow } else { Deed::Pass });
    let since = world.turn_back(&operator, NIGHT);
    let undo = |asked: &Asked| asked.is("PATCH", "-undo-1") && asked.body.contains(r#""path":"/spec/suspend","value":false"#);
    let undo = world.front.until("the release of the undo", undo).await;
    assert!(undo.at < since + 2 * AT_ONCE, "{:?}", undo.at.duration_since(since));
}
