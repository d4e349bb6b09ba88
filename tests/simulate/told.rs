//! One night: the numbers of the plan, reached through a scenario's file.

use super::scene::{SOGEI, hour, json, open, simulate, with_text};

/// The upgrade hangs, and its restore takes so long.
fn restore(takes: &str) -> String {
    format!("  steps: {{aggiorna: {{hangs: true}}}}\n  undos: {{aggiorna: {{takes: {takes}}}}}")
}

#[test]
fn without_a_scenario_everything_takes_its_budget_and_the_work_is_done_at_its_planned_open() {
    let (night, code) = json("  description: niente", &[]);
    assert_eq!((&night["outcome"], hour(&night["openAt"]), code), (&"Completed".into(), "05:00", 0), "{night}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_notturno"));
    let alone = command.args(["simulate", SOGEI]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = String::from_utf8(alone.stdout).unwrap();
    assert_eq!(alone.status.code(), Some(0));
    for words in [
        "not said      each takes its budget: preflight 30m, chiudi-portali 15m",
        "each answers when its reopening budget is gone: sanita/",
        "  02:00     Working      step aggiorna may start: by its budget it ends 03:30",
        "  Completed: open 05:00, 2h before must serve by 07:00; finished its work 04:30",
    ] {
        assert!(text.contains(words), "{words:?} is missing:\n{text}");
    }
}

#[test]
fn a_restore_of_an_hour_is_open_at_a_quarter_to_six() {
    let (night, code) = json(&restore("60m"), &[]);
    assert_eq!((&night["outcome"], hour(&night["openAt"]), code), (&"RolledBack".into(), "05:45", 0), "{night}");
    // The last moment to go back was 04:55.
    assert_eq!((hour(&night["turnedAt"]), &night["slack"]), ("04:00", &"55m0s".into()));
}

#[test]
fn a_restore_of_115_minutes_is_open_at_twenty_to_seven() {
    let (night, code) = json(&restore("115m"), &[]);
    assert_eq!((&night["outcome"], hour(&night["openAt"]), code), (&"RolledBack".into(), "06:40", 0));
}

#[test]
fn a_restore_of_116_minutes_uses_one_minute_of_the_reserve_and_says_so() {
    let (night, code) = json(&restore("116m"), &[]);
    assert_eq!((&night["outcome"], hour(&night["openAt"]), code), (&"RolledBack".into(), "06:41", 0), "{night}");
    // What the upgrade did not touch comes back from reopen-by, 06:10, on.
    let opened = ["archivio-730", "accesso-ts", "ricetta-elettronica"].map(|service| open(&night, service));
    assert_eq!(opened, ["06:20", "06:21", "06:31"]);
    assert!(night["timeline"].to_string().contains("1m after reopen-by: so much of the reserve is used"), "{night}");
}

#[test]
fn a_restore_of_135_minutes_is_open_at_the_last_minute_and_one_of_136_is_late() {
    let (night, code) = json(&restore("135m"), &[]);
    assert_eq!((&night["outcome"], hour(&night["openAt"]), code), (&"RolledBack".into(), "07:00", 0));
    let (night, code) = json(&restore("136m"), &[]);
    assert_eq!((&night["outcome"], hour(&night["openAt"]), code), (&"ReopenedLate".into(), "07:01", 1));
    assert_eq!((&night["inTime"], &night["needsHuman"]), (&false.into(), &false.into()));
    let text = String::from_utf8(simulate(&restore("136m"), &[]).stdout).unwrap();
    assert!(
        text.contains("ReopenedLate: open 07:01, 1m after must serve by 07:00; turned back 04:00, with 55m of slack"),
        "{text}"
    );
}

#[test]
fn an_extension_to_the_last_moment_is_turned_back_there_and_open_at_twenty_to_seven() {
    let order = "  orders: [{at: \"03:40\", by: responsabile.a, order: Extend, step: aggiorna, until: \"04:55\"}]";
    let (night, code) = json(&format!("{}\n{order}", restore("60m")), &[]);
    assert_eq!((hour(&night["turnedAt"]), &night["slack"]), ("04:55", &"0s".into()));
    assert_eq!((&night["outcome"], hour(&night["openAt"]), code), (&"RolledBack".into(), "06:40", 0));
    let (night, _) = json(&format!("{}\n{}", restore("60m"), order.replace("04:55", "04:56")), &[]);
    assert_eq!(hour(&night["turnedAt"]), "04:00", "one minute later is refused");
}

