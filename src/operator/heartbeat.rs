//! The ping that carries the proof of life to an address outside the cluster.
//!
//! In: an address, a span, the [`Heart`]. Out: one GET a span while there is a fresh proof, and none without. Invariants: the address may
//! be a secret, so that it is in no message, no error and no `Debug`; what an answer means is its status alone: no redirect is followed and
//! no body is read; no ping takes longer than [`PING_FOR_MAX`], and none is waited for but here, in a task of its own, so that it delays no
//! night; a failure is told when it begins and when it ends. Sentinels do not ping: the operator's silence has called people by the time
//! that they act, and an address of their own would be one more secret in each tenant's namespace. Not here: what is proof
//! ([`super::heart`]), what flags say it ([`crate::cli`]).

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::ConfigExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::tcp;
use super::heart::Heart;
use super::metrics::Metrics;
use crate::model::duration;

/// How long a ping waits for its answer.
pub const PING_FOR_MAX: Duration = Duration::from_secs(5);
/// The shortest span between two pings.
pub const EVERY_MIN: Duration = Duration::from_secs(10);
/// The longest.
pub const EVERY_MAX: Duration = Duration::from_secs(3600);

/// Where pings go. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct PingUrl(Uri);

/// Why a text is no such address. None of it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPingUrl {
    /// It cannot be read.
    #[error("it is no URL: write one as https://monitor.example/ping/notturno")]
    NoUrl,
    /// Neither http nor https.
    #[error("it begins with neither http:// nor https://")]
    NoHttp,
    /// A name or a password before the host.
    #[error(
        "it has a name or a password before its host (user@), which nobody would send: put what is secret into its path or query"
    )]
    UserInfo,
}

/// The span between two pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every(pub Duration);

/// What one ping has to do; why it had no good answer, in words that say nothing of the address.
pub type Ping = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

impl fmt::Debug for PingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PingUrl(not shown)")
    }
}

impl FromStr for PingUrl {
    type Err = BadPingUrl;
    /// Space around it is left out: a Secret that was made from a file ends with a line's end.
    fn from_str(text: &str) -> Result<Self, BadPingUrl> {
        let uri: Uri = text.trim().parse().map_err(|_| BadPingUrl::NoUrl)?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(BadPingUrl::NoHttp),
            None => return Err(BadPingUrl::NoUrl),
        }
        let authority = uri.authority().ok_or(BadPingUrl::NoUrl)?;
        if authority.as_str().contains('@') {
            return Err(BadPingUrl::UserInfo);
        }
        if authority.host().is_empty() {
            return Err(BadPingUrl::NoUrl);
        }
        Ok(Self(uri))
    }
}

impl FromStr for Every {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let span = duration::parse(text).map_err(|problem| problem.to_string())?;
        let span = Duration::try_from(span).unwrap_or_default();
        if span < EVERY_MIN || span > EVERY_MAX {
            return Err(format!(
                "{text} is out of bounds: write {}s at least and {}s at most",
                EVERY_MIN.as_secs(),
                EVERY_MAX.as_secs()
            ));
        }
        Ok(Self(span))
    }
}

/// A GET of the address, over a connection of its own.
#[must_use]
pub fn get(url: PingUrl) -> Ping {
    Box::new(move || ask(url.0.clone()).boxed())
}

async fn ask(url: Uri) -> Result<(), String> {
    let is_plain = url.scheme() == Some(&http::uri::Scheme::HTTP);
    let request = Request::get(url)
        .header(http::header::USER_AGENT, "notturno")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| "the request cannot be made".to_owned())?;
    let builder = Client::builder(TokioExecutor::new());
    let answer = if is_plain {
        builder.build(tcp(PING_FOR_MAX)).request(request)
    } else {
        // Made anew each time: certificates of authorities that were renewed meanwhile count.
        let trusts = Config::new(Uri::default()).rustls_https_connector_with_connector(tcp(PING_FOR_MAX));
        let nobody = |_| "no certificate authorities are known here: mount their file and name it in SSL_CERT_FILE".to_owned();
        builder.build(trusts.map_err(nobody)?).request(request)
    };
    let status = answer.map_err(|error| unreached(&error)).await?.status();
    if status.is_success() { Ok(()) } else { Err(format!("the answer was {}", status.as_u16())) }
}

/// Errors of clients name hosts: only of which kind it is can be told.
fn unreached(error: &hyper_util::client::legacy::Error) -> String {
    let what = if error.is_connect() { "no connection could be made" } else { "the connection brought no answer" };
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            return format!("{what}: {io}");
        }
        source = inner.source();
    }
    what.to_owned()
}

/// Pings until it is dropped.
pub async fn beat(ping: Ping, every: Duration, heart: Heart, metrics: Metrics) {
    let mut failing = false;
    loop {
        heart.proof().await;
        let next_at = Instant::now() + every;
        let answer = timeout(PING_FOR_MAX, ping()).await.unwrap_or_else(|_| Err(format!("no answer within {PING_FOR_MAX:?}")));
        metrics.pinged(answer.is_ok());
        match &answer {
            Ok(()) if failing => tracing::info!("the heartbeat is heard outside again"),
            Err(why) if !failing => tracing::warn!(why, "the heartbeat is not heard outside"),
            Ok(()) => {}
            Err(why) => tracing::debug!(why, "the heartbeat is still not heard outside"),
        }
        failing = answer.is_err();
        sleep_until(next_at).await;
    }
}
