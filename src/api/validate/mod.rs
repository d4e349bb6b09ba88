//! Raw objects → validated values of [`crate::model`], with every problem at once.
//!
//! In: raw objects, from a file or from the API. Out: [`Checked`] values with warnings, or refusals with object and field path.
//! Invariants: pure; whatever the CRD's schema or a CEL rule refuses is refused here too, in words that say what to do; nothing
//! is guessed. What is not here: anything that needs two objects (which service a name means, whether a value fits its
//! parameter, cycles, sums): that is [`crate::plan`]'s.

mod action;
mod calendar;
mod inside;
mod intervention;
mod overlap;
mod patch;
mod runbook;
mod service;
mod undo;

pub use calendar::calendar;
pub use intervention::intervention;
pub use runbook::{runbook, runbook_in_part};
pub use service::{service, service_in_part};

pub use crate::model::refusal::object_name;

use kube::ResourceExt;
use serde::Serialize;

use super::structure::{self, Structure};
use crate::model::reference::Reference;
use crate::model::refusal::{Refusal, Warning};
use crate::model::span::Span;

/// A validated value, and what a reader should know that does not refuse it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked<T> {
    /// The value.
    pub value: T,
    /// What to know.
    pub warnings: Vec<Warning>,
}

/// The namespace of an object that names none, as `kubectl` has it.
pub const DEFAULT_NAMESPACE: &str = "default";

/// All problems, in the order of their paths; of several about one field, the first is kept: `found`, then `semantic`, then
/// `mismatches`. Nothing is said of what stands inside something that is missing or unreadable.
#[must_use]
pub fn merged(found: Vec<Refusal>, semantic: Vec<Refusal>, mismatches: Vec<Refusal>) -> Vec<Refusal> {
    let mut all = found;
    for more in [semantic, mismatches] {
        let before = all.len();
        for refusal in more {
            if !all.iter().take(before).any(|known| known.path == refusal.path || is_inside(&refusal.path, known)) {
                all.push(refusal);
            }
        }
    }
    all.sort_by_cached_key(|refusal| path_order(&refusal.path));
    all
}

fn is_inside(path: &str, whole: &Refusal) -> bool {
    let unreadable = matches!(whole.reason.as_str(), "Missing" | "WrongType");
    unreadable && path.strip_prefix(&whole.path).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Names by letter, indices by number.
fn path_order(path: &str) -> Vec<(u64, String)> {
    let part = |part: &str| (part.parse().unwrap_or_default(), part.to_owned());
    path.split(['.', '[', ']']).filter(|text| !text.is_empty()).map(part).collect()
}

/// What has been found so far in one object.
pub(super) struct Findings {
    object: String,
    structural: Vec<Refusal>,
    refusals: Vec<Refusal>,
    warnings: Vec<Warning>,
    mismatches: Vec<Refusal>,
}

impl Findings {
    /// Begins with what the schema says of `spec`.
    fn of(kind: &str, raw: &impl ResourceExt, namespace: Option<&str>, spec: &impl Serialize) -> Self {
        let object = object_name(kind, namespace, &raw.name_any());
        let spec = serde_json::to_value(spec).unwrap_or_default();
        let Structure { refusals, mismatches } = structure::check_spec(kind, &object, &spec);
        Self { object, structural: refusals, refusals: Vec::new(), warnings: Vec::new(), mismatches }
    }

    /// The value, if nothing refuses it.
    fn into_result<T>(self, value: T) -> Result<Checked<T>, Vec<Refusal>> {
        if self.structural.is_empty() && self.refusals.is_empty() && self.mismatches.is_empty() {
            let mut warnings = self.warnings;
            warnings.sort_by_cached_key(|warning| path_order(&warning.path));
            Ok(Checked { value, warnings })
        } else {
            Err(self.into_refusals())
        }
    }

    fn into_refusals(self) -> Vec<Refusal> {
        merged(self.structural, self.refusals, self.mismatches)
    }

    fn refuse(&mut self, reason: &str, path: &str, message: impl Into<String>) {
        self.refusals.push(Refusal::new(reason, &self.object, path, message.into()));
    }

    /// Whether something at `path` has been refused.
    fn has(&self, path: &str) -> bool {
        self.structural.iter().chain(&self.refusals).any(|refusal| refusal.path == path)
    }

    fn warn(&mut self, reason: &str, path: &str, message: impl Into<String>) {
        self.warnings.push(Warning { reason: reason.to_owned(), path: path.to_owned(), message: message.into() });
    }

    /// A span; zero in the place of one that cannot be read.
    fn span(&mut self, path: &str, text: &str) -> Span {
        match Span::try_from(text.to_owned()) {
            Ok(span) => span,
            Err(problem) => {
                self.refuse("BadDuration", path, problem.to_string());
                Span::ZERO
            }
        }
    }

    /// A span that is longer than nothing; the words say so when it is not.
    fn positive(&mut self, path: &str, text: &str, words: &str) -> Span {
        let span = self.span(path, text);
        if span.is_zero() && !self.has(path) {
            self.refuse("NoTime", path, words);
        }
        span
    }

    fn budget(&mut self, path: &str, text: &str) -> Span {
        self.positive(path, text, "a budget is longer than nothing: write how long it may take, such as 30m")
    }

    /// A reference; the text as a bare name in the place of one that cannot be read.
    fn reference(&mut self, path: &str, text: &str) -> Reference {
        text.parse().unwrap_or_else(|problem: crate::model::reference::BadReference| {
            self.refuse("BadReference", path, problem.to_string());
            Reference { namespace: None, name: text.to_owned() }
        })
    }

    fn references(&mut self, path: &str, texts: &[String]) -> Vec<Reference> {
        texts.iter().enumerate().map(|(index, text)| self.reference(&format!("{path}[{index}]"), text)).collect()
    }

    /// Refuses the second of two equal names; the schema says the same of files, but cannot say it across lists.
    fn distinct<T: Ord + ToString>(&mut self, names: impl IntoIterator<Item = (String, T)>) {
        let mut seen = std::collections::BTreeMap::new();
        for (path, name) in names {
            if let Some(first) = seen.get(&name) {
                let message = format!("\"{}\" stands already at {first}: keep one, or choose another name", name.to_string());
                self.refuse("Duplicate", &path, message);
            } else {
                seen.insert(name, path);
            }
        }
    }
}

/// Exactly one of some named options.
fn only<T>(options: impl IntoIterator<Item = Option<T>>) -> Option<T> {
    let mut written = options.into_iter().flatten();
    match (written.next(), written.next()) {
        (Some(one), None) => Some(one),
        (Some(_), Some(_)) | (None, _) => None,
    }
}
