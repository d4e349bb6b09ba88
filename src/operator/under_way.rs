//! Work that may outlive the round that began it: what hangs delays itself and nothing else.
//!
//! In: futures by key. Out: what ended, at the end of a round or later. Invariants: of each key at most one is under way; dropping this
//! ends all; a panic in one is a panic of the pass that takes what ended, and never of a night that rests, where nobody would catch it.
//! Not here: what is done ([`super::wave`]), what is looked at ([`super::looks`]).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::effects::call::heard_alike;

/// How long a round waits for what it began on the way back.
pub(crate) const LEFT_AFTER: Duration = Duration::from_secs(1);

/// Futures under way, and outcomes that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct UnderWay<K, T> {
    tasks: JoinSet<(K, T)>,
    keys: BTreeSet<K>,
    /// Those that nobody has waited for yet.
    fresh: BTreeSet<K>,
    ended: Vec<(K, T)>,
    panicked: Option<JoinError>,
}

impl<K: 'static, T: 'static> Default for UnderWay<K, T> {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), keys: BTreeSet::new(), fresh: BTreeSet::new(), ended: Vec::new(), panicked: None }
    }
}

impl<K: Ord + Clone + Send + 'static, T: Send + 'static> UnderWay<K, T> {
    /// Begins it, unless one of that key is under way or has an outcome that nobody has taken.
    pub(crate) fn begin(&mut self, key: K, work: impl Future<Output = T> + Send + 'static) {
        if self.keys.insert(key.clone()) {
            self.fresh.insert(key.clone());
            let work = heard_alike(work);
            self.tasks.spawn(async move { (key, work.await) }.in_current_span());
        }
    }

    pub(crate) fn has(&self, key: &K) -> bool {
        self.keys.contains(key)
    }

    /// None is under way, and all that ended was taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.keys.is_empty()
    }

    /// Waits for those begun since it was last waited, until `until` at the longest; takes all that has ended.
    pub(crate) async fn ended_by(&mut self, until: Instant) -> Vec<(K, T)> {
        while self.panicked.is_none() && !self.fresh.is_empty() && timeout_at(until, self.one_ends()).await.is_ok() {}
        self.fresh.clear();
        while let Some(ended) = self.tasks.try_join_next() {
            self.keep(ended);
        }
        self.taken()
    }

    /// Waits for all.
    pub(crate) async fn all_ended(&mut self) -> Vec<(K, T)> {
        while !self.tasks.is_empty() {
            self.one_ends().await;
        }
        self.taken()
    }

    fn taken(&mut self) -> Vec<(K, T)> {
        // Only a panic ends a task so: none is aborted while this is there.
        if let Some(Ok(panic)) = self.panicked.take().map(JoinError::try_into_panic) {
            std::panic::resume_unwind(panic);
        }
        let ended = std::mem::take(&mut self.ended);
        for (key, _) in &ended {
            self.keys.remove(key);
        }
        ended
    }

    fn keep(&mut self, ended: Result<(K, T), JoinError>) {
        match ended {
            Ok((key, outcome)) => {
                self.fresh.remove(&key);
                self.ended.push((key, outcome));
            }
            Err(error) => self.panicked = Some(error),
        }
    }

    /// Waits until one ends, for ever if there is none; its outcome, or its panic, is kept. Safe to be dropped while it waits.
    pub(crate) async fn one_ends(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.keep(ended),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may")]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt;

    use super::super::effects::call::{goes_on, heard_by};
    use super::*;

    #[tokio::test]
    async fn whoever_listens_to_a_round_hears_what_goes_on_in_the_work_that_it_began() {
        let heard = Arc::new(AtomicU32::new(0));
        let own = Arc::clone(&heard);
        let mut work: UnderWay<&str, ()> = UnderWay::default();
        let begun = async { work.begin("look", async { goes_on() }) };
        let listener = move || {
            own.fetch_add(1, Ordering::SeqCst);
        };
        heard_by(Arc::new(listener), begun).await;
        assert_eq!((work.all_ended().await.len(), heard.load(Ordering::SeqCst)), (1, 1));
    }

    fn poisoned() -> u32 {
        panic!("poison")
    }

    #[tokio::test]
    async fn a_panic_spares_whoever_waits_and_meets_whoever_takes() {
        let mut work: UnderWay<&str, u32> = UnderWay::default();
        work.begin("poison", async { poisoned() });
        let waited = AssertUnwindSafe(work.one_ends()).catch_unwind().await;
        assert!(waited.is_ok(), "a night that rests is outside of every net");
        assert!(AssertUnwindSafe(work.ended_by(Instant::now())).catch_unwind().await.is_err(), "the pass that follows is told");
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_waited_for_once_is_not_begun_again_and_is_taken_when_it_has_ended() {
        let mut work: UnderWay<&str, u32> = UnderWay::default();
        let (end, ended) = tokio::sync::oneshot::channel();
        work.begin("hangs", async { ended.await.unwrap_or_default() });
        work.begin("quick", async { 1 });
        let since = Instant::now();
        assert_eq!(work.ended_by(since + LEFT_AFTER).await, [("quick", 1)]);
        let waited = since.elapsed();
        assert!(waited >= LEFT_AFTER, "{waited:?}");
        work.begin("hangs", async { 2 });
        assert!(work.ended_by(Instant::now() + LEFT_AFTER).await.is_empty());
        assert_eq!((since.elapsed(), work.has(&"hangs"), work.has(&"quick")), (waited, true, false));
        assert_eq!(end.send(3), Ok(()));
        work.one_ends().await;
        assert!(!work.is_idle(), "nobody has taken it");
        assert_eq!(work.ended_by(Instant::now()).await, [("hangs", 3)]);
        assert!(work.is_idle());
    }
}
