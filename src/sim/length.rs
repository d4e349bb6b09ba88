//! How long something takes, as people declare or have measured it.
//!
//! In: a span, or a distribution of spans. Out: [`Length`], and spans drawn from it. Invariants: what was built can be drawn from without
//! failing; drawn spans are whole milliseconds, never negative, and at most [`DRAWN_FOR_MAX`]. Not here: who says so ([`super::scenario`]).

use jiff::SignedDuration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rand_distr::{Distribution, LogNormal, Triangular};

use crate::model::span::Span;

/// The 95th percentile of the standard normal distribution.
const Z95: f64 = 1.644_853_626_951_472_2;
/// Longer than that nothing takes: 10,000 hours, as budgets ([`crate::model::duration::HOURS_MAX`]).
const DRAWN_FOR_MAX: Span = Span::minutes(60 * 10_000);
const MILLIS_PER_SECOND: f64 = 1_000.0;

/// A span, or how spans are distributed.
#[derive(Clone, Debug, PartialEq)]
pub enum Length {
    /// Always the same.
    Fixed(Span),
    /// At least `from`, at most `to`, most often about `likely`.
    Triangular {
        /// The shortest.
        from: Span,
        /// The one most often seen.
        likely: Span,
        /// The longest.
        to: Span,
        /// What spans are drawn from.
        drawn: Triangular<f64>,
    },
    /// Half of all are shorter than `p50`, nineteen in twenty than `p95`; the rest may be far longer.
    LogNormal {
        /// The median.
        p50: Span,
        /// The 95th percentile.
        p95: Span,
        /// What spans are drawn from.
        drawn: LogNormal<f64>,
    },
    /// One of these, each as often as another.
    Measured(Vec<Span>),
}

/// Why words do not make a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLength {
    /// A triangle that does not go up and then down.
    #[error("from, likely and to do not follow each other: from ≤ likely ≤ to, and from < to")]
    Triangle,
    /// Percentiles that contradict each other.
    #[error("p50 and p95 do not follow each other: 0 < p50 ≤ p95")]
    Percentiles,
    /// Nothing was measured.
    #[error("nothing was measured: give at least one span")]
    NothingMeasured,
}

impl Length {
    /// Most often about `likely`, never outside `from` and `to`.
    pub fn triangular(from: Span, likely: Span, to: Span) -> Result<Self, BadLength> {
        let drawn = Triangular::new(seconds(from), seconds(to), seconds(likely)).map_err(|_| BadLength::Triangle)?;
        if from < to { Ok(Self::Triangular { from, likely, to, drawn }) } else { Err(BadLength::Triangle) }
    }

    /// A long tail through two percentiles.
    pub fn log_normal(p50: Span, p95: Span) -> Result<Self, BadLength> {
        if p50.is_zero() || p95 < p50 {
            return Err(BadLength::Percentiles);
        }
        let sigma = (seconds(p95) / seconds(p50)).ln() / Z95;
        let drawn = LogNormal::new(seconds(p50).ln(), sigma).map_err(|_| BadLength::Percentiles)?;
        Ok(Self::LogNormal { p50, p95, drawn })
    }

    /// As it was measured, nights before.
    pub fn measured(spans: Vec<Span>) -> Result<Self, BadLength> {
        if spans.is_empty() { Err(BadLength::NothingMeasured) } else { Ok(Self::Measured(spans)) }
    }

    /// One span of this length.
    pub(super) fn draw(&self, chance: &mut ChaCha8Rng) -> Span {
        match self {
            Self::Fixed(span) => *span,
            Self::Triangular { drawn, .. } => span(drawn.sample(chance)),
            Self::LogNormal { drawn, .. } => span(drawn.sample(chance)),
            Self::Measured(spans) => {
                let count = u64::try_from(spans.len()).unwrap_or(u64::MAX).max(1);
                // The bias of the remainder is below one in 2^50 for what fits in a file.
                let index = usize::try_from(chance.next_u64() % count).unwrap_or_default();
                spans.get(index).copied().unwrap_or_default()
            }
        }
    }

    /// Whether it is the same every night.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Measured(spans) => spans.windows(2).all(|pair| pair.first() == pair.last()),
            Self::Triangular { .. } | Self::LogNormal { .. } => false,
        }
    }
}

fn seconds(span: Span) -> f64 {
    span.get().as_secs_f64()
}

fn span(seconds: f64) -> Span {
    let whole = (seconds * MILLIS_PER_SECOND).round() / MILLIS_PER_SECOND;
    SignedDuration::try_from_secs_f64(whole).map_or(DRAWN_FOR_MAX, Span::from).min(DRAWN_FOR_MAX)
}
