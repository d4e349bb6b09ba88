//! Whose hands do the work: a client with the rights of a `ServiceAccount` of the tenant's namespace.
//!
//! In: the operator's client, for `TokenRequests` only, and a way to make a client from a token. Out: [`Tenant`], with the few calls that
//! effects need. Invariants: no effect ever uses the operator's own rights; a token is renewed before three quarters of its life; every
//! call has its own deadline, at the server too. Not here: which calls to make when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{Body, ConfigExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call::{Answer, CallError, LIMIT, within};
use super::marks::US;
use super::operations::text;

/// How long a token is asked to live.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// When it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(2600);

/// A PATCH whose body is an object to apply.
const APPLY: &str = "APPLY";

/// Makes a client that speaks with the given token.
pub type ClientForToken = Arc<dyn Fn(&str) -> kube::Result<Client> + Send + Sync>;

/// Clients by tenant.
pub struct Tenants {
    own: Client,
    client_for_token: ClientForToken,
    kinds: Kinds,
    known: std::sync::Mutex<BTreeMap<(String, String), Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Hands>>>;

struct Hands {
    tenant: Tenant,
    since: Instant,
}

/// Why there is no client for a tenant.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// The token was not given; the call says what to do.
    #[error("no token for ServiceAccount {namespace}/{service_account}")]
    NoToken {
        /// Its namespace.
        namespace: String,
        /// Its name.
        service_account: String,
        /// Why.
        #[source]
        source: CallError,
    },
    /// A client cannot be made with the operator's configuration: tell a person.
    #[error("no client can be made")]
    NoClient(#[source] kube::Error),
}

impl Tenants {
    /// None known yet.
    #[must_use]
    pub fn new(own: Client, client_for_token: ClientForToken) -> Self {
        Self { own, client_for_token, kinds: Kinds::default(), known: std::sync::Mutex::default() }
    }

    /// The tenant, with a token that is good for a quarter of an hour at least.
    ///
    /// # Errors
    /// When a token is needed and not given. A token that is still good outlives a failed renewal.
    pub async fn of(&self, namespace: &str, service_account: &str) -> Result<Tenant, TenantError> {
        let slot = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry((namespace.to_owned(), service_account.to_owned())).or_default())
        };
        let mut hands = slot.lock().await;
        let fresh = |hands: &&Hands| hands.since.elapsed() < RENEW_AFTER && !hands.tenant.is_refused();
        if let Some(hands) = hands.as_ref().filter(fresh) {
            return Ok(hands.tenant.clone());
        }
        match self.fetch(namespace, service_account).await {
            Ok(new) => Ok(hands.insert(Hands { tenant: new, since: Instant::now() }).tenant.clone()),
            Err(error) => {
                let good = |hands: &&Hands| hands.since.elapsed() + 3 * LIMIT < TOKEN_LIFE && !hands.tenant.is_refused();
                hands.as_ref().filter(good).map(|hands| hands.tenant.clone()).ok_or(error)
            }
        }
    }

    async fn fetch(&self, namespace: &str, service_account: &str) -> Result<Tenant, TenantError> {
        let operator = Tenant { kinds: self.kinds.clone(), ..Tenant::new(self.own.clone(), namespace, service_account) };
        let at = path("v1", namespace, "serviceaccounts", &format!("{service_account}/token"));
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_LIFE.as_secs()}});
        let what = format!("asking a token of {namespace}/{service_account}");
        let answer = operator.call(&what, "POST", &at, "", Some(&request)).await;
        let source = |source| {
            let [namespace, service_account] = [namespace, service_account].map(str::to_owned);
            TenantError::NoToken { namespace, service_account, source }
        };
        let answer = answer.map_err(source)?;
        let client = (self.client_for_token)(text(&answer, &["status", "token"])).map_err(TenantError::NoClient)?;
        Ok(Tenant { client, refused: Arc::default(), ..operator })
    }
}

/// A client for each token, beside the operator's own configuration: same server and CA, no other identity, no retries, and TCP gives
/// up on silence in step with the calls' own deadlines.
pub fn real_client_for_token(config: &kube::Config) -> impl Fn(&str) -> kube::Result<Client> + Send + Sync + 'static {
    let config = config.clone();
    move |token| {
        let mut config = config.clone();
        config.default_retry = false;
        config.auth_info = kube::config::AuthInfo { token: Some(token.to_owned().into()), ..Default::default() };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(LIMIT));
        tcp.set_keepalive(Some(LIMIT));
        tcp.set_tcp_user_timeout(Some(LIMIT));
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .build::<_, Body>(config.rustls_https_connector_with_connector(tcp)?);
        let service = tower::ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .map_err(tower::BoxError::from)
            .service(http);
        Ok(Client::new(service, config.default_namespace))
    }
}

/// One tenant's hands.
#[derive(Clone)]
pub struct Tenant {
    /// Speaks with the rights of the `ServiceAccount`.
    pub client: Client,
    /// Where the work runs.
    pub namespace: String,
    /// As whom.
    pub service_account: String,
    kinds: Kinds,
    refused: Arc<AtomicBool>,
}

/// What is served under which plural, once asked; the same for all tenants.
type Kinds = Arc<std::sync::Mutex<BTreeMap<(String, String), Kind>>>;

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
        Self { client, namespace, service_account, kinds: Kinds::default(), refused: Arc::default() }
    }

    /// The API server no longer takes its token.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The object at `path`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(&format!("reading {}", short(path)), "GET", path, "", None).await
    }

    /// The items at `path` that bear the label: a quorum read.
    pub(super) async fn list(&self, path: &str, label: &str, value: &str) -> Result<Vec<Value>, CallError> {
        let query = format!("labelSelector={}%3D{value}", label.replace('/', "%2F"));
        let mut list = self.call(&format!("listing {}", short(path)), "GET", path, &query, None).await?;
        Ok(match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        })
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
        self.call(&format!("changing {}", short(path)), "PATCH", path, &query, Some(&json!(patch))).await
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

    async fn call(&self, what: &str, method: &str, path: &str, query: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let (method, media) = match method {
            APPLY => ("PATCH", "application/apply-patch+yaml"),
            "PATCH" => ("PATCH", "application/json-patch+json"),
            other => (other, "application/json"),
        };
        let and = if query.is_empty() { "" } else { "&" };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{path}?{query}{and}timeout={}s", LIMIT.as_secs()))
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, media)
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default());
        let answer =
            within(LIMIT, what, async { self.client.request::<Value>(request.map_err(kube::Error::HttpError)?).await }).await;
        if let Err(error) = &answer
            && error.answer() == Some(Answer::Unauthorized)
        {
            self.refused.store(true, Ordering::Relaxed);
        }
        answer
    }
}

/// A path as people know it.
fn short(path: &str) -> &str {
    path.split_once("/namespaces/").map_or(path, |(_, rest)| rest)
}
