//! Who gives a tenant's hands: tokens by `ServiceAccount`, asked for with the operator's rights and kept while they are good.
//!
//! In: the operator's client, for `TokenRequests` only, and a way to make a client from a token. Out: [`Tenant`]. Invariants: a token is
//! renewed before three quarters of its life; while one is good nobody waits for another longer than [`RENEWAL_FOR_MAX`]; one request
//! per tenant is under way, and all who wait for it share its outcome; a tenant that gives no token holds no other.
//! Not here: calls ([`super::tenant`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kube::Client;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::call::{CallError, LIMIT};
use super::operations::text;
use super::tenant::{Kinds, Tenant, path};

/// How long a token is asked to live.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// When it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(2600);
/// How long a renewal may hold whoever has a token that is still good.
const RENEWAL_FOR_MAX: Duration = Duration::from_secs(1);
/// The pause after a renewal that failed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// A token refused so soon after it was given is not made better by another one.
const NEW_FOR: Duration = Duration::from_secs(1);

/// Makes a client that speaks with the given token.
pub type ClientForToken = Arc<dyn Fn(&str) -> kube::Result<Client> + Send + Sync>;

/// Clients by tenant. Clones are the same.
#[derive(Clone)]
pub struct Tenants(Arc<Shared>);

struct Shared {
    own: Client,
    client_for_token: ClientForToken,
    kinds: Kinds,
    known: Mutex<BTreeMap<(String, String), Arc<Slot>>>,
}

/// One tenant.
#[derive(Default)]
struct Slot {
    known: Mutex<Known>,
    /// Held while a token is asked for.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    hands: Option<Hands>,
    failed: Option<(Instant, TenantError)>,
}

#[derive(Clone)]
struct Hands {
    tenant: Tenant,
    since: Instant,
}

/// Who gives another token, as long as there is anybody to: it is kept where tokens are kept, and must not keep itself.
#[derive(Clone)]
pub(super) struct Giver(Weak<Shared>);

impl Giver {
    pub(super) fn tenants(&self) -> Option<Tenants> {
        self.0.upgrade().map(Tenants)
    }
}

impl Hands {
    /// Good for some calls more.
    fn is_good(&self) -> bool {
        self.since.elapsed() + 3 * LIMIT < TOKEN_LIFE && !self.tenant.is_refused()
    }

    /// Good, and no other is needed yet.
    fn is_fresh(&self) -> bool {
        let age = self.since.elapsed();
        age < NEW_FOR || (age < RENEW_AFTER && !self.tenant.is_refused())
    }
}

/// Why there is no client for a tenant.
#[derive(Clone, Debug, thiserror::Error)]
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
        source: Arc<CallError>,
    },
    /// A client cannot be made with the operator's configuration: tell a person.
    #[error("no client can be made")]
    NoClient(#[source] Arc<kube::Error>),
}

impl Tenants {
    /// None known yet.
    #[must_use]
    pub fn new(own: Client, client_for_token: ClientForToken) -> Self {
        Self(Arc::new(Shared { own, client_for_token, kinds: Kinds::default(), known: Mutex::default() }))
    }

    /// The tenant, with a token that is good for some calls at least. Waits for one request of a token at most, or for one that is
    /// under way; with a token that is still good, hardly.
    ///
    /// # Errors
    /// When a token is needed and not given.
    pub async fn of(&self, namespace: &str, service_account: &str) -> Result<Tenant, TenantError> {
        let key = (namespace.to_owned(), service_account.to_owned());
        let slot = Arc::clone(locked(&self.0.known).entry(key).or_default());
        let since = Instant::now();
        let hands = slot.hands();
        match hands {
            Some(hands) if hands.is_fresh() => Ok(hands.tenant),
            Some(hands) if hands.is_good() => {
                if let (false, Ok(_asking)) = (slot.is_pausing(), slot.asking.try_lock()) {
                    let renewal = timeout(RENEWAL_FOR_MAX, self.fetch(&slot, namespace, service_account)).await;
                    return Ok(renewal.ok().and_then(Result::ok).unwrap_or_else(|| slot.pause(hands)));
                }
                Ok(hands.tenant)
            }
            Some(_) | None => {
                let _asking = slot.asking.lock().await;
                match slot.outcome_after(since) {
                    Some(outcome) => outcome,
                    None => self.fetch(&slot, namespace, service_account).await,
                }
            }
        }
    }

    /// One request, with its outcome kept for whoever waits.
    async fn fetch(&self, slot: &Slot, namespace: &str, service_account: &str) -> Result<Tenant, TenantError> {
        let asked = self.ask(namespace, service_account).await;
        let mut known = locked(&slot.known);
        match &asked {
            Ok(tenant) => *known = Known { hands: Some(Hands { tenant: tenant.clone(), since: Instant::now() }), failed: None },
            Err(error) => known.failed = Some((Instant::now(), error.clone())),
        }
        asked
    }

    async fn ask(&self, namespace: &str, service_account: &str) -> Result<Tenant, TenantError> {
        let Shared { own, client_for_token, kinds, known: _ } = &*self.0;
        let operator = Tenant::new(own.clone(), namespace, service_account);
        let at = path("v1", namespace, "serviceaccounts", &format!("{service_account}/token"));
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_LIFE.as_secs()}});
        let what = format!("asking a token of {namespace}/{service_account}");
        let source = |source| {
            let [namespace, service_account] = [namespace, service_account].map(str::to_owned);
            TenantError::NoToken { namespace, service_account, source: Arc::new(source) }
        };
        let answer = operator.ask(&what, "POST", &at, Some(&request), LIMIT).await.map_err(source)?;
        let client =
            client_for_token(text(&answer, &["status", "token"])).map_err(|error| TenantError::NoClient(error.into()))?;
        Ok(Tenant::given_by(Giver(Arc::downgrade(&self.0)), kinds.clone(), client, namespace, service_account))
    }
}

impl Slot {
    fn hands(&self) -> Option<Hands> {
        locked(&self.known).hands.clone()
    }

    /// A renewal failed a moment ago.
    fn is_pausing(&self) -> bool {
        locked(&self.known).failed.as_ref().is_some_and(|(at, _)| at.elapsed() < RENEWAL_PAUSE)
    }

    /// The renewal was not worth waiting for.
    fn pause(&self, hands: Hands) -> Tenant {
        let Hands { tenant, since: _ } = hands;
        let what = format!("renewing the token of {}/{}", tenant.namespace, tenant.service_account);
        let source = Arc::new(CallError::Timeout { what, limit: RENEWAL_FOR_MAX });
        let [namespace, service_account] = [&tenant.namespace, &tenant.service_account].map(Clone::clone);
        let error = TenantError::NoToken { namespace, service_account, source };
        tracing::warn!(%error, "the token is not renewed; it is still good");
        locked(&self.known).failed = Some((Instant::now(), error));
        tenant
    }

    /// What became of the request that was under way since then.
    fn outcome_after(&self, since: Instant) -> Option<Result<Tenant, TenantError>> {
        let known = locked(&self.known);
        if let Some(hands) = known.hands.as_ref().filter(|hands| hands.is_fresh()) {
            return Some(Ok(hands.tenant.clone()));
        }
        known.failed.as_ref().filter(|(at, _)| *at > since).map(|(_, error)| Err(error.clone()))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
