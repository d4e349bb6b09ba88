//! Many nights: what a supposition comes to when it is played again and again.
//!
//! In: plan, scenario, how many, seed. Out: [`Nights`]: counts, when doors were open, which step decides. Invariants: every night is
//! counted under exactly one end; the same arguments give the same numbers in every process; time grows with the number of nights,
//! and memory by one moment for each. Not here: text (the command line), one night's course ([`super::play`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::journal::Cause;
use crate::engine::state::{Direction, ServiceState};
use crate::engine::{State, Tables};
use crate::model::phase::Outcome;
use crate::model::plan::{Plan, StepIndex};
use crate::model::span::{Span, after};

use super::decisive::decisive;
use super::draw::draw;
use super::play::{Played, play, play_tersely};
use super::scenario::Scenario;
use super::world::World;

/// The most nights of one question.
pub const NIGHTS_MAX: u64 = 1_000_000;
/// So long after must-serve-by a night is left alone: who is closed then stays so without a person.
const LEFT_AFTER: Span = Span::minutes(12 * 60);

/// What many nights came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nights {
    /// How many were played.
    pub count: u64,
    /// The work was finished.
    pub finished: u64,
    /// The work was turned back.
    pub turned_back: u64,
    /// The work never began.
    pub not_begun: u64,
    /// The work neither ended nor turned: nobody was there.
    pub stuck: u64,
    /// Of all of them, those that closed something and did not have everything open by must-serve-by.
    pub late: u64,
    /// Of all of them, those that needed a person in the end.
    pub needs_human: u64,
    /// How they ended, by outcome; none for those that did not.
    pub outcomes: BTreeMap<Option<Outcome>, u64>,
    /// Why they turned back.
    pub causes: BTreeMap<Why, u64>,
    /// When everything was open again, sorted; one for each night that closed something.
    pub open_at: Vec<Opened>,
    /// In how many of those that turned back this step alone made the difference: had it kept its budget, the work would have been
    /// finished.
    pub decisive: BTreeMap<StepIndex, u64>,
    /// In how many of those that turned back no step alone did.
    pub none_decisive: u64,
    /// The night that was open last, by its number, and when.
    pub worst: Option<(u64, Opened)>,
}

/// When everything was open again; what never was comes after all moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opened {
    /// At this moment.
    At(Timestamp),
    /// Not as long as anybody looked.
    Never,
}

/// A kind of reason for going back, and the step where one is to blame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Why {
    /// `hard-cap`, `futile`, …
    pub kind: &'static str,
    /// Which step.
    pub step: Option<String>,
}

/// One night of a supposition: its world, and how it went.
#[must_use]
pub fn one(plan: &Plan, scenario: &Scenario, seed: u64, night: u64) -> (World, Played) {
    let world = draw(plan, scenario, seed, night);
    let played = play(plan, &world, ends_by(plan));
    (world, played)
}

/// When a night is left alone.
#[must_use]
pub fn ends_by(plan: &Plan) -> Timestamp {
    after(plan.deadline.must_serve_by, LEFT_AFTER)
}

/// Plays `count` nights, from number 1 on.
#[must_use]
pub fn nights(plan: &Plan, scenario: &Scenario, count: u64, seed: u64) -> Nights {
    let mut all = Nights::default();
    let tables = Arc::new(Tables::terse());
    for night in 1..=count {
        let world = draw(plan, scenario, seed, night);
        let state = play_tersely(plan, &tables, &world, ends_by(plan));
        all.add(plan, &tables, night, &world, &state);
    }
    all.open_at.sort_unstable();
    all
}

impl Nights {
    fn add(&mut self, plan: &Plan, tables: &Arc<Tables>, night: u64, world: &World, state: &State) {
        self.count += 1;
        *self.outcomes.entry(state.outcome).or_default() += 1;
        self.needs_human += u64::from(state.needs_human());
        match &state.direction {
            Direction::Still => return self.not_begun += 1,
            Direction::Forward => self.stuck += 1,
            Direction::Committed { .. } => self.finished += 1,
            Direction::Back { cause, .. } => {
                self.turned_back += 1;
                *self.causes.entry(why(cause)).or_default() += 1;
                match decisive(plan, tables, world, state) {
                    Some(step) => *self.decisive.entry(step).or_default() += 1,
                    None => self.none_decisive += 1,
                }
            }
        }
        let Some(opened) = opened(plan, state) else { return };
        self.late += u64::from(opened > Opened::At(plan.deadline.must_serve_by));
        self.open_at.push(opened);
        if self.worst.is_none_or(|(_, worst)| opened > worst) {
            self.worst = Some((night, opened));
        }
    }

    /// The earliest moment by which so many in a hundred of the nights that closed something had everything open: the nearest rank.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<Opened> {
        let closed = u64::try_from(self.open_at.len()).ok()?;
        let rank = (closed * percent.min(100)).div_ceil(100).max(1);
        self.open_at.get(usize::try_from(rank - 1).ok()?).copied()
    }
}

/// The work was done or undone, and every service was open by must-serve-by.
#[must_use]
pub fn is_in_time(state: &State) -> bool {
    let ended_well = match state.outcome {
        Some(Outcome::Completed | Outcome::RolledBack) => true,
        Some(Outcome::ReopenedLate | Outcome::Cancelled | Outcome::Refused) | None => false,
    };
    ended_well && !state.deadline_missed
}

/// When everything was open again; none where nothing was closed, or asked whether it answers.
#[must_use]
pub fn opened(plan: &Plan, state: &State) -> Option<Opened> {
    let each = plan.services.iter().zip(&state.services).filter_map(|(planned, service)| match service {
        ServiceState::Open => None,
        ServiceState::Opened { at, .. } => Some(Opened::At(*at)),
        // From then on it counts as open in part, as it declared.
        ServiceState::Opening { since, tolerated: true, .. } => Some(Opened::At(after(*since, planned.reopen_budget))),
        ServiceState::Closed { .. }
        | ServiceState::Opening { tolerated: false, .. }
        | ServiceState::Expiring { .. }
        | ServiceState::ClosingAgain { .. }
        | ServiceState::Degraded { .. }
        | ServiceState::HeldClosed { .. } => Some(Opened::Never),
    });
    each.max()
}

fn why(cause: &Cause) -> Why {
    let (kind, step) = match cause {
        Cause::TurnBackMoment => ("turn-back-moment", None),
        Cause::HardCap { step } => ("hard-cap", Some(step)),
        Cause::Overrun { step } => ("overrun", Some(step)),
        Cause::StepFailed { step } => ("step-failed", Some(step)),
        Cause::Silence { step } => ("silence", Some(step)),
        Cause::Futile => ("futile", None),
        Cause::Ordered { .. } => ("ordered", None),
        Cause::Deleted => ("deleted", None),
        Cause::LedgerChanged => ("ledger-changed", None),
        Cause::SwitchLost => ("switch-lost", None),
        Cause::Nonsense => ("nonsense", None),
        Cause::TakenOver => ("taken-over", None),
    };
    Why { kind, step: step.cloned() }
}
