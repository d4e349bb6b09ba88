//! What every watch is asked with, and how one that fails is asked again.
//!
//! In: how long one watch may last, errors. Out: its configuration, pauses, and whether an error means that it begins anew. Invariants: the
//! server ends every watch after its time, and one that shows nothing for five seconds more is given up ([`kube::runtime::watcher`]
//! counts them), so that a connection on which nothing ever comes is replaced; it goes on from where it was, without a list.
//! Not here: what news mean.

use std::time::Duration;

use kube::runtime::watcher::{Config, Error};
use tokio::time::Instant;

use super::tries::{EFFECT_PAUSE_MAX, pause};

/// How long one watch lasts: the longest that a silent one goes unnoticed, in seconds.
pub const WATCH_FOR_SECONDS: u32 = 60;

/// One watch, of objects with these labels, if any are given.
pub(super) fn config(for_seconds: u32, labels: Option<&str>) -> Config {
    let config = Config::default().timeout(for_seconds);
    match labels {
        Some(labels) => config.labels(labels),
        None => config,
    }
}

/// How often a watch failed of late. A list that works says nothing of the watch: or one that is refused would list and ring every second.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u32,
    last_at: Option<Instant>,
}

impl Failures {
    /// One more; how long to wait before the next try.
    pub(super) fn pause(&mut self) -> Duration {
        let pause_max = Duration::try_from(EFFECT_PAUSE_MAX).unwrap_or_default();
        // A silent one fails after the limit of a call only: that, too, is still the same failure.
        if self.last_at.is_some_and(|at| at.elapsed() > 4 * pause_max) {
            self.count = 0;
        }
        self.last_at = Some(Instant::now());
        self.count = self.count.saturating_add(1);
        Duration::try_from(pause(self.count, EFFECT_PAUSE_MAX)).unwrap_or(pause_max)
    }

    /// Something came through it.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The revision to go on from is forgotten, and the watcher would ask for it for ever: begin with a list.
pub(super) fn is_expired(error: &Error) -> bool {
    code(error) == Some(410)
}

/// The token is not taken any more.
pub(super) fn is_unauthorized(error: &Error) -> bool {
    code(error) == Some(401)
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(source) | Error::WatchStartFailed(source) | Error::WatchFailed(source) => match source {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        Error::WatchError(status) => Some(status.code),
        Error::NoResourceVersion => None,
    }
}
