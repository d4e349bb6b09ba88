//! How often something was tried, and when it may be tried again.
//!
//! In: names of effects and moments. Out: whether one may be tried now, and the next moment at which one may.
//! Invariants: pauses double from one second to a limit, without jitter, so that nights can be replayed; a thing that worked and is
//! asked for again pauses like one that failed: nothing is done in a tight loop. Not here: what is tried.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// The longest pause between two tries of an effect.
pub(crate) const EFFECT_PAUSE_MAX: SignedDuration = SignedDuration::from_secs(15);
/// The longest pause between two tries of a record, for which all of the way back waits: an API server that is back after an outage
/// refuses everybody for some seconds before it knows rights again.
pub(crate) const RECORD_PAUSE_MAX: SignedDuration = SignedDuration::from_secs(4);
/// The longest pause between two tries of a status.
pub(crate) const STATUS_PAUSE_MAX: SignedDuration = SignedDuration::from_secs(60);
/// The longest pause between two tries of what waits for people: missing rights, missing CronJobs.
pub(crate) const PEOPLE_PAUSE_MAX: SignedDuration = SignedDuration::from_secs(300);

/// `1 s, 2 s, 4 s …` up to `max`; `count` from 1.
pub(crate) fn pause(count: u32, max: SignedDuration) -> SignedDuration {
    let doubled = 1_i64.checked_shl(count.saturating_sub(1).min(32)).unwrap_or(i64::MAX);
    SignedDuration::from_secs(doubled).min(max)
}

/// The moment after a pause.
pub(crate) fn next_at(now: Timestamp, count: u32, max: SignedDuration) -> Timestamp {
    now.checked_add(pause(count, max)).unwrap_or(Timestamp::MAX)
}

/// One kind of thing that fails and is tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempt {
    count: u32,
    next_at: Option<Timestamp>,
}

impl Attempt {
    pub(crate) fn may(&self, now: Timestamp) -> bool {
        self.next_at.is_none_or(|at| at <= now)
    }

    /// When it may be tried again; none when it has not failed.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    pub(crate) fn tried(&mut self, now: Timestamp, max: SignedDuration) -> Timestamp {
        self.count = self.count.saturating_add(1);
        let at = next_at(now, self.count, max);
        self.next_at = Some(at);
        at
    }
}

/// Tries by name.
#[derive(Debug, Default)]
pub(crate) struct Tries(BTreeMap<String, Attempt>);

impl Tries {
    /// Keeps only what is still asked for: what is not has been done, or is not wanted any more.
    pub(crate) fn keep(&mut self, asked: &BTreeSet<String>) {
        self.0.retain(|name, _| asked.contains(name));
    }

    pub(crate) fn may(&self, name: &str, now: Timestamp) -> bool {
        self.0.get(name).is_none_or(|attempt| attempt.may(now))
    }

    pub(crate) fn tried(&mut self, name: &str, now: Timestamp, max: SignedDuration) {
        self.0.entry(name.to_owned()).or_default().tried(now, max);
    }

    /// The next moment at which something may be tried again.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.0.values().filter_map(Attempt::next_at).min()
    }
}
