//! A night as a file: what is declared, what surrounds it, what goes wrong in it.
//!
//! In: a file of `tests/promises/nights`, or one that was drawn. Out: [`Scene`], and its text. Invariants: everything that happens in a
//! night is said by its file; a scene's text is the scene. The head is a document of `kind: Prova`:
//!
//! | field | says |
//! |---|---|
//! | `mustServeBy` | by when all is open |
//! | `from` | when the stage opens; ten to midnight of the night of 2023 when not written |
//! | `ends` | what the ledger says came of it; not written: anything that keeps the promises |
//! | `alone` | the night stands for itself; not written: the town of `citta.yaml` is there too |
//! | `operatorDiesAt`, `operatorDiesOnce` | the operator is dead for good from a moment on, or once the ledger has such an entry |
//! | `deletedAt` | when a person deletes the night |
//! | `faults` | whatever else goes wrong (`fault`) |
//!
//! Not here: what is promised (the oracle), how a night is played (`play`).

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use notturno::cli::read::read_texts;
use notturno::clock::Clock;
use notturno::embedded::{Embedded, annotations};
use serde_json::{Value, json};

use super::fault::{Fault, Kind, Way};
use crate::oracle::{Declared, Key};
use crate::processes::Whose;

pub const WHOSE: Whose = Whose { namespace: "centro-dati", name: "notte" };
/// Whoever is not us.
pub const PERSON: &str = "anna";
pub const OTHERS: [&str; 3] = [PERSON, "test", super::deeds::CONTROLLER];
pub const BACK_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// By this label of their Pods one knows of which CronJob Jobs are made.
pub const MADE_FROM: &str = "prova.example/da";

const TOWN: &str = include_str!("citta.yaml");

/// A night and what surrounds it.
#[derive(Clone)]
pub struct Scene {
    pub name: String,
    pub faults: Vec<Fault>,
    prova: Value,
    objects: Vec<Value>,
    documents: Vec<Value>,
    /// What stands in the file itself.
    own: Vec<Value>,
}

fn values(name: &str, text: &str) -> Vec<Value> {
    let read = read_texts([(name, text.as_bytes())]).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
    read.into_iter().map(|document| document.value).collect()
}

fn named(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

/// Where the object stands.
pub fn key(object: &Value) -> Key {
    let (kind, namespace, name) = named(object);
    Key::new(&format!("{}s", kind.to_lowercase()), &namespace, &name)
}

/// Where nights are kept.
pub fn nights() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises/nights")
}

