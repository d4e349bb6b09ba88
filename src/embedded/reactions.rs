//! What follows from a change, at the same instant, and what follows when a moment has come.
//!
//! In: changed objects and moments armed by the controllers. Out: a store in which nothing is left to do now.
//! Invariants: moments fire in order, each at its own instant, before anything else happens at a later one, so the
//! result does not depend on who looks when; a controller runs again only when its object, or one it owns, changed.
//! Nothing polls: the next moment is known, and whoever waits on the API waits until then.
//! Not here: the controllers themselves.

use jiff::Timestamp;

use super::fields;
use super::world::{Change, Key, World};
use super::{definitions, deployments, garbage, jobs, network, pods};

/// More reactions than any scene needs at one instant; reaching it is a defect of a controller, not of a scene.
const REACTIONS_MAX: usize = 1_000_000;

impl World {
    /// Lets time pass until `now`: everything due by then happens at its own moment.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            self.due.remove(&(at, key.clone()));
            self.now = self.now.max(at);
            self.dirty.insert(key);
            self.settle();
        }
        self.now = self.now.max(now);
    }

    /// Lets the controllers act until none of them has anything left to do at this instant.
    pub(super) fn settle(&mut self) {
        let mut network_stale = false;
        for _ in 0..REACTIONS_MAX {
            let Some(key) = self.dirty.pop_first() else { break };
            network_stale |= network::concerns(&key);
            self.react(&key);
        }
        if !self.dirty.is_empty() {
            tracing::error!(left = self.dirty.len(), "the embedded controllers do not come to rest");
            self.dirty.clear();
        }
        if network_stale {
            network::observe(self);
        }
    }

    fn react(&mut self, key: &Key) {
        if self.controllers_stopped {
            // The API server's own.
            if key.is(super::kinds::CRD_GROUP, "customresourcedefinitions") {
                definitions::react(self, key);
            }
            return;
        }
        garbage::react(self, key);
        match (key.group.as_str(), key.plural.as_str()) {
            ("apps", "deployments") => deployments::react(self, key),
            ("batch", "jobs") => jobs::react(self, key),
            ("", "pods") => pods::react(self, key),
            (super::kinds::CRD_GROUP, "customresourcedefinitions") => definitions::react(self, key),
            _ => {}
        }
    }

    /// Notes that the object of `change` must be looked at, and the Job that owns it; removals reach the dependents.
    pub(super) fn mark_dirty(&mut self, change: &Change) {
        self.dirty.insert(change.key.clone());
        for reference in fields::list(&change.object, &["metadata", "ownerReferences"]) {
            let owner = self.key_of_uid(fields::text(reference, &["uid"])).cloned();
            self.dirty.extend(owner);
        }
        if change.removed {
            garbage::note_removal(self, change);
        }
    }

    /// Has the object at `key` looked at again at `at`, and only then; an earlier wish is forgotten.
    pub(super) fn arm(&mut self, key: &Key, at: Option<Timestamp>) {
        self.due.retain(|(_, armed)| armed != key);
        match at {
            Some(at) if at > self.now => {
                self.due.insert((at, key.clone()));
            }
            Some(_) => {
                self.dirty.insert(key.clone());
            }
            None => {}
        }
    }

    /// The next moment at which something happens by itself.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }
}
