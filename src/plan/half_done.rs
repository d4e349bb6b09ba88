//! Who pays when a service opens on half-done work.
//!
//! In: the plan. Out: a warning for each undo that would stop for good for the sake of one service while another, which stays closed then,
//! waits for it. Not here: what happens at night ([`crate::engine`]).

use std::collections::BTreeSet;

use crate::model::plan::{Plan, ServiceIndex};
use crate::model::runbook::Runbook;
use crate::model::service::WhenDirty;

use super::Findings;

pub(super) fn warn(plan: &Plan, runbook: &Runbook, findings: &mut Findings) {
    for (index, step) in plan.steps.iter().enumerate() {
        let reached: BTreeSet<ServiceIndex> = if step.has_own_undo() { step.undo_services().collect() } else { BTreeSet::new() };
        let closed = |opens: bool| {
            let found = reached.iter().filter_map(|&service| plan.services.get(service));
            let found = found.filter(|one| one.close_at.is_some() && (one.when_dirty != WhenDirty::StayClosed) == opens);
            found.map(|one| one.id.to_string()).collect::<Vec<_>>().join(", ")
        };
        let (opens, stays) = (closed(true), closed(false));
        if opens.is_empty() || stays.is_empty() {
            continue;
        }
        let written = runbook.steps.iter().position(|one| one.name == step.name).unwrap_or(index);
        let message = format!(
            "when {opens} opens on half-done work, the undo of step {:?} stops for good: {stays}, which stays closed then, waits for a \
             person",
            step.name
        );
        findings.warn("ExpiresForOthers", &format!("spec.steps[{written}].undo"), message);
    }
}
