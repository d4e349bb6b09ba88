//! From a state to commands: what has to be done now, whatever was done before.
//!
//! In: plan, state after this decision's events, facts. Out: commands, burns first. Invariants: a command follows from the ledger alone
//! (write, then act); what facts show as done is not commanded again. Not here: which events happen.

use jiff::Timestamp;

use crate::model::epoch::Epoch;
use crate::model::plan::{Plan, PlannedAction, PlannedStep, PlannedUndo, ServiceIndex, StepIndex};

use super::command::{BurnTo, Command};
use super::dirty;
use super::facts::{ClosingFact, Facts, JobEnd, JobFact, JobKey, Pods, ServiceFact, TokenFact};
use super::forward::running;
use super::state::{Direction, Running, ServiceState, State, Work};
use super::switch;
use super::takeover::{self, Part};

/// Everything to do now, for whoever has this part.
pub(super) fn commands(plan: &Plan, state: &State, facts: &Facts, part: Part, now: Timestamp) -> Vec<Command> {
    match part {
        Part::Acts => {}
        // What is left of a night that is over is taken away by whoever is there.
        Part::Reports if state.outcome.is_some() => {}
        Part::Waits if takeover::is_left_over(plan, state, now) => {}
        // Sentinels make nothing: only whoever was deposed can make a switch again that was taken away. It takes no token and no record.
        Part::Reports if state.epoch == Epoch::SENTINELS => {
            return switch::command(plan, state, facts, now).into_iter().collect();
        }
        Part::Reports | Part::Waits => return Vec::new(),
    }
    let mut commands = match (&state.direction, state.outcome) {
        // Also of a night that was never armed: its arming may have been interrupted behind some stamps.
        (_, Some(_)) => (!facts.disarmed).then_some(Command::Disarm).into_iter().collect(),
        (Direction::Still, None) if state.armed || state.plan_hash.is_none() => Vec::new(),
        (Direction::Still, None) => vec![Command::Arm],
        (Direction::Forward, None) => forward(plan, state, facts),
        (Direction::Back { .. }, None) => {
            let mut commands = burns(plan, state, facts);
            commands.extend(releases(plan, state, facts));
            commands.extend(reopenings(plan, state, facts));
            commands
        }
        (Direction::Committed { .. }, None) => {
            let mut commands = burns(plan, state, facts);
            commands.extend(reopenings(plan, state, facts));
            commands
        }
    };
    commands.extend(let_go(plan, state, facts));
    commands.extend(switch::command(plan, state, facts, now));
    commands
}

/// Nothing new, not even what was intended, while nobody would take it back after the operator's death.
fn forward(plan: &Plan, state: &State, facts: &Facts) -> Vec<Command> {
    if switch::holds_work(facts).is_some() {
        return Vec::new();
    }
    let not_after = state.turn_back_at(plan);
    let mut commands = Vec::new();
    for (index, planned, _) in running(plan, state) {
        match &planned.action {
            PlannedAction::Close { services } => {
                let open =
                    |service: &&ServiceIndex| facts.services.get(*service).is_none_or(|fact| fact.closing == ClosingFact::Open);
                commands.extend(services.iter().filter(open).map(|&service| Command::Close { service, not_after }));
            }
            PlannedAction::Change(_) => {
                let open = facts.changes.get(&index).is_none_or(|fact| fact.change == ClosingFact::Open);
                commands.extend(open.then_some(Command::Change { step: index, not_after }));
            }
            PlannedAction::Check(_) => commands.push(Command::Check { step: index }),
            PlannedAction::Hold(_) | PlannedAction::Notify { .. } => {}
            PlannedAction::Job(_) => {
                let job = JobKey::Step(index);
                let waits = |fact: &JobFact| fact.suspended && fact.token == TokenFact::Forward && fact.end.is_none();
                if facts.jobs.get(&job).is_some_and(waits) {
                    commands.push(Command::Release { job, not_after: Some(not_after) });
                }
            }
        }
    }
    commands
}

/// Rule 4: the first effect of every change of direction, on every planned target and Job, touched or not.
pub(super) fn burns(plan: &Plan, state: &State, facts: &Facts) -> Vec<Command> {
    let planned = plan.services.iter().enumerate().filter(|(_, service)| service.close_at.is_some());
    let unburned = planned.filter(|(index, _)| {
        let opened = matches!(state.services.get(*index), Some(ServiceState::Opened { .. }));
        !opened && !facts.services.get(index).is_some_and(|fact| fact.burned)
    });
    let targets = unburned.map(|(service, _)| Command::BurnTargets { service });
    // One that could not be looked at is burned all the same: its name is known.
    let needs_burn = |job: &JobKey| facts.jobs.get(job).is_none_or(|fact| is_unburned(fact, burn_to(state, *job)));
    let (all, sorted) = (state.progress.tables().jobs(plan), state.progress.tables().jobs_by_key(plan));
    // Most often nothing is left to burn, which one look along both shows.
    let none = facts.jobs.len() == sorted.len()
        && facts.jobs.iter().zip(sorted).all(|((job, fact), known)| job == known && !is_unburned(fact, burn_to(state, *job)));
    let jobs = all.iter().filter(|_| !none).copied().filter(needs_burn);
    let jobs = jobs.map(|job| Command::BurnJob { job, to: burn_to(state, job) });
    let unburned = |(index, planned): &(StepIndex, &PlannedStep)| {
        planned.target().is_some() && !facts.changes.get(index).is_some_and(|fact| fact.burned) && !is_undone(state, *index)
    };
    let changes = plan.steps.iter().enumerate().filter(unburned).map(|(step, _)| Command::BurnChange { step });
    let unexpired = |(index, planned): &(StepIndex, &PlannedStep)| {
        let expires = matches!(state.steps.get(*index).map(|step| &step.undo), Some(Running::Expired { .. }));
        expires && planned.target().is_some() && !facts.changes.get(index).is_some_and(|fact| fact.expired)
    };
    let expiring = plan.steps.iter().enumerate().filter(unexpired).map(|(step, _)| Command::ExpireChange { step });
    jobs.chain(targets).chain(changes).chain(expiring).collect()
}

