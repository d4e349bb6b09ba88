//! From documents to the planner's question.
//!
//! In: documents of one or more files. Out: [`Assembled`], the verdict with what is needed to point at lines; or a message when it is not
//! clear which night is meant. Invariants: documents of other API groups are ignored, unless ours was probably meant; every problem of
//! every document is kept.
//! Not here: reading files, printing.

use std::collections::BTreeMap;

use super::offset;
use crate::api::document::{Document as Word, Meant, from_value, in_part, is_meant_for_us, is_ours, not_ours};
use crate::api::validate;
use crate::cli::read::Document;
use crate::model::calendar::Calendar;
use crate::model::plan::Plan;
use crate::model::refusal::{Refusal, Warning, object_name};
use crate::model::runbook::{Intervention, Runbook};
use crate::model::service::Service;
use crate::plan::{Named, Question, Verdict, named, plan};

/// What the planner said, and where things stand in the files.
pub(in crate::cli) struct Assembled {
    /// `namespace/name`.
    pub intervention: String,
    /// The planner's answer, with the documents' own problems before it.
    pub verdict: Verdict,
    places: BTreeMap<String, Document>,
}

/// A place in a file.
pub(in crate::cli) struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl Assembled {
    /// Where the field that a refusal names stands.
    pub(in crate::cli) fn place(&self, refusal: &Refusal) -> Option<Place> {
        let document = self.places.get(&refusal.object)?;
        let (line, column) = document.position(&refusal.path).unwrap_or(document.start());
        Some(Place { file: document.file.clone(), line, column })
    }
}

/// All that the documents declare, validated.
#[derive(Default)]
pub(in crate::cli) struct Words {
    /// Every night by its name, `Err` when it is refused already.
    pub interventions: Vec<(String, Result<Intervention, ()>)>,
    /// Every problem of every document by itself.
    pub refusals: Vec<Refusal>,
    /// What to know of documents, by object.
    pub warnings: Vec<(String, Warning)>,
    /// Every runbook that is not refused.
    pub runbooks: Vec<Runbook>,
    /// Every service that is not refused.
    pub services: Vec<Service>,
    /// What can be read of every runbook that is refused.
    pub runbooks_in_part: Vec<Runbook>,
    services_in_part: Vec<Service>,
    calendars: BTreeMap<String, Calendar>,
    /// Objects that are refused: what names them cannot be judged.
    refused: Vec<String>,
    /// Documents by object.
    pub places: BTreeMap<String, Document>,
}

/// Plans the one night that the documents describe.
pub(in crate::cli) fn assemble(documents: &[Document], wanted: Option<&str>) -> Result<Assembled, String> {
    let words = Words::of(documents);
    let (name, night) = words.choose(wanted)?;
    let mut refusals = words.refusals.clone();
    let mut warnings: Vec<Warning> = words.warnings.iter().map(|(_, warning)| warning.clone()).collect();
    let mut timeline = None;
    if let Ok(night) = &night {
        match words.plan(night) {
            Planned::Verdict(verdict) => {
                warnings.extend(verdict.timeline.as_ref().and_then(|plan| words.other_offset(night, plan)));
                timeline = verdict.timeline;
                refusals.extend(verdict.refusals);
                warnings.extend(verdict.warnings);
            }
            Planned::NoRunbook => refusals.push(no_runbook(night)),
            Planned::RunbookRefused => {}
        }
    }
    Ok(Assembled { intervention: name, verdict: Verdict { timeline, refusals, warnings }, places: words.places })
}

fn no_runbook(night: &Intervention) -> Refusal {
    let object = object_name("Intervention", Some(&night.namespace), &night.name);
    let message = format!("there is no Runbook {:?} in namespace {}", night.runbook, night.namespace);
    Refusal::new("UnknownRunbook", &object, "spec.runbook", message)
}

/// What came of planning a night.
pub(in crate::cli) enum Planned {
    /// The planner's answer, without what only follows from a refused document.
    Verdict(Box<Verdict>),
    /// Its runbook is not among the documents.
    NoRunbook,
    /// Its runbook is refused.
    RunbookRefused,
}

impl Words {
    /// Reads and validates every document of ours.
    pub(in crate::cli) fn of(documents: &[Document]) -> Self {
        let mut words = Self::default();
        let (ours, others): (Vec<&Document>, Vec<&Document>) = documents.iter().partition(|document| is_ours(&document.value));
        for document in &ours {
            words.add(document);
        }
        for document in others {
            words.add_other(document, !ours.is_empty());
        }
        for document in ours {
            words.say_where(document);
        }
        words
    }

