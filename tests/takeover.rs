//! The dead man's switch on the pure engine: the operator dies after any record, and a sentinel plays the night to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use std::collections::BTreeMap;

use nights::{Night, Played, World, play, play_before, sogei, t};
use notturno::engine::facts::{Pods, SwitchFact};
use notturno::engine::journal::Cause;
use notturno::engine::state::{ServiceState, Work};
use notturno::engine::words::clock;
use notturno::engine::{Broken, Command, Entry, Event, Facts, State, believed, decide, due, torn};
use notturno::model::action::Undo;
use notturno::model::epoch::Epoch;
use notturno::model::need::grace;
use notturno::model::phase::Outcome;
use notturno::model::plan::Plan;
use notturno::model::service::WhenRed;
use notturno::model::span::{Span, after};

fn hours(name: &str, takes: Option<u32>) -> BTreeMap<String, Option<Span>> {
    BTreeMap::from([(name.to_owned(), takes.map(Span::minutes))])
}

/// Nights that take every branch: as planned, an upgrade that hangs, one that fails, an undo that fails once, an undo that hangs.
fn worlds() -> Vec<(&'static str, World)> {
    let hang = || hours("aggiorna", None);
    let fails = |name: &str| BTreeMap::from([((name.to_owned(), u32::from(name.starts_with("undo"))), Span::minutes(10))]);
    let slow = [("cup", 4), ("zerocode", 9)].map(|(name, minutes)| (name.to_owned(), Span::minutes(minutes)));
    vec![
        ("as planned", World::default()),
        ("doors take time", World { reopening: slow.into(), ..World::default() }),
        ("the upgrade hangs", World { takes: hang(), ..World::default() }),
        ("the upgrade fails", World { fails: fails("aggiorna"), ..World::default() }),
        ("the first undo fails", World { takes: hang(), fails: fails("undo-aggiorna"), ..World::default() }),
        ("the undo hangs", World { takes: hang().into_iter().chain(hours("undo-aggiorna", None)).collect(), ..World::default() }),
    ]
}

fn dying(world: &World, after: usize) -> World {
    World {
        takes: world.takes.clone(),
        fails: world.fails.clone(),
        reopening: world.reopening.clone(),
        left: world.left.clone(),
        dies_after: Some(after),
        ..World::default()
    }
}

fn taken_over(journal: &[Entry]) -> Option<&Entry> {
    journal.iter().find(|entry| matches!(entry.event, Event::TakenOver { .. }))
}

/// What has to be so at must-serve-by, whoever plays: what is untouched or undone is open.
fn keeps_the_promise(played: &Played, hangs: bool, told: &str) {
    let (plan, state) = (&played.plan, played.state());
    assert_eq!(state.nonsense, [] as [&str; 0], "{told}");
    for (index, service) in plan.services.iter().enumerate() {
        let opened =
            played.journal.iter().rfind(|entry| matches!(&entry.event, Event::Opened { service: id } if *id == service.id));
        let was_closed = played.journal.iter().any(|entry| match &entry.event {
            Event::StepIntended { step, .. } => plan.step_named(step).unwrap().1.closes().contains(&index),
            _ => false,
        });
        let touched =
            plan.steps.iter().any(|step| step.touches.contains(&index) || !step.touches.is_disjoint(&service.upstreams));
        if !was_closed || (hangs && (touched || !service.upstreams.is_empty())) {
            continue;
        }
        let at = opened.unwrap_or_else(|| panic!("{told}: {} never opened\n{}", service.id, played.text())).at;
        assert!(at <= plan.deadline.must_serve_by, "{told}: {} opened {at}\n{}", service.id, played.text());
    }
}

