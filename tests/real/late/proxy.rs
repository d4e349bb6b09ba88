//! A way to the API server on which requests can be held back, and delivered late.
//!
//! In: which requests are held. Out: each as it was sent, and what the API server says when it comes at last. Invariants: everything else
//! goes through as it is, watches too, with the identity of whoever asked; who waits for a held request hears nothing before it is
//! delivered. Not here: what is held ([`super::sent`]), what is expected of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::sent::{Answer, Sent};
use crate::cluster::wait;

const DELIVERED_WITHIN: Duration = Duration::from_secs(15);

/// How many of the requests that are alike are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    First,
    All,
}

type Like = Box<dyn Fn(&Sent) -> bool + Send + Sync>;
type Reply = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// Requests that are alike, and those of them that were held.
struct Gate {
    name: String,
    like: Like,
    which: Held,
    open: bool,
    held: Vec<(Sent, Option<oneshot::Sender<Answer>>)>,
}

struct Inner {
    /// For whoever says who they are.
    anybody: Client,
    /// For whoever does not.
    own: Client,
    gates: Mutex<Vec<Gate>>,
}

/// The way; dropped, all its connections are gone.
pub struct Proxy {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    runtime: Runtime,
}

impl Proxy {
    /// In front of the API server; who does not say who they are speaks as the user of that kubeconfig.
    pub fn before(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (inner, listener) = runtime.block_on(async {
            let file = Kubeconfig::read_from(kubeconfig).unwrap();
            let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
            (config.default_retry, config.read_timeout) = (false, None);
            let own = Client::try_from(config.clone()).unwrap();
            config.auth_info = AuthInfo::default();
            let anybody = Client::try_from(config).unwrap();
            (Inner { anybody, own, gates: Mutex::default() }, TcpListener::bind("127.0.0.1:0").await.unwrap())
        });
        let (address, inner) = (listener.local_addr().unwrap(), Arc::new(inner));
        runtime.spawn(serve(listener, Arc::clone(&inner)));
        Self { address, inner, runtime }
    }

    /// From now on requests like this are held under that name.
    pub fn hold(&self, name: &str, which: Held, like: impl Fn(&Sent) -> bool + Send + Sync + 'static) {
        let gate = Gate { name: name.to_owned(), like: Box::new(like), which, open: false, held: vec![] };
        self.inner.gates.lock().unwrap().push(gate);
    }

    /// The first that was held under that name, once there is one.
    pub fn until_held(&self, name: &str, seconds: u64) -> Sent {
        wait(seconds, format!("a request held as {name}"), || self.first(name))
    }

    fn first(&self, name: &str) -> Option<Sent> {
        let gates = self.inner.gates.lock().unwrap();
        let gate = gates.iter().find(|gate| gate.name == name).unwrap_or_else(|| panic!("nothing is held as {name}"));
        gate.held.first().map(|(sent, _)| sent.clone())
    }

    /// The first that was held under that name goes on to the API server; whoever still waits for it hears the answer.
    pub fn deliver(&self, name: &str) -> Answer {
        let sent = self.first(name).unwrap_or_else(|| panic!("nothing was held as {name}"));
        let answer = self.send(&sent);
        let mut gates = self.inner.gates.lock().unwrap();
        let held = gates.iter_mut().find(|gate| gate.name == name).and_then(|gate| gate.held.first_mut());
        if let Some(waits) = held.and_then(|(_, waits)| waits.take()) {
            // Who has given up does not hear it.
            let _ = waits.send(answer.clone());
        }
        answer
    }

    /// Requests like those that were held under that name go through from now on; those that were held are lost.
    pub fn open(&self, name: &str) {
        let mut gates = self.inner.gates.lock().unwrap();
        gates.iter_mut().filter(|gate| gate.name == name).for_each(|gate| {
            gate.open = true;
            gate.held.clear();
        });
    }

    /// Sends it as whoever sent it first.
    pub fn send(&self, sent: &Sent) -> Answer {
        let client = self.inner.client_of(sent).clone();
        let answer = async {
            let reply = client.send(sent.request()).await.unwrap();
            let code = reply.status().as_u16();
            Answer { code, headers: reply.headers().clone(), body: reply.into_body().collect().await.unwrap().to_bytes() }
        };
        let limited = async { tokio::time::timeout(DELIVERED_WITHIN, answer).await };
        self.runtime.block_on(limited).unwrap_or_else(|_| panic!("no answer to {sent}"))
    }
}

impl Inner {
    fn client_of(&self, sent: &Sent) -> &Client {
        if sent.headers.contains_key(AUTHORIZATION) { &self.anybody } else { &self.own }
    }

    /// Keeps it when it is to be held; what tells the answer then.
    fn keep(&self, sent: &Sent) -> Option<oneshot::Receiver<Answer>> {
        let mut gates = self.gates.lock().unwrap();
        let holds = |gate: &&mut Gate| {
            !gate.open && (gate.which == Held::All || gate.held.is_empty()) && !sent.is_tried() && (gate.like)(sent)
        };
        let gate = gates.iter_mut().find(holds)?;
        let (waits, answer) = oneshot::channel();
        gate.held.push((sent.clone(), Some(waits)));
        Some(answer)
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let inner = Arc::clone(&inner);
        tokio::spawn(async move {
            let service = service_fn(move |request| pass(Arc::clone(&inner), request));
            // How a connection ends is the client's matter.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn pass(inner: Arc<Inner>, request: Request<Incoming>) -> std::io::Result<Reply> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    // They are of one connection, and this is another.
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let sent = Sent { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    if let Some(answer) = inner.keep(&sent) {
        let answer = answer.await.map_err(|_| std::io::Error::other("held for good"))?;
        let mut reply = Response::new(Full::new(answer.body).map_err(|never| match never {}).boxed_unsync());
        *reply.status_mut() = http::StatusCode::from_u16(answer.code).unwrap();
        *reply.headers_mut() = answer.headers;
        reply.headers_mut().remove(TRANSFER_ENCODING);
        return Ok(reply);
    }
    let reply = inner.client_of(&sent).send(sent.request()).await.map_err(std::io::Error::other)?;
    Ok(reply.map(|body| body.map_err(std::io::Error::other).boxed_unsync()))
}
