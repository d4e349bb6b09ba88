//! How many nights of how many steps are simulated in a second, on one core.
//!
//! In: a runbook of 50, 100 and 200 steps, each with a length that is drawn; every fifth has an undo of its own; one night in some turns back
//! and is undone, and for each of those the step that decides is looked for. Time is what the kernel says this thread had of a core. Out:
//! numbers on stdout; in a release build a failure below 1,000 nights of 200 steps in a second, or where growth is not linear. Run it with
//! `cargo test --release --features bench --test simulated-nights -- --nocapture`. Not here: what nights come to (tests/simulate).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[path = "../nights/mod.rs"]
mod nights;

use nights::{job, sogei, step};
use notturno::model::action::{Action, Undo};
use notturno::model::plan::Plan;
use notturno::model::reference::Reference;
use notturno::model::span::Span;
use notturno::sim::nights::{Nights, nights as simulate};
use notturno::sim::{Length, Scenario};

/// What the work of all steps may take.
const WORK_SECONDS: u32 = 240 * 60;
/// What undoing all of it may take.
const UNDO_SECONDS: u32 = 60 * 60;
/// Every so many steps there is one with an undo of its own.
const UNDO_EVERY: u32 = 5;
/// Nights that are played for each number.
const NIGHTS: u64 = 1_000;

fn services() -> Vec<Reference> {
    ["ricetta-elettronica", "anagrafe-assistiti", "accesso-ts"].iter().map(|name| name.parse().unwrap()).collect()
}

/// A chain: one closing, then work on what was closed.
fn plan(count: u32) -> Plan {
    let mut night = sogei();
    let steps = (0..count).map(|index| {
        let before = format!("passo-{}", index.saturating_sub(1));
        let needs: &[&str] = if index == 0 { &[] } else { &[&before] };
        let action = if index == 0 { Action::Close { services: services() } } else { Action::Job(job("lavoro")) };
        let undo = match index {
            0 => Undo::Reopening,
            _ if index % UNDO_EVERY == 0 => {
                Undo::Job { budget: Span::seconds(UNDO_SECONDS * UNDO_EVERY / count), attempts: 2, job: job("ritorno") }
            }
            _ => Undo::Nothing,
        };
        let mut step = step(&format!("passo-{index}"), needs, 1, action, undo);
        step.budget = Span::seconds(WORK_SECONDS / count);
        step.hard_cap = Some(Span::seconds(3 * WORK_SECONDS / count));
        if index % UNDO_EVERY == 0 && index > 0 {
            step.touches = Some(services());
        }
        step
    });
    night.runbook.steps = steps.collect();
    night.plan()
}

fn scenario(plan: &Plan) -> Scenario {
    let mut scenario = Scenario::as_declared(plan);
    for (planned, going) in plan.steps.iter().zip(&mut scenario.steps) {
        let part = |percent: u32| Span::from(planned.budget.get() * i32::try_from(percent).unwrap() / 100);
        going.takes = Length::triangular(part(50), part(85), part(189)).unwrap();
    }
    for (planned, going) in plan.steps.iter().zip(&mut scenario.undos) {
        if !planned.undo_budget().is_zero() {
            let budget = planned.undo_budget();
            going.takes = Length::log_normal(Span::from(budget.get() * 4 / 5), Span::from(budget.get() * 6 / 5)).unwrap();
        }
    }
    scenario
}

/// Seconds of a core for so many nights, and what they came to.
fn measured(steps: u32, count: u64) -> (f64, Nights) {
    let plan = plan(steps);
    let scenario = scenario(&plan);
    let before = core_seconds();
    let all = simulate(&plan, &scenario, count, 1);
    (core_seconds() - before, all)
}

/// How long this thread has had a core: what others do on the machine meanwhile does not count.
fn core_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel");
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
fn a_thousand_nights_of_two_hundred_steps_take_a_second_and_time_grows_with_nights_and_steps() {
    let _ = measured(50, NIGHTS / 10);
    let mut of_a_night = vec![];
    for steps in [50, 100, 200] {
        let (seconds, all) = measured(steps, NIGHTS);
        assert_eq!(all.count, NIGHTS);
        let rate = f64::from(u32::try_from(NIGHTS).unwrap()) / seconds;
        println!(
            "{steps} steps: {NIGHTS} nights in {seconds:.3} s, {rate:.0} nights/s; {} finished, {} turned back, {} late",
            all.finished, all.turned_back, all.late
        );
        of_a_night.push(seconds);
    }
    let (ten, _) = measured(200, 10 * NIGHTS);
    println!("200 steps: {} nights in {ten:.3} s: {:.2} times as long as {NIGHTS}", 10 * NIGHTS, ten / of_a_night[2]);
    println!("200 steps take {:.2} times as long as 50", of_a_night[2] / of_a_night[0]);
    if cfg!(not(debug_assertions)) {
        assert!(of_a_night[2] <= 1.0, "{:.3} s for {NIGHTS} nights", of_a_night[2]);
        assert!((5.0..20.0).contains(&(ten / of_a_night[2])), "not linear in nights");
        assert!(of_a_night[2] / of_a_night[0] < 8.0, "not about linear in steps");
    }
}
