//! From an HTTP request to what it asks.
//!
//! In: method, path, query, content type and body. Out: a [`Call`], or the failure the API server answers.
//! Invariants: everything later code needs is decoded here once.
//! Not here: doing it (`execute`); protobuf and YAML bodies (server-side apply bodies must be JSON, as kube sends).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use serde_json::Value;

use super::failure::Failure;
use super::kinds::{Kinds, REVIEWS, ResourceKind};
use super::patch::PatchType;

/// Largest body of a request, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What a request does, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads many objects.
    List,
    /// Follows changes.
    Watch,
    /// Creates one object.
    Create,
    /// Replaces one object.
    Update,
    /// Changes one object.
    Patch,
    /// Deletes one object.
    Delete,
    /// Deletes many objects.
    DeleteCollection,
}

impl Verb {
    /// Whether it may change anything.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Watch => false,
            Self::Create | Self::Update | Self::Patch | Self::Delete | Self::DeleteCollection => true,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        })
    }
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A discovery document or the like.
    Document(Value),
    /// An access review of this plural: answered, never stored.
    Review(&'static str),
    /// Stored objects.
    Objects(Arc<ResourceKind>),
}

/// One request, decoded.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    pub(super) target: Target,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) subresource: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) patch_type: Option<PatchType>,
    /// A list shows what there was so many changes ago.
    pub(super) older: u64,
    pub(super) body: Value,
}

impl Call {
    /// # Errors
    /// 404 for an unknown path, 405 for a method that does not exist, 400, 413 or 415 for the body.
    pub(super) fn parse(kinds: &Kinds, parts: &Parts, body: &[u8]) -> Result<Self, Failure> {
        let decoded: Vec<String> = parts.uri.path().split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect();
        let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let query = query(parts.uri.query().unwrap_or_default());
        if let Some(document) = document(kinds, &segments) {
            return Ok(Self::about_document(document, query));
        }
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Failure::no_such_path()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (Some((*namespace).to_owned()), inner),
            _ => (None, rest),
        };
        let [plural, rest @ ..] = rest else { return Err(Failure::no_such_path()) };
        let (name, subresource) = match rest {
            [] => ("", ""),
            [name] => (*name, ""),
            [name, subresource] => (*name, *subresource),
            _ => return Err(Failure::no_such_path()),
        };
        let target = target(kinds, group, version, plural, namespace.is_some(), name)?;
        let verb = verb(parts.method.as_str(), name, &query)?;
        let content_type = parts.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let patch_type = if verb == Verb::Patch { Some(PatchType::of(content_type.unwrap_or_default())?) } else { None };
        let body = if verb.writes() { json_body(body)? } else { Value::Null };
        let [group, resource, name, subresource] = [group, *plural, name, subresource].map(str::to_owned);
        Ok(Self { verb, target, group, resource, namespace, name, subresource, query, patch_type, older: 0, body })
    }

    fn about_document(document: Value, query: BTreeMap<String, String>) -> Self {
        Self {
            verb: Verb::Get,
            target: Target::Document(document),
            group: String::new(),
            resource: String::new(),
            namespace: None,
            name: String::new(),
            subresource: String::new(),
            query,
            patch_type: None,
            older: 0,
            body: Value::Null,
        }
    }

    /// A parameter of the query, empty when absent.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether nothing is to be stored.
    pub(super) fn is_dry_run(&self) -> bool {
        if matches!(self.verb, Verb::Delete | Verb::DeleteCollection) && !self.body.is_null() {
            return super::fields::includes(&self.body, &["dryRun"], "All");
        }
        self.parameter("dryRun") == "All"
    }

    /// Whether it may change the store: a write that is neither a dry run, a review nor a `TokenRequest`.
    pub(super) fn is_write(&self) -> bool {
        matches!(self.target, Target::Objects(_)) && self.verb.writes() && !self.is_dry_run() && self.subresource != "token"
    }
}

fn document(kinds: &Kinds, segments: &[&str]) -> Option<Value> {
    match segments {
        ["healthz" | "readyz" | "livez"] => Some(Value::String("ok".to_owned())),
        _ => kinds.discovery(segments),
    }
}

fn target(kinds: &Kinds, group: &str, version: &str, plural: &str, in_namespace: bool, name: &str) -> Result<Target, Failure> {
    if let Some((_, review)) = REVIEWS.iter().find(|(known, review)| *known == group && *review == plural) {
        return Ok(Target::Review(review));
    }
    let kind = kinds.by_plural(group, version, plural).ok_or_else(Failure::no_such_path)?;
    let everywhere = kind.namespaced && !in_namespace && name.is_empty();
    if kind.namespaced == in_namespace || everywhere { Ok(Target::Objects(kind)) } else { Err(Failure::no_such_path()) }
}

fn verb(method: &str, name: &str, query: &BTreeMap<String, String>) -> Result<Verb, Failure> {
    let watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    match (method, name.is_empty()) {
        ("GET", _) if watch => Ok(Verb::Watch),
        ("GET", true) => Ok(Verb::List),
        ("GET", false) => Ok(Verb::Get),
        ("POST", _) => Ok(Verb::Create),
        ("PUT", false) => Ok(Verb::Update),
        ("PATCH", false) => Ok(Verb::Patch),
        ("DELETE", true) => Ok(Verb::DeleteCollection),
        ("DELETE", false) => Ok(Verb::Delete),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn json_body(body: &[u8]) -> Result<Value, Failure> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Failure::too_large(format!("Request entity too large: limit is {BODY_BYTES_MAX}")));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| Failure::bad_request(format!("the body is no JSON: {error}")))
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (form_decoded(key), form_decoded(value)))
        .collect()
}

fn form_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(decoded) = escaped.filter(|_| byte == b'%') {
            bytes.push(decoded);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
