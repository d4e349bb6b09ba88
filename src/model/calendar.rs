//! Office calendars: when doors open, as instants.
//!
//! In: the words of an `OfficeCalendar` (zone, OpenStreetMap hours, holidays, freezes). Out: a validated [`Calendar`], or
//! every problem at once, each with its field path; then answers to questions asked in instants.
//!
//! Invariants:
//! - the zone is known by name; nothing falls back to UTC;
//! - hours are civil and become instants only here. At a clock change an opening takes its *earlier* moment (the jump
//!   itself if its time is missing) and a closing its *later* one: the safe side for the public;
//! - a state that the syntax calls `unknown` counts as open;
//! - a shift that crosses midnight is one opening, and ends when written even if the next day is a holiday;
//! - no clock is read: the same question has the same answer for ever.
//!
//! What is not here: what a night makes of an opening (margins, tolerances: `plan/`), overriding a freeze, the custom
//! resource itself (`api/`).

mod hours;
mod instants;
mod zone;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use hours::{HolidayList, Hours};

/// The most local days, and the most freezes, of one calendar.
pub const ENTRIES_MAX: usize = 366;
/// How far ahead a question may look; a longer horizon is cut to this many days.
pub const HORIZON_DAYS_MAX: i64 = 3_660;

/// Years for which a local day without a year is a holiday.
const LOCAL_YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;
/// Days evaluated at a time.
const STRETCH: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Holidays as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holidays {
    /// ISO 3166 code, two capital letters, whose nation-wide public holidays hold.
    pub country: Option<String>,
    /// Days of this place.
    pub local: Vec<LocalHoliday>,
}

/// A day of this town only: a patron saint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalHoliday {
    /// `MM-DD` (every year) or `YYYY-MM-DD` (that year only).
    pub date: String,
    /// What it is called.
    pub name: String,
}

/// A period in which no work may start, as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredFreeze {
    /// Its name, unique in the calendar.
    pub name: String,
    /// First civil day in the calendar's zone, `YYYY-MM-DD`.
    pub from: String,
    /// Last civil day, included, `YYYY-MM-DD`.
    pub until: String,
    /// Why.
    pub reason: String,
    /// The groups whose members may override it.
    pub overridable_by: Vec<String>,
}

/// A period in which no work may start: civil days in the calendar's zone, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Its name.
    pub name: String,
    /// First day.
    pub from: Date,
    /// Last day, included.
    pub until: Date,
    /// Why.
    pub reason: String,
    /// The groups whose members may override it.
    pub overridable_by: Vec<String>,
}

/// One thing that is wrong with a calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct CalendarProblem {
    /// Relative to the calendar's spec: `hours`, `holidays.local[1].date`.
    pub path: String,
    /// What is wrong and what to write.
    pub message: String,
}

/// When doors open, for one kind of office.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    name: String,
    zone: TimeZone,
    hours_written: String,
    hours: Hours,
    holidays: HolidayList,
    freezes: Vec<Freeze>,
}

impl Calendar {
    /// Validates the words of an `OfficeCalendar`. `hours` is in the OpenStreetMap `opening_hours` syntax.
    ///
    /// # Errors
    /// Every problem found, in the order zone, holidays, hours, freezes.
    pub fn new(
        name: &str,
        time_zone: &str,
        hours: &str,
        holidays: &Holidays,
        freezes: Vec<DeclaredFreeze>,
    ) -> Result<Self, Vec<CalendarProblem>> {
        let mut problems = Vec::new();
        let zone = zone::named(time_zone).map_err(|message| problems.push(problem("timeZone", message))).ok();
        let holidays = holiday_list(holidays, &mut problems);
        let parsed = Hours::parse(hours, holidays.as_ref());
        let parsed = parsed.map_err(|said| problems.extend(said.into_iter().map(|message| problem("hours", message)))).ok();
        let freezes = valid_freezes(freezes, &mut problems);
        match (zone, parsed, holidays, problems.is_empty()) {
            (Some(zone), Some(hours_of_days), Some(holidays), true) => {
                Ok(Self { name: name.to_owned(), zone, hours_written: hours.to_owned(), hours: hours_of_days, holidays, freezes })
            }
            _ => Err(problems),
        }
    }

