//! The objects that a night changes: closed and opened again, changed and put back, in a dry run each.
//!
//! In: closings and steps of the plan. Out: findings. Invariants: what is tried is what is sent at night, the token's stamp in front of it;
//! the way back is tried after the way there in one patch, since a dry run leaves nothing to go back from; an object that another night
//! holds is named with that night. Not here: Jobs, rights.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::model::plan::{PlannedAction, ServiceIndex};
use crate::model::reference::Target;
use crate::model::service::Change;

use super::super::call::{Answer, CallError};
use super::super::capture::{Guard, changes, close_patch, common, is_closed, is_restored, preimage, restore_patch, untouchable};
use super::super::found::foreseen;
use super::super::marks;
use super::super::operations::{annotate, patched, strict, test, text};
use super::super::perform::ATTEMPTS_MAX;
use super::super::preimages::{degraded_key, key};
use super::super::tenant::path;
use super::super::token::{Standing, Token, Way};
use super::Stage;

/// One change of an object, and whose it is.
struct Wanted<'a> {
    whose: String,
    service: Option<ServiceIndex>,
    /// Only when the service opens on half-done work.
    degraded: bool,
    /// An earlier step changes the same object: by day it is not as this one will find it.
    follows: bool,
    change: &'a Change,
}

impl<'a> Stage<'a> {
    /// Every object once, with everything that is to be done to it.
    pub(super) async fn targets(&mut self) -> Result<(), CallError> {
        let mut by_target: BTreeMap<&'a Target, Vec<Wanted<'a>>> = BTreeMap::new();
        let planned = self.plan.services.iter().enumerate().filter(|(_, service)| service.close_at.is_some());
        for (index, service) in planned {
            for closing in &service.close {
                let whose = format!("closing {}", key(service, closing));
                by_target.entry(&closing.target).or_default().push(Wanted {
                    whose,
                    service: Some(index),
                    degraded: false,
                    follows: false,
                    change: &closing.change,
                });
            }
            for action in service.when_dirty.actions() {
                let whose = format!("whenDirty {}", degraded_key(service, action));
                by_target.entry(&action.target).or_default().push(Wanted {
                    whose,
                    service: Some(index),
                    degraded: true,
                    follows: false,
                    change: &action.change,
                });
            }
        }
        for step in &self.plan.steps {
            if let PlannedAction::Change(closing) = &step.action {
                let whose = format!("step {}", step.name);
                let on_it = by_target.entry(&closing.target).or_default();
                let follows = on_it.iter().any(|one| one.service.is_none());
                on_it.push(Wanted { whose, service: None, degraded: false, follows, change: &closing.change });
            }
        }
        let mut open: BTreeSet<ServiceIndex> = BTreeSet::new();
        for (target, wanted) in by_target {
            if self.lacking.iter().any(|lack| lack.is_on(target)) {
                open.extend(wanted.iter().filter_map(|one| one.service));
                continue;
            }
            self.target(target, &wanted, &mut open).await?;
        }
        let closings = |index: &ServiceIndex| self.plan.services.get(*index).is_some_and(|service| !service.close.is_empty());
        self.rehearsed.closed = (0..self.plan.services.len()).filter(|index| closings(index) && !open.contains(index)).collect();
        Ok(())
    }

