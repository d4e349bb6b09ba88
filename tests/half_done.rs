//! Services whose data is half done when doors open: what they declared, and that nothing works beneath the people who are let in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use nights::{Night, Played, World, job, opens, opens_in_part, play, sogei, step, t};
use notturno::engine::facts::{Burned, ChangeFact, ClosingFact, JobEnd, JobFact, Pods, Probes, ServiceFact, TokenFact};
use notturno::engine::state::{Running, ServiceState, jobs};
use notturno::engine::{BurnTo, Command, Decision, Entry, Event, Facts, JobKey, State, decide};
use notturno::model::action::{Action, Undo};
use notturno::model::phase::{Outcome, Phase};
use notturno::model::plan::Plan;
use notturno::model::reference::Target;
use notturno::model::service::Change;
use notturno::model::span::Span;

const UNDO: [JobKey; 2] = [JobKey::Undo(4, 1), JobKey::Undo(4, 2)];

/// The upgrade hangs, and so does its undo.
fn hanging() -> World {
    let mut world = World::default();
    world.takes.insert("aggiorna".to_owned(), None);
    world.takes.insert("undo-aggiorna".to_owned(), None);
    world
}

/// One service of the core stays closed, one opens in part, one opens.
fn mixed() -> Night {
    let mut night = sogei();
    night.when_dirty("accesso-ts", opens_in_part("accesso-ts"));
    night.when_dirty("ricetta-elettronica", opens());
    night
}

fn all_open() -> Night {
    let mut night = sogei();
    for name in ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica"] {
        night.when_dirty(name, opens());
    }
    night
}

fn number(plan: &Plan, service: &str) -> usize {
    plan.services.iter().position(|planned| planned.id.name == service).expect("a service")
}

fn expired(played: &Played, service: &str) -> Option<String> {
    played.at(|event| matches!(event, Event::UndosExpired { service: one, .. } if one.name == service))
}

fn until(played: &Played, is: impl Fn(&Event) -> bool) -> Vec<Entry> {
    let end = played.journal.iter().position(|entry| is(&entry.event)).unwrap_or_else(|| panic!("{}", played.text()));
    played.journal[..=end].to_vec()
}

fn has(decision: &Decision, is: impl Fn(&Event) -> bool) -> bool {
    decision.events.iter().any(|entry| is(&entry.event))
}

fn job_fact(burned: Option<Burned>, end: Option<JobEnd>, pods: Pods) -> JobFact {
    let token = if burned.is_some() { TokenFact::Expired } else { TokenFact::Back };
    JobFact { token, burned, burned_at: burned.map(|_| t("05:00")), suspended: true, end, pods, held: false }
}

/// Everything is burned, nothing runs.
fn at_rest(plan: &Plan) -> Facts {
    let dead = |key| (key, job_fact(Some(Burned::Started), None, Pods::Terminal));
    let burned = ServiceFact { burned: true, ..ServiceFact::default() };
    Facts {
        jobs: jobs(plan).into_iter().map(dead).collect(),
        services: (0..plan.services.len()).map(|index| (index, burned.clone())).collect(),
        ..Facts::default()
    }
}

fn opening_of(service: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Opening { services } if services.iter().any(|one| one.name == service))
}

fn held(service: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::HeldClosed { service: one, .. } if one.name == service)
}

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

fn object(name: &str) -> Target {
    Target { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: "centro-dati".into(), name: name.into() }
}

/// `imposta` changes an object that is data of a service which opens all the same; `altro` the same object, for nobody's data.
fn changing() -> Night {
    let mut night = sogei();
    let change = |name: &str, needs: &str| {
        let change = Change::Merge { merge: serde_json::json!({"data": {name: "16"}}) };
        step(
            name,
            &[needs],
            10,
            Action::Change { target: object("impostazioni"), change },
            Undo::Restore { budget: Span::minutes(5) },
        )
    };
    let (mut one, other) = (change("imposta", "chiudi-nucleo"), change("altro", "imposta"));
    one.touches = Some(vec!["portale-ts".parse().unwrap()]);
    night.runbook.steps.extend([one, other]);
    night.when_dirty("portale-ts", opens());
    night
}

