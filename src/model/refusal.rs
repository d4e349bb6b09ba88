//! Why a night may not take place, as data.
//!
//! In: what [`crate::plan`] and [`crate::api`] find. Out: [`Refusal`]s, all at once, each with its place and, where time is
//! the reason, the sum line by line. Not here: positions in files ([`crate::cli`] finds them from the path).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::span::Span;

/// One reason why a night is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of reason, one CamelCase word.
    pub reason: String,
    /// The object, as [`object_name`] has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The field, as `spec.steps[4].budget`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The sum that does not come out, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sum: Vec<Term>,
}

impl Refusal {
    /// A refusal without a sum.
    #[must_use]
    pub fn new(reason: &str, object: &str, path: &str, message: String) -> Self {
        Self { reason: reason.to_owned(), object: object.to_owned(), path: path.to_owned(), message, sum: Vec::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}: {}", self.reason, self.object, self.path, self.message)
    }
}

/// How refusals name an object: `Kind/namespace/name`, or `Kind/name` without a namespace.
#[must_use]
pub fn object_name(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{kind}/{namespace}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

/// Something a reader should know that does not refuse the night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The kind of warning, one CamelCase word.
    pub reason: String,
    /// The field it is about.
    pub path: String,
    /// What to know.
    pub message: String,
}

/// One line of a sum: a moment or a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What it is: `end`, `undo`, `smoke`, `reopen`, `reserve`, `total`, `mustServeBy`.
    pub term: String,
    /// The moment, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The span, when it is one.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
}

impl Term {
    /// A line that is a moment.
    #[must_use]
    pub fn at(term: &str, at: Timestamp) -> Self {
        Self { term: term.to_owned(), at: Some(at), span: None }
    }

    /// A line that is a span.
    #[must_use]
    pub fn span(term: &str, span: Span) -> Self {
        Self { term: term.to_owned(), at: None, span: Some(span) }
    }
}