    /// One object; `open` gets the services that are not closed as far as it shows.
    async fn target(
        &mut self,
        target: &Target,
        wanted: &[Wanted<'_>],
        open: &mut BTreeSet<ServiceIndex>,
    ) -> Result<(), CallError> {
        let whose = wanted.iter().map(|one| one.whose.as_str()).collect::<Vec<_>>().join(", ");
        let object = target.to_string();
        let live = match self.path_of(target, &whose).await? {
            None => None,
            Some(path) => self.live(&path, &object, &whose, wanted).await?.map(|live| (path, live)),
        };
        let there = live.as_ref().and_then(|(_, live)| live.as_ref());
        let closed = |one: &&Wanted<'_>| there.is_some_and(|live| shows(live, one.change));
        open.extend(wanted.iter().filter(|one| !one.degraded && !closed(one)).filter_map(|one| one.service));
        let Some((path, live)) = live else { return Ok(()) };
        if let Some(Standing::Foreign(token)) = live.as_ref().map(|live| Standing::of(live, &self.plan.uid, self.tenant.epoch)) {
            let message =
                format!("the night {} has claimed it; wait for its end, or clear {} by hand", token.night, marks::TOKEN);
            self.find("Claimed", &object, &whose, message);
        }
        self.clashes(&object, live.as_ref(), wanted);
        for one in wanted {
            self.still(&path, target, live.clone(), one).await?;
        }
        Ok(())
    }

    /// One change, on an object that keeps still meanwhile: a finding on one that was changed by others says nothing, so it is looked at
    /// again.
    async fn still(&mut self, path: &str, target: &Target, mut live: Option<Value>, one: &Wanted<'_>) -> Result<(), CallError> {
        for _ in 1..ATTEMPTS_MAX {
            let before = (self.rehearsed.tried_count, self.rehearsed.findings.len());
            self.change(path, target, live.as_ref(), one).await?;
            let (Some(seen), true) = (&live, self.rehearsed.findings.len() > before.1) else { return Ok(()) };
            let Ok(now) = self.tenant.get(path).await else { return Ok(()) };
            let revision = |object: &Value| text(object, &["metadata", "resourceVersion"]).to_owned();
            if revision(seen) == revision(&now) {
                return Ok(());
            }
            self.rehearsed.tried_count = before.0;
            self.rehearsed.findings.truncate(before.1);
            live = Some(now);
        }
        self.change(path, target, live.as_ref(), one).await
    }

    /// The object, or none where it may be missing; nothing at all, with a finding, where it may not.
    async fn live(
        &mut self,
        path: &str,
        object: &str,
        whose: &str,
        wanted: &[Wanted<'_>],
    ) -> Result<Option<Option<Value>>, CallError> {
        match self.tenant.get(path).await {
            Err(error) if error.answer() == Some(Answer::NotFound) && wanted.iter().all(|one| one.change.makes()) => {
                Ok(Some(None))
            }
            answer => Ok(self.heard(object, whose, answer)?.map(Some)),
        }
    }

    /// Closings stand side by side: two of them never change one field. Steps come one after the other and may; so do a service's closings
    /// and what it declared for half-done work, which shares no object with a step.
    fn clashes(&mut self, object: &str, live: Option<&Value>, wanted: &[Wanted<'_>]) {
        let Some(live) = live else { return };
        let closings = wanted.iter().filter(|one| one.service.is_some());
        let captured: Vec<_> = closings.map(|one| (one, foreseen(live, one.change))).collect();
        for (position, (one, its)) in captured.iter().enumerate() {
            for (other, others) in captured.iter().take(position) {
                if one.service == other.service && one.degraded != other.degraded {
                    continue;
                }
                if let Some(pointer) = common(its, others) {
                    self.find("NotAccepted", object, &one.whose, format!("{} changes {pointer} too; make them one", other.whose));
                }
            }
        }
        let step = wanted.iter().find(|one| one.service.is_none());
        for (one, step) in wanted.iter().filter(|one| one.degraded).zip(step) {
            let message = format!("{} changes this object too; let one of them change another object", step.whose);
            self.find("NotAccepted", object, &one.whose, message);
        }
    }

    /// There and back.
    async fn change(&mut self, path: &str, target: &Target, live: Option<&Value>, one: &Wanted<'_>) -> Result<(), CallError> {
        let object = target.to_string();
        let restart = restarted(&self.plan.uid);
        match (one.change, live) {
            (Change::Apply { manifest }, _) => {
                let answer = self.tenant.apply(path, manifest, true).await;
                self.tried(&object, &one.whose, answer).map(drop)
            }
            (Change::Json { .. }, Some(_)) if one.follows => {
                let words = "a JSON patch after another step on the same object finds it otherwise than it is by day";
                self.rehearsed.untried.push(format!("{object} ({}): {words}", one.whose));
                Ok(())
            }
            (Change::Json { operations }, Some(live)) => {
                let patch: Vec<Value> = self.stamp(live).into_iter().chain(strict(operations)).collect();
                let answer = self.tenant.try_patch(path, &patch).await;
                self.tried(&object, &one.whose, answer).map(drop)
            }
            (Change::Restart {}, Some(live)) => self.there_and_back(path, &object, live, &restart, &one.whose).await,
            (Change::Scale { .. } | Change::Suspend {} | Change::Merge { .. } | Change::Cordon {}, Some(live)) => {
                self.there_and_back(path, &object, live, one.change, &one.whose).await
            }
            (_, None) => Ok(()),
        }
    }

    async fn there_and_back(
        &mut self,
        path: &str,
        object: &str,
        live: &Value,
        change: &Change,
        whose: &str,
    ) -> Result<(), CallError> {
        let mut patch = self.stamp(live);
        let stamped = patched(live, &patch);
        let found = changes(&stamped, change);
        for pointer in untouchable(&found) {
            self.find("NotAccepted", object, whose, format!("no night changes {pointer}; take it out of the patch"));
        }
        let forward = Token::of(&self.plan.uid, self.tenant.epoch, Way::Forward).to_string();
        patch.extend(close_patch(&stamped, text(live, &["metadata", "uid"]), &forward, &found));
        let answer = self.tenant.try_patch(path, &patch).await;
        let Some(closed) = self.tried(object, whose, answer)? else { return Ok(()) };
        if !is_closed(&closed, change) {
            let message = "the API server would not keep what is written; something else sets the same fields: find it";
            self.find("NotKept", object, whose, message.to_owned());
            return Ok(());
        }
        let before = preimage(&stamped, "", change);
        let away = patched(live, &patch);
        patch.extend(restore_patch(&away, text(live, &["metadata", "uid"]), &Guard::Token(forward), &before));
        let answer = self.tenant.try_patch(path, &patch).await;
        let back = format!("{whose}, and back");
        let restored = self.tried(object, &back, answer)?;
        if restored.is_some_and(|restored| !is_restored(&restored, &before)) {
            let message = "the API server would not put back what was there; something else sets the same fields: find it";
            self.find("NotKept", object, &back, message.to_owned());
        }
        Ok(())
    }

    /// The token, as arming stamps it on the object as it is now.
    fn stamp(&self, live: &Value) -> Vec<Value> {
        let of = |field: &str| test(&format!("/metadata/{field}"), text(live, &["metadata", field]));
        let mut patch = vec![of("uid"), of("resourceVersion")];
        patch.extend(annotate(live, &[(marks::TOKEN, &Token::of(&self.plan.uid, self.tenant.epoch, Way::Forward).to_string())]));
        patch
    }

    /// Where an object is served; none, with a finding, when it is not.
    pub(super) async fn path_of(&mut self, target: &Target, whose: &str) -> Result<Option<String>, CallError> {
        let Target { api_version, kind, namespace, name } = target;
        let object = target.to_string();
        let answer = self.tenant.kind(api_version, kind).await;
        let Some(served) = self.heard(&object, whose, answer)? else { return Ok(None) };
        match served {
            Some(served) if served.namespaced != namespace.is_empty() => {
                Ok(Some(path(api_version, namespace, &served.resource, name)))
            }
            Some(_) => {
                self.find(
                    "NotAccepted",
                    &object,
                    whose,
                    format!("objects of kind {kind} are not of a namespace, and no night's targets"),
                );
                Ok(None)
            }
            None => {
                self.find(
                    "Missing",
                    &object,
                    whose,
                    format!("{api_version} {kind} is not served here; correct it, or install its definition"),
                );
                Ok(None)
            }
        }
    }
}

/// Whether the object is as the change leaves it; what only the API server can tell counts as not.
fn shows(live: &Value, change: &Change) -> bool {
    !changes(live, change).is_empty() && is_closed(live, change)
}

/// A restart is a new mark on the Pods' template.
fn restarted(night: &str) -> Change {
    Change::Merge { merge: json!({"spec": {"template": {"metadata": {"annotations": {(marks::REHEARSAL): night}}}}}) }
}
