//! During the night: what to do now.
//!
//! In: the frozen plan, the journal, facts, now. Out: a [`Decision`]: events to record, commands to perform after that, when to ask
//! again, and why. Invariants: pure and total (DESIGN §3, law 1): every input has a decision, there is no error type and no panic;
//! facts up to now are folded before the clock rules. Not here: anything that knows Kubernetes, sockets or clocks.

#![warn(clippy::wildcard_enum_match_arm, reason = "a new event or state has to be thought of wherever one is looked at")]

mod back;
pub mod command;
mod commands;
mod dirty;
pub mod due;
pub mod facts;
mod fold;
mod forward;
pub mod interest;
pub mod journal;
mod orders;
mod outcome;
pub mod phases;
mod progress;
mod reopen;
pub mod state;
pub mod switch;
mod takeover;
mod unrecorded;
mod wake;
pub mod words;

use jiff::Timestamp;

use crate::model::epoch::Epoch;
use crate::model::plan::Plan;

pub use back::STALE_CONTROLLER;
pub use command::{BurnTo, Command, Decision, Wake};
pub use due::{Due, due};
pub use facts::{Facts, JobKey};
pub use interest::{Interest, interest};
pub use journal::{Entry, Event};
pub use progress::Tables;
pub use state::State;
pub use unrecorded::{Believed, Broken, NIGHT_FOR_MAX, believed, torn};

use journal::Cause;
use state::Direction;
use takeover::Part;

/// An event and its reason, for people.
type Next = Option<(Event, String)>;

/// What to record, what to do and when to ask again.
///
/// `now` is API-server time, on the pessimistic side of the measured offset. The caller records all events, sees them in the
/// ledger, and only then performs the commands; with [`Facts::unrecorded`] the commands are those that need no record.
#[must_use]
pub fn decide(plan: &Plan, journal: &[Entry], facts: &Facts, now: Timestamp) -> Decision {
    let mut state = State::fold(plan, journal);
    proceed(plan, &mut state, facts, now)
}

/// The same for whoever keeps the state instead of folding the journal anew: `state` is one entry later for each event that is decided,
/// and stays true only if all of them are recorded.
#[must_use]
pub fn proceed(plan: &Plan, state: &mut State, facts: &Facts, now: Timestamp) -> Decision {
    let known = facts.unrecorded.then(|| state.clone());
    // Whoever only waited has looked at nothing yet, and without a record nothing is asked: beyond the turn they decide nothing.
    let only_turns = facts.unrecorded || takeover::part(state, facts) == Part::Waits;
    let mut events = Vec::new();
    // Each event moves a step or a service forward, and each has a handful of states to pass.
    let bound = 16 + 8 * (plan.steps.len() + plan.services.len());
    while events.len() < bound {
        let Some((event, why)) = next(plan, state, facts, now) else { break };
        let entry = Entry { at: now, event, why };
        let nonsense_count = state.nonsense.len();
        state.apply(plan, &entry);
        if state.nonsense.len() > nonsense_count {
            break;
        }
        // What was seen of its objects was held against other pre-images: nothing follows from it before the next look.
        let captures = matches!(&entry.event, Event::StepIntended { preimages, .. } if !preimages.is_empty());
        events.push(entry);
        if captures {
            break;
        }
        if only_turns && matches!(state.direction, Direction::Back { .. } | Direction::Committed { .. }) {
            break;
        }
    }
    // What was just recorded may have changed who has the night.
    let part = takeover::part(state, facts);
    Decision {
        commands: match &known {
            Some(known) if part == Part::Acts => unrecorded::commands(plan, known, state, facts, now),
            Some(_) => Vec::new(),
            None => commands::commands(plan, state, facts, part, now),
        },
        wake: match part {
            Part::Acts if known.is_some() => {
                let all = [wake::wake(plan, state, facts, now), unrecorded::wake(plan, now)];
                all.into_iter().flatten().min_by_key(|wake| wake.at)
            }
            Part::Acts => wake::wake(plan, state, facts, now),
            Part::Waits => takeover::wake(plan, state, now),
            Part::Reports => None,
        },
        why: state.say(|| match part {
            Part::Acts | Part::Waits => wake::why(plan, state, facts, now),
            Part::Reports => format!("epoch {} has the night: {}", state.epoch, wake::why(plan, state, facts, now)),
        }),
        phase: state.phase(plan),
        start_held: forward::start_held(plan, state, facts, now),
        events,
    }
}

fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    if state.outcome.is_some() || state.plan_hash.is_none() {
        return None;
    }
    match takeover::part(state, facts) {
        Part::Acts => {}
        Part::Waits => return takeover::next(plan, state, facts, now),
        Part::Reports => return None,
    }
    match state.direction {
        // Whoever took a night over goes nowhere but back; one that has not begun is never taken over.
        Direction::Forward if state.epoch > Epoch::OPERATOR => {
            Some((Event::GoingBack { cause: Cause::TakenOver }, "the night was taken over: going back".to_owned()))
        }
        Direction::Still => forward::next_before(plan, state, facts, now),
        Direction::Forward if !state.nonsense.is_empty() => {
            let why = format!("the journal makes no sense: {}; going back", state.nonsense.join("; "));
            Some((Event::GoingBack { cause: Cause::Nonsense }, why))
        }
        Direction::Forward => forward::next(plan, state, facts, now),
        Direction::Back { .. } => back::next(plan, state, facts, now)
            .or_else(|| orders::too_late(plan, state, facts, now))
            .or_else(|| reopen::next(plan, state, facts, now)),
        Direction::Committed { .. } => {
            orders::too_late(plan, state, facts, now).or_else(|| reopen::next(plan, state, facts, now))
        }
    }
}
