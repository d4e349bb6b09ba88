//! The sample night with steps that change objects, and what the engine does around them.

use notturno::engine::facts::ChangeFact;
use notturno::engine::{Command, Entry, Event};
use notturno::operator::effects::Switch;
use notturno::operator::effects::pod_security::Level;
use notturno::operator::effects::{ArmError, PerformError, arm};
use serde_json::{Value, json};

use crate::scene::*;

/// The step that is added to the sample night, and that changes one object.
pub const STEP: usize = 3;
pub const BURN: Command = Command::BurnChange { step: STEP };
pub const RESTORE: Command = Command::Restore { step: STEP };

pub fn change(step: usize) -> Command {
    Command::Change { step, not_after: at("2026-11-25T04:00:00Z") }
}

pub fn target(api_version: &str, kind: &str, name: &str) -> Value {
    let namespace = if kind == "Node" { "" } else { "sanita" };
    json!({"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name})
}

/// The sample night with more steps, each a change of an object.
pub fn with_steps(steps: &[(Value, Value)]) -> Scene {
    let mut scene = Scene::by_day();
    for (index, (target, change)) in steps.iter().enumerate() {
        let mut step = scene.plan.steps[2].clone();
        step.name = format!("passo-{index}");
        let closing = json!({"change": {"name": step.name, "target": target, "change": change}});
        step.action = serde_json::from_value(closing).unwrap();
        step.undo = serde_json::from_value(json!({"restore": {"budget": "10m0s"}})).unwrap();
        scene.plan.steps.push(step);
    }
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "nodo-1"}, "spec": {"taints": []}});
    scene.api.create(node).unwrap();
    let tool = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "opzioni", "namespace": "sanita"},
        "data": {"livello": "1", "altro": "x"}});
    scene.api.create(tool).unwrap();
    for (name, replicas) in [("motore", 2), ("coda", 1)] {
        scene.api.create(workload(name, replicas)).unwrap();
    }
    scene
}

pub fn workload(name: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "sanita",
            "annotations": {"embedded.notturno.dev/ready-after": "60s"}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "c:1", "args": ["a"]}]}}}})
}

pub async fn armed(steps: &[(Value, Value)]) -> Armed {
    let scene = with_steps(steps);
    scene.accept().await;
    let preimages = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
    Armed { scene, preimages }
}

pub async fn not_armed(scene: &Scene) -> Vec<String> {
    scene.accept().await;
    match arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await {
        Err(ArmError::Impossible { problems }) => problems,
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn seen(armed: &Armed, step: usize) -> ChangeFact {
    armed.observe().await.changes.remove(&step).unwrap()
}

/// What the engine does before a step: its pre-image as it is now is recorded.
pub async fn intend(armed: &mut Armed, step: usize) {
    let preimages = seen(armed, step).await.preimages;
    let name = armed.scene.plan.steps[step].name.clone();
    let entry = Entry {
        at: armed.scene.api.clock().now(),
        event: Event::StepIntended { step: name, dirty: Vec::new(), preimages },
        why: String::new(),
    };
    armed.preimages = armed.preimages.clone().as_intended(&[entry]);
}

pub fn turn(armed: &mut Armed) {
    let event = Event::GoingBack { cause: notturno::engine::journal::Cause::TurnBackMoment };
    let entry = Entry { at: armed.scene.api.clock().now(), event, why: String::new() };
    armed.preimages = armed.preimages.clone().as_intended(&[entry]);
}

pub fn refusal(result: Result<impl std::fmt::Debug, PerformError>) -> String {
    match result {
        Err(error @ PerformError::Refused { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

pub fn object(scene: &Scene, target: &Value) -> Value {
    let (group, plural) = match target["kind"].as_str().unwrap() {
        "Deployment" => ("apps", "deployments"),
        "CronJob" => ("batch", "cronjobs"),
        "Node" => ("", "nodes"),
        _ => ("", "configmaps"),
    };
    let [namespace, name] = ["namespace", "name"].map(|field| target[field].as_str().unwrap());
    scene.api.object(group, plural, namespace, name).map(written).unwrap_or_default()
}

pub fn options() -> Value {
    target("v1", "ConfigMap", "opzioni")
}

#[allow(clippy::needless_pass_by_value, reason = "written where it is called")]
pub fn manifest(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "sanita"}, "data": data})
}
