//! What the shell has seen, as values: the only way in which the world reaches the engine.
//!
//! In: observations. Out: [`Facts`]. Invariants: a fact says what is known, never what is hoped; unknown is a value of its own.
//! Not here: how anything is observed.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::epoch::Epoch;
use crate::model::plan::{Plan, PlannedAction, PlannedUndo, ServiceIndex, StepIndex};
use crate::model::span::Span;

/// Everything that has come to be known since the last decision. What is absent was not looked at, has not answered yet or does not exist;
/// nothing is concluded from it. On the way back a look may have begun before the last write to its object landed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Who asks: the engine decides otherwise for a sentinel than for the operator.
    pub epoch: Epoch,
    /// Whether the night is armed, as far as the shell has got.
    pub arming: Arming,
    /// The Jobs of the night.
    pub jobs: BTreeMap<JobKey, JobFact>,
    /// The services looked at.
    pub services: BTreeMap<ServiceIndex, ServiceFact>,
    /// The objects looked at that steps change.
    pub changes: BTreeMap<StepIndex, ChangeFact>,
    /// What checks that are under way have seen.
    pub checks: BTreeMap<StepIndex, CheckFact>,
    /// Orders of people, oldest first.
    pub orders: Vec<Order>,
    /// The dead man's switch.
    pub switch: SwitchFact,
    /// Why the server's clock is not known well enough to begin a night by it; none when it is.
    pub clock_unbounded: Option<String>,
    /// The ledger has been out of reach for so long that what is decided now is done without a record, as far as that is allowed.
    pub unrecorded: bool,
    /// What calls the night off without an order.
    pub called_off: Option<CalledOff>,
    /// After the end: no token of this night stands on any target.
    pub disarmed: bool,
}

/// What calls a night off without an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledOff {
    /// The intervention is being deleted.
    Deleted,
    /// Plan or ledger are being deleted, or are not what they were.
    LedgerChanged,
}

/// How far arming has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Arming {
    /// Not tried yet, or under way.
    #[default]
    NotYet,
    /// Everything stands and was read back.
    Armed,
    /// It cannot be done as things are; tried again later.
    Impossible {
        /// Why, with every problem.
        reason: String,
    },
}

/// What is known of the dead man's switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SwitchFact {
    /// Nobody asks for one: nothing waits for it.
    #[default]
    NotAsked,
    /// It has not been looked at, or does not answer: nobody knows.
    NotYet {
        /// Why.
        reason: String,
    },
    /// It is not there, not as it was made, or no sentinel of it is ready.
    NotReady {
        /// Which.
        reason: String,
        /// Since when that has been seen.
        since: Timestamp,
    },
    /// It is as it was made.
    Ready {
        /// How many sentinels are ready; one at least.
        count: u32,
    },
    /// After the end: it is not there any more.
    Gone,
}

/// Which Job of the night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobKey {
    /// A step's own.
    Step(StepIndex),
    /// One attempt at a step's undo, from 1.
    Undo(StepIndex, u32),
    /// The verification after undos.
    Smoke,
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {step}"),
            Self::Undo(step, attempt) => write!(f, "undo {step}.{attempt}"),
            Self::Smoke => f.write_str("smoke"),
        }
    }
}

/// Every Job that a plan prepares.
#[must_use]
pub fn jobs(plan: &Plan) -> Vec<JobKey> {
    let mut all = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if matches!(step.action, PlannedAction::Job(_)) {
            all.push(JobKey::Step(index));
        }
        if let PlannedUndo::Job { attempts, .. } = step.undo {
            all.extend((1..=attempts).map(|attempt| JobKey::Undo(index, attempt)));
        }
    }
    all.extend(plan.smoke.iter().map(|_| JobKey::Smoke));
    all
}

/// One Job as seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFact {
    /// The direction in its token.
    pub token: TokenFact,
    /// What its burn proved, when it is burned to `expired`.
    pub burned: Option<Burned>,
    /// When it was burned.
    pub burned_at: Option<Timestamp>,
    /// It is suspended.
    pub suspended: bool,
    /// It has ended.
    pub end: Option<JobEnd>,
    /// Its Pods.
    pub pods: Pods,
    /// A Pod of it still carries our finalizer.
    pub held: bool,
}

