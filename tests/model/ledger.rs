//! The ledgers that can come about, each once: a number in the model's state stands for a whole journal.
//!
//! Two journals that fold to the same state, but for what `decide` never looks at again (when a step began once the night has turned, why it
//! turned), are one ledger. A ledger only grows, so that the same number is the same head: the compare-and-set of
//! src/operator/effects/ledger.rs (`append`) compares numbers.

#![allow(clippy::disallowed_types, reason = "it is asked by key and never gone through")]

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use notturno::engine::journal::Cause;
use notturno::engine::state::{Direction, Running, ServiceState, Work};
use notturno::engine::{Entry, Event, Interest, State, interest};
use notturno::model::phase::Phase;
use notturno::model::plan::Plan;

/// The number of a ledger.
pub type Ledger = u32;

/// Which way the night goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    Still,
    Forward,
    Back,
    Committed,
}

/// What is known of a ledger.
#[derive(Debug)]
pub struct Page {
    pub entries: Vec<Entry>,
    pub state: State,
    pub interest: Interest,
    pub phase: Phase,
    pub turned: Turned,
    pub epoch: u8,
    /// Takeovers that it shows.
    pub takeovers: u8,
}

impl Page {
    fn of(plan: &Plan, entries: Vec<Entry>, state: State) -> Self {
        let turned = match state.direction {
            Direction::Still => Turned::Still,
            Direction::Forward => Turned::Forward,
            Direction::Back { .. } => Turned::Back,
            Direction::Committed { .. } => Turned::Committed,
        };
        let takeovers = entries.iter().filter(|entry| matches!(entry.event, Event::TakenOver { .. })).count();
        Self {
            interest: interest(plan, &state),
            phase: state.phase(plan),
            turned,
            epoch: u8::try_from(state.epoch.0).expect("few epochs"),
            takeovers: u8::try_from(takeovers).expect("few takeovers"),
            entries,
            state,
        }
    }

    pub fn is_over(&self) -> bool {
        self.state.outcome.is_some()
    }
}

/// All that came about so far.
#[derive(Debug, Default)]
pub struct Shelf(RwLock<Shelved>);

#[derive(Debug, Default)]
struct Shelved {
    pages: Vec<Arc<Page>>,
    numbers: HashMap<String, Ledger>,
}

impl Shelf {
    pub fn page(&self, ledger: Ledger) -> Arc<Page> {
        Arc::clone(&self.0.read().expect("nobody panics with it").pages[ledger as usize])
    }

    pub fn len(&self) -> usize {
        self.0.read().expect("nobody panics with it").pages.len()
    }

    /// The ledger with nothing but these entries.
    pub fn begin(&self, plan: &Plan, entries: Vec<Entry>) -> Ledger {
        let state = State::fold(plan, &entries);
        self.shelve(Page::of(plan, entries, state))
    }

    /// The ledger that this one becomes.
    pub fn append(&self, plan: &Plan, ledger: Ledger, events: &[Entry]) -> Ledger {
        let page = self.page(ledger);
        let (mut entries, mut state) = (page.entries.clone(), page.state.clone());
        for event in events {
            state.apply(plan, event);
            entries.push(event.clone());
        }
        self.shelve(Page::of(plan, entries, state))
    }

    fn shelve(&self, page: Page) -> Ledger {
        let key = format!("{:?}", essence(&page.state));
        let mut shelved = self.0.write().expect("nobody panics with it");
        if let Some(known) = shelved.numbers.get(&key) {
            return *known;
        }
        let number = Ledger::try_from(shelved.pages.len()).expect("few ledgers");
        shelved.pages.push(Arc::new(page));
        shelved.numbers.insert(key, number);
        number
    }
}

/// What `decide` still asks of a state: moments that it never compares any more are put to nought.
fn essence(state: &State) -> State {
    const NEVER: Timestamp = Timestamp::UNIX_EPOCH;
    let mut state = state.clone();
    if matches!(state.direction, Direction::Still | Direction::Forward) {
        // Going forward, only the turn-back moment is due.
        state.progress_at = None;
    }
    let has_turned = match &mut state.direction {
        Direction::Back { cause, since } => {
            (*cause, *since) = (Cause::Futile, NEVER);
            true
        }
        Direction::Committed { since } => {
            *since = NEVER;
            true
        }
        Direction::Still | Direction::Forward => false,
    };
    for step in &mut state.steps {
        match &mut step.work {
            Work::Running { since, hard_cap_at, overrun } if has_turned => {
                (*since, *hard_cap_at, *overrun) = (NEVER, NEVER, true);
            }
            Work::Done { since, at } | Work::Failed { since, at, .. } if has_turned => (*since, *at) = (NEVER, NEVER),
            _ => {}
        }
        match &mut step.undo {
            Running::Since { at, overrun: true, .. }
            | Running::Done { at }
            | Running::Failed { at }
            | Running::Expired { at, .. } => {
                *at = NEVER;
            }
            Running::Waiting | Running::Since { overrun: false, .. } => {}
        }
    }
    for service in &mut state.services {
        match service {
            ServiceState::Closed { since } | ServiceState::HeldClosed { since, .. } => *since = NEVER,
            ServiceState::Opened { at, .. } => *at = NEVER,
            _ => {}
        }
    }
    state.reopening_since = state.reopening_since.map(|_| NEVER);
    state
}
