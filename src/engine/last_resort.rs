//! What may be done when nobody can tell what the ledger says (PROTOCOL rule 22).
//!
//! In: plan and facts. Out: commands, all of them backward. Invariants: rights are taken from everything; no undo is let run that is not
//! running, because a commit might be in the ledger; a service opens only when every Job that touches it was stopped before it ever
//! started, and every object of a step that touches it is as it was; everything else stays as it is and waits for a person.
//! Not here: how long a ledger has to be out of reach for this.

use crate::model::plan::{Plan, PlannedAction, PlannedStep, ServiceIndex, StepIndex};

use super::command::{BurnTo, Command};
use super::facts::{Burned, Facts, JobEnd, JobKey, TokenFact};
use super::state::jobs;

/// Everything to do now; nothing once all that may be open is.
#[must_use]
pub fn last_resort(plan: &Plan, facts: &Facts) -> Vec<Command> {
    let closed = || plan.services.iter().enumerate().filter(|(_, service)| service.close_at.is_some()).map(|(index, _)| index);
    let fact = |index: &ServiceIndex| facts.services.get(index);
    let jobs = jobs(plan).into_iter().filter(|&job| is_to_be_burned(facts, job));
    let jobs = jobs.map(|job| Command::BurnJob { job, to: burn_to(job) });
    let targets = closed().filter(|index| !fact(index).is_some_and(|fact| fact.burned));
    let targets = targets.map(|service| Command::BurnTargets { service });
    let changes = (0..plan.steps.len()).filter(|&index| {
        let changes = plan.steps.get(index).is_some_and(|step| step.target().is_some());
        changes && !facts.changes.get(&index).is_some_and(|fact| fact.burned)
    });
    let changes = changes.map(|step| Command::BurnChange { step });
    let may_open = |index: &ServiceIndex| {
        let waits = fact(index).is_some_and(|fact| fact.burned && !fact.restored);
        waits && is_clean(plan, facts, *index)
    };
    let openings = closed().filter(may_open).map(|service| Command::Reopen { service });
    jobs.chain(targets).chain(changes).chain(openings).collect()
}

/// An undo may still be let run once the ledger is back; one that runs goes on, since the ledger may have let it.
fn burn_to(job: JobKey) -> BurnTo {
    match job {
        JobKey::Step(_) => BurnTo::Expired,
        JobKey::Undo(..) | JobKey::Smoke => BurnTo::Back,
    }
}

fn is_to_be_burned(facts: &Facts, job: JobKey) -> bool {
    let Some(fact) = facts.jobs.get(&job) else { return true };
    let done = match burn_to(job) {
        BurnTo::Expired => matches!(fact.token, TokenFact::Expired | TokenFact::Deposed),
        BurnTo::Back => matches!(fact.token, TokenFact::Back | TokenFact::Expired | TokenFact::Deposed),
    };
    !done && fact.end != Some(JobEnd::Vanished)
}

fn is_clean(plan: &Plan, facts: &Facts, service: ServiceIndex) -> bool {
    let touches = |step: &PlannedStep| step.touches.contains(&service);
    plan.steps.iter().enumerate().filter(|(_, step)| touches(step)).all(|(index, step)| never_worked(facts, index, step))
}

fn never_worked(facts: &Facts, index: StepIndex, step: &PlannedStep) -> bool {
    match &step.action {
        PlannedAction::Job(_) => facts.jobs.get(&JobKey::Step(index)).is_some_and(|job| job.burned == Some(Burned::NeverStarted)),
        PlannedAction::Change(_) => facts.changes.get(&index).is_some_and(|fact| fact.burned && fact.restored),
        PlannedAction::Close { .. } | PlannedAction::Check(_) | PlannedAction::Hold(_) | PlannedAction::Notify { .. } => true,
    }
}
