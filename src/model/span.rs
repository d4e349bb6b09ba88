//! Elapsed time and instants, with arithmetic that cannot overflow.
//!
//! In: durations in Go syntax. Out: [`Span`], a non-negative elapsed time, and the three sums the night is made of.
//! Invariants: a span is never negative; sums saturate, they never panic.
//! Not here: civil time, zones, reading a clock.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::duration;

/// Elapsed time that somebody promised or measured; never negative. On the wire a Go duration (`1h30m0s`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(SignedDuration);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(SignedDuration::ZERO);

    /// `minutes` whole minutes.
    #[must_use]
    pub const fn minutes(minutes: u32) -> Self {
        Self(SignedDuration::from_secs(minutes as i64 * 60))
    }

    /// `seconds` whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        Self(SignedDuration::from_secs(seconds as i64))
    }

    /// The time from `from` until `until`; nothing when `until` is the earlier.
    #[must_use]
    pub fn between(from: Timestamp, until: Timestamp) -> Self {
        Self(until.duration_since(from).max(SignedDuration::ZERO))
    }

    /// The same elapsed time as jiff's signed duration.
    #[must_use]
    pub fn get(self) -> SignedDuration {
        self.0
    }

    /// Whether there is no time in it.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The fourth part of it.
    #[must_use]
    pub fn quarter(self) -> Self {
        Self(self.0 / 4)
    }

    /// `self − other`, nothing when `other` is the longer.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(SignedDuration::ZERO))
    }
}

/// `moment + span`, at the latest the end of time.
#[must_use]
pub fn after(moment: Timestamp, span: Span) -> Timestamp {
    moment.checked_add(span.0).unwrap_or(Timestamp::MAX)
}

/// `moment − span`, at the earliest the beginning of time.
#[must_use]
pub fn before(moment: Timestamp, span: Span) -> Timestamp {
    moment.checked_sub(span.0).unwrap_or(Timestamp::MIN)
}

impl From<SignedDuration> for Span {
    fn from(duration: SignedDuration) -> Self {
        Self(duration.max(SignedDuration::ZERO))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Span {
    fn sum<I: Iterator<Item = Self>>(spans: I) -> Self {
        spans.fold(Self::ZERO, Add::add)
    }
}

impl TryFrom<String> for Span {
    type Error = duration::DurationProblem;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        duration::parse(&text).map(Self)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        duration::format(span.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration::short(self.0))
    }
}
