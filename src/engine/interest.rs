//! What the shell has to look at before the next decision.
//!
//! In: plan and state. Out: [`Interest`]. Invariant: work in proportion to what may have changed; by day nothing is read.
//! Not here: how it is read.

use std::collections::BTreeSet;

use crate::model::plan::{Plan, ServiceIndex, StepIndex};
use crate::model::schedule::predecessors;

use super::state::{Direction, ServiceState, State, Work};

/// What to observe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// The Jobs of the night and their Pods.
    pub jobs: bool,
    /// Services whose targets are to be read.
    pub targets: BTreeSet<ServiceIndex>,
}

/// What matters in this state.
#[must_use]
pub fn interest(plan: &Plan, state: &State) -> Interest {
    let jobs = state.armed && (state.outcome.is_some() || state.direction != Direction::Still);
    let targets = match &state.direction {
        _ if state.outcome.is_some() => BTreeSet::new(),
        Direction::Still if !state.armed => BTreeSet::new(),
        Direction::Still | Direction::Forward => near(plan, state),
        Direction::Back { .. } | Direction::Committed { .. } => {
            let closing = plan.services.iter().zip(&state.services).enumerate();
            let open = closing
                .filter(|(_, (planned, service))| planned.close_at.is_some() && !matches!(service, ServiceState::Opened { .. }));
            open.map(|(index, _)| index).collect()
        }
    };
    Interest { jobs, targets }
}

/// What running steps close, and what the steps right behind them will: their intention carries a fresh pre-image.
fn near(plan: &Plan, state: &State) -> BTreeSet<ServiceIndex> {
    let begun = |index: &StepIndex| {
        state.steps.get(*index).is_some_and(|step| matches!(step.work, Work::Running { .. } | Work::Done { .. }))
    };
    let is_near = |index: StepIndex| match state.steps.get(index).map(|step| &step.work) {
        Some(Work::Running { .. }) => true,
        Some(Work::Waiting) => predecessors(&plan.steps, index).iter().all(begun),
        Some(Work::Done { .. } | Work::Failed { .. }) | None => false,
    };
    let near = plan.steps.iter().enumerate().filter(|(index, _)| is_near(*index));
    near.flat_map(|(_, step)| step.closes().iter().copied()).collect()
}