#[test]
fn whenever_the_operator_dies_the_services_that_are_clean_open_in_time() {
    let plan = sogei().plan();
    let mut takeovers = 0;
    for (name, world) in worlds() {
        let whole = play(&plan, &world, t("12:00"));
        let begins = whole.journal.iter().position(|entry| matches!(entry.event, Event::WorkBegun {})).unwrap();
        for dies_after in begins + 1..whole.journal.len() {
            let told = format!("{name}, dead after record {dies_after}: {}", whole.journal[dies_after - 1].why);
            let played = play(&plan, &dying(&world, dies_after), t("12:00"));
            keeps_the_promise(&played, name == "the undo hangs", &told);
            // The record that it died behind held the end.
            if played.journal == whole.journal {
                continue;
            }
            let taken = taken_over(&played.journal).unwrap_or_else(|| panic!("{told}: nobody came\n{}", played.text()));
            let before = played.journal.iter().take_while(|entry| !matches!(entry.event, Event::TakenOver { .. })).cloned();
            let before = State::fold(&plan, &before.collect::<Vec<_>>());
            let due = due(&plan, &before).unwrap_or_else(|| panic!("{told}: nothing was due"));
            assert_eq!(taken.at, after(due.at, grace(&plan)), "{told}");
            takeovers += 1;
        }
    }
    assert!(takeovers > 80, "{takeovers}");
}

#[test]
fn an_operator_that_plays_by_the_rules_is_never_deposed() {
    let plan = sogei().plan();
    let mut looks = 0;
    for (name, world) in worlds() {
        let whole = play_before(&plan, &world, t("12:00"), &mut |journal: &[Entry], _: &Facts, now, _| {
            let sentinel = Facts { epoch: Epoch::SENTINELS, ..Facts::default() };
            let decision = decide(&plan, journal, &sentinel, now);
            // Whoever waits for an undo that hangs may be relieved: see below.
            if name == "the undo hangs" && now >= t("06:14") {
                return;
            }
            assert_eq!(decision.events, [], "{name}: {now}");
            assert_eq!(decision.commands, [], "{name}: {now}");
            looks += 1;
        });
        assert_eq!(taken_over(&whole.journal), None);
    }
    assert!(looks > 150, "{looks}");
}

/// The upgrade hangs, and its Pods are seen like this for so long after they were told to stop.
fn stopping(minutes: u32, pods: Pods) -> World {
    World {
        takes: hours("aggiorna", None),
        left: [("aggiorna".to_owned(), (Span::minutes(minutes), pods))].into(),
        ..World::default()
    }
}

/// Turned back at its hard cap, or at the last moment that there is, with a reserve of so many minutes.
fn turning(at_the_last: bool, reserve: u32) -> Plan {
    let mut night: Night = sogei();
    night.runbook.reserve = Span::minutes(reserve);
    if at_the_last {
        night.step("aggiorna").hard_cap = Some(Span::minutes(240));
    }
    night.plan()
}

/// When a sentinel would take over from an operator that lives; none while every record comes before that.
fn deposed_at(plan: &Plan, world: &World) -> Option<String> {
    let journal = play(plan, world, t("12:00")).journal;
    (1..=journal.len()).find_map(|count| {
        let (last, next) = (&journal[count - 1], journal.get(count).map(|entry| entry.at));
        let due = due(plan, &State::fold(plan, &journal[..count])).filter(|_| next != Some(last.at))?;
        let at = after(due.at, grace(plan)).max(last.at);
        next.is_none_or(|next| at <= next).then(|| clock(plan, at))
    })
}

#[test]
fn an_operator_that_waits_for_a_pod_to_stop_is_not_deposed_while_the_way_back_has_time_for_it() {
    for (at_the_last, reserve, minutes, pods) in [
        (false, 20, 3, Pods::Alive),
        (false, 20, 40, Pods::Alive),
        (false, 2, 60, Pods::NoneSeen),
        (true, 20, 3, Pods::Alive),
        (true, 20, 10, Pods::Alive),
        (true, 2, 60, Pods::NoneSeen),
    ] {
        let told = format!("at the last moment: {at_the_last}, reserve {reserve}, {pods:?} for {minutes} min");
        assert_eq!(deposed_at(&turning(at_the_last, reserve), &stopping(minutes, pods)), None, "{told}");
    }
}

#[test]
fn a_step_that_nothing_undoes_may_take_its_time_to_stop_too() {
    let mut night: Night = sogei();
    night.step("istantanea").hard_cap = Some(Span::minutes(45));
    let plan = night.plan();
    for pods in [Pods::Alive, Pods::NoneSeen] {
        let left = [("istantanea".to_owned(), (Span::minutes(2), pods))].into();
        let world = World { takes: hours("istantanea", None), left, ..World::default() };
        assert_eq!(deposed_at(&plan, &world), None);
    }
    // The covering undo has the time that stops need.
    let left = [("indici".to_owned(), (Span::minutes(5), Pods::Alive))].into();
    let fails = [(("indici".to_owned(), 0), Span::minutes(10))].into();
    assert_eq!(deposed_at(&plan, &World { fails, left, ..World::default() }), None);
}

