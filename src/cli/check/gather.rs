//! Finds everything: in the files, in each document, between documents, in each night.
//!
//! In: what was read. Out: [`Checked`]. Invariants: what is said once about a field is not said again in other words; the number of
//! findings is bounded, and what is left out is counted. Not here: the judgements themselves.

use std::collections::BTreeMap;

use super::catalog::level_of;
use super::finding::{Checked, Finding, Level};
use super::spelling;
use crate::api::{document::is_ours, rules, structure};
use crate::cli::plan::assemble::{Planned, Words, object_of};
use crate::cli::plan::report::{term_of, zone};
use crate::cli::read::{Document, Loaded, ReadProblem};
use crate::model::near::did_you_mean;
use crate::model::plan::Plan;
use crate::model::refusal::{Refusal, Warning, object_name};
use crate::model::runbook::Intervention;
use crate::plan::order_refusals;

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
    let mut gather = Gather { words: &words, found: loaded.problems.iter().map(of_file).collect(), nights: Vec::new() };
    words.refusals.iter().for_each(|refusal| gather.refusal(refusal, None));
    words.warnings.iter().for_each(|(object, warning)| gather.warning(object, warning));
    gather.broken_rules(&ours);
    words.runbooks.iter().flat_map(order_refusals).for_each(|refusal| gather.refusal(&refusal, None));
    gather.plans();
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
            let Ok(night) = night else { continue };
            match self.words.plan(night) {
                Planned::NoRunbook if self.words.runbooks.iter().any(|runbook| runbook.namespace == night.namespace) => {
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
                Planned::Verdict(verdict) => {
                    verdict.refusals.iter().for_each(|refusal| self.refusal(refusal, verdict.timeline.as_ref()));
                    let object = object_name("Runbook", Some(&night.namespace), &night.runbook);
                    verdict.warnings.iter().for_each(|warning| self.warning(&object, warning));
                    let in_part = verdict.warnings.iter().any(|warning| warning.reason == "PlannedInPart");
                    if !in_part || !verdict.refusals.is_empty() {
                        self.nights.push((name.clone(), verdict.refusals.is_empty()));
                    }
                }
            }
        }
    }

    fn not_planned(&mut self, night: &Intervention, path: &str, message: &str) {
        let object = object_name("Intervention", Some(&night.namespace), &night.name);
        let finding = self.placed("NotPlanned", &object, path, message);
        self.found.push(finding);
    }
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
