//! Who opens when, and with what proof.

use crate::nights::{World, opens, play, sogei, t};
use notturno::engine::facts::{Burned, JobEnd, JobFact, Pods, TokenFact};
use notturno::engine::state::Running;
use notturno::engine::{BurnTo, Command, Entry, Event, JobKey, State, decide};
use notturno::model::phase::{Outcome, Phase};
use notturno::model::span::Span;

use crate::scene::*;

#[test]
fn services_that_declare_it_open_on_half_done_work_and_a_person_is_needed_beside_the_outcome() {
    let played = play(&all_open().plan(), &hanging(), t("12:00"));
    let text = played.text();
    for name in ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica"] {
        assert_eq!(expired(&played, name).as_deref(), Some("06:10"), "{text}");
        assert_eq!(played.opened(name).as_deref(), Some("06:10"), "{text}");
    }
    let state = played.state();
    assert_eq!((state.outcome, state.needs_human()), (Some(Outcome::RolledBack), true), "{text}");
    assert_eq!(state.nonsense, [] as [&str; 0]);
    assert!(text.contains("open on half-done work through aggiorna"), "{text}");
    assert!(matches!(state.steps[4].undo, Running::Expired { released: 1, .. }));
    assert!(state.services.iter().filter(|service| !service.open_on().is_empty()).count() == 3);
}

#[test]
fn of_three_services_with_one_upgrade_each_takes_its_own_declared_state() {
    let plan = mixed().plan();
    let played = play(&plan, &hanging(), t("12:00"));
    let text = played.text();
    assert!(played.at(held("anagrafe-assistiti")).is_some() && played.opened("anagrafe-assistiti").is_none(), "{text}");
    assert_eq!(played.opened("accesso-ts").as_deref(), Some("06:10"), "{text}");
    assert!(text.contains("it declared to open with sola-lettura (Deployment sanita/accesso-ts)"), "{text}");
    assert!(text.contains("take away by hand: sola-lettura (Deployment sanita/accesso-ts)"), "{text}");
    // It calls the one that stays closed.
    let in_part = played.at(|event| matches!(event, Event::Degraded { service, .. } if service.name == "ricetta-elettronica"));
    assert_eq!(in_part.as_deref(), Some("06:20"), "{text}");
    assert_eq!((played.state().outcome, played.state().needs_human()), (None, true));
    assert_eq!(played.state().phase(&plan), Phase::Reopening);
    assert_eq!(played.opened("portale-ts").as_deref(), Some("06:10"), "{text}");
    // First given back, then changed, then asked.
    let index = number(&plan, "accesso-ts");
    let about: Vec<&Command> = played.decisions.iter().flat_map(|(_, decision)| &decision.commands).collect();
    let first = |command: Command| about.iter().position(|one| **one == command).unwrap_or_else(|| panic!("{command:?}"));
    let (back, changed) = (first(Command::Reopen { service: index }), first(Command::Degrade { service: index }));
    assert!(back < changed && changed < first(Command::Probe { service: index }));
    assert!(!about.iter().any(|one| matches!(one, Command::Degrade { service } if *service != index)));
}

#[test]
fn a_service_without_a_declaration_of_its_own_stays_closed_as_ever() {
    let played = play(&sogei().plan(), &hanging(), t("12:00"));
    assert_eq!(played.at(|event| matches!(event, Event::UndosExpired { .. })), None);
    assert_eq!(played.opened("accesso-ts"), None);
}

#[test]
fn an_undo_goes_on_until_the_turn_of_the_first_service_that_it_would_run_beneath() {
    let mut night = sogei();
    let waves = [vec!["portale-ts", "archivio-730"], vec!["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica"]];
    night.runbook.reopening.waves = waves.iter().map(|wave| wave.iter().map(|name| name.parse().unwrap()).collect()).collect();
    for name in ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica"] {
        night.when_dirty(name, opens());
    }
    let plan = night.plan();
    for (minutes, expires) in [(None, true), (Some(135), true), (Some(134), false)] {
        let mut world = hanging();
        world.reopening.insert("portale-ts".to_owned(), Span::minutes(5));
        world.takes.insert("undo-aggiorna".to_owned(), minutes.map(Span::minutes));
        // Reopening begins at 06:10 and the first wave takes until 06:15; an undo of 134 minutes is over at 06:14.
        world.takes.insert("smoke".to_owned(), Some(Span::ZERO));
        let played = play(&plan, &world, t("12:00"));
        assert_eq!(expired(&played, "accesso-ts").is_some(), expires, "{minutes:?} {}", played.text());
        assert_eq!(expired(&played, "accesso-ts").as_deref(), expires.then_some("06:15"), "{}", played.text());
        assert_eq!(played.state().needs_human(), expires);
        assert_eq!(played.opened("accesso-ts").as_deref(), Some("06:15"), "{}", played.text());
    }
}