/// The token on an object, as far as it concerns this night.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFact {
    /// None, or none of this night.
    #[default]
    Missing,
    /// Forward writes may happen.
    Forward,
    /// Undo and smoke may be released.
    Back,
    /// A target may be restored.
    Reopen,
    /// Nothing may start any more.
    Expired,
    /// An older epoch may still use it: it is to be burned.
    Older,
    /// A newer epoch has it: this one only reports.
    Deposed,
}

/// What a burn proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burned {
    /// It had never been started.
    NeverStarted,
    /// It had been started.
    Started,
    /// It was complete before anybody stopped it.
    Completed,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Complete.
    Complete,
    /// Failed.
    Failed {
        /// What the Job says.
        reason: String,
    },
    /// It is not there any more.
    Vanished,
}

/// What is known of a Job's Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pods {
    /// A quorum read shows none.
    #[default]
    NoneSeen,
    /// Some may run.
    Alive,
    /// All were seen terminal, or never had a node.
    Terminal,
    /// One was lost from sight while it may have run.
    Unknown {
        /// Which and how.
        reason: String,
    },
}

/// One service as seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceFact {
    /// Its targets.
    pub closing: ClosingFact,
    /// Every target bears this night's `reopen` token, or is gone.
    pub burned: bool,
    /// Every target has its pre-image again.
    pub restored: bool,
    /// How far what it declared for half-done work is done.
    pub degraded: ClosingFact,
    /// Pre-images that differ from those taken at arming, by target.
    pub preimages: BTreeMap<String, Value>,
    /// What its probes say.
    pub probes: Probes,
}

/// The object that a step changes, as seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeFact {
    /// How far it is as the step wants it.
    pub change: ClosingFact,
    /// It bears this night's `reopen` token, or is gone.
    pub burned: bool,
    /// It bears this night's `expired` token, or is gone: no restoring of it can land any more.
    pub expired: bool,
    /// It has its pre-image again.
    pub restored: bool,
    /// It cannot be given its pre-image, and trying again will not help.
    pub cannot_restore: Option<String>,
    /// Its pre-image, where that differs from the one taken at arming.
    pub preimages: BTreeMap<String, Value>,
}

/// What a check says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CheckFact {
    /// Nobody has looked yet.
    #[default]
    NotAsked,
    /// It is not so yet.
    Pending {
        /// What was seen last.
        reason: String,
    },
    /// It is so.
    Passed,
    /// It never will be.
    Failed {
        /// Why.
        reason: String,
    },
}

/// How far what was asked of targets is done: a service's closing, what it declared for half-done work, or a step's change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClosingFact {
    /// Not all targets were changed.
    #[default]
    Open,
    /// All targets were changed; what runs behind one has not ended, or is not ready, yet.
    Draining,
    /// All were, and what runs behind them is as it should be.
    Closed,
    /// A target refused, and trying again will not help.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What a service's probes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Probes {
    /// Nobody has asked yet.
    #[default]
    NotAsked,
    /// Not enough good answers in a row yet.
    Red {
        /// The last answer.
        reason: String,
        /// For how long whoever looks has asked by now.
        asked_for: Span,
    },
    /// Enough good answers in a row.
    Green,
}

/// An order of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its unique name.
    pub name: String,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What it asks.
    pub ask: Ask,
}

/// What a person may ask of a night.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Move a running step's hard cap.
    Extend {
        /// Which step.
        step: String,
        /// To when.
        until: Timestamp,
    },
    /// Go back now.
    TurnBack,
    /// Say yes to a hold.
    Confirm {
        /// Which step.
        step: String,
    },
    /// Say no to a hold: go back.
    Reject {
        /// Which step.
        step: String,
    },
    /// Start no further step for now; the clock goes on.
    Hold,
    /// Go on after a hold.
    Resume,
}
