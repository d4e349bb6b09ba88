//! One of two API servers that are asked the same.
//!
//! In: a call. Out: what was answered, as it is and as it can be held against another server's. Invariants: both are asked through
//! `kube::Client`; a stream is read until an object that was made for this has come through it. Not here: what may differ.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body as Bytes;
use serde_json::{Value, json};

use super::calls::{Body, Call};
use super::kinds::Kind;
use super::memory::Memory;

/// How the names of last objects begin, of which no stream is held against another's.
const LAST: &str = "last-";
const ANSWERED_FOR_MAX: Duration = Duration::from_secs(15);

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub code: u16,
    /// An object, a list or a refusal; of a watch the events.
    pub shown: Value,
    /// The words of a refusal, which may differ.
    pub message: String,
    /// The fields that a refusal names.
    pub causes: Vec<String>,
}

pub struct Side {
    client: Client,
    namespace: &'static str,
    memory: Memory,
    lasts: usize,
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

impl Side {
    /// A server, and the kinds that a sequence will be about.
    pub async fn begin(client: Client, namespace: &'static str, kinds: &[&'static Kind]) -> Self {
        let mut side = Self { client, namespace, memory: Memory::default(), lasts: 0 };
        for kind in kinds {
            let (_, list) = side.plain("GET", &kind.path(namespace), "", None).await;
            side.memory.begin(kind, &list);
        }
        side
    }

    async fn send(&self, method: &str, uri: &str, media: &str, body: Option<&Value>) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(uri).header("content-type", media);
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.client.send(request.body(Bytes::from(body)).unwrap());
        let answer = tokio::time::timeout(ANSWERED_FOR_MAX, answer).await;
        answer.unwrap_or_else(|_| panic!("{method} {uri}: no answer within {ANSWERED_FOR_MAX:?}")).unwrap()
    }

    /// A call that is not under test.
    pub async fn plain(&self, method: &str, uri: &str, media: &str, body: Option<&Value>) -> (u16, Value) {
        let media = if media.is_empty() { "application/json" } else { media };
        let answer = self.send(method, uri, media, body).await;
        (answer.status().as_u16(), whole(answer).await)
    }

    /// Asks.
    pub async fn ask(&mut self, call: &Call) -> Answer {
        let place = self.memory.fill(&call.place);
        let query = call.query.iter().map(|(key, value)| format!("{key}={}", encoded(&self.memory.fill(value))));
        let query = query.collect::<Vec<_>>().join("&");
        let uri = format!("{}{place}?{query}", call.kind.path(self.namespace));
        let body = match &call.body {
            Body::Nothing => None,
            Body::Sent(body) => Some(self.memory.filled(body)),
            Body::Seen { name, change } => {
                let name = self.memory.fill(name);
                let seen = self.memory.seen(call.kind, &name).cloned();
                let mut body = seen.unwrap_or_else(|| call.kind.object(&name, self.namespace));
                json_patch::merge(&mut body, &self.memory.filled(change));
                Some(body)
            }
        };
        let answer = self.send(call.method, &uri, call.media, body.as_ref()).await;
        let code = answer.status().as_u16();
        if call.watches && code == 200 {
            let events = self.events(call.kind, answer).await;
            return Answer { code, shown: self.memory.shown(&events), ..Answer::default() };
        }
        let body = whole(answer).await;
        if body["status"] == "Failure" {
            let message = body["message"].as_str().unwrap_or_default().to_owned();
            let causes = body["details"]["causes"].as_array().cloned().unwrap_or_default();
            let causes = causes.iter().map(|cause| cause["field"].as_str().unwrap_or_default().to_owned()).collect();
            return Answer { code, shown: json!({"code": body["code"], "reason": body["reason"]}), message, causes };
        }
        self.memory.learn(call.kind, &body, call.is_dry_run());
        Answer { code, shown: self.memory.shown(&body), ..Answer::default() }
    }

    /// Everything that a stream tells until a last object comes, which is made now and taken away at the end.
    async fn events(&mut self, kind: &'static Kind, answer: Response<Bytes>) -> Value {
        self.lasts += 1;
        let name = format!("{LAST}{}", self.lasts);
        let mut last = kind.object(&name, self.namespace);
        last["metadata"]["labels"] = json!({"tier": "x"});
        let all = kind.path(self.namespace);
        let (code, made) = self.plain("POST", &all, "", Some(&last)).await;
        assert_eq!(code, 201, "{made}");
        let reading = tokio::time::timeout(ANSWERED_FOR_MAX, read_until(answer, &name)).await;
        let events = reading.unwrap_or_else(|_| vec![json!({"type": "SILENCE"})]);
        let (code, gone) = self.plain("DELETE", &format!("{all}/{name}?propagationPolicy=Background"), "", None).await;
        assert_eq!(code, 200, "{gone}");
        events.into()
    }
}

async fn whole(answer: Response<Bytes>) -> Value {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({"text": String::from_utf8_lossy(&bytes)}))
}

async fn read_until(answer: Response<Bytes>, last: &str) -> Vec<Value> {
    let mut body = answer.into_body();
    let (mut events, mut text) = (vec![], vec![]);
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(frame.unwrap().data_ref().map_or(&[][..], |data| &data[..]));
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let mut event: Value = serde_json::from_slice(&line).unwrap();
            if event["object"]["metadata"]["name"] == last {
                return events;
            }
            if event["object"]["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(LAST)) {
                continue;
            }
            if event["type"] == "ERROR" {
                event["object"] = json!({"code": event["object"]["code"], "reason": event["object"]["reason"]});
            }
            if event["type"] == "BOOKMARK" {
                // Its other fields are those of an object that says nothing.
                event["object"] =
                    json!({"kind": event["object"]["kind"], "annotations": event["object"]["metadata"]["annotations"]});
            }
            events.push(event);
        }
    }
    events.push(json!({"type": "END"}));
    events
}
