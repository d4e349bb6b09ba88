//! The targets of a night: where they are, and what is written to them (PROTOCOL rules 2–4, 6, 7).
//!
//! In: plan, pre-images, a service. Out: writes. Invariants: each write follows a live read and is one JSON Patch that tests the UID and
//! the exact token; forward writes also keep within the time fence; a missing token blocks a closing and never an opening; what fails for
//! good on one target holds no other. Not here: which service, when (the engine).

use serde_json::Value;

use crate::engine::facts::ClosingFact;
use crate::model::plan::{Plan, PlannedService, ServiceIndex};
use crate::model::reference::Target;
use crate::model::service::Closing;

use super::call::{Answer, CallError};
use super::capture::{Guard, Preimage, changes, close_patch, is_closed, is_restored, moved, restore_patch};
use super::drain::is_draining;
use super::marks;
use super::names::sha256;
use super::operations::{annotate, annotated, annotation, at, remove, replace, test, text, token};
use super::perform::{ATTEMPTS_MAX, Fence, PerformError};
use super::preimages::{Preimages, key};
use super::tenant::{Tenant, path};
use super::token::{Standing, Token, Way};

/// Every closing that is planned for the night.
pub(super) fn closings(plan: &Plan) -> impl DoubleEndedIterator<Item = (ServiceIndex, &PlannedService, &Closing)> {
    let planned = plan.services.iter().enumerate().filter(|(_, service)| service.close_at.is_some());
    planned.flat_map(|(index, service)| service.close.iter().map(move |closing| (index, service, closing)))
}

/// One closing of one service, with its pre-image.
pub(super) struct Spot<'a> {
    tenant: &'a Tenant,
    night: &'a str,
    closing: &'a Closing,
    preimage: &'a Preimage,
    path: String,
    /// The annotation that says it was restored.
    restored: String,
}

/// The closings of a service, in declared order; those without a pre-image are an error value.
pub(super) fn spots<'a>(
    tenant: &'a Tenant,
    plan: &'a Plan,
    preimages: &'a Preimages,
    service: ServiceIndex,
) -> Vec<Result<Spot<'a>, PerformError>> {
    let planned = plan.services.get(service);
    let spot = |(service, closing): (&PlannedService, &'a Closing)| {
        let key = key(service, closing);
        let what = || closing.target.to_string();
        let missing = || PerformError::Refused { what: what(), reason: format!("no pre-image of {key} was captured") };
        let preimage = preimages.targets.get(&key).ok_or_else(missing)?;
        Ok(Spot {
            tenant,
            night: &plan.uid,
            closing,
            preimage,
            path: target_path(&closing.target, &preimage.resource),
            restored: restored_mark(&key),
        })
    };
    planned.into_iter().flat_map(|service| service.close.iter().map(move |closing| (service, closing))).map(spot).collect()
}

pub(super) fn target_path(target: &Target, resource: &str) -> String {
    path(&target.api_version, &target.namespace, resource, &target.name)
}

fn restored_mark(key: &str) -> String {
    format!("{}{}", marks::RESTORED, sha256(key).chars().take(12).collect::<String>())
}

