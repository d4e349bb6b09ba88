//! An API server on a socket that misbehaves when told to, in front of the embedded one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use notturno::embedded::Embedded;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How one request is treated.
#[derive(Clone, Debug, Default)]
pub enum Deed {
    /// As it should be.
    #[default]
    Pass,
    /// Not done, and answered with this code and these headers.
    Refuse(u16, Vec<(&'static str, &'static str)>),
    /// Done, and answered with this code.
    RefuseAfter(u16),
    /// Never answered.
    Swallow,
    /// Headers at once, and then a byte a tenth of a second.
    Trickle,
    /// Headers at once, and then nothing.
    Mute,
    /// One event of a watch with this code, and then the end.
    WatchError(u16),
    /// A watch that goes silent after its first event, and when it is told to gives one with this code, and ends.
    Expire(u16, Arc<Notify>),
    /// A connection that is simply closed.
    Cut,
}

/// One request, as it was seen.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub token: Option<String>,
    pub body: String,
    pub at: Instant,
}

impl Asked {
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

pub type Rule = Arc<dyn Fn(&Asked) -> Deed + Send + Sync>;

struct Inner {
    embedded: Embedded,
    rule: Mutex<Rule>,
    asked: Mutex<Vec<Asked>>,
}

/// The server; dropped, all its connections are gone.
pub struct Front {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    serving: Option<JoinSet<()>>,
}

impl Front {
    pub async fn before(embedded: &Embedded) -> Self {
        let rule: Rule = Arc::new(|_| Deed::Pass);
        let inner = Inner { embedded: embedded.clone(), rule: Mutex::new(rule), asked: Mutex::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut front = Self { address: listener.local_addr().unwrap(), inner: Arc::new(inner), serving: None };
        front.serve(listener);
        front
    }

    pub fn config(&self) -> kube::Config {
        kube::Config::new(format!("http://{}", self.address).parse().unwrap())
    }

    /// From now on.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Deed + Send + Sync + 'static) {
        *self.inner.rule.lock().unwrap() = Arc::new(rule);
    }

    pub fn calm(&self) {
        self.rule(|_| Deed::Pass);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }

    /// How many requests there were like this.
    pub fn count(&self, like: impl Fn(&Asked) -> bool) -> usize {
        self.asked().iter().filter(|asked| like(asked)).count()
    }

    /// Waits until there is a request like this; it.
    pub async fn until(&self, what: &str, like: impl Fn(&Asked) -> bool) -> Asked {
        for _ in 0..1500 {
            if let Some(asked) = self.asked().into_iter().find(&like) {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never asked: {what}\n{}", self.story());
    }

    pub fn story(&self) -> String {
        let asked = self.asked();
        let since = asked.first().map_or_else(Instant::now, |first| first.at);
        let line = |one: &Asked| {
            let at = one.at.duration_since(since).as_secs_f64();
            format!("{at:7.3} {} {}?{}\n", one.method, one.path, one.query)
        };
        asked.iter().map(line).collect()
    }

    /// The listener closes, and every connection with it.
    pub fn die(&mut self) {
        self.serving = None;
    }

    pub async fn rise(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    /// In place of the dead server: every connection is reset, for a while; how many there were.
    pub async fn reset_all_for(&self, span: Duration) -> usize {
        let mut free = TcpListener::bind(self.address).await;
        // The dead server's own task ends at its next turn.
        while free.is_err() {
            tokio::task::yield_now().await;
            free = TcpListener::bind(self.address).await;
        }
        let listener = free.unwrap();
        let mut count = 0;
        let resetting = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                count += 1;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(span, resetting).await;
        count
    }

    fn serve(&mut self, listener: TcpListener) {
        let inner = Arc::clone(&self.inner);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let inner = Arc::clone(&inner);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&inner), request));
                    // How a connection ends is the client's matter.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        self.serving = Some(serving);
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> std::io::Result<Answer> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        token: token.map(str::to_owned),
        body: String::from_utf8_lossy(&body).into_owned(),
        at: Instant::now(),
    };
    let rule = Arc::clone(&*inner.rule.lock().unwrap());
    let deed = rule(&asked);
    inner.asked.lock().unwrap().push(asked);
    let pass = async { inner.embedded.client("notturno").send(Request::from_parts(parts, body.into())).await.unwrap() };
    match deed {
        Deed::Pass => Ok(pass.await.map(|body| body.map_err(std::io::Error::other).boxed_unsync())),
        Deed::Refuse(code, headers) => Ok(refusal(code, &headers)),
        Deed::RefuseAfter(code) => {
            let done = pass.await;
            Ok(if done.status().is_success() { refusal(code, &[]) } else { done.map(whole_of) })
        }
        Deed::Swallow => std::future::pending().await,
        Deed::Trickle => Ok(Response::new(stream(true))),
        Deed::Mute => Ok(Response::new(stream(false))),
        Deed::WatchError(code) => Ok(Response::new(whole(expired(code)))),
        Deed::Expire(code, bell) => {
            let first = pass.await.into_body().map_err(std::io::Error::other).into_data_stream().take(1);
            let last = futures::stream::once(async move {
                bell.notified().await;
                Ok(Bytes::from(expired(code)))
            });
            Ok(Response::new(BodyExt::boxed_unsync(StreamBody::new(first.chain(last).map_ok(Frame::data)))))
        }
        Deed::Cut => Err(std::io::Error::other("cut")),
    }
}

fn expired(code: u16) -> String {
    let object = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "expired", "code": code});
    json!({"type": "ERROR", "object": object}).to_string() + "\n"
}

fn refusal(code: u16, headers: &[(&'static str, &'static str)]) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "told to", "code": code});
    let mut answer = Response::new(whole(status.to_string()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    for (name, value) in headers {
        answer.headers_mut().insert(*name, value.parse().unwrap());
    }
    answer
}

fn whole(text: String) -> UnsyncBoxBody<Bytes, std::io::Error> {
    Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn whole_of(body: kube::client::Body) -> UnsyncBoxBody<Bytes, std::io::Error> {
    body.map_err(std::io::Error::other).boxed_unsync()
}

fn stream(trickles: bool) -> UnsyncBoxBody<Bytes, std::io::Error> {
    let bytes = futures::stream::unfold((), move |()| async move {
        if !trickles {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
    });
    BodyExt::boxed_unsync(StreamBody::new(bytes))
}
