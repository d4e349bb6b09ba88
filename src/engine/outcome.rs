//! How steps end while the work goes forward.
//!
//! In: plan, state, facts, now. Out: the next step that is done or has failed. Invariant: a Job's completion after our own stop is none
//! (PROTOCOL rule 14). Not here: what follows from it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::action::{Hold, OnSilence};
use crate::model::plan::{Plan, PlannedAction, PlannedStep, ServiceIndex};

use super::Next;
use super::facts::{CheckFact, ClosingFact, Facts, JobEnd, JobKey};
use super::forward::running;
use super::journal::Event;
use super::state::{State, StepState, Work};
use super::words::clock;

/// The next step that has ended.
pub(super) fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    running(plan, state).find_map(|(index, planned, step)| match &planned.action {
        PlannedAction::Close { services } => closed(&planned.name, services, facts),
        PlannedAction::Change(_) => changed(&planned.name, &facts.changes.get(&index)?.change),
        PlannedAction::Check(_) => checked(&planned.name, facts.checks.get(&index)?),
        PlannedAction::Hold(hold) => confirmed(plan, planned, hold, step, now),
        PlannedAction::Notify { message } => Some(done(&planned.name, format!("step {}: {message}", planned.name))),
        PlannedAction::Job(_) => {
            let job = facts.jobs.get(&JobKey::Step(index))?;
            job_outcome(&planned.name, job.end.as_ref()?, job.burned.is_some())
        }
    })
}

fn done(name: &str, why: String) -> (Event, String) {
    (Event::StepDone { step: name.to_owned() }, why)
}

fn failed(name: &str, reason: &str) -> (Event, String) {
    (Event::StepFailed { step: name.to_owned(), reason: reason.to_owned() }, format!("step {name} failed: {reason}"))
}

fn closed(name: &str, services: &BTreeSet<ServiceIndex>, facts: &Facts) -> Next {
    let facts: Vec<_> = services.iter().map(|service| facts.services.get(service).map(|fact| &fact.closing)).collect();
    let refused = facts.iter().find_map(|fact| match fact {
        Some(ClosingFact::Refused { reason }) => Some(reason.as_str()),
        Some(ClosingFact::Open | ClosingFact::Draining | ClosingFact::Closed) | None => None,
    });
    if let Some(reason) = refused {
        return Some(failed(name, reason));
    }
    let closed = facts.iter().all(|fact| matches!(fact, Some(ClosingFact::Closed)));
    closed.then(|| done(name, format!("step {name}: services are closed")))
}

fn changed(name: &str, change: &ClosingFact) -> Next {
    match change {
        ClosingFact::Refused { reason } => Some(failed(name, reason)),
        ClosingFact::Closed => Some(done(name, format!("step {name}: its object is as wanted"))),
        ClosingFact::Open | ClosingFact::Draining => None,
    }
}

fn checked(name: &str, check: &CheckFact) -> Next {
    match check {
        CheckFact::Passed => Some(done(name, format!("step {name}: it is so"))),
        CheckFact::Failed { reason } => Some(failed(name, reason)),
        CheckFact::NotAsked | CheckFact::Pending { .. } => None,
    }
}

/// Enough people said yes, or nobody answered and that means yes.
fn confirmed(plan: &Plan, planned: &PlannedStep, hold: &Hold, step: &StepState, now: Timestamp) -> Next {
    let Work::Running { hard_cap_at, .. } = step.work else { return None };
    let name = &planned.name;
    let people = step.confirmed_by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if u32::try_from(step.confirmed_by.len()).unwrap_or(u32::MAX) >= hold.confirmations {
        return Some(done(name, format!("step {name}: confirmed by {people}")));
    }
    let silent = now >= hard_cap_at && hold.on_silence == OnSilence::Continue;
    silent.then(|| done(name, format!("step {name}: not confirmed by {}, and silence means to go on", clock(plan, hard_cap_at))))
}

fn job_outcome(name: &str, end: &JobEnd, burned: bool) -> Next {
    let reason = match end {
        JobEnd::Complete if burned => return None,
        JobEnd::Complete => {
            return Some(done(name, format!("step {name}: its Job is complete")));
        }
        JobEnd::Failed { reason } => reason.clone(),
        JobEnd::Vanished => "its Job is not there any more".to_owned(),
    };
    Some(failed(name, &reason))
}
