//! The endpoints of a sentinel, for the kubelet and for whoever arms the night.
//!
//! Out: `/healthz` (its loop turns), `/readyz` (its rehearsal went well, or what did not). Invariant: it is ready only while its last
//! rehearsal found nothing; once the night has turned and nothing can be rehearsed, while it reads the ledger and knows the time. Not here:
//! the rehearsal.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

/// How much later than it said its loop may turn.
const LATE_FOR_MAX: Duration = Duration::from_secs(60);

/// What a sentinel says of itself. Clones say the same.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<Said>>);

#[derive(Clone, Debug)]
struct Said {
    /// Why it is not ready; none when it is.
    not_ready: Option<String>,
    /// When its loop turns again at the latest.
    turns_by: Instant,
}

impl Default for Readiness {
    fn default() -> Self {
        let not_ready = Some("nothing was rehearsed yet".to_owned());
        Self(Arc::new(watch::Sender::new(Said { not_ready, turns_by: Instant::now() })))
    }
}

impl Readiness {
    /// Ready, or why not.
    pub fn say(&self, not_ready: Option<String>) {
        self.0.send_modify(|said| said.not_ready = not_ready);
    }

    /// Why it is not ready; none when it is.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        self.0.borrow().not_ready.clone()
    }

    /// Its loop turns again by then.
    pub fn turns_by(&self, at: Instant) {
        self.0.send_modify(|said| said.turns_by = at);
    }

    fn is_alive(&self) -> bool {
        self.0.borrow().turns_by + LATE_FOR_MAX > Instant::now()
    }
}

/// Serves the endpoints until the future is dropped.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, readiness: Readiness) -> std::io::Result<()> {
    let routes = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz));
    axum::serve(listener, routes.with_state(readiness)).await
}

async fn healthz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_alive() {
        (StatusCode::OK, "the loop turns\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop does not turn\n")
    }
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.why_not() {
        None => (StatusCode::OK, "the way back holds\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
