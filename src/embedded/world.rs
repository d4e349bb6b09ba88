//! The store: objects, the global revision, and a bounded history of changes.
//!
//! In: whole objects to insert, replace or remove. Out: the objects as stored, and the changes since a revision.
//! Invariants: each change takes the next revision and stamps it on the object; a write that changes nothing takes
//! none; every change is noted for the reactions. The history holds at most [`HISTORY_MAX`] changes.
//! Not here: rules about what may be written (`change`, `create`, `delete`), what follows from it (`reactions`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::admission::Admission;
use super::audit::Audit;
use super::deployments::{Rollout, Saying};
use super::fields;
use super::jobs::Attempts;
use super::kinds::{Kinds, ResourceKind};
use super::network::Recovery;
use super::pods::Run;
use super::token::Token;

/// Changes kept for watches; a watch from before the oldest one is answered 410.
pub(super) const HISTORY_MAX: usize = 8192;

/// Where an object is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(group: &str, plural: &str, namespace: &str, name: &str) -> Self {
        let [group, plural, namespace, name] = [group, plural, namespace, name].map(str::to_owned);
        Self { group, plural, namespace, name }
    }

    pub(super) fn of(kind: &ResourceKind, namespace: &str, name: &str) -> Self {
        Self::new(&kind.group, &kind.plural, namespace, name)
    }

    pub(super) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }
}

/// A set of objects of one kind: in one namespace, or in all.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
}

impl Scope {
    pub(super) fn new(group: &str, plural: &str, namespace: Option<&str>) -> Self {
        Self { group: group.to_owned(), plural: plural.to_owned(), namespace: namespace.map(str::to_owned) }
    }

    pub(super) fn holds(&self, key: &Key) -> bool {
        key.is(&self.group, &self.plural) && self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
    }
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) key: Key,
    /// Absent when the object was created by this change.
    pub(super) before: Option<Arc<Value>>,
    /// The object after the change; for a removal, as it was last, with the revision of the removal.
    pub(super) object: Arc<Value>,
    pub(super) removed: bool,
}

/// `moment + span`, at the latest the end of time.
pub(super) fn after(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// All that the embedded API remembers.
#[derive(Debug)]
pub(super) struct World {
    /// The instant at which things happen now; moves only in `reactions::advance`.
    pub(super) now: Timestamp,
    pub(super) kinds: Kinds,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) token_count: u64,
    pub(super) rollouts: BTreeMap<Key, Rollout>,
    pub(super) sayings: Vec<Saying>,
    pub(super) runs: BTreeMap<Key, Run>,
    pub(super) attempts: BTreeMap<Key, Attempts>,
    pub(super) recoveries: BTreeMap<Key, Recovery>,
    pub(super) scripts: BTreeMap<String, usize>,
    pub(super) dirty: BTreeSet<Key>,
    pub(super) due: BTreeSet<(Timestamp, Key)>,
    pub(super) audit: Audit,
    pub(super) admission: Admission,
    /// Nothing follows from a change by itself.
    pub(super) controllers_stopped: bool,
    objects: BTreeMap<Key, Arc<Value>>,
    uids: BTreeMap<String, Key>,
    history: VecDeque<Change>,
    forgotten: u64,
    revision: u64,
    uid_count: u32,
    name_count: u32,
}

impl World {
    pub(super) fn starting_at(now: Timestamp) -> Self {
        Self {
            now,
            kinds: Kinds::built_in(),
            tokens: BTreeMap::new(),
            token_count: 0,
            rollouts: BTreeMap::new(),
            sayings: Vec::new(),
            runs: BTreeMap::new(),
            attempts: BTreeMap::new(),
            scripts: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            dirty: BTreeSet::new(),
            due: BTreeSet::new(),
            audit: Audit::default(),
            admission: Admission::default(),
            controllers_stopped: false,
            objects: BTreeMap::new(),
            uids: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: 0,
            revision: 1,
            uid_count: 0,
            name_count: 0,
        }
    }

    /// The revision of the latest change.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The latest revision whose change is no longer in the history.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// `now` as Kubernetes writes times: whole seconds, UTC.
    pub(super) fn stamp(&self) -> Value {
        stamp(self.now)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The objects in `scope`, by namespace and name.
    pub(super) fn scan<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(&scope.group, &scope.plural, scope.namespace.as_deref().unwrap_or_default(), "");
        self.objects.range(first..).take_while(|(key, _)| scope.holds(key))
    }

    /// Copies of the objects in `scope`, for reactions that change the store while they go through them.
    pub(super) fn copies(&self, scope: &Scope) -> Vec<(Key, Arc<Value>)> {
        self.scan(scope).map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }

    /// The revision before the latest `count` changes, as far as the history goes.
    pub(super) fn revision_ago(&self, count: u64) -> u64 {
        // A watch from 0 would begin anew.
        let first = self.forgotten.max(1);
        let kept = self.history.len().checked_sub(usize::try_from(count).unwrap_or(usize::MAX));
        match kept {
            Some(kept) if kept == self.history.len() => self.revision,
            Some(kept) => kept.checked_sub(1).and_then(|last| self.history.get(last)).map_or(first, |last| last.revision),
            None => first,
        }
    }

