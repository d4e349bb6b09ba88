//! The engine against a naive second implementation of DESIGN §1, on random nights; and the promise itself, as an outsider states it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::arithmetic_side_effects, reason = "small numbers")]

mod chance;
mod deaths;
mod half_done;
mod naive;
#[path = "../nights/mod.rs"]
mod nights;
mod told;
mod undos;

use std::collections::BTreeSet;

use chance::{Chance, Seen};
use jiff::{SignedDuration, Timestamp};
use nights::{Played, play_before};
use notturno::engine::facts::{Facts, SwitchFact};
use notturno::engine::journal::Cause;
use notturno::engine::{Decision, Entry, Event, decide};
use notturno::model::plan::{Plan, PlannedUndo};
use told::Told;

/// Decisions to compare: DESIGN's arithmetic is held against itself so often.
const COMPARED_MIN: usize = 100_000;

/// A start that is held is tried again so soon.
const HELD_FOR_MAX: SignedDuration = SignedDuration::from_secs(15);

fn named(event: &Event) -> String {
    match event.step() {
        Some(step) => format!("{} {step}", event.name()),
        None => event.name(),
    }
}

/// What the naive implementation would record from here, until the work turns or ends.
fn expected(plan: &Plan, journal: &[Entry], facts: &Facts, now: Timestamp, decided: &[Entry]) -> Vec<String> {
    let mut told = Told::of(plan, journal);
    let mut names = Vec::new();
    for entry in decided {
        if !told.forward && !told.is_still() {
            break;
        }
        let Some(name) = naive::next(&told, facts, now) else {
            names.push("nothing".to_owned());
            break;
        };
        names.push(name);
        told.hear(entry);
    }
    if (told.forward || told.is_still()) && names.len() == decided.len() {
        names.extend(naive::next(&told, facts, now));
    }
    names
}

fn compare(plan: &Plan, journal: &[Entry], facts: &Facts, now: Timestamp, decision: &Decision, seen: &mut Seen, seed: u64) {
    let told = Told::of(plan, journal);
    half_done::compare(plan, journal, facts, now, decision, seen, seed);
    if !told.forward && !told.is_still() {
        return going_back(plan, &told, now, decision, seen, seed);
    }
    seen.count(match facts.switch {
        SwitchFact::NotAsked => "no switch",
        SwitchFact::NotYet { .. } => "a switch out of sight",
        SwitchFact::NotReady { .. } => "a switch not ready",
        SwitchFact::Ready { count: 0 } => "a switch without sentinels",
        SwitchFact::Ready { count: 1 } => "a switch with one sentinel",
        SwitchFact::Ready { .. } => "a whole switch",
        SwitchFact::Gone => "a switch that is gone",
    });
    let expected = expected(plan, journal, facts, now, &decision.events);
    let decided: Vec<String> = decision.events.iter().map(|entry| named(&entry.event)).take(expected.len()).collect();
    assert_eq!(decided, expected, "seed {seed}, at {now}: {:#?}\n{journal:#?}", decision.events);
    seen.count(if told.forward { "compared" } else { "compared before the start" });
    if naive::is_held(&told, facts, now) {
        let again = decision.wake.as_ref().is_some_and(|wake| wake.at <= now + HELD_FOR_MAX);
        assert!(again && !decision.start_held.is_empty(), "seed {seed}, at {now}: {decision:#?}");
        seen.count("a start held");
    }
    if decision.events.iter().any(|entry| matches!(entry.event, Event::GoingBack { cause: Cause::SwitchLost })) {
        seen.count("back for want of sentinels");
    }
    let guarded = Facts { switch: SwitchFact::Ready { count: 2 }, ..facts.clone() };
    if told.forward
        && expected.is_empty()
        && naive::next(&told, &guarded, now).is_some_and(|name| name.starts_with("stepIntended"))
    {
        assert!(decision.why.contains("nothing new begins"), "seed {seed}, at {now}: {}", decision.why);
        seen.count("a step held for want of sentinels");
    }
    for name in &expected {
        seen.count(name.split(' ').next().unwrap());
    }
    // The invariant of DESIGN §1, after every transition.
    let mut after = told;
    for entry in &decision.events {
        after.hear(entry);
    }
    let safe = now < naive::turn_back_at(plan, &after.begun()) || !after.forward;
    assert!(safe, "seed {seed}, at {now}: past the last moment and not going back");
}

