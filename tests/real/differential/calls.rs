//! Calls as plain data, so that any of a sequence can be left out and the others still mean something.
//!
//! Invariants: what differs from server to server is written as [`super::memory`] reads it. Not here: which are made ([`super::sequence`]).

use std::fmt;

use serde_json::Value;

use super::kinds::Kind;

pub const APPLY: &str = "application/apply-patch+yaml";
pub const MERGE: &str = "application/merge-patch+json";
pub const JSON: &str = "application/json-patch+json";

/// What a call carries.
#[derive(Clone, Debug)]
pub enum Body {
    Nothing,
    Sent(Value),
    /// The object as it was last seen, with this merged into it.
    Seen {
        name: String,
        change: Value,
    },
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    pub kind: &'static Kind,
    pub method: &'static str,
    /// Below all objects of the kind: nothing, or a name, with a subresource or without.
    pub place: String,
    pub query: Vec<(&'static str, String)>,
    pub media: &'static str,
    pub body: Body,
    /// The answer is a stream, read until a last object is made.
    pub watches: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, method, place, query, media, body, watches } = self;
        let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        write!(f, "{}{method} {}{place} {}", if *watches { "watch: " } else { "" }, kind.plural, query.join("&"))?;
        match body {
            Body::Nothing => Ok(()),
            Body::Sent(value) => write!(f, "\n      {media}: {value}"),
            Body::Seen { name, change } => write!(f, "\n      {media}: {name} as last seen, with {change}"),
        }
    }
}

impl Call {
    pub fn new(kind: &'static Kind, method: &'static str, place: impl Into<String>) -> Self {
        Self { kind, method, place: place.into(), query: vec![], media: "application/json", body: Body::Nothing, watches: false }
    }

    pub fn with(self, body: Value) -> Self {
        Self { body: Body::Sent(body), ..self }
    }

    pub fn asking(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub fn said(self, media: &'static str) -> Self {
        Self { media, ..self }
    }

    pub fn is_dry_run(&self) -> bool {
        self.query.iter().any(|(key, value)| *key == "dryRun" && value == "All")
    }

    pub fn is_of_ours(&self) -> bool {
        self.kind.api_version.starts_with("notturno.dev/")
    }

    pub fn applies(&self) -> bool {
        self.media == APPLY
    }
}
