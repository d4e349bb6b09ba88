//! Elapsed time as people write it: Go duration syntax, `1h30m`.
//!
//! In: a string from a file or from the API. Out: a [`SignedDuration`] between zero and [`HOURS_MAX`] hours, in whole
//! milliseconds; or the one thing that is wrong with it and what to write instead. And back: [`format`] prints as Go's
//! `Duration.String()` does (`1h30m0s`), [`short`] as people say it (`1h30m`); [`parse`] reads both.
//!
//! Source of the grammar and of the printed form: Go's `time.ParseDuration` and `time.Duration.String`. Narrower than
//! Go on purpose: no negative spans, nothing finer than a millisecond, nothing longer than a year and a bit.
//!
//! What is not here: days and weeks (they are civil time: 23 to 25 hours), ISO 8601 (`PT1H`), moments, field paths
//! (the caller knows where the string stood).

use jiff::SignedDuration;

/// The longest span accepted, in hours.
pub const HOURS_MAX: i64 = 10_000;

/// The longest text looked at, in bytes; everything legitimate is far shorter.
const TEXT_MAX: usize = 64;
/// Digits after the point that are looked at; with them a fraction of an hour is exact to a nanosecond.
const FRACTION_DIGITS_MAX: usize = 15;
const NANOS_PER_MILLI: u128 = 1_000_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;
const NANOS_PER_MINUTE: u128 = 60 * NANOS_PER_SECOND;
const NANOS_PER_HOUR: u128 = 60 * NANOS_PER_MINUTE;

/// Why a text is not a duration. The words say what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationProblem {
    /// Nothing is written.
    #[error("a duration is missing: write one such as 1h30m, 45m or 90s")]
    Empty,
    /// A number alone.
    #[error("\"{text}\" has no unit: write {text}m or {text}s")]
    NoUnit {
        /// As written, cut.
        text: String,
    },
    /// Spaces in it.
    #[error("\"{text}\" contains a space: write it in one piece, such as 1h30m")]
    Space {
        /// As written, cut.
        text: String,
    },
    /// Less than nothing.
    #[error("\"{text}\" is negative: budgets cannot be negative")]
    Negative {
        /// As written, cut.
        text: String,
    },
    /// Days or weeks.
    #[error("\"{text}\" counts in days or weeks: days are not elapsed time here (a civil day has 23 to 25 hours); write 24h")]
    Days {
        /// As written, cut.
        text: String,
    },
    /// A unit that Go does not know.
    #[error("\"{text}\" uses the unknown unit \"{unit}\": the units are h, m, s and ms, as in 1h30m")]
    UnknownUnit {
        /// As written, cut.
        text: String,
        /// The unit.
        unit: String,
    },
    /// Anything else.
    #[error("\"{text}\" is not a duration: write one such as 1h30m, 45m or 90s")]
    NotADuration {
        /// As written, cut.
        text: String,
    },
    /// Finer than a millisecond.
    #[error("\"{text}\" is finer than a millisecond: round it to whole milliseconds")]
    TooFine {
        /// As written, cut.
        text: String,
    },
    /// Longer than [`HOURS_MAX`].
    #[error("\"{text}\" is longer than 10,000 hours: write a shorter span")]
    TooLong {
        /// As written, cut.
        text: String,
    },
}

/// Reads a Go duration: one or more of `<number><unit>`, units `h`, `m`, `s`, `ms`, `us` (or `µs`), `ns`; or a bare `0`.
///
/// # Errors
/// One [`DurationProblem`], quoting at most the first 40 characters of the text.
pub fn parse(text: &str) -> Result<SignedDuration, DurationProblem> {
    if text.is_empty() {
        return Err(DurationProblem::Empty);
    }
    if text.chars().any(char::is_whitespace) {
        return Err(DurationProblem::Space { text: quoted(text) });
    }
    if text.starts_with('-') {
        return Err(DurationProblem::Negative { text: quoted(text) });
    }
    if text.len() > TEXT_MAX {
        return Err(DurationProblem::NotADuration { text: quoted(text) });
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return no_unit(text, unsigned);
    }
    from_nanos(text, sum_of_parts(text, unsigned)?)
}

fn no_unit(text: &str, unsigned: &str) -> Result<SignedDuration, DurationProblem> {
    if unsigned.bytes().any(|byte| byte.is_ascii_digit()) && unsigned.matches('.').count() <= 1 {
        Err(DurationProblem::NoUnit { text: quoted(text) })
    } else {
        Err(DurationProblem::NotADuration { text: quoted(text) })
    }
}

