//! One call to the API server: its own deadline, and what its failure means.
//!
//! In: a future and a limit. Out: its value, or a [`CallError`] that says what to do next. Invariants: no call outlives its limit here;
//! nothing is retried here; whoever listens ([`heard_by`]) hears each answer, be it good or not, and no silence. Not here: what is asked
//! ([`super::tenant`]), who listens.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kube::core::Status;

/// The limit of every call of the night; the server is told the same limit.
pub const LIMIT: Duration = Duration::from_secs(10);

/// What is kept of the words of an API server, or of whoever speaks through it.
const WORDS_CHARS_MAX: usize = 1000;

/// Hears that something long goes on.
pub type Listener = Arc<dyn Fn() + Send + Sync>;

tokio::task_local! {
    static LISTENER: Listener;
}

/// Does this work, and lets `listener` hear each answer to its calls.
pub async fn heard_by<T>(listener: Listener, work: impl Future<Output = T>) -> T {
    LISTENER.scope(listener, work).await
}

/// The same work for another task, with the listener of this one, if there is one.
pub fn heard_alike<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let listener = LISTENER.try_with(Arc::clone).ok();
    async move {
        match listener {
            Some(listener) => heard_by(listener, work).await,
            None => work.await,
        }
    }
}

/// One of many things that are done one after another, each within its own limit, was done: whoever listens hears it.
pub fn goes_on() {
    // Nobody has to listen.
    let _ = LISTENER.try_with(|listener| listener());
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Look again and try again at once.
    RetryNow,
    /// Try again later: nothing is wrong with the request.
    RetryLater,
    /// It fails until something changes.
    OnChange,
    /// It fails until a person does something.
    TellAPerson,
}

/// How the API server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 404.
    NotFound,
    /// 409, on creation.
    AlreadyExists,
    /// 409, on change.
    Conflict,
    /// 422: a test failed, or the object would not be valid; or a 500 that says so ([`UNTYPED`]).
    Invalid,
    /// 403.
    Forbidden,
    /// 401.
    Unauthorized,
    /// 410.
    Gone,
    /// 413.
    TooLarge,
    /// 429 or 5xx.
    Busy,
    /// Anything else.
    Other,
}

/// How an API server refuses an applied object with fields that its kind does not have, or not of this type: with a bare 500, and no
/// attempt will ever go better.
const UNTYPED: [&str; 2] = ["failed to create typed patch object", "failed to convert new object"];

impl Answer {
    fn of(status: &Status) -> Self {
        match status.code {
            404 => Self::NotFound,
            409 if status.reason == "AlreadyExists" => Self::AlreadyExists,
            409 => Self::Conflict,
            422 => Self::Invalid,
            500 if UNTYPED.iter().any(|beginning| status.message.starts_with(beginning)) => Self::Invalid,
            403 => Self::Forbidden,
            401 => Self::Unauthorized,
            410 => Self::Gone,
            413 => Self::TooLarge,
            429 | 500.. => Self::Busy,
            _ => Self::Other,
        }
    }
}

/// A call that gave no value.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server refused it; [`Answer`] says how.
    #[error("{what}: the API server refuses")]
    Refused {
        /// What was asked.
        what: String,
        /// How.
        answer: Answer,
        /// In its words.
        #[source]
        status: Box<Status>,
    },
    /// No answer in time: it may have happened, or may still. Retry later.
    #[error("{what}: no answer within {} s", .limit.as_secs())]
    Timeout {
        /// What was asked.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The API server was not reached, or not understood: it may have happened. Retry later.
    #[error("{what}: no usable answer")]
    Unreachable {
        /// What was asked.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<kube::Error>,
    },
}

impl CallError {
    fn of(what: &str, error: kube::Error) -> Self {
        let what = what.to_owned();
        match error {
            kube::Error::Api(mut status) => {
                status.message = cut(status.message);
                Self::Refused { what, answer: Answer::of(&status), status }
            }
            other => Self::Unreachable { what, source: Box::new(other) },
        }
    }

    /// An answer that is not what was asked for.
    pub(super) fn not_understood(what: &str, why: &str) -> Self {
        let source = <serde_json::Error as serde::de::Error>::custom(why);
        Self::Unreachable { what: what.to_owned(), source: Box::new(kube::Error::SerdeError(source)) }
    }

    /// How the server refused; none when there was no answer.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        match self {
            Self::Refused { answer, .. } => Some(*answer),
            Self::Timeout { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// It may have happened all the same.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.answer(), None | Some(Answer::Busy))
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self.answer() {
            Some(Answer::Conflict | Answer::Unauthorized) => Advice::RetryNow,
            None | Some(Answer::Busy) => Advice::RetryLater,
            Some(Answer::NotFound | Answer::AlreadyExists | Answer::Gone) => Advice::OnChange,
            Some(Answer::Invalid | Answer::Forbidden | Answer::TooLarge | Answer::Other) => Advice::TellAPerson,
        }
    }

    /// The whole story in one line, for people.
    #[must_use]
    pub fn story(&self) -> String {
        let server = match self {
            Self::Refused { status, .. } => Some(status.message.clone()),
            Self::Timeout { .. } => None,
            Self::Unreachable { source, .. } => Some(chain(source.as_ref())),
        };
        server.map_or_else(|| self.to_string(), |server| format!("{self}: {}", cut(server)))
    }
}

/// What is kept of a text that others wrote, so that a record that tells it always has room in the ledger.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(WORDS_CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source.filter(|_| texts.len() < 8) {
        texts.push(inner.to_string());
        source = inner.source();
    }
    texts.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    texts.join(": ")
}

/// Waits for `call`, at most for `limit`.
///
/// # Errors
/// Those of the call, and [`CallError::Timeout`].
pub async fn within<T>(limit: Duration, what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => {
            let answer = answer.map_err(|error| CallError::of(what, error));
            if answer.as_ref().map_or_else(|error| error.answer().is_some(), |_| true) {
                goes_on();
            }
            answer
        }
        Err(_) => Err(CallError::Timeout { what: what.to_owned(), limit }),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use super::*;

    fn refused(code: u16) -> CallError {
        let status = Status { code, message: "because".into(), ..Status::default() };
        CallError::of("asking", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn every_answer_says_what_to_do() {
        let advice = |code| refused(code).advice();
        assert_eq!([429, 500, 503, 504].map(advice), [Advice::RetryLater; 4]);
        assert_eq!([409, 401].map(advice), [Advice::RetryNow; 2]);
        assert_eq!([404, 410].map(advice), [Advice::OnChange; 2]);
        assert_eq!([403, 422, 400, 413].map(advice), [Advice::TellAPerson; 4]);
        assert_eq!(refused(403).story(), "asking: the API server refuses: because");
        let message = "failed to create typed patch object (a/b; v1, Kind=ConfigMap): .data: expected map".to_owned();
        let untyped = CallError::of("asking", kube::Error::Api(Box::new(Status { code: 500, message, ..Status::default() })));
        assert_eq!(untyped.advice(), Advice::TellAPerson, "no attempt would go better");
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_outlives_its_limit() {
        let error = within(LIMIT, "waiting", std::future::pending::<kube::Result<()>>()).await.expect_err("it never ends");
        assert!(error.is_unknown(), "it may have happened");
        assert_eq!(error.to_string(), "waiting: no answer within 10 s");
    }
}
