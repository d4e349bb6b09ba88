//! Which plan it is: what a sentinel is told to expect, and what the operator knows again.
//!
//! In: the plan's `ConfigMap`, as it is now. Out: [`PlanIdentity`]. Not here: the plan itself.

use serde_json::{Map, Value};

use super::super::names::{LedgerNames, sha256};
use super::super::operations::text;
use super::super::tenant::Tenant;
use super::{LedgerError, PLAN, look};
use crate::model::plan::Plan;

/// Which `ConfigMap` holds the plan, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanIdentity {
    /// The name of the `ConfigMap`.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// SHA-256 of the plan as stored, hexadecimal.
    pub hash: String,
}

/// The plan's `ConfigMap` as it is now.
///
/// # Errors
/// [`LedgerError::PlanGone`], or a call's.
pub async fn identity(tenant: &Tenant, plan: &Plan) -> Result<PlanIdentity, LedgerError> {
    let name = LedgerNames::of(&plan.name, &plan.uid).plan;
    let stored = look(tenant, &name).await?.ok_or_else(|| LedgerError::PlanGone { name: name.clone() })?;
    Ok(PlanIdentity { name, uid: text(&stored, &["metadata", "uid"]).to_owned(), hash: sha256(text(&stored, &["data", PLAN])) })
}

/// Whether it is the data of a plan, and not of a ledger.
#[must_use]
pub fn holds_plan(data: &Map<String, Value>) -> bool {
    data.contains_key(PLAN)
}
