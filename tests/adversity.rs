//! What a hostile tester tried: nights in which the odd thing happens at the odd moment. Each test is a way in which doors stayed shut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use jiff::Timestamp;
use nights::{Played, World, play, play_before, service, sogei, t};
use notturno::engine::facts::{
    Ask, Burned, CalledOff, JobEnd, JobFact, Order, Pods, Probes, ServiceFact, SwitchFact, TokenFact, jobs,
};
use notturno::engine::journal::Cause;
use notturno::engine::state::Direction;
use notturno::engine::{Command, Decision, Entry, Event, Facts, JobKey, State, decide};
use notturno::model::need::turn_back_at;
use notturno::model::phase::Outcome;
use notturno::model::plan::{Plan, PlannedUndo};
use notturno::model::runbook::OnOverrun;
use notturno::model::span::Span;

#[allow(clippy::unnecessary_wraps, reason = "what the world takes: none is for ever")]
fn minutes(minutes: u32) -> Option<Span> {
    Some(Span::minutes(minutes))
}

fn hanging() -> World {
    let mut world = World::default();
    world.takes.insert("aggiorna".to_owned(), None);
    world
}

fn number(plan: &Plan, service: &str) -> usize {
    plan.services.iter().position(|planned| planned.id.name == service).expect("a service")
}

/// The journal up to and with the first entry that `is` names.
fn until(played: &Played, is: impl Fn(&Event) -> bool) -> Vec<Entry> {
    let end = played.journal.iter().position(|entry| is(&entry.event)).unwrap_or_else(|| panic!("{}", played.text()));
    played.journal[..=end].to_vec()
}

fn job(token: TokenFact, end: Option<JobEnd>, pods: Pods) -> JobFact {
    let burned = (token == TokenFact::Expired).then_some(Burned::Started);
    JobFact { token, burned, burned_at: burned.map(|_| t("02:00")), suspended: true, end, pods, held: false }
}

/// Every Job of the night, burned, ended, gone.
fn over(plan: &Plan) -> Facts {
    let over = |key| (key, job(TokenFact::Expired, None, Pods::Terminal));
    let burned = ServiceFact { burned: true, ..ServiceFact::default() };
    Facts {
        jobs: jobs(plan).into_iter().map(over).collect(),
        services: (0..plan.services.len()).map(|index| (index, burned.clone())).collect(),
        ..Facts::default()
    }
}

fn has(decision: &Decision, is: impl Fn(&Event) -> bool) -> bool {
    decision.events.iter().any(|entry| is(&entry.event))
}

#[test]
fn a_service_is_not_called_open_before_it_was_seen_as_it_was() {
    let plan = sogei().plan();
    let journal = until(&play(&plan, &hanging(), t("12:00")), |event| matches!(event, Event::Opening { .. }));
    let now = journal.last().unwrap().at;
    let registry = number(&plan, "anagrafe-assistiti");
    let opened = |event: &Event| matches!(event, Event::Opened { service } if service.name == "anagrafe-assistiti");
    let mut facts = over(&plan);
    // It has no probe, or a courtesy page answers: green, and its targets are closed, or nobody could look.
    for restored in [false, true] {
        let fact = ServiceFact { burned: true, restored, probes: Probes::Green, ..ServiceFact::default() };
        facts.services.insert(registry, fact);
        assert_eq!(has(&decide(&plan, &journal, &facts, now), opened), restored);
    }
    facts.services.remove(&registry);
    let blind = decide(&plan, &journal, &facts, now);
    assert!(blind.commands.contains(&Command::Reopen { service: registry }), "{:?}", blind.commands);
    assert!(!blind.commands.contains(&Command::Probe { service: registry }), "{:?}", blind.commands);
}

#[test]
fn a_service_that_was_never_closed_and_is_ill_for_reasons_of_its_own_holds_no_later_wave() {
    let mut night = sogei();
    night.services.iter_mut().find(|service| service.id.name == "cup").unwrap().reopen_budget = Span::minutes(180);
    let mut world = hanging();
    world.reopening.insert("cup".to_owned(), Span::minutes(600));
    let played = play(&night.plan(), &world, t("12:00"));
    assert_eq!(played.opened("portale-ts"), played.opened("ricetta-elettronica"), "{}", played.text());
}

