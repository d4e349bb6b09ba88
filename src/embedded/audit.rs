//! The audit log: every change of the store, who asked for it, and what it changed.
//!
//! In: changes as they are made. Out: all of them, for whoever judges a night by what was written.
//! Invariants: nothing is kept until somebody asks for it; then every change is, in the order of the store, up to [`AUDITED_MAX`];
//! what follows from a request is a controller's, not its user's. Not here: requests that changed nothing (`log`).

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::Embedded;
use super::world::{Change, Key};

/// Changes kept: with so many, what came after them is missing.
pub const AUDITED_MAX: usize = 262_144;

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Audited {
    /// When it was made.
    pub at: Timestamp,
    /// The store's revision that it made.
    pub revision: u64,
    /// Who asked for it; none: a controller's own, or the scene's.
    pub user: Option<Arc<str>>,
    /// API group, empty for the core.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Namespace, empty when cluster-wide.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The object as it was; none: created.
    pub before: Option<Arc<Value>>,
    /// The object as it is then; none: removed.
    pub after: Option<Arc<Value>>,
}

/// What is kept of changes.
#[derive(Debug, Default)]
pub(super) struct Audit {
    kept: Option<Vec<Audited>>,
    /// Whose request is being done.
    pub(super) asking: Option<Arc<str>>,
}

impl Audit {
    pub(super) fn note(&mut self, at: Timestamp, change: &Change) {
        let Some(kept) = self.kept.as_mut().filter(|kept| kept.len() < AUDITED_MAX) else { return };
        let Key { group, plural, namespace, name } = change.key.clone();
        kept.push(Audited {
            at,
            revision: change.revision,
            user: self.asking.clone(),
            group,
            resource: plural,
            namespace,
            name,
            before: change.before.clone(),
            after: (!change.removed).then(|| Arc::clone(&change.object)),
        });
    }
}

impl Embedded {
    /// From now on every change is kept.
    pub fn keep_audit(&self) {
        self.enter(|world| {
            world.audit.kept.get_or_insert_default();
        });
    }

    /// The changes since [`Self::keep_audit`], in the order of the store.
    #[must_use]
    pub fn audit(&self) -> Vec<Audited> {
        self.enter(|world| world.audit.kept.clone().unwrap_or_default())
    }
}