/// From reopen-by on nothing that is undone delays the others.
fn going_back(plan: &Plan, told: &Told<'_>, now: Timestamp, decision: &Decision, seen: &mut Seen, seed: u64) {
    if !told.turned || told.over || now < naive::reopen_by(plan, &told.begun()) {
        return;
    }
    let begins = decision.events.iter().any(|entry| matches!(entry.event, Event::ReopeningBegun {}));
    assert!(told.reopening || begins, "seed {seed}, at {now}: past reopen-by and not reopening");
    seen.count("at reopen-by");
}

/// What a service may be at the deadline: open, or shut through work on its data that nobody could finish or take back.
fn excused(played: &Played) -> BTreeSet<usize> {
    let plan = &played.plan;
    let told = Told::of(plan, &played.journal);
    let begun = told.begun();
    let undone: BTreeSet<&str> = played
        .journal
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::UndoDone { step, .. } => Some(step.as_str()),
            _ => None,
        })
        .collect();
    // What is undone counts only once that was verified, and an undo that never ends leaves nothing to verify.
    let verified = plan.smoke.is_none() || played.journal.iter().any(|entry| matches!(entry.event, Event::SmokeDone {}));
    let undone = if verified { undone } else { BTreeSet::new() };
    let alone = naive::left_alone(plan, &begun);
    let mut excused = BTreeSet::new();
    for &index in &begun {
        let step = &plan.steps[index];
        let clean = match &step.undo {
            _ if told.steps[index].done.is_some() && alone.contains(&index) => true,
            PlannedUndo::Job { .. } | PlannedUndo::Restore { .. } => undone.contains(step.name.as_str()),
            PlannedUndo::CoveredBy { step } => undone.contains(plan.steps[*step].name.as_str()),
            PlannedUndo::Nothing | PlannedUndo::Reopening | PlannedUndo::Irreversible => told.steps[index].done.is_some(),
        };
        if !clean {
            excused.extend(step.touches.iter().copied());
        }
    }
    excused.retain(|&service| !opens_at_once(played, service));
    // What calls a service that stays shut works in part.
    for _ in &plan.services {
        for (index, service) in plan.services.iter().enumerate() {
            if service.upstreams.iter().any(|upstream| excused.contains(upstream)) {
                excused.insert(index);
            }
        }
    }
    excused
}

/// It opened on half-done work as it declared, and its proof was not waited for.
fn opens_at_once(played: &Played, service: usize) -> bool {
    let id = &played.plan.services[service].id;
    let first = |is: &dyn Fn(&Event) -> bool| played.journal.iter().find(|entry| is(&entry.event)).map(|entry| entry.at);
    let expired = first(&|event| matches!(event, Event::UndosExpired { service, .. } if service == id));
    let opening = first(&|event| matches!(event, Event::Opening { services } if services.contains(id)));
    expired.is_some() && expired == opening
}

