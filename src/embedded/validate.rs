//! What may be stored: names, sizes, immutability.
//!
//! In: an object, and what it replaces. Out: every cause for refusal at once; types that cannot be decoded are a 400.
//! Invariants: the rules are those of Kubernetes 1.35 for the fields named here.
//! Not here: schemas of any kind, custom ones included; quotas, admission.

use serde_json::Value;

use super::annotations;
use super::delete;
use super::failure::{Cause, Failure};
use super::fields;
use super::kinds::ResourceKind;

/// Largest sum of the values of a `ConfigMap` or Secret, in bytes.
const DATA_BYTES_MAX: usize = 1024 * 1024;
/// Largest sum of the keys and values of annotations, in bytes.
const ANNOTATION_BYTES_MAX: usize = 256 * 1024;
const IMMUTABLE: &str = "field is immutable";
const SET: &str = "field is immutable when `immutable` is set";

/// Refuses what a typed object could not hold.
///
/// # Errors
/// 400 for a label, annotation or `ConfigMap` value that is no string.
pub(super) fn decodable(kind: &ResourceKind, object: &Value) -> Result<(), Failure> {
    let data: &[&[&str]] = if kind.is("", "configmaps") { &[&["data"], &["binaryData"]] } else { &[] };
    let maps: [&[&str]; 2] = [&["metadata", "labels"], &["metadata", "annotations"]];
    for path in maps.iter().chain(data) {
        let Some(map) = fields::at(object, path) else { continue };
        if !map.as_object().is_some_and(|map| map.values().all(Value::is_string)) {
            return Err(Failure::bad_request(format!("{}: expected a map of strings", path.join("."))));
        }
    }
    Ok(())
}

/// Every reason why `object` may not be stored.
pub(super) fn problems(kind: &ResourceKind, object: &Value) -> Vec<Cause> {
    let mut causes = annotations::problems(object);
    causes.extend(name_problem(kind, fields::text(object, &["metadata", "name"])));
    causes.extend(label_problems(object));
    let annotations = fields::strings(object, &["metadata", "annotations"]);
    causes.extend(annotations.keys().filter(|key| !is_qualified(key)).map(|key| {
        Cause::invalid("metadata.annotations", key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
    }));
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > ANNOTATION_BYTES_MAX {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATION_BYTES_MAX));
    }
    causes.extend(owner_problems(object));
    let finalizers = fields::list(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str);
    let held_to_it = kind.built_in() && !["leases", "events"].contains(&kind.plural.as_str());
    causes.extend(finalizers.filter(|name| held_to_it && !is_finalizer(name)).map(|name| {
        Cause::invalid("metadata.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified")
    }));
    if kind.is("", "configmaps") || kind.is("", "secrets") {
        causes.extend(data_problems(object));
    }
    causes
}

fn is_finalizer(name: &str) -> bool {
    [delete::ORPHAN, delete::FOREGROUND, "kubernetes"].contains(&name) || (name.contains('/') && is_qualified(name))
}

fn owner_problems(object: &Value) -> Vec<Cause> {
    let owners = fields::list(object, &["metadata", "ownerReferences"]);
    let mut causes = Vec::new();
    for owner in owners {
        let silent = ["apiVersion", "kind", "name", "uid"].into_iter().filter(|field| fields::text(owner, &[field]).is_empty());
        causes.extend(silent.map(|field| Cause::invalid(&format!("metadata.ownerReferences.{field}"), "", "must not be empty")));
        if ["v1", "events.k8s.io/v1"].contains(&fields::text(owner, &["apiVersion"])) && fields::text(owner, &["kind"]) == "Event"
        {
            causes.push(Cause::invalid("metadata.ownerReferences", "Event", "is disallowed from being an owner"));
        }
    }
    if owners.iter().filter(|owner| fields::flag(owner, &["controller"])).count() > 1 {
        causes.push(Cause::invalid("metadata.ownerReferences", "", "only one reference can have controller set to true"));
    }
    causes
}

fn data_problems(object: &Value) -> Vec<Cause> {
    let data: Vec<(String, String)> = ["data", "binaryData"].iter().flat_map(|field| fields::strings(object, &[field])).collect();
    let legal =
        |key: &str| !key.is_empty() && key.len() <= 253 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let wrong = data.iter().filter(|(key, _)| !legal(key));
    let mut causes: Vec<Cause> = wrong
        .map(|(key, _)| {
            Cause::invalid(
                &format!("data[{key}]"),
                key,
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            )
        })
        .collect();
    let twice = fields::strings(object, &["data"]).into_keys().filter(|key| fields::at(object, &["binaryData", key]).is_some());
    causes.extend(twice.map(|key| Cause::invalid(&format!("data[{key}]"), &key, "duplicate of key present in binaryData")));
    if data.iter().map(|(_, value)| value.len()).sum::<usize>() > DATA_BYTES_MAX {
        causes.push(Cause::too_long("", DATA_BYTES_MAX));
    }
    causes
}