impl Scene {
    /// All of the folder, by name.
    pub fn all() -> Vec<Self> {
        let mut names: Vec<String> = fs::read_dir(nights())
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    pub fn read(name: &str) -> Self {
        Self::parse(name, &fs::read_to_string(nights().join(format!("{name}.yaml"))).unwrap())
    }

    /// A night from its text.
    pub fn parse(name: &str, text: &str) -> Self {
        Self::of(name, values(name, text))
    }

    /// A night from its documents, the head among them.
    pub fn of(name: &str, documents: Vec<Value>) -> Self {
        let (prova, own): (Vec<Value>, Vec<Value>) = documents.into_iter().partition(|one| one["kind"] == "Prova");
        let [prova] = &prova[..] else { panic!("{name}: one head") };
        let mut all = if prova["alone"] == true { vec![] } else { values("citta.yaml", TOWN) };
        all.retain(|object| own.iter().all(|other| named(other) != named(object)));
        all.extend(own.iter().cloned());
        let faults: Vec<Fault> = match &prova["faults"] {
            Value::Null => vec![],
            listed => serde_json::from_value(listed.clone()).unwrap_or_else(|error| panic!("{name}: faults: {error}")),
        };
        let (documents, objects) = all.into_iter().partition(|one| one["apiVersion"] == "notturno.dev/v1alpha1");
        Self { name: name.to_owned(), faults, prova: prova.clone(), objects, documents, own }
    }

    /// The head of a drawn night.
    pub fn head(from: Timestamp, must_serve_by: Timestamp, faults: &[Fault]) -> Value {
        json!({"apiVersion": "prova.example/v1", "kind": "Prova", "from": from, "mustServeBy": must_serve_by, "alone": true,
            "faults": faults})
    }

    /// The file, with these words at its beginning.
    pub fn text(&self, words: &str) -> String {
        let document = |one: &Value| serde_saphyr::to_string(one).unwrap();
        let comment: String = words.lines().map(|line| format!("# {line}\n")).collect();
        let all: Vec<String> = std::iter::once(&self.prova).chain(&self.own).map(document).collect();
        comment + &all.join("---\n")
    }

    pub fn moment(&self, field: &str) -> Option<Timestamp> {
        self.prova[field].as_str().map(|text| text.parse().unwrap())
    }

    pub fn word(&self, field: &str) -> Option<&str> {
        self.prova[field].as_str()
    }

    /// What the ledger is to say came of it, if the file says so.
    pub fn ends(&self) -> Option<&str> {
        self.word("ends")
    }

    pub fn must_serve_by(&self) -> Timestamp {
        self.moment("mustServeBy").unwrap()
    }

    fn from(&self) -> Timestamp {
        self.moment("from").unwrap_or_else(|| "2023-02-09T23:50:00+01:00".parse().unwrap())
    }

    pub fn documents(&self) -> &[Value] {
        &self.documents
    }

    pub fn declared(&self) -> Declared {
        Declared::read(&self.documents, self.must_serve_by())
    }

    /// The API with everything that is there by day.
    pub fn stage(&self) -> Embedded {
        let embedded = Embedded::new(Clock::starting_at(self.from()));
        for definition in notturno::api::manifests::crds() {
            embedded.register_definition(&serde_json::to_value(definition).unwrap()).unwrap();
        }
        for object in &self.objects {
            let object = self.working(object);
            embedded.create(object.clone()).unwrap_or_else(|failure| panic!("{}: {object} {failure:?}", self.name));
        }
        embedded
    }

    /// The object, doing what the faults of workloads make of it.
    fn working(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let is_it = |fault: &&Fault| {
            let of = |name: &str| fault.object.as_ref().is_some_and(|one| one.kind == "CronJob" && one.name == name);
            fault.kind.way() == Way::Work && object["kind"] == "CronJob" && object["metadata"]["name"].as_str().is_some_and(of)
        };
        let marks: Vec<(&str, String)> = self.faults.iter().filter(is_it).flat_map(marks).collect();
        for (mark, value) in marks {
            object["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"][mark] = json!(value);
        }
        if object["kind"] == "CronJob" {
            let name = object["metadata"]["name"].clone();
            object["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"][MADE_FROM] = name;
        }
        object
    }
}

/// What a fault writes on the Pods of a Job.
fn marks(fault: &Fault) -> Vec<(&'static str, String)> {
    let one = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    match fault.kind {
        Kind::JobSlow | Kind::PodScheduledLate => {
            let span = format!("{}s", fault.takes.map_or(60, |takes| takes.as_secs()));
            one(if fault.kind == Kind::JobSlow { annotations::TAKES } else { annotations::SCHEDULED_AFTER }, &span)
        }
        Kind::JobHangs | Kind::UndoHangs => one(annotations::ENDS, "Hangs"),
        Kind::JobFails | Kind::UndoFails => one(annotations::ENDS, "Failed"),
        Kind::UndoFailsOnce => {
            let mut all = one(annotations::ENDS, "Failed,Succeeded");
            all.push((annotations::SCRIPT, fault.object().name.clone()));
            all
        }
        Kind::PodUnscheduled => one(annotations::SCHEDULED_AFTER, "never"),
        Kind::NodeLost => one(annotations::STOPS_AFTER, "never"),
        Kind::StopsWithSuccess => one(annotations::ON_STOP, "Succeeded"),
        Kind::CompletesWhenStopped => one(annotations::ON_STOP, "Completes"),
        other => unreachable!("{other:?} is no fault of a workload"),
    }
}
