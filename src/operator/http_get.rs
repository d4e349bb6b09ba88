//! How probes and checks ask over real sockets, one plain GET; and whether they would.
//!
//! In: an `http://` address, and what may be asked. Out: the status, or the words of a client that got none; by day, why it would not be
//! asked. Invariants: one and the same judgement by day and at night, where the name is resolved once and the connection is made to the
//! address that was judged; no redirect is followed, no more than 64 KiB of a body is read, no answer takes longer than five seconds.
//! Not here: what an answer means, which addresses are allowed ([`super::http_allow`]), how long a judgement may take (its callers).

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
            let asked = tokio::time::timeout(ANSWER_FOR_MAX, get(&allow, &url, lookup)).await;
            asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_FOR_MAX:?}")))
        }
        .boxed()
    });
    let judge: Judge = Arc::new(move |url| {
        let allow = Arc::clone(&judging);
        async move { where_to(&allow, &url, lookup).await.map(drop) }.boxed()
    });
    Network { getter, judge }
}

async fn lookup(host: String, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// The status of one answer; `lookup` resolves the name, once.
async fn get<F>(allow: &HttpAllow, url: &str, lookup: impl FnOnce(String, u16) -> F) -> Result<u16, String>
where
    F: Future<Output = std::io::Result<Vec<SocketAddr>>>,
{
    let (uri, authority, address) = where_to(allow, url, lookup).await.map_err(|unasked| unasked.to_string())?;
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
async fn where_to<F>(
    allow: &HttpAllow,
    url: &str,
    lookup: impl FnOnce(String, u16) -> F,
) -> Result<(Uri, Authority, SocketAddr), Unasked>
where
    F: Future<Output = std::io::Result<Vec<SocketAddr>>>,
{
    let uri: Uri = url.parse().map_err(|_| Unasked::Forbidden(format!("{url:?} is not an address")))?;
    let plain = uri.scheme() == Some(&http::uri::Scheme::HTTP);
    let not_plain = || Unasked::Forbidden(format!("{url:?} is not an http:// address"));
    let authority = uri.authority().filter(|_| plain).cloned().ok_or_else(not_plain)?;
    let address = resolve(allow, authority.host(), authority.port_u16().unwrap_or(80), lookup).await?;
    Ok((uri, authority, address))
}

async fn resolve<F>(
    allow: &HttpAllow,
    host: &str,
    port: u16,
    lookup: impl FnOnce(String, u16) -> F,
) -> Result<SocketAddr, Unasked>
where
    F: Future<Output = std::io::Result<Vec<SocketAddr>>>,
{
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return allow.address(host, &[SocketAddr::new(address, port)]).map_err(Unasked::Forbidden);
    }
    allow.host(host).map_err(Unasked::Forbidden)?;
    let unknown = |error| Unasked::Unknown(format!("{host}: {}", story(&error)));
    let resolved = lookup(host.to_owned(), port).await.map_err(unknown)?;
    let why = if resolved.is_empty() { Unasked::Unknown } else { Unasked::Forbidden };
    allow.address(host, &resolved).map_err(why)
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test may")]
mod tests {
    use std::future::ready;

    use tokio::net::TcpListener;

    use super::*;

    async fn answer_one(listener: TcpListener) {
        let (socket, _) = listener.accept().await.expect("a connection");
        socket.readable().await.expect("a request");
        socket.try_write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").expect("an answer");
        let _ = socket.readable().await;
    }

    #[tokio::test]
    async fn the_address_that_was_judged_is_asked_and_the_name_is_not_resolved_again() {
        let judged = TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let port = judged.local_addr().expect("an address").port();
        let by_name = TcpListener::bind(("127.0.0.1", port)).await.expect("the same port");
        let allow = HttpAllow::and(vec!["127.0.0.2".parse().expect("an address")]);
        let resolved = ["127.0.0.1", "127.0.0.2"].map(|address| SocketAddr::new(address.parse().expect("an address"), port));
        let url = format!("http://localhost:{port}/");
        let asked = async { get(&allow, &url, |_, _| ready(Ok(resolved.to_vec()))).await };
        let elsewhere = async {
            let _ = by_name.accept().await;
        };
        tokio::select! {
            biased;
            () = elsewhere => panic!("the name was resolved again"),
            (answer, ()) = async { tokio::join!(asked, answer_one(judged)) } => assert_eq!(answer, Ok(204)),
        }
    }

    #[tokio::test]
    async fn a_name_that_may_not_be_asked_is_not_even_resolved() {
        let lookup = |host, _| -> std::future::Ready<std::io::Result<Vec<SocketAddr>>> { panic!("{host} is resolved") };
        let refused = get(&HttpAllow::default(), "http://www.example.org/", lookup).await;
        assert!(refused.as_ref().is_err_and(|why| why.contains("--http-allow www.example.org")), "{refused:?}");
    }

    #[tokio::test]
    async fn an_address_in_brackets_is_an_address_and_is_judged_as_one() {
        let lookup = |host, _| -> std::future::Ready<std::io::Result<Vec<SocketAddr>>> { panic!("{host} is resolved") };
        let allow = HttpAllow::default();
        assert_eq!(resolve(&allow, "[fd12::1]", 8080, lookup).await.ok(), "[fd12::1]:8080".parse().ok());
        assert!(resolve(&allow, "[fe80::1]", 80, lookup).await.is_err_and(|why| why.to_string().contains("is not asked")));
        assert!(resolve(&allow, "127.0.0.1", 80, lookup).await.is_err_and(|why| why.to_string().contains("is not asked")));
    }
}
