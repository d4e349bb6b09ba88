//! Carries out what the engine asks.
//!
//! In: a [`Command`] whose intention was seen in the ledger. Out: [`Done`], or an error that says what to do next. Invariants: a command
//! repeated is harmless; what is already as it should be is not written again; looking again after a refusal is bounded.
//! Not here: arming ([`super::arm`]), the dead man's switch ([`super::sentinel`]), and probes, which the caller runs beside the night.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::engine::Command;
use crate::model::epoch::Epoch;
use crate::model::plan::{Plan, ServiceIndex};
use crate::model::reference::Target;

use super::call::{Advice, Answer, CallError, LIMIT};
use super::preimages::Preimages;
use super::sentinel;
use super::spots::{Spot, degraded_spots, planned, spots, step_spot};
use super::tenant::Tenant;
use super::work::Work;

/// How often one object is looked at again when it changes under our hands.
pub(super) const ATTEMPTS_MAX: usize = 5;

/// A command was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many writes that took; none when everything was as it should be.
    pub write_count: u32,
    /// What of others' work a restoring wrote over, in words for people.
    pub overwritten: Vec<String>,
}

impl Done {
    pub(super) fn of(write_count: u32) -> Self {
        Self { write_count, overwritten: Vec::new() }
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum PerformError {
    /// A forward write could still be alive after the turn-back moment: nothing was sent. On change: the night goes back.
    #[error("{what}: a write sent now could land after {not_after}")]
    Fenced {
        /// What was to be written.
        what: String,
        /// The turn-back moment.
        not_after: Timestamp,
    },
    /// A newer epoch has the night: only report from now on. On change.
    #[error("{what}: epoch {epoch} has taken the night over")]
    Deposed {
        /// Where that was seen.
        what: String,
        /// Whose it is.
        epoch: Epoch,
    },
    /// Another night's token stands there: tell a person.
    #[error("{what} is claimed by the night {night}")]
    Claimed {
        /// The object.
        what: String,
        /// The other night's UID.
        night: String,
    },
    /// Trying again will not help: tell a person.
    #[error("{what}: {reason}")]
    Refused {
        /// The object.
        what: String,
        /// Why.
        reason: String,
    },
    /// The object changes faster than it can be written. Retry later.
    #[error("{what} keeps changing")]
    Restless {
        /// The object.
        what: String,
    },
    /// No usable answer. Retry later: look first.
    #[error("{what} is out of reach")]
    Unreached {
        /// The object.
        what: String,
        /// The call.
        #[source]
        source: CallError,
    },
}

impl PerformError {
    /// What a failed call on an object means.
    pub(super) fn of(what: &str, error: CallError) -> Self {
        let what = what.to_owned();
        match error.answer() {
            None | Some(Answer::Busy | Answer::Conflict | Answer::Unauthorized | Answer::Gone) => {
                Self::Unreached { what, source: error }
            }
            Some(
                Answer::NotFound | Answer::AlreadyExists | Answer::Invalid | Answer::Forbidden | Answer::TooLarge | Answer::Other,
            ) => Self::Refused { what, reason: error.story() },
        }
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Fenced { .. } | Self::Deposed { .. } => Advice::OnChange,
            Self::Claimed { .. } | Self::Refused { .. } => Advice::TellAPerson,
            Self::Restless { .. } => Advice::RetryLater,
            Self::Unreached { source, .. } => source.advice(),
        }
    }

    /// Trying again will not help; [`crate::engine::facts::ClosingFact::Refused`] for a closing.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        self.advice() == Advice::TellAPerson
    }
}

/// The time fence (PROTOCOL rule 20): no forward write may be alive after a moment.
pub(super) struct Fence {
    not_after: Option<Timestamp>,
    now: Timestamp,
    since: Instant,
}

impl Fence {
    fn new(not_after: Option<Timestamp>, now: Timestamp) -> Self {
        Self { not_after, now, since: Instant::now() }
    }

    /// Whether a write sent now is over in time.
    pub(super) fn check(&self, what: &str) -> Result<(), PerformError> {
        let Some(not_after) = self.not_after else { return Ok(()) };
        let life = SignedDuration::try_from(self.since.elapsed() + LIMIT).unwrap_or(SignedDuration::MAX);
        let over_at = self.now.checked_add(life).unwrap_or(Timestamp::MAX);
        if over_at <= not_after { Ok(()) } else { Err(PerformError::Fenced { what: what.to_owned(), not_after }) }
    }
}