#[test]
fn it_stays_closed_whatever_it_declares_while_nobody_can_say_that_nothing_works_on_its_data() {
    let plan = all_open().plan();
    let journal = until(
        &play(&plan, &hanging(), t("12:00")),
        |event| matches!(event, Event::UndosExpired { service, .. } if service.name == "ricetta-elettronica"),
    );
    let opens = opening_of("accesso-ts");
    let held = held("accesso-ts");
    let unknown = || Pods::Unknown { reason: "node n1 does not answer".to_owned() };
    let started = |end, pods| job_fact(Some(Burned::Started), end, pods);
    // Facts of the undo's first attempt at 06:11, and what follows: it opens, it is held, or neither yet.
    let cases = [
        (started(None, Pods::Terminal), true, false),
        (started(None, Pods::Alive), false, false),
        (started(None, unknown()), false, true),
        (job_fact(None, None, Pods::Alive), false, false),
        (job_fact(None, Some(JobEnd::Complete), Pods::Terminal), false, false),
        (JobFact { token: TokenFact::Missing, ..job_fact(None, Some(JobEnd::Vanished), Pods::NoneSeen) }, false, true),
    ];
    for (fact, is_open, is_held) in cases {
        let mut facts = at_rest(&plan);
        facts.jobs.insert(UNDO[0], fact.clone());
        let decision = decide(&plan, &journal, &facts, t("06:11"));
        assert_eq!((has(&decision, &opens), has(&decision, &held)), (is_open, is_held), "{fact:?}: {:#?}", decision.events);
    }
    let mut facts = at_rest(&plan);
    facts.jobs.insert(UNDO[0], started(None, unknown()));
    let decision = decide(&plan, &journal, &facts, t("06:11"));
    let why = &decision.events.iter().find(|entry| held(&entry.event)).unwrap().why;
    assert!(why.contains("although it declared to open") && why.contains("node n1 does not answer"), "{why}");
    // The same of the second attempt: never released, it need not even be there.
    facts = at_rest(&plan);
    facts.jobs.insert(UNDO[1], JobFact { token: TokenFact::Missing, ..job_fact(None, Some(JobEnd::Vanished), Pods::NoneSeen) });
    assert!(has(&decide(&plan, &journal, &facts, t("06:11")), &opens));
    facts.jobs.insert(UNDO[1], job_fact(None, None, Pods::NoneSeen));
    let waits = decide(&plan, &journal, &facts, t("06:11"));
    assert!(
        !has(&waits, &opens) && waits.commands.contains(&Command::BurnJob { job: UNDO[1], to: BurnTo::Expired }),
        "{waits:#?}"
    );
    // And of the step's own Job.
    let unproven: Vec<Entry> = journal
        .iter()
        .filter(|entry| !matches!(entry.event, Event::StepStopped { .. } | Event::UndoReleased { .. }))
        .cloned()
        .collect();
    facts = at_rest(&plan);
    facts.jobs.insert(JobKey::Step(4), started(None, Pods::Alive));
    assert!(!has(&decide(&plan, &unproven, &facts, t("06:11")), &opens));
}

