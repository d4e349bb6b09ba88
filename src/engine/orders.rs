//! What people say during the night, and the answer.
//!
//! In: plan, state, orders among the facts, now. Out: an event for each order, obeyed or refused with the reason. Invariants: an order is
//! answered once; nobody extends a step past the turn-back moment; one person confirms a hold once. Not here: who may give which order.

use jiff::Timestamp;

use crate::model::need::{need, turn_back_at};
use crate::model::plan::{Plan, PlannedAction, PlannedStep};
use crate::model::refusal::Term;
use crate::model::runbook::OnFutile;
use crate::model::span::Span;

use super::Next;
use super::facts::{Ask, CalledOff, Facts, Order};
use super::journal::{Cause, Event};
use super::state::{Direction, State, StepState, Work};
use super::words::{clock, said};

/// The answer to the oldest order that has none.
pub(super) fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    if let Some(called_off) = facts.called_off {
        let cause = match called_off {
            CalledOff::Deleted => Cause::Deleted,
            CalledOff::LedgerChanged => Cause::LedgerChanged,
        };
        return Some((Event::GoingBack { cause }, format!("{}: going back", told(called_off))));
    }
    let order = facts.orders.iter().find(|order| order.at <= now && !state.answered.contains(&order.name))?;
    match &order.ask {
        Ask::TurnBack => {
            let why = format!("{} said to go back", order.by);
            Some((Event::GoingBack { cause: Cause::Ordered { by: order.by.clone() } }, why))
        }
        Ask::Extend { step, until } => Some(extend(plan, state, order, step, *until)),
        Ask::Confirm { step } => Some(confirm(plan, state, order, step)),
        Ask::Reject { step } => Some(match hold_of(plan, state, step) {
            Ok(_) => {
                let why = format!("{} said no to {step}: going back", order.by);
                (Event::GoingBack { cause: Cause::Ordered { by: order.by.clone() } }, why)
            }
            Err(why) => refused(order, Vec::new(), format!("{} said no to {step}, {why}", order.by)),
        }),
        Ask::Hold => Some(match &state.held {
            None => {
                let why = format!("{} said to start no further step; the clock goes on", order.by);
                (Event::Held { order: order.name.clone(), by: order.by.clone() }, why)
            }
            Some(by) => refused(order, Vec::new(), format!("{} asked to hold, which {by} did already", order.by)),
        }),
        Ask::Resume => Some(match &state.held {
            Some(_) => {
                let why = format!("{} said that steps may start again", order.by);
                (Event::Resumed { order: order.name.clone(), by: order.by.clone() }, why)
            }
            None => refused(order, Vec::new(), format!("{} asked to resume what nobody holds", order.by)),
        }),
    }
}

fn refused(order: &Order, sum: Vec<Term>, why: String) -> (Event, String) {
    (Event::OrderRefused { order: order.name.clone(), by: order.by.clone(), sum }, why)
}

/// The state of a hold that waits for people; or why there is none, in words.
fn hold_of<'a>(plan: &Plan, state: &'a State, name: &str) -> Result<&'a StepState, &'static str> {
    let step = plan.step_named(name).and_then(|(index, planned)| Some((planned, state.steps.get(index)?)));
    match step {
        None => Err("which is no step of this night"),
        Some((planned, _)) if !matches!(planned.action, PlannedAction::Hold(_)) => Err("which asks nobody"),
        Some((_, step)) if matches!(step.work, Work::Running { .. }) => Ok(step),
        Some((_, _)) => Err("which is not waiting for anybody"),
    }
}

fn confirm(plan: &Plan, state: &State, order: &Order, name: &str) -> (Event, String) {
    let step = match hold_of(plan, state, name) {
        Ok(step) => step,
        Err(why) => return refused(order, Vec::new(), format!("{} confirmed {name}, {why}", order.by)),
    };
    if step.confirmed_by.contains(&order.by) {
        return refused(order, Vec::new(), format!("{} confirmed {name} already; somebody else has to", order.by));
    }
    let event = Event::Confirmed { step: name.to_owned(), order: order.name.clone(), by: order.by.clone() };
    (event, format!("{} confirmed {name}", order.by))
}