#[test]
fn a_service_that_was_never_closed_but_is_dirty_holds_no_later_wave() {
    let mut night = sogei();
    night.step("aggiorna").touches.as_mut().unwrap().push("cup".parse().unwrap());
    let mut world = hanging();
    world.takes.insert("undo-aggiorna".to_owned(), None);
    let played = play(&night.plan(), &world, t("12:00"));
    assert_eq!(played.opened("portale-ts").as_deref(), Some("06:10"), "{}", played.text());
}

#[test]
fn an_undo_that_clears_late_takes_no_time_from_services_it_never_touched() {
    let mut night = sogei();
    let waves = [vec!["anagrafe-assistiti", "portale-ts"], vec!["accesso-ts", "ricetta-elettronica"], vec!["archivio-730"]];
    night.runbook.reopening.waves = waves.iter().map(|wave| wave.iter().map(|name| name.parse().unwrap()).collect()).collect();
    let mut world = hanging();
    for name in ["anagrafe-assistiti", "portale-ts", "archivio-730"] {
        world.reopening.insert(name.to_owned(), Span::minutes(10));
    }
    // Clear at 06:14, while the first wave opens.
    world.takes.insert("undo-aggiorna".to_owned(), minutes(119));
    let played = play(&night.plan(), &world, t("12:00"));
    assert_eq!(played.opened("portale-ts").as_deref(), Some("06:20"), "{}", played.text());
    assert_eq!(played.opened("anagrafe-assistiti").as_deref(), Some("06:24"), "{}", played.text());
    assert_eq!(played.opened("archivio-730").as_deref(), Some("06:30"), "{}", played.text());
}

#[test]
fn services_that_call_each_other_do_not_wait_for_each_other() {
    let mut plan = sogei().plan();
    let (card, portal) = (number(&plan, "accesso-ts"), number(&plan, "portale-ts"));
    plan.services[card].upstreams = [portal].into();
    plan.services[portal].upstreams = [card].into();
    let mut world = hanging();
    world.takes.insert("undo-aggiorna".to_owned(), None);
    let mut journal = until(
        &play(&plan, &world, t("12:00")),
        |event| matches!(event, Event::Degraded { service, .. } if service.name == "portale-ts"),
    );
    let step = "aggiorna".to_owned();
    let late = [Event::UndoDone { step, attempt: 1 }, Event::SmokeReleased {}, Event::SmokeDone {}];
    journal.extend(late.map(|event| Entry { at: t("06:40"), event, why: String::new() }));
    let mut facts = over(&plan);
    let green = ServiceFact { burned: true, restored: true, probes: Probes::Green, ..ServiceFact::default() };
    facts.services.values_mut().for_each(|fact| fact.clone_from(&green));
    let decision = decide(&plan, &journal, &facts, t("06:41"));
    assert!(has(&decision, |event| matches!(event, Event::Finished { .. })), "{:?}", decision.events);
}

#[test]
fn after_a_commit_an_undo_that_cannot_be_expired_holds_nobody_closed_past_reopen_by() {
    let plan = sogei().plan();
    let journal = until(&play(&plan, &World::default(), t("12:00")), |event| matches!(event, Event::Committed {}));
    let mut facts = over(&plan);
    facts.jobs.insert(JobKey::Undo(4, 2), job(TokenFact::Forward, None, Pods::NoneSeen));
    let begun = |event: &Event| matches!(event, Event::ReopeningBegun {});
    let before = decide(&plan, &journal, &facts, t("06:09"));
    assert!(!has(&before, begun));
    assert_eq!(before.wake.map(|wake| wake.at), Some(t("06:10")));
    assert!(has(&decide(&plan, &journal, &facts, t("06:10")), begun));
}

