//! What a changed object shows.
//!
//! In: a spot, its object as just read, now. Out: [`Look`]. Invariants: nothing is concluded from what was not read; an object that a step
//! makes counts as out of reach only once no request that could make it is alive. Not here: reading for many ([`super::observe`]).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::engine::facts::ClosingFact;
use crate::model::service::Change;

use super::call::{Answer, CallError, LIMIT};
use super::capture::Preimage;
use super::drain::is_draining;
use super::found::{explained, is_asked};
use super::perform::PerformError;
use super::spots::{Spot, Wish};
use super::targets::is_stale;
use super::token::{Standing, Token, Way};

/// What one object shows.
pub(super) struct Look {
    pub(super) closing: ClosingFact,
    pub(super) burned: bool,
    /// No restoring of it can land any more.
    pub(super) expired: bool,
    pub(super) restored: bool,
    /// It never can be restored, and why.
    pub(super) lost: Option<String>,
    /// What it looks like, where that differs from its pre-image.
    pub(super) preimage: Option<Value>,
}

/// After so long no request of before is alive: its own limit, and as much again for clocks.
const REQUEST_LIVES_FOR: Duration = LIMIT.saturating_mul(2);

/// A restoring tests this night's token, and refuses this one.
fn is_expired(standing: &Standing) -> bool {
    match standing {
        Standing::Own(way) => *way == Way::Expired,
        Standing::Older(token) | Standing::Newer(token) => token.way == Way::Expired,
        Standing::Foreign(_) => true,
        Standing::Missing => false,
    }
}

