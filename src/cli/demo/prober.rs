//! Somebody outside who asks every service once a minute whether it works.
//!
//! In: a way to ask, a clock. Out: [`Seen`], when each was first found closed and since when it has been open again.
//! Invariant: knows nothing of nights, plans or the operator. Not here: the operator's own probes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::embedded::Embedded;
use crate::model::span::{Span, after};

/// Between two questions.
const EVERY: Span = Span::minutes(1);

/// What was seen of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The first question without a good answer.
    pub closed_at: Option<Timestamp>,
    /// The first good answer since the last bad one; none while closed.
    pub open_at: Option<Timestamp>,
    open: bool,
}

/// The book of an outside prober. Clones are the same book.
#[derive(Clone, Debug, Default)]
pub(super) struct Prober {
    book: Arc<Mutex<BTreeMap<String, Seen>>>,
}

impl Prober {
    /// Asks `services` in `namespace` each full minute, for ever.
    pub(super) async fn watch(self, embedded: Embedded, clock: Clock, namespace: &str, services: Vec<String>, from: Timestamp) {
        let mut at = from;
        loop {
            clock.sleep_until(at).await;
            for service in &services {
                let answer = embedded.http_get(&format!("http://{service}.{namespace}:8080/health"));
                self.note(service, answer == Ok(200), at);
            }
            at = after(at, EVERY);
        }
    }

    fn note(&self, service: &str, open: bool, at: Timestamp) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = book.entry(service.to_owned()).or_insert(Seen { closed_at: None, open_at: None, open: true });
        match (seen.open, open) {
            (true, false) => *seen = Seen { closed_at: seen.closed_at.or(Some(at)), open_at: None, open },
            (false, true) => *seen = Seen { open_at: Some(at), open, ..*seen },
            (true, true) | (false, false) => {}
        }
    }

    /// Everything seen so far.
    pub(super) fn seen(&self) -> BTreeMap<String, Seen> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Seen {
    /// Whether it worked at `moment`, as far as a question a minute shows.
    pub(super) fn was_open_at(&self, moment: Timestamp) -> bool {
        match (self.closed_at, self.open_at) {
            (None, _) => true,
            (Some(_), Some(open_at)) => open_at <= moment,
            (Some(closed_at), None) => closed_at > moment,
        }
    }

    /// Whether the last question was answered well.
    pub(super) fn is_open(&self) -> bool {
        self.closed_at.is_none() || self.open
    }
}
