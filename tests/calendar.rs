//! When doors open: the facts of DOMAIN.md, clock changes, shifts over midnight.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use jiff::{SignedDuration, Timestamp, civil::Date};
use notturno::model::calendar::{Calendar, DeclaredFreeze, Holidays, LocalHoliday};
use proptest::prelude::*;

fn italy() -> Holidays {
    Holidays { country: Some("IT".to_owned()), local: Vec::new() }
}

fn with_local(date: &str) -> Holidays {
    let local = vec![LocalHoliday { date: date.to_owned(), name: "Sant'Ansano".to_owned() }];
    Holidays { country: Some("IT".to_owned()), local }
}

fn calendar_in(zone: &str, hours: &str) -> Calendar {
    Calendar::new("prova", zone, hours, &italy(), Vec::new()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn rome(hours: &str) -> Calendar {
    calendar_in("Europe/Rome", hours)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn day(text: &str) -> Date {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// The next opening within 30 days, as people read it.
fn next(calendar: &Calendar, t: &str) -> String {
    calendar.next_opening_after(at(t), days(30)).map_or_else(|| "none".to_owned(), |t| calendar.display(t))
}

fn freeze(name: &str, from: &str, until: &str) -> DeclaredFreeze {
    let [name, from, until, reason] = [name, from, until, "opposizione"].map(str::to_owned);
    DeclaredFreeze { name, from, until, reason, overridable_by: vec![] }
}

// Openings of DOMAIN.md

#[test]
fn blood_draws_open_at_a_quarter_past_seven_saturdays_included() {
    let draws = rome("Mo-Sa 07:15-11:00; PH off");
    assert_eq!(next(&draws, "2023-02-10T00:30:00+01:00"), "2023-02-10T07:15:00+01:00");
    assert_eq!(next(&draws, "2023-02-10T11:00:00+01:00"), "2023-02-11T07:15:00+01:00", "Saturday counts");
    assert_eq!(next(&draws, "2023-02-11T11:00:00+01:00"), "2023-02-13T07:15:00+01:00", "Sunday does not");
}

#[test]
fn the_table_of_openings_holds_for_the_night_of_the_tenth_of_february() {
    for (hours, opening) in [
        ("Mo-Fr 07:30-16:30; Sa 07:30-12:30; PH off", "2023-02-10T07:30:00+01:00"),
        ("Mo-Fr 08:00-12:30; PH off", "2023-02-10T08:00:00+01:00"),
        ("Mo-Fr 10:00-18:00; PH off", "2023-02-10T10:00:00+01:00"),
        ("Mo-Su 20:00-08:00", "2023-02-10T20:00:00+01:00"),
        ("24/7", "none"),
    ] {
        assert_eq!(next(&rome(hours), "2023-02-10T00:30:00+01:00"), opening, "{hours}");
    }
}

#[test]
fn the_hospital_desk_closes_earlier_on_saturdays() {
    let cup = rome("Mo-Fr 07:30-16:30; Sa 07:30-12:30; PH off");
    assert!(cup.is_open_at(at("2026-11-27T16:29:59+01:00")));
    assert!(!cup.is_open_at(at("2026-11-27T16:30:00+01:00")));
    assert!(cup.is_open_at(at("2026-11-28T12:29:59+01:00")));
    assert!(!cup.is_open_at(at("2026-11-28T12:30:00+01:00")));
    assert!(!cup.is_open_at(at("2026-11-29T09:00:00+01:00")));
}

#[test]
fn the_opening_is_strictly_after_the_question() {
    let draws = rome("Mo-Sa 07:15-11:00; PH off");
    assert_eq!(next(&draws, "2026-11-25T07:14:59.999+01:00"), "2026-11-25T07:15:00+01:00");
    assert_eq!(next(&draws, "2026-11-25T07:15:00+01:00"), "2026-11-26T07:15:00+01:00");
}

#[test]
fn the_horizon_includes_its_last_moment() {
    let draws = rome("Mo-Sa 07:15-11:00; PH off");
    let t = at("2026-11-25T00:15:00+01:00");
    assert!(draws.next_opening_after(t, SignedDuration::from_hours(7)).is_some());
    assert_eq!(draws.next_opening_after(t, SignedDuration::from_secs(7 * 3600 - 1)), None);
    assert_eq!(draws.next_opening_after(t, SignedDuration::ZERO), None);
    assert_eq!(draws.next_opening_after(t, SignedDuration::from_hours(-7)), None);
}

#[test]
fn an_opening_months_away_is_found() {
    let school = rome("Sep 15 08:00-13:00");
    let found = school.next_opening_after(at("2026-11-25T00:00:00Z"), days(400)).map(|t| school.display(t));
    assert_eq!(found.as_deref(), Some("2027-09-15T08:00:00+02:00"));
}

// Holidays

#[test]
fn the_fourth_of_october_is_a_holiday_from_2026_on() {
    let draws = rome("Mo-Sa 07:15-11:00; PH off");
    assert!(!draws.is_holiday(day("2023-10-04")) && !draws.is_holiday(day("2025-10-04")));
    assert!(draws.is_holiday(day("2026-10-04")) && draws.is_holiday(day("2027-10-04")));
    assert_eq!(next(&draws, "2027-10-04T00:00:00+02:00"), "2027-10-05T07:15:00+02:00", "a Monday");
    assert_eq!(next(&draws, "2023-10-04T00:00:00+02:00"), "2023-10-04T07:15:00+02:00", "an ordinary Wednesday");
}

#[test]
fn easter_monday_is_a_holiday() {
    let draws = rome("Mo-Sa 07:15-11:00; PH off");
    for easter_monday in ["2023-04-10", "2026-04-06", "2027-03-29"] {
        assert!(draws.is_holiday(day(easter_monday)), "{easter_monday}");
    }
    assert_eq!(next(&draws, "2026-04-05T12:00:00+02:00"), "2026-04-07T07:15:00+02:00");
}

#[test]
fn a_patron_day_closes_one_town_and_not_the_next() {
    let siena = Calendar::new("siena", "Europe/Rome", "Mo-Sa 07:15-11:00; PH off", &with_local("12-01"), Vec::new()).unwrap();
    let elsewhere = rome("Mo-Sa 07:15-11:00; PH off");
    for year in [2026, 2027, 2050] {
        assert!(siena.is_holiday(day(&format!("{year}-12-01"))));
    }
    assert_eq!(next(&siena, "2026-12-01T00:00:00+01:00"), "2026-12-02T07:15:00+01:00");
    assert_eq!(next(&elsewhere, "2026-12-01T00:00:00+01:00"), "2026-12-01T07:15:00+01:00");
}

#[test]
fn a_local_day_with_a_year_holds_in_that_year_only() {
    let once = Calendar::new("x", "Europe/Rome", "Mo-Sa 07:15-11:00; PH off", &with_local("2026-12-02"), Vec::new()).unwrap();
    assert!(once.is_holiday(day("2026-12-02")) && !once.is_holiday(day("2027-12-02")));
}

#[test]
fn local_days_are_enough_without_a_country() {
    let holidays = Holidays { country: None, ..with_local("02-29") };
    let rare = Calendar::new("x", "Europe/Rome", "Mo-Su 08:00-12:00; PH off", &holidays, Vec::new()).unwrap();
    assert!(rare.is_holiday(day("2028-02-29")) && !rare.is_holiday(day("2027-12-25")));
    assert_eq!(next(&rare, "2028-02-29T00:00:00+01:00"), "2028-03-01T08:00:00+01:00");
}

#[test]
fn holidays_can_open_doors_too() {
    let duty = rome("Su,PH 00:00-24:00");
    assert_eq!(next(&duty, "2026-12-06T12:00:00+01:00"), "2026-12-08T00:00:00+01:00", "the Immaculate Conception");
    assert!(duty.is_open_at(at("2026-12-25T23:59:59+01:00")) && duty.is_open_at(at("2026-12-26T00:00:00+01:00")));
    assert_eq!(next(&duty, "2026-12-25T00:00:00+01:00"), "2027-01-01T00:00:00+01:00", "25, 26 and Sunday 27 are one opening");
}

// Over midnight

#[test]
fn the_night_doctor_is_open_across_midnight_without_a_new_opening() {
    let doctor = rome("Mo-Su 20:00-08:00");
    assert!(doctor.is_open_at(at("2026-11-25T00:00:00+01:00")));
    assert!(!doctor.is_open_at(at("2026-11-25T08:00:00+01:00")));
    for asked in ["2026-11-24T19:59:00+01:00", "2026-11-24T20:00:00+01:00", "2026-11-24T23:59:00+01:00"] {
        assert_ne!(next(&doctor, asked), "2026-11-25T00:00:00+01:00");
    }
    assert_eq!(next(&doctor, "2026-11-24T20:00:00+01:00"), "2026-11-25T20:00:00+01:00");
}

#[test]
fn a_shift_ends_when_written_even_if_the_next_day_has_its_own_rule() {
    let doctor = rome("Mo-Fr 20:00-08:00; Sa 10:00-12:00; PH off");
    assert!(doctor.is_open_at(at("2026-11-28T07:59:00+01:00")), "Friday's shift on Saturday");
    assert_eq!(next(&doctor, "2026-11-28T01:00:00+01:00"), "2026-11-28T10:00:00+01:00");
    assert!(doctor.is_open_at(at("2026-12-25T07:59:00+01:00")), "the shift of the 24th on Christmas morning");
    assert_eq!(next(&doctor, "2026-12-25T12:00:00+01:00"), "2026-12-28T20:00:00+01:00");
}

#[test]
fn a_shift_that_never_began_does_not_begin_at_midnight() {
    let doctor = rome("Mo-Su 20:00-08:00; We off");
    assert_eq!(next(&doctor, "2026-11-25T08:00:00+01:00"), "2026-11-26T20:00:00+01:00");
    assert!(!doctor.is_open_at(at("2026-11-26T00:00:00+01:00")));
}

#[test]
fn a_replaced_shift_ends_as_its_replacement_says() {
    let bar = rome("Mo-Su 20:00-08:00; Fr 20:00-02:00");
    assert!(!bar.is_open_at(at("2026-11-28T02:00:00+01:00")));
    assert!(bar.is_open_at(at("2026-11-27T07:00:00+01:00")), "Thursday's shift is not replaced");
    let added = rome("Mo-Su 20:00-02:00, Fr 22:00-08:00");
    assert!(added.is_open_at(at("2026-11-28T07:00:00+01:00")));
}

#[test]
fn hours_past_twenty_four_are_the_next_morning() {
    let extended = rome("Fr 20:00-32:00");
    assert!(extended.is_open_at(at("2026-11-28T07:59:00+01:00")) && !extended.is_open_at(at("2026-11-28T08:00:00+01:00")));
    let two_days = rome("Fr 00:00-48:00; Su 09:00-10:00");
    assert!(two_days.is_open_at(at("2026-11-28T23:59:00+01:00")) && !two_days.is_open_at(at("2026-11-29T00:00:00+01:00")));
}

#[test]
fn always_open_never_opens() {
    for hours in ["24/7", "Mo-Su 00:00-24:00", "00:00-24:00", "Mo-Su 08:00-08:00"] {
        let always = rome(hours);
        assert!(always.is_open_at(at("2026-03-29T01:30:00Z")));
        assert_eq!(always.next_opening_after(at("2026-01-01T00:00:00Z"), days(400)), None, "{hours}");
    }
    assert_eq!(rome("off").next_opening_after(at("2026-01-01T00:00:00Z"), days(400)), None);
}

#[test]
fn a_closing_that_is_also_an_opening_is_neither() {
    let split = rome("Mo-Fr 08:00-10:00, Mo-Fr 10:00-12:00");
    assert_eq!(next(&split, "2026-11-25T09:00:00+01:00"), "2026-11-26T08:00:00+01:00");
}

#[test]
fn what_nobody_knows_counts_as_open() {
    let perhaps = rome("Mo-Fr 08:00-12:00; Sa 08:00-12:00 unknown");
    assert_eq!(next(&perhaps, "2026-11-27T13:00:00+01:00"), "2026-11-28T08:00:00+01:00");
    assert!(rome("\"on appointment\"").is_open_at(at("2026-11-27T03:00:00+01:00")));
}

// Clock changes

#[test]
fn in_spring_an_opening_in_the_missing_hour_happens_at_the_jump() {
    let early = rome("Mo-Su 02:30-11:00");
    assert_eq!(next(&early, "2026-03-29T00:00:00+01:00"), "2026-03-29T03:00:00+02:00");
    assert_eq!(next(&early, "2026-03-28T00:00:00+01:00"), "2026-03-28T02:30:00+01:00", "the day before is ordinary");
    assert_eq!(next(&rome("Mo-Su 02:00-11:00"), "2026-03-29T00:00:00+01:00"), "2026-03-29T03:00:00+02:00");
}

#[test]
fn in_spring_a_closing_in_the_missing_hour_keeps_the_doors_open_longer() {
    let late = rome("Mo-Su 20:00-02:30");
    assert!(late.is_open_at(at("2026-03-29T03:29:59+02:00")) && !late.is_open_at(at("2026-03-29T03:30:00+02:00")));
    let inside = rome("Mo-Su 02:10-02:40");
    assert_eq!(next(&inside, "2026-03-29T00:00:00+01:00"), "2026-03-29T03:00:00+02:00", "it does not vanish");
}

#[test]
fn in_autumn_an_opening_in_the_repeated_hour_takes_the_first() {
    let early = rome("Mo-Su 02:30-11:00");
    assert_eq!(next(&early, "2026-10-25T00:00:00+02:00"), "2026-10-25T02:30:00+02:00");
    assert!(early.is_open_at(at("2026-10-25T02:10:00+01:00")), "the second 02:10 is inside");
    assert_eq!(next(&early, "2026-10-25T02:30:00+02:00"), "2026-10-26T02:30:00+01:00", "and it opens once");
}

#[test]
fn in_autumn_a_closing_in_the_repeated_hour_takes_the_second() {
    let late = rome("Mo-Su 20:00-02:30");
    assert!(late.is_open_at(at("2026-10-25T02:29:59+01:00")) && !late.is_open_at(at("2026-10-25T02:30:00+01:00")));
    let pause = rome("Mo-Su 01:00-02:10,02:40-04:00");
    assert!(pause.is_open_at(at("2026-10-25T02:20:00+02:00")), "a pause inside the repeated hour is no pause");
}

#[test]
fn openings_after_a_clock_change_keep_their_civil_time() {
    let draws = rome("Mo-Su 07:15-11:00");
    assert_eq!(next(&draws, "2026-03-28T22:00:00+01:00"), "2026-03-29T07:15:00+02:00");
    assert_eq!(next(&draws, "2026-10-24T22:00:00+02:00"), "2026-10-25T07:15:00+01:00");
}

#[test]
fn zones_other_than_rome_are_their_own() {
    assert_eq!(next(&calendar_in("America/New_York", "Mo-Fr 09:00-17:00"), "2026-11-25T00:00:00Z"), "2026-11-25T09:00:00-05:00");
    assert_eq!(next(&calendar_in("Asia/Kathmandu", "Mo-Fr 09:00-17:00"), "2026-11-25T00:00:00Z"), "2026-11-25T09:00:00+05:45");
    assert_eq!(next(&calendar_in("UTC", "Mo-Fr 09:00-17:00"), "2026-11-25T00:00:00Z"), "2026-11-25T09:00:00+00:00");
    // Half an hour of change, and a whole civil day that never was.
    assert_eq!(next(&calendar_in("Australia/Lord_Howe", "02:10-03:00"), "2026-10-03T12:00:00Z"), "2026-10-04T02:30:00+11:00");
    assert_eq!(next(&calendar_in("Pacific/Apia", "Fr 08:00-17:00"), "2011-12-30T08:00:00Z"), "2011-12-31T00:00:00+14:00");
    // The clock jumps at midnight.
    assert_eq!(next(&calendar_in("Africa/Cairo", "Mo-Fr 00:00-10:00"), "2026-04-23T12:00:00Z"), "2026-04-24T01:00:00+03:00");
    assert!(calendar_in("Africa/Cairo", "24/7").next_opening_after(at("2026-04-20T00:00:00Z"), days(10)).is_none());
}

// open_during, freezes, display

#[test]
fn a_span_is_open_if_any_moment_of_it_is() {
    let draws = rome("Mo-Sa 07:15-11:00; PH off");
    let during = |from: &str, to: &str| draws.open_during(at(from), at(to));
    assert!(!during("2026-11-25T00:00:00+01:00", "2026-11-25T07:15:00+01:00"), "the end is not included");
    assert!(during("2026-11-25T00:00:00+01:00", "2026-11-25T07:15:00.001+01:00"));
    assert!(!during("2026-11-25T11:00:00+01:00", "2026-11-26T07:15:00+01:00"));
    assert!(during("2026-11-25T10:59:59+01:00", "2026-11-25T12:00:00+01:00"));
    assert!(during("2026-11-25T08:00:00+01:00", "2026-11-25T08:00:01+01:00"));
    assert!(during("2026-11-25T00:00:00+01:00", "2027-11-25T00:00:00+01:00"));
    assert!(!during("2026-11-25T08:00:00+01:00", "2026-11-25T08:00:00+01:00"), "an empty span");
    assert!(!during("2026-11-25T09:00:00+01:00", "2026-11-25T08:00:00+01:00"), "a span backwards");
}

#[test]
fn a_freeze_holds_from_its_first_civil_day_to_the_end_of_its_last() {
    let freezes = vec![freeze("opposizione-730", "2027-02-09", "2027-03-08"), freeze("bilancio", "2027-03-08", "2027-03-10")];
    let archive = Calendar::new("archivio", "Europe/Rome", "Mo-Fr 08:00-12:00", &italy(), freezes).unwrap();
    let frozen = |t: &str| archive.frozen_at(at(t)).map(|freeze| freeze.name.as_str());
    assert_eq!(frozen("2027-02-08T23:59:59+01:00"), None);
    assert_eq!(frozen("2027-02-09T00:00:00+01:00"), Some("opposizione-730"));
    assert_eq!(frozen("2027-02-08T23:30:00Z"), Some("opposizione-730"), "civil days of the zone, not of UTC");
    assert_eq!(frozen("2027-03-08T23:59:59+01:00"), Some("opposizione-730"));
    assert_eq!(frozen("2027-03-09T00:00:00+01:00"), Some("bilancio"));
    assert_eq!(frozen("2027-03-11T00:00:00+01:00"), None);
}

#[test]
fn moments_are_shown_with_their_offset_and_no_zone_name() {
    assert_eq!(rome("24/7").display(at("2023-02-10T06:00:00Z")), "2023-02-10T07:00:00+01:00");
    assert_eq!(rome("24/7").display(at("2026-07-10T06:00:00Z")), "2026-07-10T08:00:00+02:00");
    assert_eq!(rome("24/7").time_zone_name(), "Europe/Rome");
}

#[test]
fn the_ends_of_time_are_answered_too() {
    // The last moment lies on a Thursday: no door opens on the Friday after it.
    for hours in ["24/7", "Mo-Su 20:00-08:00; PH off", "Fr 00:00-48:00"] {
        let calendar = rome(hours);
        for t in [Timestamp::MIN, Timestamp::MAX] {
            let _ = (calendar.is_open_at(t), calendar.frozen_at(t), calendar.display(t));
            let _ = calendar.next_opening_after(t, SignedDuration::MAX);
            let _ = calendar.open_during(t, Timestamp::MAX);
        }
        let mut t = at("9999-12-20T12:00:00Z");
        while let Some(opens_at) = calendar.next_opening_after(t, days(30)) {
            assert!(opens_at > t && calendar.is_open_at(opens_at), "{hours}: {}", calendar.display(opens_at));
            t = opens_at;
        }
    }
}

// Properties

const ZONES: [&str; 6] =
    ["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "America/Santiago"];

fn hours_pieces() -> impl Strategy<Value = String> {
    let days = prop::sample::select(vec![
        "Mo-Fr",
        "Sa",
        "Su",
        "Mo-Su",
        "PH",
        "Su,PH",
        "Fr",
        "Mar 25-Apr 2",
        "Oct Su[-1]",
        "week 1-53/2",
    ]);
    let times = (0_u16..24, 0_u16..60, 1_u16..48, 0_u16..60)
        .prop_map(|(h, m, end, minute)| format!("{h:02}:{m:02}-{end:02}:{:02}", if end == 48 { 0 } else { minute }));
    let rule = (days, times, prop::sample::select(vec!["", "", "", " unknown", " \"nota\""]))
        .prop_map(|(days, times, kind)| format!("{days} {times}{kind}"));
    let off =
        prop::sample::select(vec!["", "; PH off", "; We off", "; Tu 03:00-05:00 off", ", Th 22:00-06:00", " || Sa 09:00-10:00"]);
    (prop::collection::vec(rule, 1..4), off).prop_map(|(rules, off)| rules.join("; ") + off)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn the_next_opening_goes_from_closed_to_open_and_nothing_opens_before_it(
        hours in hours_pieces(),
        zone in prop::sample::select(ZONES.to_vec()),
        seconds in 1_735_689_600_i64..1_830_297_600,
    ) {
        let calendar = Calendar::new("p", zone, &hours, &italy(), Vec::new());
        let calendar = calendar.map_err(|problems| TestCaseError::fail(format!("{hours}: {problems:?}")))?;
        let t = Timestamp::from_second(seconds).unwrap();
        let horizon = days(10);
        let tick = SignedDuration::from_millis(1);
        let next = calendar.next_opening_after(t, horizon);
        if let Some(next) = next {
            prop_assert!(next > t && next <= t + horizon);
            prop_assert!(calendar.is_open_at(next), "{} not open at {}", hours, calendar.display(next));
            prop_assert!(!calendar.is_open_at(next - tick), "{} open just before {}", hours, calendar.display(next));
            prop_assert!(!calendar.open_during(next - tick, next));
        }
        let mut was_open = calendar.is_open_at(t);
        let step = SignedDuration::from_mins(47);
        let mut probe = t + step;
        // What opens beyond the horizon was not asked for.
        while probe <= t + horizon {
            let open = calendar.is_open_at(probe);
            if open && !was_open {
                prop_assert!(next.is_some_and(|next| next <= probe), "{} opened by {}", hours, calendar.display(probe));
                break;
            }
            was_open = open;
            probe += step;
        }
    }
}
