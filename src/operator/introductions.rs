//! Whose turn it is to be introduced: an operator that starts must not hold all its nights in memory at once, nor ask for all ledgers
//! at once.
//!
//! In: a night's namespace, and whether it waits long. Out: a turn, and how long it is held at most. Invariants: whoever is slow holds
//! others of its namespace for a moment only, and nobody elsewhere longer than a turn, which ends though the night goes on; a night that
//! starts soon, or is under way, never waits for one that starts much later. Not here: what an introduction does ([`super::introduce`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Nights of one namespace that start soon, at a time.
const SOON_MAX: usize = 16;
/// How long one of them may hold its neighbours.
const SOON_TURN: Duration = Duration::from_millis(100);
/// Nights of one namespace that wait long, at a time.
const WAITING_MAX: usize = 2;
/// Such nights of all namespaces, at a time: they are what memory is bounded by.
const WAITING_IN_ALL_MAX: usize = 32;
/// How long one of them may hold the others.
const WAITING_TURN: Duration = Duration::from_secs(1);

/// All turns.
#[derive(Clone)]
pub(super) struct Introductions {
    soon: Turns,
    waiting: Turns,
    waiting_in_all: Arc<Semaphore>,
}

/// A turn; it is over when this is dropped.
pub(super) struct Turn {
    /// How long it is held at most.
    pub(super) lasts: Duration,
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Default for Introductions {
    fn default() -> Self {
        let waiting_in_all = Arc::new(Semaphore::new(WAITING_IN_ALL_MAX));
        Self { soon: Turns::of(SOON_MAX), waiting: Turns::of(WAITING_MAX), waiting_in_all }
    }
}

impl Introductions {
    /// Waits for a turn.
    pub(super) async fn turn(&self, namespace: &str, waits_long: bool) -> Turn {
        let turns = if waits_long { &self.waiting } else { &self.soon };
        let own = turns.of_namespace(namespace).acquire_owned().await;
        let of_all = if waits_long { Some(Arc::clone(&self.waiting_in_all).acquire_owned().await) } else { None };
        // None is ever closed.
        let permits = own.into_iter().chain(of_all.and_then(Result::ok)).collect();
        Turn { lasts: if waits_long { WAITING_TURN } else { SOON_TURN }, _permits: permits }
    }
}

/// So many turns for each namespace.
#[derive(Clone)]
struct Turns {
    max: usize,
    known: Arc<Mutex<BTreeMap<String, Arc<Semaphore>>>>,
}

impl Turns {
    fn of(max: usize) -> Self {
        Self { max, known: Arc::default() }
    }

    fn of_namespace(&self, namespace: &str) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A turn, and whoever waits for one, holds it too.
        known.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(known.entry(namespace.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.max))))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn nights_that_wait_long_hold_neither_those_that_start_soon_nor_more_than_their_share_of_memory() {
        let turns = Introductions::default();
        let mut held = Vec::new();
        for namespace in 0..WAITING_IN_ALL_MAX {
            for _ in 0..=WAITING_MAX {
                held.extend(turns.turn(&format!("n-{namespace}"), true).now_or_never());
            }
        }
        assert_eq!(held.len(), WAITING_IN_ALL_MAX);
        let soon = turns.turn("n-0", false).now_or_never();
        assert_eq!(soon.map(|turn| turn.lasts), Some(SOON_TURN));
        assert!(turns.turn("another", true).now_or_never().is_none(), "one more that waits long");
        drop(held.pop());
        assert!(turns.turn("another", true).now_or_never().is_some(), "once a turn is over");
    }

    #[tokio::test]
    async fn one_namespace_has_a_share_of_the_turns() {
        let turns = Introductions::default();
        let mut held = Vec::new();
        for _ in 0..100 {
            held.extend(turns.turn("n", false).now_or_never());
        }
        assert_eq!(held.len(), SOON_MAX);
        assert!(turns.turn("another", false).now_or_never().is_some());
    }
}