    /// The name of the `OfficeCalendar`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone in which its hours are civil.
    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn time_zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or_default()
    }

    /// The hours as they were written.
    #[must_use]
    pub fn hours(&self) -> &str {
        &self.hours_written
    }

    /// Periods in which no work may start.
    #[must_use]
    pub fn freezes(&self) -> &[Freeze] {
        &self.freezes
    }

    /// Is a door open at this moment? Openings include their first moment and exclude their last.
    #[must_use]
    pub fn is_open_at(&self, t: Timestamp) -> bool {
        let around = instants::openings(&self.hours, &self.zone, t, t);
        around.iter().any(|opening| opening.opens_at <= t && t < opening.closes_at)
    }

    /// The first moment after `t`, and not after `t + horizon`, at which a door goes from closed to open. A calendar
    /// that is open at `t` must close first; one that never closes has none. The horizon is cut to
    /// [`HORIZON_DAYS_MAX`].
    #[must_use]
    pub fn next_opening_after(&self, t: Timestamp, horizon: SignedDuration) -> Option<Timestamp> {
        let end = later(t, horizon.min(horizon_max()));
        stretches(t, end).find_map(|(from, to)| {
            let around = instants::openings(&self.hours, &self.zone, from, to);
            around.iter().map(|opening| opening.opens_at).find(|opens_at| *opens_at > from && *opens_at <= to)
        })
    }

    /// Is a door open at any moment from `from` (included) to `to` (excluded)? `to` is cut to [`HORIZON_DAYS_MAX`]
    /// after `from`; an empty span is never open.
    #[must_use]
    pub fn open_during(&self, from: Timestamp, to: Timestamp) -> bool {
        let end = to.min(later(from, horizon_max()));
        stretches(from, end).any(|(from, to)| {
            let around = instants::openings(&self.hours, &self.zone, from, to);
            around.iter().any(|opening| opening.opens_at < to && opening.closes_at > from)
        })
    }

    /// The first declared freeze that holds on the civil day of `t`.
    #[must_use]
    pub fn frozen_at(&self, t: Timestamp) -> Option<&Freeze> {
        let day = self.civil_day(t);
        self.freezes.iter().find(|freeze| freeze.from <= day && day <= freeze.until)
    }

    /// Is the civil day a public holiday of the country, or a local one?
    #[must_use]
    pub fn is_holiday(&self, day: Date) -> bool {
        self.holidays.contains(day)
    }

    /// The civil day of an instant, in the calendar's zone.
    #[must_use]
    pub fn civil_day(&self, t: Timestamp) -> Date {
        self.zone.to_datetime(t).date()
    }

    /// RFC 3339 with the zone's offset and without its name: `2023-02-10T07:00:00+01:00`.
    #[must_use]
    pub fn display(&self, t: Timestamp) -> String {
        t.display_with_offset(self.zone.to_offset(t)).to_string()
    }
}

fn problem(path: impl Into<String>, message: impl Into<String>) -> CalendarProblem {
    CalendarProblem { path: path.into(), message: message.into() }
}

fn horizon_max() -> SignedDuration {
    SignedDuration::from_hours(24 * HORIZON_DAYS_MAX)
}

fn later(t: Timestamp, by: SignedDuration) -> Timestamp {
    t.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `from..to` in pieces of [`STRETCH`]; none when it is empty.
fn stretches(from: Timestamp, to: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let starts = std::iter::successors(Some(from), |start| Some(later(*start, STRETCH)));
    starts.take_while(move |start| *start < to).map(move |start| (start, later(start, STRETCH).min(to)))
}

/// None when a problem was found.
fn holiday_list(declared: &Holidays, problems: &mut Vec<CalendarProblem>) -> Option<HolidayList> {
    let before = problems.len();
    let national = match &declared.country {
        None => HolidayList::default(),
        Some(code) => HolidayList::of_country(code).unwrap_or_else(|message| {
            problems.push(problem("holidays.country", message));
            HolidayList::default()
        }),
    };
    if declared.local.len() > ENTRIES_MAX {
        problems.push(problem("holidays.local", format!("more than {ENTRIES_MAX} days: keep those that still come")));
        return None;
    }
    let mut days = Vec::new();
    for (index, local) in declared.local.iter().enumerate() {
        match local_days(&local.date) {
            Ok(found) => days.extend(found),
            Err(message) => problems.push(problem(format!("holidays.local[{index}].date"), message)),
        }
    }
    (problems.len() == before).then(|| national.with(days.into_iter()))
}

/// `MM-DD`: that day of every year that has it; `YYYY-MM-DD`: that day.
fn local_days(date: &str) -> Result<Vec<Date>, String> {
    if let Some(day) = iso_day(date) {
        return Ok(vec![day]);
    }
    let days: Vec<Date> = match date.len() {
        5 => LOCAL_YEARS.filter_map(|year| iso_day(&format!("{year}-{date}"))).collect(),
        _ => Vec::new(),
    };
    if days.is_empty() {
        let shown: String = date.chars().take(40).collect();
        return Err(format!(
            "\"{shown}\" is not a day: write \"MM-DD\" for every year, such as \"12-01\", or \"YYYY-MM-DD\" for one"
        ));
    }
    Ok(days)
}

/// Exactly `YYYY-MM-DD`.
fn iso_day(text: &str) -> Option<Date> {
    if text.len() != 10 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return None;
    }
    text.parse().ok()
}

/// The freezes that are valid; the rest become problems.
fn valid_freezes(declared: Vec<DeclaredFreeze>, problems: &mut Vec<CalendarProblem>) -> Vec<Freeze> {
    if declared.len() > ENTRIES_MAX {
        problems.push(problem("freezes", format!("more than {ENTRIES_MAX} freezes: drop those that are past")));
        return Vec::new();
    }
    let mut freezes: Vec<Freeze> = Vec::new();
    for (index, DeclaredFreeze { name, from, until, reason, overridable_by }) in declared.into_iter().enumerate() {
        let path = |field: &str| format!("freezes[{index}].{field}");
        if name.trim().is_empty() {
            problems.push(problem(path("name"), "a freeze has no name: give it one, so that refusals can quote it"));
        } else if freezes.iter().any(|other| other.name == name) {
            problems.push(problem(path("name"), format!("\"{name}\" is the name of an earlier freeze: choose another")));
        }
        let mut day = |field: &str, text: &str| {
            let found = iso_day(text);
            if found.is_none() {
                let shown: String = text.chars().take(40).collect();
                problems.push(problem(path(field), format!("\"{shown}\" is not a day: write it as \"2027-02-09\"")));
            }
            found
        };
        if let (Some(from), Some(until)) = (day("from", &from), day("until", &until)) {
            if until < from {
                problems.push(problem(
                    path("until"),
                    format!("{until} is before {from}: write the last day, included, after the first"),
                ));
            }
            freezes.push(Freeze { name, from, until, reason, overridable_by });
        }
    }
    freezes
}
