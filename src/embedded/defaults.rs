//! What the API server adds to an object when it is created, and what it never stores.
//!
//! In: an object as sent. Out: the object as stored.
//! Invariants: only fields a night can see are defaulted (pre-images are captured from stored objects); a map left
//! empty is absent, so that removing the last annotation removes `annotations`.
//! Not here: the full defaulting of Kubernetes (ports, probes, strategies, security contexts).

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use super::fields;
use super::kinds::ResourceKind;
use super::world::uid;

/// Adds what the API server adds at creation; the uid is set already.
pub(super) fn complete(kind: &ResourceKind, object: &mut Value) {
    if kind.status_subresource {
        fields::unset(object, &["status"]);
    }
    fill(kind, object);
    let status = match (kind.group.as_str(), kind.plural.as_str()) {
        ("apps", "deployments") | ("batch", "cronjobs") => json!({}),
        ("batch", "jobs") => {
            name_job(object);
            json!({})
        }
        ("", "pods") => json!({"phase": "Pending", "qosClass": "BestEffort"}),
        ("", "namespaces") => json!({"phase": "Active"}),
        _ => return,
    };
    fields::set(object, &["status"], status);
}

/// Adds what the API server adds whenever it decodes an object.
pub(super) fn fill(kind: &ResourceKind, object: &mut Value) {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("apps", "deployments") => {
            otherwise(object, &["spec", "replicas"], json!(1));
            for of in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"] {
                unset_zero(object, &["status", of]);
            }
        }
        ("batch", "jobs") => {
            job(object);
            for of in ["active", "succeeded", "failed"] {
                unset_zero(object, &["status", of]);
            }
        }
        ("batch", "cronjobs") => {
            otherwise(object, &["spec", "concurrencyPolicy"], json!("Allow"));
            otherwise(object, &["spec", "suspend"], json!(false));
            otherwise(object, &["spec", "successfulJobsHistoryLimit"], json!(3));
            otherwise(object, &["spec", "failedJobsHistoryLimit"], json!(1));
        }
        ("", "services") => otherwise(object, &["status", "loadBalancer"], json!({})),
        ("", "pods") => {
            otherwise(object, &["spec", "restartPolicy"], json!("Always"));
            otherwise(object, &["spec", "terminationGracePeriodSeconds"], json!(30));
        }
        ("coordination.k8s.io", "leases") => otherwise(object, &["spec"], json!({})),
        ("", "secrets") => {
            encode(object);
            otherwise(object, &["type"], json!("Opaque"));
        }
        _ => {}
    }
}

/// Such a count is not written when there is nothing to count.
fn unset_zero(object: &mut Value, path: &[&str]) {
    if fields::int(object, path, 1) == 0 {
        fields::unset(object, path);
    }
}

/// `stringData` is only for writing: it is stored as `data`.
fn encode(secret: &mut Value) {
    for (key, text) in fields::strings(secret, &["stringData"]) {
        let encoded = serde_json::to_value(ByteString(text.into_bytes())).unwrap_or_default();
        fields::set(secret, &["data", &key], encoded);
    }
    fields::unset(secret, &["stringData"]);
}

fn job(object: &mut Value) {
    let unset = |object: &Value, field| fields::at(object, &["spec", field]).is_none();
    if unset(object, "completions") && unset(object, "parallelism") {
        fields::set(object, &["spec", "completions"], 1);
    }
    for (field, value) in [
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
        ("manualSelector", json!(false)),
    ] {
        otherwise(object, &["spec", field], value);
    }
    otherwise(object, &["spec", "template", "spec", "terminationGracePeriodSeconds"], json!(30));
    if fields::object(object, &["metadata", "labels"]).is_none_or(Map::is_empty) {
        let of_template = fields::at(object, &["spec", "template", "metadata", "labels"]).cloned().unwrap_or_default();
        fields::set(object, &["metadata", "labels"], of_template);
    }
}

/// Has a Job's Pods be known by it.
fn name_job(object: &mut Value) {
    let (name, uid) = (fields::text(object, &["metadata", "name"]).to_owned(), uid(object).to_owned());
    let labels = ["spec", "template", "metadata", "labels"];
    let same = fields::at(object, &labels) == fields::at(object, &["metadata", "labels"])
        && fields::text(object, &["metadata", "generateName"]).is_empty();
    for (label, value) in [
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
    ] {
        let path: Vec<&str> = labels.into_iter().chain([label]).collect();
        otherwise(object, &path, json!(value));
    }
    // They were one map in the API server's memory, unless it made a copy while it looked for a name.
    if same {
        let of_template = fields::at(object, &labels).cloned().unwrap_or_default();
        fields::set(object, &["metadata", "labels"], of_template);
    }
    otherwise(object, &["spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid"], json!(uid));
}

fn otherwise(object: &mut Value, path: &[&str], value: Value) {
    if fields::at(object, path).is_none() {
        fields::set(object, path, value);
    }
}

/// Removes what the API server does not store: maps and lists left empty, and the nulls of built-in kinds. In a custom object a null may
/// be a value, as in a merge patch that a runbook holds.
pub(super) fn tidy(kind: &ResourceKind, object: &mut Value) {
    if kind.built_in() {
        fields::drop_nulls(object);
    }
    let mut owners: Vec<Value> = Vec::new();
    for owner in fields::list(object, &["metadata", "ownerReferences"]) {
        if !owners.contains(owner) {
            owners.push(owner.clone());
        }
    }
    fields::set(object, &["metadata", "ownerReferences"], owners);
    for field in ["labels", "annotations", "finalizers", "ownerReferences", "managedFields"] {
        fields::drop_empty(object, &["metadata", field]);
    }
    if kind.built_in() {
        let paths: [&[&str]; 6] = [
            &["data"],
            &["binaryData"],
            &["spec", "selector"],
            &["spec", "template", "metadata", "labels"],
            &["spec", "template", "metadata", "annotations"],
            &["spec", "template", "spec", "nodeSelector"],
        ];
        for path in paths {
            fields::drop_empty(object, path);
        }
    }
}
