//! The Pods of Jobs: made from the template, with its labels, annotations and finalizers.
//!
//! In: a Job. Out: one new Pod that it controls.
//! Invariants: the Pod carries the tracking finalizer and a controller reference; its name is counted, not drawn.
//! Not here: when a Pod is wanted (`jobs`), what becomes of it (`pods`).

use serde_json::{Value, json};

use super::annotations;
use super::fields;
use super::jobs::TRACKING;
use super::world::{Key, World, uid};

/// Creates one Pod for `job`.
pub(super) fn create(world: &mut World, key: &Key, job: &Value) {
    let base: String = key.name.chars().take(58).collect();
    let name = format!("{}-{}", base.trim_end_matches('-'), world.next_suffix());
    let template = |field: &str| fields::at(job, &["spec", "template", "metadata", field]).cloned();
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": key.name, "uid": uid(job), "controller": true,
        "blockOwnerDeletion": true});
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "generateName": format!("{}-", key.name),
        "namespace": key.namespace, "uid": world.next_uid(), "creationTimestamp": world.stamp(), "generation": 1,
        "labels": template("labels"), "annotations": template("annotations"), "finalizers": template("finalizers"),
        "ownerReferences": [owner]}});
    fields::drop_nulls(&mut pod);
    play(world, &mut pod);
    fields::include(&mut pod, &["metadata", "finalizers"], TRACKING);
    let labels = [
        ("batch.kubernetes.io/controller-uid", uid(job)),
        ("batch.kubernetes.io/job-name", &key.name),
        ("controller-uid", uid(job)),
        ("job-name", &key.name),
    ];
    for (label, value) in labels {
        fields::set(&mut pod, &["metadata", "labels", label], value);
    }
    let spec = fields::at(job, &["spec", "template", "spec"]).cloned().unwrap_or_else(|| json!({}));
    fields::set(&mut pod, &["spec"], spec);
    fields::set(&mut pod, &["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    world.insert(&Key::new("", "pods", &key.namespace, &name), pod);
}

/// Gives a Pod with a script its own run of it.
fn play(world: &mut World, pod: &mut Value) {
    let script = annotations::text(pod, annotations::SCRIPT).to_owned();
    if script.is_empty() {
        return;
    }
    let run = world.scripts.entry(script).or_default();
    for name in [annotations::TAKES, annotations::ENDS] {
        let list = annotations::text(pod, name).to_owned();
        if !list.is_empty() {
            fields::set(pod, &["metadata", "annotations", name], annotations::of_run(&list, *run));
        }
    }
    *run += 1;
}
