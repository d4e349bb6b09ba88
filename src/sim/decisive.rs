//! The step that decides: which one would have had to keep its budget for the work to be finished.
//!
//! In: plan, the world of a night that turned back, where it led. Out: the step, when one alone made the difference. Invariant: a bounded
//! number of nights is played for each that turned back. Not here: how often ([`super::nights`]).

use std::sync::Arc;

use crate::engine::state::Work;
use crate::engine::{State, Tables};
use crate::model::plan::{Plan, StepIndex};
use crate::model::span::Span;

use super::nights::ends_by;
use super::play::is_finished;
use super::world::{Run, World};

/// So many steps are tried, those first that were furthest beyond their budget.
const TRIED_MAX: usize = 3;

/// How far a step was from keeping its budget: what fails or hangs was never going to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Excess {
    By(Span),
    Without,
}

/// The step without whose excess the same night would have been finished.
pub(super) fn decisive(plan: &Plan, tables: &Arc<Tables>, world: &World, state: &State) -> Option<StepIndex> {
    let mut beyond: Vec<(Excess, StepIndex)> =
        (0..plan.steps.len()).filter_map(|step| Some((excess(plan, world, state, step)?, step))).collect();
    beyond.sort_unstable_by(|(one, left), (other, right)| other.cmp(one).then(left.cmp(right)));
    beyond.into_iter().take(TRIED_MAX).map(|(_, step)| step).find(|&step| is_finished_without(plan, tables, world, step))
}

/// None for a step that kept its budget, or never began.
fn excess(plan: &Plan, world: &World, state: &State, step: StepIndex) -> Option<Excess> {
    let (planned, so_far) = plan.steps.get(step).zip(state.steps.get(step))?;
    if so_far.work == Work::Waiting {
        return None;
    }
    match world.step(plan, step) {
        Run::Ends { after } => (after > planned.budget).then(|| Excess::By(after.less(planned.budget))),
        Run::Fails { .. } | Run::Hangs => Some(Excess::Without),
    }
}

fn is_finished_without(plan: &Plan, tables: &Arc<Tables>, world: &World, step: StepIndex) -> bool {
    let mut better = world.clone();
    if let (Some(run), Some(planned)) = (better.steps.get_mut(step), plan.steps.get(step)) {
        *run = Run::Ends { after: planned.budget };
    }
    is_finished(plan, tables, &better, ends_by(plan))
}
