//! The night as its files declare it, read a second time and simply.
//!
//! In: the documents of a night, and by when it has to serve. Out: [`Declared`]. Invariants: it is read by names of fields alone, so that a document that
//! Notturno understands otherwise shows. Not here: when doors open: whoever writes a night for these tests says so.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::evidence::{Evidence, Key};

/// How a step is undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    Job,
    Restore,
    CoveredBy(String),
    Never,
    Nothing,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// `namespace/name`.
    pub id: String,
    /// What its closing changes, and how often it does.
    pub closing: Vec<Key>,
    /// What opening it in part changes.
    pub degraded: Vec<Key>,
    /// `StayClosed`, `OpenDegraded` or `Open`.
    pub when_dirty: String,
    /// Whether it may be closed again.
    pub closes_again: bool,
    /// Where one knocks.
    pub probes: Vec<String>,
    /// Services without which it does not work.
    pub needs: Vec<String>,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    pub needs: Vec<String>,
    pub closes: Vec<String>,
    /// What it changes.
    pub targets: Vec<Key>,
    pub is_job: bool,
    /// Its change is that Pods are replaced.
    pub restarts: bool,
    pub undo: Undo,
    pub touches: BTreeSet<String>,
}

/// A night.
#[derive(Clone, Debug)]
pub struct Declared {
    pub namespace: String,
    pub name: String,
    pub must_serve_by: Timestamp,
    /// What is reserved, and what reopening takes at least: nothing goes forward that late.
    pub kept_free: SignedDuration,
    pub services: BTreeMap<String, Service>,
    pub steps: Vec<Step>,
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{namespace}/{name}") }
}

fn target(target: &Value, namespace: &str) -> Key {
    let resource = format!("{}s", text(target, "/kind").to_lowercase());
    let own = text(target, "/namespace");
    Key::new(&resource, if own.is_empty() { namespace } else { own }, text(target, "/name"))
}

/// What an action changes.
fn targets(action: &Value, namespace: &str) -> Vec<Key> {
    let changing = ["scale", "patch", "suspend", "restart"];
    let mut found: Vec<Key> =
        changing.iter().filter_map(|kind| action.pointer(&format!("/{kind}/target"))).map(|one| target(one, namespace)).collect();
    found.extend(action.pointer("/cordon/node").and_then(Value::as_str).map(|node| Key::new("nodes", "", node)));
    let applied = action.pointer("/apply/manifest").into_iter();
    found.extend(applied.map(|object| {
        let own = text(object, "/metadata/namespace");
        let named = serde_json::json!({"kind": object["kind"], "name": object["metadata"]["name"], "namespace": own});
        target(&named, namespace)
    }));
    found
}

fn span(text: &str) -> SignedDuration {
    let mut total = SignedDuration::ZERO;
    let mut number = String::new();
    let mut units = text.chars().peekable();
    while let Some(letter) = units.next() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let milliseconds = match letter {
            'h' => 3_600_000,
            'm' if units.next_if_eq(&'s').is_some() => 1,
            'm' => 60_000,
            's' => 1000,
            other => panic!("{other} in {text}"),
        };
        total += SignedDuration::from_millis(number.parse::<i64>().unwrap() * milliseconds);
        number.clear();
    }
    total
}

fn service(document: &Value) -> Service {
    let namespace = text(document, "/metadata/namespace");
    let named = |name: &str| format!("{namespace}/{name}");
    let spec = &document["spec"];
    let of = |path: &str| list(spec, path).iter().flat_map(|one| targets(one, namespace)).collect();
    let sync = list(spec, "/dependsOn").iter().filter(|one| one["mode"] == "Sync");
    Service {
        id: named(text(document, "/metadata/name")),
        closing: of("/close"),
        degraded: of("/degraded"),
        when_dirty: spec["whenDirty"].as_str().unwrap_or("StayClosed").to_owned(),
        closes_again: spec["whenRed"] == "CloseAgain",
        probes: list(spec, "/reopen/probes").iter().map(|probe| text(probe, "/http/url").to_owned()).collect(),
        needs: sync.map(|one| qualified(text(one, "/service"), namespace)).collect(),
    }
}

fn undo(step: &Value) -> Undo {
    match text(step, "/noUndo/reason") {
        "CoveredBy" => return Undo::CoveredBy(text(step, "/noUndo/step").to_owned()),
        "Irreversible" => return Undo::Never,
        "NothingToUndo" => return Undo::Nothing,
        _ => {}
    }
    match step.get("undo") {
        Some(undo) if undo.get("job").is_some() => Undo::Job,
        Some(_) => Undo::Restore,
        None => Undo::Nothing,
    }
}

