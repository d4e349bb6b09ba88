//! Whatever was recorded late, and by whom: the reserve is time for the sentinels. Found by `tests/model`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use std::collections::BTreeMap;

use jiff::Timestamp;
use nights::{Night, World, play, sogei, t};
use notturno::engine::facts::{ClosingFact, Probes, ServiceFact};
use notturno::engine::journal::Proof;
use notturno::engine::state::ServiceState;
use notturno::engine::{Entry, Event, Facts, State, decide, due};
use notturno::model::phase::Outcome;
use notturno::model::plan::Plan;
use notturno::model::service::WhenRed;
use notturno::model::span::{Span, after, before};

fn hours(name: &str, takes: Option<u32>) -> BTreeMap<String, Option<Span>> {
    BTreeMap::from([(name.to_owned(), takes.map(Span::minutes))])
}

/// The operator is dead once the journal has so many entries.
fn dying(world: World, after: usize) -> World {
    World { dies_after: Some(after), ..world }
}

#[test]
fn a_service_that_is_late_or_turns_out_clean_is_taken_over_within_the_reserve_whatever_else_was_recorded() {
    let plan = sogei().plan();
    let schedule_end_at = before(plan.deadline.must_serve_by, plan.reserve);
    let hanging = World { takes: hours("aggiorna", None), ..World::default() };
    let whole = play(&plan, &hanging, t("12:00"));
    let opening = whole.journal.iter().position(|entry| matches!(entry.event, Event::Opening { .. })).unwrap();
    let mut journal = whole.journal[..=opening].to_vec();
    let Event::Opening { services } = &journal[opening].event else { panic!("{}", whole.text()) };
    let service = services[0].clone();
    let mut push = |at, event| journal.push(Entry { at, event, why: String::new() });
    push(schedule_end_at, Event::OpeningLate { service: service.clone(), reason: "no answer yet".to_owned(), shut: true });
    push(plan.deadline.must_serve_by, Event::DeadlineMissed { services: vec![service] });
    for length in [journal.len() - 1, journal.len()] {
        let state = State::fold(&plan, &journal[..length]);
        assert_eq!(state.nonsense, [] as [&str; 0]);
        let due = due(&plan, &state).unwrap();
        assert!(due.at <= schedule_end_at, "{length}: {due:?}");
    }

    // The work is proven never to have started after its services were held closed, while others opened one by one.
    let released = whole.journal.iter().position(|entry| matches!(entry.event, Event::GoingBack { .. })).unwrap();
    let mut journal = whole.journal[..=released].to_vec();
    let mut push = |at, event| journal.push(Entry { at, event, why: String::new() });
    let late_at = before(plan.deadline.must_serve_by, Span::seconds(30));
    let held = plan.services.iter().enumerate().find(|(index, _)| plan.steps[4].touches.contains(index)).unwrap().1.id.clone();
    push(late_at, Event::ReopeningBegun {});
    push(late_at, Event::HeldClosed { service: held, through: vec!["aggiorna".to_owned()] });
    push(late_at, Event::StepStopped { step: "aggiorna".to_owned(), proof: Proof::NeverStarted });
    let state = State::fold(&plan, &journal);
    assert_eq!(state.nonsense, [] as [&str; 0]);
    assert!(due(&plan, &state).unwrap().at <= schedule_end_at, "{:?}", due(&plan, &state));
}

#[test]
fn a_service_that_declared_to_open_and_waits_for_a_proof_is_looked_after_within_the_reserve() {
    let mut night: Night = sogei();
    night.when_dirty("anagrafe-assistiti", nights::opens());
    let plan = night.plan();
    let whole = play(&plan, &World { takes: hours("aggiorna", None), ..World::default() }, t("12:00"));
    let turned = whole.journal.iter().position(|entry| matches!(entry.event, Event::GoingBack { .. })).unwrap();
    let mut journal = whole.journal[..=turned].to_vec();
    let schedule_end_at = before(plan.deadline.must_serve_by, plan.reserve);
    let id = plan.services.iter().find(|service| service.id.name == "anagrafe-assistiti").unwrap().id.clone();
    let steps = vec!["aggiorna".to_owned()];
    let mut push = |event| journal.push(Entry { at: schedule_end_at, event, why: String::new() });
    push(Event::ReopeningBegun {});
    push(Event::UndosExpired { service: id.clone(), steps: steps.clone() });
    push(Event::HeldClosed { service: id, through: steps });
    let state = State::fold(&plan, &journal);
    assert_eq!(state.nonsense, [] as [&str; 0]);
    assert!(due(&plan, &state).unwrap().at <= schedule_end_at, "{:?}", due(&plan, &state));
}

