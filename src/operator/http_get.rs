//! How probes ask over real sockets: one plain GET.
//!
//! In: an `http://` address. Out: the status, or the words of a client that got none. Invariants: no redirect is followed, no
//! more than 64 KiB of a body is read, nothing takes longer than five seconds. Not here: what an answer means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::context::Getter;
use super::story::story;

const ANSWER_FOR_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A getter that opens real connections.
#[must_use]
pub fn getter() -> Getter {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(ANSWER_FOR_MAX));
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Arc::new(move |url| get(client.clone(), url).boxed())
}

async fn get(client: Client<HttpConnector, Empty<Bytes>>, url: String) -> Result<u16, String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("{url:?} is not an address"))?;
    let ask = async {
        let answer = client.get(uri).await.map_err(|error| story(&error))?;
        let status = answer.status().as_u16();
        // The connection is only free for the next question once the body was read.
        let _ = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
        Ok(status)
    };
    tokio::time::timeout(ANSWER_FOR_MAX, ask).await.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_FOR_MAX:?}")))
}