#[test]
fn an_object_that_is_data_of_an_open_service_is_not_given_back_beneath_people() {
    let mut world = World::default();
    world.fails.insert(("aggiorna".to_owned(), 0), Span::minutes(30));
    for name in ["undo-imposta", "undo-altro"] {
        world.takes.insert(name.to_owned(), None);
    }
    let plan = changing().plan();
    let played = play(&plan, &world, t("12:00"));
    let steps = played.journal.iter().find_map(|entry| match &entry.event {
        Event::UndosExpired { steps, .. } => Some(steps.clone()),
        _ => None,
    });
    // One token guards the object: what else would restore it expires too.
    let mut steps = steps.unwrap_or_else(|| panic!("{}", played.text()));
    steps.sort();
    assert_eq!(steps, ["altro", "imposta"]);
    assert!(played.opened("portale-ts").is_some(), "{}", played.text());
    let journal = until(&played, |event| matches!(event, Event::UndosExpired { .. }));
    let index = plan.step_named("imposta").unwrap().0;
    let mut facts = at_rest(&plan);
    for expired in [false, true] {
        let fact = ChangeFact { burned: true, expired, ..ChangeFact::default() };
        facts.changes = [index, plan.step_named("altro").unwrap().0].map(|index| (index, fact.clone())).into();
        let decision = decide(&plan, &journal, &facts, t("06:11"));
        assert_eq!(has(&decision, opening_of("portale-ts")), expired, "{:#?}", decision.events);
        assert_eq!(decision.commands.contains(&Command::ExpireChange { step: index }), !expired);
        assert!(!decision.commands.iter().any(|command| matches!(command, Command::Restore { .. })));
    }
}

#[test]
fn a_point_of_no_return_left_half_done_opens_what_declared_it_once_its_job_is_dead() {
    let mut night = sogei();
    let mut last = step("elimina", &["indici"], 10, Action::Job(job("elimina")), Undo::Irreversible);
    last.touches = Some(vec!["archivio-730".parse().unwrap()]);
    last.on_overrun = notturno::model::runbook::OnOverrun::Continue;
    night.runbook.steps.insert(6, last);
    night.step("prova").needs.push("elimina".to_owned());
    night.when_dirty("archivio-730", opens());
    let mut world = World::default();
    world.takes.insert("elimina".to_owned(), None);
    let played = play(&night.plan(), &world, t("12:00"));
    let none = |event: &Event| matches!(event, Event::UndosExpired { steps, .. } if steps.is_empty());
    assert!(played.at(none).is_some() && played.opened("archivio-730").is_some(), "{}", played.text());
    assert_eq!((played.state().outcome, played.state().needs_human()), (Some(Outcome::RolledBack), true));
}

#[test]
fn what_was_kept_for_a_point_of_no_return_that_never_began_is_not_undone_beneath_people() {
    let mut night = sogei();
    let mut last = step("elimina", &["indici"], 10, Action::Job(job("elimina")), Undo::Irreversible);
    last.touches = Some(vec!["archivio-730".parse().unwrap()]);
    night.runbook.steps.insert(6, last);
    night.step("prova").needs.push("elimina".to_owned());
    let plan = night.plan();
    let played = play(&plan, &World::default(), t("12:00"));
    let mut journal = until(&played, |event| matches!(event, Event::StepIntended { step, .. } if step == "elimina"));
    let mut facts = at_rest(&plan);
    facts.deleted = true;
    let elimina = JobKey::Step(plan.step_named("elimina").unwrap().0);
    // Its burn does not get through; at reopen-by the core is clean, since what a point of no return needs is kept.
    facts.jobs.insert(elimina, JobFact { token: TokenFact::Forward, ..job_fact(None, None, Pods::NoneSeen) });
    for at in ["04:16", "06:10"] {
        journal.extend(decide(&plan, &journal, &facts, t(at)).events);
    }
    let core = number(&plan, "accesso-ts");
    assert!(matches!(State::fold(&plan, &journal).services[core], ServiceState::Opening { .. }), "{journal:#?}");
    // Now it does, and proves that nothing had begun: the upgrade would have to be undone after all.
    facts.jobs.insert(elimina, job_fact(Some(Burned::NeverStarted), None, Pods::NoneSeen));
    let decision = decide(&plan, &journal, &facts, t("06:11"));
    assert!(!has(&decision, |event| matches!(event, Event::UndoReleased { .. })), "{decision:#?}");
    assert!(
        has(&decision, |event| matches!(event, Event::UndosExpired { steps, .. } if *steps == ["aggiorna"])),
        "{decision:#?}"
    );
    journal.extend(decision.events);
    let state = State::fold(&plan, &journal);
    assert!(state.needs_human() && !state.services[core].open_on().is_empty() && state.nonsense.is_empty(), "{state:#?}");
}