#[test]
fn an_undo_that_overran_is_watched_by_the_sentinels_from_the_end_of_the_schedule_on() {
    let plan = sogei().plan();
    let takes = hours("aggiorna", None).into_iter().chain(hours("undo-aggiorna", Some(150))).collect();
    let slow = World { takes, ..World::default() };
    let whole = play(&plan, &slow, t("12:00"));
    let overrun = whole.journal.iter().position(|entry| matches!(entry.event, Event::UndoOverrun { .. })).unwrap() + 1;
    let due = due(&plan, &State::fold(&plan, &whole.journal[..overrun])).unwrap();
    assert!(due.at <= before(plan.deadline.must_serve_by, plan.reserve), "{due:?}\n{}", whole.text());
    let held = whole.journal.iter().rposition(|entry| matches!(entry.event, Event::Opened { .. })).unwrap();
    let played = play(&plan, &dying(slow, held), t("12:00"));
    assert_eq!(played.state().outcome.is_some(), whole.state().outcome.is_some(), "{}", played.text());
}

/// An operator that paused behind the record of an opening ended the night with closed doors.
#[test]
fn after_finished_work_what_was_never_given_back_does_not_count_as_open_in_part() {
    let mut night: Night = sogei();
    night.services.iter_mut().for_each(|service| service.when_red = WhenRed::OpenDegraded);
    let plan = night.plan();
    let whole = play(&plan, &World::default(), t("12:00"));
    let opening = whole.journal.iter().position(|entry| matches!(entry.event, Event::Opening { .. })).unwrap();
    let journal = &whole.journal[..=opening];
    let late_at = after(journal[opening].at, Span::minutes(10));
    let events = |restored, probes: Probes| {
        let fact = ServiceFact { restored, burned: true, closing: ClosingFact::Closed, probes, ..ServiceFact::default() };
        let services = (0..plan.services.len()).map(|index| (index, fact.clone())).collect();
        let decision = decide(&plan, journal, &Facts { services, ..Facts::default() }, late_at);
        decision.events.into_iter().filter_map(|entry| match entry.event {
            Event::OpeningLate { shut, .. } => Some(shut),
            _ => None,
        })
    };
    assert!(events(false, Probes::NotAsked).count() > 0);
    assert!(events(false, Probes::NotAsked).all(|shut| shut), "its objects are still as the night left them");
    let red = Probes::Red { reason: "503".to_owned(), asked_for: Span::minutes(10) };
    assert!(events(true, red.clone()).count() > 0);
    assert!(!events(true, red).any(|shut| shut));
    // Who comes new to the night has asked nobody yet, or hardly.
    assert!(events(true, Probes::NotAsked).count() > 0);
    assert!(events(true, Probes::NotAsked).all(|shut| shut));
    let asked_once = Probes::Red { reason: "503".to_owned(), asked_for: Span::seconds(1) };
    assert!(events(true, asked_once).all(|shut| shut));
    let mut state = State::fold(&plan, journal);
    let service = plan.services[plan.waves[0][0]].id.clone();
    let late = Event::OpeningLate { service, reason: String::new(), shut: true };
    state.apply(&plan, &Entry { at: late_at, event: late, why: String::new() });
    assert!(state.needs_human() && due(&plan, &state).unwrap().at <= before(plan.deadline.must_serve_by, plan.reserve));
}

/// What came of the last moment of the journal, with every object as it was before the night, and all as red for so long.
fn red_for(plan: &Plan, journal: &[Entry], asked_for: Span, now: Timestamp) -> Vec<Event> {
    let probes = Probes::Red { reason: "503".to_owned(), asked_for };
    let fact = ServiceFact { restored: true, burned: true, closing: ClosingFact::Closed, probes, ..ServiceFact::default() };
    let services = (0..plan.services.len()).map(|index| (index, fact.clone())).collect();
    decide(plan, journal, &Facts { services, ..Facts::default() }, now).events.into_iter().map(|entry| entry.event).collect()
}

