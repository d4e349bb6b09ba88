//! The arithmetic of the promise on the night of 9 February 2023, and what the engine makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use nights::{World, job, play, sogei, step, t};
use notturno::engine::facts::{Ask, Order};
use notturno::engine::journal::{Cause, Event};
use notturno::model::action::{Action, Undo};
use notturno::model::need::reopen_by;
use notturno::model::phase::{Outcome, Phase};
use notturno::model::runbook::OnOverrun;
use notturno::model::span::Span;

/// The demo world of SETTLED.md: three waves that take thirty minutes in all.
fn world() -> World {
    let mut world = World::default();
    for (name, minutes) in
        [("anagrafe-assistiti", 10), ("accesso-ts", 10), ("ricetta-elettronica", 10), ("cup", 10), ("zerocode", 10)]
    {
        world.reopening.insert(name.to_owned(), Span::minutes(minutes));
    }
    world
}

#[test]
fn the_planned_night_opens_at_five_and_shows_its_moments() {
    let plan = sogei().plan();
    assert_eq!(plan.deadline.must_serve_by, t("07:00"));
    assert_eq!((plan.deadline.service.name.as_str(), plan.deadline.calendar.as_str()), ("zerocode", "prelievi"));
    assert_eq!(plan.planned_open_at, t("05:00"));
    assert_eq!(plan.tell_people_by, Some(t("06:00")));
    assert_eq!(reopen_by(&plan, &std::collections::BTreeSet::default()), t("06:10"));
    let turn_back: Vec<_> = plan.steps.iter().map(|step| step.turn_back_at).collect();
    assert_eq!(turn_back, [t("05:55"), t("05:55"), t("05:55"), t("05:55"), t("04:55"), t("04:55"), t("04:55")]);
    assert_eq!(plan.steps[4].finish_by, t("03:55"));
    assert_eq!(plan.steps[6].finish_by, t("04:55"));
}

#[test]
fn changed_inputs_move_the_moments() {
    let mut later_doors = sogei();
    later_doors.hours("prelievi", "Mo-Sa 07:45-11:00");
    later_doors.hours("cup", "Mo-Fr 07:45-16:30");
    assert_eq!(later_doors.plan().steps[4].turn_back_at, t("05:25"));

    let mut longer_restore = sogei();
    let restore = &mut longer_restore.step("aggiorna").undo;
    if let notturno::model::action::Undo::Job { budget, .. } = restore {
        *budget = Span::minutes(75);
    }
    assert_eq!(longer_restore.plan().steps[4].turn_back_at, t("04:40"));

    let mut more_reserve = sogei();
    more_reserve.runbook.reserve = Span::minutes(35);
    let plan = more_reserve.plan();
    assert_eq!((plan.steps[0].turn_back_at, plan.steps[4].turn_back_at), (t("05:40"), t("04:40")));
}

#[test]
fn a_reserve_of_two_hundred_minutes_is_refused_with_the_sum() {
    let mut night = sogei();
    night.runbook.reserve = Span::minutes(200);
    let verdict = night.verdict();
    let refusal = &verdict.refusals[0];
    assert_eq!((refusal.reason.as_str(), refusal.path.as_str()), ("DoesNotFit", "spec.steps[4]"));
    let plan = verdict.timeline.as_ref().expect("a timeline to read");
    let said = notturno::engine::words::said(plan, &refusal.sum);
    assert_eq!(said, "03:30 + undo 1h + smoke 15m + reopen 30m + reserve 3h20m = 08:35, mustServeBy 07:00");
    assert!(verdict.accepted().is_none());
}

#[test]
fn all_well_the_night_is_completed_at_five() {
    let played = play(&sogei().plan(), &world(), t("12:00"));
    assert_eq!(played.state().outcome, Some(Outcome::Completed), "{}", played.text());
    assert_eq!(played.opened("portale-ts").as_deref(), Some("04:50"), "does not wait for cup\n{}", played.text());
    assert_eq!(played.opened("cup").as_deref(), Some("05:00"), "{}", played.text());
    assert_eq!(played.state().nonsense, [] as [&str; 0]);
}

fn hanging(restore_minutes: u32) -> nights::Played {
    let mut world = world();
    world.takes.insert("aggiorna".to_owned(), None);
    world.takes.insert("undo-aggiorna".to_owned(), Some(Span::minutes(restore_minutes)));
    play(&sogei().plan(), &world, t("12:00"))
}

