//! A service that people use: who opens when, how it is closed, how it is known to be open again.
//!
//! In: a `PublicService` that passed [`crate::api`]'s validation. Out: [`Service`], with spans and references parsed.
//! Invariants: names are unique within their list; `close` is in the order of closing, undone in reverse.
//! Not here: calendars themselves ([`super::calendar`]), what is closed tonight ([`super::plan`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reference::{Reference, ServiceRef, Target};
use super::span::Span;

/// A `PublicService`, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Who it is.
    pub id: ServiceRef,
    /// Its name for the public.
    pub title: Text,
    /// Where people stand before it, each with its hours.
    pub sites: Vec<Site>,
    /// What it cannot work without.
    pub depends_on: Vec<Dependency>,
    /// How to close it, in order.
    pub close: Vec<Closing>,
    /// How long reopening may take, probes included.
    pub reopen_budget: Span,
    /// How one knows that it is open.
    pub probes: Vec<Probe>,
    /// What becomes of it when work on its data is half done.
    pub when_dirty: WhenDirty,
    /// What becomes of it when it does not answer within its budget although the work was finished.
    pub when_red: WhenRed,
    /// The namespaces whose runbooks may close it; its own always may.
    pub allowed_from: Vec<String>,
    /// Whom to call.
    pub contacts: Vec<Contact>,
}

/// A text for the public, in the two languages we ship.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Italian.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub it: String,
    /// English.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub en: String,
}

/// A place with opening hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name, unique in the service.
    pub name: String,
    /// The `OfficeCalendar` it keeps.
    pub calendar: String,
    /// What it bears when the service is closed while the site is open.
    pub tolerates: Option<Tolerance>,
}

/// How long an open site can do without the service, and with what instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Counted from the planned closing; gets no margin.
    pub closed_for: Span,
    /// What people use instead.
    pub fallback: Text,
}

/// A service that another one calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Which.
    pub service: Reference,
    /// Whether people notice at once.
    pub mode: DependencyMode,
    /// What people use when it is closed.
    pub fallback: Text,
}

/// How one service depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DependencyMode {
    /// Closed upstream, closed for people.
    Sync,
    /// Closed upstream, only later noticed.
    Async,
}

/// One reversible change of an object: of a closing, or of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    /// Its name, unique in the service; of a step, the step's.
    pub name: String,
    /// The object that changes.
    pub target: Target,
    /// How it changes.
    pub change: Change,
}

/// How an object changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// `spec.replicas` becomes this.
    Scale {
        /// The replicas while closed.
        replicas: i32,
    },
    /// `spec.suspend` becomes true.
    Suspend {},
    /// A merge patch (RFC 7386): what it names becomes this.
    Merge {
        /// The patch.
        merge: Value,
    },
    /// A JSON patch (RFC 6902) of `add`, `remove`, `replace` and `test`.
    Json {
        /// The operations, in order.
        operations: Vec<Value>,
    },
    /// Server-side apply of an object that names no more than it wants to own; one that is not there is created.
    Apply {
        /// The object.
        manifest: Value,
    },
    /// The Pods behind a workload are replaced, one after the other.
    Restart {},
    /// No new Pod comes to a node.
    Cordon {},
}

impl Change {
    /// Whether an object that is not there is made.
    #[must_use]
    pub const fn makes(&self) -> bool {
        match self {
            Self::Apply { .. } => true,
            Self::Scale { .. }
            | Self::Suspend {}
            | Self::Merge { .. }
            | Self::Json { .. }
            | Self::Restart {}
            | Self::Cordon {} => false,
        }
    }
}

/// A check that a service answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name, unique in the service.
    pub name: String,
    /// What to ask: an `http://` address inside the cluster.
    pub url: String,
    /// The answers that count as open.
    pub status: Vec<u16>,
    /// How many good answers in a row.
    pub consecutive: u32,
    /// Time between two questions.
    pub every: Span,
}

/// What becomes of a service that holds half-done work (DESIGN §4). In all three people are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum WhenDirty {
    /// It stays closed.
    #[default]
    StayClosed,
    /// It opens, and these objects are changed then, in order: read-only, say. They stay so until a person takes that away.
    OpenDegraded {
        /// The changes.
        actions: Vec<Closing>,
    },
    /// It opens as it is.
    Open {
        /// Why that is better than a closed door.
        reason: String,
    },
}

impl WhenDirty {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::StayClosed => "StayClosed",
            Self::OpenDegraded { .. } => "OpenDegraded",
            Self::Open { .. } => "Open",
        }
    }

    /// What is changed when it opens so.
    #[must_use]
    pub fn actions(&self) -> &[Closing] {
        match self {
            Self::OpenDegraded { actions } => actions,
            Self::StayClosed | Self::Open { .. } => &[],
        }
    }
}

/// What becomes of a service that was opened after finished work and does not answer (DESIGN §1, commit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenRed {
    /// It is left as it is and people are told.
    #[default]
    CallPerson,
    /// It counts as open in part.
    OpenDegraded,
    /// It is closed again, with nothing restored, and people are told.
    CloseAgain,
}

/// Somebody to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// The duty.
    pub role: String,
    /// Who has it tonight.
    pub name: String,
    /// The channel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notify: String,
}
