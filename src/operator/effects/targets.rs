//! Taking the right to change, and leaving no trace (PROTOCOL rules 3, 4 and 7).
//!
//! In: spots, and targets at the end. Out: writes. Invariants: every token is replaced by compare-and-set, never removed before the end;
//! what fails for good on one target holds no other. Not here: changing ([`super::change`]) and restoring ([`super::restore`]).

use serde_json::Value;

use crate::model::reference::Target;

use super::call::{Answer, CallError};
use super::marks;
use super::operations::{annotate, annotated, annotation, at, remove, replace, test, text, token};
use super::perform::{ATTEMPTS_MAX, PerformError};
use super::spots::{Spot, target_path};
use super::tenant::Tenant;
use super::token::{Standing, Token, Way};

impl Spot<'_> {
    /// Takes the right to close; a tombstone stands there afterwards.
    pub(super) async fn burn(&self) -> Result<u32, PerformError> {
        self.burn_to(Way::Reopen).await
    }

    /// Takes the right to restore too.
    pub(super) async fn expire(&self) -> Result<u32, PerformError> {
        self.burn_to(Way::Expired).await
    }

    async fn burn_to(&self, to: Way) -> Result<u32, PerformError> {
        let tombstone = self.own(to);
        for _ in 0..ATTEMPTS_MAX {
            let Some(live) = self.live().await? else { return Ok(0) };
            let uid = test("/metadata/uid", text(&live, &["metadata", "uid"]));
            let patch = match self.standing(&live) {
                Standing::Own(way) if way == to || way == Way::Expired => return Ok(0),
                Standing::Own(way) => vec![uid, test(&token(), self.own(way)), replace(&token(), tombstone.clone())],
                Standing::Older(older) => {
                    // What has expired stays so, whoever has the night.
                    let tombstone = if older.way == Way::Expired { self.own(Way::Expired) } else { tombstone.clone() };
                    vec![uid, test(&token(), older.to_string()), replace(&token(), tombstone)]
                }
                // Changes test the UID, so nothing of this night reaches it; a restoring does not.
                Standing::Missing if self.is_recreated(&live) && to != Way::Expired => return Ok(0),
                Standing::Missing => {
                    let mut patch = vec![uid, test("/metadata/resourceVersion", revision_of(&live))];
                    patch.extend(annotate(&live, &[(marks::TOKEN, &tombstone)]));
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

/// A test did not hold, or somebody else wrote at the same time: look again.
pub(super) fn is_stale(error: &CallError) -> bool {
    matches!(error.answer(), Some(Answer::Invalid | Answer::Conflict))
}

pub(super) fn revision_of(object: &Value) -> &str {
    text(object, &["metadata", "resourceVersion"])
}

/// Removes our own token and marks, each by its value, and the map with them when nothing else is in it; none when nothing is ours.
fn disarming(live: &Value, night: &str) -> Option<Vec<Value>> {
    let annotations = at(live, &["metadata", "annotations"])?.as_object()?;
    // The night is over for every epoch.
    let own = annotated(live, marks::TOKEN).and_then(Token::parse).is_some_and(|token| token.night == night);
    let ours = |(name, value): &(&String, &Value)| {
        let says_night = value.as_str().and_then(|value| value.strip_prefix(night));
        let by_night = says_night.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        (own && *name == marks::TOKEN) || ((name.starts_with(marks::RESTORED) || *name == marks::CREATED) && by_night)
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
