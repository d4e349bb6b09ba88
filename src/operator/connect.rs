//! How the API server is reached: one stack for the operator's own client and for every tenant's.
//!
//! In: a configuration, the limit of a call. Out: clients. Invariants: nothing is retried here, whatever an answer says; no call outlives
//! its limit, be it in connecting, in headers or in the body, and the server is told the same limit; of a watch only the headers are
//! limited, since its body ends by the bound it was asked with ([`super::watching`]); TCP gives up on a silent peer in step with the limit.
//! Not here: what is asked, what a failure means ([`super::effects::call`]).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::config::AuthInfo;
use kube::{Client, Config};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::{BoxError, Service};

/// Unanswered probes of a silent peer within one limit.
const KEEPALIVES: u32 = 2;
const MILLIS_MIN: u128 = 1;
/// Connections that nobody uses, and how long each is kept: nights that only wait hold none.
const IDLE_MAX: usize = 8;
const IDLE_FOR_MAX: Duration = Duration::from_secs(20);

/// In a request's extensions: less time for it than the client's calls have.
#[derive(Clone, Copy, Debug)]
pub struct Within(pub Duration);

/// A call that was given up. Retry later: it may have happened.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the API server was silent for {0:?}")]
pub struct Silent(pub Duration);

/// A client with the configuration's own identity.
///
/// # Errors
/// When the configuration cannot be used, or wants a proxy.
pub fn client(config: &Config, limit: Duration) -> kube::Result<Client> {
    if let Some(proxy_url) = &config.proxy_url {
        return Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy_url.clone()) });
    }
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_FOR_MAX)
        .pool_max_idle_per_host(IDLE_MAX)
        .build::<_, Body>(config.rustls_https_connector_with_connector(tcp(limit))?);
    let service = tower::ServiceBuilder::new()
        .layer_fn(|inner| Bounded { inner, limit })
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// The same client, each of whose calls has a limit, as those of [`client`] have.
#[must_use]
pub fn bounded(inner: Client, limit: Duration) -> Client {
    let namespace = inner.default_namespace().to_owned();
    let sending = tower::service_fn(move |request| {
        let inner = inner.clone();
        async move { inner.send(request).await }
    });
    Client::new(Bounded { inner: sending, limit }, namespace)
}

/// Clients for tokens: the configuration's server and CA, and no other identity.
pub fn client_for_token(config: &Config, limit: Duration) -> impl Fn(&str) -> kube::Result<Client> + Send + Sync + 'static {
    let config = config.clone();
    move |token| {
        let mut config = config.clone();
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        client(&config, limit)
    }
}

/// Connections that end when the peer has acknowledged nothing for `limit`, be they in use or idle.
#[must_use]
pub fn tcp(limit: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limit));
    tcp.set_keepalive(Some(limit / KEEPALIVES));
    tcp.set_keepalive_interval(Some(limit / KEEPALIVES));
    tcp.set_keepalive_retries(Some(KEEPALIVES));
    tcp.set_tcp_user_timeout(Some(limit));
    tcp
}

/// Gives each call its limit.
#[derive(Clone)]
struct Bounded<S> {
    inner: S,
    limit: Duration,
}

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<BoundedBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let limit = request.extensions().get().map_or(self.limit, |Within(limit)| self.limit.min(*limit));
        let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
        if !is_watch && let Some(uri) = telling(request.uri(), limit) {
            *request.uri_mut() = uri;
        }
        let until = Instant::now() + limit;
        let answer = self.inner.call(request);
        async move {
            let answer = timeout_at(until, answer).await.map_err(|_| Silent(limit))?.map_err(Into::into)?;
            let end = (!is_watch).then(|| (Box::pin(sleep_until(until)), Silent(limit)));
            Ok(answer.map(|body| BoundedBody { body: Box::pin(body), end }))
        }
        .boxed()
    }
}

/// The address, with the limit for the server.
fn telling(uri: &Uri, limit: Duration) -> Option<Uri> {
    let whole = limit.subsec_nanos() == 0 && limit.as_secs() > 0;
    let limit = if whole { format!("{}s", limit.as_secs()) } else { format!("{}ms", limit.as_millis().max(MILLIS_MIN)) };
    let and = match uri.query() {
        None => "?",
        Some("") => "",
        Some(query) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    let mut parts = uri.clone().into_parts();
    let path_and_query = format!("{}{and}timeout={limit}", uri.path_and_query()?);
    parts.path_and_query = Some(path_and_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// A body that ends with an error when its call's time is over.
struct BoundedBody<B> {
    body: Pin<Box<B>>,
    end: Option<(Pin<Box<Sleep>>, Silent)>,
}

impl<B: HttpBody<Data = Bytes>> HttpBody for BoundedBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some((end, silent)) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err((*silent).into())));
        }
        let frame = ready!(self.body.as_mut().poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
