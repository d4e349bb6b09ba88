//! A night before it is written down: few words, from which its file follows, and by which it can be made smaller.
//!
//! In: a draft. Out: its [`Scene`], and the moments that follow from it. Invariants: the deadline is computed here a second time, from
//! opening hours and budgets alone; a draft fits by construction: the deadline leaves room for everything one after another. Not here: how
//! drafts are drawn (`draw`), how objects look (`things`).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::stage::{Fault, Object, Scene};
use crate::things;

const MARGIN: i64 = 15;
/// How much later the counter opens when another site's patience ends first.
const PATIENCE: i64 = 20;

/// Which night it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Night {
    Ordinary,
    /// Two o'clock never comes.
    Spring,
    /// Two o'clock comes twice.
    Autumn,
}

/// How a service is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// No replicas.
    Scale,
    /// A courtesy page.
    Courtesy,
    /// A schedule rests.
    Suspend,
    /// A field of a file says so.
    Merge,
    /// The same by a JSON Patch.
    Json,
}

impl Closing {
    /// Somebody who knocks sees it.
    pub fn is_probed(self) -> bool {
        matches!(self, Self::Scale | Self::Courtesy)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub closing: Closing,
    /// `StayClosed`, `OpenDegraded` or `Open`.
    pub when_dirty: &'static str,
    /// `CallPerson`, `OpenDegraded` or `CloseAgain`.
    pub when_red: &'static str,
    pub needs: Option<String>,
    /// A site that is open all night.
    pub tolerates: bool,
    pub reopen: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    Job { budget: i64, takes: i64, attempts: i64 },
    Nothing,
    CoveredBy(String),
    Irreversible,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    Close(Vec<String>),
    Job { takes: i64, undo: Undo },
    Scale,
    Merge,
    Json,
    Apply,
    Suspend,
    Restart,
    Wait { comes: bool },
    Http,
    Hold { goes_on: bool },
    Cordon,
    Notify,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub needs: Vec<String>,
    /// All in minutes.
    pub budget: i64,
    pub hard_cap: Option<i64>,
    pub on_overrun: Option<&'static str>,
    pub goes_on_when_futile: bool,
    pub work: Work,
    pub touches: Option<Vec<String>>,
    /// Of a change: its undo's budget, where it is written.
    pub undo: Option<i64>,
}

impl Step {
    /// The most that it takes.
    pub fn at_most(&self) -> i64 {
        self.hard_cap.unwrap_or(self.budget)
    }

    /// What its way back takes.
    pub fn back(&self) -> i64 {
        match &self.work {
            Work::Job { undo: Undo::Job { budget, .. }, .. } => *budget,
            Work::Scale | Work::Merge | Work::Json | Work::Apply | Work::Suspend | Work::Cordon => {
                self.undo.unwrap_or(self.budget)
            }
            Work::Job { .. }
            | Work::Close(_)
            | Work::Restart
            | Work::Wait { .. }
            | Work::Http
            | Work::Hold { .. }
            | Work::Notify => 0,
        }
    }

    /// The object that it changes.
    pub fn target(&self) -> Option<Object> {
        let object = |kind: &str, namespace: &str, name: String| {
            Some(Object { kind: kind.to_owned(), namespace: namespace.to_owned(), name })
        };
        match &self.work {
            Work::Scale | Work::Restart => object("Deployment", "sanita", format!("o-{}", self.name)),
            Work::Merge | Work::Json => object("ConfigMap", "sanita", format!("o-{}", self.name)),
            Work::Suspend => object("CronJob", "sanita", format!("o-{}", self.name)),
            Work::Apply
            | Work::Cordon
            | Work::Job { .. }
            | Work::Close(_)
            | Work::Wait { .. }
            | Work::Http
            | Work::Hold { .. }
            | Work::Notify => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub night: Night,
    pub services: Vec<Service>,
    pub steps: Vec<Step>,
    pub smoke: Option<i64>,
    pub reserve: i64,
    pub reopening: i64,
    /// Between what everything takes one after another and the deadline.
    pub slack: i64,
    pub faults: Vec<Fault>,
}

pub fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

impl Draft {
    pub fn start(&self) -> Timestamp {
        let text = match self.night {
            Night::Ordinary => "2023-02-10T00:30:00+01:00",
            Night::Spring => "2023-03-26T01:30:00+01:00",
            Night::Autumn => "2023-10-29T01:30:00+02:00",
        };
        text.parse().unwrap()
    }

    /// When the stage opens.
    pub fn from(&self) -> Timestamp {
        self.start() - minutes(25)
    }

    /// What going back takes at most, reopening and reserve included.
    pub fn back(&self) -> i64 {
        let undos: i64 = self.steps.iter().map(Step::back).sum();
        let reopen: i64 = self.services.iter().map(|service| service.reopen).sum();
        undos + self.smoke.unwrap_or(0) + self.reopening.max(reopen) + self.reserve
    }

    pub fn must_serve_by(&self) -> Timestamp {
        let forward: i64 = self.steps.iter().map(Step::at_most).sum();
        let whole = (forward + self.back() + self.slack + 9) / 5 * 5;
        let by = self.start() + minutes(whole);
        // Doors that open at an hour that comes twice say nothing: they open after it.
        let twice: Timestamp = "2023-10-29T02:30:00+01:00".parse().unwrap();
        if self.night == Night::Autumn { by.max(twice) } else { by }
    }

    /// From then on nothing but short disturbances lets the way back fit.
    pub fn calm_by(&self) -> Timestamp {
        self.must_serve_by() - minutes(self.back())
    }

    fn is_patient(&self) -> bool {
        self.services.iter().any(|service| service.tolerates)
    }

    /// An expression is evaluated in a thread of its own: in which order its answer comes is not the night's.
    pub fn waits(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.work, Work::Wait { .. }))
    }

