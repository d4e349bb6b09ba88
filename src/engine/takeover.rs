//! Who may act: the epoch that the ledger shows, and when a sentinel takes it (PROTOCOL rules 17 to 19).
//!
//! In: plan, state, whose eyes, now. Out: the takeover, or whether somebody only waits or only reports. Invariants: one takeover for both
//! sentinels, and none twice; a night that has not begun is nobody's to take; whoever is deposed records nothing, and commands nothing but
//! the switch. Not here: when progress is due ([`super::due`]), what the taken night does ([`super::back`], [`super::reopen`]).

use jiff::Timestamp;

use crate::model::need::grace;
use crate::model::plan::{Plan, PlannedStep};
use crate::model::span::{Span, after};

use super::Next;
use super::command::Wake;
use super::due::due;
use super::facts::Facts;
use super::journal::Event;
use super::state::{Direction, State};
use super::words::clock;

/// What somebody may do just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The night is theirs.
    Acts,
    /// It is another's, and may become theirs.
    Waits,
    /// It was theirs.
    Reports,
}

/// The part of whoever has these facts.
pub(super) fn part(state: &State, facts: &Facts) -> Part {
    match facts.epoch.cmp(&state.epoch) {
        std::cmp::Ordering::Equal => Part::Acts,
        std::cmp::Ordering::Greater => Part::Waits,
        std::cmp::Ordering::Less => Part::Reports,
    }
}

/// The takeover, once progress has been due for longer than the grace.
pub(super) fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    let due = due(plan, state)?;
    let grace = grace(plan);
    (now >= after(due.at, grace)).then(|| {
        let why = format!(
            "{} was due by {} and nothing came within {grace} more: the night is taken over",
            due.what,
            clock(plan, due.at)
        );
        (Event::TakenOver { epoch: facts.epoch }, why)
    })
}

/// Whoever ended the night has had a grace to take its tokens away.
pub(super) fn is_left_over(plan: &Plan, state: &State, now: Timestamp) -> bool {
    state.outcome.is_some() && state.progress_at.is_some_and(|at| now >= after(at, grace(plan)))
}

/// When a sentinel looks into the ledger again: when progress has been due for too long, or when the ledger may have come to say that
/// something is due earlier. A step begun later has a budget before its turn-back moment (DESIGN §1, gate); a night that turns has two
/// graces.
pub(super) fn wake(plan: &Plan, state: &State, now: Timestamp) -> Option<Wake> {
    if state.outcome.is_some() {
        let at = after(state.progress_at?, grace(plan));
        return (at > now).then(|| Wake { at, why: "tokens that are left".to_owned() });
    }
    let shortest = plan.steps.iter().map(|step: &PlannedStep| step.budget).min().unwrap_or_default();
    let again = after(now, shortest.min(grace(plan) + grace(plan)).max(Span::seconds(1)));
    let again = if state.direction == Direction::Still { again.max(plan.start_at) } else { again };
    let due =
        due(plan, state).map(|due| (after(due.at, grace(plan)), format!("{} was due by {}", due.what, clock(plan, due.at))));
    let (at, why) = due.into_iter().chain([(again, "whether the ledger has moved on".to_owned())]).min()?;
    Some(Wake { at: at.max(after(now, Span::seconds(1))), why })
}
