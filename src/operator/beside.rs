//! Work that may outlive the round that began it: what hangs delays itself and nothing else.
//!
//! In: futures by key. Out: what ended, at the end of a round or later. Invariants: of each key at most one is under way; dropping this
//! ends all; a panic in one is a panic of the night. Not here: what is done ([`super::wave`]), what is looked at ([`super::looks`]).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

/// How long a round waits for what it began on the way back.
pub(super) const LEFT_AFTER: Duration = Duration::from_secs(1);

/// Futures under way, and outcomes that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Beside<K, T> {
    tasks: JoinSet<(K, T)>,
    under_way: BTreeSet<K>,
    /// Those that nobody has waited for yet.
    fresh: BTreeSet<K>,
    ended: Vec<(K, T)>,
}

impl<K, T: 'static> Default for Beside<K, T>
where
    K: 'static,
{
    fn default() -> Self {
        Self { tasks: JoinSet::new(), under_way: BTreeSet::new(), fresh: BTreeSet::new(), ended: Vec::new() }
    }
}

impl<K: Ord + Clone + Send + 'static, T: Send + 'static> Beside<K, T> {
    /// Begins it, unless one of that key is under way or has an outcome that nobody has taken.
    pub(super) fn begin(&mut self, key: K, work: impl Future<Output = T> + Send + 'static) {
        if self.under_way.insert(key.clone()) {
            self.fresh.insert(key.clone());
            self.tasks.spawn(async move { (key, work.await) }.in_current_span());
        }
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.under_way.contains(key)
    }

    /// None is under way, and all that ended was taken.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Waits for those begun since it was last waited, until `until` at the longest; takes all that has ended.
    pub(super) async fn ended_by(&mut self, until: Instant) -> Vec<(K, T)> {
        while !self.fresh.is_empty() && timeout_at(until, self.one_ends()).await.is_ok() {}
        self.fresh.clear();
        while let Some(ended) = self.tasks.try_join_next() {
            self.keep(ended);
        }
        self.taken()
    }

    /// Waits for all.
    pub(super) async fn all_ended(&mut self) -> Vec<(K, T)> {
        while !self.tasks.is_empty() {
            self.one_ends().await;
        }
        self.taken()
    }

    fn taken(&mut self) -> Vec<(K, T)> {
        let ended = std::mem::take(&mut self.ended);
        for (key, _) in &ended {
            self.under_way.remove(key);
        }
        ended
    }

    fn keep(&mut self, ended: Result<(K, T), JoinError>) {
        match ended {
            Ok((key, outcome)) => {
                self.fresh.remove(&key);
                self.ended.push((key, outcome));
            }
            Err(error) => fail(error),
        }
    }

    /// Waits until one ends, for ever if there is none; its outcome is kept. Safe to be dropped while it waits.
    pub(super) async fn one_ends(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.keep(ended),
            None => std::future::pending().await,
        }
    }
}

/// Only a panic ends a task so: none is aborted while this is there.
fn fail(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}
