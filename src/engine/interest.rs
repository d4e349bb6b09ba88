//! What the shell has to look at before the next decision.
//!
//! In: plan and state. Out: [`Interest`]. Invariant: work in proportion to what may have changed; before it is armed nothing is read.
//! Not here: how it is read.

use std::collections::BTreeSet;

use crate::model::plan::{Plan, ServiceIndex, StepIndex};
use crate::model::schedule::predecessors;

use super::state::{Direction, Running, ServiceState, State, StepState, Work};

/// What to observe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// The Jobs of the night and their Pods.
    pub jobs: bool,
    /// They may change by themselves, so that their changes are to be told.
    pub jobs_change: bool,
    /// Services whose targets are to be read.
    pub targets: BTreeSet<ServiceIndex>,
    /// Services of which it is to be seen too whether they are as they declared for half-done work.
    pub degraded: BTreeSet<ServiceIndex>,
    /// Steps whose object is to be read.
    pub changes: BTreeSet<StepIndex>,
}

/// What matters in this state.
#[must_use]
pub fn interest(plan: &Plan, state: &State) -> Interest {
    let targets = match &state.direction {
        _ if state.outcome.is_some() => BTreeSet::new(),
        Direction::Still if !state.armed => BTreeSet::new(),
        Direction::Still | Direction::Forward => near(plan, state).into_iter().flat_map(|index| closes(plan, index)).collect(),
        Direction::Back { .. } | Direction::Committed { .. } => {
            let closing = plan.services.iter().zip(&state.services).enumerate();
            let open = closing
                .filter(|(_, (planned, service))| planned.close_at.is_some() && !matches!(service, ServiceState::Opened { .. }));
            open.map(|(index, _)| index).collect()
        }
    };
    // What cannot run yet is looked at when the night begins: somebody may have deleted it.
    let jobs_change = state.armed && (state.outcome.is_some() || state.direction != Direction::Still);
    Interest { jobs: state.armed, jobs_change, targets, degraded: degraded(plan, state), changes: changes(plan, state) }
}

/// Being opened on half-done work, changed as they declared.
fn degraded(plan: &Plan, state: &State) -> BTreeSet<ServiceIndex> {
    let all = plan.services.iter().zip(&state.services).enumerate();
    let opens = all.filter(|(_, (planned, service))| {
        let opening = matches!(service, ServiceState::Opening { .. }) && state.outcome.is_none();
        opening && !service.open_on().is_empty() && !planned.when_dirty.actions().is_empty()
    });
    opens.map(|(index, _)| index).collect()
}

fn closes(plan: &Plan, index: StepIndex) -> BTreeSet<ServiceIndex> {
    plan.steps.get(index).map(|step| step.closes().clone()).unwrap_or_default()
}

/// Going back, every object has to be seen burned, and those of begun steps restored.
fn changes(plan: &Plan, state: &State) -> BTreeSet<StepIndex> {
    let near = match &state.direction {
        _ if state.outcome.is_some() => BTreeSet::new(),
        Direction::Still if !state.armed => BTreeSet::new(),
        Direction::Still | Direction::Forward => near(plan, state),
        Direction::Back { .. } | Direction::Committed { .. } => {
            let undone = |(_, step): &(StepIndex, &StepState)| !matches!(step.undo, Running::Done { .. });
            state.steps.iter().enumerate().filter(undone).map(|(index, _)| index).collect()
        }
    };
    near.into_iter().filter(|&index| plan.steps.get(index).is_some_and(|step| step.target().is_some())).collect()
}

/// Running steps and those right behind them: an intention carries a fresh pre-image.
fn near(plan: &Plan, state: &State) -> BTreeSet<StepIndex> {
    let begun = |index: &StepIndex| {
        state.steps.get(*index).is_some_and(|step| matches!(step.work, Work::Running { .. } | Work::Done { .. }))
    };
    let is_near = |index: StepIndex| match state.steps.get(index).map(|step| &step.work) {
        Some(Work::Running { .. }) => true,
        Some(Work::Waiting) => predecessors(&plan.steps, index).iter().all(begun),
        Some(Work::Done { .. } | Work::Failed { .. }) | None => false,
    };
    (0..plan.steps.len()).filter(|&index| is_near(index)).collect()
}
