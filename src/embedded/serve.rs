//! The HTTP side: a request comes in, an answer with a `Date` goes out.
//!
//! In: requests of `kube::Client`. Out: JSON answers, `Status` objects, watch streams.
//! Invariants: each request is logged once, numbered if it writes, and exposed to the fault before and after it is done;
//! `Date` is the embedded clock at the moment the request was done, in whole seconds, unless a scene says that it is wrong.
//! Not here: sockets, TLS, content negotiation (metadata-only requests get whole objects).

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::Value;

use super::Embedded;
use super::access;
use super::call::{BODY_BYTES_MAX, Call, Target, Verb};
use super::execute::execute;
use super::failure::Failure;
use super::fault::{Fault, Stage};
use super::kinds::ResourceKind;
use super::log::RequestInfo;
use super::token;
use super::watch::Watching;
use super::world::{World, after};

/// The body of an answer.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// Who a client says it is.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    User(Arc<str>),
    Token(Arc<str>),
}

enum Done {
    Answer(u16, Value),
    Stream(Box<Watching>),
}

impl Done {
    fn code(&self) -> u16 {
        match self {
            Self::Answer(code, _) => *code,
            Self::Stream(_) => 200,
        }
    }
}

impl Embedded {
    /// Answers one request of `caller`.
    pub(super) async fn answer(self, caller: Caller, request: Request<Body>) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX + 1).collect().await else {
            return self.refuse(&Failure::too_large(format!("Request entity too large: limit is {BODY_BYTES_MAX}")));
        };
        let body = body.to_bytes();
        let read = self.enter(|world| {
            let user = who(world, &caller, &parts)?;
            Ok((user, Call::parse(&world.kinds, &parts, &body)?))
        });
        let (user, call) = match read {
            Ok(read) => read,
            Err(failure) => return self.refuse(&failure),
        };
        if let Target::Document(document) = &call.target {
            return self.respond(200, document, self.clock().now());
        }
        let (info, place) = self.note_arrival(&call, &user);
        let mut call = call;
        match self.suffer(&info, Stage::Before).await {
            instead @ (Fault::Status(..) | Fault::RetryAfter(..) | Fault::Page(..) | Fault::Cut) => {
                return self.garbled(place, &instead, None);
            }
            Fault::Late(span) => {
                let embedded = self.clone();
                let late = tokio::spawn(async move {
                    tokio::time::sleep(span).await;
                    embedded.finished(call, user, info, place).await
                });
                return late.await.unwrap_or_else(|error| self.refuse(&Failure::internal(error.to_string())));
            }
            Fault::Older(count) => call.older = count,
            Fault::None | Fault::Hang | Fault::Delay(_) => {}
        }
        self.finished(call, user, info, place).await
    }

    /// Does it and answers.
    async fn finished(self, call: Call, user: String, info: RequestInfo, place: u64) -> Response<AnswerBody> {
        let done = self.allowed(&call, &user, place);
        let done_at = self.clock().now();
        match self.suffer(&info, Stage::After).await {
            instead @ (Fault::Status(..) | Fault::RetryAfter(..) | Fault::Page(..) | Fault::Cut) => {
                return self.garbled(place, &instead, Some(&done));
            }
            Fault::None | Fault::Hang | Fault::Delay(_) | Fault::Late(_) | Fault::Older(_) => {}
        }
        let code = done.as_ref().map_or_else(Failure::code, Done::code);
        self.requests().end(place, code);
        match done {
            Ok(Done::Answer(code, body)) => self.respond(code, &body, done_at),
            Ok(Done::Stream(watching)) => self.head(200, done_at, UnsyncBoxBody::new(StreamBody::new(watching.frames()))),
            Err(failure) => self.respond(failure.code(), &failure.status(), done_at),
        }
    }

    fn note_arrival(&self, call: &Call, user: &str) -> (RequestInfo, u64) {
        let mut log = self.requests();
        let number = call.is_write().then(|| log.next_write());
        let info = RequestInfo::of(call, user, number);
        let place = log.begin(self.clock().now(), info.clone());
        (info, place)
    }

    /// Waits out what the fault says at `stage`; what else it says is returned.
    async fn suffer(&self, info: &RequestInfo, stage: Stage) -> Fault {
        let decide = self.fault();
        let fault = decide.map(|decide| decide(info, stage)).unwrap_or_default();
        match &fault {
            Fault::None
            | Fault::Status(..)
            | Fault::RetryAfter(..)
            | Fault::Page(..)
            | Fault::Cut
            | Fault::Late(_)
            | Fault::Older(_) => {}
            Fault::Hang => pending().await,
            Fault::Delay(span) => tokio::time::sleep(*span).await,
        }
        fault
    }

    /// What is answered instead of what was done, if anything was.
    fn garbled(&self, place: u64, instead: &Fault, done: Option<&Result<Done, Failure>>) -> Response<AnswerBody> {
        let failure = |failure: Failure| failure.status().to_string();
        let (code, body, retry_after) = match instead {
            Fault::Status(code, reason) => (*code, failure(Failure::injected(*code, reason)), None),
            Fault::RetryAfter(code, reason, later) => (*code, failure(Failure::injected_for(*code, reason, later)), Some(later)),
            Fault::Page(code, page) => (*code, page.clone(), None),
            Fault::Cut => {
                let whole = match done {
                    Some(Ok(Done::Answer(_, body))) => body.to_string(),
                    Some(Ok(Done::Stream(_)) | Err(_)) | None => String::new(),
                };
                (200, whole.chars().take(whole.chars().count() / 2).collect(), None)
            }
            Fault::None | Fault::Hang | Fault::Delay(_) | Fault::Late(_) | Fault::Older(_) => (500, String::new(), None),
        };
        self.requests().end(place, code);
        let mut response = self.head(code, self.clock().now(), UnsyncBoxBody::new(Full::new(Bytes::from(body))));
        if let Some(later) = retry_after.and_then(|later| header::HeaderValue::from_str(later).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, later);
        }
        response
    }

    /// Does what is not forbidden, and says of reviews what is.
    fn allowed(&self, call: &Call, user: &str, place: u64) -> Result<Done, Failure> {
        let forbidden = self.forbidden();
        if let Target::Review(plural) = &call.target {
            return access::review(call, plural, user, forbidden.as_ref()).map(|(code, body)| Done::Answer(code, body));
        }
        access::check(call, user, forbidden.as_ref())?;
        self.perform(call, user, place)
    }

    fn perform(&self, call: &Call, user: &str, place: u64) -> Result<Done, Failure> {
        self.enter(|world| {
            let before = world.revision();
            world.audit.asking = Some(user.into());
            let done = match &call.target {
                Target::Objects(kind) if call.verb == Verb::Watch => self.watch(user, world, kind, call),
                Target::Objects(_) | Target::Review(_) | Target::Document(_) => {
                    execute(world, call).map(|(code, body)| Done::Answer(code, body))
                }
            };
            world.audit.asking = None;
            if world.revision() != before {
                self.requests().changed(place);
            }
            done
        })
    }

    fn watch(&self, user: &str, world: &World, kind: &Arc<ResourceKind>, call: &Call) -> Result<Done, Failure> {
        Watching::open(self, user, world, kind, call).map(|watching| Done::Stream(Box::new(watching)))
    }

    fn refuse(&self, failure: &Failure) -> Response<AnswerBody> {
        self.respond(failure.code(), &failure.status(), self.clock().now())
    }

    fn respond(&self, code: u16, body: &Value, at: Timestamp) -> Response<AnswerBody> {
        self.head(code, at, UnsyncBoxBody::new(Full::new(Bytes::from(body.to_string()))))
    }

    fn head(&self, code: u16, at: Timestamp, body: AnswerBody) -> Response<AnswerBody> {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let date = after(at, self.date_is_off_by()).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Ok(date) = header::HeaderValue::from_str(&date) {
            headers.insert(header::DATE, date);
        }
        response
    }
}

fn who(world: &World, caller: &Caller, parts: &Parts) -> Result<String, Failure> {
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
    match (bearer, caller) {
        (Some(token), _) => token::user(world, token),
        (None, Caller::Token(token)) => token::user(world, token),
        (None, Caller::User(user)) => Ok(user.to_string()),
    }
}
