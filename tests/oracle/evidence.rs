//! What is known of a night from outside: every change of every object, every request, and what somebody who knocks at the doors saw.
//!
//! In: an audit log. Out: questions about it. Invariants: changes are in the order of the store; our own users are told by name. Not here: what any of it means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

/// Everything of ours on objects starts with this.
pub const OURS: &str = "notturno.dev/";
pub const TOKEN: &str = "notturno.dev/token";

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Plural of the kind: the kinds of a night have no two of one name.
    pub resource: String,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        let [resource, namespace, name] = [resource, namespace, name].map(str::to_owned);
        Self { resource, namespace, name }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
    }
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: Timestamp,
    /// Who asked for it; none: a controller.
    pub user: Option<Arc<str>>,
    pub key: Key,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Timestamp,
    pub user: String,
    pub writes: bool,
}

/// Somebody knocked.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub at: Timestamp,
    /// `namespace/name`.
    pub service: String,
    pub is_open: bool,
}

impl Change {
    /// What its owner says of the object is another afterwards.
    pub fn differs(&self) -> bool {
        self.before.as_deref().map(essence) != self.after.as_deref().map(essence)
    }
}

/// All that is known of a night.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Every object before the night.
    pub by_day: BTreeMap<Key, Arc<Value>>,
    pub changes: Vec<Change>,
    pub requests: Vec<Request>,
    pub sightings: Vec<Sighting>,
    /// Every object at the end.
    pub at_last: BTreeMap<Key, Arc<Value>>,
    /// From then on nothing goes wrong any more and the night is over.
    pub quiet_from: Timestamp,
    /// Until then it was watched.
    pub until: Timestamp,
    /// Who is not us: people, controllers with a name of their own.
    pub others: Vec<String>,
}

impl Evidence {
    /// As if nobody had ever written this annotation.
    pub fn without_annotation(&mut self, name: &str) {
        let strip = |object: &mut Arc<Value>| {
            if object["metadata"]["annotations"].get(name).is_none() {
                return;
            }
            let Some(metadata) = Arc::make_mut(object)["metadata"].as_object_mut() else { return };
            let left = metadata["annotations"].as_object_mut().map_or(0, |all| {
                all.remove(name);
                all.len()
            });
            if left == 0 {
                metadata.remove("annotations");
            }
        };
        self.by_day.values_mut().chain(self.at_last.values_mut()).for_each(strip);
        self.changes.iter_mut().flat_map(|change| change.before.iter_mut().chain(&mut change.after)).for_each(strip);
    }

    pub fn is_ours(&self, change: &Change) -> bool {
        change.user.as_deref().is_some_and(|user| !self.others.iter().any(|other| other == user))
    }

    /// What we changed.
    pub fn ours(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| self.is_ours(change))
    }

    pub fn of<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().filter(move |change| change.key == *key)
    }

    /// The changes of Jobs of the night, by name.
    pub fn jobs<'a>(&'a self, stem: &'a str) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().filter(move |change| change.key.resource == "jobs" && change.key.name.starts_with(stem))
    }
}

/// An object as its owner knows it: without what the API server keeps for itself, its status, and what is ours.
pub fn essence(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for own in ["resourceVersion", "generation", "managedFields", "uid", "creationTimestamp"] {
            metadata.remove(own);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !name.starts_with(OURS) && !name.starts_with("deployment.kubernetes.io/"));
        }
        let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
        metadata.retain(|name, value| !(name == "annotations" || name == "labels") || !empty(value));
    }
    object
}

pub fn token(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][TOKEN].as_str()
}

/// Whether a Job may run.
pub fn may_run(job: &Value) -> bool {
    job["spec"]["suspend"] != true
}

/// Whether the Job has this condition.
pub fn is(job: &Value, condition: &str) -> bool {
    let all = job["status"]["conditions"].as_array();
    all.is_some_and(|all| all.iter().any(|one| one["type"] == condition && one["status"] == "True"))
}
