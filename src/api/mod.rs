//! The words on the wire: custom resources of `notturno.dev/v1alpha1`, and the ways in and out of them.
//!
//! In: documents that people or the API server hold. Out: raw objects ([`from_value`]), validated values of [`crate::model`]
//! ([`validate`]), conditions ([`conditions`]), manifests ([`manifests`]). Invariants: every problem is reported at once, with
//! its object and field; what the CRD's schema and rules refuse, [`validate`] refuses too, so that a file can be judged where no
//! API server is. What is not here, and never: a decision about a night, a call to a server, a write of what a user wrote.

pub mod action;
pub mod calendar;
pub mod conditions;
pub mod document;
pub mod expression;
pub mod intervention;
pub mod manifests;
pub mod rbac;
pub mod repair;
pub mod rules;
pub mod runbook;
pub mod schema;
pub mod service;
pub mod status;
pub mod structure;
pub mod validate;

pub use calendar::OfficeCalendar;
pub use document::{Document, from_value, is_ours};
pub use intervention::Intervention;
pub use runbook::Runbook;
pub use service::PublicService;
pub use validate::Checked;

/// The API group.
pub const GROUP: &str = "notturno.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
