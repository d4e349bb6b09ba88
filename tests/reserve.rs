//! Whatever was recorded late, and by whom: the reserve is time for the sentinels. Found by `tests/model`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use std::collections::BTreeMap;

use nights::{Night, World, play, sogei, t};
use notturno::engine::facts::{ClosingFact, Probes, ServiceFact};
use notturno::engine::journal::Proof;
use notturno::engine::{Entry, Event, Facts, State, decide, due};
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
    let mut state = State::fold(&plan, journal);
    let service = plan.services[plan.waves[0][0]].id.clone();
    let late = Event::OpeningLate { service, reason: String::new(), shut: true };
    state.apply(&plan, &Entry { at: late_at, event: late, why: String::new() });
    assert!(state.needs_human() && due(&plan, &state).unwrap().at <= before(plan.deadline.must_serve_by, plan.reserve));
}
