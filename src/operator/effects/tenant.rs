//! Whose hands do the work: a client with the rights of a `ServiceAccount` of the tenant's namespace.
//!
//! In: a client that bears its token. Out: [`Tenant`], with the few calls that effects need. Invariants: no effect ever uses the
//! operator's own rights; every call has its own deadline; one that is refused for its token is repeated once with a new one, within
//! the same deadline, which the server is told too. Not here: which calls to make when, where tokens come from ([`super::tenants`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::call::{Answer, CallError, LIMIT, within};
use super::marks::US;
use super::operations::text;
use super::tenants::Giver;
use crate::model::epoch::Epoch;
use crate::operator::connect::Within;

/// With less time left, a call is not repeated.
const REPEAT_WITHIN_MIN: Duration = Duration::from_secs(1);
/// A PATCH whose body is an object to apply.
const APPLY: &str = "APPLY";

/// One tenant's hands.
#[derive(Clone)]
pub struct Tenant {
    /// Speaks with the rights of the `ServiceAccount`.
    pub client: Client,
    /// Where the work runs.
    pub namespace: String,
    /// As whom.
    pub service_account: String,
    /// With whose tokens.
    pub epoch: Epoch,
    kinds: Kinds,
    refused: Arc<AtomicBool>,
    /// Who gives another token.
    given_by: Option<Giver>,
}

/// What is served under which plural, once asked; the same for all tenants.
pub(super) type Kinds = Arc<std::sync::Mutex<BTreeMap<(String, String), Kind>>>;

/// How the API serves a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its plural.
    pub resource: String,
    /// Its objects live in namespaces.
    pub namespaced: bool,
}

/// The path of an object, or of a collection when `name` is empty; outside namespaces when `namespace` is.
#[must_use]
pub fn path(api_version: &str, namespace: &str, resource: &str, name: &str) -> String {
    let root = if api_version.contains('/') { "/apis" } else { "/api" };
    let slash = if name.is_empty() { "" } else { "/" };
    if namespace.is_empty() {
        return format!("{root}/{api_version}/{resource}{slash}{name}");
    }
    format!("{root}/{api_version}/namespaces/{namespace}/{resource}{slash}{name}")
}