fn promise(played: &Played, seed: u64, seen: &mut Seen) {
    let plan = &played.plan;
    let is = |event: &Event| matches!(event, Event::Committed {});
    let committed = played.journal.iter().any(|entry| is(&entry.event));
    let closed: BTreeSet<usize> =
        Told::of(plan, &played.journal).begun().iter().flat_map(|&index| plan.steps[index].closes().clone()).collect();
    let excused = if committed { BTreeSet::new() } else { excused(played) };
    for &service in closed.difference(&excused) {
        let id = &plan.services[service].id;
        let opened = played.journal.iter().rfind(|entry| matches!(&entry.event, Event::Opened { service } if service == id));
        let at = opened.map(|entry| entry.at);
        let in_time = at.is_some_and(|at| at <= plan.deadline.must_serve_by);
        assert!(in_time, "seed {seed}: {id} open at {at:?}, must serve by {}\n{}", plan.deadline.must_serve_by, played.text());
        seen.count("opened in time");
    }
    for &service in closed.difference(&excused).filter(|&&service| !committed && opens_at_once(played, service)) {
        assert!(played.state().services[service].is_let_in(), "seed {seed}: {service}");
        seen.count("open in time on half-done work");
    }
    closed.intersection(&excused).for_each(|_| seen.count("excused"));
    seen.count(if committed { "completed" } else { "turned back or cancelled" });
}

fn one_night(seed: u64, seen: &mut Seen) {
    let mut chance = Chance(seed);
    let verdict = chance::night(&mut chance).verdict();
    let reasons: BTreeSet<String> = verdict.refusals.iter().map(|refusal| refusal.reason.clone()).collect();
    assert!(!reasons.contains("NotProven"), "seed {seed}: {:#?}", verdict.refusals);
    if let Some(timeline) = &verdict.timeline {
        // A refusal of a gate and the second opinion go together.
        let late = notturno::plan::check(timeline);
        assert_eq!(late.is_empty(), !reasons.contains("DoesNotFit"), "seed {seed}: {late:#?} {:#?}", verdict.refusals);
    }
    for reason in &reasons {
        seen.count(&format!("refused: {reason}"));
    }
    let Some(plan) = verdict.accepted() else { return };
    seen.count("accepted");
    let world = chance::world(&mut chance, &plan);
    let late = Chance(seed ^ 0xdead).below(40);
    let played = play_before(
        &plan,
        &world,
        plan.deadline.must_serve_by + SignedDuration::from_hours(6),
        &mut |journal, facts, now, decision| {
            compare(&plan, journal, facts, now, decision, seen, seed);
            // The same facts, looked at by somebody who comes later.
            let later = now + SignedDuration::from_mins(late as i64);
            compare(&plan, journal, facts, later, &decide(&plan, journal, facts, later), seen, seed);
        },
    );
    promise(&played, seed, seen);
    undos::run_apart(&played, seed, seen);
}

/// Nights of one parity of seeds, until enough decisions were compared.
fn nights(parity: u64) -> Seen {
    let mut seen = Seen::default();
    for seed in (parity..200_000).step_by(2) {
        one_night(seed, &mut seen);
        if seen.of("compared") >= COMPARED_MIN / 2 {
            break;
        }
    }
    seen
}

#[test]
fn a_hundred_thousand_decisions_are_those_of_a_naive_second_implementation() {
    let halves = std::thread::scope(|scope| {
        let halves = [0, 1].map(|parity| scope.spawn(move || nights(parity)));
        halves.map(|half| half.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let mut seen = Seen::default();
    for half in &halves {
        seen.add(half);
    }
    println!("{seen:#?}");
    assert!(seen.of("compared") >= COMPARED_MIN, "too few nights are accepted");
    for kind in [
        "a start held",
        "a step held for want of sentinels",
        "back for want of sentinels",
        "no switch",
        "a switch out of sight",
        "a switch not ready",
        "a switch without sentinels",
        "a switch with one sentinel",
        "a whole switch",
        "a switch that is gone",
        "workBegun",
        "finished",
        "stepIntended",
        "stepDone",
        "stepFailed",
        "goingBack",
        "committed",
        "overrun",
        "extended",
        "confirmed",
        "held",
        "resumed",
        "orderRefused",
        "completed",
        "excused",
        "refused: DoesNotFit",
        "at reopen-by",
        "held closed",
        "undosExpired",
        "nothing to expire",
        "opening clean",
        "opening on half-done work",
        "held without proof",
        "open in time on half-done work",
        "undos that reach one service",
    ] {
        assert!(seen.of(kind) > 0, "{kind} never happened");
    }
}
