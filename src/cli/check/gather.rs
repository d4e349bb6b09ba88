//! Finds everything: in the files, in each document, between documents, in each night.
//!
//! In: what was read. Out: [`Checked`]. Invariants: what is said once about a field is not said again in other words; the number of
//! findings is bounded, and what is left out is counted. Not here: the judgements themselves.

use std::collections::BTreeMap;

use super::catalog::{is_of_files, level_of};
use super::finding::{Checked, Finding, Level};
use super::spelling;
use crate::api::{document::is_ours, rules, structure};
use crate::cli::plan::assemble::{Planned, Words, object_of};
use crate::cli::plan::report::{term_of, zone};
use crate::cli::read::{Document, Loaded, ReadProblem};
use crate::model::near::did_you_mean;
use crate::model::plan::Plan;
use crate::model::refusal::{Refusal, Warning, object_name};
use crate::model::runbook::{Intervention, Runbook};
use crate::plan::{Verdict, order_refusals};

/// The most findings of one run.
const FINDINGS_MAX: usize = 1_000;

/// Characters of an object's name or of a path that are shown.
const NAME_MAX: usize = 512;
/// Characters of a message that are shown: room for every step of a cycle.
const MESSAGE_MAX: usize = 20_000;

/// Checks what was read.
#[must_use]
pub fn check(loaded: &Loaded, files_count: usize) -> Checked {
    let ours: Vec<Document> = loaded.documents.iter().filter(|document| is_ours(&document.value)).cloned().collect();
    let words = Words::of(&loaded.documents);
    let found = loaded.problems.iter().map(of_file).collect();
    let is_whole = !loaded.problems.iter().any(|problem| is_of_files(problem.reason));
    let mut gather = Gather { words: &words, is_whole, found, nights: Vec::new() };
    words.refusals.iter().for_each(|refusal| gather.refusal(refusal, None));
    words.warnings.iter().for_each(|(object, warning)| gather.warning(object, warning));
    gather.broken_rules(&ours);
    gather.plans();
    gather.names();
    gather.empty_files(loaded);
    for (file, text) in &loaded.texts {
        spelling::findings(file, text, &ours, &mut gather.found);
    }
    let Gather { mut found, nights, .. } = gather;
    let order: BTreeMap<&str, usize> = loaded.files.iter().map(String::as_str).zip(0..).collect();
    found.sort_by_key(|finding| (order.get(finding.file.as_str()).copied(), finding.line, finding.column, finding.level));
    found.dedup();
    let left_out_count = found.len().saturating_sub(FINDINGS_MAX);
    found.truncate(FINDINGS_MAX);
    let documents = ours.iter().map(|document| (object_of(document), document.file.clone())).collect();
    Checked { findings: found, documents, nights, files_count, left_out_count }
}

fn of_file(problem: &ReadProblem) -> Finding {
    Finding {
        rule: problem.reason.to_owned(),
        level: level_of(problem.reason),
        file: problem.file.clone(),
        line: problem.line,
        column: problem.column,
        object: String::new(),
        path: String::new(),
        message: problem.message.clone(),
        sum: Vec::new(),
        sum_said: String::new(),
    }
}

struct Gather<'a> {
    words: &'a Words,
    /// Whether every file could be read.
    is_whole: bool,
    found: Vec<Finding>,
    nights: Vec<(String, bool)>,
}

