//! The operator dies somewhere in a random night, and what takes it over keeps the promise too, and says nothing that it has not asked.

use jiff::SignedDuration;
use notturno::engine::Event;
use notturno::model::span::Span;

use crate::chance::{self, Chance, Seen};
use crate::nights::{World, play};
use crate::{promise, undos};

const NIGHTS: u64 = 700;
const DEATHS_EACH: usize = 3;

fn one_night(seed: u64, seen: &mut Seen) {
    let mut chance = Chance(seed);
    let mut night = chance::night(&mut chance);
    // Without a reserve nobody has time to come.
    night.runbook.reserve = night.runbook.reserve.max(Span::minutes(8));
    let Some(plan) = night.verdict().accepted() else { return };
    let mut world = World { clock_unbounded: None, switch: None, orders: vec![], ..chance::world(&mut chance, &plan) };
    let until = plan.deadline.must_serve_by + SignedDuration::from_hours(3);
    let whole = play(&plan, &world, until);
    let Some(begins) = whole.journal.iter().position(|entry| matches!(entry.event, Event::WorkBegun {})) else { return };
    for _ in 0..DEATHS_EACH {
        world.dies_after = Some(begins + 1 + chance.below(whole.journal.len() - begins));
        let played = play(&plan, &world, until);
        assert_eq!(played.state().nonsense, [] as [&str; 0], "seed {seed}\n{}", played.text());
        promise(&played, seed, seen);
        undos::run_apart(&played, seed, seen);
        let taken = played.journal.iter().any(|entry| matches!(entry.event, Event::TakenOver { .. }));
        seen.count(if taken { "taken over" } else { "nobody had to come" });
    }
}

#[test]
fn whenever_the_operator_dies_in_a_random_night_the_promise_is_kept() {
    let mut seen = Seen::default();
    (0..NIGHTS).for_each(|seed| one_night(seed, &mut seen));
    println!("{seen:#?}");
    for kind in ["taken over", "opened in time", "completed", "turned back or cancelled", "undos that reach one service"] {
        assert!(seen.of(kind) > 0, "{kind} never happened");
    }
}
