//! What there is to tell after the night: the operator's ledger and status, and what somebody outside saw.
//!
//! In: the plan and entries read from the ledger, the intervention's status, the prober's book. Out: [`Night`].
//! Invariant: nothing is told that neither the operator wrote nor the prober saw. Not here: text, JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::prober::Seen;
use crate::engine::Entry;
use crate::engine::state::State;
use crate::model::phase::Phase;
use crate::model::plan::Plan;

/// A night that has been played.
#[derive(Debug)]
pub(super) struct Night {
    /// As frozen in the ledger.
    pub plan: Plan,
    /// As recorded in the ledger.
    pub entries: Vec<Entry>,
    /// `Intervention.status`.
    pub status: Value,
    /// Every service of the scene, by name.
    pub seen: BTreeMap<String, Seen>,
}

/// One line of the timeline.
#[derive(Debug)]
pub(in crate::cli) struct Line {
    pub at: Timestamp,
    pub phase: Phase,
    pub step: Option<String>,
    pub what: String,
    pub why: String,
}

impl Night {
    /// The outcome that the operator wrote, or `NeedsHuman` when it wrote none.
    pub(super) fn outcome(&self) -> String {
        let outcome = self.status.get("outcome").and_then(Value::as_str);
        outcome.map_or_else(|| "NeedsHuman".to_owned(), str::to_owned)
    }

    /// When everything was open, as seen from outside; none while something is closed.
    pub(super) fn open_at(&self) -> Option<Timestamp> {
        let all_open = self.seen.values().all(Seen::is_open);
        self.seen.values().filter_map(|seen| seen.open_at).max().filter(|_| all_open)
    }

    /// Whether somebody outside saw every service open at must-serve-by.
    pub(super) fn kept_the_promise(&self) -> bool {
        let deadline = self.plan.deadline.must_serve_by;
        !self.seen.is_empty() && self.seen.values().all(|seen| seen.was_open_at(deadline))
    }

    /// The state of a service as the operator reported it.
    pub(super) fn state_of(&self, name: &str) -> String {
        let services = self.status.get("services").and_then(Value::as_array);
        let is_it = |service: &&Value| {
            let reported = service.get("name").and_then(Value::as_str).unwrap_or_default();
            reported == name || reported.rsplit('/').next() == Some(name)
        };
        let state = services.into_iter().flatten().find(is_it).and_then(|service| service.get("state")?.as_str());
        state.unwrap_or("Unknown").to_owned()
    }

    /// Whether it is open as far as it can be while others that it calls are closed.
    pub(super) fn works_in_part(&self, name: &str) -> bool {
        self.state_of(name) == "Degraded"
    }

    /// The ledger as a timeline.
    pub(super) fn timeline(&self) -> Vec<Line> {
        timeline(&self.plan, &self.entries)
    }
}

/// The ledger as a timeline, each entry with the phase after it.
pub(in crate::cli) fn timeline(plan: &Plan, entries: &[Entry]) -> Vec<Line> {
    let mut state = State::fold(plan, &[]);
    let line = |entry: &Entry| {
        state.apply(plan, entry);
        let step = entry.event.step().map(str::to_owned);
        Line { at: entry.at, phase: state.phase(plan), step, what: entry.event.name(), why: entry.why.clone() }
    };
    entries.iter().map(line).collect()
}
