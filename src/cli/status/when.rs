//! Moments as people read them: in the zone of the doors, with its offset, and how far away they are.
//!
//! In: moments, RFC 3339 as the status has it. Out: short text. Invariants: an offset is always shown, so that the night on which clocks
//! change has no two moments that look alike; no clock. Not here: which moments.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::plan::Plan;

/// Below this a span is said in seconds.
const SECONDS_BELOW: i64 = 600;

/// `2023-02-10 04:55 +01:00`; seconds only when there are some.
#[must_use]
pub(crate) fn moment(plan: &Plan, at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::get(&plan.time_zone).unwrap_or(TimeZone::UTC));
    let seconds = if zoned.second() == 0 { "" } else { ":%S" };
    zoned.strftime(&format!("%Y-%m-%d %H:%M{seconds} %:z")).to_string()
}

/// The same from RFC 3339, with the offset that stands there; what is none stays as it is.
#[must_use]
pub(crate) fn written(text: &str) -> String {
    if text.parse::<Timestamp>().is_err() || text.len() < 20 {
        return text.to_owned();
    }
    let (day, rest) = text.split_at(10);
    let (time, offset) = rest.split_at(9);
    let time = time.trim_start_matches('T');
    format!("{day} {} {offset}", time.strip_suffix(":00").unwrap_or(time))
}

/// `04:55` of RFC 3339.
#[must_use]
pub(crate) fn hour(text: &str) -> &str {
    text.get(11..16).unwrap_or(text)
}

/// `in 2h05m`, `2h05m ago`, `now`.
#[must_use]
pub(crate) fn away(now: Timestamp, at: Timestamp) -> String {
    let ahead = at.duration_since(now);
    match ahead.as_secs() {
        0 => "now".to_owned(),
        1.. => format!("in {}", span(ahead)),
        _ => format!("{} ago", span(ahead)),
    }
}

/// `2h05m`, `25m`, `1m30s`: to the minute from ten minutes on, without a sign.
#[must_use]
pub(crate) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().abs();
    let minutes = (seconds + 30) / 60;
    match (seconds, minutes) {
        (0..SECONDS_BELOW, _) if seconds < 60 => format!("{seconds}s"),
        (0..SECONDS_BELOW, _) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (0..SECONDS_BELOW, _) => format!("{}m{:02}s", seconds / 60, seconds % 60),
        (_, 0..60) => format!("{minutes}m"),
        (_, 60..1440) => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => format!("{}d{:02}h", minutes / 1440, minutes % 1440 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_as_people_say_them() {
        let said = |seconds: i64| span(SignedDuration::from_secs(seconds));
        assert_eq!([5, 60, 90, 599].map(said), ["5s", "1m", "1m30s", "9m59s"]);
        assert_eq!([600, 1499, 7499, 86_400 + 7_200].map(said), ["10m", "25m", "2h05m", "1d02h"]);
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(away(at, at), "now");
        assert_eq!(away(at, at + SignedDuration::from_secs(7500)), "in 2h05m");
        assert_eq!(away(at, at - SignedDuration::from_secs(7500)), "2h05m ago");
    }

    #[test]
    fn what_is_written_keeps_its_offset() {
        assert_eq!(written("2023-02-10T04:55:00+01:00"), "2023-02-10 04:55 +01:00");
        assert_eq!(written("2023-02-10T04:55:30+01:00"), "2023-02-10 04:55:30 +01:00");
        assert_eq!(written("soon"), "soon");
        assert_eq!(hour("2023-02-10T04:55:00+01:00"), "04:55");
    }
}
