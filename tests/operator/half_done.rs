//! The upgrade hangs and so does its undo: services open as they declared, and killed at every write the operator ends the same.

use std::time::Duration;

use notturno::embedded::{Stage, annotations};
use notturno::engine::Event;
use serde_json::{Value, json};

use crate::killed::Killed;
use crate::world::{NIGHT, World};

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
}

/// One opens as it is, one with its Pods marked, one with fewer replicas: the very field that its closing changed.
fn declared(object: &mut Value) {
    let read_only = json!({"spec": {"template": {"metadata": {"labels": {"scrittura": "no"}}}}});
    let counter = json!([{"op": "add", "path": "/data/avviso", "value": "sola lettura"}]);
    let spec = match object["metadata"]["name"].as_str() {
        Some("anagrafe-assistiti") => json!({"whenDirty": "Open", "whenDirtyReason": "meglio di niente"}),
        Some("accesso-ts") => json!({"whenDirty": "OpenDegraded", "degraded": [
            {"name": "sola-lettura", "patch": {"target": deployment("accesso-ts"), "merge": read_only}},
            {"name": "avviso", "patch": {"target": {"apiVersion": "v1", "kind": "ConfigMap", "name": "avvisi"}, "json": counter}}]}),
        Some("ricetta-elettronica") => json!({"whenDirty": "OpenDegraded", "degraded": [
            {"name": "una-sola", "scale": {"target": deployment("ricetta-elettronica"), "replicas": 1}}]}),
        _ => return,
    };
    if object["kind"] == "PublicService" {
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
    }
}

fn world_with(change: impl Fn(&mut Value)) -> World {
    let world = World::new(true);
    world.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "avvisi", "namespace": "sanita"},
        "data": {"altro": "x"}}));
    let mut hangs = world.embedded.object("batch", "cronjobs", "centro-dati", "ripristina").unwrap();
    hangs["metadata"] = json!({"name": "ripristina-senza-fine", "namespace": "centro-dati"});
    hangs["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"][annotations::ENDS] = json!("Hangs");
    world.create(hangs);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            let steps = object["spec"]["steps"].as_array_mut().unwrap();
            let upgrade = steps.iter_mut().find(|step| step["name"] == "aggiorna").unwrap();
            upgrade["undo"]["job"]["from"]["cronJob"] = json!("ripristina-senza-fine");
        }
        change(object);
    });
    world
}

fn world() -> World {
    world_with(declared)
}

fn read(world: &World, group: &str, plural: &str, name: &str, pointer: &str) -> Value {
    let object = world.embedded.object(group, plural, "sanita", name).unwrap();
    object.pointer(pointer).cloned().unwrap_or_default()
}

/// What a person finds; after the night, with what was declared taken away again.
fn found(world: &World) -> Vec<Value> {
    let over = !world.status(NIGHT)["outcome"].is_null();
    let mut found = world.restored();
    if over {
        let marked = "/spec/template/metadata/labels/scrittura";
        assert_eq!(read(world, "apps", "deployments", "accesso-ts", marked), "no");
        assert_eq!(read(world, "apps", "deployments", "ricetta-elettronica", "/spec/replicas"), 1);
        assert_eq!(read(world, "", "configmaps", "avvisi", "/data"), json!({"altro": "x", "avviso": "sola lettura"}));
        assert_eq!(read(world, "", "configmaps", "avvisi", "/metadata/annotations"), Value::Null);
    }
    for object in &mut found {
        let template = object.pointer_mut("/spec/template/metadata/labels").and_then(Value::as_object_mut);
        if let Some(labels) = template.filter(|_| over) {
            labels.remove("scrittura");
        }
        if object["name"] == "ricetta-elettronica" && object["spec"]["replicas"] == 1 && over {
            object["spec"]["replicas"] = json!(2);
        }
    }
    found
}

async fn story(world: &World) -> String {
    world.ledger().await.entries.into_iter().map(|entry| format!("{} {}\n", entry.at, entry.why)).collect()
}