#[test]
fn a_restore_that_fails_and_then_hangs_leaves_what_it_touched_closed_and_calls_a_person_at_once() {
    let spec = "  steps: {aggiorna: {hangs: true}}\n  undos: {aggiorna: {fails: {often: [1], after: 40m}, hangs: [2]}}";
    let (night, code) = json(spec, &[]);
    assert_eq!((code, &night["needsHuman"]), (1, &true.into()), "{night}");
    let failed = night["timeline"].as_array().unwrap().iter().find(|line| line["what"] == "undoFailed").expect("told");
    assert_eq!((hour(&failed["at"]), &failed["step"]), ("04:40", &"aggiorna".into()));
    // The portal calls what stays closed, and works only in part.
    let opened = ["archivio-730", "ricetta-elettronica", "portale-ts"].map(|service| open(&night, service));
    assert_eq!(opened, ["06:20", "-", "-"]);
}

#[test]
fn with_the_operator_dead_a_sentinel_goes_back_and_without_one_nobody_does() {
    let spec = "  steps: {aggiorna: {hangs: true}}\n  operator: {diesAt: \"02:30\"}";
    let (night, code) = json(spec, &[]);
    assert_eq!((&night["outcome"], code), (&"RolledBack".into(), 0), "{night}");
    // The last moment to go back was 04:55, and the grace is one minute.
    let taken = night["timeline"].as_array().unwrap().iter().find(|line| line["what"] == "takenOver").expect("a takeover");
    assert_eq!(hour(&taken["at"]), "04:56");
    let (night, code) = json(&spec.replace("\"02:30\"", "\"02:30\", sentinel: false"), &[]);
    assert_eq!((&night["outcome"], code, &night["openAt"]), (&"NeedsHuman".into(), 1, &serde_json::Value::Null));
    let (night, code) = json(&spec.replace("\"02:30\"", "\"02:30\", sentinel: false, returnsAt: \"03:00\""), &[]);
    assert_eq!((&night["outcome"], code, hour(&night["openAt"])), (&"RolledBack".into(), 0, "05:45"));
}

#[test]
fn a_service_that_never_answers_is_told_and_the_night_is_late() {
    let (night, code) = json("  services: {sanita/zerocode: {red: true}}", &[]);
    assert_eq!((&night["outcome"], code, open(&night, "zerocode")), (&"NeedsHuman".into(), 1, "-".to_owned()), "{night}");
    assert_eq!(open(&night, "portale-ts"), "05:00");
}

#[test]
fn a_plan_that_is_refused_is_not_played() {
    let refused = std::fs::read_to_string(format!("{}/{SOGEI}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let file = std::env::temp_dir().join(format!("notturno-simulate-{}.yaml", std::process::id()));
    std::fs::write(&file, refused.replace("  reserve: 20m", "  reserve: 200m")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_notturno"));
    let output = command.args(["simulate", file.to_str().unwrap(), "-o", "json"]).output().unwrap();
    std::fs::remove_file(file).unwrap();
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &object["accepted"]), (Some(1), &false.into()));
    assert!(object["refusals"][0]["reason"] == "DoesNotFit" && object["outcome"].is_null(), "{object}");
}

#[test]
fn a_scenario_may_stand_in_the_file_of_the_night_and_only_one_is_meant() {
    let night = std::fs::read_to_string(format!("{}/{SOGEI}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let both = format!("{night}\n---\n{}", super::scene::scenario("  steps: {aggiorna: {hangs: true}}"));
    let file = std::env::temp_dir().join(format!("notturno-simulate-both-{}.yaml", std::process::id()));
    std::fs::write(&file, both).unwrap();
    let run = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_notturno"));
        command.arg("simulate").arg(&file).args(more).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
    };
    let alone = run(&["-o", "json"]);
    let twice = run(&["--scenario", "runbooks/scenarios/sogei-2023.the-upgrade-hangs.yaml", "-o", "json"]);
    std::fs::remove_file(&file).unwrap();
    let object: serde_json::Value = serde_json::from_slice(&alone.stdout).unwrap();
    assert_eq!((&object["outcome"], &object["scenario"]), (&"RolledBack".into(), &"prova".into()));
    assert_eq!(twice.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&twice.stdout).contains("leave out --scenario"));
    assert_eq!(with_text("", &[]).status.code(), Some(2), "an empty file holds no scenario");
}
