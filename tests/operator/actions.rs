//! A night with every action in one runbook: forward, going back, and killed at every write.

use std::time::Duration;

use notturno::embedded::{Stage, annotations};
use serde_json::{Value, json};

use crate::killed::Killed;
use crate::world::{NIGHT, WORK, World};

/// What every step changes, besides what services close.
const CHANGED: [(&str, &str, &str, &str); 6] = [
    ("", "nodes", "", "nodo-1"),
    ("batch", "cronjobs", "sanita", "contatori"),
    ("apps", "deployments", "sanita", "motore"),
    ("", "configmaps", "sanita", "opzioni"),
    ("", "configmaps", "sanita", "limiti"),
    ("", "configmaps", "sanita", "nuova"),
];

fn in_sanita(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "namespace": "sanita", "name": name})
}

fn config(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "sanita"}, "data": data})
}

/// The data centre, with what more actions need.
fn world(upgrade_hangs: bool) -> World {
    let world = World::new(upgrade_hangs);
    world.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "nodo-1"}, "spec": {"podCIDR": "10.0.0.0/24"}}));
    world.create(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "contatori", "namespace": "sanita"},
        "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "c", "image": "registro.example/c:1"}]}}}}}}));
    world.create(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "motore", "namespace": "sanita", "annotations": {(annotations::READY_AFTER): "90s"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "motore"}}, "template": {
            "metadata": {"labels": {"app": "motore"}},
            "spec": {"containers": [{"name": "motore", "image": "registro.example/motore:1", "args": ["a"]}]}}}}));
    world.create(config("opzioni", &json!({"livello": "1", "altro": "x"})));
    world.create(config("limiti", &json!({"massimo": "10"})));
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            object["spec"]["steps"] = json!(steps());
        }
    });
    world
}

fn steps() -> Vec<Value> {
    let engine = || in_sanita("apps/v1", "Deployment", "motore");
    let append = |op: &str, path: &str, value: &str| json!({"op": op, "path": path, "value": value});
    let args = "/spec/template/spec/containers/0/args/-";
    let actions = [
        json!({"name": "annuncia", "notify": {"message": "si comincia"}}),
        json!({"name": "chiudi", "close": {"services": ["portale-ts", "ricetta-elettronica", "anagrafe-assistiti", "accesso-ts"]}}),
        json!({"name": "riserva", "cordon": {"node": "nodo-1"}}),
        json!({"name": "ferma-contatori", "suspend": {"target": in_sanita("batch/v1", "CronJob", "contatori")}}),
        json!({"name": "ingrandisci", "scale": {"target": engine(), "replicas": 4}}),
        json!({"name": "opzioni", "patch": {"target": in_sanita("v1", "ConfigMap", "opzioni"), "merge": {"data": {"livello": "2", "altro": null}}}}),
        json!({"name": "primo", "patch": {"target": engine(), "json": [append("add", args, "b")]}}),
        json!({"name": "secondo", "patch": {"target": engine(), "json": [append("test", "/spec/template/spec/containers/0/args/1", "b"), append("add", args, "b")]}}),
        json!({"name": "limiti", "apply": {"manifest": config("limiti", &json!({"massimo": "20", "minimo": "1"}))}}),
        json!({"name": "crea", "apply": {"manifest": config("nuova", &json!({"a": "b"}))}}),
        json!({"name": "riavvia", "restart": {"target": engine()}}),
        json!({"name": "aspetta", "wait": {"target": engine(), "until": "self.status.updatedReplicas == 4 && self.status.readyReplicas >= 4"}}),
        json!({"name": "chiedi", "http": {"url": "http://zerocode.sanita:8080/health", "consecutive": 3, "every": "5s"}}),
        json!({"name": "guarda", "hold": {"message": "si va avanti?", "onSilence": "Continue"}}),
        json!({"name": "aggiorna", "budget": "90m", "hardCap": "100m", "job": {"from": {"cronJob": "aggiorna"}},
            "undo": {"budget": "60m", "job": {"from": {"cronJob": "ripristina"}}}}),
    ];
    let mut steps: Vec<Value> = Vec::new();
    for mut step in actions {
        if step.get("budget").is_none() {
            step["budget"] = json!("5m");
        }
        if let Some(before) = steps.last() {
            step["needs"] = json!([before["name"]]);
        }
        steps.push(step);
    }
    steps
}

