//! The endpoints for the kubelet and for Prometheus.
//!
//! Out: `/healthz` (the loop that hands out news turns), `/readyz` (it has seen all Interventions, or another replica leads),
//! `/metrics`. Invariants: liveness is
//! asked of the loop itself, so nothing has to tick; a night that waits never makes the operator unhealthy. Not here: the numbers.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::metrics::Metrics;
use super::server_time::ServerTime;

const TURN_FOR_MAX: Duration = Duration::from_secs(2);

/// Asked of the loop; it answers when it turns.
pub type Ping = oneshot::Sender<()>;

/// What the endpoints look at.
#[derive(Clone)]
pub struct Health {
    /// To the loop.
    pub turns: mpsc::Sender<Ping>,
    /// Whether it has seen all Interventions.
    pub synced: watch::Receiver<bool>,
    /// The numbers.
    pub metrics: Metrics,
    /// The API server's time.
    pub time: ServerTime,
}

/// The loop's side of [`Health`].
pub struct Pulse {
    /// Questions whether it turns.
    pub turns: mpsc::Receiver<Ping>,
    /// Set once all Interventions were seen.
    pub synced: watch::Sender<bool>,
}

/// Both sides.
#[must_use]
pub fn health(metrics: Metrics, time: ServerTime) -> (Health, Pulse) {
    let (ask, turns) = mpsc::channel(8);
    let (synced, seen) = watch::channel(false);
    (Health { turns: ask, synced: seen, metrics, time }, Pulse { turns, synced })
}

/// Serves the endpoints until the future is dropped.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, health: Health) -> std::io::Result<()> {
    let routes = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics));
    axum::serve(listener, routes.with_state(health)).await
}

async fn healthz(State(health): State<Health>) -> (StatusCode, &'static str) {
    let (ask, answer) = oneshot::channel();
    let turn = async { health.turns.send(ask).await.is_ok() && answer.await.is_ok() };
    match timeout(TURN_FOR_MAX, turn).await {
        Ok(true) => (StatusCode::OK, "the loop turns\n"),
        Ok(false) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the loop does not turn\n"),
    }
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if *health.synced.borrow() {
        (StatusCode::OK, "every Intervention was seen, or another replica leads\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not every Intervention was seen yet\n")
    }
}

async fn metrics(State(health): State<Health>) -> (StatusCode, String) {
    let width = health.time.width().map_or(f64::INFINITY, |width| width.as_secs_f64());
    health.metrics.clock(health.time.offset().as_secs_f64(), width);
    match health.metrics.text(health.time.now()) {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
