//! The ping that carries the proof of life to an address outside the cluster.
//!
//! In: an address, a span, the [`Heart`]. Out: one GET a span while there is a fresh proof, and none without. Invariants: the address may
//! be a secret, so that it is in no message, no error and no `Debug`; what an answer means is its status alone: no redirect is followed and
//! no body is read; no ping takes longer than [`PING_FOR_MAX`], and none is waited for but here, in a task of its own, so that it delays no
//! night; a failure is logged when it begins and when it ends. Sentinels do not ping: the operator's silence has called people by the time
//! that they act, and an address of their own would be one more secret in each tenant's namespace. Not here: what is proof
//! ([`super::heart`]), what flags say it ([`crate::cli`]).

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
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
use tokio::time::{Instant, sleep, sleep_until, timeout};

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

/// Why a ping had no good answer, in words that say nothing of the address. The next one is tried all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// A fault of ours.
    #[error("the request cannot be made")]
    NoRequest,
    /// Tell who makes the image.
    #[error(
        "no certificate authorities are known here: put their file into the operator's image, and name it there in SSL_CERT_FILE"
    )]
    NoAuthorities,
    /// Retry later, and tell who keeps the network, the monitor or its certificate.
    #[error("no connection could be made{}", of_kind(*.0))]
    NoConnection(Option<ErrorKind>),
    /// Retry later, and tell who keeps the network or the monitor.
    #[error("the connection brought no answer{}", of_kind(*.0))]
    NoAnswer(Option<ErrorKind>),
    /// The same.
    #[error("no answer within {} s", PING_FOR_MAX.as_secs())]
    Late,
    /// Tell who keeps the monitor, or who wrote its address down.
    #[error("the answer was {0}")]
    Answered(u16),
}

fn of_kind(kind: Option<ErrorKind>) -> String {
    kind.map(|kind| format!(": {kind}")).unwrap_or_default()
}

/// What one ping has to do.
pub type Ping = Box<dyn Fn() -> BoxFuture<'static, Result<(), PingError>> + Send + Sync>;

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

async fn ask(url: Uri) -> Result<(), PingError> {
    let is_plain = url.scheme() == Some(&http::uri::Scheme::HTTP);
    let request = Request::get(url)
        .header(http::header::USER_AGENT, "notturno")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| PingError::NoRequest)?;
    let builder = Client::builder(TokioExecutor::new());
    let answer = if is_plain {
        builder.build(tcp(PING_FOR_MAX)).request(request)
    } else {
        // Made anew each time: certificates of authorities that were renewed meanwhile count.
        let trusts = Config::new(Uri::default()).rustls_https_connector_with_connector(tcp(PING_FOR_MAX));
        builder.build(trusts.map_err(|_| PingError::NoAuthorities)?).request(request)
    };
    let status = answer.map_err(|error| unreached(&error)).await?.status();
    if status.is_success() { Ok(()) } else { Err(PingError::Answered(status.as_u16())) }
}

/// Errors of clients name hosts: only of which kind it is can be told.
fn unreached(error: &hyper_util::client::legacy::Error) -> PingError {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let kind = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind).next();
    if error.is_connect() { PingError::NoConnection(kind) } else { PingError::NoAnswer(kind) }
}

/// Counts, until it is dropped, the pings that never go out because the address cannot be used: that it is wrong is seen in numbers too.
pub async fn unheard(every: Duration, metrics: Metrics) {
    loop {
        metrics.pinged(false);
        sleep(every).await;
    }
}

/// Pings until it is dropped.
pub async fn beat(ping: Ping, every: Duration, heart: Heart, metrics: Metrics) {
    let mut failing = false;
    loop {
        heart.proof().await;
        let next_at = Instant::now() + every;
        let answer = timeout(PING_FOR_MAX, ping()).await.unwrap_or(Err(PingError::Late));
        metrics.pinged(answer.is_ok());
        match &answer {
            Ok(()) if failing => tracing::info!("the heartbeat is heard outside again"),
            Err(why) if !failing => tracing::warn!(%why, "the heartbeat is not heard outside"),
            Ok(()) => {}
            Err(why) => tracing::debug!(%why, "the heartbeat is still not heard outside"),
        }
        failing = answer.is_err();
        sleep_until(next_at).await;
    }
}
