//! The time of the API server, on the side that is safe for the public: never earlier than it really is there.
//!
//! In: `Date` headers of a cheap call, with the time that the call took; this machine's clock only where there is no other. Out:
//! [`ServerTime`], which all of the operator reads. Invariants: a `Date` says only the second, so that what is true lies in
//! `[Date, Date + 1 s + round trip)`, of which the end is taken; a clock that is known within [`WIDTH_MAX`] never goes back, and
//! one that is known worse never replaces it; no measuring holds up a pass for longer than [`WAIT_FOR_MAX`]. A monotonic clock and its
//! timers stand still while a machine is suspended: it is measured again before a pass when the last time is longer ago than
//! [`FRESH_FOR`], and a rest ends when this machine's own clock has gone further than they have.
//! Not here: time zones, deadlines of the night, what must not begin while the clock is not bounded ([`crate::engine`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::clock::Clock;

/// The widest interval with which a night may start.
pub const WIDTH_MAX: Duration = Duration::from_secs(5);
/// How long a measurement is trusted.
pub const FRESH_FOR: Duration = Duration::from_secs(600);
/// How long after a measurement that bounds nothing the next one may begin.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How often somebody who rests looks whether the machine slept; that asks nobody.
const LOOKS_EVERY: Duration = Duration::from_secs(15);
/// How much further this machine's clock has gone than time when it slept: a clock that is slewed is not meant.
const SLEPT_MIN: SignedDuration = SignedDuration::from_secs(5);
/// How long a pass waits for a measurement.
pub const WAIT_FOR_MAX: Duration = Duration::from_secs(1);
const CALL_FOR_MAX: Duration = Duration::from_secs(10);

/// Why the server's time is not known. Retry later, whatever it is.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// Nothing came.
    #[error("the API server did not answer within {CALL_FOR_MAX:?}")]
    Timeout,
    /// The call failed.
    #[error("the API server cannot be asked for the time")]
    Call(#[source] kube::Error),
    /// A person has to look for a proxy that takes the header away.
    #[error("the API server's answer has no readable Date")]
    NoDate,
}

/// The API server's time. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ServerTime(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    clock: Clock,
    /// It is the server's own: nothing has to be measured.
    own: bool,
    /// When the server's time was last bounded, and within what.
    bounded: Option<(Instant, Duration)>,
    /// Why the last measurement bounded nothing.
    why_not: Option<String>,
    tried_at: Option<Instant>,
    /// A measurement under way; it turns true, or is dropped, at its end.
    measuring: Option<watch::Receiver<bool>>,
    local: fn() -> Timestamp,
    /// How far the server's clock was ahead of this machine's when it was last bounded.
    ahead: Option<SignedDuration>,
}

impl Known {
    fn offset(&self) -> SignedDuration {
        self.clock.now().duration_since((self.local)())
    }

    /// A clock that somebody sets forward looks alike, which costs a question.
    fn has_slept(&self) -> bool {
        !self.own && self.ahead.is_some_and(|ahead| ahead.saturating_sub(self.offset()) > SLEPT_MIN)
    }
}

/// One answer.
struct Measured {
    clock: Clock,
    width: Duration,
}

impl ServerTime {
    /// A clock that is the server's own, as that of the embedded API.
    #[must_use]
    pub fn of(clock: Clock) -> Self {
        Self::new(clock, true, || Timestamp::UNIX_EPOCH)
    }

    fn new(clock: Clock, own: bool, local: fn() -> Timestamp) -> Self {
        let (bounded, why_not, tried_at, measuring, ahead) = (None, None, None, None, None);
        Self(Arc::new(Mutex::new(Known { clock, own, bounded, why_not, tried_at, measuring, local, ahead })))
    }

