//! Calendars that are refused: with every problem at once, its field path, and what to write instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use jiff::{SignedDuration, Timestamp};
use notturno::model::calendar::{Calendar, CalendarProblem, DeclaredFreeze, Holidays, LocalHoliday};
use proptest::prelude::*;

fn italy() -> Holidays {
    Holidays { country: Some("IT".to_owned()), local: Vec::new() }
}

#[allow(clippy::needless_pass_by_value, reason = "short to call")]
fn problems(zone: &str, hours: &str, holidays: Holidays, freezes: Vec<DeclaredFreeze>) -> Vec<CalendarProblem> {
    Calendar::new("prova", zone, hours, &holidays, freezes).expect_err(hours)
}

fn hours_problem(hours: &str) -> String {
    let found = problems("Europe/Rome", hours, italy(), Vec::new());
    assert_eq!(found[0].path, "hours");
    found[0].message.clone()
}

fn freeze(name: &str, from: &str, until: &str) -> DeclaredFreeze {
    let [name, from, until, reason] = [name, from, until, "opposizione"].map(str::to_owned);
    DeclaredFreeze { name, from, until, reason, overridable_by: vec![] }
}

#[test]
fn what_is_accepted_is_told_as_it_was_written() {
    let accepted = Calendar::new("prova", "Europe/Rome", "Mo-Fr 07:30-16:30", &italy(), Vec::new()).expect("it is good");
    assert_eq!((accepted.hours(), accepted.time_zone_name()), ("Mo-Fr 07:30-16:30", "Europe/Rome"));
}

#[test]
fn an_unknown_zone_is_refused_with_a_hint() {
    for (zone, message) in [
        ("Europe/Roma", "unknown time zone \"Europe/Roma\": did you mean Europe/Rome?"),
        ("Rome", "unknown time zone \"Rome\": did you mean Europe/Rome?"),
        ("europe/rome", "time zone \"europe/rome\" is spelled Europe/Rome"),
        ("", "the time zone is missing: write an IANA name, such as Europe/Rome; there is no default"),
        ("Etc/Unknown", "\"Etc/Unknown\" is no place: write the IANA name of the offices' zone, such as Europe/Rome"),
        (
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "unknown time zone \"CET-1CEST,M3.5.0,M10.5.0/3\": write an IANA name, such as Europe/Rome (no offsets, no \
             POSIX rules); there is no default",
        ),
    ] {
        let found = problems(zone, "24/7", italy(), Vec::new());
        assert_eq!(found, [CalendarProblem { path: "timeZone".to_owned(), message: message.to_owned() }]);
    }
    for zone in ["+01:00", "etc/unknown", "Local", "../etc/passwd", "Europe/Rome ", "Europe/Rome\0"] {
        assert_eq!(problems(zone, "24/7", italy(), Vec::new())[0].path, "timeZone", "{zone:?}");
    }
    assert!(problems(&"x/".repeat(1_000_000), "24/7", italy(), Vec::new())[0].message.len() < 300);
}

#[test]
fn bad_hours_are_refused_with_the_parsers_words_and_what_to_do() {
    let said = hours_problem("Lu-Ve 08:00-12:00");
    assert!(said.starts_with("cannot read \"Lu-Ve 08:00-12:00\": expected "), "{said}");
    assert!(said.contains(" at character 1; write the hours in the OpenStreetMap opening_hours syntax, such as "), "{said}");
    for (written, meant) in [
        ("Mo-Fr 8-13", "Mo-Fr 08:00-13:00"),
        ("Mo-Fr 8.30 - 13; Sa 9-12:30; PH off", "Mo-Fr 08:30-13:00; Sa 09:00-12:30; PH off"),
        ("Mo-Fr 8 to 18", "Mo-Fr 08:00-18:00"),
        ("8–13", "08:00-13:00"),
    ] {
        let said = hours_problem(written);
        assert!(said.ends_with(&format!("; hours are written with their minutes, \"{meant}\"")), "{said}");
    }
    // What would make no sense with minutes either.
    assert!(hours_problem("Mo-Fr 8-99").contains("such as \"Mo-Fr 07:30-16:30"));
    assert!(hours_problem("Mo-Fr 08:00").contains("expected a closing time at character 12"));
    assert!(hours_problem("2030-2020 Mo").contains("do you mean '2020-2030'?"));
    assert_eq!(
        hours_problem(" "),
        "opening hours are missing: write them as \"Mo-Fr 07:30-16:30; Sa 07:30-12:30; PH off\", or 24/7"
    );
    assert!(hours_problem(&"Mo 08:00-09:00; ".repeat(100)).contains("longer than 1024 characters"));
}

