//! Failures as the API server words them.
//!
//! In: what went wrong. Out: a `Status` object with the `code` and `reason` that clients act on.
//! Invariants: `code` and `reason` are those of Kubernetes 1.35; message texts are close, not equal.
//! Not here: faults injected by tests (`super::fault`), which only borrow [`Failure::injected`].

use serde_json::{Map, Value, json};

use super::access::Access;
use super::kinds::ResourceKind;

/// One field that is wrong, as in `status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    field: String,
    reason: &'static str,
    message: String,
}

impl Cause {
    pub(super) fn invalid(field: &str, value: &str, why: &str) -> Self {
        let message = format!("Invalid value: {value:?}: {why}");
        Self { field: field.to_owned(), reason: "FieldValueInvalid", message }
    }

    pub(super) fn required(field: &str, why: &str) -> Self {
        Self { field: field.to_owned(), reason: "FieldValueRequired", message: format!("Required value: {why}") }
    }

    pub(super) fn forbidden(field: &str, why: &str) -> Self {
        Self { field: field.to_owned(), reason: "FieldValueForbidden", message: format!("Forbidden: {why}") }
    }

    pub(super) fn too_long(field: &str, bytes_max: usize) -> Self {
        let message = format!("Too long: may not be more than {bytes_max} bytes");
        Self { field: field.to_owned(), reason: "FieldValueTooLong", message }
    }
}

/// What a failure is about, as far as there is something to say.
fn details(group: &str, kind: &str, name: &str) -> Value {
    let said = [("group", group), ("kind", kind), ("name", name)].into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(key, text)| (key.to_owned(), Value::from(text))).collect::<Map<String, Value>>().into()
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    code: u16,
    reason: String,
    message: String,
    details: Value,
}

impl Failure {
    fn plain(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: Value::Null }
    }

    fn about(code: u16, reason: &str, kind: &ResourceKind, name: &str, message: String) -> Self {
        let details = details(&kind.group, &kind.plural, name);
        Self { details, ..Self::plain(code, reason, message) }
    }

    /// The HTTP status.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The machine-readable reason (`Conflict`, `Invalid`, …).
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The failure as a `Status` object; one without a reason says none.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            super::fields::set(&mut status, &["reason"], self.reason.as_str());
        }
        if !self.details.is_null() {
            super::fields::set(&mut status, &["details"], self.details.clone());
        }
        status
    }

    pub(super) fn injected(code: u16, reason: &str) -> Self {
        Self::plain(code, reason, format!("injected fault: {reason}"))
    }

    /// As the API server says it in the body what the header says: where it is a number of seconds.
    pub(super) fn injected_for(code: u16, reason: &str, after: &str) -> Self {
        let details = after.parse::<i64>().map_or(Value::Null, |seconds| json!({"retryAfterSeconds": seconds}));
        Self { details, ..Self::injected(code, reason) }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::plain(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn forbidden(access: &Access) -> Self {
        let Access { user, verb, group, resource, namespace, name, .. } = access;
        let of = if namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {namespace:?}") };
        let words = format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {of}");
        let whole = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let named = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        Self::plain(403, "Forbidden", format!("{whole}{named} is forbidden: {words}"))
    }

    pub(super) fn no_such_path() -> Self {
        Self::plain(404, "NotFound", "the server could not find the requested resource")
    }

    pub(super) fn not_found(kind: &ResourceKind, name: &str) -> Self {
        Self::about(404, "NotFound", kind, name, format!("{} {name:?} not found", kind.resource()))
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::plain(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub(super) fn already_exists(kind: &ResourceKind, name: &str) -> Self {
        Self::about(409, "AlreadyExists", kind, name, format!("{} {name:?} already exists", kind.resource()))
    }

    pub(super) fn conflict(kind: &ResourceKind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource());
        Self::about(409, "Conflict", kind, name, message)
    }

    pub(super) fn apply_conflict(kind: &ResourceKind, name: &str, message: &str) -> Self {
        Self::about(409, "Conflict", kind, name, message.to_owned())
    }

    pub(super) fn modified_since(kind: &ResourceKind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::plain(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::plain(413, "RequestEntityTooLarge", message)
    }

    pub(super) fn unsupported_media(content_type: &str) -> Self {
        let message = format!("the body of the request was in an unknown format: {content_type}");
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// What was said beside the object, and cannot be meant.
    pub(super) fn invalid_options(options: &str, causes: &[Cause]) -> Self {
        Self::invalid_of("", options, "", causes)
    }

    pub(super) fn invalid(kind: &ResourceKind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_of(&kind.group, &kind.kind, name, causes)
    }

    fn invalid_of(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let line = |cause: &Cause| format!("{}: {}", cause.field, cause.message);
        let lines = causes.iter().map(line).collect::<Vec<_>>().join(", ");
        let causes: Vec<Value> =
            causes.iter().map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field})).collect();
        let mut details = details(group, kind, name);
        super::fields::set(&mut details, &["causes"], causes);
        Self { details, ..Self::plain(422, "Invalid", format!("{kind} {name:?} is invalid: {lines}")) }
    }

    /// A JSON patch that did not apply, a failed `test` included: the API server tells no more than this.
    pub(super) fn patch_refused() -> Self {
        Self::plain(422, "Invalid", "the server rejected our request due to an error in our request")
    }

    /// A patch after which the object is none of its kind.
    pub(super) fn undecodable_patch(why: &str) -> Self {
        Self::invalid_of("", "", "", &[Cause::invalid("patch", "", why)])
    }

    /// What the API server has no reason for.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::plain(500, "", message)
    }

    pub(super) fn ahead_of_time(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self::plain(504, "Timeout", message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Failure {}