fn name_problem(kind: &ResourceKind, name: &str) -> Option<Cause> {
    if kind.built_in() && kind.plural == "events" {
        // Made by old clients from whatever names they had.
        let legal = !name.is_empty() && ![".", ".."].contains(&name) && !name.contains(['/', '%']);
        return (!legal).then(|| Cause::invalid("metadata.name", name, "may not be part of a path"));
    }
    let is_label = kind.is("", "services") || kind.is("", "namespaces");
    let name_bytes_max = if is_label || kind.is("batch", "jobs") {
        63
    } else if kind.is("batch", "cronjobs") {
        52
    } else {
        253
    };
    let parts_legal = name.split('.').all(is_dns_label) && !(is_label && name.contains('.'));
    if parts_legal && name.len() <= name_bytes_max {
        return None;
    }
    let why = "a lowercase RFC 1123 name must consist of lower case alphanumeric characters, '-' or '.', and must start and \
               end with an alphanumeric character";
    Some(Cause::invalid("metadata.name", name, &format!("{why}, and be no more than {name_bytes_max} characters")))
}

fn is_dns_label(part: &str) -> bool {
    let inner = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    !part.is_empty() && inner && !part.starts_with('-') && !part.ends_with('-')
}

fn label_problems(object: &Value) -> Vec<Cause> {
    let labels = fields::strings(object, &["metadata", "labels"]);
    let legal = |value: &str| value.is_empty() || is_name_part(value);
    let wrong = labels.iter().filter(|(key, value)| !is_qualified(key) || !legal(value));
    wrong
        .map(|(key, value)| {
            Cause::invalid(
                "metadata.labels",
                &format!("{key}={value}"),
                "a valid label must consist of at most 63 alphanumeric characters, '-', '_' or '.'",
            )
        })
        .collect()
}

fn is_qualified(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("x", key));
    prefix.len() <= 253 && prefix.to_ascii_lowercase().split('.').all(is_dns_label) && is_name_part(name)
}

fn is_name_part(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    text.len() <= 63 && inner && edge(text.chars().next()) && edge(text.chars().last())
}

/// Every reason why `new` may not take the place of `old`.
pub(super) fn change_problems(kind: &ResourceKind, old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = problems(kind, new);
    let [before, after] = [old, new].map(super::world::uid);
    if before != after {
        causes.push(Cause::invalid("metadata.uid", after, IMMUTABLE));
    }
    if super::world::is_going(old) {
        let held = fields::list(old, &["metadata", "finalizers"]);
        if fields::list(new, &["metadata", "finalizers"]).iter().any(|finalizer| !held.contains(finalizer)) {
            causes.push(Cause::forbidden("metadata.finalizers", "no new finalizers can be added if the object is being deleted"));
        }
    }
    if (kind.is("", "configmaps") || kind.is("", "secrets")) && fields::flag(old, &["immutable"]) {
        causes.extend(sealed_problems(old, new));
    }
    if kind.is("", "secrets") && differs(old, new, &["type"]) {
        causes.push(Cause::invalid("type", fields::text(new, &["type"]), IMMUTABLE));
    }
    if kind.is("batch", "jobs") {
        causes.extend(job_problems(old, new));
    }
    if kind.is("apps", "deployments") && differs(old, new, &["spec", "selector"]) {
        causes.push(Cause::invalid("spec.selector", "", IMMUTABLE));
    }
    causes
}

fn differs(old: &Value, new: &Value, path: &[&str]) -> bool {
    fields::at(old, path) != fields::at(new, path)
}

/// A map that is there and empty is not one that is not there, to a Secret that is sealed; to a `ConfigMap` it is.
pub(super) fn emptied_problems(kind: &ResourceKind, old: &Value, wanted: &Value) -> Vec<Cause> {
    let sealed = kind.is("", "secrets") && fields::flag(old, &["immutable"]) && fields::at(old, &["data"]).is_none();
    let emptied = sealed && fields::object(wanted, &["data"]).is_some_and(serde_json::Map::is_empty);
    if emptied { vec![Cause::forbidden("data", SET)] } else { Vec::new() }
}

fn sealed_problems(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !fields::flag(new, &["immutable"]) {
        causes.push(Cause::forbidden("immutable", SET));
    }
    let changed = ["data", "binaryData"].into_iter().filter(|field| differs(old, new, &[field]));
    causes.extend(changed.map(|field| Cause::forbidden(field, SET)));
    causes
}

fn job_problems(old: &Value, new: &Value) -> Vec<Cause> {
    let fixed = ["selector", "completions", "completionMode", "podFailurePolicy", "managedBy", "successPolicy"];
    let changed = fixed.into_iter().filter(|field| differs(old, new, &["spec", field]));
    let mut causes: Vec<Cause> = changed.map(|field| Cause::invalid(&format!("spec.{field}"), "", IMMUTABLE)).collect();
    let never_started = fields::flag(old, &["spec", "suspend"]) && fields::at(old, &["status", "startTime"]).is_none();
    let mut allowed = old.clone();
    if never_started {
        let free: [&[&str]; 6] = [
            &["metadata", "labels"],
            &["metadata", "annotations"],
            &["spec", "nodeSelector"],
            &["spec", "tolerations"],
            &["spec", "affinity"],
            &["spec", "schedulingGates"],
        ];
        for path in free {
            let whole: Vec<&str> = ["spec", "template"].into_iter().chain(path.iter().copied()).collect();
            fields::carry(new, &mut allowed, &whole);
        }
    }
    if differs(&allowed, new, &["spec", "template"]) {
        causes.push(Cause::invalid("spec.template", "", IMMUTABLE));
    }
    causes
}