/// Adds up `<number><unit>` pairs, in nanoseconds. Every turn of the loop consumes at least one character.
fn sum_of_parts(text: &str, unsigned: &str) -> Result<u128, DurationProblem> {
    let too_long = || DurationProblem::TooLong { text: quoted(text) };
    let mut rest = unsigned;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, next) = split_where(after, |c| c.is_ascii_digit() || c == '.');
        if number.is_empty() || unit.is_empty() {
            return Err(DurationProblem::NotADuration { text: quoted(text) });
        }
        let nanos = part_nanos(text, number, unit_nanos(text, unit)?)?;
        total = total.checked_add(nanos).ok_or_else(too_long)?;
        rest = next;
    }
    if unsigned.is_empty() {
        return Err(DurationProblem::NotADuration { text: quoted(text) });
    }
    Ok(total)
}

fn unit_nanos(text: &str, unit: &str) -> Result<u128, DurationProblem> {
    match unit {
        "ns" => Ok(1),
        "us" | "µs" | "μs" => Ok(1_000),
        "ms" => Ok(NANOS_PER_MILLI),
        "s" => Ok(NANOS_PER_SECOND),
        "m" => Ok(NANOS_PER_MINUTE),
        "h" => Ok(NANOS_PER_HOUR),
        "d" | "w" | "day" | "days" | "D" | "W" => Err(DurationProblem::Days { text: quoted(text) }),
        other => Err(DurationProblem::UnknownUnit { text: quoted(text), unit: quoted(other) }),
    }
}

/// One number times its unit, in nanoseconds.
fn part_nanos(text: &str, number: &str, unit: u128) -> Result<u128, DurationProblem> {
    let not_a_duration = || DurationProblem::NotADuration { text: quoted(text) };
    let too_long = || DurationProblem::TooLong { text: quoted(text) };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(not_a_duration());
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
    let mut nanos = whole.checked_mul(unit).ok_or_else(too_long)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > FRACTION_DIGITS_MAX {
        return Err(DurationProblem::TooFine { text: quoted(text) });
    }
    if !fraction.is_empty() {
        let digits: u128 = fraction.parse().map_err(|_| not_a_duration())?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| not_a_duration())?);
        let scaled = digits.checked_mul(unit).ok_or_else(too_long)?;
        if !scaled.is_multiple_of(scale) {
            return Err(DurationProblem::TooFine { text: quoted(text) });
        }
        nanos = nanos.checked_add(scaled / scale).ok_or_else(too_long)?;
    }
    Ok(nanos)
}

fn from_nanos(text: &str, nanos: u128) -> Result<SignedDuration, DurationProblem> {
    if !nanos.is_multiple_of(NANOS_PER_MILLI) {
        return Err(DurationProblem::TooFine { text: quoted(text) });
    }
    match i64::try_from(nanos / NANOS_PER_MILLI) {
        Ok(millis) if millis <= HOURS_MAX * 3_600_000 => Ok(SignedDuration::from_millis(millis)),
        _ => Err(DurationProblem::TooLong { text: quoted(text) }),
    }
}

/// Prints as Go's `Duration.String()`: `1h30m0s`, `15m0s`, `1.5s`, `100ms`, `0s`, `-1m30s`. Any duration is accepted.
#[must_use]
pub fn format(span: SignedDuration) -> String {
    let nanos = span.as_nanos().unsigned_abs();
    let sign = if span.is_negative() { "-" } else { "" };
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < NANOS_PER_SECOND {
        return format!("{sign}{}", below_a_second(nanos));
    }
    let (hours, minutes) = (nanos / NANOS_PER_HOUR, nanos % NANOS_PER_HOUR / NANOS_PER_MINUTE);
    let seconds = decimal(nanos % NANOS_PER_MINUTE, NANOS_PER_SECOND);
    if hours > 0 {
        format!("{sign}{hours}h{minutes}m{seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m{seconds}s")
    } else {
        format!("{sign}{seconds}s")
    }
}

/// Prints for people: as [`format`], without trailing zero parts: `1h30m`, `1m30s`, `45m`, `2h`, `0s`.
#[must_use]
pub fn short(span: SignedDuration) -> String {
    let long = format(span);
    let Some(cut) = long.strip_suffix("m0s") else { return long };
    match cut.strip_suffix("h0") {
        Some(hours) => format!("{hours}h"),
        None => format!("{cut}m"),
    }
}

fn below_a_second(nanos: u128) -> String {
    if nanos < 1_000 {
        format!("{nanos}ns")
    } else if nanos < NANOS_PER_MILLI {
        format!("{}µs", decimal(nanos, 1_000))
    } else {
        format!("{}ms", decimal(nanos, NANOS_PER_MILLI))
    }
}

/// `amount / unit` as a decimal number without trailing zeros; `unit` is a power of ten.
fn decimal(amount: u128, unit: u128) -> String {
    let (whole, fraction) = (amount / unit, amount % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    // One more than the unit, so that leading zeros of the fraction are printed; its own leading 1 is dropped.
    let digits = (unit + fraction).to_string();
    format!("{whole}.{}", digits.get(1..).unwrap_or_default().trim_end_matches('0'))
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// The text as quoted in a message: at most 40 characters.
fn quoted(text: &str) -> String {
    const QUOTED_MAX: usize = 40;
    let mut kept: String = text.chars().take(QUOTED_MAX).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
