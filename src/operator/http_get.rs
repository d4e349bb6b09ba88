//! How probes and checks ask over real sockets: one plain GET.
//!
//! In: an `http://` address, and what may be asked. Out: the status, or the words of a client that got none. Invariants: the name is
//! resolved once, and the connection is made to the address that was judged; no redirect is followed, no more than 64 KiB of a body is
//! read, nothing takes longer than five seconds. Not here: what an answer means, which addresses are allowed ([`super::http_allow`]).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::context::Getter;
use super::http_allow::HttpAllow;
use super::story::story;

const ANSWER_FOR_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A getter that opens real connections to what is allowed.
#[must_use]
pub fn getter(allow: HttpAllow) -> Getter {
    let allow = std::sync::Arc::new(allow);
    std::sync::Arc::new(move |url| {
        let allow = std::sync::Arc::clone(&allow);
        async move {
            let asked = tokio::time::timeout(ANSWER_FOR_MAX, get(&allow, &url)).await;
            asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_FOR_MAX:?}")))
        }
        .boxed()
    })
}

async fn get(allow: &HttpAllow, url: &str) -> Result<u16, String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("{url:?} is not an address"))?;
    let plain = uri.scheme() == Some(&http::uri::Scheme::HTTP);
    let authority = uri.authority().filter(|_| plain).ok_or_else(|| format!("{url:?} is not an http:// address"))?;
    let address = resolve(allow, authority.host(), authority.port_u16().unwrap_or(80)).await?;
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let request = http::Request::get(path)
        .header(http::header::HOST, authority.as_str())
        .header(http::header::USER_AGENT, "notturno")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| story(&error))?;
    let socket = TcpStream::connect(address).await.map_err(|error| format!("{address}: {}", story(&error)))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(|error| story(&error))?;
    let ask = async {
        let answer = sender.send_request(request).await.map_err(|error| story(&error))?;
        let status = answer.status().as_u16();
        // A server that is still speaking when the connection ends may call that an error of its own.
        let _ = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
        Ok(status)
    };
    // The connection works only while it is polled; it ends with the answer.
    let mut connection = std::pin::pin!(connection);
    let mut ask = std::pin::pin!(ask);
    tokio::select! {
        biased;
        answer = &mut ask => answer,
        _ = &mut connection => ask.await,
    }
}

/// The one address that is asked.
async fn resolve(allow: &HttpAllow, host: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return allow.address(host, &[SocketAddr::new(address, port)]);
    }
    allow.host(host)?;
    let resolved = tokio::net::lookup_host((host, port)).await.map_err(|error| format!("{host}: {}", story(&error)))?;
    allow.address(host, &resolved.collect::<Vec<_>>())
}
