//! Whose turn it is to be introduced: an operator that starts must not hold all its nights in memory at once, nor ask for all ledgers
//! at once.
//!
//! In: a night's namespace and runbook, and whether it waits long. Out: a turn, and how long it is held at most. Invariants: whoever is
//! slow holds those that share its turns for a moment each, and others no longer than one turn; a night that starts soon, or is under
//! way, never waits for one that starts much later. Not here: what an introduction does ([`super::introduce`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Nights of one namespace that start soon, at a time.
const SOON_MAX: usize = 16;
/// How long one of them may hold its neighbours.
const SOON_TURN: Duration = Duration::from_millis(100);
/// Nights of one runbook that wait long, at a time: they act with the same rights, and hang together.
const WAITING_MAX: usize = 8;
/// Such nights of all runbooks, at a time: memory is bounded by them.
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
        Self { soon: Turns::new(SOON_MAX), waiting: Turns::new(WAITING_MAX), waiting_in_all }
    }
}

impl Introductions {
    /// Waits for a turn.
    pub(super) async fn turn(&self, namespace: &str, runbook: &str, waits_long: bool) -> Turn {
        let own = if waits_long { self.waiting.of(&format!("{namespace}/{runbook}")) } else { self.soon.of(namespace) };
        let own = own.acquire_owned().await;
        let of_all = if waits_long { Some(Arc::clone(&self.waiting_in_all).acquire_owned().await) } else { None };
        // None is ever closed.
        let permits = own.into_iter().chain(of_all.and_then(Result::ok)).collect();
        Turn { lasts: if waits_long { WAITING_TURN } else { SOON_TURN }, _permits: permits }
    }
}

/// So many turns for each name.
#[derive(Clone)]
struct Turns {
    max: usize,
    known: Arc<Mutex<BTreeMap<String, Arc<Semaphore>>>>,
}

impl Turns {
    fn new(max: usize) -> Self {
        Self { max, known: Arc::default() }
    }

    fn of(&self, name: &str) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A turn, and whoever waits for one, holds it too.
        known.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(known.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.max))))
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
        for runbook in 0..WAITING_IN_ALL_MAX {
            held.extend(turns.turn("n", &format!("r-{runbook}"), true).now_or_never());
        }
        assert_eq!(held.len(), WAITING_IN_ALL_MAX);
        assert!(turns.turn("m", "r", true).now_or_never().is_none(), "one more that waits long");
        let soon = turns.turn("n", "r-0", false).now_or_never();
        assert_eq!(soon.map(|turn| turn.lasts), Some(SOON_TURN));
        drop(held.pop());
        assert!(turns.turn("m", "r", true).now_or_never().is_some(), "once a turn is over");
    }

    #[tokio::test]
    async fn nights_that_hang_together_take_no_more_than_their_share_of_the_turns() {
        let turns = Introductions::default();
        for (waits_long, max) in [(false, SOON_MAX), (true, WAITING_MAX)] {
            let mut held = Vec::new();
            for _ in 0..100 {
                held.extend(turns.turn("n", "r", waits_long).now_or_never());
            }
            assert_eq!(held.len(), max);
            assert!(turns.turn("m", "s", waits_long).now_or_never().is_some());
        }
    }
}