#[test]
fn a_hanging_upgrade_turns_back_at_its_hard_cap_and_is_open_at_a_quarter_to_six() {
    let played = hanging(60);
    let text = played.text();
    assert_eq!(played.at(|e| matches!(e, Event::Overrun { .. })).as_deref(), Some("03:30"), "{text}");
    assert_eq!(played.at(|e| matches!(e, Event::GoingBack { cause: Cause::HardCap { .. } })).as_deref(), Some("04:00"));
    assert_eq!(played.at(|e| matches!(e, Event::UndoDone { .. })).as_deref(), Some("05:00"));
    assert_eq!(played.at(|e| matches!(e, Event::SmokeDone {})).as_deref(), Some("05:15"));
    assert_eq!(played.opened("zerocode").as_deref(), Some("05:45"), "{text}");
    assert_eq!(played.state().outcome, Some(Outcome::RolledBack));
}

#[test]
fn a_slower_restore_is_survived_until_a_hundred_and_thirty_five_minutes() {
    for (minutes, open, outcome) in [
        (115, "06:40", Outcome::RolledBack),
        (116, "06:41", Outcome::RolledBack),
        (135, "07:00", Outcome::RolledBack),
        (136, "07:01", Outcome::ReopenedLate),
    ] {
        let played = hanging(minutes);
        assert_eq!(played.opened("zerocode").as_deref(), Some(open), "{}", played.text());
        assert_eq!(played.state().outcome, Some(outcome), "{}", played.text());
    }
    let played = hanging(116);
    assert_eq!(played.opened("portale-ts").as_deref(), Some("06:10"), "untouched from reopen-by on\n{}", played.text());
}

fn extended(until: &str) -> nights::Played {
    let mut world = world();
    world.takes.insert("aggiorna".to_owned(), None);
    world.orders = vec![Order {
        name: "proroga".to_owned(),
        by: "anna".to_owned(),
        at: t("03:40"),
        ask: Ask::Extend { step: "aggiorna".to_owned(), until: t(until) },
    }];
    play(&sogei().plan(), &world, t("12:00"))
}

#[test]
fn an_extension_holds_up_to_the_turn_back_moment_and_not_a_minute_past_it() {
    let played = extended("04:55");
    let text = played.text();
    assert!(text.contains("03:40 anna gave step aggiorna until 04:55; the way back holds; the work will not fit: the later steps have no time left: the night will turn back when this step ends"), "{text}");
    assert_eq!(played.at(|e| matches!(e, Event::GoingBack { .. })).as_deref(), Some("04:55"), "{text}");
    assert_eq!(played.opened("zerocode").as_deref(), Some("06:40"), "{text}");

    let played = extended("05:10");
    let text = played.text();
    assert!(text.contains("05:10 + undo 1h + smoke 15m + reopen 30m + reserve 20m = 07:15, mustServeBy 07:00"), "{text}");
    assert_eq!(played.at(|e| matches!(e, Event::GoingBack { .. })).as_deref(), Some("04:00"), "{text}");
}

#[test]
fn an_undo_that_fails_leaves_touched_services_closed_and_everything_else_open() {
    let mut world = world();
    world.takes.insert("aggiorna".to_owned(), None);
    world.takes.insert("undo-aggiorna".to_owned(), None);
    world.fails.insert(("undo-aggiorna".to_owned(), 1), Span::minutes(40));
    let played = play(&sogei().plan(), &world, t("12:00"));
    let text = played.text();
    assert_eq!(played.at(|e| matches!(e, Event::UndoFailed { attempt: 1, .. })).as_deref(), Some("04:40"), "{text}");
    assert_eq!(played.at(|e| matches!(e, Event::UndoReleased { attempt: 2, .. })).as_deref(), Some("04:40"), "{text}");
    for held in ["ricetta-elettronica", "anagrafe-assistiti", "accesso-ts"] {
        let at = played.at(|e| matches!(e, Event::HeldClosed { service, .. } if service.name == held));
        assert_eq!(at.as_deref(), Some("06:10"), "{text}");
        assert_eq!(played.opened(held), None);
    }
    for degraded in ["cup", "zerocode"] {
        let at = played.at(|e| matches!(e, Event::Degraded { service, .. } if service.name == degraded));
        assert_eq!(at.as_deref(), Some("06:10"), "{text}");
    }
    assert_eq!(played.opened("portale-ts").as_deref(), Some("06:10"), "{text}");
    assert_eq!(played.state().outcome, None);
    assert!(played.state().needs_human());
    assert_eq!(played.state().phase(&played.plan), Phase::Reopening);
}

