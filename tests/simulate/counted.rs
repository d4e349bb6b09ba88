//! Many nights: counts that are known by hand, shares that add up, and the same bytes from every process.

use jiff::SignedDuration;
use notturno::model::span::Span;
use notturno::sim::nights::{Opened, nights, one};
use notturno::sim::{Length, Often, Scenario};
use proptest::prelude::*;
use serde_json::Value;

use super::nights::sogei;
use super::scene::{hour, json, simulate};

/// Half of the upgrades keep their budget of 90m, half outlive their hard cap of 120m.
const HALF: &str = "  steps: {aggiorna: {takes: {measured: [80m, 130m]}}}";

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn sum(values: &Value) -> u64 {
    values.as_object().unwrap().values().map(number).sum()
}

#[test]
fn of_an_upgrade_that_is_too_long_every_other_night_half_are_finished_and_it_is_the_step_that_decides() {
    let (all, code) = json(HALF, &["--nights", "1000", "--seed", "7"]);
    let (finished, back) = (number(&all["counts"]["finished"]), number(&all["counts"]["turnedBack"]));
    // A thousand throws of a coin: five standard deviations are 79.
    assert!((421..=579).contains(&finished) && finished + back == 1000, "{all}");
    assert_eq!(all["decides"], serde_json::json!([{"step": "aggiorna", "nights": back, "share": 1.0}]));
    assert_eq!(all["causes"], serde_json::json!([{"cause": "hard-cap", "step": "aggiorna", "nights": back, "share": 1.0}]));
    // 80m: open ten minutes before the planned 05:00. 130m: back at 04:00, open 05:45.
    let open = ["p50", "p90", "p99", "max"].map(|name| hour(&all["openAt"][name]).to_owned());
    assert_eq!(open[1..], ["05:45", "05:45", "05:45"]);
    assert_eq!((open[0].as_str(), code), (if finished >= 500 { "04:50" } else { "05:45" }, 0));
}

#[test]
fn of_two_steps_that_are_each_too_long_every_other_night_a_quarter_is_finished() {
    // The indices have no time to go on: 95m of 45m is past their hard cap, which is their budget where none is written.
    let both =
        format!("{HALF}\n  undos: {{aggiorna: {{takes: 30m}}}}").replace("}}}", "}}, indici: {takes: {measured: [45m, 95m]}}}");
    let (all, _) = json(&both, &["--nights", "1000"]);
    let finished = number(&all["counts"]["finished"]);
    // A quarter of a thousand, and five standard deviations: 13.7 each.
    assert!((181..=319).contains(&finished), "{all}");
    // Where both are too long the first alone makes no difference, and neither does the other.
    let (one, none) = (number(&all["decides"][0]["nights"]), number(&all["noStepAlone"]));
    assert!(one > 180 && none > 180 && one + number(&all["decides"][1]["nights"]) + none + finished == 1000, "{all}");
}

#[test]
fn a_chance_of_one_in_ten_to_hang_is_one_in_ten_of_the_nights() {
    let (all, _) = json("  steps: {aggiorna: {hangs: 10%}}", &["--nights", "1000"]);
    let back = number(&all["counts"]["turnedBack"]);
    // A hundred, and five standard deviations: 9.5 each.
    assert!((52..=148).contains(&back), "{all}");
    assert_eq!(all["chances"]["turningBack"].as_f64(), Some(f64::from(u32::try_from(back).unwrap()) / 1000.0));
}