#[test]
fn whoever_dies_while_a_pod_is_stopping_is_followed_in_time_for_every_service() {
    for (at_the_last, reserve) in [(false, 20), (true, 20), (false, 2), (true, 2)] {
        let plan = turning(at_the_last, reserve);
        let world = stopping(3, Pods::Alive);
        let whole = play(&plan, &world, t("12:00"));
        let turned = whole.journal.iter().position(|entry| matches!(entry.event, Event::GoingBack { .. })).unwrap() + 1;
        for dies_after in turned..whole.journal.len() {
            let told = format!("{at_the_last} {reserve}, dead after {}", whole.journal[dies_after - 1].why);
            let played = play(&plan, &dying(&world, dies_after), t("12:00"));
            let held_the_end = played.journal == whole.journal;
            assert!(held_the_end || taken_over(&played.journal).is_some(), "{told}\n{}", played.text());
            keeps_the_promise(&played, false, &told);
        }
    }
}

#[test]
fn an_undo_that_ends_late_after_the_operator_died_is_verified_and_its_services_open_in_time() {
    let plan = sogei().plan();
    // Released at 04:00, it has an hour and ends at 06:12: what it touches was held closed at reopen-by, at 06:10.
    let undo = hours("undo-aggiorna", Some(132));
    let world = World { takes: hours("aggiorna", None).into_iter().chain(undo).collect(), ..World::default() };
    let whole = play(&plan, &world, t("12:00"));
    assert_eq!(whole.at(|event| matches!(event, Event::HeldClosed { .. })).as_deref(), Some("06:10"), "{}", whole.text());
    let last = whole.journal.iter().rposition(|entry| entry.at <= t("06:10")).unwrap() + 1;
    let overrun = whole.journal.iter().position(|entry| matches!(entry.event, Event::UndoOverrun { .. })).unwrap() + 1;
    for dies_after in overrun..=last {
        let played = play(&plan, &dying(&world, dies_after), t("12:00"));
        keeps_the_promise(&played, false, &whole.journal[dies_after - 1].why);
        assert_eq!(played.state().outcome, Some(Outcome::RolledBack), "{}", played.text());
    }
}

#[test]
fn with_an_undo_that_hangs_the_night_changes_hands_at_the_last_moment_at_which_its_end_would_still_help() {
    let takes = hours("aggiorna", None).into_iter().chain(hours("undo-aggiorna", None)).collect();
    let world = World { takes, ..World::default() };
    // 07:00 less verification, reopening, a grace to come and one for the calls of a wave; and one grace.
    assert_eq!(deposed_at(&sogei().plan(), &world).as_deref(), Some("06:14"));
    // Another undo waits behind it, and its time too is left to whoever comes.
    let mut night: Night = sogei();
    night.step("istantanea").undo = Undo::Job { budget: Span::minutes(25), attempts: 1, job: nights::job("togli") };
    night.step("istantanea").touches = Some(vec!["portale-ts".parse().unwrap()]);
    let plan = night.plan();
    let whole = play(&plan, &world, t("12:00"));
    let overrun = whole.journal.iter().position(|entry| matches!(entry.event, Event::UndoOverrun { .. })).unwrap() + 1;
    let due = due(&plan, &State::fold(&plan, &whole.journal[..overrun])).unwrap();
    assert_eq!((clock(&plan, due.at).as_str(), due.what.as_str()), ("05:48", "the end of the undo of aggiorna"));
}

#[test]
fn a_night_that_works_on_is_taken_over_at_its_turn_back_moment_and_one_grace_and_goes_back() {
    let plan = sogei().plan();
    let world = World { takes: hours("aggiorna", None), ..World::default() };
    let whole = play(&plan, &world, t("12:00"));
    let begun = whole.journal.iter().position(|entry| entry.event.step() == Some("aggiorna")).unwrap() + 1;
    let played = play(&plan, &dying(&world, begun), t("12:00"));
    assert_eq!(played.at(|event| matches!(event, Event::TakenOver { .. })).as_deref(), Some("04:56"), "{}", played.text());
    assert_eq!(played.at(|event| *event == Event::GoingBack { cause: Cause::TakenOver }).as_deref(), Some("04:56"));
    assert_eq!(played.state().outcome, Some(Outcome::RolledBack));
    assert_eq!(played.opened("zerocode").as_deref(), Some("06:11"), "a minute of the reserve, the grace, is used");
}

