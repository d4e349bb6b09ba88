//! Changing an object as a closing or a step wants it (PROTOCOL rules 2 and 20).
//!
//! In: a spot. Out: writes. Invariants: each write follows a live read, keeps within the time fence, and holds only for the UID and the
//! exact token (a server-side apply: for the revision read after the token); a field that changed after its pre-image was recorded is not
//! changed; an object that a step makes is made only where none is. After a commit the token that says `reopen` closes again.
//! Not here: taking the right to change, restoring.

use serde_json::{Value, json};

use crate::model::service::Change;

use super::call::{Answer, CallError};
use super::capture::{FieldChange, close_patch, moved};
use super::found::{explained, found, guarded, of_revision};
use super::marks;
use super::operations::{annotate, annotated, replace, token};
use super::perform::{ATTEMPTS_MAX, Fence, PerformError};
use super::spots::{Spot, target_path};
use super::targets::{is_stale, revision_of};
use super::token::{Standing, Way};

impl Spot<'_> {
    /// Changes the object; how many writes that took.
    pub(super) async fn change(&self, fence: &Fence) -> Result<u32, PerformError> {
        if self.preimage.is_absent() {
            return self.make(fence).await;
        }
        let mut refusal: Option<(String, String)> = None;
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live().await?.ok_or_else(|| self.refused("it is not there"))?;
            if let Some((_, reason)) = refusal.take_if(|(revision, _)| revision == revision_of(&live)) {
                return Err(self.refused(reason));
            }
            if !self.is_recreated(&live) && self.is_changed(&live) {
                return Ok(0);
            }
            self.may_change(&live)?;
            let outcome = match found(self.tenant, &self.path, &live, &self.planned.change).await {
                Ok(found) if found.is_empty() => return Ok(0),
                Ok(found) => self.write(&live, &found, fence).await?,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(changed) if self.is_changed(&changed) => return Ok(1),
                Ok(_) => return Err(self.refused("the API server stored something else than was asked for")),
                Err(error) if is_stale(&error) => {
                    refusal = Some((revision_of(&live).to_owned(), explained(&live, &self.planned.change, &error)));
                }
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    /// One write; what became of it, unless it may not be sent.
    async fn write(&self, live: &Value, found: &[FieldChange], fence: &Fence) -> Result<Result<Value, CallError>, PerformError> {
        if let Some(pointer) = moved(found, self.preimage) {
            return Err(self.refused(format!("{pointer} changed after its pre-image was recorded")));
        }
        fence.check(&self.what())?;
        let forward = self.own(Way::Forward);
        Ok(match &*self.planned.change {
            Change::Json { operations } => self.tenant.patch(&self.path, &guarded(live, Some(&forward), operations)).await,
            Change::Apply { manifest } => self.tenant.apply(&self.path, &of_revision(manifest, live), false).await,
            Change::Scale { .. } | Change::Suspend {} | Change::Merge { .. } | Change::Restart {} | Change::Cordon {} => {
                self.tenant.patch(&self.path, &close_patch(live, &self.preimage.uid, &forward, found)).await
            }
        })
    }

    pub(super) fn may_change(&self, live: &Value) -> Result<(), PerformError> {
        if self.is_recreated(live) {
            return Err(self.refused(if self.preimage.is_absent() {
                "it was not there when its absence was recorded, and another hand made it since"
            } else {
                "it was deleted and made anew since arming"
            }));
        }
        match self.standing(live) {
            Standing::Own(Way::Forward) => Ok(()),
            Standing::Own(way) => Err(self.refused(format!("its token says {}: the night has turned", way.as_str()))),
            Standing::Missing => Err(self.refused("its token is gone; a target without token is never closed")),
            Standing::Older(_) => Err(self.refused("its token is of an epoch that was deposed: nobody goes forward any more")),
            Standing::Newer(token) => Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
            Standing::Foreign(token) => Err(PerformError::Claimed { what: self.what(), night: token.night }),
        }
    }

    /// Makes the object, where there is none: nothing but the time fence guards that.
    async fn make(&self, fence: &Fence) -> Result<u32, PerformError> {
        let Change::Apply { manifest } = &*self.planned.change else { return Err(self.refused("it is not there")) };
        for _ in 0..ATTEMPTS_MAX {
            match self.live().await? {
                Some(live) if self.is_made_here(&live) => return Ok(0),
                Some(live) => self.may_change(&live)?,
                None => {}
            }
            fence.check(&self.what())?;
            let collection = target_path(
                &crate::model::reference::Target { name: String::new(), ..self.planned.target.clone() },
                &self.preimage.resource,
            );
            match self.tenant.create(&collection, &self.marked(manifest)).await {
                Ok(_) => return Ok(1),
                Err(error) if error.answer() == Some(Answer::AlreadyExists) => {}
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    /// The object to make, with the token and with who makes it.
    fn marked(&self, manifest: &Value) -> Value {
        let (token, maker) = (self.own(Way::Forward), self.maker());
        let patch = annotate(manifest, &[(marks::TOKEN, &token), (marks::CREATED, &maker)]);
        let mut object = manifest.clone();
        if object.get("metadata").is_none() {
            return object;
        }
        if let Ok(patch) = serde_json::from_value::<json_patch::Patch>(json!(patch)) {
            // Annotations are added to an object, or are one: neither can fail.
            let _ = json_patch::patch(&mut object, &patch);
        }
        object
    }

    /// After a commit: closes what was given back, with the token that gave it back; a mark says that a person has to open it.
    pub(super) async fn close_again(&self) -> Result<u32, PerformError> {
        let mut refusal: Option<(String, CallError)> = None;
        let mark = self.closed_again();
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live().await?.ok_or_else(|| self.refused("it is not there"))?;
            if let Some((_, error)) = refusal.take_if(|(revision, _)| revision == revision_of(&live)) {
                return Err(self.refused(error.story()));
            }
            if self.is_recreated(&live) {
                return Err(self.refused("it was deleted and made anew since arming"));
            }
            if self.is_changed(&live) && annotated(&live, &self.restored) == Some(&mark) {
                return Ok(0);
            }
            let held = match self.standing(&live) {
                Standing::Own(way) => self.own(way),
                Standing::Older(token) => token.to_string(),
                Standing::Missing => return Err(self.refused("its token is gone; a target without token is never closed")),
                Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
                Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
            };
            let found = self.known_changes(&live);
            let mut patch = close_patch(&live, &self.preimage.uid, &held, &found);
            if held != self.own(Way::Reopen) {
                patch.push(replace(&token(), self.own(Way::Reopen)));
            }
            patch.extend(annotate(&live, &[(&self.restored, &mark)]));
            match self.tenant.patch(&self.path, &patch).await {
                Ok(_) => return Ok(1),
                Err(error) if is_stale(&error) => refusal = Some((revision_of(&live).to_owned(), error)),
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }
}
