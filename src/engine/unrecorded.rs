//! The way back without a record: what PROTOCOL rule 22 allows while the ledger is out of reach.
//!
//! In: plan, what was last read of the journal, what follows from it and cannot be recorded, facts, now. Out: what is believed of it, and
//! commands. Invariants:
//! rights are taken back and clean services get their objects again, at the latest at reopen-by, and nothing a day after the doors; no
//! undo is released, nothing is asked, and what may be dirty stays as it is: a commit might stand in what cannot be read. Not here: how
//! long a ledger is out of reach before this holds (the shell's).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::need::reopen_by;
use crate::model::plan::{Plan, PlannedAction, ServiceIndex, StepIndex};
use crate::model::span::{Span, after};

use super::command::{Command, Wake};
use super::facts::{Burned, Facts, JobKey};
use super::journal::{Entry, Event};
use super::state::{Direction, State};
use super::{commands, dirty};

/// How long after its doors a night of which not all is known may still be one: later, what people did since is worth more.
pub const NIGHT_FOR_MAX: Span = Span::minutes(24 * 60);

/// What is left of a journal whose rest is lost: more may have happened, and that the night began has to be thought.
#[must_use]
pub fn torn(plan: &Plan, plan_hash: &str, mut left: Vec<Entry>, why: &str) -> Vec<Entry> {
    let state = State::fold(plan, &left);
    let accepted = || Event::Accepted { plan_hash: plan_hash.to_owned() };
    let begun = [
        state.plan_hash.is_none().then(accepted),
        (!state.armed).then_some(Event::Armed {}),
        (state.direction == Direction::Still).then_some(Event::WorkBegun {}),
    ];
    // Accepted a second time, it makes no sense, which is what it is.
    let events = begun.into_iter().flatten().chain([accepted()]);
    left.extend(events.map(|event| Entry { at: plan.start_at, event, why: why.to_owned() }));
    left
}

/// Why what follows what was read of a journal is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// In words.
    pub why: String,
    /// Something that was recorded may be what is lost.
    pub is_lost: bool,
}

/// A journal as it is decided on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Believed {
    /// Its entries; behind what was read, what makes no sense of a journal that is broken.
    pub entries: Vec<Entry>,
    /// How many of them were read.
    pub read_count: usize,
    /// With what is lost, what may be undone is: only what needs no record is done.
    pub is_torn: bool,
}

/// What is believed of a journal of which `read` was read, `now`. One that says how the night ended is over, whatever was lost before.
#[must_use]
pub fn believed(plan: &Plan, plan_hash: &str, read: &[Entry], broken: Option<&Broken>, now: Timestamp) -> Believed {
    let whole = Believed { entries: read.to_vec(), read_count: read.len(), is_torn: false };
    let is_over = State::fold(plan, read).outcome.is_some();
    let Some(Broken { why, is_lost }) = broken.filter(|_| !is_over) else { return whole };
    // Before its start nothing was closed.
    if *is_lost && now >= plan.start_at {
        return Believed { entries: torn(plan, plan_hash, whole.entries, why), is_torn: true, ..whole };
    }
    // The engine knows no broken chain: it reads a journal that makes no sense, which is what this is.
    let nonsense = Entry { at: now, event: Event::Accepted { plan_hash: plan_hash.to_owned() }, why: why.clone() };
    Believed { entries: [whole.entries, vec![nonsense]].concat(), ..whole }
}

/// When what is clean comes back: whatever is planned to be closed may be closed.
pub(super) fn wake(plan: &Plan, now: Timestamp) -> Option<Wake> {
    let at = reopen_by(plan, &planned(plan));
    (at > now).then(|| Wake { at, why: "what is clean comes back without a record".to_owned() })
}

/// Another replica may have recorded more than was read: whatever the night plans to close may be closed.
fn planned(plan: &Plan) -> BTreeSet<ServiceIndex> {
    (0..plan.services.len()).filter(|&index| plan.services.get(index).is_some_and(|one| one.close_at.is_some())).collect()
}

/// What may be done. `known` is what was read, `state` what follows from it.
pub(super) fn commands(plan: &Plan, known: &State, state: &State, facts: &Facts, now: Timestamp) -> Vec<Command> {
    let goes_back = match state.direction {
        Direction::Back { .. } | Direction::Committed { .. } => state.outcome.is_none(),
        Direction::Still | Direction::Forward => false,
    };
    if !goes_back || now > after(plan.deadline.must_serve_by, NIGHT_FOR_MAX) {
        return Vec::new();
    }
    let mut all = commands::burns(plan, state, facts);
    let planned = planned(plan);
    if now >= reopen_by(plan, &planned) {
        let shut = |index: &ServiceIndex| facts.services.get(index).is_some_and(|fact| fact.burned && !fact.restored);
        let open = planned.into_iter().filter(|index| shut(index) && is_clean(plan, known, facts, *index));
        all.extend(open.map(|service| Command::Reopen { service }));
    }
    all
}

/// Nothing that touches its data ever began, as burns prove; or the journal says that it was undone, and no step can have begun since.
fn is_clean(plan: &Plan, known: &State, facts: &Facts, service: ServiceIndex) -> bool {
    let turned = matches!(known.direction, Direction::Back { .. } | Direction::Committed { .. });
    let told = turned && dirty::through(plan, known, service).is_empty();
    let mut touching = plan.steps.iter().enumerate().filter(|(_, step)| step.touches.contains(&service));
    told || touching.all(|(index, step)| never_began(&step.action, facts, index))
}

fn never_began(action: &PlannedAction, facts: &Facts, index: StepIndex) -> bool {
    match action {
        PlannedAction::Job(_) => facts.jobs.get(&JobKey::Step(index)).is_some_and(|job| job.burned == Some(Burned::NeverStarted)),
        PlannedAction::Change(_) => facts.changes.get(&index).is_some_and(|fact| fact.burned && fact.restored),
        PlannedAction::Close { .. } | PlannedAction::Check(_) | PlannedAction::Hold(_) | PlannedAction::Notify { .. } => true,
    }
}
