//! The one clock of the shells: civil instants measured on Tokio's monotonic clock.
//!
//! In: the instant at which the clock starts. Out: the present instant, and sleeps until a moment.
//! Invariants: never goes back; under a paused runtime it is virtual and moves only when every task is idle.
//! Not here: the offset to the API server's clock, time zones, deadlines of the night.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Longer than any night: where a moment that cannot be reached is parked (30 years).
const NEVER: std::time::Duration = std::time::Duration::from_hours(30 * 365 * 24);

/// `base + (tokio's now − anchor)`. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Timestamp,
    anchor: Instant,
}

impl Clock {
    /// A clock that shows `base` now. Build it inside the runtime whose time it is to follow.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, anchor: Instant::now() }
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.anchor.elapsed()).unwrap_or(SignedDuration::MAX);
        self.base.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// Tokio's instant at which this clock shows `moment`; the start for moments before it.
    #[must_use]
    pub fn instant_of(&self, moment: Timestamp) -> Instant {
        let ahead = std::time::Duration::try_from(moment.duration_since(self.base)).unwrap_or_default();
        self.anchor.checked_add(ahead.min(NEVER)).unwrap_or(self.anchor)
    }

    /// Waits until this clock shows at least `moment`; returns at once when it already does.
    pub async fn sleep_until(&self, moment: Timestamp) {
        tokio::time::sleep_until(self.instant_of(moment)).await;
    }
}