impl Gather<'_> {
    fn placed(&self, rule: &str, object: &str, path: &str, message: &str) -> Finding {
        let document = self.words.places.get(object);
        let at = document.map(|document| document.position(path).unwrap_or_else(|| document.start()));
        Finding {
            rule: rule.to_owned(),
            level: level_of(rule),
            file: document.map(|document| document.file.clone()).unwrap_or_default(),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            object: cut(object, NAME_MAX),
            path: cut(path, NAME_MAX),
            message: cut(message, MESSAGE_MAX),
            sum: Vec::new(),
            sum_said: String::new(),
        }
    }

    fn refusal(&mut self, refusal: &Refusal, plan: Option<&Plan>) {
        let mut finding = self.placed(&refusal.reason, &refusal.object, &refusal.path, &refusal.message);
        // Whatever the table says of it: what refuses is an error.
        finding.level = Level::Error;
        let zone = zone(plan);
        finding.sum = refusal.sum.iter().map(|term| term_of(term, &zone)).collect();
        if let Some(plan) = plan.filter(|_| !refusal.sum.is_empty()) {
            finding.sum_said = crate::engine::words::said(plan, &refusal.sum);
        }
        self.found.push(finding);
    }

    fn warning(&mut self, object: &str, warning: &Warning) {
        let mut finding = self.placed(&warning.reason, object, &warning.path, &warning.message);
        finding.level = finding.level.max(Level::Warning);
        self.found.push(finding);
    }

    /// The CRDs' rules, over what the schema accepts; not where something is said of the same place already.
    fn broken_rules(&mut self, documents: &[Document]) {
        for document in documents {
            let (object, none) = (object_of(document), serde_json::Value::Null);
            let spec = document.value.get("spec").unwrap_or(&none);
            let structure = structure::check_spec(&document.kind, &object, spec);
            if !structure.refusals.is_empty() || !structure.mismatches.is_empty() {
                continue;
            }
            for refusal in rules::refusals(&document.kind, &object, spec) {
                let said = |known: &Refusal| known.object == object && is_at_or_in(&known.path, &refusal.path);
                if !self.words.refusals.iter().any(said) {
                    self.refusal(&refusal, None);
                }
            }
        }
    }

    fn plans(&mut self) {
        for (name, night) in &self.words.interventions {
            let Ok(night) = night else {
                let refused = self.words.places.iter().find(|(object, _)| object.strip_prefix("Intervention/") == Some(name));
                if let Some((object, _)) = refused {
                    let message = "not planned: this Intervention is refused; mend that first";
                    self.found.push(self.placed("NotPlanned", object, "spec", message));
                }
                continue;
            };
            match self.words.plan(night) {
                Planned::NoRunbook if self.is_whole && self.words.runbooks.iter().any(|one| one.namespace == night.namespace) => {
                    let of_namespace = self.words.runbooks.iter().filter(|runbook| runbook.namespace == night.namespace);
                    let hint = did_you_mean(&night.runbook, of_namespace.map(|runbook| runbook.name.as_str()));
                    let message = format!("there is no Runbook {}/{}{hint}", night.namespace, night.runbook);
                    let object = object_name("Intervention", Some(&night.namespace), &night.name);
                    self.refusal(&Refusal::new("UnknownRunbook", &object, "spec.runbook", message), None);
                }
                Planned::NoRunbook => {
                    let message = format!(
                        "not planned: Runbook {}/{} is not in these files; give them together to know whether the night fits",
                        night.namespace, night.runbook
                    );
                    self.not_planned(night, "spec.runbook", &message);
                }
                Planned::RunbookRefused => {
                    self.not_planned(night, "spec.runbook", "not planned: its Runbook is refused; mend that first");
                }
                Planned::Verdict(_) if !self.words.has_services_and_calendars() => {
                    let message = "not planned: these files hold its Runbook but no PublicService or no OfficeCalendar; give them \
                                   together to know whether the night fits";
                    self.not_planned(night, "spec.runbook", message);
                }
                Planned::Verdict(verdict) => self.verdict(name, night, &verdict),
            }
        }
    }

    fn verdict(&mut self, name: &str, night: &Intervention, verdict: &Verdict) {
        let (unsure, sure): (Vec<&Refusal>, Vec<&Refusal>) =
            verdict.refusals.iter().partition(|refusal| self.may_be_elsewhere(refusal));
        if !unsure.is_empty() {
            let message = "not planned: what it names may stand in what could not be read; mend that first";
            self.not_planned(night, "spec.runbook", message);
        }
        for refusal in &sure {
            self.refusal(refusal, verdict.timeline.as_ref());
        }
        if let Some(warning) = verdict.timeline.as_ref().and_then(|plan| self.words.other_offset(night, plan)) {
            self.warning(&object_name("Intervention", Some(&night.namespace), &night.name), &warning);
        }
        let object = object_name("Runbook", Some(&night.namespace), &night.runbook);
        verdict.warnings.iter().for_each(|warning| self.warning(&object, warning));
        let in_part = !unsure.is_empty() || verdict.warnings.iter().any(|warning| warning.reason == "PlannedInPart");
        if !in_part || !sure.is_empty() {
            self.nights.push((name.to_owned(), sure.is_empty()));
        }
    }

    /// What runbooks name, with a night or without, refused or not, as far as nothing is said of the place already.
    fn names(&mut self) {
        let words = self.words;
        let runbooks = words.runbooks.iter().map(|runbook| (runbook, true));
        for (runbook, is_good) in runbooks.chain(words.runbooks_in_part.iter().map(|runbook| (runbook, false))) {
            let is_looked_up = words.has_services_and_calendars();
            let has_night = words.has_night_of(runbook);
            let mut refusals = if is_looked_up {
                let named = words.named(runbook);
                if is_good && !has_night {
                    let object = runbook_object(runbook);
                    named.warnings.iter().for_each(|warning| self.warning(&object, warning));
                }
                named.refusals
            } else {
                order_refusals(runbook)
            };
            refusals.retain(|refusal| !self.is_said(refusal) && !self.may_be_elsewhere(refusal));
            for refusal in &refusals {
                self.refusal(refusal, None);
            }
            if !has_night {
                self.without_night(runbook, is_looked_up);
            }
        }
    }

    fn without_night(&mut self, runbook: &Runbook, is_looked_up: bool) {
        let message = if is_looked_up {
            "not planned: these files hold no Intervention that runs it; what it names was looked up, whether a night fits was not"
        } else {
            "not planned: these files hold no Intervention that runs it, and no PublicService or no OfficeCalendar: what it names is \
             taken on trust"
        };
        self.found.push(self.placed("NotPlanned", &runbook_object(runbook), "metadata", message));
    }

    /// Whether what is missing may stand in what could not be read.
    fn may_be_elsewhere(&self, refusal: &Refusal) -> bool {
        !self.is_whole && matches!(refusal.reason.as_str(), "UnknownService" | "UnknownCalendar" | "ClosesNothing" | "NoOpening")
    }

    fn is_said(&self, refusal: &Refusal) -> bool {
        self.found.iter().any(|finding| finding.object == refusal.object && is_at_or_in(&finding.path, &refusal.path))
    }

    /// Files in which there is nothing to check.
    fn empty_files(&mut self, loaded: &Loaded) {
        let holds = |file: &str| {
            loaded.documents.iter().any(|document| document.file == file)
                || loaded.problems.iter().any(|problem| problem.file == file)
        };
        for file in loaded.texts.keys().filter(|file| !holds(file)) {
            let message = "no document of ours, nor any other: nothing was checked".to_owned();
            let problem = ReadProblem { reason: "NoDocument", file: file.clone(), line: None, column: None, message };
            self.found.push(of_file(&problem));
        }
    }

    fn not_planned(&mut self, night: &Intervention, path: &str, message: &str) {
        let object = object_name("Intervention", Some(&night.namespace), &night.name);
        let finding = self.placed("NotPlanned", &object, path, message);
        self.found.push(finding);
    }
}

fn runbook_object(runbook: &Runbook) -> String {
    object_name("Runbook", Some(&runbook.namespace), &runbook.name)
}

fn is_at_or_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
