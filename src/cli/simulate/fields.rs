//! A document read field by field, strictly: what nobody asked for is refused, and every problem is kept.
//!
//! In: a document with the places of its fields. Out: values, and problems that name file, line, column and field. Invariant: reading goes
//! on after a problem, so that all of them are told at once. Not here: which fields there are ([`super::words`]).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::api::structure::{any_of, field_path, unknown};
use crate::cli::read::{Document, ReadProblem};
use crate::model::duration;
use crate::model::span::Span;

/// The most of a written value that is repeated in a problem.
const SHOWN_MAX: usize = 60;

/// A document that is being read.
pub(super) struct Fields<'a> {
    document: &'a Document,
    problems: BTreeMap<(u32, u32), Vec<ReadProblem>>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        Self { document, problems: BTreeMap::new() }
    }

    /// Every problem, in the order of the file.
    pub(super) fn problems(self) -> Vec<ReadProblem> {
        self.problems.into_values().flatten().collect()
    }

    /// Something is wrong with a field.
    pub(super) fn wrong(&mut self, path: &str, message: &str) {
        let problem = self.document.problem_at(path, format!("{path}: {message}"));
        let place = (problem.line.unwrap_or_default(), problem.column.unwrap_or_default());
        self.problems.entry(place).or_default().push(problem);
    }

    /// The value of a field; none when nothing is written there.
    pub(super) fn value(&self, path: &str) -> Option<&'a Value> {
        self.document.value_at(path).filter(|value| !value.is_null())
    }

    fn expected(&mut self, path: &str, what: &str, found: &Value) {
        let shown: String = found.to_string().chars().take(SHOWN_MAX).collect();
        self.wrong(path, &format!("{what} is expected here, and {shown} is written"));
    }

    /// An object whose fields may only be these.
    pub(super) fn object(&mut self, path: &str, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let fields = self.map(path)?;
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            self.wrong(&field_path(path, name), &unknown(name, known.iter().copied()));
        }
        Some(fields)
    }

    /// An object whose fields are names of things.
    pub(super) fn map(&mut self, path: &str) -> Option<&'a Map<String, Value>> {
        let value = self.value(path)?;
        if value.as_object().is_none() {
            self.expected(path, "an object", value);
        }
        value.as_object()
    }

    /// How many items a list has; none when there is no list.
    pub(super) fn list(&mut self, path: &str) -> Option<usize> {
        let value = self.value(path)?;
        if value.as_array().is_none() {
            self.expected(path, "a list", value);
        }
        value.as_array().map(Vec::len)
    }

    pub(super) fn text(&mut self, path: &str) -> Option<&'a str> {
        let value = self.value(path)?;
        if value.as_str().is_none() {
            self.expected(path, "a text (put it in quotes)", value);
        }
        value.as_str()
    }

    pub(super) fn bool(&mut self, path: &str) -> Option<bool> {
        let value = self.value(path)?;
        if value.as_bool().is_none() {
            self.expected(path, "true or false", value);
        }
        value.as_bool()
    }

    /// One of these words.
    pub(super) fn word<'w>(&mut self, path: &str, words: &[&'w str]) -> Option<&'w str> {
        let text = self.text(path)?;
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let near = crate::model::near::did_you_mean(text, words.iter().copied());
            self.wrong(path, &format!("{text:?} is not possible here; it may be {}{near}", any_of(words)));
        }
        found.copied()
    }

    pub(super) fn span(&mut self, path: &str) -> Option<Span> {
        let text = match self.value(path)? {
            // `5` has no unit, and that is what is to be said of it.
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                self.expected(path, "a duration such as 1h30m", other);
                return None;
            }
        };
        match duration::parse(&text) {
            Ok(span) => Some(Span::from(span)),
            Err(problem) => {
                self.wrong(path, &problem.to_string());
                None
            }
        }
    }

    /// A field that has to be written.
    pub(super) fn required<T>(&mut self, path: &str, read: impl FnOnce(&mut Self, &str) -> Option<T>) -> Option<T> {
        if self.value(path).is_none() {
            self.wrong(path, "is missing: write it");
            return None;
        }
        read(self, path)
    }
}