impl Spot<'_> {
    fn what(&self) -> String {
        self.closing.target.to_string()
    }

    fn refused(&self, reason: impl Into<String>) -> PerformError {
        PerformError::Refused { what: self.what(), reason: reason.into() }
    }

    fn own(&self, way: Way) -> String {
        Token::own(self.night, way).to_string()
    }

    async fn live(&self) -> Result<Option<Value>, PerformError> {
        match self.tenant.get(&self.path).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => Ok(None),
            other => other.map(Some).map_err(|error| PerformError::of(&self.what(), error)),
        }
    }

    fn is_recreated(&self, live: &Value) -> bool {
        text(live, &["metadata", "uid"]) != self.preimage.uid
    }

    /// Closes the target; how many writes that took.
    pub(super) async fn close(&self, fence: &Fence) -> Result<u32, PerformError> {
        let mut refusal: Option<(String, CallError)> = None;
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live().await?.ok_or_else(|| self.refused("it is not there"))?;
            if let Some((_, error)) = refusal.take_if(|(revision, _)| revision == revision_of(&live)) {
                return Err(self.refused(error.story()));
            }
            if !self.is_recreated(&live) && is_closed(&live, &self.closing.change) {
                return Ok(0);
            }
            self.may_close(&live)?;
            let found = changes(&live, &self.closing.change);
            if let Some(pointer) = moved(&found, self.preimage) {
                return Err(self.refused(format!("{pointer} changed after its pre-image was recorded")));
            }
            fence.check(&self.what())?;
            let patch = close_patch(&live, &self.preimage.uid, &self.own(Way::Forward), &found);
            match self.tenant.patch(&self.path, &patch).await {
                Ok(closed) if is_closed(&closed, &self.closing.change) => return Ok(1),
                Ok(_) => return Err(self.refused("the API server stored something else than was asked for")),
                Err(error) if is_stale(&error) => refusal = Some((revision_of(&live).to_owned(), error)),
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    fn may_close(&self, live: &Value) -> Result<(), PerformError> {
        if self.is_recreated(live) {
            return Err(self.refused("it was deleted and made anew since arming"));
        }
        match Standing::of(live, self.night) {
            Standing::Own(Way::Forward) => Ok(()),
            Standing::Own(way) => Err(self.refused(format!("its token says {}: the night has turned", way.as_str()))),
            Standing::Missing => Err(self.refused("its token is gone; a target without token is never closed")),
            Standing::Newer(token) => Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
            Standing::Foreign(token) => Err(PerformError::Claimed { what: self.what(), night: token.night }),
        }
    }

    /// Takes the right to close; a tombstone stands there afterwards.
    pub(super) async fn burn(&self) -> Result<u32, PerformError> {
        let reopen = self.own(Way::Reopen);
        for _ in 0..ATTEMPTS_MAX {
            let Some(live) = self.live().await? else { return Ok(0) };
            let uid = test("/metadata/uid", text(&live, &["metadata", "uid"]));
            let patch = match Standing::of(&live, self.night) {
                Standing::Own(Way::Reopen) => return Ok(0),
                Standing::Own(way) => vec![uid, test(&token(), self.own(way)), replace(&token(), reopen.clone())],
                // Closings test the UID, so nothing of this night reaches it.
                Standing::Missing if self.is_recreated(&live) => return Ok(0),
                Standing::Missing => {
                    let mut patch = vec![uid, test("/metadata/resourceVersion", revision_of(&live))];
                    patch.extend(annotate(&live, &[(marks::TOKEN, &reopen)]));
                    patch
                }
                Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
                Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
            };
            match self.tenant.patch(&self.path, &patch).await {
                Ok(_) => return Ok(1),
                Err(error) if is_stale(&error) => {}
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    /// Gives the target its pre-image again, once: what others change after that is theirs.
    pub(super) async fn reopen(&self) -> Result<u32, PerformError> {
        let mut refusal: Option<(String, CallError)> = None;
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live().await?.ok_or_else(|| self.refused("it is not there, so it cannot be opened"))?;
            if let Some((_, error)) = refusal.take_if(|(revision, _)| revision == revision_of(&live)) {
                return Err(self.refused(error.story()));
            }
            if self.is_open(&live) {
                return Ok(0);
            }
            let patch = self.opening(&live)?;
            match self.tenant.patch(&self.path, &patch).await {
                Ok(_) => return Ok(1),
                Err(error) if is_stale(&error) => refusal = Some((revision_of(&live).to_owned(), error)),
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    fn opening(&self, live: &Value) -> Result<Vec<Value>, PerformError> {
        let (guard, burn) = match Standing::of(live, self.night) {
            Standing::Own(Way::Reopen) => (Guard::Token(self.own(Way::Reopen)), false),
            // Its burn failed: the same write burns and opens.
            Standing::Own(way) => (Guard::Token(self.own(way)), true),
            Standing::Missing => (Guard::Revision, false),
            Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
            Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
        };
        let mut patch = restore_patch(live, text(live, &["metadata", "uid"]), &guard, self.preimage);
        if burn {
            patch.push(replace(&token(), self.own(Way::Reopen)));
        }
        patch.extend(annotate(live, &[(&self.restored, self.night)]));
        Ok(patch)
    }

    /// Nothing of the closing is left on it. One that was made anew counts as closed only when it shows the closing.
    fn is_open(&self, live: &Value) -> bool {
        let left_alone = self.is_recreated(live) && !is_closed(live, &self.closing.change);
        left_alone || annotated(live, &self.restored) == Some(self.night) || is_restored(live, self.preimage)
    }

    /// What the target shows.
    pub(super) async fn look(&self) -> Result<Look, CallError> {
        let live = match self.tenant.get(&self.path).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => {
                let reason = format!("{} is not there", self.what());
                return Ok(Look { closing: ClosingFact::Refused { reason }, burned: true, restored: false, preimage: None });
            }
            other => other?,
        };
        let standing = Standing::of(&live, self.night);
        let recreated = self.is_recreated(&live);
        let fresh = super::capture::preimage(&live, &self.preimage.resource, &self.closing.change);
        let closing = match self.may_close(&live) {
            _ if !recreated && is_closed(&live, &self.closing.change) => {
                if is_draining(&live, &self.closing.change) {
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
        let changed = closing == ClosingFact::Open && &fresh != self.preimage;
        Ok(Look {
            burned: recreated
                || matches!(&standing, Standing::Own(Way::Reopen) | Standing::Newer(Token { way: Way::Reopen, .. })),
            restored: self.is_open(&live),
            preimage: changed.then(|| serde_json::to_value(fresh).unwrap_or_default()),
            closing,
        })
    }
}

/// Takes this night's marks off a target; those of others stay.
pub(super) async fn disarm(tenant: &Tenant, night: &str, target: &Target, resource: Option<&str>) -> Result<u32, PerformError> {
    let what = target.to_string();
    let of = |error| PerformError::of(&what, error);
    let resource = match resource {
        Some(resource) => resource.to_owned(),
        None => match tenant.kind(&target.api_version, &target.kind).await.map_err(of)? {
            Some(kind) => kind.resource,
            None => return Ok(0),
        },
    };
    let path = target_path(target, &resource);
    for _ in 0..ATTEMPTS_MAX {
        let live = match tenant.get(&path).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => return Ok(0),
            other => other.map_err(of)?,
        };
        let Some(patch) = disarming(&live, night) else { return Ok(0) };
        match tenant.patch(&path, &patch).await {
            Ok(_) => return Ok(1),
            Err(error) if error.answer() == Some(Answer::NotFound) => return Ok(0),
            Err(error) if is_stale(&error) => {}
            Err(error) => return Err(of(error)),
        }
    }
    Err(PerformError::Restless { what })
}

/// What one target shows.
pub(super) struct Look {
    pub(super) closing: ClosingFact,
    pub(super) burned: bool,
    pub(super) restored: bool,
    /// What it looks like, where that differs from its pre-image.
    pub(super) preimage: Option<Value>,
}

/// A test did not hold, or somebody else wrote at the same time: look again.
fn is_stale(error: &CallError) -> bool {
    matches!(error.answer(), Some(Answer::Invalid | Answer::Conflict))
}

fn revision_of(object: &Value) -> &str {
    text(object, &["metadata", "resourceVersion"])
}

/// Removes our own token and marks, each by its value, and the map with them when nothing else is in it; none when nothing is ours.
fn disarming(live: &Value, night: &str) -> Option<Vec<Value>> {
    let annotations = at(live, &["metadata", "annotations"])?.as_object()?;
    let own = matches!(Standing::of(live, night), Standing::Own(_));
    let ours = |(name, value): &(&String, &Value)| {
        (own && *name == marks::TOKEN) || (name.starts_with(marks::RESTORED) && *value == night)
    };
    let ours: Vec<(&String, &Value)> = annotations.iter().filter(ours).collect();
    if ours.is_empty() {
        return None;
    }
    let mut patch = vec![test("/metadata/uid", text(live, &["metadata", "uid"]))];
    if ours.len() == annotations.len() {
        patch.extend([test("/metadata/annotations", annotations.clone()), remove("/metadata/annotations")]);
    } else {
        let place = |(name, value): (&String, &Value)| [test(&annotation(name), value.clone()), remove(&annotation(name))];
        patch.extend(ours.into_iter().flat_map(place));
    }
    Some(patch)
}

/// The operations that stamp a token on an object that has none, valid for the revision in `live` only.
pub(super) fn stamp(live: &Value, token: &str) -> Vec<Value> {
    let mut patch =
        vec![test("/metadata/uid", text(live, &["metadata", "uid"])), test("/metadata/resourceVersion", revision_of(live))];
    patch.extend(annotate(live, &[(marks::TOKEN, token)]));
    patch
}
