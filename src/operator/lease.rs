//! Which of several replicas works: a lease in the operator's own namespace.
//!
//! In: a client with the operator's rights, a name for this replica. Out: when it was won, renewed, lost. Invariants: for economy, never
//! for safety: two replicas that both believe to lead do no harm, since rights are tokens and the ledger takes one successor for each
//! record; every write holds only for the lease as it was read, and a conflict means that another holds it; a lease is expired when it was
//! *seen here* not to change for [`LEASE_FOR`] by a clock that only counts, so that nobody's civil clock matters; whoever leads stops
//! before anybody else may begin. A lease that can be neither read nor written for [`ALONE_AFTER`] keeps nobody from working: then
//! each replica leads. Not here: what leading is ([`super::lead`]).

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::time::{Instant, sleep, timeout_at};

use super::effects::call::{Answer, CallError, within};
use super::metrics::Metrics;
use super::server_time::ServerTime;
use super::story::story;
use super::tries::{EFFECT_PAUSE_MAX, pause};

/// A lease that does not change for so long may be taken.
pub const LEASE_FOR: Duration = Duration::from_secs(10);
/// How often it is renewed, and looked at by those who wait.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Who could not renew it for so long leads no more; shorter than [`LEASE_FOR`].
pub const LEADS_FOR_MAX: Duration = Duration::from_secs(7);
/// Out of reach or refused for so long, the lease keeps nobody from working.
pub const ALONE_AFTER: Duration = Duration::from_secs(60);
/// Tries to give it back.
const RELEASES_MAX: u32 = 3;
/// The limit of each call.
const LIMIT: Duration = Duration::from_secs(3);

/// One replica's part in the election.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    time: ServerTime,
    metrics: Metrics,
    seen: Option<Seen>,
    /// It was won, and written last by a call that began then.
    renewed_at: Option<Instant>,
    failing_since: Option<Instant>,
    failed_count: u32,
}

/// A lease as last seen, and since when it has not changed here.
struct Seen {
    lease: Lease,
    since: Instant,
}

/// What became of one try to hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Ours,
    Others,
    Unknown,
}

