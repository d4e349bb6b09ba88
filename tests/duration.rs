//! Durations as people write them, and as we print them back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use jiff::SignedDuration;
use notturno::model::duration::{DurationProblem, format, parse, short};
use proptest::prelude::*;

fn millis(text: &str) -> i128 {
    parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}")).as_millis()
}

fn words(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn go_syntax_is_read() {
    for (text, expected) in [
        ("1h30m", 5_400_000),
        ("90m", 5_400_000),
        ("1.5h", 5_400_000),
        ("1h30m0s", 5_400_000),
        ("100ms", 100),
        ("0", 0),
        ("0s", 0),
        ("0h", 0),
        ("+45m", 2_700_000),
        (".5s", 500),
        ("1.s", 1_000),
        ("2000us", 2),
        ("2000µs", 2),
        ("2000μs", 2),
        ("3000000ns", 3),
        ("1.500000000000000000000s", 1_500),
        ("10000h", 36_000_000_000),
    ] {
        assert_eq!(millis(text), expected, "{text}");
    }
}

#[test]
fn a_number_without_a_unit_is_refused_with_the_two_readings() {
    assert_eq!(words("90"), "\"90\" has no unit: write 90m or 90s");
    assert_eq!(words("1.5"), "\"1.5\" has no unit: write 1.5m or 1.5s");
}

#[test]
fn negative_spans_are_refused() {
    assert_eq!(words("-5m"), "\"-5m\" is negative: budgets cannot be negative");
    assert_eq!(words("-0s"), "\"-0s\" is negative: budgets cannot be negative");
}

#[test]
fn days_are_refused_because_they_are_not_elapsed_time() {
    for text in ["1d", "1w", "1d12h", "2days"] {
        let said = words(text);
        assert!(said.contains("days are not elapsed time here") && said.ends_with("write 24h"), "{said}");
    }
}

#[test]
fn the_rest_is_refused_with_what_to_write() {
    assert_eq!(words(""), "a duration is missing: write one such as 1h30m, 45m or 90s");
    assert_eq!(words("1h 30m"), "\"1h 30m\" contains a space: write it in one piece, such as 1h30m");
    assert!(words("1H").contains("unknown unit \"H\""));
    for text in ["1h30", "m", "h30m", "1h.m"] {
        assert!(matches!(parse(text), Err(DurationProblem::NotADuration { .. })), "{text}: {}", words(text));
    }
    assert!(words("1500us").contains("finer than a millisecond"));
    assert!(words("0.00001s").contains("finer than a millisecond"));
    assert!(words("1.0000000000000001h").contains("finer than a millisecond"));
    for text in ["10000h1ms", "10001h", "99999999999999999999h", "340282366920938463463374607431768211455h"] {
        assert!(words(text).contains("longer than 10,000 hours"), "{text}");
    }
    for text in ["h", ".", ".h", "..1s", "1.2.3s", "1h30", "PT1H", "+", "1h-30m", "m1", "∞h"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_hostile_text_is_quoted_only_in_part() {
    let said = words(&"9".repeat(1_000_000));
    assert!(said.len() < 200, "{}", said.len());
}

#[test]
fn printing_is_gos() {
    for (ms, expected) in [
        (5_400_000, "1h30m0s"),
        (900_000, "15m0s"),
        (0, "0s"),
        (1_500, "1.5s"),
        (100, "100ms"),
        (3_600_000, "1h0m0s"),
        (61_001, "1m1.001s"),
        (-90_000, "-1m30s"),
        (36_000_000_000, "10000h0m0s"),
    ] {
        assert_eq!(format(SignedDuration::from_millis(ms)), expected);
    }
    assert_eq!(format(SignedDuration::from_nanos(1)), "1ns");
    assert_eq!(format(SignedDuration::from_nanos(1_500)), "1.5µs");
    assert_eq!(format(SignedDuration::from_nanos(1_000_001)), "1.000001ms");
}

#[test]
fn people_are_spared_the_zeros() {
    for (ms, expected) in [
        (5_400_000, "1h30m"),
        (90_000, "1m30s"),
        (2_700_000, "45m"),
        (7_200_000, "2h"),
        (3_630_000, "1h0m30s"),
        (0, "0s"),
        (10_000, "10s"),
        (36_600_000, "10h10m"),
        (600_000, "10m"),
        (72_000_000, "20h"),
    ] {
        assert_eq!(short(SignedDuration::from_millis(ms)), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_back(ms in 0_i64..=36_000_000_000) {
        let span = SignedDuration::from_millis(ms);
        prop_assert_eq!(parse(&format(span)), Ok(span));
        prop_assert_eq!(parse(&short(span)), Ok(span));
    }

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_durationlike_text_gets_an_answer_within_bounds(text in "[-+]?([0-9]{0,30}\\.?[0-9]{0,20}(h|m|s|ms|us|µs|ns|d| )?){0,3}") {
        match parse(&text) {
            Ok(span) => prop_assert!(!span.is_negative() && span.as_hours() <= 10_000),
            Err(DurationProblem::Empty) => prop_assert!(text.is_empty()),
            Err(problem) => prop_assert!(problem.to_string().contains('"')),
        }
    }
}
