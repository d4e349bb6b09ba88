//! The time of the API server, on the side that is safe for the public: never earlier than it really is there.
//!
//! In: `Date` headers of a cheap call, with the time that the call took. Out: [`ServerTime`], which all of the operator reads.
//! Invariants: never goes back; a `Date` says only the second, so that what is true lies in `[Date, Date + 1 s + round trip)`, of which
//! the end is taken; not known within [`WIDTH_MAX`], it does not start. A monotonic clock may stand still while a machine is
//! suspended: it is measured again before a pass when the last time is longer ago than [`FRESH_FOR`].
//! Not here: time zones, deadlines of the night.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use tokio::time::{Instant, timeout};

use crate::clock::Clock;

/// The widest interval with which the operator starts.
pub const WIDTH_MAX: Duration = Duration::from_secs(5);
/// How long a measurement is trusted.
pub const FRESH_FOR: Duration = Duration::from_secs(600);
const CALL_FOR_MAX: Duration = Duration::from_secs(5);
const TRIES_MAX: u32 = 5;

/// Why the server's time is not known.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// Retry later.
    #[error("the API server did not answer within {CALL_FOR_MAX:?}")]
    Timeout,
    /// Retry later.
    #[error("the API server cannot be asked for the time")]
    Call(#[source] kube::Error),
    /// Tell a person: a proxy takes the header away.
    #[error("the API server's answer has no readable Date")]
    NoDate,
    /// Retry later.
    #[error("the offset of the clock is only known within {0:?}")]
    Wide(Duration),
}

/// The API server's time. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ServerTime(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    clock: Clock,
    /// None: the clock is the server's own.
    measured_at: Option<Instant>,
}

impl ServerTime {
    /// A clock that is the server's own, as that of the embedded API.
    #[must_use]
    pub fn of(clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Known { clock, measured_at: None })))
    }

    /// Measures.
    ///
    /// # Errors
    /// When the offset is not known within [`WIDTH_MAX`] after a few tries.
    pub async fn measured(client: &Client) -> Result<Self, TimeError> {
        let mut last = TimeError::NoDate;
        for _ in 0..TRIES_MAX {
            match measure(client).await {
                Ok(clock) => return Ok(Self(Arc::new(Mutex::new(Known { clock, measured_at: Some(Instant::now()) })))),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The present moment there, at the latest.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Waits until [`Self::now`] is at least `moment`.
    pub async fn sleep_until(&self, moment: Timestamp) {
        self.clock().sleep_until(moment).await;
    }

    /// Measures again when the last time is too long ago; what cannot be measured now stays as it was.
    pub async fn refresh(&self, client: &Client) {
        let measured_at = self.known(|known| known.measured_at);
        if measured_at.is_none_or(|at| at.elapsed() < FRESH_FOR) {
            return;
        }
        match measure(client).await {
            Ok(clock) => self.known(|known| {
                if clock.now() > known.clock.now() {
                    known.clock = clock;
                }
                known.measured_at = Some(Instant::now());
            }),
            Err(error) => tracing::warn!(%error, "the server's time could not be measured again"),
        }
    }

    fn clock(&self) -> Clock {
        self.known(|known| known.clock)
    }

    fn known<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn measure(client: &Client) -> Result<Clock, TimeError> {
    let request = http::Request::get("/version").body(Body::empty()).map_err(|_| TimeError::NoDate)?;
    let asked_at = Instant::now();
    let answer = timeout(CALL_FOR_MAX, client.send(request)).await.map_err(|_| TimeError::Timeout)?.map_err(TimeError::Call)?;
    let round_trip = asked_at.elapsed();
    let date = answer.headers().get(http::header::DATE).and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).ok_or(TimeError::NoDate)?;
    let width = round_trip + Duration::from_secs(1);
    if width > WIDTH_MAX {
        return Err(TimeError::Wide(width));
    }
    let latest = SignedDuration::try_from(width).unwrap_or_default();
    Ok(Clock::starting_at(date.timestamp().checked_add(latest).unwrap_or(Timestamp::MAX)))
}
