//! From documents to the planner's question.
//!
//! In: documents of one or more files. Out: [`Assembled`], the verdict with what is needed to point at lines; or a message when it is not
//! clear which night is meant. Invariants: documents of other API groups are ignored; every problem of every document is kept.
//! Not here: reading files, printing.

use std::collections::BTreeMap;

use crate::api::document::{Document as Word, from_value, is_ours};
use crate::api::validate;
use crate::cli::read::Document;
use crate::model::calendar::Calendar;
use crate::model::refusal::{Refusal, Warning, object_name};
use crate::model::runbook::{Intervention, Runbook};
use crate::model::service::Service;
use crate::plan::{Question, Verdict, plan};

/// What the planner said, and where things stand in the files.
pub(super) struct Assembled {
    /// `namespace/name`.
    pub intervention: String,
    /// The planner's answer, with the documents' own problems before it.
    pub verdict: Verdict,
    places: BTreeMap<String, Document>,
}

/// A place in a file.
pub(super) struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl Assembled {
    /// Where the field that a refusal names stands.
    pub(super) fn place(&self, refusal: &Refusal) -> Option<Place> {
        let document = self.places.get(&refusal.object)?;
        let (line, column) = document.position(&refusal.path).unwrap_or(document.start());
        Some(Place { file: document.file.clone(), line, column })
    }
}

#[derive(Default)]
struct Words {
    interventions: Vec<(String, Result<Intervention, ()>)>,
    runbooks: Vec<Runbook>,
    unreadable_runbooks: Vec<String>,
    services: Vec<Service>,
    calendars: BTreeMap<String, Calendar>,
    refusals: Vec<Refusal>,
    warnings: Vec<Warning>,
    places: BTreeMap<String, Document>,
}

/// Plans the one night that the documents describe.
pub(super) fn assemble(documents: &[Document], wanted: Option<&str>) -> Result<Assembled, String> {
    let mut words = Words::default();
    for document in documents.iter().filter(|document| is_ours(&document.value)) {
        words.add(document);
    }
    let (name, night) = words.choose(wanted)?;
    let mut verdict = Verdict { timeline: None, refusals: words.refusals, warnings: words.warnings };
    if let Ok(night) = &night {
        let runbook = words.runbooks.iter().find(|r| r.namespace == night.namespace && r.name == night.runbook);
        let broken = verdict.refusals.iter().any(|refusal| !refusal.object.starts_with("Intervention/"));
        match runbook {
            None if words.unreadable_runbooks.contains(&format!("{}/{}", night.namespace, night.runbook)) => {}
            None => verdict.refusals.push(no_runbook(night)),
            Some(_) if broken => {}
            Some(runbook) => {
                let question = Question { intervention: night, runbook, services: &words.services, calendars: &words.calendars };
                let planned = plan(question);
                verdict.timeline = planned.timeline;
                verdict.refusals.extend(planned.refusals);
                verdict.warnings.extend(planned.warnings);
            }
        }
    }
    Ok(Assembled { intervention: name, verdict, places: words.places })
}

fn no_runbook(night: &Intervention) -> Refusal {
    let object = object_name("Intervention", Some(&night.namespace), &night.name);
    let message = format!("there is no Runbook {:?} in namespace {}", night.runbook, night.namespace);
    Refusal::new("UnknownRunbook", &object, "spec.runbook", message)
}

impl Words {
    fn add(&mut self, document: &Document) {
        let namespace = document.namespace.clone().unwrap_or_else(|| validate::DEFAULT_NAMESPACE.to_owned());
        let qualified = format!("{namespace}/{}", document.name);
        let scope = (document.kind != "OfficeCalendar").then_some(namespace.as_str());
        let object = object_name(&document.kind, scope, &document.name);
        if self.places.insert(object.clone(), document.clone()).is_some() {
            let message = "the files hold this object twice: keep one of them".to_owned();
            self.refusals.push(Refusal::new("Duplicate", &object, "metadata.name", message));
            return;
        }
        let added = from_value(document.value.clone()).and_then(|word| self.validated(&qualified, &word));
        if let Err(refusals) = added {
            match document.kind.as_str() {
                "Intervention" => self.interventions.push((qualified, Err(()))),
                "Runbook" => self.unreadable_runbooks.push(qualified),
                _ => {}
            }
            self.refusals.extend(refusals);
        }
    }

    fn validated(&mut self, qualified: &str, word: &Word) -> Result<(), Vec<Refusal>> {
        match word {
            Word::Calendar(raw) => {
                let checked = validate::calendar(raw)?;
                self.calendars.insert(checked.value.name().to_owned(), checked.value);
                self.warnings.extend(checked.warnings);
            }
            Word::Service(raw) => {
                let checked = validate::service(raw)?;
                self.services.push(checked.value);
                self.warnings.extend(checked.warnings);
            }
            Word::Runbook(raw) => {
                let checked = validate::runbook(raw)?;
                self.runbooks.push(checked.value);
                self.warnings.extend(checked.warnings);
            }
            Word::Intervention(raw) => {
                let checked = validate::intervention(raw)?;
                self.interventions.push((qualified.to_owned(), Ok(checked.value)));
                self.warnings.extend(checked.warnings);
            }
        }
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