#[tokio::test(start_paused = true)]
async fn services_open_on_half_done_work_as_they_declared_and_nothing_works_beneath_people() {
    let world = world();
    let before = found(&world);
    let operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack", "{}", story(&world).await);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(found(&world), before);
    let entries = world.ledger().await.entries;
    let at =
        |is: &dyn Fn(&Event) -> bool| entries.iter().find(|entry| is(&entry.event)).unwrap_or_else(|| panic!("{entries:#?}")).at;
    let expired = at(&|event| matches!(event, Event::UndosExpired { .. }));
    let opening =
        at(&|event| matches!(event, Event::Opening { services } if services.iter().any(|one| one.name == "accesso-ts")));
    // The undo needs twenty seconds to stop, and is seen to.
    let gap = opening.duration_since(expired).as_secs();
    assert!((20..40).contains(&gap), "{gap}: {}", story(&world).await);
    let late = entries.iter().filter(|entry| matches!(entry.event, Event::DeadlineMissed { .. })).count();
    assert_eq!(late, 0, "{}", story(&world).await);
    let status = world.status(NIGHT);
    assert_eq!((&status["needsHuman"], &status["phase"]), (&json!(true), &json!("Finished")));
    let state = |name: &str| {
        let all = status["services"].as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == format!("sanita/{name}")).unwrap();
        (one["state"].as_str().unwrap().to_owned(), one["because"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(state("anagrafe-assistiti").0, "OpenDirty");
    let (word, because) = state("accesso-ts");
    assert_eq!(word, "OpenDegraded");
    for part in ["through aggiorna", "take away by hand: sola-lettura (Deployment sanita/accesso-ts), avviso", "; call "] {
        assert!(because.contains(part), "{part}: {because}");
    }
    assert!(operator.context.metrics.text(world.clock.now()).unwrap().contains(r#"kind="degrade",result="ok"} 2"#));
    let runs = |one: &Value| one["kind"] == "Pod" && one["status"]["phase"] == "Running";
    assert!(!world.embedded.objects().iter().any(runs), "nothing runs any more");
}

#[tokio::test(start_paused = true)]
async fn beside_them_what_declared_nothing_stays_closed_and_numbers_say_so() {
    let world = world_with(|object| {
        if object["metadata"]["name"] != "anagrafe-assistiti" {
            declared(object);
        }
    });
    let operator = world.operator();
    world.until("2023-02-10T07:30:00+01:00").await;
    let status = world.status(NIGHT);
    let all = status["services"].as_array().unwrap();
    let state = |name: &str| all.iter().find(|one| one["name"] == format!("sanita/{name}")).unwrap()["state"].clone();
    assert_eq!(state("anagrafe-assistiti"), "Dirty", "{}", story(&world).await);
    assert_eq!(state("accesso-ts"), "OpenDegraded");
    assert_eq!(read(&world, "apps", "deployments", "anagrafe-assistiti", "/spec/replicas"), 0);
    let numbers = operator.context.metrics.text(world.clock.now()).unwrap();
    for row in [r#"half_done_services{state="closed"} 1"#, r#"half_done_services{state="degraded"} 2"#] {
        assert!(numbers.contains(row), "{row}: {numbers}");
    }
}

fn nights(stage: Stage, first: u64, every: u64) {
    let number = Killed { world, operator: World::operator, found }.at_each_write(stage, first, every);
    assert!(number > 60, "the night has more writes than {number}");
}

#[test]
fn a_crash_before_a_write_of_a_night_that_opens_dirty_changes_nothing_about_the_end() {
    nights(Stage::Before, 1, 5);
}

#[test]
fn a_crash_after_a_write_of_a_night_that_opens_dirty_changes_nothing_about_the_end() {
    nights(Stage::After, 3, 5);
}

/// Minutes: each of the writes, where the two above take one in five. `cargo test --features bench --test operator opens_dirty`.
#[cfg(feature = "bench")]
#[test]
fn a_crash_at_any_write_of_a_night_that_opens_dirty_changes_nothing_about_the_end() {
    nights(Stage::Before, 1, 1);
    nights(Stage::After, 1, 1);
}
