//! How probes and checks ask over real sockets: one plain GET.
//!
//! In: an `http://` address, and what may be asked. Out: the status, or the words of a client that got none. Invariants: the name is
//! resolved once, and the connection is made to the address that was judged; no redirect is followed, no more than 64 KiB of a body is
//! read, nothing takes longer than five seconds. Not here: what an answer means, which addresses are allowed ([`super::http_allow`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::Uri;
use http::uri::Authority;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::context::{Getter, Network};
use super::effects::{Judge, Unasked};
use super::http_allow::HttpAllow;
use super::story::story;

const ANSWER_FOR_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Real names, and real connections to what is allowed.
#[must_use]
pub fn network(allow: HttpAllow) -> Network {
    let allow = Arc::new(allow);
    let judging = Arc::clone(&allow);
    let getter: Getter = Arc::new(move |url| {
        let allow = Arc::clone(&allow);
        async move {
            let asked = tokio::time::timeout(ANSWER_FOR_MAX, get(&allow, &url)).await;
            asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_FOR_MAX:?}")))
        }
        .boxed()
    });
    let judge: Judge = Arc::new(move |url| {
        let allow = Arc::clone(&judging);
        async move { where_to(&allow, &url).await.map(drop) }.boxed()
    });
    Network { getter, judge }
}

async fn get(allow: &HttpAllow, url: &str) -> Result<u16, String> {
    let (uri, authority, address) = where_to(allow, url).await.map_err(|unasked| unasked.to_string())?;
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

/// What is asked, of whom, and at which one address.
async fn where_to(allow: &HttpAllow, url: &str) -> Result<(Uri, Authority, SocketAddr), Unasked> {
    let uri: Uri = url.parse().map_err(|_| Unasked::Forbidden(format!("{url:?} is not an address")))?;
    let plain = uri.scheme() == Some(&http::uri::Scheme::HTTP);
    let not_plain = || Unasked::Forbidden(format!("{url:?} is not an http:// address"));
    let authority = uri.authority().filter(|_| plain).cloned().ok_or_else(not_plain)?;
    let address = resolve(allow, authority.host(), authority.port_u16().unwrap_or(80)).await?;
    Ok((uri, authority, address))
}

async fn resolve(allow: &HttpAllow, host: &str, port: u16) -> Result<SocketAddr, Unasked> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return allow.address(host, &[SocketAddr::new(address, port)]).map_err(Unasked::Forbidden);
    }
    allow.host(host).map_err(Unasked::Forbidden)?;
    let unknown = |error| Unasked::Unknown(format!("{host}: {}", story(&error)));
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(unknown)?.collect();
    let why = if resolved.is_empty() { Unasked::Unknown } else { Unasked::Forbidden };
    allow.address(host, &resolved).map_err(why)
}
