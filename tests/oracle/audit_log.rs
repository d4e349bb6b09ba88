//! A Kubernetes audit log as evidence: who asked for what, and what each request made of which object.
//!
//! In: the log's lines, as values; what was there before them; under which accounts our programs ask. Out: [`Told`]. Invariants: changes are in the
//! order of the store, which is the order of resource versions; what is before a change is what the change before it left; refused and
//! tried writes change nothing, and are asked all the same; a line whose object is not in the log is a change that leaves the object as it
//! was known. Not here: what was seen at the doors, what any of it means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::evidence::{Change, Key, Request};

/// What stands in a token that was made for a Pod.
pub const POD: &str = "authentication.kubernetes.io/pod-name";
const CONTROLLERS: &str = "system:serviceaccount:kube-system:";
/// What is asked there is answered, and nothing is stored.
pub const ASKED_ONLY: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];

/// Under which accounts our programs ask.
#[derive(Clone, Debug, Default)]
pub struct Hands {
    /// Of the operator and of the sentinels.
    pub own: BTreeSet<String>,
    /// Tenants' accounts, which the operator asks tokens of. Their Jobs may run under the same ones, and are not us: their tokens are a Pod's.
    pub lent: BTreeSet<String>,
}

impl Hands {
    /// Of the operator and of all nights of these documents.
    pub fn of(operator: &str, documents: &[Value]) -> Self {
        let mut hands = Self { own: [operator.to_owned()].into(), lent: BTreeSet::new() };
        for runbook in documents.iter().filter(|one| one["kind"] == "Runbook") {
            let text = |path: &str| runbook.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let account = format!("system:serviceaccount:{}:{}", text("/metadata/namespace"), text("/spec/serviceAccountName"));
            hands.own.insert(format!("{account}-sentinel"));
            hands.lent.insert(account);
        }
        hands
    }

    /// Whether a line was asked for by one of our programs.
    pub fn is_ours(&self, line: &Value) -> bool {
        matches!(self.whose(line), Whose::Ours(_))
    }

    /// By whom a line was asked for.
    fn whose(&self, line: &Value) -> Whose {
        let name = text(&line["user"]["username"]);
        let pod = line["user"]["extra"][POD][0].as_str();
        if self.own.contains(name) || pod.is_none() && self.lent.contains(name) {
            return Whose::Ours(name.to_owned());
        }
        if name.starts_with(CONTROLLERS) || name.starts_with("system:") && !name.starts_with("system:serviceaccount:") {
            return Whose::Controller;
        }
        Whose::Other(pod.map_or_else(|| name.to_owned(), |pod| format!("{name} in Pod {pod}")))
    }
}

enum Whose {
    Ours(String),
    Controller,
    Other(String),
}

/// What a log tells.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub changes: Vec<Change>,
    pub requests: Vec<Request>,
    /// Whoever asked and is neither us nor a controller.
    pub others: Vec<String>,
    /// Every object as the log leaves it.
    pub last: BTreeMap<Key, Arc<Value>>,
}

/// What became of an object.
enum Then {
    Is(Arc<Value>),
    /// Its number of replicas, and nothing else.
    Scaled(Value),
    /// The object of this UID, if that is known.
    Gone(Option<String>),
    /// Whatever it is, it is not in the log.
    Unseen,
}