    /// What is said of a document that names no namespace: an error where the files show that another one was meant.
    fn say_where(&mut self, document: &Document) {
        let is_written = document.value_at("metadata.namespace").is_some_and(|written| !written.is_null() && written != "");
        if is_written || !["PublicService", "Runbook", "Intervention"].contains(&document.kind.as_str()) {
            return;
        }
        let (object, default, path) = (object_of(document), validate::DEFAULT_NAMESPACE, "metadata.namespace");
        let named = format!("{} {} names no namespace, and counts as one of {default}", document.kind, document.name);
        let meant = self.namespaces_of_runbook(document);
        if meant.is_empty() || meant.contains(&default) {
            let message = format!("{named}; kubectl puts it where its context points: write metadata.namespace");
            return self.warnings.push((object, Warning { reason: "NoNamespace".to_owned(), path: path.to_owned(), message }));
        }
        let message = format!("{named}, but its Runbook is in {0}: write metadata.namespace: {0}", meant.join(" or "));
        let qualified = qualified(document);
        self.interventions.iter_mut().filter(|(name, _)| *name == qualified).for_each(|(_, night)| *night = Err(()));
        self.refusals.push(Refusal::new("NoNamespace", &object, path, message));
    }

    /// Where the files hold a runbook of the name that a night gives.
    fn namespaces_of_runbook(&self, night: &Document) -> Vec<&str> {
        let Some(wanted) = night.value_at("spec.runbook").and_then(serde_json::Value::as_str) else { return Vec::new() };
        let of_name = self.places.values().filter(|document| document.kind == "Runbook" && document.name == wanted);
        of_name.map(|document| document.namespace.as_deref().unwrap_or(validate::DEFAULT_NAMESPACE)).collect()
    }

    /// A document of another group: with ours beside it, a kind of the same name may well be another program's.
    fn add_other(&mut self, document: &Document, are_there_ours: bool) {
        let Some(meant) = is_meant_for_us(&document.api_version, &document.kind) else { return };
        let message = not_ours(&document.api_version, &document.kind);
        let (group, _) = document.api_version.split_once('/').unwrap_or((&document.api_version, ""));
        // Another object than one of ours with the same names.
        let object = object_of(document).replacen(&document.kind, &format!("{}.{group}", document.kind), 1);
        self.places.entry(object.clone()).or_insert_with(|| document.clone());
        if meant == Meant::ByKind && are_there_ours {
            let warning = Warning { reason: "OtherGroup".to_owned(), path: "apiVersion".to_owned(), message };
            return self.warnings.push((object, warning));
        }
        if document.kind == "Intervention" {
            self.interventions.push((qualified(document), Err(())));
        }
        self.refused.push(object_of(document));
        self.refusals.push(Refusal::new("UnknownGroup", &object, "apiVersion", message));
    }

    /// Whether there are services and calendars to plan with.
    pub(in crate::cli) fn has_services_and_calendars(&self) -> bool {
        let of = |kind: &str| self.places.keys().chain(&self.refused).any(|object| object.starts_with(kind));
        of("PublicService/") && of("OfficeCalendar/")
    }

    /// Plans a night with all that is not refused. A service or a calendar less makes a night only easier, so what is refused without
    /// them stays refused with them.
    pub(in crate::cli) fn plan(&self, night: &Intervention) -> Planned {
        let runbook = self.runbooks.iter().find(|r| r.namespace == night.namespace && r.name == night.runbook);
        let Some(runbook) = runbook else {
            let object = object_name("Runbook", Some(&night.namespace), &night.runbook);
            return if self.refused.contains(&object) { Planned::RunbookRefused } else { Planned::NoRunbook };
        };
        let question = Question { intervention: night, runbook, services: &self.services, calendars: &self.calendars };
        let mut verdict = plan(question);
        if self.refused.iter().any(|object| !object.starts_with("Intervention/")) {
            verdict.refusals.retain(|refusal| !self.follows(refusal));
            let message = "planned without the documents that are refused: mend them, and the times may change".to_owned();
            verdict.warnings = vec![Warning { reason: "PlannedInPart".to_owned(), path: "spec".to_owned(), message }];
        }
        Planned::Verdict(Box::new(verdict))
    }

    /// What is wrong with what a runbook names, without a night; of what is refused as much as can be read is looked at.
    pub(in crate::cli) fn named(&self, runbook: &Runbook) -> Named {
        let services: Vec<Service> = self.services.iter().chain(&self.services_in_part).cloned().collect();
        let mut named = named(runbook, &services, &self.calendars);
        let is_whole = self.refused.iter().all(|object| object.starts_with("Intervention/"));
        named.refusals.retain(|refusal| is_whole || (self.is_of_names(&refusal.reason) && !self.follows(refusal)));
        if !is_whole {
            named.warnings.clear();
        }
        named
    }

    /// Whether what is refused cannot be the reason for such a refusal.
    fn is_of_names(&self, reason: &str) -> bool {
        match reason {
            "UnknownService" | "UnknownCalendar" | "UnknownStep" | "Cycle" | "ClosedTwice" | "InTwoWaves" => true,
            "ClosingNotAllowed" => !self.refusals.iter().any(|refusal| refusal.path.starts_with("spec.allowedFrom")),
            _ => false,
        }
    }

