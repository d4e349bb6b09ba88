//! The frozen plan and what arming captured, for whoever knows their hash.
//!
//! In: the two texts, mounted or read live. Out: values, or what is wrong with them. Invariant: a plan with another hash is none.
//! Not here: the journal.

use super::super::names::{LedgerNames, sha256};
use super::super::operations::text;
use super::super::preimages::Preimages;
use super::super::tenant::Tenant;
use super::{PLAN, PREIMAGES, look};
use crate::model::plan::Plan;

/// The frozen plan and what arming captured, in the texts that the plan's ConfigMap holds.
///
/// # Errors
/// What is wrong with them, in words.
pub fn thaw(plan: &str, preimages: &str, plan_hash: &str) -> Result<(Plan, Preimages), String> {
    if sha256(plan) != plan_hash {
        return Err(format!("the plan is not the one whose hash is {plan_hash}"));
    }
    let plan = serde_json::from_str(plan).map_err(|error| format!("{PLAN} does not hold a plan: {error}"))?;
    let preimages = serde_json::from_str(preimages).map_err(|error| format!("{PREIMAGES} cannot be read: {error}"))?;
    Ok((plan, preimages))
}

/// The same, read live; the ConfigMap has to be that very one.
///
/// # Errors
/// What is wrong, in words.
pub async fn thaw_live(
    tenant: &Tenant,
    name: &str,
    night: &str,
    uid: &str,
    plan_hash: &str,
) -> Result<(Plan, Preimages), String> {
    let name = LedgerNames::of(name, night).plan;
    let stored = look(tenant, &name).await.map_err(|error| error.story())?.ok_or_else(|| format!("ConfigMap {name} is gone"))?;
    if text(&stored, &["metadata", "uid"]) != uid {
        return Err(format!("ConfigMap {name} was deleted and made anew"));
    }
    thaw(text(&stored, &["data", PLAN]), text(&stored, &["data", PREIMAGES]), plan_hash)
}