#[test]
fn what_it_declared_stands_before_its_answer_counts_and_a_refusal_is_told() {
    let plan = mixed().plan();
    let journal = until(&play(&plan, &hanging(), t("12:00")), opening_of("accesso-ts"));
    let index = number(&plan, "accesso-ts");
    let opened = |event: &Event| matches!(event, Event::Opened { service } if service.name == "accesso-ts");
    let late = |event: &Event| matches!(event, Event::OpeningLate { service, .. } if service.name == "accesso-ts");
    let mut facts = at_rest(&plan);
    let refused = ClosingFact::Refused { reason: "a policy refuses sola-lettura".to_owned() };
    let cases =
        [(ClosingFact::Open, false), (refused.clone(), false), (ClosingFact::Draining, true), (ClosingFact::Closed, true)];
    for (degraded, is_open) in cases {
        let fact = ServiceFact { burned: true, restored: true, degraded, probes: Probes::Green, ..ServiceFact::default() };
        facts.services.insert(index, fact);
        let decision = decide(&plan, &journal, &facts, t("06:11"));
        assert_eq!(has(&decision, opened), is_open, "{decision:#?}");
        assert_eq!(decision.commands.contains(&Command::Degrade { service: index }), !is_open);
    }
    let fact = ServiceFact { burned: true, restored: true, degraded: refused, probes: Probes::Green, ..ServiceFact::default() };
    facts.services.insert(index, fact);
    let decision = decide(&plan, &journal, &facts, t("06:20"));
    let entry = decision.events.iter().find(|entry| late(&entry.event)).unwrap_or_else(|| panic!("{decision:#?}"));
    assert!(entry.why.contains("a policy refuses sola-lettura"), "{}", entry.why);
}

#[test]
fn events_that_would_open_a_dirty_service_otherwise_make_no_sense() {
    let plan = mixed().plan();
    let played = play(&plan, &hanging(), t("12:00"));
    let before = until(&played, |event| matches!(event, Event::ReopeningBegun {}));
    let after = until(&played, |event| matches!(event, Event::UndosExpired { service, .. } if service.name == "accesso-ts"));
    let id = |name: &str| notturno::model::reference::ServiceRef::new("sanita", name);
    let expire = |name: &str, steps: &[&str]| Event::UndosExpired {
        service: id(name),
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
    };
    let opening = |name: &str| Event::Opening { services: vec![id(name)] };
    let undo = |attempt| Event::UndoReleased { step: "aggiorna".to_owned(), attempt };
    let makes_sense = |journal: &[Entry], event: Event| {
        let mut journal = journal.to_vec();
        let known = State::fold(&plan, &journal).nonsense.len();
        journal.push(Entry { at: t("06:12"), event, why: String::new() });
        State::fold(&plan, &journal).nonsense.len() == known
    };
    for (event, good) in [
        (opening("accesso-ts"), false),
        (opening("portale-ts"), true),
        (expire("accesso-ts", &["aggiorna"]), true),
        (expire("accesso-ts", &[]), false),
        (expire("accesso-ts", &["aggiorna", "indici"]), false),
        (expire("anagrafe-assistiti", &["aggiorna"]), false),
        (expire("portale-ts", &[]), false),
        (Event::Opened { service: id("accesso-ts") }, false),
    ] {
        assert_eq!(makes_sense(&before, event.clone()), good, "before: {event:?}");
    }
    for (event, good) in [
        (opening("accesso-ts"), true),
        (opening("anagrafe-assistiti"), false),
        (expire("accesso-ts", &[]), false),
        (expire("ricetta-elettronica", &[]), true),
        (undo(2), false),
        (Event::UndoDone { step: "aggiorna".to_owned(), attempt: 1 }, false),
    ] {
        assert_eq!(makes_sense(&after, event.clone()), good, "after: {event:?}");
    }
}