impl Tenant {
    /// A tenant that speaks through `client`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, service_account: &str) -> Self {
        let [namespace, service_account] = [namespace, service_account].map(str::to_owned);
        let epoch = Epoch::OPERATOR;
        Self { client, namespace, service_account, epoch, kinds: Kinds::default(), refused: Arc::default(), given_by: None }
    }

    /// The same hands, with the tokens of another epoch.
    #[must_use]
    pub fn with_epoch(self, epoch: Epoch) -> Self {
        Self { epoch, ..self }
    }

    /// A tenant whose token can be asked for again.
    pub(super) fn given_by(giver: Giver, kinds: Kinds, client: Client, namespace: &str, service_account: &str) -> Self {
        Self { given_by: Some(giver), kinds, ..Self::new(client, namespace, service_account) }
    }

    /// The API server no longer takes its token: the next who asks for the tenant gets a new one.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// The API server no longer takes its token.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The object at `path`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        let what = format!("reading {}", short(path));
        self.call(&what, "GET", path, "", None).await.and_then(|answer| named(&what, path, answer))
    }

    /// The items at `path` that bear the label: a quorum read.
    pub(super) async fn list(&self, path: &str, label: &str, value: &str) -> Result<Vec<Value>, CallError> {
        let query = format!("labelSelector={}%3D{value}", label.replace('/', "%2F"));
        let what = format!("listing {}", short(path));
        let mut list = self.call(&what, "GET", path, &query, None).await?;
        let is_whole = text(&list, &["metadata", "continue"]).is_empty();
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if is_whole => Ok(items),
            _ => Err(CallError::not_understood(&what, "the answer is no whole list")),
        }
    }

    /// Creates `object` in the collection at `path`; the object as stored.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<Value, CallError> {
        let name = text(object, &["metadata", "name"]);
        let query = format!("fieldManager={US}");
        self.call(&format!("creating {}/{name}", short(path)), "POST", path, &query, Some(object)).await
    }

    /// Applies the JSON Patch to the object at `path`; the object as stored.
    pub(super) async fn patch(&self, path: &str, patch: &[Value]) -> Result<Value, CallError> {
        let query = format!("fieldManager={US}");
        let what = format!("changing {}", short(path));
        self.call(&what, "PATCH", path, &query, Some(&json!(patch))).await.and_then(|answer| named(&what, path, answer))
    }

    /// The object as the JSON Patch would leave it.
    pub(super) async fn try_patch(&self, path: &str, patch: &[Value]) -> Result<Value, CallError> {
        let query = format!("fieldManager={US}&dryRun=All");
        self.call(&format!("trying to change {}", short(path)), "PATCH", path, &query, Some(&json!(patch))).await
    }

    /// Applies the manifest to the object at `path` on the server's side, over the claims of others; the object as stored, or with
    /// `try_only` as it would be.
    pub(super) async fn apply(&self, path: &str, manifest: &Value, try_only: bool) -> Result<Value, CallError> {
        let (what, dry_run) = if try_only { ("trying to apply", "&dryRun=All") } else { ("applying", "") };
        let query = format!("fieldManager={US}&force=true{dry_run}");
        self.call(&format!("{what} {}", short(path)), APPLY, path, &query, Some(manifest)).await
    }

    /// Whether the object could be created.
    pub(super) async fn try_create(&self, path: &str, object: &Value) -> Result<Value, CallError> {
        let name = text(object, &["metadata", "name"]);
        let query = format!("fieldManager={US}&dryRun=All");
        self.call(&format!("trying to create {}/{name}", short(path)), "POST", path, &query, Some(object)).await
    }

    /// Deletes that very object at that very revision, and what it owns.
    pub(super) async fn delete(&self, path: &str, object: &Value) -> Result<Value, CallError> {
        let [uid, revision] = ["uid", "resourceVersion"].map(|field| text(object, &["metadata", field]));
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": revision}});
        self.call(&format!("deleting {}", short(path)), "DELETE", path, "", Some(&options)).await
    }

    /// Deletes that very object, whatever its revision, and what it owns.
    pub(super) async fn delete_by_uid(&self, path: &str, uid: &str) -> Result<Value, CallError> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": uid}});
        self.call(&format!("deleting {}", short(path)), "DELETE", path, "", Some(&options)).await
    }

    /// How a kind is served; none when it is not.
    pub(super) async fn kind(&self, api_version: &str, kind: &str) -> Result<Option<Kind>, CallError> {
        let key = (api_version.to_owned(), kind.to_owned());
        let known = || self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = known().get(&key) {
            return Ok(Some(kind.clone()));
        }
        let root = if api_version.contains('/') { "/apis" } else { "/api" };
        let what = format!("asking how {api_version} {kind} is served");
        let all = match self.call(&what, "GET", &format!("{root}/{api_version}"), "", None).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => return Ok(None),
            other => other?,
        };
        let resources = all.get("resources").and_then(Value::as_array);
        let wanted = |one: &&Value| text(one, &["kind"]) == kind && !text(one, &["name"]).contains('/');
        let Some(found) = resources.into_iter().flatten().find(wanted) else { return Ok(None) };
        let namespaced = found.get("namespaced").and_then(Value::as_bool).unwrap_or(false);
        let kind = Kind { resource: text(found, &["name"]).to_owned(), namespaced };
        known().insert(key, kind.clone());
        Ok(Some(kind))
    }

    /// One call, repeated once with a new token when the server no longer takes this one.
    async fn call(&self, what: &str, method: &str, path: &str, query: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let at = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let until = Instant::now() + LIMIT;
        let answer = self.ask(what, method, &at, body, LIMIT).await;
        if !answer.as_ref().is_err_and(|error| error.answer() == Some(Answer::Unauthorized)) {
            return answer;
        }
        self.refuse();
        let left = || until.saturating_duration_since(Instant::now());
        let Some(tenants) = self.given_by.as_ref().and_then(Giver::tenants) else { return answer };
        match timeout(left(), tenants.of(&self.namespace, &self.service_account)).await {
            Ok(Ok(renewed)) if left() >= REPEAT_WITHIN_MIN => {
                let answer = renewed.ask(what, method, &at, body, left()).await;
                if answer.as_ref().is_err_and(|error| error.answer() == Some(Answer::Unauthorized)) {
                    renewed.refuse();
                }
                answer
            }
            Ok(_) | Err(_) => answer,
        }
    }

    /// One request.
    pub(super) async fn ask(
        &self,
        what: &str,
        method: &str,
        at: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Value, CallError> {
        let (method, media) = match method {
            APPLY => ("PATCH", "application/apply-patch+yaml"),
            "PATCH" => ("PATCH", "application/json-patch+json"),
            other => (other, "application/json"),
        };
        let request = http::Request::builder()
            .method(method)
            .uri(at)
            .extension(Within(limit))
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, media)
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default());
        within(limit, what, async { self.client.request::<Value>(request.map_err(kube::Error::HttpError)?).await }).await
    }
}

/// The answer, if it is the object at `path`: what something in between answered instead is no knowledge of it.
fn named(what: &str, path: &str, answer: Value) -> Result<Value, CallError> {
    let asked = path.rsplit('/').next().unwrap_or_default();
    if text(&answer, &["metadata", "name"]) == asked {
        return Ok(answer);
    }
    Err(CallError::not_understood(what, "the answer is another object"))
}

/// A path as people know it.
fn short(path: &str) -> &str {
    path.split_once("/namespaces/").map_or(path, |(_, rest)| rest)
}