    /// Whether the files hold a night that runs this runbook, or may have been meant to.
    pub(in crate::cli) fn has_night_of(&self, runbook: &Runbook) -> bool {
        let of_kind = |kind: &'static str| self.places.values().filter(move |document| document.kind == kind);
        let mut named = of_kind("Intervention").map(|night| night.value_at("spec.runbook").and_then(serde_json::Value::as_str));
        let is_there = |name: &str| of_kind("Runbook").any(|one| one.name == name);
        named.any(|name| name.is_none_or(|name| name == runbook.name || !is_there(name)))
    }

    /// What to know of the moment at which a planned night starts, as it is written.
    pub(in crate::cli) fn other_offset(&self, night: &Intervention, plan: &Plan) -> Option<Warning> {
        let document = self.places.get(&object_name("Intervention", Some(&night.namespace), &night.name))?;
        offset::other(document.value_at("spec.startTime")?.as_str()?, plan)
    }

    /// Whether a refusal may only be there because something else is refused.
    pub(in crate::cli) fn follows(&self, refusal: &Refusal) -> bool {
        match refusal.reason.as_str() {
            "UnknownService" | "UnknownCalendar" => {
                let named = self.places.get(&refusal.object).and_then(|document| document.value_at(&refusal.path)?.as_str());
                let name = named.and_then(|named| named.rsplit('/').next()).unwrap_or_default();
                self.refused.iter().any(|object| object.rsplit('/').next() == Some(name))
            }
            "ClosesNothing" | "NoOpening" => true,
            _ => false,
        }
    }

    fn add(&mut self, document: &Document) {
        let (qualified, object) = (qualified(document), object_of(document));
        if self.places.contains_key(&object) {
            let (line, column) = document.start();
            let message =
                format!("the files hold this object twice, again at {}:{line}:{column}: keep one of them", document.file);
            self.refusals.push(Refusal::new("Duplicate", &object, "metadata.name", message));
            return;
        }
        self.places.insert(object.clone(), document.clone());
        let added = from_value(document.value.clone()).and_then(|word| self.validated(&object, &qualified, &word));
        if let Err(refusals) = added {
            if document.kind == "Intervention" {
                self.interventions.push((qualified, Err(())));
            }
            // Lists that are too long would take too long.
            if !refusals.iter().any(|refusal| refusal.reason == "TooMany") {
                self.keep_in_part(document);
            }
            self.refused.push(object);
            self.refusals.extend(refusals);
        }
    }

    fn keep_in_part(&mut self, document: &Document) {
        match in_part(document.value.clone()) {
            Some(Word::Runbook(raw)) => self.runbooks_in_part.push(validate::runbook_in_part(&raw)),
            Some(Word::Service(raw)) => self.services_in_part.push(validate::service_in_part(&raw)),
            Some(Word::Calendar(_) | Word::Intervention(_)) | None => {}
        }
    }

    fn validated(&mut self, object: &str, qualified: &str, word: &Word) -> Result<(), Vec<Refusal>> {
        let warnings = match word {
            Word::Calendar(raw) => {
                let checked = validate::calendar(raw)?;
                self.calendars.insert(checked.value.name().to_owned(), checked.value);
                checked.warnings
            }
            Word::Service(raw) => {
                let checked = validate::service(raw)?;
                self.services.push(checked.value);
                checked.warnings
            }
            Word::Runbook(raw) => {
                let checked = validate::runbook(raw)?;
                self.runbooks.push(checked.value);
                checked.warnings
            }
            Word::Intervention(raw) => {
                let checked = validate::intervention(raw)?;
                self.interventions.push((qualified.to_owned(), Ok(checked.value)));
                checked.warnings
            }
        };
        self.warnings.extend(warnings.into_iter().map(|warning| (object.to_owned(), warning)));
        Ok(())
    }

    fn choose(&self, wanted: Option<&str>) -> Result<(String, Result<Intervention, ()>), String> {
        let is_wanted = |name: &str| wanted.is_none_or(|w| name == w || name.rsplit('/').next() == Some(w));
        let found: Vec<_> = self.interventions.iter().filter(|(name, _)| is_wanted(name)).collect();
        let names = self.interventions.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        match (found.as_slice(), wanted) {
            ([one], _) => Ok((*one).clone()),
            ([], None) => Err("the files hold no Intervention: give one that says when the night is".to_owned()),
            ([], Some(wanted)) => Err(format!("no Intervention {wanted:?} in the files; there are: {names}")),
            (_, None) => Err(format!("the files hold several Interventions: choose with --intervention from {names}")),
            (_, Some(wanted)) => {
                Err(format!("{wanted:?} may mean several Interventions: write namespace/name; there are: {names}"))
            }
        }
    }
}

/// `namespace/name`.
fn qualified(document: &Document) -> String {
    format!("{}/{}", document.namespace.as_deref().unwrap_or(validate::DEFAULT_NAMESPACE), document.name)
}

/// How refusals name a document: without a namespace where its kind has none, `?` for what is not written.
pub(in crate::cli) fn object_of(document: &Document) -> String {
    let namespace = document.namespace.as_deref().unwrap_or(validate::DEFAULT_NAMESPACE);
    let scope = (document.kind != "OfficeCalendar").then_some(namespace);
    object_name(&document.kind, scope, &document.name)
}
