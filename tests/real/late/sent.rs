//! One request as it was sent: what it tests, and the same without some of that.
//!
//! In: method, address, headers, body. Out: the like with another body. Invariant: whoever sent it stays who sends it. Not here: sending.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use kube::client::Body;
use serde_json::{Value, json};

pub const TOKEN: &str = "/metadata/annotations/notturno.dev~1token";

/// A request.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What the API server says to it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.uri.path(), String::from_utf8_lossy(&self.body))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match body["message"].as_str() {
            Some(message) => write!(f, "{} ({message})", self.code),
            None => write!(f, "{}", self.code),
        }
    }
}

impl Sent {
    /// Whether it changes an object at a path that begins and ends so.
    pub fn patches(&self, begin: &str, end: &str) -> bool {
        self.method == Method::PATCH && self.uri.path().starts_with(begin) && self.uri.path().ends_with(end)
    }

    /// `dryRun=All`.
    pub fn is_tried(&self) -> bool {
        self.uri.query().is_some_and(|query| query.contains("dryRun"))
    }

    /// Whether these words are in its body.
    pub fn says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(words)
    }

    /// Of a JSON Patch.
    pub fn operations(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it writes that value there.
    pub fn writes(&self, path: &str, value: &Value) -> bool {
        self.operations().iter().any(|one| one["op"] != "test" && one["path"] == path && one["value"] == *value)
    }

    /// Where it tests.
    pub fn tests(&self) -> Vec<String> {
        let operations = self.operations();
        let tests = operations.iter().filter(|one| one["op"] == "test");
        tests.map(|one| one["path"].as_str().unwrap().to_owned()).collect()
    }

    /// The same without what it tests there.
    pub fn without(&self, paths: &[&str]) -> Self {
        let kept = |one: &Value| one["op"] != "test" || !paths.contains(&one["path"].as_str().unwrap_or_default());
        self.with(&self.operations().into_iter().filter(kept).collect::<Vec<_>>())
    }

    /// Nothing but what it tests there, and only to be tried.
    pub fn only_the_test_of(&self, path: &str) -> Self {
        let tests = |one: &Value| one["op"] == "test" && one["path"] == path;
        let alone = self.with(&self.operations().into_iter().filter(tests).collect::<Vec<_>>());
        Self { uri: format!("{}&dryRun=All", self.uri).parse().unwrap(), ..alone }
    }

    fn with(&self, operations: &[Value]) -> Self {
        Self { body: json!(operations).to_string().into(), ..self.clone() }
    }

    /// To be sent.
    pub fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

#[test]
fn a_test_that_is_taken_out_takes_nothing_else_with_it() {
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": "u"}, {"op": "test", "path": TOKEN, "value": "n.1.forward"},
        {"op": "test", "path": "/spec/suspend", "value": true}, {"op": "replace", "path": "/spec/suspend", "value": false},
        {"op": "replace", "path": TOKEN, "value": "n.1.reopen"},
    ]);
    let uri = "/apis/batch/v1/namespaces/n/jobs/j?fieldManager=notturno".parse().unwrap();
    let sent = Sent { method: Method::PATCH, uri, headers: HeaderMap::new(), body: operations.to_string().into() };
    assert_eq!(sent.tests(), ["/metadata/uid", TOKEN, "/spec/suspend"]);
    let without = sent.without(&[TOKEN]);
    assert_eq!(without.tests(), ["/metadata/uid", "/spec/suspend"]);
    assert!(without.writes("/spec/suspend", &json!(false)) && without.writes(TOKEN, &json!("n.1.reopen")));
    assert!(!sent.is_tried() && sent.only_the_test_of(TOKEN).is_tried());
    assert_eq!(sent.only_the_test_of("/spec/suspend").operations(), [operations[2].clone()]);
}
