//! Scenarios that cannot be read: every problem at once, each with its line, its column, its field and what was probably meant.

use super::scene::{scenario, simulate, with_text};

fn problems(spec: &str) -> Vec<String> {
    let output = simulate(spec, &[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_problem_of_a_scenario_is_told_at_once_with_its_place_and_what_was_meant() {
    let spec = r#"  steps:
    aggiornaa: {takes: 30m}
    preflight: {takse: 30m, hangs: often}
    istantanea: {takes: {from: 50m, likely: 40m, to: 60m}}
    indici: {takes: 45, fails: {often: [2], after: 1d}}
  undos:
    preflight: {takes: 5m}
    indici: {takes: 5m}
  services:
    zerocod: {red: 120%}
  orders:
    - {at: "25:00", by: chiunque, order: Extnd, step: aggiorna}
    - {at: "03:00", order: TurnBack, step: aggiorna}
  operator: {sentinel: maybe}
  weather: rain"#;
    let expected = [
        "-:6:5: spec.steps.aggiornaa: the runbook has no step \"aggiornaa\"; did you mean aggiorna?",
        "-:7:17: spec.steps.preflight.takse: there is no field \"takse\" here; did you mean takes?",
        "-:7:29: spec.steps.preflight.hangs: \"often\" is no chance: write one from 0% to 100%, such as 5%",
        "-:8:18: spec.steps.istantanea.takes: from, likely and to do not follow each other: from ≤ likely ≤ to, and from < to",
        "-:9:14: spec.steps.indici.takes: \"45\" has no unit: write 45m or 45s",
        "-:9:41: spec.steps.indici.fails.often[0]: is not the number of an attempt: there is one attempt, 1",
        "-:9:45: spec.steps.indici.fails.after: \"1d\" counts in days or weeks: days are not elapsed time here (a civil day has 23 \
         to 25 hours); write 24h",
        "-:11:5: spec.undos.preflight: has no undo: remove it",
        "-:12:5: spec.undos.indici: has no undo of its own: that of aggiorna covers it",
        "-:14:5: spec.services.zerocod: tonight concerns no service \"zerocod\"; did you mean zerocode?",
        "-:16:8: spec.orders[0].at: \"25:00\" is no moment: write a time of day such as 04:55, or one with its offset such as \
         2023-02-10T00:30:00+01:00",
        "-:16:35: spec.orders[0].order: \"Extnd\" is not possible here; it may be Extend, TurnBack, Confirm, Reject, Hold or Resume; \
         did you mean Extend?",
        "-:17:7: spec.orders[1].by: is missing: write it",
        "-:17:38: spec.orders[1].step: the order TurnBack names none: remove it",
        "-:18:3: spec.operator.diesAt: is missing: write it",
        "-:18:14: spec.operator.sentinel: true or false is expected here, and \"maybe\" is written",
        "-:19:3: spec.weather: there is no field \"weather\" here; there may be description, steps, undos, smoke, services, orders or operator",
    ];
    assert_eq!(problems(spec), expected);
}

#[test]
fn the_same_problems_are_one_object_for_programs() {
    let output = simulate("  steps: {aggiorn: {takes: 5}}\n  smok: {}", &["-o", "json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &object["accepted"]), (Some(2), &false.into()));
    let errors = object["errors"].as_array().unwrap();
    let places: Vec<_> =
        errors.iter().map(|error| (error["file"].as_str(), error["line"].as_u64(), error["column"].as_u64())).collect();
    assert_eq!(places, [(Some("-"), Some(5), Some(11)), (Some("-"), Some(6), Some(3))], "{object}");
}

#[test]
fn a_distribution_is_said_in_exactly_one_way_and_holds_together() {
    for (takes, words) in [
        ("{from: 1m, p50: 2m}", "exactly one way to say how long is expected"),
        ("{}", "exactly one way to say how long is expected"),
        ("{p50: 10m, p95: 5m}", "p50 and p95 do not follow each other"),
        ("{p50: 0s, p95: 5m}", "p50 and p95 do not follow each other"),
        ("{p50: 10m}", "takes.p95: is missing: write it"),
        ("{from: 5m, likely: 5m, to: 5m}", "from, likely and to do not follow each other"),
        ("{measured: []}", "nothing was measured"),
        ("{measured: 5m}", "a list is expected here, and \"5m\" is written"),
        ("[5m]", "a duration such as 1h30m is expected here"),
    ] {
        let problems = problems(&format!("  steps: {{aggiorna: {{takes: {takes}}}}}"));
        assert!(problems.len() == 1 && problems[0].contains(words), "{takes}: {problems:?}");
    }
}

#[test]
fn another_document_than_a_scenario_is_refused_by_what_it_says_it_is() {
    let output =
        with_text(&scenario("  steps: {}").replace("simulate.notturno.dev", "notturno.dev").replace("Scenario", "Scenari"), &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("-:1:1: apiVersion: \"notturno.dev/v1alpha1\" is not what a scenario is written in"), "{text}");
    assert!(text.contains("-:2:1: kind: \"Scenari\" is no scenario: write Scenario"), "{text}");
    let missing = with_text("", &["--scenario", "nessuno.yaml"]);
    assert_eq!(missing.status.code(), Some(2), "the flag given twice is a usage error");
}