/// A sentinel that took a committed night over called it completed before anybody had asked.
#[test]
fn a_service_counts_as_open_in_part_once_whoever_has_the_night_has_asked_it_for_the_whole_of_its_time() {
    let mut night: Night = sogei();
    night.services.iter_mut().for_each(|service| service.when_red = WhenRed::OpenDegraded);
    let plan = night.plan();
    let world = World { red: plan.services.iter().map(|service| service.id.name.clone()).collect(), ..World::default() };
    let whole = play(&plan, &world, t("12:00"));
    let opening = whole.journal.iter().position(|entry| matches!(entry.event, Event::Opening { .. })).unwrap();
    let mut journal = whole.journal[..=opening].to_vec();
    let (index, service) = (plan.waves[0][0], plan.services[plan.waves[0][0]].id.clone());
    let budget = plan.services[index].reopen_budget;
    let late_at = after(journal[opening].at, budget + Span::seconds(60));
    journal.push(Entry {
        at: late_at,
        event: Event::OpeningLate { service: service.clone(), reason: String::new(), shut: true },
        why: String::new(),
    });
    let is_said = |events: &[Event]| {
        events.iter().any(|event| matches!(event, Event::OpeningLate { service: id, shut: false, .. } if *id == service))
    };
    let soon = Span::seconds(5);
    assert!(!is_said(&red_for(&plan, &journal, soon, after(late_at, soon))));
    assert!(is_said(&red_for(&plan, &journal, soon, plan.deadline.must_serve_by)), "what it declared holds when doors open");
    let asked = red_for(&plan, &journal, budget, after(late_at, budget));
    assert!(is_said(&asked), "{asked:?}");
    for event in asked {
        journal.push(Entry { at: after(late_at, budget), event, why: String::new() });
    }
    let state = State::fold(&plan, &journal);
    assert_eq!(state.nonsense, [] as [&str; 0]);
    assert!(matches!(state.services[index], ServiceState::Opening { late: true, tolerated: true, .. }));
    let played = play(&plan, &dying(world, opening + 1), t("12:00"));
    assert_eq!(played.state().outcome, Some(Outcome::Completed), "{}", played.text());
}

/// It was silent for want of what it calls, which opened a second ago.
#[test]
fn no_service_is_closed_again_for_the_silence_of_what_it_calls() {
    let mut night: Night = sogei();
    night.services.iter_mut().for_each(|service| service.when_red = WhenRed::CloseAgain);
    let plan = night.plan();
    let whole = play(&plan, &World::default(), t("12:00"));
    let opening = whole.journal.iter().position(|entry| matches!(entry.event, Event::Opening { .. })).unwrap();
    let begun = whole.state().so_far().closed.clone();
    let (_, caller) = plan
        .services
        .iter()
        .enumerate()
        .find(|(index, service)| begun.contains(index) && !service.upstreams.is_disjoint(&begun))
        .unwrap();
    let called: Vec<_> = caller.upstreams.iter().map(|&upstream| plan.services[upstream].id.clone()).collect();
    let mut journal = whole.journal[..opening].to_vec();
    let since = journal[opening - 1].at;
    let late_at = after(since, caller.reopen_budget);
    let mut push = |at, event| journal.push(Entry { at, event, why: String::new() });
    push(since, Event::Opening { services: called.iter().chain([&caller.id]).cloned().collect() });
    push(late_at, Event::OpeningLate { service: caller.id.clone(), reason: "503".to_owned(), shut: false });
    for service in called {
        push(late_at, Event::Opened { service });
    }
    assert_eq!(State::fold(&plan, &journal).nonsense, [] as [&str; 0]);
    let closed = |now: Timestamp| {
        let asked_for = Span::between(since, now);
        red_for(&plan, &journal, asked_for, now).iter().any(|event| matches!(event, Event::ClosedAgain { .. }))
    };
    assert!(!closed(after(late_at, Span::seconds(1))));
    assert!(closed(after(late_at, caller.reopen_budget)), "nothing was in its way for the whole of its time");
}
