//! What happened in a night, in order: the truth that everything else is folded from.
//!
//! In: decisions. Out: [`Entry`] values, which the ledger keeps for ever. Invariants: entries are facts in the past tense and are only
//! ever added; they name steps and services, never positions. Not here: hashes and places in the ledger (the operator's).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::epoch::Epoch;
use crate::model::phase::Outcome;
use crate::model::reference::ServiceRef;
use crate::model::refusal::Term;

/// One event, when it was decided, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// Why, as a sentence for people.
    pub why: String,
}

/// What can happen in a night.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The plan holds and is frozen.
    Accepted {
        /// SHA-256 of the plan, hexadecimal.
        plan_hash: String,
    },
    /// Jobs exist, tokens are stamped and read back, pre-images are durable.
    Armed {},
    /// The night began.
    WorkBegun {},
    /// A step is about to act; from here on its services count as dirty or closed.
    StepIntended {
        /// Which.
        step: String,
        /// Services whose data it changes: the dirty mark.
        dirty: Vec<ServiceRef>,
        /// What its targets looked like just before, where that differs from the pre-images taken at arming.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        preimages: BTreeMap<String, Value>,
    },
    /// A step was seen complete, without any stop having been sent.
    StepDone {
        /// Which.
        step: String,
    },
    /// A step was seen to fail.
    StepFailed {
        /// Which.
        step: String,
        /// How.
        reason: String,
    },
    /// A step's budget is gone.
    Overrun {
        /// Which.
        step: String,
    },
    /// People moved a step's hard cap.
    Extended {
        /// Which.
        step: String,
        /// To when.
        until: Timestamp,
        /// The order's name.
        order: String,
        /// Who.
        by: String,
    },
    /// A person said yes to a hold.
    Confirmed {
        /// Which step.
        step: String,
        /// The order's name.
        order: String,
        /// Who.
        by: String,
    },
    /// A person said that no further step starts for now.
    Held {
        /// The order's name.
        order: String,
        /// Who.
        by: String,
    },
    /// A person said that steps may start again.
    Resumed {
        /// The order's name.
        order: String,
        /// Who.
        by: String,
    },
    /// An order of people was not obeyed.
    OrderRefused {
        /// The order's name.
        order: String,
        /// Who.
        by: String,
        /// The sum that does not come out.
        sum: Vec<Term>,
    },
    /// Another epoch acts from now on.
    TakenOver {
        /// Which.
        epoch: Epoch,
    },
    /// The night turned back, for good.
    GoingBack {
        /// The kind of reason.
        cause: Cause,
    },
    /// A step's work is proven to have ended.
    StepStopped {
        /// Which.
        step: String,
        /// How that is known.
        proof: Proof,
    },
    /// An undo may run.
    UndoReleased {
        /// Of which step.
        step: String,
        /// Which of the prepared Jobs, from 1.
        attempt: u32,
    },
    /// An undo was seen complete.
    UndoDone {
        /// Of which step.
        step: String,
        /// Which Job.
        attempt: u32,
    },
    /// An undo was seen to fail.
    UndoFailed {
        /// Of which step.
        step: String,
        /// Which Job.
        attempt: u32,
        /// How.
        reason: String,
    },
    /// An undo's budget is gone; it goes on.
    UndoOverrun {
        /// Of which step.
        step: String,
        /// Which Job.
        attempt: u32,
    },
    /// The verification behind closed doors may run.
    SmokeReleased {},
    /// It passed: what was undone is clean.
    SmokeDone {},
    /// It failed: what was undone stays dirty.
    SmokeFailed {
        /// How.
        reason: String,
    },
    /// The work is finished for good; undos expire.
    Committed {},
    /// Services begin to come back.
    ReopeningBegun {},
    /// A service whose data is half done is to open as it declared: these undos, which reach it, never run again (PROTOCOL rule 16).
    UndosExpired {
        /// Which service.
        service: ServiceRef,
        /// Of which steps, so far as they had not expired already.
        steps: Vec<String>,
    },
    /// These services are being opened, or only asked whether they answer.
    Opening {
        /// Which.
        services: Vec<ServiceRef>,
    },
    /// A service answers its probes.
    Opened {
        /// Which.
        service: ServiceRef,
    },
    /// A service is open as far as it can be while these are closed.
    Degraded {
        /// Which.
        service: ServiceRef,
        /// What it waits for.
        because: Vec<ServiceRef>,
    },
    /// A service stays closed, as it declared, because work on its data is half done.
    HeldClosed {
        /// Which.
        service: ServiceRef,
        /// The steps that left it so.
        through: Vec<String>,
    },
    /// A service's reopening budget is gone and it does not answer yet; it holds nobody else any more.
    OpeningLate {
        /// Which.
        service: ServiceRef,
        /// What the probes say.
        reason: String,
        /// It was not seen as it was before the night, so that it may be closed still, or was not asked for long enough to say anything;
        /// it may be said once more when that is known. Ledgers written before do not say.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shut: bool,
    },
    /// After finished work a service does not answer, and it is to be closed again, as it declared, with nothing restored.
    ClosedAgain {
        /// Which.
        service: ServiceRef,
        /// What the probes say.
        reason: String,
    },
    /// Must-serve-by passed and these were not open.
    DeadlineMissed {
        /// Which.
        services: Vec<ServiceRef>,
    },
    /// The night is over.
    Finished {
        /// How it ended.
        outcome: Outcome,
    },
}

