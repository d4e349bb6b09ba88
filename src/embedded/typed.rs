//! What a built-in kind can hold at all.
//!
//! In: an object as sent. Out: whether the types of its fields are those of its kind. Invariants: refused is what the API server cannot
//! decode, a 400, or where it is applied a 500; fields that it does not know are not looked at. Not here: what values may be (`validate`),
//! custom kinds.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event as Told;
use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use super::fields;
use super::kinds::ResourceKind;
use super::validate;

/// Refuses what a typed object could not hold.
///
/// # Errors
/// 400 for a field of another type.
pub(super) fn decode(kind: &ResourceKind, object: &Value) -> Result<(), Failure> {
    validate::decodable(kind, object)?;
    let decoded = match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "configmaps") => fits::<ConfigMap>(object),
        ("", "pods") => fits::<Pod>(object),
        ("", "services") => fits::<Service>(object),
        ("", "serviceaccounts") => fits::<ServiceAccount>(object),
        ("", "namespaces") => fits::<Namespace>(object),
        ("", "nodes") => fits::<Node>(object),
        ("", "secrets") => fits::<Secret>(object),
        ("", "events") => fits::<Event>(object),
        ("apps", "deployments") => fits::<Deployment>(object),
        ("batch", "jobs") => fits::<Job>(object),
        ("batch", "cronjobs") => fits::<CronJob>(object),
        ("events.k8s.io", "events") => fits::<Told>(object),
        ("coordination.k8s.io", "leases") => fits::<Lease>(object),
        _ => Ok(()),
    };
    let finely: [&[&str]; 3] = [&["spec", "acquireTime"], &["spec", "renewTime"], &["eventTime"]];
    for path in finely.iter().filter(|_| ["leases", "events"].contains(&kind.plural.as_str())) {
        let moment = fields::text(object, path);
        if !moment.is_empty() && !has_microseconds(moment) {
            return Err(Failure::bad_request(format!("{}: {moment:?} has to have six digits after the second", path.join("."))));
        }
    }
    decoded.map_err(|error| Failure::bad_request(format!("{} cannot be handled as a {}: {error}", kind.kind, kind.kind)))
}

/// Refuses to apply what a typed object could not hold.
///
/// # Errors
/// 500 without a reason, as the API server answers then.
pub(super) fn applicable(kind: &ResourceKind, name: &str, manifest: &Value) -> Result<(), Failure> {
    let fits = decode(kind, manifest);
    let place = fields::text(manifest, &["metadata", "namespace"]);
    fits.map_err(|failure| {
        let of = format!("{place}/{name}; {}, Kind={}", kind.api_version(), kind.kind);
        Failure::internal(format!("failed to create typed patch object ({of}): {}", failure.message()))
    })
}

fn has_microseconds(moment: &str) -> bool {
    let digits = moment.split_once('.').map_or(0, |(_, after)| after.chars().take_while(char::is_ascii_digit).count());
    digits == 6
}

fn fits<'a, T: Deserialize<'a>>(object: &'a Value) -> Result<(), serde_json::Error> {
    T::deserialize(object).map(drop)
}
