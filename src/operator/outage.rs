//! How long the ledger has been out of reach, and when rights are taken back without it (PROTOCOL rule 22).
//!
//! In: when an append began that failed, when the ledger was read or written again. Out: the moment of the burns. Invariants: a ledger
//! that can be read and not be written is out of reach too; the time that calls take to fail counts; looks and reads are cut short for the
//! first burns only, later ones follow from tries; once that moment is past the ledger is read as long as it takes. Not here: what is
//! burned ([`super::reconcile`]).

use jiff::{SignedDuration, Timestamp};

use super::book::{Book, BookError};
use super::context::Context;
use super::effects::ledger::LedgerError;
use super::night::Night;
use super::story::story;
use crate::engine::State;

/// How long the ledger may be out of reach before rights are taken back without it.
const OUT_FOR_MAX: SignedDuration = SignedDuration::from_secs(60);

/// An outage of the ledger, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outage {
    since: Option<Timestamp>,
    /// What is in the ledger is not known.
    is_unsure: bool,
    /// The moment of the first burns has come.
    is_heeded: bool,
}

impl Outage {
    /// An append that began at `at` is not known to have landed.
    pub(super) fn begins(&mut self, at: Timestamp) {
        self.since.get_or_insert(at);
        self.is_unsure = true;
    }

    /// Somebody else writes in it.
    pub(super) fn has_moved_on(&mut self) {
        self.is_unsure = true;
    }

    /// All that is to be recorded is in the ledger.
    pub(super) fn ends(&mut self) {
        *self = Self::default();
    }

    /// There is nothing to record: it is over as far as one knows.
    pub(super) fn ends_if_sure(&mut self) {
        if !self.is_unsure {
            self.ends();
        }
    }

    /// From when on rights are taken back without a record.
    pub(super) fn burns_from(&self) -> Option<Timestamp> {
        self.since.and_then(|since| since.checked_add(OUT_FOR_MAX).ok())
    }

    /// The same while it has not been heeded: until then nothing may outlast it.
    pub(super) fn first_burns_at(&self) -> Option<Timestamp> {
        self.burns_from().filter(|_| !self.is_heeded)
    }

    /// When that moment has come, this round is the one that heeds it.
    pub(super) fn heed(&mut self, now: Timestamp) {
        self.is_heeded |= self.burns_from().is_some_and(|at| at <= now);
    }
}

/// After an append that may not have landed, or news of another hand's, the ledger is read again. Out of reach, what is known has to do:
/// an append is by compare-and-set, and nothing else is sent without one but burns.
pub(super) async fn read_again(night: &mut Night, book: &mut Book, context: &Context) {
    let doubted = night.ledger_eye.take_doubt();
    if !night.outage.is_unsure && !doubted {
        return;
    }
    let whose = night.whose.clone();
    let reading = Book::open(context, &whose);
    let read = match night.outage.first_burns_at() {
        // Nothing is known anew, and burns need no more than is known.
        Some(at) => tokio::select! {
            biased;
            () = context.time.sleep_until(at) => {
                if doubted {
                    night.ledger_eye.doubt();
                }
                return;
            }
            read = reading => read,
        },
        None => reading.await,
    };
    match read {
        Ok(Some(read)) if read.goes_on_from(book) => {
            *book = read;
            night.ledger_eye.knows(book.seq());
            night.outage.is_unsure = false;
        }
        // What was seen in it is the truth, whatever became of it.
        Ok(_) | Err(BookError::Ledger(LedgerError::PlanGone { .. })) => {
            tracing::error!("plan or ledger are not what they were: going back");
            book.is_changed = true;
        }
        Err(error) => {
            tracing::warn!(error = story(&error), "the ledger is out of reach");
            if doubted {
                night.ledger_eye.doubt();
            }
        }
    }
}

/// Where the night stands; with a ledger that is torn, or out of reach for so long that it is gone on without, as if what was decided had
/// been recorded.
pub(super) fn expected(night: &Night, book: &Book) -> State {
    let mut state = State::fold(&book.plan, &book.entries);
    if night.outage.is_heeded || book.is_torn {
        night.unrecorded.iter().for_each(|entry| state.apply(&book.plan, entry));
    }
    state
}