/// Carries out one command. `preimages` are those of arming as intentions renewed them ([`Preimages::as_intended`]); `now` is API-server
/// time on the pessimistic side. [`Command::Arm`], [`Command::ArmSwitch`], [`Command::Probe`] and
/// [`Command::Check`] do nothing here.
///
/// # Errors
/// The first of what went wrong; on the way back, what can be done is done all the same.
pub async fn perform(
    tenant: &Tenant,
    plan: &Plan,
    preimages: &Preimages,
    now: Timestamp,
    command: &Command,
) -> Result<Done, PerformError> {
    let work = |job| Work::of(tenant, plan, preimages, job);
    let at = |step| step_spot(tenant, plan, preimages, step);
    let write_count = match command {
        Command::Arm | Command::Probe { .. } | Command::Check { .. } | Command::ArmSwitch => 0,
        Command::DisarmSwitch => sentinel::fall(tenant, plan).await?,
        Command::Change { step, not_after } => at(*step)?.change(&Fence::new(Some(*not_after), now)).await?,
        Command::BurnChange { step } => at(*step)?.burn().await?,
        Command::ExpireChange { step } => at(*step)?.expire().await?,
        Command::Degrade { service } => degrade(tenant, plan, preimages, *service).await?,
        Command::Restore { step } => return at(*step)?.restore().await,
        Command::CloseAgain { service } => close_again(tenant, plan, preimages, *service).await?,
        Command::Close { service, not_after } => {
            close(tenant, plan, preimages, *service, &Fence::new(Some(*not_after), now)).await?
        }
        Command::Release { job, not_after } => work(*job)?.release(&Fence::new(*not_after, now)).await?,
        Command::BurnJob { job, to } => work(*job)?.burn(*to, now).await?,
        Command::LetGo { job } => work(*job)?.let_go().await?,
        Command::BurnTargets { service } => burn(tenant, plan, preimages, *service).await?,
        Command::Reopen { service } => reopen(tenant, plan, preimages, *service).await?,
        Command::Disarm => disarm(tenant, plan, preimages).await?,
    };
    Ok(Done::of(write_count))
}

/// In declared order; the first failure ends it.
async fn close(
    tenant: &Tenant,
    plan: &Plan,
    preimages: &Preimages,
    service: ServiceIndex,
    fence: &Fence,
) -> Result<u32, PerformError> {
    let mut write_count = 0;
    for spot in spots(tenant, plan, preimages, service) {
        write_count += spot?.change(fence).await?;
    }
    Ok(write_count)
}

/// In declared order; what fails on one target holds no other: the service is red, and a person comes anyway.
async fn close_again(tenant: &Tenant, plan: &Plan, preimages: &Preimages, service: ServiceIndex) -> Result<u32, PerformError> {
    let mut tally = Tally::default();
    for spot in spots(tenant, plan, preimages, service) {
        tally.note(match spot {
            Ok(spot) => spot.close_again().await,
            Err(error) => Err(error),
        });
    }
    tally.result()
}

/// Every target is tried, all at once: none waits for another's burn.
async fn burn(tenant: &Tenant, plan: &Plan, preimages: &Preimages, service: ServiceIndex) -> Result<u32, PerformError> {
    let mut spots = spots(tenant, plan, preimages, service);
    spots.extend(degraded_spots(tenant, plan, preimages, service));
    Tally::of(futures::future::join_all(spots.into_iter().map(burn_one)).await)
}

async fn burn_one(spot: Result<Spot<'_>, PerformError>) -> Result<u32, PerformError> {
    spot?.burn().await
}

/// In declared order.
async fn degrade(tenant: &Tenant, plan: &Plan, preimages: &Preimages, service: ServiceIndex) -> Result<u32, PerformError> {
    let spots = degraded_spots(tenant, plan, preimages, service);
    in_order(spots.into_iter().map(|spot| degrade_one(spot, plan)).collect()).await
}

async fn degrade_one(spot: Result<Spot<'_>, PerformError>, plan: &Plan) -> Result<u32, PerformError> {
    spot?.degrade(plan).await
}

/// In reverse order.
async fn reopen(tenant: &Tenant, plan: &Plan, preimages: &Preimages, service: ServiceIndex) -> Result<u32, PerformError> {
    in_order(spots(tenant, plan, preimages, service).into_iter().rev().map(restore_one).collect()).await
}

async fn restore_one(spot: Result<Spot<'_>, PerformError>) -> Result<u32, PerformError> {
    spot?.restore().await.map(|done| done.write_count)
}

/// One after the other. What fails for good is passed over; what may succeed later is waited for, to keep the order.
async fn in_order(tries: Vec<impl Future<Output = Result<u32, PerformError>>>) -> Result<u32, PerformError> {
    let mut tally = Tally::default();
    for one in tries {
        let outcome = one.await;
        let wait = outcome.as_ref().is_err_and(|error| !error.is_for_good());
        tally.note(outcome);
        if wait {
            break;
        }
    }
    tally.result()
}

/// Also of a night whose arming was interrupted, when no pre-image is there yet.
async fn disarm(tenant: &Tenant, plan: &Plan, preimages: &Preimages) -> Result<u32, PerformError> {
    let mut targets: BTreeMap<&Target, Option<&str>> = BTreeMap::new();
    for planned in planned(plan) {
        let known = preimages.targets.get(&planned.key).map(|preimage| preimage.resource.as_str());
        targets.insert(planned.target, known);
    }
    let one = |(target, resource)| super::targets::disarm(tenant, &plan.uid, target, resource);
    Tally::of(futures::future::join_all(targets.into_iter().map(one)).await)
}

/// Writes so far, and the first failure.
#[derive(Default)]
struct Tally {
    write_count: u32,
    failure: Option<PerformError>,
}

impl Tally {
    fn of(outcomes: Vec<Result<u32, PerformError>>) -> Result<u32, PerformError> {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.note(outcome);
        }
        tally.result()
    }

    fn note(&mut self, outcome: Result<u32, PerformError>) {
        match outcome {
            Ok(write_count) => self.write_count += write_count,
            Err(error) => self.failure = self.failure.take().or(Some(error)),
        }
    }

    fn result(self) -> Result<u32, PerformError> {
        self.failure.map_or(Ok(self.write_count), Err)
    }
}