#[test]
fn the_invariant_holds_at_every_decision_before_the_night_turns() {
    let plan = sogei().plan();
    for takes in (10..=200).step_by(7) {
        let mut world = world();
        world.takes.insert("aggiorna".to_owned(), Some(Span::minutes(takes)));
        let played = play(&plan, &world, t("12:00"));
        let mut journal: Vec<notturno::engine::Entry> = Vec::new();
        for (now, decision) in &played.decisions {
            journal.extend(decision.events.iter().cloned());
            let mut whole = vec![played.journal[0].clone()];
            whole.extend(journal.iter().cloned());
            let state = notturno::engine::State::fold(&plan, &whole);
            if state.direction == notturno::engine::state::Direction::Forward {
                assert!(*now < notturno::model::need::turn_back_at(&plan, &state.begun(&plan)));
            }
        }
        let outcome = played.state().outcome;
        assert!(matches!(outcome, Some(Outcome::Completed | Outcome::RolledBack)), "{takes}: {}", played.text());
    }
}

#[test]
fn whatever_step_fails_the_night_comes_to_its_end_in_time() {
    let plan = sogei().plan();
    for step in ["preflight", "istantanea", "aggiorna", "indici", "prova"] {
        let mut world = world();
        world.fails.insert((step.to_owned(), 0), Span::minutes(3));
        let played = play(&plan, &world, t("12:00"));
        let cause = played.at(|e| matches!(e, Event::GoingBack { cause: Cause::StepFailed { step: failed } } if failed == step));
        assert!(cause.is_some(), "{step}: {}", played.text());
        assert_eq!(played.state().outcome, Some(Outcome::RolledBack), "{step}: {}", played.text());
        let undone = played.at(|e| matches!(e, Event::UndoDone { .. })).is_some();
        assert_eq!(undone, ["aggiorna", "indici", "prova"].contains(&step), "{step}: {}", played.text());
    }
}

#[test]
fn a_night_deleted_at_any_minute_comes_to_its_end() {
    let plan = sogei().plan();
    for minutes in (0..300).step_by(11) {
        let mut world = world();
        world.orders = vec![Order {
            name: "indietro".to_owned(),
            by: "anna".to_owned(),
            at: notturno::model::span::after(plan.start_at, Span::minutes(minutes)),
            ask: Ask::TurnBack,
        }];
        let played = play(&plan, &world, t("12:00"));
        let outcome = played.state().outcome;
        assert!(
            matches!(outcome, Some(Outcome::RolledBack | Outcome::Completed | Outcome::Cancelled)),
            "{minutes}: {}",
            played.text()
        );
        assert_eq!(played.state().nonsense, [] as [&str; 0]);
    }
}

#[test]
fn an_upgrade_that_ends_past_finish_by_turns_back_when_it_ends() {
    let mut world = world();
    world.takes.insert("aggiorna".to_owned(), Some(Span::minutes(116)));
    let played = play(&sogei().plan(), &world, t("12:00"));
    assert_eq!(
        played.at(|e| matches!(e, Event::GoingBack { cause: Cause::Futile })).as_deref(),
        Some("03:56"),
        "{}",
        played.text()
    );
    world.takes.insert("aggiorna".to_owned(), Some(Span::minutes(115)));
    let played = play(&sogei().plan(), &world, t("12:00"));
    assert_eq!(played.state().outcome, Some(Outcome::Completed), "{}", played.text());
}

/// `finishBy` (DESIGN §1): the latest end from which every later gate holds, so what runs beside what follows counts too.
#[test]
fn a_long_step_beside_one_with_an_undo_moves_the_moment_by_which_both_need_their_step() {
    let mut night = sogei();
    // After `indici`, at once: `verbale` takes 20 minutes and leaves nothing; `segna` takes 10, and 10 to undo.
    let protocol = step("verbale", &["indici"], 20, Action::Job(job("verbale")), Undo::Nothing);
    let undo = Undo::Job { budget: Span::minutes(10), attempts: 2, job: job("cancella") };
    let mut mark = step("segna", &["indici"], 10, Action::Job(job("segna")), undo);
    mark.touches = Some(vec!["anagrafe-assistiti".parse().unwrap()]);
    night.runbook.steps.extend([protocol, mark]);
    night.step("indici").hard_cap = Some(Span::minutes(70));
    night.step("indici").on_overrun = OnOverrun::Continue;
    let plan = night.plan();
    let planned = |name: &str| &plan.steps[plan.step_named(name).unwrap().0];
    // 07:00 less undos 10 and 60, smoke 15, reopening 30, reserve 20.
    assert_eq!(planned("segna").turn_back_at, t("04:45"));
    // While `segna` starts `verbale` runs: the work ends 20 minutes after `indici`.
    assert_eq!(planned("indici").finish_by, t("04:25"));
    for (minutes, outcome) in [(55, Outcome::Completed), (56, Outcome::RolledBack)] {
        let mut world = world();
        world.takes.insert("indici".to_owned(), Some(Span::minutes(minutes)));
        let played = play(&plan, &world, t("12:00"));
        assert_eq!(played.state().outcome, Some(outcome), "{minutes}");
    }
}