#[test]
fn no_undo_runs_beside_the_pod_of_a_failed_one_that_touches_the_same_service() {
    let mut plan = sogei().plan();
    plan.steps[5].undo = match plan.steps[4].undo.clone() {
        PlannedUndo::Job { job, .. } => PlannedUndo::Job { budget: Span::minutes(10), attempts: 1, job },
        other => other,
    };
    let mut world = World::default();
    world.takes.insert("indici".to_owned(), None);
    world.fails.insert(("undo-indici".to_owned(), 1), Span::minutes(5));
    let journal = until(&play(&plan, &world, t("12:00")), |event| matches!(event, Event::UndoFailed { .. }));
    let mut facts = over(&plan);
    facts.jobs.insert(JobKey::Undo(4, 1), job(TokenFact::Back, None, Pods::NoneSeen));
    let failed = |pods| job(TokenFact::Expired, Some(JobEnd::Failed { reason: "deadline".to_owned() }), pods);
    for (pods, released) in [(Pods::Alive, false), (Pods::Unknown { reason: String::new() }, false), (Pods::Terminal, true)] {
        facts.jobs.insert(JobKey::Undo(5, 1), failed(pods));
        let decision = decide(&plan, &journal, &facts, journal.last().unwrap().at);
        assert_eq!(has(&decision, |event| matches!(event, Event::UndoReleased { .. })), released);
    }
}

/// A Job that failed may still have Pods: its deadline was over, or another controller has it.
#[test]
fn no_undo_runs_beside_the_pod_of_its_own_step_that_failed() {
    let plan = sogei().plan();
    let mut world = World::default();
    world.fails.insert(("aggiorna".to_owned(), 0), Span::minutes(30));
    let journal = until(&play(&plan, &world, t("12:00")), |event| matches!(event, Event::GoingBack { .. }));
    let (mut facts, index) = (over(&plan), plan.step_named("aggiorna").unwrap().0);
    facts.jobs.insert(JobKey::Undo(index, 1), job(TokenFact::Back, None, Pods::NoneSeen));
    let failed = |pods| job(TokenFact::Expired, Some(JobEnd::Failed { reason: "deadline".to_owned() }), pods);
    for (pods, released) in [(Pods::Alive, false), (Pods::Unknown { reason: String::new() }, false), (Pods::Terminal, true)] {
        facts.jobs.insert(JobKey::Step(index), failed(pods));
        let decision = decide(&plan, &journal, &facts, journal.last().unwrap().at);
        assert_eq!(has(&decision, |event| matches!(event, Event::UndoReleased { .. })), released);
    }
}

/// What it leaves behind is nobody's data, and somebody has to see to it all the same.
#[test]
fn an_undo_that_fails_calls_a_person_although_it_leaves_every_service_clean() {
    let mut night = sogei();
    for name in ["aggiorna", "indici"] {
        night.step(name).touches = Some(vec![]);
    }
    let mut world = hanging();
    for attempt in 1..=2 {
        world.fails.insert(("undo-aggiorna".to_owned(), attempt), Span::minutes(5));
    }
    let played = play(&night.plan(), &world, t("12:00"));
    let state = played.state();
    assert_eq!((state.outcome, state.needs_human()), (Some(Outcome::RolledBack), true), "{}", played.text());
    assert!((0..night.plan().services.len()).all(|index| state.dirty_through(&night.plan(), index).is_empty()));
}

#[test]
fn an_undo_or_a_smoke_test_whose_job_is_gone_is_told_at_once_and_not_at_reopen_by() {
    let plan = sogei().plan();
    let played = play(&plan, &hanging(), t("12:00"));
    let mut facts = over(&plan);
    let gone = job(TokenFact::Missing, Some(JobEnd::Vanished), Pods::NoneSeen);
    facts.jobs.insert(JobKey::Undo(4, 1), gone.clone());
    facts.jobs.insert(JobKey::Smoke, gone);
    let journal = until(&played, |event| matches!(event, Event::StepStopped { .. }));
    let decision = decide(&plan, &journal, &facts, t("04:00"));
    assert!(has(&decision, |event| matches!(event, Event::UndoFailed { attempt: 1, .. })), "{:?}", decision.events);
    let journal = until(&played, |event| matches!(event, Event::UndoDone { .. }));
    let decision = decide(&plan, &journal, &facts, t("05:00"));
    assert!(has(&decision, |event| matches!(event, Event::SmokeFailed { .. })), "{:?}", decision.events);
}

