//! Why 04:55?

use std::collections::BTreeMap;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::served::{Ran, ran, serve};
use crate::world::{NIGHT, World};

const RUNBOOK: &str = "runbooks/sogei-2023.yaml";

fn of_file(asked: &[&str]) -> Ran {
    let directory = env!("CARGO_MANIFEST_DIR");
    ran(Command::new(env!("CARGO_BIN_EXE_notturno")).args(["explain", "-f", RUNBOOK]).args(asked).current_dir(directory))
}

#[allow(clippy::disallowed_methods, reason = "how a person asks for a rewrite")]
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "UPDATE=1 cargo test --test asked rewrites {name}");
}

#[test]
fn the_night_of_2023_is_explained_by_day() {
    let ran = of_file(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    golden("explain-sogei-2023.txt", &ran.out);
    for (title, at) in [
        ("must-serve-by", "07:00"),
        ("turn-back", "05:55"),
        ("finish-by aggiorna", "03:55"),
        ("reopen-by", "06:10"),
        ("tell-people-by", "06:00"),
        ("planned-open", "05:00"),
    ] {
        ran.says(&format!("{title} 2023-02-10 {at} +01:00"));
    }
    ran.says("after aggiorna starts it becomes 04:55: + undo 1h");
}

/// `1h15m0s` in seconds.
fn seconds(span: &str) -> i64 {
    let span: notturno::model::span::Span = serde_json::from_value(json!(span)).unwrap();
    span.get().as_secs()
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Adds up what a person would add up.
fn sum(moment_json: &Value) -> Timestamp {
    let lines = moment_json["sum"].as_array().unwrap();
    assert!(lines.len() >= 2, "no sum: {moment_json}");
    lines[1..lines.len() - 1].iter().fold(moment(&lines[0]["at"]), |at, line| {
        let span = jiff::SignedDuration::from_secs(seconds(line["for"].as_str().unwrap()));
        match line["sign"].as_str().unwrap() {
            "+" => at + span,
            "-" => at - span,
            other => panic!("{other}"),
        }
    })
}

#[test]
fn every_sum_comes_out_to_its_moment_and_to_that_of_the_plan() {
    let moments = of_file(&["-o", "json"]).json()["moments"].as_array().unwrap().clone();
    for one in &moments {
        assert_eq!(sum(one), moment(&one["at"]), "{one}");
    }
    let plan = ran(Command::new(env!("CARGO_BIN_EXE_notturno"))
        .args(["plan", RUNBOOK, "-o", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR")))
    .json();
    let at: BTreeMap<String, &Value> = moments
        .iter()
        .map(|one| (format!("{} {}", one["name"].as_str().unwrap(), one["of"].as_str().unwrap_or_default()), &one["at"]))
        .collect();
    for (title, field) in [
        ("must-serve-by ", "mustServeBy"),
        ("reopen-by ", "reopenBy"),
        ("tell-people-by ", "tellPeopleBy"),
        ("planned-open ", "plannedOpen"),
    ] {
        assert_eq!(at[title], &plan[field]);
    }
    for step in plan["steps"].as_array().unwrap() {
        assert_eq!(at[&format!("finish-by {}", step["name"].as_str().unwrap())], &step["finishBy"]);
    }
    for service in plan["services"].as_array().unwrap() {
        assert_eq!(at[&format!("deadline {}", service["name"].as_str().unwrap())], &service["mustServeBy"]);
    }
}

#[test]
fn one_asks_by_name_by_step_by_service_and_by_the_hour() {
    let titles = |asked: &str| -> Vec<String> {
        let all = of_file(&[asked, "-o", "json"]).json()["moments"].as_array().unwrap().clone();
        let title = |one: &Value| format!("{} {}", one["name"].as_str().unwrap(), one["of"].as_str().unwrap_or_default());
        all.iter().map(|one| title(one).trim_end().to_owned()).collect()
    };
    assert_eq!(titles("must-serve-by"), ["must-serve-by"]);
    assert_eq!(titles("aggiorna"), ["planned-end aggiorna", "finish-by aggiorna"]);
    assert_eq!(titles("finish-by:indici"), ["finish-by indici"]);
    assert_eq!(titles("sanita/cup"), ["deadline sanita/cup"]);
    assert_eq!(titles("04:55"), ["turn-back", "finish-by prova"], "what it is, and what it will be");
    assert_eq!(titles("finish-by").len(), 7);
    assert_eq!(titles("00:30"), ["planned-end preflight"], "when something begins");
    assert_eq!(titles("02:00"), ["planned-end chiudi-nucleo", "planned-end aggiorna"], "when one ends and another begins");
    assert_eq!(titles("07:30"), ["deadline sanita/cup"], "what a sum counts from, where nothing else falls on it");
    let wrong = of_file(&["03:14"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("there are: must-serve-by, turn-back, reopen-by"), "{}", wrong.err);
    for (asked, meant) in [("cup", "sanita/cup"), ("agiorna", "aggiorna"), ("sanita/cop", "sanita/cup")] {
        let wrong = of_file(&[asked]);
        assert!(wrong.code == 2 && wrong.err.trim_end().ends_with(&format!("; did you mean {meant}?")), "{}", wrong.err);
    }
}

fn in_root(arguments: &[&str]) -> Ran {
    ran(Command::new(env!("CARGO_BIN_EXE_notturno")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")))
}

/// `HH:MM` wherever it stands in a text.
fn times(text: &str) -> std::collections::BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != ':' && c != '+');
    words.filter(|word| word.len() == 5 && word.as_bytes()[2] == b':' && !word.starts_with('+')).collect()
}

#[test]
fn every_time_that_a_plan_shows_is_explained() {
    for night in ["sogei-2023", "zerocode-release", "prenota-spid", "archivio-730"] {
        let file = format!("runbooks/{night}.yaml");
        let plan = in_root(&["plan", &file]).out;
        let shown = times(&plan);
        assert!(shown.len() > 15, "{shown:?}");
        for time in shown {
            let ran = in_root(&["explain", "-f", &file, time]);
            assert!(ran.code == 0 && ran.out.contains(time), "{night} {time}: {} {}", ran.out, ran.err);
        }
    }
}

#[test]
fn a_service_whose_doors_open_with_the_first_binds_the_night_as_they_do() {
    let text = std::fs::read_to_string(format!("{}/{RUNBOOK}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let hours = "hours: \"Mo-Fr 07:30-16:30; Sa 07:30-12:30; PH off\"";
    assert!(text.contains(hours));
    let equal = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("asked-equal.yaml");
    std::fs::write(&equal, text.replace(hours, "hours: \"Mo-Fr 07:15-16:30; PH off\"")).unwrap();
    let ran = in_root(&["explain", "-f", equal.to_str().unwrap()]);
    assert!(ran.out.contains("; so does service sanita/zerocode, with the same moment;"), "{}", ran.out);
    let of = |service: &str| {
        let (_, rest) = ran.out.split_once(&format!("deadline {service} ")).expect("its deadline");
        rest.lines().nth(1).expect("a sentence").to_owned()
    };
    for service in ["sanita/cup", "sanita/zerocode"] {
        assert!(of(service).ends_with("opens 07:15, after the closing; it binds the night"), "{}", of(service));
    }
    assert!(of("sanita/portale-ts").contains("; the night has to end earlier, 2023-02-10 07:00 +01:00, for service sanita/"));
}

#[tokio::test(start_paused = true)]
async fn in_mid_step_the_number_is_the_one_that_the_operator_obeys() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let served = serve(&world).await;
    let ran = served.ask(&["explain", NIGHT, "turn-back"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.says("turn-back 2023-02-10 04:55 +01:00 in 2h25m");
    ran.says("- 1h undo undo of aggiorna 1h");
    ran.says("- 30m reopen waves 10m + 10m + 10m, as declared");
    ran.says("= 04:55 turn back");
    assert!(!ran.out.contains("it becomes"), "no later step moves it: {}", ran.out);
    let object = served.ask(&["explain", NIGHT, "-o", "json"]).await.json();
    let of = |name: &str| object["moments"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(of("turn-back")["at"], world.status(NIGHT)["turnBackAt"]);
    assert_eq!(of("hard-cap")["at"], "2023-02-10T03:36:00+01:00");
    for one in object["moments"].as_array().unwrap() {
        assert_eq!(sum(one), moment(&one["at"]), "{one}");
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_step_it_says_how_the_number_will_move() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T01:30:00+01:00").await;
    let ran = serve(&world).await.ask(&["explain", NIGHT, "04:55"]).await;
    ran.says("turn-back 2023-02-10 05:55 +01:00 in 4h25m");
    ran.says("after aggiorna starts it becomes 04:55: + undo 1h");
}

#[tokio::test(start_paused = true)]
async fn once_the_night_goes_back_there_is_no_turn_back_moment() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T04:30:00+01:00").await;
    let ran = serve(&world).await.ask(&["explain", NIGHT]).await;
    assert_eq!(ran.code, 0);
    ran.says("turn-back -");
    ran.says("the night is going back since 03:36; it would have been 04:55");
    ran.says("reopen-by 2023-02-10 06:10 +01:00 in 1h40m");
}
