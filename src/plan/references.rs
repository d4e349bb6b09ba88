//! Which service a name means.
//!
//! In: a reference as written and who writes it. Out: the one service it means, or a message. Rule: `namespace/name` is exact; a
//! bare name is the own namespace's, else that of the only service which allows us, else of the only one there is; several are refused.
//! Not here: whether the service may be closed by us.

use std::collections::BTreeMap;

use crate::model::near::did_you_mean;
use crate::model::reference::{Reference, ServiceRef};
use crate::model::service::Service;

/// All services by their full name.
pub(super) type Known<'a> = BTreeMap<&'a ServiceRef, &'a Service>;

/// The service that `reference` means when `from` (a namespace) writes it.
pub(super) fn resolve(reference: &Reference, from: &str, known: &Known<'_>) -> Result<ServiceRef, String> {
    let namespace = reference.namespace.as_deref().unwrap_or(from);
    let exact = ServiceRef::new(namespace, &reference.name);
    if known.contains_key(&exact) {
        return Ok(exact);
    }
    if reference.namespace.is_some() {
        let names: Vec<String> = known.keys().map(ToString::to_string).collect();
        let hint = did_you_mean(&exact.to_string(), names.iter().map(String::as_str));
        return Err(format!("there is no PublicService {exact}{hint}"));
    }
    let namesakes: Vec<&ServiceRef> = known.keys().filter(|id| id.name == reference.name).copied().collect();
    let allowing: Vec<&ServiceRef> =
        namesakes.iter().filter(|id| known.get(*id).is_some_and(|service| allows(service, from))).copied().collect();
    let candidates = if allowing.is_empty() { namesakes } else { allowing };
    match candidates.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let hint = did_you_mean(&reference.name, known.keys().map(|id| id.name.as_str()));
            Err(format!("there is no PublicService {:?} in namespace {from} or any other{hint}", reference.name))
        }
        several => Err(format!("{:?} may mean {}; write namespace/name", reference.name, list(several))),
    }
}

/// Whether runbooks of namespace `from` may close the service.
pub(super) fn allows(service: &Service, from: &str) -> bool {
    service.id.namespace == from || service.allowed_from.iter().any(|namespace| namespace == from)
}

fn list(ids: &[&ServiceRef]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
