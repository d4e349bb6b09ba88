//! What people change between the arming and the moment at which it is closed: the last of it comes back, whoever gives it back.

use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::world::{NIGHT, World};

/// A night whose portal is scaled so by hand, armed and not begun.
async fn scaled(replicas: u32, hangs: bool) -> World {
    let world = World::new(hangs);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-09T23:00:00+01:00").await;
    assert_eq!(world.status(NIGHT)["phase"], "Armed");
    drop(operator);
    let api: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(world.embedded.client("another"), "sanita");
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch("portale-ts", &PatchParams::default(), &change).await.unwrap();
    world
}

fn replicas(world: &World) -> serde_json::Value {
    world.embedded.object("apps", "deployments", "sanita", "portale-ts").unwrap()["spec"]["replicas"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_after_the_arming_comes_back_as_it_last_was_also_from_an_operator_that_never_saw_it() {
    let world = scaled(5, true).await;
    let first = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    assert_eq!(replicas(&world), 0, "it is closed");
    drop(first);
    let _second = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    assert_eq!(replicas(&world), 5);
}

/// By its looks nobody can tell it from what the night closed itself, and what the night closed is no original.
#[tokio::test(start_paused = true)]
async fn what_looks_closed_when_its_turn_comes_comes_back_as_it_was_armed() {
    let world = scaled(0, false).await;
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert_eq!(replicas(&world), 2);
}
