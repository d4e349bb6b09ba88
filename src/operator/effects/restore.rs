//! Giving an object its pre-image again (PROTOCOL rules 2, 5 and 6).
//!
//! In: a spot. Out: writes, and words on what another hand had changed. Invariants: only the fields that the change touches are written,
//! whatever became of them meanwhile: the night promised what was before, and says whose work it overwrote; other fields are left alone; a
//! missing token never blocks it; it happens once, and what others change after that is theirs; an object that a step made is deleted,
//! that very object at that very revision. Not here: when.

use serde_json::{Value, json};

use crate::model::reference::Target;

use super::call::{Answer, CallError};
use super::capture::{Field, Guard, is_restored, restore_patch};
use super::operations::{annotate, annotated, at, keys, replace, text, token};
use super::perform::{ATTEMPTS_MAX, Done, PerformError};
use super::rights::may;
use super::spots::{Spot, Wish};
use super::targets::{is_stale, revision_of};
use super::token::{Standing, Token, Way};

const EXPIRED: &str = "its undo has expired: a service is open on what the step left";

impl Spot<'_> {
    /// Gives the object its pre-image again.
    pub(super) async fn restore(&self) -> Result<Done, PerformError> {
        if self.preimage.is_absent() {
            return self.unmake().await.map(Done::of);
        }
        let mut refusal: Option<(String, CallError)> = None;
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live().await?.ok_or_else(|| self.refused("it is not there, so it cannot be opened"))?;
            if let Some((_, error)) = refusal.take_if(|(revision, _)| revision == revision_of(&live)) {
                return Err(self.refused(error.story()));
            }
            if self.is_restored(&live) {
                return Ok(Done::default());
            }
            let patch = self.restoring(&live)?;
            match self.tenant.patch(&self.path, &patch).await {
                Ok(_) => return Ok(Done { write_count: 1, overwritten: self.overwritten(&live) }),
                Err(error) if is_stale(&error) => refusal = Some((revision_of(&live).to_owned(), error)),
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    /// Whether its pre-image would be taken, as a dry run on the object as it is; of one that a step makes, whether it may be deleted.
    pub(super) async fn try_restore(&self) -> Result<(), PerformError> {
        let live = self.live().await?;
        if self.preimage.is_absent() {
            return self.may_unmake().await;
        }
        let Some(live) = live.filter(|live| !self.is_recreated(live)) else { return Ok(()) };
        self.tenant
            .try_patch(&self.path, &self.restoring(&live)?)
            .await
            .map(drop)
            .map_err(|error| PerformError::of(&self.what(), error))
    }

    /// There is nothing yet to try a deletion on: the rights to burn it and to delete it are asked for. What admission would say to that
    /// stays unknown.
    async fn may_unmake(&self) -> Result<(), PerformError> {
        let Target { api_version, namespace, name, .. } = self.planned.target;
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let resource = self.preimage.resource.as_str();
        let mut lacking = Vec::new();
        for verb in ["patch", "delete"] {
            let asked = json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name});
            if !may(self.tenant, &asked).await.map_err(|error| PerformError::of(&self.what(), error))? {
                lacking.push(verb);
            }
        }
        if lacking.is_empty() {
            return Ok(());
        }
        Err(self.refused(format!("this account may not {} it: `notturno rbac` prints the Role", lacking.join(", "))))
    }

    fn restoring(&self, live: &Value) -> Result<Vec<Value>, PerformError> {
        let (guard, burn) = match self.standing(live) {
            Standing::Own(Way::Reopen) => (Guard::Token(self.own(Way::Reopen)), None),
            Standing::Own(Way::Expired) if self.planned.wish == Wish::Step => return Err(self.refused(EXPIRED)),
            // Of an object that a step changed too: only that step's way back has expired.
            Standing::Own(Way::Expired) => (Guard::Token(self.own(Way::Expired)), None),
            // Its burn failed: the same write burns and opens.
            Standing::Own(way) => (Guard::Token(self.own(way)), Some(Way::Reopen)),
            Standing::Older(Token { way: Way::Expired, .. }) if self.planned.wish == Wish::Step => {
                return Err(self.refused(EXPIRED));
            }
            // What has expired stays so, whoever has the night.
            Standing::Older(token) if token.way == Way::Expired => (Guard::Token(token.to_string()), Some(Way::Expired)),
            Standing::Older(token) => (Guard::Token(token.to_string()), Some(Way::Reopen)),
            Standing::Missing => (Guard::Revision, None),
            Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
            Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
        };
        let mut patch = restore_patch(live, text(live, &["metadata", "uid"]), &guard, self.preimage);
        patch.extend(burn.map(|way| replace(&token(), self.own(way))));
        patch.extend(annotate(live, &[(&self.restored, self.night)]));
        Ok(patch)
    }

    /// Nothing of the change is left on it. One that was made anew counts as changed only when it shows the change, and one that was closed
    /// again as open only when a person has changed that.
    pub(super) fn is_restored(&self, live: &Value) -> bool {
        let left_alone = self.is_recreated(live) && !self.is_changed(live);
        if annotated(live, &self.restored) == Some(&self.closed_again()) {
            return !self.is_changed(live);
        }
        left_alone || annotated(live, &self.restored) == Some(self.night) || is_restored(live, self.preimage)
    }

    /// Deletes what the step made; an object of another hand is left alone.
    async fn unmake(&self) -> Result<u32, PerformError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(live) = self.live().await? else { return Ok(0) };
            let is_going = at(&live, &["metadata", "deletionTimestamp"]).is_some();
            if !self.is_made_here(&live) || is_going {
                return Ok(0);
            }
            match self.standing(&live) {
                Standing::Own(Way::Expired) | Standing::Older(Token { way: Way::Expired, .. }) => {
                    return Err(self.refused(EXPIRED));
                }
                Standing::Own(Way::Forward | Way::Back | Way::Reopen) | Standing::Older(_) | Standing::Missing => {}
                Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
                Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
            }
            match self.tenant.delete(&self.path, &live).await {
                Ok(_) => return Ok(1),
                Err(error) if error.answer() == Some(Answer::NotFound) || is_stale(&error) => {}
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    /// What another hand made of the fields of a step meanwhile, in words.
    fn overwritten(&self, live: &Value) -> Vec<String> {
        let of_others = |field: &&Field| {
            let now = at(live, &keys(&field.pointer));
            now != field.before.as_ref() && now != field.after.as_ref() && !now.is_some_and(Value::is_object)
        };
        if self.planned.wish != Wish::Step {
            return Vec::new();
        }
        let words = |field: &Field| {
            let now = at(live, &keys(&field.pointer)).map_or_else(|| "removed".to_owned(), |now| format!("set to {now}"));
            let now: String = now.chars().take(200).collect();
            format!("{}: {} was {now} by another hand meanwhile; it has its value of before again", self.what(), field.pointer)
        };
        self.preimage.fields.iter().filter(of_others).map(words).collect()
    }
}