/// What a person would find, without what a restart leaves.
fn found(world: &World) -> Vec<Value> {
    let mut found = world.restored();
    for (group, plural, namespace, name) in CHANGED {
        let mut object = world.embedded.object(group, plural, namespace, name).unwrap_or_default();
        let template = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut);
        if let Some(metadata) = template {
            metadata.remove("annotations");
        }
        found.push(json!({"name": name, "spec": object["spec"], "data": object["data"], "annotations": object["metadata"]["annotations"]}));
    }
    found
}

async fn journal(world: &World) -> Vec<String> {
    world.ledger().await.entries.into_iter().map(|entry| format!("{} {}", entry.at, entry.why)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_night_with_every_action_goes_forward_and_leaves_what_it_was_asked_for() {
    let world = world(false);
    let _operator = world.operator();
    let outcome = world.outcome(NIGHT).await;
    assert_eq!(outcome, "Completed", "{:#?}", journal(&world).await);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let at = |group: &str, plural: &str, namespace: &str, name: &str, pointer: &str| {
        let object = world.embedded.object(group, plural, namespace, name).unwrap();
        object.pointer(pointer).cloned().unwrap_or_default()
    };
    assert_eq!(at("", "nodes", "", "nodo-1", "/spec/unschedulable"), true);
    assert_eq!(at("batch", "cronjobs", "sanita", "contatori", "/spec/suspend"), true);
    assert_eq!(at("apps", "deployments", "sanita", "motore", "/spec/replicas"), 4);
    assert_eq!(at("apps", "deployments", "sanita", "motore", "/spec/template/spec/containers/0/args"), json!(["a", "b", "b"]));
    assert_eq!(at("", "configmaps", "sanita", "opzioni", "/data"), json!({"livello": "2"}));
    assert_eq!(at("", "configmaps", "sanita", "limiti", "/data"), json!({"massimo": "20", "minimo": "1"}));
    assert_eq!(at("", "configmaps", "sanita", "nuova", "/data"), json!({"a": "b"}));
    for (group, plural, namespace, name) in CHANGED {
        let left = at(group, plural, namespace, name, "/metadata/annotations");
        let ours = |key: &&String| key.starts_with("notturno.dev/");
        assert_eq!(left.as_object().into_iter().flatten().map(|(key, _)| key).filter(ours).count(), 0, "{name}: {left}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_with_every_action_goes_back_and_everything_is_as_before() {
    let world = world(true);
    let before = found(&world);
    let _operator = world.operator();
    let outcome = world.outcome(NIGHT).await;
    assert_eq!(outcome, "RolledBack", "{:#?}", journal(&world).await);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(found(&world), before, "{:#?}", journal(&world).await);
    let story = journal(&world).await.join("\n");
    for step in ["riserva", "ferma-contatori", "ingrandisci", "opzioni", "primo", "secondo", "limiti", "crea", "aggiorna"] {
        assert!(story.contains(&format!("undo of {step}, attempt 1, is complete")), "{step}: {story}");
    }
}

/// One write in so many; from the given one on.
fn nights(stage: Stage, first: u64, every: u64) {
    let number = Killed { world: || world(true), operator: World::operator, found }.at_each_write(stage, first, every);
    assert!(number > 100, "the night has more writes than {number}");
}

#[test]
fn a_crash_before_a_write_of_a_night_with_every_action_changes_nothing_about_the_end() {
    nights(Stage::Before, 1, 5);
}

#[test]
fn a_crash_after_a_write_of_a_night_with_every_action_changes_nothing_about_the_end() {
    nights(Stage::After, 3, 5);
}

/// Minutes: each of the writes, where the two above take one in five. `cargo test --features bench --test operator every_action`.
#[cfg(feature = "bench")]
#[test]
fn a_crash_at_any_write_of_a_night_with_every_action_changes_nothing_about_the_end() {
    nights(Stage::Before, 1, 1);
    nights(Stage::After, 1, 1);
}

/// By day: what a runbook writes wrongly is refused with its field.
#[tokio::test(start_paused = true)]
async fn an_expression_that_does_not_compile_refuses_the_night_by_day() {
    let world = World::new(false);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            let target = in_sanita("apps/v1", "Deployment", "motore");
            object["spec"]["steps"][0] =
                json!({"name": "preflight", "budget": "30m", "wait": {"target": target, "until": "object.ready =="}});
        }
    });
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let status = world.intervention(NIGHT).unwrap()["status"].to_string();
    assert!(status.contains("spec.steps[0].wait.until") && status.contains("it is not CEL"), "{status}");
    assert!(world.embedded.object("batch", "jobs", WORK, "x").is_none());
}