#[test]
fn a_proof_that_comes_late_opens_it_and_one_that_never_comes_holds_it_at_the_end_of_its_budget() {
    let plan = all_open().plan();
    let journal = until(
        &play(&plan, &hanging(), t("12:00")),
        |event| matches!(event, Event::UndosExpired { service, .. } if service.name == "ricetta-elettronica"),
    );
    let mut facts = at_rest(&plan);
    facts.jobs.insert(UNDO[0], job_fact(Some(Burned::Started), None, Pods::Alive));
    let waits = decide(&plan, &journal, &facts, t("06:19"));
    assert_eq!(waits.wake.as_ref().map(|wake| wake.at), Some(t("06:20")), "{waits:#?}");
    assert!(waits.why.contains("waiting for proof that nothing works on the data of"), "{}", waits.why);
    // A healthy operator that waits for Pods to end is not deposed for it.
    let mut settled = journal.clone();
    settled.extend(decide(&plan, &journal, &facts, t("06:10")).events);
    let due = notturno::engine::due::due(&plan, &State::fold(&plan, &settled)).unwrap();
    assert_eq!(due.at, t("06:20"), "{due:?}");
    let given_up = decide(&plan, &journal, &facts, t("06:20"));
    assert!(has(&given_up, held("accesso-ts")), "{given_up:#?}");
    let mut whole = journal;
    whole.extend(given_up.events);
    assert!(!has(&decide(&plan, &whole, &facts, t("06:30")), opening_of("accesso-ts")));
    let proven = decide(&plan, &whole, &at_rest(&plan), t("06:30"));
    assert!(has(&proven, opening_of("accesso-ts")), "{proven:#?}");
    whole.extend(proven.events);
    assert_eq!(State::fold(&plan, &whole).nonsense, [] as [&str; 0]);
}

#[test]
fn once_its_undos_have_expired_none_is_released_completed_or_tried_again() {
    let plan = all_open().plan();
    let played = play(&plan, &hanging(), t("12:00"));
    let since = played.journal.iter().position(|entry| matches!(entry.event, Event::UndosExpired { .. })).unwrap();
    let later: Vec<&Event> = played.journal[since..].iter().map(|entry| &entry.event).collect();
    assert!(!later.iter().any(|event| matches!(event, Event::UndoReleased { .. } | Event::UndoDone { .. })), "{later:#?}");
    let at = played.journal[since].at;
    for (_, decision) in played.decisions.iter().filter(|(now, _)| *now > at) {
        assert!(!decision.commands.iter().any(|command| matches!(command, Command::Release { .. })), "{decision:#?}");
    }
    // A completion seen after our stop is none.
    let journal = played.journal[..=since].to_vec();
    let mut facts = at_rest(&plan);
    facts.jobs.insert(UNDO[0], job_fact(Some(Burned::Started), Some(JobEnd::Complete), Pods::Terminal));
    let decision = decide(&plan, &journal, &facts, t("06:11"));
    assert!(!has(&decision, |event| matches!(event, Event::UndoDone { .. })), "{decision:#?}");
}

#[test]
fn the_undo_of_a_step_that_covers_another_reaches_what_that_touches() {
    let mut night = sogei();
    night.step("indici").touches.as_mut().unwrap().push("archivio-730".parse().unwrap());
    night.when_dirty("archivio-730", opens());
    let waves = [vec!["archivio-730"], vec!["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica"], vec!["portale-ts"]];
    night.runbook.reopening.waves = waves.iter().map(|wave| wave.iter().map(|name| name.parse().unwrap()).collect()).collect();
    let verdict = night.verdict();
    let warned = verdict.warnings.iter().find(|warning| warning.reason == "ExpiresForOthers").expect("a warning");
    assert_eq!(warned.path, "spec.steps[4].undo");
    assert!(warned.message.contains("sanita/archivio-730 opens") && warned.message.contains("sanita/accesso-ts"), "{warned:?}");
    let mut world = World::default();
    world.takes.insert("indici".to_owned(), None);
    world.takes.insert("undo-aggiorna".to_owned(), None);
    let plan = night.plan();
    let played = play(&plan, &world, t("12:00"));
    let of = |event: &Event| matches!(event, Event::UndosExpired { steps, .. } if *steps == ["aggiorna"]);
    assert!(played.at(of).is_some() && played.opened("archivio-730").is_some(), "{}", played.text());
    // What declared to stay closed pays for it: its undo does not run any more.
    assert!(played.opened("accesso-ts").is_none() && played.state().needs_human());
}