    /// What was in `scope` at `revision`.
    pub(super) fn copies_at(&self, scope: &Scope, revision: u64) -> Vec<(Key, Arc<Value>)> {
        let mut found: BTreeMap<Key, Arc<Value>> = self.copies(scope).into_iter().collect();
        for change in self.changes_after(revision, scope, usize::MAX).into_iter().rev() {
            match change.before {
                Some(before) => found.insert(change.key, before),
                None => found.remove(&change.key),
            };
        }
        found.into_iter().collect()
    }

    pub(super) fn key_of_uid(&self, uid: &str) -> Option<&Key> {
        self.uids.get(uid)
    }

    /// The changes after `revision` in `scope`, oldest first, at most `count_max`.
    pub(super) fn changes_after(&self, revision: u64, scope: &Scope, count_max: usize) -> Vec<Change> {
        let from = self.history.partition_point(|change| change.revision <= revision);
        self.history.range(from..).filter(|change| scope.holds(&change.key)).take(count_max).cloned().collect()
    }

    /// A uid that differs from every other in its first eight characters.
    pub(super) fn next_uid(&mut self) -> String {
        self.uid_count = self.uid_count.wrapping_add(1);
        format!("{:08x}-0000-4000-8000-{:012x}", self.uid_count, self.uid_count)
    }

    /// Five characters for the end of a generated name.
    pub(super) fn next_suffix(&mut self) -> String {
        const LETTERS: [char; 27] = [
            'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'z', '2', '4', '5',
            '6', '7', '8', '9',
        ];
        self.name_count = self.name_count.wrapping_add(1);
        let mut rest = self.name_count as usize;
        let mut suffix = String::new();
        for _ in 0..5 {
            suffix.extend(LETTERS.get(rest % LETTERS.len()));
            rest /= LETTERS.len();
        }
        suffix.chars().rev().collect()
    }

    /// Stores a new object; its uid must be set.
    pub(super) fn insert(&mut self, key: &Key, object: Value) -> Arc<Value> {
        self.uids.insert(fields::text(&object, &["metadata", "uid"]).to_owned(), key.clone());
        self.store(key, None, object)
    }

    /// Stores `object` in place of what is there, unless nothing but its resourceVersion differs.
    pub(super) fn replace(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        let Some(before) = self.get(key) else { return Arc::new(object) };
        fields::carry(&before, &mut object, &["metadata", "resourceVersion"]);
        if *before == object {
            return before;
        }
        self.store(key, Some(before), object)
    }

    /// Stores `status` as the status of the object at `key`, as its controller does.
    pub(super) fn write_status(&mut self, key: &Key, status: Value) {
        if let Some(object) = self.get(key) {
            let mut object = (*object).clone();
            fields::set(&mut object, &["status"], status);
            self.replace(key, object);
        }
    }

    /// Removes the object at `key` whatever its finalizers say; returns it as it was last.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.uids.remove(fields::text(&before, &["metadata", "uid"]));
        let object = self.stamped((*before).clone());
        self.note(Change {
            revision: self.revision,
            key: key.clone(),
            before: Some(before),
            object: object.clone(),
            removed: true,
        });
        Some(object)
    }

    fn store(&mut self, key: &Key, before: Option<Arc<Value>>, object: Value) -> Arc<Value> {
        let object = self.stamped(object);
        self.objects.insert(key.clone(), Arc::clone(&object));
        let stored = Arc::clone(&object);
        self.note(Change { revision: self.revision, key: key.clone(), before, object, removed: false });
        stored
    }

    fn stamped(&mut self, mut object: Value) -> Arc<Value> {
        self.revision = self.revision.saturating_add(1);
        fields::set(&mut object, &["metadata", "resourceVersion"], self.revision.to_string());
        Arc::new(object)
    }

    fn note(&mut self, change: Change) {
        self.mark_dirty(&change);
        self.audit.note(self.now, &change);
        self.history.push_back(change);
        self.forget_all_but(HISTORY_MAX);
    }

    /// Forgets all but the latest `kept` changes.
    pub(super) fn forget_all_but(&mut self, kept: usize) {
        while self.history.len() > kept {
            self.forgotten = self.history.pop_front().map_or(self.forgotten, |oldest| oldest.revision);
        }
    }
}

/// `moment` as Kubernetes writes times.
pub(super) fn stamp(moment: Timestamp) -> Value {
    let whole = Timestamp::from_second(moment.as_second()).unwrap_or(moment);
    Value::String(whole.to_string())
}

/// The uid of `object`.
pub(super) fn uid(object: &Value) -> &str {
    fields::text(object, &["metadata", "uid"])
}

/// Whether `object` is being deleted.
pub(super) fn is_going(object: &Value) -> bool {
    fields::at(object, &["metadata", "deletionTimestamp"]).is_some()
}