#[test]
fn a_committed_night_is_finished_and_never_undone() {
    let plan = sogei().plan();
    let whole = play(&plan, &World::default(), t("12:00"));
    let committed = whole.journal.iter().position(|entry| entry.event == Event::Committed {}).unwrap() + 1;
    let played = play(&plan, &dying(&World::default(), committed), t("12:00"));
    let undone = |event: &Event| matches!(event, Event::GoingBack { .. } | Event::UndoReleased { .. });
    assert_eq!(played.at(undone), None, "{}", played.text());
    assert_eq!(played.state().outcome, Some(Outcome::Completed));
}

#[test]
fn work_that_ended_after_the_operator_died_is_undone() {
    let plan = sogei().plan();
    let whole = play(&plan, &World::default(), t("12:00"));
    let begun = whole.journal.iter().position(|entry| entry.event.step() == Some("aggiorna")).unwrap() + 1;
    let played = play(&plan, &dying(&World::default(), begun), t("12:00"));
    assert_eq!(played.state().outcome, Some(Outcome::RolledBack), "{}", played.text());
    let aggiorna = plan.step_named("aggiorna").unwrap().0;
    assert!(matches!(played.state().steps[aggiorna].work, Work::Running { .. }), "nobody recorded its end before the takeover");
}

#[test]
fn an_operator_that_comes_back_after_a_takeover_records_and_commands_nothing_until_the_end() {
    let plan = sogei().plan();
    let world = World { takes: hours("aggiorna", None), ..World::default() };
    let played = play(&plan, &dying(&world, 9), t("12:00"));
    let taken = played.journal.iter().position(|entry| matches!(entry.event, Event::TakenOver { .. })).unwrap();
    for end in taken + 1..played.journal.len() {
        let journal = &played.journal[..end];
        let decision = decide(&plan, journal, &Facts::default(), t("06:30"));
        assert_eq!((decision.events, decision.commands, decision.wake), (vec![], vec![], None));
        assert!(decision.why.starts_with("epoch 2 has the night: "), "{}", decision.why);
    }
    let lost = SwitchFact::NotReady { reason: "it is not there".to_owned(), since: t("06:30") };
    let unguarded = Facts { switch: lost, ..Facts::default() };
    let by_people = Entry { at: t("05:00"), event: Event::TakenOver { epoch: Epoch::PEOPLE }, why: String::new() };
    let by_people = [&played.journal[..=taken], &[by_people]].concat();
    assert_eq!(decide(&plan, &played.journal[..=taken], &unguarded, t("06:30")).commands, [Command::ArmSwitch]);
    assert_eq!(decide(&plan, &by_people, &unguarded, t("06:30")).commands, [], "people may have taken it down");
    let over = decide(&plan, &played.journal, &Facts::default(), t("08:00"));
    assert_eq!(over.commands, [Command::Disarm], "what is left of a night that is over may be taken away by anybody");
}

#[test]
fn a_night_that_never_began_is_nobodys_to_take() {
    let plan = sogei().plan();
    let armed = [
        Entry { at: t("20:00"), event: Event::Accepted { plan_hash: "h".into() }, why: String::new() },
        Entry { at: t("20:00"), event: Event::Armed {}, why: String::new() },
    ];
    let sentinel = Facts { epoch: Epoch::SENTINELS, ..Facts::default() };
    let decision = decide(&plan, &armed, &sentinel, t("06:59"));
    assert_eq!((decision.events, decision.commands), (vec![], vec![]));
}

#[test]
fn a_service_that_is_closed_again_after_finished_work_holds_no_other_and_no_takeover() {
    let mut night: Night = sogei();
    night.services[0].when_red = WhenRed::CloseAgain;
    let plan = night.plan();
    let red = World { red: ["anagrafe-assistiti".to_owned()].into(), ..World::default() };
    let whole = play(&plan, &red, t("07:30"));
    let held = whole.state().services.iter().any(|service| matches!(service, ServiceState::HeldClosed { .. }));
    assert!(held && taken_over(&whole.journal).is_none(), "{}", whole.text());
}

