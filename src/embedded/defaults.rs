//! What the API server adds to an object when it is created, and what it never stores.
//!
//! In: an object as sent. Out: the object as stored.
//! Invariants: only fields a night can see are defaulted (pre-images are captured from stored objects); a map left
//! empty is absent, so that removing the last annotation removes `annotations`.
//! Not here: the full defaulting of Kubernetes (ports, probes, strategies, security contexts, Secrets' `stringData`).

use serde_json::{Value, json};

use super::fields;
use super::kinds::ResourceKind;
use super::world::uid;

/// Adds what the API server adds at creation; the uid is set already.
pub(super) fn complete(kind: &ResourceKind, object: &mut Value) {
    if kind.status_subresource {
        fields::unset(object, &["status"]);
    }
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("apps", "deployments") => {
            otherwise(object, &["spec", "replicas"], json!(1));
            fields::set(object, &["status"], json!({}));
        }
        ("batch", "jobs") => job(object),
        ("batch", "cronjobs") => {
            otherwise(object, &["spec", "concurrencyPolicy"], json!("Allow"));
            otherwise(object, &["spec", "suspend"], json!(false));
            otherwise(object, &["spec", "successfulJobsHistoryLimit"], json!(3));
            otherwise(object, &["spec", "failedJobsHistoryLimit"], json!(1));
            fields::set(object, &["status"], json!({}));
        }
        ("", "pods") => {
            otherwise(object, &["spec", "restartPolicy"], json!("Always"));
            otherwise(object, &["spec", "terminationGracePeriodSeconds"], json!(30));
            fields::set(object, &["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
        }
        ("", "namespaces") => fields::set(object, &["status"], json!({"phase": "Active"})),
        ("", "services") => fields::set(object, &["status"], json!({"loadBalancer": {}})),
        ("", "secrets") => otherwise(object, &["type"], json!("Opaque")),
        _ => {}
    }
}

fn job(object: &mut Value) {
    let unset = |object: &Value, field| fields::at(object, &["spec", field]).is_none();
    if unset(object, "completions") && unset(object, "parallelism") {
        fields::set(object, &["spec", "completions"], 1);
    }
    if fields::object(object, &["metadata", "labels"]).is_none() {
        fields::set(object, &["metadata", "labels"], json!(fields::strings(object, &["spec", "template", "metadata", "labels"])));
        fields::drop_empty(object, &["metadata", "labels"]);
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
    let (name, uid) = (fields::text(object, &["metadata", "name"]).to_owned(), uid(object).to_owned());
    let labels = ["spec", "template", "metadata", "labels"];
    for (label, value) in [
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
    ] {
        let path: Vec<&str> = labels.into_iter().chain([label]).collect();
        otherwise(object, &path, json!(value));
    }
    otherwise(object, &["spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid"], json!(uid));
    fields::set(object, &["status"], json!({}));
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