impl Declared {
    /// Of the documents of one night, which has to serve by this.
    pub fn read(documents: &[Value], must_serve_by: Timestamp) -> Self {
        let of = |kind: &str| documents.iter().filter(|one| one["kind"] == kind).cloned().collect::<Vec<Value>>();
        let [night] = &of("Intervention")[..] else { panic!("one night") };
        let namespace = text(night, "/metadata/namespace");
        let services: BTreeMap<String, Service> =
            of("PublicService").iter().map(service).map(|service| (service.id.clone(), service)).collect();
        let is_its = |one: &&Value| {
            text(one, "/metadata/name") == text(night, "/spec/runbook") && text(one, "/metadata/namespace") == namespace
        };
        let runbooks = of("Runbook");
        let runbook = runbooks.iter().find(is_its).expect("its runbook");
        let found = |name: &str| {
            let own = qualified(name, namespace);
            let mut all = services.keys().filter(|id| **id == own || id.split_once('/').is_some_and(|(_, bare)| bare == name));
            all.next().unwrap_or_else(|| panic!("service {name}")).clone()
        };
        let names = |one: &Value, path: &str| -> Vec<String> {
            list(one, path).iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let closed: BTreeSet<String> = list(runbook, "/spec/steps")
            .iter()
            .flat_map(|step| names(step, "/close/services"))
            .map(|name| found(&name))
            .collect();
        let step = |step: &Value| {
            let is_job = step.get("job").is_some();
            let touches = match step.get("touches") {
                Some(_) => names(step, "/touches").iter().map(|name| found(name)).collect(),
                None if is_job => closed.clone(),
                None => BTreeSet::new(),
            };
            Step {
                name: text(step, "/name").to_owned(),
                needs: names(step, "/needs"),
                closes: names(step, "/close/services").iter().map(|name| found(name)).collect(),
                targets: targets(step, namespace),
                is_job,
                restarts: step.get("restart").is_some(),
                undo: undo(step),
                touches,
            }
        };
        Self {
            namespace: namespace.to_owned(),
            name: text(night, "/metadata/name").to_owned(),
            must_serve_by,
            kept_free: span(text(runbook, "/spec/reserve")) + span(text(runbook, "/spec/reopening/budget")),
            steps: list(runbook, "/spec/steps").iter().map(step).collect(),
            services,
        }
    }

    /// How the names of its Jobs begin; none while it has no UID.
    pub fn stem(&self, evidence: &Evidence) -> Option<String> {
        let key = Key::new("interventions", &self.namespace, &self.name);
        let object = evidence.of(&key).find_map(|change| change.after.as_ref()).or_else(|| evidence.by_day.get(&key))?;
        Some(format!("{}-{}-", self.name, object["metadata"]["uid"].as_str()?.get(..8)?))
    }

    pub fn ledger(&self, evidence: &Evidence) -> Option<Key> {
        Some(Key::new("configmaps", &self.namespace, &format!("notturno-{}ledger", self.stem(evidence)?)))
    }

    pub fn plan(&self, evidence: &Evidence) -> Option<Key> {
        Some(Key::new("configmaps", &self.namespace, &format!("notturno-{}plan", self.stem(evidence)?)))
    }

    /// The services that the night closes.
    pub fn closed(&self) -> impl Iterator<Item = &Service> {
        let closed: BTreeSet<&String> = self.steps.iter().flat_map(|step| &step.closes).collect();
        self.services.values().filter(move |service| closed.contains(&service.id))
    }

    /// Everything that the night may change, with how often it changes it on its way forward.
    pub fn targets(&self) -> BTreeMap<&Key, usize> {
        let mut found = BTreeMap::new();
        for key in self.closed().flat_map(|service| &service.closing).chain(self.steps.iter().flat_map(|step| &step.targets)) {
            *found.entry(key).or_default() += 1;
        }
        found
    }

    /// The steps that this one needs, and those that they need.
    pub fn upstream<'a>(&'a self, step: &'a Step) -> BTreeSet<&'a str> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = step.needs.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if found.insert(name) {
                open.extend(self.steps.iter().filter(|one| one.name == name).flat_map(|one| &one.needs).map(String::as_str));
            }
        }
        found
    }
}