#[test]
fn a_service_that_is_to_be_closed_again_has_the_whole_of_its_time_whoever_asks_it() {
    let mut night: Night = sogei();
    night.services[0].when_red = WhenRed::CloseAgain;
    let plan = night.plan();
    let world = World { reopening: [("anagrafe-assistiti".to_owned(), Span::minutes(2))].into(), ..World::default() };
    let whole = play(&plan, &world, t("12:00"));
    let committed = whole.journal.iter().position(|entry| entry.event == Event::Committed {}).unwrap() + 1;
    for dies_after in committed..whole.journal.len() {
        let played = play(&plan, &dying(&world, dies_after), t("12:00"));
        let again = played.at(|event| matches!(event, Event::ClosedAgain { .. }));
        assert_eq!((again, played.state().outcome), (None, Some(Outcome::Completed)), "{dies_after}\n{}", played.text());
    }
}

#[test]
fn whoever_is_deposed_does_nothing_without_a_record_either() {
    let plan = sogei().plan();
    let whole = play(&plan, &dying(&World::default(), 6), t("12:00"));
    let taken = whole.journal.iter().position(|entry| matches!(entry.event, Event::TakenOver { .. })).unwrap();
    let left = torn(&plan, "h", whole.journal[..=taken + 1].to_vec(), "lost");
    let facts = |epoch| Facts { epoch, unrecorded: true, ..Facts::default() };
    for now in ["02:00", "06:30"] {
        let [deposed, sentinel] = [Epoch::OPERATOR, Epoch::SENTINELS].map(|epoch| decide(&plan, &left, &facts(epoch), t(now)));
        assert_eq!((deposed.events, deposed.commands), (vec![], vec![]), "{now}");
        assert!(!sentinel.commands.is_empty(), "{now}: who has the night takes rights back");
    }
    let next_day = after(plan.deadline.must_serve_by, Span::minutes(24 * 60 + 1));
    assert_eq!(decide(&plan, &left, &facts(Epoch::SENTINELS), next_day).commands, [], "people have worked since");
}

#[test]
fn a_journal_with_something_lost_is_torn_once_the_night_may_have_begun_and_else_makes_no_sense() {
    let plan = sogei().plan();
    let read = &play(&plan, &World::default(), t("12:00")).journal[..2];
    let broken = |is_lost| Broken { why: "a record is not there".to_owned(), is_lost };
    let at = |is_lost, now: &str| believed(&plan, "h", read, Some(&broken(is_lost)), t(now));
    let lost = at(true, "02:00");
    assert_eq!(
        (lost.entries, lost.read_count, lost.is_torn),
        (torn(&plan, "h", read.to_vec(), "a record is not there"), 2, true)
    );
    for (is_lost, now) in [(true, "00:10"), (false, "02:00")] {
        let told = at(is_lost, now);
        assert_eq!((&told.entries[..2], told.entries.len(), told.read_count, told.is_torn), (read, 3, 2, false), "{now}");
        assert_eq!(State::fold(&plan, &told.entries).nonsense.len(), 1, "{now}");
    }
}

#[test]
fn whoever_takes_a_night_over_gives_up_no_undo_before_it_has_looked() {
    let mut night: Night = sogei();
    night.runbook.smoke = None;
    night.step("aggiorna").hard_cap = Some(Span::minutes(240));
    night.when_dirty("anagrafe-assistiti", nights::opens());
    let plan = night.plan();
    let world = World { takes: hours("aggiorna", None), ..World::default() };
    let whole = play(&plan, &world, t("12:00"));
    let released = whole.journal.iter().position(|entry| matches!(entry.event, Event::UndoReleased { .. })).unwrap() + 1;
    let journal = &whole.journal[..released];
    let due = due(&plan, &State::fold(&plan, journal)).unwrap();
    let sentinel = Facts { epoch: Epoch::SENTINELS, ..Facts::default() };
    let decision = decide(&plan, journal, &sentinel, after(due.at, grace(&plan)));
    // Its Job may be complete: nobody has asked yet.
    let names: Vec<String> = decision.events.iter().map(|entry| entry.event.name()).collect();
    assert_eq!(names, ["takenOver"], "{}\n{}", due.what, whole.text());
}
