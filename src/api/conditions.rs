//! Where a night stands → conditions, as kstatus, `kubectl wait` and Jobs have them (DESIGN §2).
//!
//! In: phase, outcome, the sentence that explains them, and the conditions that are written already. Out: all five conditions.
//! Invariants: a condition whose status did not change keeps its `lastTransitionTime`, so that an unchanged night writes nothing;
//! all carry the generation they are about. What is not here: the clock (`now` is an argument).
//!
//! | night | Ready | Reconciling | Stalled | Complete | Failed |
//! |---|---|---|---|---|---|
//! | Pending, Armed | True | False | False | False | False |
//! | Working … Verifying | Unknown | True | False | False | False |
//! | Completed, Cancelled | True | False | False | True | False |
//! | `RolledBack`, `ReopenedLate` | False | False | False | False | True |
//! | Refused | False | False | True | False | True |
//!
//! Whoever needs a human is Stalled too, whatever else holds.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::model::phase::{Outcome, Phase};

/// What conditions are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Where the night stands.
    pub phase: Phase,
    /// How it ended; it decides even where the phase is not yet Finished.
    pub outcome: Option<Outcome>,
    /// Whether a person has to act.
    pub needs_human: bool,
    /// The sentence for people.
    pub why: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One row of the table above.
struct Row {
    ready: Status,
    reconciling: Status,
    stalled: Status,
    complete: Status,
    failed: Status,
}

fn row(standing: Standing<'_>) -> Row {
    use Status::{False, True, Unknown};
    let still = Row { ready: True, reconciling: False, stalled: False, complete: False, failed: False };
    let row = match (standing.outcome, standing.phase) {
        (Some(Outcome::Completed | Outcome::Cancelled), _) => Row { complete: True, ..still },
        (Some(Outcome::RolledBack | Outcome::ReopenedLate), _) => Row { ready: False, failed: True, ..still },
        (Some(Outcome::Refused), _) => Row { ready: False, failed: True, stalled: True, ..still },
        (None, Phase::Pending | Phase::Armed) => still,
        (None, Phase::Working | Phase::TurningBack | Phase::Reopening | Phase::Verifying) => {
            Row { ready: Unknown, reconciling: True, ..still }
        }
        // Over, and nobody has said how: nothing may call that complete.
        (None, Phase::Finished) => Row { ready: Unknown, ..still },
    };
    if standing.needs_human { Row { stalled: True, ..row } } else { row }
}

/// The conditions of a night.
#[must_use]
pub fn conditions(standing: Standing<'_>, generation: i64, now: Timestamp, written: &[Condition]) -> Vec<Condition> {
    let Row { ready, reconciling, stalled, complete, failed } = row(standing);
    let reason = standing.outcome.map_or(standing.phase.as_str(), Outcome::as_str);
    let stalled_for = if standing.needs_human { "NeedsHuman" } else { reason };
    let condition = |kind: &str, status: Status, reason: &str| Condition {
        type_: kind.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: standing.why.to_owned(),
        last_transition_time: Time(since(written, kind, status).unwrap_or(now)),
        observed_generation: Some(generation),
    };
    vec![
        condition("Ready", ready, reason),
        condition("Reconciling", reconciling, reason),
        condition("Stalled", stalled, stalled_for),
        condition("Complete", complete, reason),
        condition("Failed", failed, reason),
    ]
}

fn since(written: &[Condition], kind: &str, status: Status) -> Option<Timestamp> {
    let same = written.iter().find(|condition| condition.type_ == kind && condition.status == status.as_str());
    same.map(|condition| condition.last_transition_time.0)
}