impl Event {
    /// Its name on the wire: `stepDone`.
    #[must_use]
    pub fn name(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value.as_object().and_then(|object| object.keys().next().cloned()).unwrap_or_default()
    }

    /// The step that it is about, when it is about one.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::StepIntended { step, .. }
            | Self::StepDone { step }
            | Self::StepFailed { step, .. }
            | Self::Overrun { step }
            | Self::Extended { step, .. }
            | Self::Confirmed { step, .. }
            | Self::StepStopped { step, .. }
            | Self::UndoReleased { step, .. }
            | Self::UndoDone { step, .. }
            | Self::UndoFailed { step, .. }
            | Self::UndoOverrun { step, .. } => Some(step),
            Self::Accepted { .. }
            | Self::Armed {}
            | Self::WorkBegun {}
            | Self::Held { .. }
            | Self::Resumed { .. }
            | Self::OrderRefused { .. }
            | Self::TakenOver { .. }
            | Self::GoingBack { .. }
            | Self::SmokeReleased {}
            | Self::SmokeDone {}
            | Self::SmokeFailed { .. }
            | Self::Committed {}
            | Self::ReopeningBegun {}
            | Self::UndosExpired { .. }
            | Self::Opening { .. }
            | Self::Opened { .. }
            | Self::Degraded { .. }
            | Self::HeldClosed { .. }
            | Self::OpeningLate { .. }
            | Self::ClosedAgain { .. }
            | Self::DeadlineMissed { .. }
            | Self::Finished { .. } => None,
        }
    }
}

/// The kind of reason for going back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Cause {
    /// It was the last moment.
    TurnBackMoment,
    /// A step outlived its hard cap.
    HardCap {
        /// Which.
        step: String,
    },
    /// A step's budget was gone and its policy says so.
    Overrun {
        /// Which.
        step: String,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: String,
    },
    /// Nobody confirmed a hold in time.
    Silence {
        /// Which step.
        step: String,
    },
    /// What remains cannot fit any more.
    Futile,
    /// A person said so.
    Ordered {
        /// Who.
        by: String,
    },
    /// The intervention was deleted.
    Deleted,
    /// Plan or ledger were deleted or changed by another hand.
    LedgerChanged,
    /// The dead man's switch was lost.
    SwitchLost,
    /// The journal makes no sense.
    Nonsense,
    /// Nothing came from whoever had the night, and it was taken over.
    TakenOver,
}

/// How it is known that a step's work has ended (PROTOCOL rule 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// Its Job was burned while it had never been started; its object was burned while it was as before.
    NeverStarted,
    /// Its Job is burned and every Pod of it was seen terminal; its object is burned.
    Dead,
    /// The same, and its Job was complete before anybody stopped it: what has no way back is not half done.
    Completed,
}
