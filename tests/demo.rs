//! `notturno demo`: every branch of the night of 9 February 2023, by the operator's own code, through the binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::process::Command;

use serde_json::Value;

fn demo(arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_notturno")).arg("demo").args(["-o", "json"]).args(arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing but the report");
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

fn at(clock: &str) -> Value {
    Value::from(format!("2023-02-10T{clock}:00+01:00"))
}

/// The first entry of the timeline with this name, as `HH:MM:SS`.
fn first(report: &Value, what: &str) -> Option<String> {
    let line = report["timeline"].as_array().unwrap().iter().find(|line| line["what"] == what)?;
    Some(line["at"].as_str().unwrap()[11..19].to_owned())
}

fn service<'a>(report: &'a Value, name: &str) -> &'a Value {
    let wanted = format!("sanita/{name}");
    report["services"].as_array().unwrap().iter().find(|service| service["name"] == wanted.as_str()).unwrap()
}

fn says(report: &Value, words: &str) -> bool {
    report["timeline"].as_array().unwrap().iter().any(|line| line["why"].as_str().unwrap().contains(words))
}

#[test]
fn as_planned_the_work_is_done_and_open_at_five() {
    let (code, report) = demo(&["--as-planned"]);
    assert_eq!((code, &report["outcome"], &report["openAt"]), (0, &Value::from("Completed"), &at("05:00")));
    assert_eq!(report["mustServeBy"], at("07:00"));
    assert_eq!(first(&report, "committed").as_deref(), Some("04:30:00"));
    assert_eq!(first(&report, "goingBack"), None);
}

#[test]
fn a_hanging_upgrade_is_turned_back_at_four_and_open_at_a_quarter_to_six() {
    let (code, report) = demo(&[]);
    assert_eq!((code, &report["outcome"], &report["openAt"]), (0, &Value::from("RolledBack"), &at("05:45")));
    assert_eq!(first(&report, "overrun").as_deref(), Some("03:30:00"));
    assert_eq!(first(&report, "goingBack").as_deref(), Some("04:00:00"));
    assert_eq!(first(&report, "undoDone").as_deref(), Some("05:00:00"));
    assert_eq!(first(&report, "smokeDone").as_deref(), Some("05:15:00"));
    assert!(report["services"].as_array().unwrap().iter().all(|service| service["state"] == "Open"), "{report}");
}

#[test]
fn a_slower_restore_uses_the_reserve_and_says_so() {
    for (takes, open, code, outcome) in [
        ("115m", "06:40", 0, "RolledBack"),
        ("116m", "06:41", 0, "RolledBack"),
        ("135m", "07:00", 0, "RolledBack"),
        ("136m", "07:01", 1, "ReopenedLate"),
    ] {
        let (exit, report) = demo(&["--restore-takes", takes]);
        assert_eq!((exit, &report["openAt"], &report["outcome"]), (code, &at(open), &Value::from(outcome)), "{takes}");
    }
    let (_, report) = demo(&["--restore-takes", "116m"]);
    assert!(says(&report, "1m after reopen-by: so much of the reserve is used"), "{report}");
    assert_eq!(service(&report, "archivio-730")["openAt"], at("06:11"), "untouched, so from 06:10 on");
    let (_, report) = demo(&["--restore-takes", "115m"]);
    assert!(!says(&report, "of the reserve is used"));
}

#[test]
fn an_extension_is_given_up_to_the_turn_back_moment_only() {
    let (code, report) = demo(&["--extend-to", "04:55"]);
    assert_eq!((code, &report["openAt"]), (0, &at("06:40")));
    assert_eq!(first(&report, "goingBack").as_deref(), Some("04:55:00"));
    assert!(says(&report, "the night will turn back when this step ends"));
    let (code, report) = demo(&["--extend-to", "05:10"]);
    assert_eq!((code, &report["openAt"]), (0, &at("05:45")));
    assert!(says(&report, "05:10 + undo 1h + smoke 15m + reopen 30m + reserve 20m = 07:15, mustServeBy 07:00"));
}

