//! An API server that answers what it is told to, whatever was asked.
//!
//! An answer is a line: `[/end-of-path] STATUS BODY`. The first line whose end fits is taken; lines without one are taken in turn. Status 0
//! is a connection that breaks, 1 is silence. In a body `$NAME` stands for the name in the path, `$UID` for the sample night's UID, `$PLAN`
//! for its plan as a JSON string, `$HASH` for the hash of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::Client;
use kube::client::Body;
use notturno::operator::effects::Tenant;
use notturno::operator::effects::names::sha256;
use serde_json::json;

use super::sample;

/// An answer.
#[derive(Clone, Debug, Default)]
struct Line {
    path_end: Option<String>,
    status: u16,
    body: String,
}

/// The answers, and how often one was asked for.
#[derive(Clone, Debug)]
pub struct Server {
    lines: Arc<[Line]>,
    asked_count: Arc<AtomicUsize>,
    plan: Arc<str>,
}

impl Server {
    /// One that answers with these lines.
    pub fn new<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let plan = serde_json::to_string(&sample::plan()).unwrap();
        Self { lines: lines.map(line).collect(), asked_count: Arc::default(), plan: plan.into() }
    }

    /// How often it was asked.
    pub fn asked_count(&self) -> usize {
        self.asked_count.load(Ordering::Relaxed)
    }

    /// The hands of the sample night's tenant.
    pub fn tenant(&self) -> Tenant {
        Tenant::new(self.client(), "centro-dati", "lavori-notturni")
    }

    /// A client that reaches it.
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move { server.answer(request.uri().path()).await }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, path: &str) -> Result<http::Response<Body>, std::io::Error> {
        let turn = self.asked_count.fetch_add(1, Ordering::Relaxed);
        let fitting = self.lines.iter().find(|line| line.path_end.as_ref().is_some_and(|end| path.ends_with(end)));
        let in_turn = || {
            let free: Vec<&Line> = self.lines.iter().filter(|line| line.path_end.is_none()).collect();
            free.get(turn % free.len().max(1)).copied()
        };
        let Line { path_end: _, status, body } = fitting.or_else(in_turn).cloned().unwrap_or_default();
        match status {
            0 => return Err(std::io::Error::other("the connection broke")),
            1 => std::future::pending().await,
            _ => {}
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let body = body.replace("$NAME", name).replace("$UID", sample::UID).replace("$HASH", &sha256(&*self.plan));
        let body = body.replace("$PLAN", &json!(&*self.plan).to_string());
        let answer = http::Response::builder().status(status).header("date", body.lines().next().unwrap_or_default());
        let answer = answer.body(Body::from(body.clone().into_bytes()));
        // What is no header, or no status, is left away.
        Ok(answer.unwrap_or_else(|_| http::Response::new(Body::from(body.into_bytes()))))
    }
}

fn line(text: &str) -> Line {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    if first.starts_with('/') {
        return Line { path_end: Some(first.to_owned()), ..line(rest) };
    }
    Line { path_end: None, status: first.parse().unwrap_or(200), body: rest.to_owned() }
}