#[test]
fn what_could_only_be_guessed_at_is_refused() {
    assert!(hours_problem("sunrise-sunset").contains("depends on the sun"));
    assert!(hours_problem("Mo-Fr (dawn+01:00)-12:00").contains("depends on the sun"));
    for repeated in ["10:00-16:00/24:00", "Mo 8-13/24:00", "10:00-16:00 / 24:00; PH off"] {
        assert!(hours_problem(repeated).contains("24:00\" repeats moments instead of opening"), "{repeated}");
    }
    let in_a_comment = Calendar::new("prova", "Europe/Rome", "Mo 08:00-12:00 \"sala 3/24:00\"", &italy(), Vec::new());
    assert!(in_a_comment.is_ok(), "{in_a_comment:?}");
    assert!(hours_problem("Mo-Fr 17:00+").contains("has no closing time"));
    assert!(hours_problem("Mo-Fr 17:00-20:00+").contains("has no closing time"));
    assert!(hours_problem("Mo-Fr 10:00-16:00/01:30").contains("repeats moments"));
    assert!(hours_problem("Mo-Su 18:00-10:00; Fr 22:00-06:00 off").contains("closes across midnight"));
    assert!(hours_problem("SH off").contains("no school holidays are known"));
}

#[test]
fn holidays_that_are_used_must_be_declared() {
    let found = problems("Europe/Rome", "Mo-Fr 08:00-12:00; PH off", Holidays::default(), Vec::new());
    assert_eq!(
        found[0].to_string(),
        "hours: \"PH\" is used, but no public holiday is declared: add holidays.country or holidays.local"
    );
    assert!(Calendar::new("x", "Europe/Rome", "Mo-Fr 08:00-12:00", &Holidays::default(), Vec::new()).is_ok());
}

#[test]
fn an_unknown_country_is_refused() {
    for country in ["Italy", "it", "ZZ", ""] {
        let holidays = Holidays { country: Some(country.to_owned()), local: Vec::new() };
        let found = problems("Europe/Rome", "Mo-Fr 08:00-12:00; PH off", holidays, Vec::new());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].path, "holidays.country");
        let expected = format!("unknown country \"{country}\": write the two capital letters of ISO 3166, such as IT");
        assert!(found[0].message.starts_with(&expected), "{}", found[0]);
    }
}

#[test]
fn everything_wrong_is_said_at_once_with_its_path() {
    let local = ["12-01", "31-12", "2026-02-30", "1-12", "--12-01", "02-30"]
        .map(|date| LocalHoliday { date: date.to_owned(), name: String::new() });
    let holidays = Holidays { country: Some("XX".to_owned()), local: local.to_vec() };
    let freezes = vec![
        freeze("a", "2027-02-09", "2027-02-08"),
        freeze("a", "domani", "2027-02-30"),
        freeze("", "2027-02-09", "2027-02-09"),
    ];
    let found = problems("Europe/Roma", "Mo-Fr 8", holidays, freezes);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "timeZone",
            "holidays.country",
            "holidays.local[1].date",
            "holidays.local[2].date",
            "holidays.local[3].date",
            "holidays.local[4].date",
            "holidays.local[5].date",
            "hours",
            "freezes[0].until",
            "freezes[1].name",
            "freezes[1].from",
            "freezes[1].until",
            "freezes[2].name",
        ]
    );
    assert_eq!(found[8].message, "2027-02-08 is before 2027-02-09: write the last day, included, after the first");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_as_hours_gets_an_answer(text in "\\PC{0,60}") {
        let _ = Calendar::new("p", "Europe/Rome", &text, &italy(), Vec::new());
    }

    #[test]
    fn any_hourslike_text_gets_an_answer(
        text in "((Mo|Su-We|PH|SH|24/7|easter|Feb 30|2026|week 53|off|unknown|Fr\\[-1\\]) ?(00:00|24:00|26:30|48:00|9:59|sunset)?-?(24:00|48:00|07:00)?[;,+/|\" -]{0,3}){1,4}",
        seconds in -10_000_000_000_i64..100_000_000_000,
    ) {
        if let Ok(calendar) = Calendar::new("p", "Europe/Rome", &text, &italy(), Vec::new()) {
            let t = Timestamp::from_second(seconds).unwrap();
            let _ = calendar.is_open_at(t);
            let _ = calendar.next_opening_after(t, SignedDuration::from_hours(720));
        }
    }
}