    /// When the counters open, on the clock of their wall.
    pub fn opens_at(&self) -> DateTime {
        let later = if self.is_patient() { PATIENCE } else { 0 };
        (self.must_serve_by() + minutes(MARGIN + later)).to_zoned(TimeZone::get("Europe/Rome").unwrap()).datetime()
    }

    /// When the step starts as planned.
    pub fn starts_at(&self, step: &Step) -> i64 {
        let of =
            |name: &String| self.steps.iter().find(|one| one.name == *name).map_or(0, |one| self.starts_at(one) + one.budget);
        step.needs.iter().map(of).max().unwrap_or(0)
    }

    /// How long a site that is open all night bears it.
    pub fn patience(&self, service: &Service) -> SignedDuration {
        let closes = |step: &&Step| matches!(&step.work, Work::Close(all) if all.contains(&service.name));
        let closed_at = self.steps.iter().find(closes).map_or(0, |step| self.starts_at(step));
        self.must_serve_by().duration_since(self.start() + minutes(closed_at))
    }

    /// Moments at which something is planned to end or is due.
    pub fn edges(&self) -> Vec<Timestamp> {
        let mut all: Vec<Timestamp> =
            self.steps.iter().map(|step| self.start() + minutes(self.starts_at(step) + step.budget)).collect();
        all.extend([self.start(), self.calm_by(), self.must_serve_by() - minutes(self.reserve)]);
        all.retain(|at| *at < self.must_serve_by());
        all
    }

    /// The night as a file says it.
    pub fn scene(&self, name: &str) -> Scene {
        let mut documents = vec![Scene::head(self.from(), self.must_serve_by(), &self.faults)];
        documents.extend(things::declared(self));
        documents.extend(things::objects(self));
        Scene::of(name, documents)
    }
}

/// What a step is on the wire.
pub fn action(step: &Step) -> Value {
    let target = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "namespace": "sanita", "name": format!("o-{}", step.name)});
    match &step.work {
        Work::Close(services) => json!({"close": {"services": services}}),
        Work::Job { .. } => json!({"job": {"from": {"cronJob": format!("j-{}", step.name)}}}),
        Work::Scale => json!({"scale": {"target": target("apps/v1", "Deployment"), "replicas": 3}}),
        Work::Merge => {
            json!({"patch": {"target": target("v1", "ConfigMap"), "merge": {"data": {"nuovo": "si", "vecchio": null}}}})
        }
        Work::Json => {
            let operations = json!([{"op": "replace", "path": "/data/vecchio", "value": "no"}]);
            json!({"patch": {"target": target("v1", "ConfigMap"), "json": operations}})
        }
        Work::Apply => {
            let metadata = json!({"name": format!("o-{}", step.name), "namespace": "sanita"});
            json!({"apply": {"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"testo": "chiuso"}}}})
        }
        Work::Suspend => json!({"suspend": {"target": target("batch/v1", "CronJob")}}),
        Work::Restart => json!({"restart": {"target": target("apps/v1", "Deployment")}}),
        Work::Wait { comes } => {
            let until = if *comes { "has(self.data)" } else { "has(self.data) && has(self.data.mai)" };
            json!({"wait": {"target": target("v1", "ConfigMap"), "until": until}})
        }
        Work::Http => json!({"http": {"url": "http://rete.sanita:8080/health", "consecutive": 2}}),
        Work::Hold { goes_on } => {
            let silence = if *goes_on { "Continue" } else { "TurnBack" };
            json!({"hold": {"message": "si va avanti?", "onSilence": silence}})
        }
        Work::Cordon => json!({"cordon": {"node": format!("o-{}", step.name)}}),
        Work::Notify => json!({"notify": {"message": "a meta' strada"}}),
    }
}
