//! The request log: who asked what, and what became of it.
//!
//! In: requests as they arrive and as they are answered. Out: the latest of them, and counts of all.
//! Invariants: at most [`KEPT_MAX`] requests are kept; counts are never forgotten; discovery is not logged.
//! Not here: bodies.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::call::{Call, Verb};
use super::patch::PatchType;

/// Requests kept.
pub const KEPT_MAX: usize = 65_536;

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// Who asks.
    pub user: String,
    /// What it does.
    pub verb: Verb,
    /// API group, empty for the core.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Namespace, empty when cluster-wide.
    pub namespace: String,
    /// Name, empty for collections and for creations by `generateName`.
    pub name: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// How a PATCH is meant.
    pub patch_type: Option<PatchType>,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
    /// Its number among the requests that may change the store, from 1; none for reads, dry runs, reviews and tokens.
    pub write_number: Option<u64>,
}

impl RequestInfo {
    pub(super) fn of(call: &Call, user: &str, write_number: Option<u64>) -> Self {
        // A creation is logged with the name in its body, for people who read the log.
        let name = if call.name.is_empty() && call.verb == Verb::Create {
            super::fields::text(&call.body, &["metadata", "name"]).to_owned()
        } else {
            call.name.clone()
        };
        Self {
            user: user.to_owned(),
            verb: call.verb,
            group: call.group.clone(),
            resource: call.resource.clone(),
            namespace: call.namespace.clone().unwrap_or_default(),
            name,
            subresource: call.subresource.clone(),
            patch_type: call.patch_type,
            dry_run: call.is_dry_run(),
            write_number,
        }
    }
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// When it arrived.
    pub at: Timestamp,
    /// What it asks.
    pub request: RequestInfo,
    /// The HTTP status of its answer; none while it hangs.
    pub code: Option<u16>,
    /// Whether it changed the store.
    pub changed: bool,
}

/// What is counted: verb, group, plural.
pub type CountKey = (Verb, String, String);

#[derive(Debug, Default)]
pub(super) struct RequestLog {
    kept: VecDeque<LoggedRequest>,
    first: u64,
    counts: BTreeMap<CountKey, u64>,
    writes: u64,
}

impl RequestLog {
    /// Takes the next write number.
    pub(super) fn next_write(&mut self) -> u64 {
        self.writes = self.writes.saturating_add(1);
        self.writes
    }

    /// Notes a request that arrived; returns its place for [`Self::end`].
    pub(super) fn begin(&mut self, at: Timestamp, request: RequestInfo) -> u64 {
        let key = (request.verb, request.group.clone(), request.resource.clone());
        *self.counts.entry(key).or_default() += 1;
        self.kept.push_back(LoggedRequest { at, request, code: None, changed: false });
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
            self.first += 1;
        }
        self.first + self.kept.len() as u64 - 1
    }

    /// Notes that the request at `place` has changed the store.
    pub(super) fn changed(&mut self, place: u64) {
        if let Some(logged) = self.at(place) {
            logged.changed = true;
        }
    }

    /// Notes the answer to the request at `place`.
    pub(super) fn end(&mut self, place: u64, code: u16) {
        if let Some(logged) = self.at(place) {
            logged.code = Some(code);
        }
    }

    fn at(&mut self, place: u64) -> Option<&mut LoggedRequest> {
        let index = place.checked_sub(self.first).and_then(|index| usize::try_from(index).ok())?;
        self.kept.get_mut(index)
    }

    pub(super) fn kept(&self) -> Vec<LoggedRequest> {
        self.kept.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<CountKey, u64> {
        self.counts.clone()
    }
}
