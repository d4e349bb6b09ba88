//! Whether the work's account has every right that the night needs, asked before anything is touched.
//!
//! In: a plan and the tenant's hands. Out: [`Lack`]s, everything that is missing at once. Invariants: what is asked for is what
//! `notturno rbac` prints ([`crate::plan::rights`]); nothing is stored; kinds that are not served are left to whoever looks for them.
//! Not here: the sentinel's rights, which the sentinel proves itself; what admission refuses to those who may.

use serde_json::{Value, json};

use crate::model::plan::Plan;
use crate::model::reference::Target;
use crate::plan::rights::{Needs, Resource, Right, Whose};

use super::call::CallError;
use super::operations::at;
use super::sentinel::Switch;
use super::tenant::Tenant;

/// Where access reviews are asked.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Verbs that are missing on one object, or on all of a resource in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    right: Right,
    resource: String,
    verbs: Vec<&'static str>,
}

impl Lack {
    /// What it is missing on: `deployments/x in sanita`.
    #[must_use]
    pub fn object(&self) -> String {
        let Right { namespace, name, .. } = &self.right;
        let slash = if name.is_empty() { "" } else { "/" };
        let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
        format!("{}{slash}{name}{place}", self.resource)
    }

    /// For people, with what to do about it.
    #[must_use]
    pub fn words(&self, tenant: &Tenant) -> String {
        let account = format!("ServiceAccount {}/{}", tenant.namespace, tenant.service_account);
        format!("{account} may not {} {}: `notturno rbac` prints the Role", self.verbs.join(", "), self.object())
    }

    /// Whether it keeps everybody from looking at the object, or from trying what is to be done to it.
    pub(super) fn is_on(&self, target: &Target) -> bool {
        let Right { namespace, resource, name, .. } = &self.right;
        let Resource::Kind { api_version, kind } = resource else { return false };
        let all = name.is_empty() || *name == target.name;
        all && *namespace == target.namespace && *api_version == target.api_version && *kind == target.kind
    }

    /// Whether this verb is missing on what the runbook's own namespace has of `resource`, or on the one of that name.
    pub(super) fn is_of(&self, verb: &str, resource: &str, name: &str) -> bool {
        let plural = matches!(self.right.resource, Resource::Plural { .. }) && self.resource == resource;
        plural && self.right.name == name && self.verbs.contains(&verb)
    }
}

/// Everything that the work's account may not do and would have to, the dead man's switch included where there is to be one.
///
/// # Errors
/// When the API server does not say.
pub(super) async fn lacking(tenant: &Tenant, plan: &Plan, switch: &Switch) -> Result<Vec<Lack>, CallError> {
    let needs = Needs::of_plan(plan);
    let needs = if *switch == Switch::Without { needs.without_switch() } else { needs };
    let mut lacking = Vec::new();
    for right in needs.rights(Whose::Work) {
        let Some((group, resource)) = served(tenant, &right.resource).await? else { continue };
        let mut verbs = Vec::new();
        for &verb in &right.verbs {
            if !is_allowed(tenant, &right, verb, &group, &resource).await? {
                verbs.push(verb);
            }
        }
        if !verbs.is_empty() {
            lacking.push(Lack { right, resource, verbs });
        }
    }
    Ok(lacking)
}

/// Group and plural; none when the kind is not served.
async fn served(tenant: &Tenant, resource: &Resource) -> Result<Option<(String, String)>, CallError> {
    match resource {
        Resource::Plural { group, plural } => Ok(Some(((*group).to_owned(), (*plural).to_owned()))),
        Resource::Kind { api_version, kind } => {
            let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
            Ok(tenant.kind(api_version, kind).await?.map(|kind| (group, kind.resource)))
        }
    }
}

async fn is_allowed(tenant: &Tenant, right: &Right, verb: &str, group: &str, resource: &str) -> Result<bool, CallError> {
    let Right { namespace, name, .. } = right;
    may(tenant, &json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name})).await
}

/// Whether this account may do what the attributes say.
pub(super) async fn may(tenant: &Tenant, attributes: &Value) -> Result<bool, CallError> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes}});
    let answer = tenant.create(REVIEWS, &review).await?;
    Ok(at(&answer, &["status", "allowed"]) == Some(&Value::Bool(true)))
}