impl Elector {
    /// Takes part under the lease `namespace/name`; `identity` is this replica's alone.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, time: ServerTime, metrics: Metrics) -> Self {
        let api = Api::namespaced(client, namespace);
        let [name, identity] = [name, identity].map(str::to_owned);
        Self { api, name, identity, time, metrics, seen: None, renewed_at: None, failing_since: None, failed_count: 0 }
    }

    /// Waits until this replica leads; `follows` hears each time that another one was seen to lead. May be dropped at any point.
    pub async fn until_won(&mut self, follows: impl Fn()) {
        self.renewed_at = None;
        loop {
            match self.hold().await {
                Hold::Ours => return self.leads("the lease is ours"),
                Hold::Others => follows(),
                Hold::Unknown if self.failing_for() >= ALONE_AFTER => {
                    return self.leads("nobody can hold the lease: each for itself");
                }
                Hold::Unknown => {}
            }
            sleep(self.pause()).await;
        }
    }

    /// Waits until this replica leads no more; `renewed` hears each time that the lease was seen to be renewed. May be dropped at any
    /// point.
    pub async fn until_lost(&mut self, renewed: impl Fn()) {
        loop {
            sleep(self.pause()).await;
            // Without a lease it goes on until another replica is seen to hold it.
            let give_up_at = self.renewed_at.map(|at| at + LEADS_FOR_MAX);
            let held = match give_up_at {
                Some(at) => timeout_at(at, self.hold()).await.unwrap_or(Hold::Unknown),
                None => self.hold().await,
            };
            if held == Hold::Ours {
                renewed();
            }
            let too_long = give_up_at.is_some_and(|at| at <= Instant::now());
            if held == Hold::Others || (held == Hold::Unknown && too_long) {
                self.renewed_at = None;
                self.metrics.leads(false);
                tracing::warn!(identity = self.identity, "leads no more: every night is dropped");
                return;
            }
        }
    }

    /// Lets another replica begin at once. Where that fails the lease expires.
    pub async fn release(&mut self) {
        self.metrics.leads(false);
        if self.renewed_at.take().is_none() {
            return;
        }
        for _ in 0..RELEASES_MAX {
            match self.try_to_release().await {
                // A renewal that nobody waited for has landed meanwhile.
                Err(error) if error.answer() == Some(Answer::Conflict) => {}
                Err(error) => return tracing::warn!(error = story(&error), "the lease could not be released; it expires"),
                Ok(()) => return,
            }
        }
    }

    async fn try_to_release(&mut self) -> Result<(), CallError> {
        self.look().await?;
        let Some(Seen { lease, .. }) = &self.seen else { return Ok(()) };
        let spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            return Ok(());
        }
        let spec = LeaseSpec { holder_identity: None, renew_time: Some(MicroTime(self.time.now())), ..spec };
        self.replace(&Lease { spec: Some(spec), ..lease.clone() }).await.map(drop)
    }

    fn leads(&self, why: &str) {
        self.metrics.leads(true);
        tracing::info!(identity = self.identity, epoch = self.epoch(), why, "leads");
    }

    /// How often the lease has changed hands.
    fn epoch(&self) -> i32 {
        let spec = self.seen.as_ref().and_then(|seen| seen.lease.spec.as_ref());
        spec.and_then(|spec| spec.lease_transitions).unwrap_or_default()
    }

    /// One try to hold it: reads it, unless the last write was ours and seen, and writes it if it may be written.
    async fn hold(&mut self) -> Hold {
        let began_at = Instant::now();
        let tried = self.try_to_hold().await;
        match tried {
            Ok(true) => {
                self.renewed_at = Some(began_at);
                self.metrics.lease_transitions(self.epoch());
            }
            Ok(false) => {}
            Err(error) => {
                self.failing_since.get_or_insert(began_at);
                self.failed_count = self.failed_count.saturating_add(1);
                let conflict = error.answer() == Some(Answer::Conflict);
                // What the lease is now has to be read.
                let ours = self.renewed_at.is_some() && conflict;
                tracing::warn!(error = story(&error), "the lease could not be held");
                return if ours { Hold::Others } else { Hold::Unknown };
            }
        }
        self.failing_since = None;
        self.failed_count = 0;
        if matches!(tried, Ok(true)) { Hold::Ours } else { Hold::Others }
    }

    async fn try_to_hold(&mut self) -> Result<bool, CallError> {
        let renews = self.renewed_at.is_some() && self.failed_count == 0;
        if !renews {
            self.look().await?;
        }
        let Some(seen) = &self.seen else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.ours(&LeaseSpec::default())) };
            let stored = within(LIMIT, "creating the lease", self.api.create(&PostParams::default(), &lease)).await?;
            self.see(stored);
            return Ok(true);
        };
        let spec = seen.lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if !holder.is_empty() && holder != self.identity && seen.since.elapsed() < LEASE_FOR {
            return Ok(false);
        }
        let lease = Lease { spec: Some(self.ours(&spec)), ..seen.lease.clone() };
        let stored = self.replace(&lease).await?;
        self.see(stored);
        Ok(true)
    }

    async fn look(&mut self) -> Result<(), CallError> {
        let found = within(LIMIT, "reading the lease", self.api.get_opt(&self.name)).await?;
        match found {
            Some(lease) => self.see(lease),
            None => self.seen = None,
        }
        Ok(())
    }

    /// Its clock begins anew only when it changed.
    fn see(&mut self, lease: Lease) {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        let same = self.seen.as_ref().filter(|seen| version(&seen.lease) == version(&lease)).map(|seen| seen.since);
        self.seen = Some(Seen { lease, since: same.unwrap_or_else(Instant::now) });
    }

    /// The whole lease, for the version that was read.
    async fn replace(&self, lease: &Lease) -> Result<Lease, CallError> {
        within(LIMIT, "writing the lease", self.api.replace(&self.name, &PostParams::default(), lease)).await
    }

    fn ours(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(self.time.now());
        let changes_hands = before.holder_identity.as_deref() != Some(self.identity.as_str());
        let epoch = before.lease_transitions.unwrap_or_default().saturating_add(i32::from(changes_hands));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_transitions: Some(epoch),
            lease_duration_seconds: i32::try_from(LEASE_FOR.as_secs()).ok(),
            acquire_time: if changes_hands { Some(now.clone()) } else { before.acquire_time.clone() },
            renew_time: Some(now),
            ..before.clone()
        }
    }

    fn failing_for(&self) -> Duration {
        self.failing_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Until the next try. Whoever leads and fails tries again soon, as long as it leads.
    fn pause(&self) -> Duration {
        if self.failed_count == 0 {
            let expires = self
                .seen
                .as_ref()
                .filter(|_| self.renewed_at.is_none())
                .map(|seen| LEASE_FOR.saturating_sub(seen.since.elapsed()));
            return expires.unwrap_or(RENEW_EVERY).clamp(Duration::from_millis(100), RENEW_EVERY);
        }
        let longest = if self.renewed_at.is_some() { SignedDuration::from_secs(1) } else { EFFECT_PAUSE_MAX };
        Duration::try_from(pause(self.failed_count, longest)).unwrap_or(RENEW_EVERY)
    }
}
