//! Plays one night against one world, from moment to moment.
//!
//! In: plan, world, until when. Out: the journal and where it leads. Invariants: between two moments nothing happens, so none is looked
//! at; at each the engine is asked until it has nothing more to say; the end comes after a bounded number of questions, whatever the world.
//! Not here: what is decided ([`crate::engine`]), what the world does ([`super::doing`]).

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::state::Direction;
use crate::engine::{Decision, Entry, Event, Facts, State, Tables, proceed};
use crate::model::epoch::Epoch;
use crate::model::plan::Plan;
use crate::model::span::{Span, before};

use super::doing::Doing;
use super::world::{Death, World};

/// A night is accepted and armed so long before its start.
const ARMED_BEFORE: Span = Span::minutes(60);
/// Questions that are put to the engine in a night, whatever its size.
const QUESTIONS_MIN: usize = 20_000;
/// More of them for each step and each service.
const QUESTIONS_EACH: usize = 200;

/// A night that was played.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// What happened, in order.
    pub journal: Vec<Entry>,
    /// Where that leads.
    pub state: State,
}

/// Plays a night until it is over or nothing more happens before `until`.
#[must_use]
pub fn play(plan: &Plan, world: &World, until: Timestamp) -> Played {
    play_with(plan, &Arc::default(), world, until, Upto::Whole, &mut |_, _, _, _| {})
}

/// Where a night leads, for whoever plays many of one plan and reads none.
pub(super) fn play_tersely(plan: &Plan, tables: &Arc<Tables>, world: &World, until: Timestamp) -> State {
    play_with(plan, tables, world, until, Upto::End, &mut |_, _, _, _| {}).state
}

/// The same, before the eyes of `see`: journal, facts, now, and what was decided on them.
pub fn play_before(
    plan: &Plan,
    world: &World,
    until: Timestamp,
    see: &mut impl FnMut(&[Entry], &Facts, Timestamp, &Decision),
) -> Played {
    play_with(plan, &Arc::default(), world, until, Upto::Whole, see)
}

/// Whether the work is finished in this world; a night that turns back is played no further.
pub(super) fn is_finished(plan: &Plan, tables: &Arc<Tables>, world: &World, until: Timestamp) -> bool {
    let state = play_with(plan, tables, world, until, Upto::Turn, &mut |_, _, _, _| {}).state;
    matches!(state.direction, Direction::Committed { .. })
}

/// How far a night is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upto {
    /// Its end, before somebody's eyes.
    Whole,
    /// Its end; what would only be said again is not asked again, and no journal is kept.
    End,
    /// The moment at which it turns, back or committed.
    Turn,
}

fn play_with(
    plan: &Plan,
    tables: &Arc<Tables>,
    world: &World,
    until: Timestamp,
    upto: Upto,
    see: &mut impl FnMut(&[Entry], &Facts, Timestamp, &Decision),
) -> Played {
    let accepted = Event::Accepted { plan_hash: "h".to_owned() };
    let mut now = before(plan.start_at, ARMED_BEFORE);
    let mut journal = vec![Entry { at: now, event: accepted, why: "the plan holds and is frozen".to_owned() }];
    let mut entry_count = journal.len();
    let mut state = State::fold_with(plan, tables, &journal);
    let mut doing = Doing::new(plan, world, now);
    for _ in 0..QUESTIONS_MIN + QUESTIONS_EACH * (plan.steps.len() + plan.services.len()) {
        let mut wake = None;
        if let Some(epoch) = who_asks(world, &state, entry_count, now) {
            doing.asked_by(epoch);
            let decision = proceed(plan, &mut state, &doing.facts, now);
            see(&journal, &doing.facts, now, &decision);
            let is_taken = decision.events.iter().any(|entry| matches!(entry.event, Event::TakenOver { .. }));
            if is_taken {
                doing.age_tokens();
            }
            let is_quiet = decision.events.is_empty();
            let is_asked = decision.commands.iter().any(|command| doing.is_new(command));
            decision.commands.iter().for_each(|command| doing.obey(command, now));
            entry_count += decision.events.len();
            if upto == Upto::Whole {
                journal.extend(decision.events);
            }
            let has_turned = matches!(state.direction, Direction::Back { .. } | Direction::Committed { .. });
            if state.outcome.is_some() && !is_asked || has_turned && upto == Upto::Turn {
                break;
            }
            let is_settled = upto != Upto::Whole && !is_taken && !doing.is_opening();
            if is_asked || !is_quiet && !is_settled {
                doing.observe(&state, now);
                continue;
            }
            wake = decision.wake.map(|wake| wake.at);
        }
        let Some(next) = doing.next_at().into_iter().chain(wake).min().filter(|at| *at <= until) else { break };
        now = next;
        doing.observe(&state, now);
    }
    Played { journal, state }
}

/// Whose eyes look at the night; none while nobody's do. A night that was taken over stays so.
fn who_asks(world: &World, state: &State, entry_count: usize, now: Timestamp) -> Option<Epoch> {
    match &world.death {
        None => Some(Epoch::OPERATOR),
        Some(Death::After(count)) => Some(if entry_count >= *count { Epoch::SENTINELS } else { Epoch::OPERATOR }),
        Some(Death::At { .. }) if state.epoch >= Epoch::SENTINELS => Some(Epoch::SENTINELS),
        Some(Death::At { dies_at, returns_at, has_sentinel }) => {
            let is_dead = now >= *dies_at && returns_at.is_none_or(|at| now < at);
            match (is_dead, has_sentinel) {
                (false, _) => Some(Epoch::OPERATOR),
                (true, true) => Some(Epoch::SENTINELS),
                (true, false) => None,
            }
        }
    }
}
