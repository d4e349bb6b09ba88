//! What the engine asks of the shell.
//!
//! Out: [`Decision`]. Invariants: every decision has a reason; commands may be repeated without harm; a decision that waits says
//! until when. Not here: how a command is carried out.

use jiff::Timestamp;

use crate::model::phase::Phase;
use crate::model::plan::{ServiceIndex, StepIndex};

use super::facts::JobKey;
use super::journal::Entry;

/// The engine's whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// To be seen in the ledger before any command leaves.
    pub events: Vec<Entry>,
    /// What to do once the events are there, in this order.
    pub commands: Vec<Command>,
    /// When to ask again at the latest; none when only a change in the world matters.
    pub wake: Option<Wake>,
    /// The state in one sentence.
    pub why: String,
    /// Where the night is, after the events.
    pub phase: Phase,
    /// Why the night does not begin though its time has come; none when nothing holds it.
    pub start_held: Vec<Hold>,
}

/// What keeps a night from beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Of which kind.
    pub what: Held,
    /// As a sentence for people.
    pub why: String,
}

/// The kinds of holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The API server's clock is not known well enough.
    ClockNotBounded,
    /// The dead man's switch is not ready.
    SwitchNotReady,
}

/// A moment to ask again, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub at: Timestamp,
    /// What becomes due.
    pub why: String,
}

/// One thing to do. Targets and Jobs are those of the frozen plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Freeze pre-images, create Jobs, stamp tokens, read back.
    Arm,
    /// Forward: change one service's targets as its closing says; no write may still be alive after `not_after`.
    Close {
        /// Which.
        service: ServiceIndex,
        /// The turn-back moment this creates: the time fence.
        not_after: Timestamp,
    },
    /// Forward: change a step's object; no write may still be alive after `not_after`.
    Change {
        /// Which step.
        step: StepIndex,
        /// The turn-back moment this creates: the time fence.
        not_after: Timestamp,
    },
    /// Look whether what a step waits for is so, and go on looking.
    Check {
        /// Which step.
        step: StepIndex,
    },
    /// Let a Job run. Forward for steps, backward for undos and smoke.
    Release {
        /// Which.
        job: JobKey,
        /// For a step: the time fence.
        not_after: Option<Timestamp>,
    },
    /// Take the right to act from a Job; a running one is stopped by the same write.
    BurnJob {
        /// Which.
        job: JobKey,
        /// To what.
        to: BurnTo,
    },
    /// Take the right to close from a service's targets.
    BurnTargets {
        /// Which.
        service: ServiceIndex,
    },
    /// Take the right to change from a step's object.
    BurnChange {
        /// Which step.
        step: StepIndex,
    },
    /// Take the right to restore from a step's object, for good.
    ExpireChange {
        /// Which step.
        step: StepIndex,
    },
    /// Give a step's object its pre-image again.
    Restore {
        /// Which step.
        step: StepIndex,
    },
    /// After a commit: change a service's targets as its closing says, with nothing else restored.
    CloseAgain {
        /// Which.
        service: ServiceIndex,
    },
    /// Give a service's targets their pre-images again.
    Reopen {
        /// Which.
        service: ServiceIndex,
    },
    /// Change a service's objects as it declared for half-done work, once they have their pre-images.
    Degrade {
        /// Which.
        service: ServiceIndex,
    },
    /// Ask a service whether it answers, and go on asking.
    Probe {
        /// Which.
        service: ServiceIndex,
    },
    /// The end of a Job is recorded: its Pods may go.
    LetGo {
        /// Which.
        job: JobKey,
    },
    /// Take this night's tokens off all targets.
    Disarm,
    /// Make the dead man's switch, or make it again what it was.
    ArmSwitch,
    /// Take the dead man's switch down.
    DisarmSwitch,
}

/// What a Job's token becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BurnTo {
    /// Undo and smoke may be released.
    Back,
    /// Nothing may start.
    Expired,
}
