//! Opening hours: a calendar's zone, hours, holidays and freezes, one a line; and what it answers when it can be read.

use jiff::{SignedDuration, Timestamp};
use notturno::model::calendar::{Calendar, DeclaredFreeze, Holidays, LocalHoliday};

use super::assert_in_proportion;

const TIMES_MAX: usize = 64;
/// Two nights on which clocks change, a leap day, a new year, the years in which the library knows nothing.
const ASKED_AT: [&str; 6] = [
    "2026-03-28T20:00:00Z",
    "2026-10-24T20:00:00Z",
    "2028-02-28T22:30:00Z",
    "2026-12-31T22:59:59Z",
    "1899-12-30T12:00:00Z",
    "9999-12-29T12:00:00Z",
];

/// Takes lines: zone, hours, country, local holidays between commas, and then freezes as `name from until`.
pub fn take(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let [zone, hours, country, local] = [(); 4].map(|()| lines.next().unwrap_or_default());
    let local = local.split(',').filter(|date| !date.is_empty());
    let local = local.map(|date| LocalHoliday { date: date.to_owned(), name: "patrono".to_owned() }).collect();
    let country = Some(country.to_owned()).filter(|country| !country.is_empty());
    match Calendar::new("prova", zone, hours, &Holidays { country, local }, lines.map(freeze).collect()) {
        Ok(calendar) => {
            assert_eq!((calendar.hours(), calendar.time_zone_name().is_empty()), (hours, false));
            for at in ASKED_AT {
                asked(&calendar, at.parse().unwrap());
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            assert!(
                problems.iter().all(|problem| !problem.path.is_empty() && !problem.message.trim().is_empty()),
                "{problems:?}"
            );
            let said = problems.iter().map(|problem| problem.to_string().len()).sum();
            assert_in_proportion("problems", said, bytes.len(), TIMES_MAX);
        }
    }
}

fn freeze(line: &str) -> DeclaredFreeze {
    let mut words = line.split(' ').map(str::to_owned);
    let [name, from, until] = [(); 3].map(|()| words.next().unwrap_or_default());
    DeclaredFreeze { name, from, until, reason: words.collect(), overridable_by: Vec::new() }
}

/// An opening is the moment at which doors that were closed are open.
fn asked(calendar: &Calendar, at: Timestamp) {
    let horizon = SignedDuration::from_hours(24 * 20);
    let Some(opens_at) = calendar.next_opening_after(at, horizon) else { return };
    let shown = format!("{} in {}: {}", calendar.hours(), calendar.time_zone_name(), calendar.display(opens_at));
    assert!(at < opens_at && opens_at <= at.checked_add(horizon).unwrap_or(Timestamp::MAX), "{shown}");
    assert!(calendar.is_open_at(opens_at), "not open at its opening: {shown}");
    let just_before = opens_at.checked_sub(SignedDuration::from_secs(1)).unwrap();
    assert!(!calendar.is_open_at(just_before), "open before its opening: {shown}");
    if !calendar.is_open_at(at) {
        assert!(!calendar.open_during(at, opens_at), "open before its first opening: {shown}");
    }
    assert!(calendar.open_during(at, opens_at.checked_add(SignedDuration::from_secs(1)).unwrap()), "{shown}");
    let _ = (calendar.frozen_at(opens_at), calendar.is_holiday(calendar.civil_day(opens_at)));
    let read = calendar.display(opens_at).parse::<Timestamp>().unwrap();
    // Before 1972 a zone may be seconds away from whole minutes, which is more than RFC 3339 can say.
    assert!(read == opens_at || opens_at.as_second() < 0, "what is shown is not what is meant: {shown}");
}