fn told(called_off: CalledOff) -> &'static str {
    match called_off {
        CalledOff::Deleted => "the intervention was deleted",
        CalledOff::LedgerChanged => "plan or ledger were deleted or changed by another hand",
    }
}

/// Why a night does not begin at all: before it has begun, what would turn it back cancels it.
pub(super) fn cancelled(state: &State, facts: &Facts, now: Timestamp) -> Option<String> {
    if let Some(called_off) = facts.called_off {
        return Some(format!("{} before it began", told(called_off)));
    }
    let open = |order: &&Order| order.at <= now && order.ask == Ask::TurnBack && !state.answered.contains(&order.name);
    facts.orders.iter().find(open).map(|order| format!("{} said not to begin", order.by))
}

/// Orders that come after the night has turned are told so (PROTOCOL rule 9, H34); who asked to go back has what was asked for.
pub(super) fn too_late(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    let (what, since, goes_back) = match &state.direction {
        Direction::Back { since, .. } => ("the night is going back since", *since, true),
        Direction::Committed { since } => ("committed at", *since, false),
        Direction::Still | Direction::Forward => return None,
    };
    let is_open = |order: &&Order| {
        let obeyed = goes_back && matches!(order.ask, Ask::TurnBack | Ask::Reject { .. });
        order.at <= now && !obeyed && !state.answered.contains(&order.name)
    };
    let order = facts.orders.iter().find(is_open)?;
    let why = format!("{} asked too late: {what} {}", order.by, clock(plan, since));
    Some((Event::OrderRefused { order: order.name.clone(), by: order.by.clone(), sum: Vec::new() }, why))
}

fn extend(plan: &Plan, state: &State, order: &Order, step: &str, until: Timestamp) -> (Event, String) {
    let begun = state.so_far();
    let limit = turn_back_at(plan, begun);
    let sum = need(plan, begun).sum_from(until, plan.deadline.must_serve_by);
    let refused = |why: String| refused(order, sum.clone(), why);
    let work = plan.step_named(step).and_then(|(index, planned)| Some((planned, &state.steps.get(index)?.work)));
    let Some((planned, Work::Running { hard_cap_at, .. })) = work else {
        return refused(format!("{} asked for more time for step {step}, which is not running", order.by));
    };
    if until > limit {
        return refused(format!(
            "{} asked for {}, past the turn-back moment {}: {}",
            order.by,
            clock(plan, until),
            clock(plan, limit),
            said(plan, &sum)
        ));
    }
    if until <= *hard_cap_at {
        return refused(format!(
            "{} asked for {}, which is not past the hard cap that holds already",
            order.by,
            clock(plan, until)
        ));
    }
    let event = Event::Extended { step: step.to_owned(), until, order: order.name.clone(), by: order.by.clone() };
    (event, format!("{} gave step {step} until {}{}", order.by, clock(plan, until), warning(plan, state, planned, until)))
}

/// "beyond `finishBy` only with the warning" (DESIGN §1, hard cap).
fn warning(plan: &Plan, state: &State, step: &PlannedStep, until: Timestamp) -> String {
    if until <= step.finish_by {
        return String::new();
    }
    let all = plan.steps.iter().enumerate().fold(state.begun(plan), |begun, (index, _)| begun.with(plan, index));
    let left = Span::between(until, turn_back_at(plan, &all));
    let then = match step.on_futile {
        OnFutile::TurnBack => "the night will turn back when this step ends",
        OnFutile::Continue => "the night goes on as far as its gates allow",
    };
    let fits = if left.is_zero() {
        "the work will not fit: the later steps have no time left".to_owned()
    } else {
        format!("the work will not fit unless the later steps take ≤ {left}")
    };
    format!("; the way back holds; {fits}: {then}")
}
