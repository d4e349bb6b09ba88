//! What surrounds the operator's process: an API server on a socket, and a monitor that speaks TLS.
//!
//! The certificates of `tests/cli_operator/tls` are for `localhost` and good until 2120. The authority's key was thrown away: to renew them
//! make another authority.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kube::client::Body;
use notturno::clock::Clock;
use notturno::embedded::Embedded;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A cluster without any night; dropped, it is gone.
pub struct Cluster {
    pub kubeconfig: PathBuf,
    _serving: JoinSet<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A file that is left is in nobody's way.
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

pub async fn cluster() -> Cluster {
    let embedded = Embedded::new(Clock::starting_at("2023-02-09T18:30:00Z".parse::<Timestamp>().unwrap()));
    for definition in notturno::api::manifests::crds() {
        embedded.register_definition(&serde_json::to_value(definition).unwrap()).unwrap();
    }
    let client = embedded.client("notturno");
    let answer = move |request: axum::extract::Request| {
        let client = client.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let (mut parts, body) =
                client.send(Request::from_parts(parts, Body::from(body.to_vec()))).await.unwrap().into_parts();
            parts.headers.remove(http::header::CONTENT_LENGTH);
            Response::from_parts(parts, axum::body::Body::new(body))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap() });
    let kubeconfig = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("operator-{}.yaml", address.port()));
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "a", "user": {}}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]});
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    Cluster { kubeconfig, _serving: serving }
}

/// A file of `tests/cli_operator/tls`.
pub fn tls(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/cli_operator/tls", name].iter().collect()
}

/// A monitor at `https://localhost`, and the paths that it was asked for.
pub async fn monitor() -> (SocketAddr, mpsc::UnboundedReceiver<String>, JoinSet<()>) {
    let chain = vec![CertificateDer::from_pem_file(tls("monitor.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(tls("monitor.key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = mpsc::unbounded_channel();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(socket) = acceptor.accept(socket).await else { continue };
            let answer = |request: Request<Incoming>| {
                // Nobody has to look.
                let _ = tell.send(request.uri().path().to_owned());
                async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
            };
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
        }
    });
    (address, asked, serving)
}
