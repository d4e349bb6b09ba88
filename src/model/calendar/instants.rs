//! From civil hours to instants, on the side that is safe for the public.
//!
//! In: [`Hours`], a zone, two instants. Out: the stretches of time in which it is open around them, as instants,
//! increasing, disjoint and never touching.
//!
//! A clock change makes a local time happen twice or not at all. An *opening* then happens at the earlier of its two
//! moments, or, if it has none, at the moment the clock jumps; a *closing* at the later of its two moments, or, if it
//! has none, as much after the jump as it was written after the missing hour began. So people are never locked out by
//! a reading of the clock.
//!
//! What is not here: what "frozen" means, what a night does with the answer.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, ToSpan};

use super::hours::{DAY_MINUTES, Hours};

/// An uninterrupted opening: from `opens_at` (included) to `closes_at` (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) opens_at: Timestamp,
    pub(super) closes_at: Timestamp,
}

/// Civil days looked at on either side of the question: enough for a shift that began the day before and for any
/// offset change. An opening that touches this border is cut there; the question itself never sees the cut.
const PADDING_DAYS: i64 = 3;

/// Every opening that has a moment between `from` and `to`, both included, and possibly some around them. `opens_at`
/// is exact when it lies after `from`, `closes_at` when it lies before `to`.
pub(super) fn openings(hours: &Hours, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Opening> {
    let first = shifted(zone.to_datetime(from).date(), -PADDING_DAYS);
    let last = shifted(zone.to_datetime(to).date(), PADDING_DAYS);
    let found = civil_openings(hours, first, last)
        .into_iter()
        .map(|(opens, closes)| Opening { opens_at: opening_at(zone, opens), closes_at: closing_at(zone, closes) })
        // What would open after the end of time is cut to nothing there.
        .filter(|opening| opening.opens_at < opening.closes_at)
        .collect();
    joined(found)
}

/// Openings in civil time, increasing and disjoint; midnight does not interrupt one.
fn civil_openings(hours: &Hours, first: Date, last: Date) -> Vec<(DateTime, DateTime)> {
    let mut openings: Vec<(DateTime, DateTime)> = Vec::new();
    let mut day = first;
    while day <= last {
        let carried = day.yesterday().map_or(0, |yesterday| hours.carried_over(yesterday));
        let mut of_day = hours.open_on(day);
        if carried > 0 {
            of_day.insert(0, (0, carried.min(DAY_MINUTES)));
        }
        for (from, until) in of_day {
            let (opens, closes) = (minute_of(day, from), minute_of(day, until));
            match openings.last_mut() {
                Some(open) if open.1 >= opens => open.1 = open.1.max(closes),
                _ => openings.push((opens, closes)),
            }
        }
        match day.tomorrow() {
            Ok(tomorrow) => day = tomorrow,
            Err(_) => break,
        }
    }
    openings
}

/// Joins what touches or overlaps once the clock changes are applied.
fn joined(mut openings: Vec<Opening>) -> Vec<Opening> {
    openings.sort_by_key(|opening| (opening.opens_at, opening.closes_at));
    let mut kept: Vec<Opening> = Vec::new();
    for opening in openings {
        match kept.last_mut() {
            Some(last) if last.closes_at >= opening.opens_at => last.closes_at = last.closes_at.max(opening.closes_at),
            _ => kept.push(opening),
        }
    }
    kept
}

fn opening_at(zone: &TimeZone, civil: DateTime) -> Timestamp {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => instant(offset, civil),
        AmbiguousOffset::Gap { before, after } => {
            // Read with the offset of after the jump, the missing time lies before it: the next transition is the jump.
            let earlier = instant(after, civil);
            zone.following(earlier).next().map_or_else(|| instant(before, civil), |jump| jump.timestamp())
        }
    }
}

fn closing_at(zone: &TimeZone, civil: DateTime) -> Timestamp {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset }
        | AmbiguousOffset::Fold { after: offset, .. }
        | AmbiguousOffset::Gap { before: offset, .. } => instant(offset, civil),
    }
}

fn instant(offset: Offset, civil: DateTime) -> Timestamp {
    offset.to_timestamp(civil).unwrap_or(if civil.year() > 0 { Timestamp::MAX } else { Timestamp::MIN })
}

fn minute_of(day: Date, minute: u16) -> DateTime {
    let midnight = day.to_datetime(Time::midnight());
    midnight.checked_add(SignedDuration::from_mins(i64::from(minute))).unwrap_or(DateTime::MAX)
}

fn shifted(day: Date, days: i64) -> Date {
    day.checked_add(days.days()).unwrap_or(if days > 0 { Date::MAX } else { Date::MIN })
}
