//! The dead man's switch, as the night needs it: when it is armed, what waits for it, when its loss turns the night back.
//!
//! In: plan, state, facts, now. Out: moments and reasons. Invariants: work begins only when every sentinel is ready, and goes forward only
//! while one is; what is not known holds what is new and turns nothing back; the way back never waits for it. Not here: what a sentinel
//! does with the night, how one is made.

use jiff::Timestamp;

use crate::model::need::grace;
use crate::model::plan::Plan;
use crate::model::span::{Span, after, before};

use super::Next;
use super::command::Command;
use super::facts::{Facts, SwitchFact};
use super::journal::{Cause, Event};
use super::state::{Direction, State};

/// How many sentinels a night has.
pub const SENTINEL_COUNT: u32 = 2;
/// How long before the start they are made: long enough to mend what keeps them from being ready, short enough to cost little.
const ARMED_BEFORE: Span = Span::seconds(15 * 60);
/// A Pod that was deleted needs so long to be replaced.
const LOST_FOR_MIN: Span = Span::seconds(10);

/// From when on the switch stands.
#[must_use]
pub fn armed_from(plan: &Plan) -> Timestamp {
    before(plan.start_at, ARMED_BEFORE)
}

/// How long the night may be without the switch before it goes back: the grace, or as long as a Pod needs where that is longer.
#[must_use]
pub fn lost_for_max(plan: &Plan) -> Span {
    grace(plan).max(LOST_FOR_MIN)
}

/// Whether the switch has to stand now.
#[must_use]
pub fn is_wanted(plan: &Plan, state: &State, now: Timestamp) -> bool {
    let has_come = state.direction != Direction::Still || now >= armed_from(plan);
    state.armed && state.outcome.is_none() && has_come
}

/// Why work does not begin for want of the switch.
pub(super) fn holds_start(facts: &Facts) -> Option<String> {
    match &facts.switch {
        SwitchFact::Ready { count } if *count < SENTINEL_COUNT => {
            Some(format!("the dead man's switch is not whole: {count} of {SENTINEL_COUNT} sentinels are ready"))
        }
        SwitchFact::NotAsked | SwitchFact::Ready { .. } => None,
        SwitchFact::NotYet { reason } | SwitchFact::NotReady { reason, .. } => Some(not_ready(reason)),
        SwitchFact::Gone => Some(not_ready("it is not there any more")),
    }
}

/// Why nothing new is begun while the work goes forward.
pub(super) fn holds_work(facts: &Facts) -> Option<String> {
    match &facts.switch {
        SwitchFact::Ready { count: 0 } => Some(not_ready("no sentinel is ready")),
        SwitchFact::NotAsked | SwitchFact::Ready { .. } => None,
        SwitchFact::NotYet { reason } | SwitchFact::NotReady { reason, .. } => Some(not_ready(reason)),
        SwitchFact::Gone => Some(not_ready("it is not there any more")),
    }
}

fn not_ready(reason: &str) -> String {
    format!("the dead man's switch is not ready: {reason}")
}

/// When its loss turns the night back; none while it is not known to be lost.
pub(super) fn lost_at(plan: &Plan, facts: &Facts) -> Option<Timestamp> {
    match &facts.switch {
        SwitchFact::NotReady { since, .. } => Some(after(*since, lost_for_max(plan))),
        SwitchFact::NotAsked | SwitchFact::NotYet { .. } | SwitchFact::Ready { .. } | SwitchFact::Gone => None,
    }
}

/// Without a switch nobody would reopen after the operator's death.
pub(super) fn lost(plan: &Plan, facts: &Facts, now: Timestamp) -> Next {
    lost_at(plan, facts).filter(|at| now >= *at)?;
    let why = holds_work(facts)?;
    Some((Event::GoingBack { cause: Cause::SwitchLost }, format!("{why}, and could not be mended in {}", lost_for_max(plan))))
}

/// Made, or mended, while the night needs it; taken down at its end.
pub(super) fn command(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Option<Command> {
    match &facts.switch {
        SwitchFact::NotYet { .. } | SwitchFact::NotReady { .. } | SwitchFact::Ready { .. } if state.outcome.is_some() => {
            Some(Command::DisarmSwitch)
        }
        SwitchFact::NotReady { .. } => is_wanted(plan, state, now).then_some(Command::ArmSwitch),
        SwitchFact::NotAsked | SwitchFact::Gone | SwitchFact::NotYet { .. } | SwitchFact::Ready { .. } => None,
    }
}