struct Effect {
    order: u64,
    revision: Option<u64>,
    at: Timestamp,
    user: Option<Arc<str>>,
    key: Key,
    then: Then,
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The version of an object. Versions of a cluster are in order, across all objects.
pub fn revision(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

/// Reads the lines, in the order in which they were written.
pub fn read(lines: &[Value], hands: &Hands, by_day: &BTreeMap<Key, Arc<Value>>) -> Told {
    let mut told = Told { last: by_day.clone(), ..Told::default() };
    let mut others = BTreeSet::new();
    let mut effects: Vec<Effect> = vec![];
    let mut latest = 0;
    for line in lines {
        let whose = hands.whose(line);
        if let Whose::Other(name) = &whose {
            others.insert(name.clone());
        }
        let at: Timestamp = text(&line["stageTimestamp"]).parse().unwrap();
        let user = match whose {
            Whose::Ours(name) | Whose::Other(name) => Some(name),
            Whose::Controller => None,
        };
        // A watch is asked once, when it begins.
        let is_watch = line["verb"] == "watch";
        if let Some(user) = user.clone().filter(|_| (line["stage"] == "ResponseStarted") == is_watch) {
            told.requests.push(Request { at, user, writes: !is_read(line) });
        }
        for (key, then) in effects_of(line) {
            let revision = match &then {
                Then::Is(object) => revision(object),
                Then::Scaled(_) => revision(&line["responseObject"]),
                Then::Gone(_) | Then::Unseen => None,
            };
            latest = latest.max(revision.unwrap_or_default());
            let user = user.as_deref().map(Arc::from);
            effects.push(Effect { order: revision.unwrap_or(latest), revision, at, user, key, then });
        }
    }
    effects.sort_by_key(|effect| effect.order);
    for effect in effects {
        told.takes(effect);
    }
    told.others = others.into_iter().collect();
    told
}

impl Told {
    fn takes(&mut self, effect: Effect) {
        let Effect { order: _, revision: made, at, user, key, then } = effect;
        let mut before = self.last.get(&key).cloned();
        let known = before.as_deref().and_then(revision);
        // What changes nothing makes no version, and what was there by day may be newer than the first lines.
        if made.is_some() && known >= made {
            return;
        }
        let after = match then {
            Then::Is(object) => Some(object),
            Then::Gone(uid) => {
                // One that was made anew since is another one.
                if before.as_ref().zip(uid).is_some_and(|(object, uid)| object["metadata"]["uid"] != uid.as_str()) {
                    return;
                }
                before = Some(before.unwrap_or_default());
                None
            }
            Then::Scaled(scale) => before.as_deref().map(|object| Arc::new(scaled(object, &scale))),
            Then::Unseen => Some(before.clone().unwrap_or_default()),
        };
        match &after {
            Some(object) => self.last.insert(key.clone(), Arc::clone(object)),
            None => self.last.remove(&key),
        };
        self.changes.push(Change { at, user, key, before, after });
    }
}

fn scaled(object: &Value, scale: &Value) -> Value {
    let mut object = object.clone();
    object["spec"]["replicas"] = scale["spec"]["replicas"].clone();
    object["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
    object
}

pub fn is_read(line: &Value) -> bool {
    ["get", "list", "watch"].contains(&text(&line["verb"]))
}

/// Whether it was only tried: the option stands in the address, or in the body of a deletion.
pub fn is_tried(line: &Value) -> bool {
    text(&line["requestURI"]).contains("dryRun=All") || line["requestObject"]["dryRun"][0] == "All"
}

/// Whether the object is still there: the last finalizer of what is being deleted takes it away, once nobody waits for its Pod to end.
fn is_there(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let is_held = metadata["finalizers"].as_array().is_some_and(|all| !all.is_empty());
    let has_time = metadata["deletionGracePeriodSeconds"].as_u64().is_some_and(|seconds| seconds > 0);
    !metadata["deletionTimestamp"].is_string() || is_held || has_time
}

/// What a line made of which objects.
fn effects_of(line: &Value) -> Vec<(Key, Then)> {
    let refused = line["responseStatus"]["code"].as_u64().is_none_or(|code| code >= 400);
    let at = &line["objectRef"];
    let asked_only = ASKED_ONLY.iter().any(|group| at["apiGroup"] == *group);
    if line["stage"] != "ResponseComplete" || refused || is_read(line) || is_tried(line) || asked_only {
        return vec![];
    }
    let (answer, name) = (&line["responseObject"], text(&at["name"]));
    let of = |namespace: &str, name: &str| Key::new(text(&at["resource"]), namespace, name);
    let own = |then| vec![(of(text(&at["namespace"]), name), then)];
    let object = |object: &Value| {
        let metadata = &object["metadata"];
        // What takes an object away may be answered with the version that it had.
        let then = if is_there(object) { Then::Is(Arc::new(object.clone())) } else { Then::Gone(uid(object)) };
        (of(text(&metadata["namespace"]), text(&metadata["name"])), then)
    };
    match (text(&line["verb"]), text(&at["subresource"])) {
        (_, "token") => vec![],
        (_, "scale") => own(Then::Scaled(answer.clone())),
        (_, "" | "status") if answer["metadata"]["name"].is_string() && line["verb"] != "delete" => vec![object(answer)],
        ("delete", "") if answer["metadata"]["name"].is_string() => {
            let (key, then) = object(answer);
            vec![(key, if is_there_after_deletion(answer) { then } else { Then::Gone(uid(answer)) })]
        }
        // What is answered then is a `Status`.
        ("delete", "") => own(Then::Gone(answer["details"]["uid"].as_str().map(str::to_owned))),
        ("deletecollection", "") => {
            let all = answer["items"].as_array().into_iter().flatten().map(|one| {
                let (key, then) = object(one);
                (key, if is_there_after_deletion(one) { then } else { Then::Gone(uid(one)) })
            });
            all.collect()
        }
        _ => own(Then::Unseen),
    }
}

fn uid(object: &Value) -> Option<String> {
    object["metadata"]["uid"].as_str().map(str::to_owned)
}

/// What a deletion answers is the object as it was, unless something still holds it.
fn is_there_after_deletion(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string() && is_there(object)
}