#[test]
fn an_order_that_comes_too_late_is_answered() {
    let plan = sogei().plan();
    let order = |name: &str, ask| Order { name: name.to_owned(), by: "anna".to_owned(), at: t("04:35"), ask };
    let more = order("more", Ask::Extend { step: "aggiorna".to_owned(), until: t("04:50") });
    for (world, is, refused) in [(World::default(), "committed", 2), (hanging(), "back", 1)] {
        let journal = until(&play(&plan, &world, t("12:00")), |event| match event {
            Event::Committed {} => is == "committed",
            Event::GoingBack { .. } => is == "back",
            _ => false,
        });
        let facts = Facts { orders: vec![order("back", Ask::TurnBack), more.clone()], ..Facts::default() };
        let decision = decide(&plan, &journal, &facts, t("04:36"));
        let answers = decision.events.iter().filter(|entry| matches!(entry.event, Event::OrderRefused { .. })).count();
        assert_eq!(answers, refused, "{is}: {:?}", decision.events);
    }
}

#[test]
fn more_time_given_by_people_outweighs_the_policy_for_an_overrun() {
    let mut night = sogei();
    night.step("aggiorna").on_overrun = OnOverrun::TurnBack;
    let plan = night.plan();
    let mut world = hanging();
    let back = |event: &Event| matches!(event, Event::GoingBack { .. });
    assert_eq!(play(&plan, &world, t("12:00")).at(back).as_deref(), Some("03:30"));
    let ask = Ask::Extend { step: "aggiorna".to_owned(), until: t("04:30") };
    world.orders = vec![Order { name: "more".to_owned(), by: "anna".to_owned(), at: t("03:00"), ask }];
    let played = play(&plan, &world, t("12:00"));
    assert_eq!(played.at(back).as_deref(), Some("04:30"), "{}", played.text());
    assert!(played.at(|event| matches!(event, Event::GoingBack { cause: Cause::HardCap { .. } })).is_some());
}

#[test]
fn work_that_is_done_early_closes_no_office_that_is_still_open() {
    let mut night = sogei();
    night.hours("cup", "Mo-Fr 07:30-25:00");
    let plan = night.plan();
    let mut world = World::default();
    world.takes.insert("preflight".to_owned(), minutes(5));
    let played = play(&plan, &world, t("12:00"));
    let closing = |event: &Event| matches!(event, Event::StepIntended { step, .. } if step == "chiudi-portali");
    assert_eq!(played.at(closing).as_deref(), Some("01:00"), "{}", played.text());
    let waiting = played.decisions.iter().find(|(now, decision)| *now == t("00:35") && decision.wake.is_some()).unwrap();
    assert!(waiting.1.why.contains("chiudi-portali waits until 01:00"), "{}", waiting.1.why);
    let plan = sogei().plan();
    assert_eq!(play(&plan, &world, t("12:00")).at(closing).as_deref(), Some("00:35"), "nobody is there at night");
}

#[test]
fn who_depends_on_a_closed_service_through_a_touched_one_is_found() {
    let mut night = sogei();
    night.step("aggiorna").touches.as_mut().unwrap().push("cup".parse().unwrap());
    let mut desk = service("sportello-di-notte", &[("sempre", None)], &["cup"]);
    desk.close.clear();
    night.services.push(desk);
    let refusals = night.verdict().refusals;
    assert!(refusals.iter().any(|refusal| refusal.reason == "OpenWhileClosed" && refusal.object.ends_with("sportello-di-notte")));
}

#[test]
fn a_site_that_tolerates_no_time_at_all_is_not_overlooked() {
    let mut night = sogei();
    night.services.iter_mut().flat_map(|service| &mut service.sites).for_each(|site| {
        if let Some(tolerance) = &mut site.tolerates {
            tolerance.closed_for = Span::ZERO;
        }
    });
    assert!(night.verdict().refusals.iter().any(|refusal| refusal.reason == "DoesNotFit"));
}

