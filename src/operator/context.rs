//! What the nights of one operator share, in one value: clients, clock, sockets, orders, numbers, heart, turns.
//!
//! Out: [`Context`], which every night gets as an argument. Invariants: `client` speaks with the operator's own rights, which read what
//! people declare, write `interventions/status`, its finalizer and Events, and nothing else; every effect of a night goes through
//! [`Tenants`]. Not here: anything that belongs to one night.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use kube::Client;

use super::declared::Listings;
use super::effects::pod_security::Level;
use super::effects::{Judge, Switch, Tenants};
use super::heart::Heart;
use super::introductions::Introductions;
use super::metrics::Metrics;
use super::orders::Orders;
use super::server_time::ServerTime;
use super::watching::WATCH_FOR_SECONDS;

/// Asks an `http://` address: its status, or why there is none.
pub type Getter = Arc<dyn Fn(String) -> BoxFuture<'static, Result<u16, String>> + Send + Sync>;

/// How addresses are judged by day, and asked at night.
#[derive(Clone)]
pub struct Network {
    /// Asks one.
    pub getter: Getter,
    /// Says whether it may be asked.
    pub judge: Judge,
}

impl From<Getter> for Network {
    /// One in which all may be asked.
    fn from(getter: Getter) -> Self {
        Self { getter, judge: Arc::new(|_| std::future::ready(Ok(())).boxed()) }
    }
}

/// Everything that the nights of one operator share. Clones share it too.
#[derive(Clone)]
pub struct Context {
    /// The operator's own rights.
    pub client: Client,
    /// The rights of each tenant.
    pub tenants: Arc<Tenants>,
    /// The API server's time.
    pub time: ServerTime,
    /// How probes ask.
    pub getter: Getter,
    /// Which addresses probes and checks may ask.
    pub judge: Judge,
    /// How much a Pod may do whose template stands in a runbook.
    pub pod_security: Level,
    /// What the dead man's switch runs from.
    pub switch: Switch,
    /// Orders of people.
    pub orders: Orders,
    /// Numbers for `/metrics`.
    pub metrics: Metrics,
    /// What says to people outside that all this lives.
    pub heart: Heart,
    /// The longest that a silent watch goes unnoticed, in seconds.
    pub watch_for_seconds: u32,
    /// Reads of what is declared, shared.
    pub(super) listings: Listings,
    /// Whose turn it is to be introduced.
    pub(super) introductions: Introductions,
}

impl Context {
    /// All of it, with no orders yet, and no word about the dead man's switch: no night is armed before that is said.
    ///
    /// # Errors
    /// When the numbers cannot be registered: a fault of ours.
    pub fn new(client: Client, tenants: Tenants, time: ServerTime, network: impl Into<Network>) -> prometheus::Result<Self> {
        let Network { getter, judge } = network.into();
        Ok(Self {
            client,
            tenants: Arc::new(tenants),
            time,
            getter,
            judge,
            pod_security: Level::default(),
            switch: Switch::default(),
            orders: Orders::default(),
            metrics: Metrics::new()?,
            heart: Heart::default(),
            watch_for_seconds: WATCH_FOR_SECONDS,
            listings: Listings::default(),
            introductions: Introductions::default(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test may")]
pub(super) mod tests {
    use futures::FutureExt;
    use jiff::Timestamp;
    use kube::client::Body;

    use super::*;
    use crate::clock::Clock;

    /// Of an API server that never answers.
    pub fn unanswered() -> Context {
        let nobody = |_: http::Request<Body>| std::future::pending::<Result<http::Response<Body>, kube::Error>>();
        let client = Client::new(tower::service_fn(nobody), "default");
        let tenants = Tenants::new(client.clone(), Arc::new(|_| panic!("no tenant is asked")));
        let getter: Getter = Arc::new(|_| std::future::ready(Ok(200)).boxed());
        Context::new(client, tenants, ServerTime::of(Clock::starting_at(Timestamp::UNIX_EPOCH)), getter).expect("numbers")
    }
}