fn is_unburned(fact: &JobFact, to: BurnTo) -> bool {
    let needed = match (fact.token, to) {
        (TokenFact::Deposed | TokenFact::Expired, _) | (TokenFact::Back, BurnTo::Back) => false,
        (TokenFact::Missing | TokenFact::Forward | TokenFact::Reopen | TokenFact::Back | TokenFact::Older, _) => true,
    };
    needed && fact.end != Some(JobEnd::Vanished)
}

fn is_undone(state: &State, index: StepIndex) -> bool {
    state.steps.get(index).is_some_and(|step| matches!(step.undo, Running::Done { .. }))
}

fn burn_to(state: &State, job: JobKey) -> BurnTo {
    if !matches!(state.direction, Direction::Back { .. }) {
        return BurnTo::Expired;
    }
    match job {
        JobKey::Step(_) => BurnTo::Expired,
        JobKey::Undo(step, attempt) if state.steps.get(step).is_some_and(|s| attempt <= s.undo_failed_count) => BurnTo::Expired,
        JobKey::Undo(step, _) if state.steps.get(step).is_some_and(|s| matches!(s.undo, Running::Expired { .. })) => {
            BurnTo::Expired
        }
        JobKey::Undo(..) | JobKey::Smoke => BurnTo::Back,
    }
}

fn releases(plan: &Plan, state: &State, facts: &Facts) -> Vec<Command> {
    let undos = (0..plan.steps.len()).filter_map(|index| state.undo_job(plan, index));
    let smoke = matches!(state.smoke, Running::Since { .. }).then_some(JobKey::Smoke);
    let waits = |job: &JobKey| {
        facts.jobs.get(job).is_some_and(|fact| fact.suspended && fact.token == TokenFact::Back && fact.end.is_none())
    };
    let jobs = undos.chain(smoke).filter(waits).map(|job| Command::Release { job, not_after: None });
    let restoring = |(index, planned): &(StepIndex, &PlannedStep)| {
        let running = state.steps.get(*index).is_some_and(|step| matches!(step.undo, Running::Since { .. }));
        let seen = facts.changes.get(index).is_some_and(|fact| fact.restored || fact.cannot_restore.is_some());
        running && matches!(planned.undo, PlannedUndo::Restore { .. }) && !seen
    };
    let changes = plan.steps.iter().enumerate().filter(restoring).map(|(step, _)| Command::Restore { step });
    jobs.chain(changes).collect()
}

/// What was closed is restored until it is seen to be; what answers before that is not the service, so it is asked only then.
fn reopenings(plan: &Plan, state: &State, facts: &Facts) -> Vec<Command> {
    let closed = &state.so_far().closed;
    let is_restored = |service: &ServiceIndex| facts.services.get(service).is_some_and(|fact| fact.restored);
    let opening = state.services.iter().enumerate().filter(|(_, s)| matches!(s, ServiceState::Opening { .. }));
    let (ask, restore): (Vec<ServiceIndex>, Vec<ServiceIndex>) =
        opening.map(|(index, _)| index).partition(|index| !closed.contains(index) || is_restored(index));
    let restore = restore.into_iter().map(|service| Command::Reopen { service });
    let (ask, degrade): (Vec<ServiceIndex>, Vec<ServiceIndex>) =
        ask.into_iter().partition(|&index| dirty::is_as_declared(plan, state, facts.services.get(&index), index));
    let degrade = degrade.into_iter().map(|service| Command::Degrade { service });
    let shut = |index: &ServiceIndex| {
        let closed = |fact: &ServiceFact| matches!(fact.closing, ClosingFact::Draining | ClosingFact::Closed);
        facts.services.get(index).is_some_and(|fact| !fact.restored && closed(fact))
    };
    let again = state.services.iter().enumerate().filter(|(_, s)| matches!(s, ServiceState::ClosingAgain { .. }));
    let again = again.map(|(index, _)| index).filter(|index| !shut(index)).map(|service| Command::CloseAgain { service });
    restore.chain(degrade).chain(again).chain(ask.into_iter().map(|service| Command::Probe { service })).collect()
}

/// Pods whose end is recorded, so that nothing needs to be seen of them any more.
fn let_go(plan: &Plan, state: &State, facts: &Facts) -> Vec<Command> {
    let recorded = |job: JobKey| match job {
        JobKey::Step(step) => state.steps.get(step).is_some_and(|s| s.stopped.is_some() || matches!(s.work, Work::Done { .. })),
        JobKey::Undo(step, attempt) => state.steps.get(step).is_some_and(|s| match s.undo {
            Running::Done { .. } | Running::Failed { .. } | Running::Expired { .. } => true,
            Running::Since { attempt: current, .. } => attempt < current,
            Running::Waiting => false,
        }),
        JobKey::Smoke => matches!(state.smoke, Running::Done { .. } | Running::Failed { .. }),
    };
    let over = |job: &JobKey| {
        let held = facts.jobs.get(job).filter(|fact| fact.held && fact.pods == Pods::Terminal);
        held.is_some() && (state.outcome.is_some() || recorded(*job))
    };
    if !facts.jobs.values().any(|fact| fact.held) {
        return Vec::new();
    }
    state.progress.tables().jobs(plan).iter().copied().filter(over).map(|job| Command::LetGo { job }).collect()
}
