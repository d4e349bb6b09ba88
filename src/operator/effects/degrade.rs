//! Changing a service's objects as it declared for half-done work (DESIGN §4).
//!
//! In: a spot of a service whose targets have their pre-images again; to try it, of any. Out: writes. Invariants: each write holds for the
//! very object and revision that was read, and for its token; a missing token never blocks it; it happens once, and what others change
//! after that is theirs; with it the token expires and the closings of this service on the same object are marked as taken back, so that
//! no opening that was sent before takes it away. Not here: taking it away again (a person does), when it is done.

use serde_json::Value;

use crate::model::plan::Plan;
use crate::model::service::Change;

use super::call::CallError;
use super::capture::{Guard, close_patch, restore_patch};
use super::found::{explained, found, guarded, is_asked};
use super::marks;
use super::names::restored_mark;
use super::operations::{annotate, annotated, patched, replace, test, text, token};
use super::perform::{ATTEMPTS_MAX, PerformError};
use super::spots::{Spot, of_service};
use super::targets::{is_stale, revision_of};
use super::token::{Standing, Way};

impl Spot<'_> {
    /// What was declared was done to it tonight, or is so.
    pub(super) fn is_degraded(&self, live: &Value) -> bool {
        annotated(live, &self.restored) == Some(self.night) || self.is_changed(live)
    }

    /// Makes the change; how many writes that took.
    pub(super) async fn degrade(&self, plan: &Plan) -> Result<u32, PerformError> {
        let mut refusal: Option<(String, String)> = None;
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live().await?.ok_or_else(|| self.refused("it is not there"))?;
            if let Some((_, reason)) = refusal.take_if(|(revision, _)| revision == revision_of(&live)) {
                return Err(self.refused(reason));
            }
            if annotated(&live, &self.restored) == Some(self.night) {
                return Ok(0);
            }
            let patch = match self.degrading(plan, &live).await? {
                Ok(patch) => self.tenant.patch(&self.path, &patch).await,
                Err(error) => Err(error),
            };
            match patch {
                Ok(left) if is_asked(&self.planned.change) || self.is_changed(&left) => return Ok(1),
                Ok(_) => return Err(self.refused("the API server stored something else than was asked for")),
                Err(error) if is_stale(&error) => {
                    refusal = Some((revision_of(&live).to_owned(), explained(&live, &self.planned.change, &error)));
                }
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    /// Whether the change would be taken, as a dry run on the object as it will be then: with its service's `closings` of it taken back.
    pub(super) async fn try_degrade(&self, plan: &Plan, closings: &[Spot<'_>]) -> Result<(), PerformError> {
        let Some(live) = self.live().await? else { return Ok(()) };
        let closed = |one: &&Spot<'_>| one.planned.target == self.planned.target && !one.is_restored(&live);
        let (mut patch, mut opened) = (Vec::new(), live.clone());
        for closing in closings.iter().rev().filter(closed) {
            let back = restore_patch(&opened, text(&live, &["metadata", "uid"]), &Guard::Revision, closing.preimage);
            opened = patched(&opened, &back);
            patch.extend(back);
        }
        let tried = match self.degrading(plan, &opened).await? {
            Ok(own) => self.tenant.try_patch(&self.path, &[patch, own].concat()).await.map(drop),
            Err(error) => Err(error),
        };
        tried.map_err(|error| PerformError::of(&self.what(), error))
    }

    async fn degrading(&self, plan: &Plan, live: &Value) -> Result<Result<Vec<Value>, CallError>, PerformError> {
        let held = match self.standing(live) {
            Standing::Own(way) => Some(self.own(way)),
            Standing::Older(token) => Some(token.to_string()),
            Standing::Missing => None,
            Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
            Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
        };
        let mut patch = match &*self.planned.change {
            Change::Json { operations } => guarded(live, held.as_deref(), operations),
            Change::Scale { .. }
            | Change::Suspend {}
            | Change::Merge { .. }
            | Change::Apply { .. }
            | Change::Restart {}
            | Change::Cordon {} => {
                let found = match found(self.tenant, &self.path, live, &self.planned.change).await {
                    Ok(found) => found,
                    Err(error) => return Ok(Err(error)),
                };
                let mut patch = guarded(live, held.as_deref(), &[]);
                // Behind the guard only the fields: what tests the token stands there already.
                patch.extend(
                    close_patch(live, text(live, &["metadata", "uid"]), "", &found)
                        .into_iter()
                        .filter(|one| *one != test(&token(), "")),
                );
                patch
            }
        };
        let expired = self.own(Way::Expired);
        let beside = of_service(plan, self.planned.service.unwrap_or(usize::MAX)).into_iter();
        let beside: Vec<String> =
            beside.filter(|closing| closing.target == self.planned.target).map(|closing| restored_mark(&closing.key)).collect();
        let mut put: Vec<(&str, &str)> = beside.iter().map(|mark| (mark.as_str(), self.night)).collect();
        put.push((&self.restored, self.night));
        match held {
            Some(held) if held == expired => {}
            Some(_) => patch.push(replace(&token(), expired.clone())),
            None => put.push((marks::TOKEN, &expired)),
        }
        patch.extend(annotate(live, &put));
        Ok(Ok(patch))
    }
}