    /// Measures. Where the server says nothing, `local` has to do, which bounds nothing: nights under way go on by it, and none starts.
    pub async fn measured(client: &Client, local: fn() -> Timestamp) -> Self {
        let time = Self::new(Clock::starting_at(local()), false, local);
        time.take(measure(client).await);
        time
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

    /// The same, but ends before when this machine slept meanwhile, or some seconds later while the time is not known since.
    pub async fn rest_until(&self, moment: Timestamp) {
        let known_to_have_slept = self.known(|known| known.has_slept());
        let longest = SignedDuration::try_from(if known_to_have_slept { AGAIN_AFTER } else { LOOKS_EVERY }).unwrap_or_default();
        loop {
            let (now, is_own) = self.known(|known| (known.clock.now(), known.own));
            let look_at = if is_own { moment } else { now.checked_add(longest).unwrap_or(moment).min(moment) };
            self.sleep_until(look_at).await;
            if look_at >= moment || self.known(|known| known.has_slept()) {
                return;
            }
        }
    }

    /// Why the clock is not known within [`WIDTH_MAX`]; none when it is.
    #[must_use]
    pub fn unbounded(&self) -> Option<String> {
        self.known(|known| {
            let fresh = known.bounded.is_some_and(|(at, _)| at.elapsed() < FRESH_FOR) && !known.has_slept();
            let slept =
                || if known.has_slept() { "this machine slept, or its clock was set" } else { "it has to be measured again" };
            let why = || known.why_not.clone().unwrap_or_else(|| slept().to_owned());
            (!known.own && !fresh).then(why)
        })
    }

    /// How far the server's clock is ahead of this machine's, at the latest.
    #[must_use]
    pub fn offset(&self) -> SignedDuration {
        self.known(|known| if known.own { SignedDuration::ZERO } else { known.offset() })
    }

    /// Within what it is known; none when it is not bounded.
    #[must_use]
    pub fn width(&self) -> Option<Duration> {
        if self.unbounded().is_some() {
            return None;
        }
        self.known(|known| Some(known.bounded.map(|(_, width)| width).unwrap_or_default()))
    }

    /// Measures again when the last time is too long ago, and waits a little for it; what cannot be measured now stays as it was.
    pub async fn refresh(&self, client: &Client) {
        let due = self.unbounded().is_some();
        let Some(mut ending) = self.known(|known| {
            let again = known.tried_at.is_none_or(|at| at.elapsed() >= AGAIN_AFTER);
            if due && again && known.measuring.is_none() {
                let (end, ending) = watch::channel(false);
                known.measuring = Some(ending);
                let (time, client) = (self.clone(), client.clone());
                tokio::spawn(async move {
                    time.take(measure(&client).await);
                    end.send_replace(true);
                });
            }
            known.measuring.clone()
        }) else {
            return;
        };
        // Ended or given up: what is known now has to do.
        let _ = timeout(WAIT_FOR_MAX, ending.changed()).await;
    }

    /// Takes what was measured, if it is better than what is known.
    fn take(&self, measured: Result<Measured, TimeError>) {
        self.known(|known| {
            known.measuring = None;
            known.tried_at = Some(Instant::now());
            match measured {
                Ok(Measured { clock, width }) if width <= WIDTH_MAX => {
                    if known.bounded.is_none() || clock.now() > known.clock.now() {
                        known.clock = clock;
                    }
                    let offset = known.offset();
                    known.ahead = Some(offset);
                    tracing::info!(%offset, ?width, "the API server's clock is known");
                    known.bounded = Some((Instant::now(), width));
                    known.why_not = None;
                }
                Ok(Measured { clock, width }) => {
                    if known.bounded.is_none() {
                        known.clock = clock;
                    }
                    known.why_not = Some(format!("the API server took {} s to say the time", width.as_secs()));
                }
                Err(error) => known.why_not = Some(super::story::story(&error)),
            }
            if let Some(why) = &known.why_not {
                tracing::warn!(why, "the API server's clock is not bounded: no night starts");
            }
        });
    }

    fn clock(&self) -> Clock {
        self.known(|known| known.clock)
    }

    fn known<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The server's time now, at the latest, for who asks once.
///
/// # Errors
/// When the server does not say it.
pub async fn asked(client: &Client) -> Result<Timestamp, TimeError> {
    Ok(measure(client).await?.clock.now())
}

async fn measure(client: &Client) -> Result<Measured, TimeError> {
    let request = http::Request::get("/version").body(Body::empty()).map_err(|_| TimeError::NoDate)?;
    let asked_at = Instant::now();
    let answer = timeout(CALL_FOR_MAX, client.send(request)).await.map_err(|_| TimeError::Timeout)?.map_err(TimeError::Call)?;
    let width = asked_at.elapsed() + Duration::from_secs(1);
    let date = answer.headers().get(http::header::DATE).and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).ok_or(TimeError::NoDate)?;
    let latest = SignedDuration::try_from(width).unwrap_or_default();
    Ok(Measured { clock: Clock::starting_at(date.timestamp().checked_add(latest).unwrap_or(Timestamp::MAX)), width })
}