#[test]
fn a_changed_ledger_and_a_deleted_intervention_are_told_apart_before_the_night_and_in_it() {
    let plan = sogei().plan();
    let played = play(&plan, &World::default(), t("12:00"));
    let by_day = until(&played, |event| *event == Event::Armed {});
    let at_night = until(&played, |event| matches!(event, Event::StepIntended { step, .. } if step == "aggiorna"));
    let hand = "plan or ledger were deleted or changed by another hand";
    let person = "the intervention was deleted";
    for (called_off, cause, who) in
        [(CalledOff::LedgerChanged, Cause::LedgerChanged, hand), (CalledOff::Deleted, Cause::Deleted, person)]
    {
        let facts = Facts { called_off: Some(called_off), ..Facts::default() };
        let decided = |journal: &[Entry]| {
            let first = decide(&plan, journal, &facts, journal.last().unwrap().at).events.swap_remove(0);
            (first.event, first.why)
        };
        let cancelled = Event::Finished { outcome: Outcome::Cancelled };
        assert_eq!(decided(&by_day), (cancelled, format!("{who} before it began")));
        assert_eq!(decided(&at_night), (Event::GoingBack { cause }, format!("{who}: going back")));
    }
}

/// What stands in ledgers is read for ever: every cause by the name that it was written with.
#[test]
fn the_causes_of_ledgers_written_before_are_read() {
    let step = || "a".to_owned();
    let written = [
        (r#""turnBackMoment""#, Cause::TurnBackMoment),
        (r#"{"hardCap":{"step":"a"}}"#, Cause::HardCap { step: step() }),
        (r#"{"overrun":{"step":"a"}}"#, Cause::Overrun { step: step() }),
        (r#"{"stepFailed":{"step":"a"}}"#, Cause::StepFailed { step: step() }),
        (r#"{"silence":{"step":"a"}}"#, Cause::Silence { step: step() }),
        (r#""futile""#, Cause::Futile),
        (r#"{"ordered":{"by":"a"}}"#, Cause::Ordered { by: step() }),
        (r#""deleted""#, Cause::Deleted),
        (r#""ledgerChanged""#, Cause::LedgerChanged),
        (r#""switchLost""#, Cause::SwitchLost),
        (r#""nonsense""#, Cause::Nonsense),
        (r#""takenOver""#, Cause::TakenOver),
    ];
    for (text, cause) in written {
        let entry = format!(r#"{{"at":"2023-02-10T02:00:00Z","event":{{"goingBack":{{"cause":{text}}}}},"why":"x"}}"#);
        let read: Entry = serde_json::from_str(&entry).unwrap();
        assert_eq!(read.event, Event::GoingBack { cause });
        assert_eq!(serde_json::to_string(&read).unwrap(), entry, "and written so");
    }
}

/// Whatever is seen of the switch, the way back is decided as without one, and the clock turns the work back as without one.
#[test]
fn no_state_of_the_switch_delays_a_way_back_or_outlasts_the_turn_back_moment() {
    let plan = sogei().plan();
    let (mut back_count, mut forward_count) = (0, 0);
    for world in [World::default(), hanging()] {
        play_before(&plan, &world, t("12:00"), &mut |journal, facts, now, decision| {
            let known = State::fold(&plan, journal);
            for switch in switches(now) {
                let mut other = decide(&plan, journal, &Facts { switch, ..facts.clone() }, now);
                match known.direction {
                    Direction::Still => {}
                    Direction::Forward => {
                        let after = State::fold(&plan, &[journal, &other.events].concat());
                        let in_time = now < turn_back_at(&plan, &after.begun(&plan));
                        assert!(in_time || after.direction != Direction::Forward, "{now}: {other:#?}");
                        forward_count += 1;
                    }
                    Direction::Back { .. } | Direction::Committed { .. } => {
                        other.commands.retain(|command| !matches!(command, Command::ArmSwitch | Command::DisarmSwitch));
                        assert_eq!(other, *decision);
                        back_count += 1;
                    }
                }
            }
        });
    }
    assert!(back_count > 100 && forward_count > 100, "{back_count} {forward_count}");
}

/// Every state of the switch.
fn switches(now: Timestamp) -> Vec<SwitchFact> {
    let reason = || "x".to_owned();
    let not_ready = |since| SwitchFact::NotReady { reason: reason(), since };
    let mut all = vec![SwitchFact::NotYet { reason: reason() }, not_ready(now), not_ready(t("00:00")), SwitchFact::Gone];
    all.extend((0..=2).map(|count| SwitchFact::Ready { count }));
    all
}