impl Spot<'_> {
    /// The object; none when it is not there.
    pub(super) async fn read(&self) -> Result<Option<Value>, CallError> {
        match self.tenant.get(&self.path).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => Ok(None),
            other => other.map(Some),
        }
    }

    pub(super) async fn live(&self) -> Result<Option<Value>, PerformError> {
        self.read().await.map_err(|error| PerformError::of(&self.what(), error))
    }

    /// What the object shows.
    pub(super) async fn look(&self, live: Option<&Value>, now: Timestamp) -> Result<Look, CallError> {
        let Some(live) = live else { return Ok(self.look_at_nothing(now)) };
        if self.preimage.is_absent() {
            return self.look_at_made(live, now).await;
        }
        let standing = self.standing(live);
        let recreated = self.is_recreated(live);
        let (fresh, closing) = self.fresh(live, &standing).await?;
        let burned = recreated
            || matches!(
                &standing,
                Standing::Own(Way::Reopen | Way::Expired) | Standing::Newer(Token { way: Way::Reopen | Way::Expired, .. })
            )
            // Forward writes test this night's token, which is not there.
            || (self.planned.wish == Wish::Step && matches!(standing, Standing::Foreign(_)));
        let restored = self.is_restored(live);
        let expired = is_expired(&standing);
        let lost = match standing {
            Standing::Foreign(token) if !restored => Some(format!("{} is claimed by the night {}", self.what(), token.night)),
            Standing::Foreign(_) | Standing::Missing | Standing::Own(_) | Standing::Older(_) | Standing::Newer(_) => None,
        };
        let tell = match self.planned.wish {
            Wish::Closing => closing == ClosingFact::Open,
            Wish::Degraded => false,
            Wish::Step => true,
        };
        let fresh = fresh.filter(|fresh| tell && fresh != self.preimage);
        Ok(Look { closing, burned, expired, restored, lost, preimage: fresh.and_then(|fresh| serde_json::to_value(fresh).ok()) })
    }

    /// The pre-image as it would be now, and how far the change is.
    async fn fresh(&self, live: &Value, standing: &Standing) -> Result<(Option<Preimage>, ClosingFact), CallError> {
        let recreated = self.is_recreated(live);
        let asked = is_asked(&self.planned.change);
        // The API server is asked only while the answer may still matter.
        let fresh = if asked && *standing != Standing::Own(Way::Forward) {
            None
        } else {
            match self.planned.capture(self.tenant, &self.path, live, &self.preimage.resource).await {
                Ok(fresh) => Some(fresh),
                Err(error) if self.is_changed(live) && error.answer().is_some() => None,
                Err(error) if is_stale(&error) || error.answer() == Some(Answer::Other) => {
                    let reason = format!("{}: {}", self.what(), explained(live, &self.planned.change, &error));
                    return Ok((None, ClosingFact::Refused { reason }));
                }
                Err(error) => return Err(error),
            }
        };
        let nothing_to_do = asked && fresh.as_ref().is_some_and(|fresh| fresh.fields.is_empty());
        let closing = match self.may_change(live) {
            _ if !recreated && (self.is_changed(live) || nothing_to_do) => {
                if is_draining(live, self.planned.declared) {
                    ClosingFact::Draining
                } else {
                    ClosingFact::Closed
                }
            }
            Err(PerformError::Refused { what, reason }) if !matches!(standing, Standing::Own(_)) || recreated => {
                ClosingFact::Refused { reason: format!("{what}: {reason}") }
            }
            Err(PerformError::Claimed { what, night }) => {
                ClosingFact::Refused { reason: format!("{what} is claimed by the night {night}") }
            }
            Ok(()) | Err(_) => ClosingFact::Open,
        };
        Ok((fresh, closing))
    }

    fn look_at_nothing(&self, now: Timestamp) -> Look {
        let reason = format!("{} is not there", self.what());
        if self.preimage.is_absent() {
            let out_of_reach = self.is_out_of_reach(now);
            let makes = matches!(&*self.planned.change, Change::Apply { .. });
            let closing = if makes { ClosingFact::Open } else { ClosingFact::Refused { reason } };
            return Look {
                closing,
                burned: out_of_reach,
                expired: out_of_reach,
                restored: out_of_reach,
                lost: None,
                preimage: None,
            };
        }
        let absent = match self.planned.wish {
            Wish::Closing | Wish::Degraded => None,
            Wish::Step => serde_json::to_value(Preimage::absent(&self.preimage.resource)).ok(),
        };
        Look {
            closing: ClosingFact::Refused { reason: reason.clone() },
            burned: true,
            expired: true,
            restored: false,
            lost: Some(reason),
            preimage: absent,
        }
    }

    /// An object where none was when the pre-image was taken.
    async fn look_at_made(&self, live: &Value, now: Timestamp) -> Result<Look, CallError> {
        if self.is_made_here(live) {
            let standing = self.standing(live);
            let burned = !matches!(standing, Standing::Own(Way::Forward) | Standing::Older(_) | Standing::Missing);
            let lost = match standing {
                Standing::Foreign(token) => Some(format!("{} is claimed by the night {}", self.what(), token.night)),
                Standing::Missing | Standing::Own(_) | Standing::Older(_) | Standing::Newer(_) => None,
            };
            let expired = is_expired(&self.standing(live));
            return Ok(Look { closing: ClosingFact::Closed, burned, expired, restored: false, lost, preimage: None });
        }
        let out_of_reach = self.is_out_of_reach(now);
        let fresh = match self.standing(live) {
            Standing::Own(Way::Forward) => {
                self.planned.capture(self.tenant, &self.path, live, &self.preimage.resource).await.ok()
            }
            Standing::Own(_) | Standing::Missing | Standing::Older(_) | Standing::Newer(_) | Standing::Foreign(_) => None,
        };
        let reason = self.may_change(live).err().map(|error| error.to_string()).unwrap_or_default();
        let preimage = fresh.and_then(|fresh| serde_json::to_value(fresh).ok());
        Ok(Look {
            closing: ClosingFact::Refused { reason },
            burned: out_of_reach,
            expired: out_of_reach,
            restored: out_of_reach,
            lost: None,
            preimage,
        })
    }

    /// No request that would make the object can land any more.
    fn is_out_of_reach(&self, now: Timestamp) -> bool {
        let life = SignedDuration::try_from(REQUEST_LIVES_FOR).unwrap_or(SignedDuration::MAX);
        self.turned_at.and_then(|at| at.checked_add(life).ok()).is_some_and(|over_at| now >= over_at)
    }
}
