//! The way back of a whole night as dry runs: what a sentinel does before it says that it is ready (DESIGN §4).
//!
//! In: its hands, plan and pre-images. Out: every problem, in words. Invariants: nothing is changed; each thing that the way back writes is
//! tried with the same patch and the same rights; of what a step has yet to make the rights alone are asked; what others change meanwhile
//! is tried again the next time. Not here: how often.

use jiff::Timestamp;
use serde_json::json;

use crate::engine::facts::jobs;
use crate::model::plan::{Plan, PlannedUndo};

use super::call::{Answer, CallError};
use super::ledger;
use super::marks;
use super::perform::PerformError;
use super::preimages::Preimages;
use super::spots::{Spot, degraded_spots, spots, step_spot};
use super::tenant::{Tenant, path};
use super::work::Work;

/// No Pod is called so: whoever may change or delete Pods is told that it is not there.
const NO_POD: &str = "notturno-rehearsal";

/// Everything that would not be accepted; nothing when the way back holds.
pub async fn prove(tenant: &Tenant, plan: &Plan, preimages: &Preimages, now: Timestamp) -> Vec<String> {
    let mut problems = Vec::new();
    note(&mut problems, "the ledger", ledger::try_append(tenant, plan).await);
    let pods = path("v1", &tenant.namespace, "pods", "");
    let listed = tenant.list(&pods, marks::NIGHT, &plan.uid).await;
    note(&mut problems, "the Pods of the night", listed.map(drop));
    let patched = tenant.try_patch(&format!("{pods}/{NO_POD}"), &[json!({"op": "test", "path": "/kind", "value": "Pod"})]).await;
    note(&mut problems, "the Pods of the night", found_or_not(patched.map(drop)));
    let jobs_path = path("batch/v1", &tenant.namespace, "jobs", "");
    note(&mut problems, "the Jobs of the night", tenant.list(&jobs_path, marks::NIGHT, &plan.uid).await.map(drop));
    for job in jobs(plan) {
        tell(
            &mut problems,
            match Work::of(tenant, plan, preimages, job) {
                Ok(work) => work.try_burn(now).await,
                Err(error) => Err(error),
            },
        );
    }
    let closed = || (0..plan.services.len()).filter(|&index| plan.services.get(index).is_some_and(|one| one.close_at.is_some()));
    let mut all: Vec<Result<Spot<'_>, PerformError>> = closed().flat_map(|index| spots(tenant, plan, preimages, index)).collect();
    let restored = plan.steps.iter().enumerate().filter(|(_, step)| matches!(step.undo, PlannedUndo::Restore { .. }));
    all.extend(restored.map(|(index, _)| step_spot(tenant, plan, preimages, index)));
    for spot in all {
        tell(
            &mut problems,
            match spot {
                Ok(spot) => spot.try_restore().await,
                Err(error) => Err(error),
            },
        );
    }
    for index in closed() {
        let closings: Vec<Spot<'_>> = spots(tenant, plan, preimages, index).into_iter().flatten().collect();
        for spot in degraded_spots(tenant, plan, preimages, index) {
            tell(
                &mut problems,
                match spot {
                    Ok(spot) => spot.try_degrade(plan, &closings).await,
                    Err(error) => Err(error),
                },
            );
        }
    }
    problems
}

fn found_or_not(tried: Result<(), CallError>) -> Result<(), CallError> {
    match tried {
        Err(error) if error.answer() == Some(Answer::NotFound) => Ok(()),
        other => other,
    }
}

fn note(problems: &mut Vec<String>, what: &str, tried: Result<(), CallError>) {
    if let Err(error) = tried {
        problems.push(format!("{what}: {}", error.story()));
    }
}

fn tell(problems: &mut Vec<String>, tried: Result<(), PerformError>) {
    if let Err(error) = tried {
        problems.push(crate::operator::story::story(&error));
    }
}
