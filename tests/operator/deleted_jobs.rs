//! Somebody deletes Jobs of a night: before it begins, while a step waits, while it runs.

use kube::api::{DeleteParams, PropagationPolicy};
use notturno::engine::Event;
use serde_json::Value;

use crate::sentinel::found;
use crate::world::{NIGHT, WORK, World};

/// As `kubectl delete job` does.
async fn delete(world: &World, ends: &str) {
    let jobs: kube::Api<k8s_openapi::api::batch::v1::Job> = kube::Api::namespaced(world.embedded.client("anna"), WORK);
    let all = jobs.list(&kube::api::ListParams::default()).await.unwrap().items;
    let names: Vec<String> = all.into_iter().filter_map(|job| job.metadata.name).filter(|name| name.ends_with(ends)).collect();
    let [name] = names.as_slice() else { panic!("one ends with {ends}: {names:?}") };
    let wish = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    jobs.delete(name, &wish).await.unwrap();
}

async fn entries(world: &World) -> Vec<Event> {
    world.ledger().await.entries.into_iter().map(|entry| entry.event).collect()
}

async fn intended(world: &World) -> Vec<String> {
    let of = |event| if let Event::StepIntended { step, .. } = event { Some(step) } else { None };
    entries(world).await.into_iter().filter_map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn a_night_of_which_any_job_was_deleted_does_not_begin() {
    for ends in ["-aggiorna", "-aggiorna-undo-1", "-smoke"] {
        let world = World::new(false);
        world.declare(|_| {});
        let by_day = world.restored();
        let _operator = world.operator();
        world.until("2023-02-10T00:20:00+01:00").await;
        delete(&world, ends).await;
        assert_eq!(world.outcome(NIGHT).await, "Cancelled", "{ends}");
        assert_eq!(intended(&world).await, Vec::<String>::new(), "{ends}");
        let why: Value = world.status(NIGHT)["why"].clone();
        assert!(why.as_str().unwrap().contains("Cancelled"), "{why}");
        assert_eq!(found(&world, "").await, by_day, "{ends}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_of_which_any_job_was_deleted_does_not_begin_and_the_night_goes_back_clean() {
    for ends in ["-aggiorna", "-aggiorna-undo-1"] {
        let world = World::new(false);
        world.declare(|_| {});
        let by_day = world.restored();
        let _operator = world.operator();
        world.until("2023-02-10T00:31:00+01:00").await;
        delete(&world, ends).await;
        assert_eq!(world.outcome(NIGHT).await, "RolledBack", "{ends}");
        assert!(!intended(&world).await.contains(&"aggiorna".to_owned()), "{ends}");
        assert_eq!(found(&world, "").await, by_day, "{ends}");
    }
}

/// Its Pod is told to stop, and is seen to end.
#[tokio::test(start_paused = true)]
async fn a_step_whose_job_is_deleted_while_it_runs_is_undone_once_its_pod_was_seen_to_end() {
    let world = World::new(true);
    world.declare(|_| {});
    let by_day = world.restored();
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    assert!(intended(&world).await.contains(&"aggiorna".to_owned()));
    delete(&world, "-aggiorna").await;
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    let undone = |event: &Event| matches!(event, Event::UndoDone { step, .. } if step == "aggiorna");
    assert!(entries(&world).await.iter().any(undone));
    assert_eq!(found(&world, "").await, by_day);
}