#[test]
fn a_median_is_in_the_middle_and_one_night_in_twenty_is_past_the_95th_percentile() {
    let (all, _) = json("  steps: {aggiorna: {takes: {p50: 60m, p95: 120m}}}", &["--nights", "1500"]);
    // Past the hard cap of 120m: 75 of 1500, and five standard deviations: 8.4 each.
    let capped = all["causes"].as_array().unwrap().iter().find(|one| one["cause"] == "hard-cap").expect("some");
    assert!((33..=117).contains(&number(&capped["nights"])), "{all}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_two_processes_and_another_gives_others() {
    let spec = "  steps: {aggiorna: {takes: {from: 55m, likely: 80m, to: 140m}, hangs: 2%, fails: 1%}, indici: {takes: {p50: 30m, p95: 60m}}}";
    let run = |seed: &str, more: &[&str]| simulate(spec, &[&["--seed", seed], more].concat()).stdout;
    for more in
        [&["--nights", "300"][..], &["--nights", "300", "-o", "json"], &["--night", "12"], &["--night", "12", "-o", "json"]]
    {
        assert_eq!(run("3", more), run("3", more));
        assert_ne!(run("3", more), run("4", more));
    }
}

#[test]
fn the_night_that_was_open_last_can_be_told() {
    let spec =
        "  steps: {aggiorna: {takes: {from: 55m, likely: 80m, to: 140m}}}\n  undos: {aggiorna: {takes: {p50: 50m, p95: 110m}}}";
    let (all, code) = json(spec, &["--nights", "400"]);
    assert_eq!(code, i32::from(number(&all["counts"]["late"]) > 0));
    let (night, _) = json(spec, &["--night", &all["openLast"]["night"].to_string()]);
    assert_eq!((&night["openAt"], &all["openAt"]["max"]), (&all["openLast"]["openAt"], &night["openAt"]), "{all}");
    let text = String::from_utf8(simulate(spec, &["--nights", "400"]).stdout).unwrap();
    assert!(text.contains("the step that decides\n    aggiorna"), "{text}");
    assert!(text.contains(&format!("open last         night {}", all["openLast"]["night"])), "{text}");
}

#[test]
fn a_night_that_is_late_makes_the_exit_code_1_and_is_never_open_where_nobody_is_there() {
    let (all, code) = json("  operator: {diesAt: \"02:30\", dies: 50%, sentinel: false}", &["--nights", "40"]);
    let (late, stuck) = (number(&all["counts"]["late"]), number(&all["counts"]["stuck"]));
    assert!(late == stuck && stuck > 5 && stuck < 35, "{all}");
    assert_eq!((code, &all["openAt"]["max"], sum(&all["outcomes"])), (1, &Value::Null, 40));
}

fn minutes(from: u32, more: u32, most: u32) -> Length {
    Length::triangular(Span::minutes(from), Span::minutes(from + more), Span::minutes(from + more + most)).expect("a triangle")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn every_night_has_one_end_and_percentiles_never_go_back(
        seed in any::<u64>(), from in 1..90_u32, more in 0..60_u32, most in 1..120_u32, hangs in 0..30_u32, undo in 10..200_u32,
    ) {
        let plan = sogei().plan();
        let mut scenario = Scenario::as_declared(&plan);
        let (step, _) = plan.step_named("aggiorna").expect("a step");
        scenario.steps[step].takes = minutes(from, more, most);
        scenario.steps[step].hangs = Often::Chance(f64::from(hangs) / 100.0);
        scenario.undos[step].takes = minutes(1, undo, 30);
        scenario.steps[0].takes = minutes(5, 20, 60);
        let all = nights(&plan, &scenario, 60, seed);
        prop_assert_eq!(all.finished + all.turned_back + all.not_begun + all.stuck, 60);
        prop_assert_eq!(all.outcomes.values().sum::<u64>(), 60);
        prop_assert_eq!(all.causes.values().sum::<u64>(), all.turned_back);
        prop_assert_eq!(all.decisive.values().sum::<u64>() + all.none_decisive, all.turned_back);
        let ranks: Vec<Option<Opened>> = (0..=100).map(|percent| all.percentile(percent)).collect();
        prop_assert!(ranks.is_sorted());
        prop_assert_eq!(all.worst.map(|(_, worst)| worst), ranks.last().copied().flatten());
        // What the engine itself wrote of each.
        let states: Vec<_> = (1..=60).map(|night| one(&plan, &scenario, seed, night).1.state).collect();
        prop_assert_eq!(states.iter().filter(|state| state.deadline_missed).count(), usize::try_from(all.late).unwrap());
        let closed = states.iter().filter(|state| !state.begun(&plan).closed.is_empty()).count();
        prop_assert_eq!(all.open_at.len(), closed);
        prop_assert_eq!(&nights(&plan, &scenario, 60, seed), &all);
    }
}

#[test]
fn a_span_that_is_drawn_lies_where_it_was_declared() {
    let plan = sogei().plan();
    let mut scenario = Scenario::as_declared(&plan);
    let (step, planned) = plan.step_named("aggiorna").expect("a step");
    scenario.steps[step].takes = minutes(20, 10, 60);
    let mut all: Vec<SignedDuration> =
        (1..=500).map(|night| one(&plan, &scenario, 1, night).0.steps[step].lasts().expect("it ends").get()).collect();
    all.sort_unstable();
    let (first, last) = (all[0].as_mins(), all[499].as_mins());
    assert!((20..30).contains(&first) && (75..90).contains(&last), "{first} to {last}, of a budget of {}", planned.budget);
    // The median of this triangle is 90 - sqrt(70 * 60 / 2) = 44.2 minutes.
    assert!((41..48).contains(&all[250].as_mins()), "{}", all[250].as_mins());
}