#[test]
fn a_restore_that_fails_leaves_what_it_touched_closed_as_declared_and_says_so_with_exit_one() {
    let (code, report) = demo(&["--undo-fails"]);
    assert_eq!((code, &report["outcome"], &report["needsHuman"]), (1, &Value::from("NeedsHuman"), &Value::from(true)));
    assert_eq!(first(&report, "undoFailed").as_deref(), Some("04:40:00"));
    assert_eq!(first(&report, "heldClosed").as_deref(), Some("06:10:00"));
    for held in ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica"] {
        assert_eq!(service(&report, held).get("openAt"), None, "{held}");
    }
    for open in ["archivio-730", "portale-ts"] {
        assert_eq!(service(&report, open)["openAt"], at("06:11"), "{open}");
    }
    assert!(says(&report, "Accesso diretto per i prelievi urgenti"), "what people do instead");
    let both = "sanita/cup works only in part while sanita/ricetta-elettronica, sanita/anagrafe-assistiti stay closed; instead: ";
    assert!(says(&report, both) && says(&report, "sanita/portale-ts works only in part while sanita/accesso-ts stays closed"));
    let missed = "it is 07:00 and not open: sanita/anagrafe-assistiti, sanita/accesso-ts, sanita/ricetta-elettronica; open only in \
                  part: sanita/cup, sanita/zerocode, sanita/portale-ts";
    assert!(says(&report, missed), "{report}");
}

#[test]
fn what_works_only_in_part_is_told_in_the_same_words_from_the_first_line_to_the_last() {
    let output = Command::new(env!("CARGO_BIN_EXE_notturno")).args(["demo", "--undo-fails"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |name: &str| text.lines().rfind(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    for (name, words) in [
        ("cup", "  closed 01:56, then in part         Degraded"),
        ("portale-ts", "  closed 01:01, in part 06:11        Degraded"),
        ("accesso-ts", "  closed 01:56, not open again       Dirty"),
        ("archivio-730", "  closed 01:01, open 06:11 ( 5h10m)  Open"),
    ] {
        assert!(row(name).ends_with(words), "{name}: {}", row(name));
    }
    let verdict = text.lines().last().unwrap();
    assert!(
        verdict.ends_with(
            "at 07:00 these were closed: accesso-ts, anagrafe-assistiti, ricetta-elettronica; these worked only in part: cup, \
             portale-ts, zerocode"
        ),
        "{verdict}"
    );
}

#[test]
fn an_extension_that_leaves_nothing_for_the_rest_says_so() {
    let (_, report) = demo(&["--extend-to", "04:55"]);
    assert!(says(&report, "the work will not fit: the later steps have no time left: the night will turn back"), "{report}");
    assert!(!says(&report, "≤ 0s"));
}

#[test]
fn the_same_night_played_twice_is_the_same_to_the_byte() {
    assert_eq!(demo(&[]).1.to_string(), demo(&[]).1.to_string());
}

#[test]
fn the_story_is_plain_in_a_pipe_and_compares_with_the_night_as_it_happened() {
    let output = Command::new(env!("CARGO_BIN_EXE_notturno")).arg("demo").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\u{1b}'), "no colour in a pipe");
    assert!(text.contains("  aggiorna         "), "{text}");
    for words in ["█✗", "12 hours", "about 20,000 operations", "RolledBack: open 05:45; every service was open at 07:00"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn watched_live_it_tells_the_same_lines() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_notturno")).arg("demo").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = |text: String| text.lines().filter(|line| !line.contains(['█', '│'])).map(str::to_owned).collect::<Vec<_>>();
    let (live, told) = (lines(run(&["--at-speed", "100000"])), lines(run(&[])));
    assert!(live.len() > 40, "{live:#?}");
    assert!(live.iter().all(|line| told.contains(line)), "{live:#?}");
}

#[test]
fn wrong_usage_is_exit_two() {
    for arguments in
        [&["--extend-to", "25:00"][..], &["--restore-takes", "1s"], &["--restore-takes", "1d"], &["--as-planned", "--undo-fails"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_notturno")).arg("demo").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
