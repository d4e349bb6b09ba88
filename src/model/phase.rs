//! Where a night stands and how it ended: the two words that everybody reads first.
//!
//! In: the engine sets them. Out: status, logs, the report. Invariants: a night has an [`Outcome`] exactly when its phase is
//! [`Phase::Finished`]; phases only move as the engine's phase table allows. Not here: that table ([`crate::engine`]), and
//! conditions ([`crate::api`]). `NeedsHuman` stands beside any outcome, so it is a flag and not one of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a night stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Accepted or not yet looked at; nothing of the night exists in the cluster but its plan.
    #[default]
    Pending,
    /// Everything the night needs exists and cannot run yet; waiting for its start.
    Armed,
    /// Going forward.
    Working,
    /// Going back: stopping and undoing.
    TurningBack,
    /// Opening services, wave after wave.
    Reopening,
    /// Everything that may open was opened; proving that it serves.
    Verifying,
    /// Over; see the [`Outcome`].
    Finished,
}

impl Phase {
    /// All of them, in the order of a night.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Armed, Self::Working, Self::TurningBack, Self::Reopening, Self::Verifying, Self::Finished];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Armed => "Armed",
            Self::Working => "Working",
            Self::TurningBack => "TurningBack",
            Self::Reopening => "Reopening",
            Self::Verifying => "Verifying",
            Self::Finished => "Finished",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a night ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The work is done and the services are open.
    Completed,
    /// The work was undone and the services are open in time.
    RolledBack,
    /// Services opened after the moment that was promised.
    ReopenedLate,
    /// It did not take place; nothing was touched.
    Cancelled,
    /// The plan cannot keep the promise; nothing was touched.
    Refused,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Completed, Self::RolledBack, Self::ReopenedLate, Self::Cancelled, Self::Refused];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::RolledBack => "RolledBack",
            Self::ReopenedLate => "ReopenedLate",
            Self::Cancelled => "Cancelled",
            Self::Refused => "Refused",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
