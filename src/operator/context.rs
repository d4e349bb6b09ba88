//! What the shell owns, in one value: clients, clock, sockets, orders, numbers.
//!
//! Out: [`Context`], which every night gets as an argument. Invariants: `client` speaks with the operator's own rights, which read what
//! people declare, write `interventions/status`, its finalizer and Events, and nothing else; every effect of a night goes through
//! [`Tenants`]. Not here: anything that belongs to one night.

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::Client;
use tokio::sync::Semaphore;

use super::effects::Tenants;
use super::effects::pod_security::Level;
use super::metrics::Metrics;
use super::orders::Orders;
use super::server_time::ServerTime;

/// Asks an `http://` address: its status, or why there is none.
pub type Getter = Arc<dyn Fn(String) -> BoxFuture<'static, Result<u16, String>> + Send + Sync>;

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
    /// How much a Pod may do whose template stands in a runbook.
    pub pod_security: Level,
    /// Orders of people.
    pub orders: Orders,
    /// Numbers for `/metrics`.
    pub metrics: Metrics,
    /// So many nights are introduced at a time: an operator that starts must not ask for all ledgers at once.
    pub(super) introductions: Arc<Semaphore>,
}

const INTRODUCTIONS_MAX: usize = 16;

impl Context {
    /// All of it, with no orders yet.
    ///
    /// # Errors
    /// When the numbers cannot be registered: a fault of ours.
    pub fn new(client: Client, tenants: Tenants, time: ServerTime, getter: Getter) -> prometheus::Result<Self> {
        Ok(Self {
            client,
            tenants: Arc::new(tenants),
            time,
            getter,
            pod_security: Level::default(),
            orders: Orders::default(),
            metrics: Metrics::new()?,
            introductions: Arc::new(Semaphore::new(INTRODUCTIONS_MAX)),
        })
    }
}
