//! Objects that steps change, points of no return, declared changes, and entries that make no sense.

use crate::nights::{Night, World, job, opens, play, sogei, step, t};
use notturno::engine::facts::{
    Burned, CalledOff, ChangeFact, ClosingFact, JobEnd, JobFact, Pods, Probes, ServiceFact, TokenFact,
};
use notturno::engine::state::ServiceState;
use notturno::engine::{Command, Entry, Event, JobKey, State, decide};
use notturno::model::action::{Action, Undo};
use notturno::model::phase::Outcome;
use notturno::model::reference::Target;
use notturno::model::service::Change;
use notturno::model::span::Span;

use crate::scene::*;

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

/// Nobody looked while it ended, and the night has turned meanwhile.
#[test]
fn what_has_no_way_back_and_was_complete_before_it_was_stopped_keeps_nothing_closed() {
    for undo in [Undo::Irreversible, Undo::Nothing] {
        let mut night = sogei();
        let mut last = step("elimina", &["indici"], 10, Action::Job(job("elimina")), undo);
        last.touches = Some(vec!["archivio-730".parse().unwrap()]);
        night.runbook.steps.insert(6, last);
        night.step("prova").needs.push("elimina".to_owned());
        let plan = night.plan();
        let played = play(&plan, &World::default(), t("12:00"));
        let begun = until(&played, |event| matches!(event, Event::StepIntended { step, .. } if step == "elimina"));
        let (index, service) = (plan.step_named("elimina").unwrap().0, number(&plan, "archivio-730"));
        for (burned, is_dirty) in [(Burned::Started, true), (Burned::Completed, false)] {
            let mut facts = at_rest(&plan);
            facts.called_off = Some(CalledOff::Deleted);
            facts.jobs.insert(JobKey::Step(index), job_fact(Some(burned), Some(JobEnd::Complete), Pods::Terminal));
            let mut journal = begun.clone();
            journal.extend(decide(&plan, &journal, &facts, t("04:16")).events);
            let dirty = State::fold(&plan, &journal).dirty_through(&plan, service);
            assert_eq!(dirty.contains(&index), is_dirty, "{burned:?}: {journal:#?}");
        }
    }
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
    facts.called_off = Some(CalledOff::Deleted);
    let elimina = JobKey::Step(plan.step_named("elimina").unwrap().0);
    // Its burn does not get through; at reopen-by the core is clean, since what a point of no return needs is kept.
    facts.jobs.insert(elimina, JobFact { token: TokenFact::Forward, ..job_fact(None, None, Pods::NoneSeen) });
    for at in ["04:16", "06:10"] {
        journal.extend(decide(&plan, &journal, &facts, t(at)).events);
    }
    let core = number(&plan, "accesso-ts");
    assert!(matches!(State::fold(&plan, &journal).services[core], ServiceState::Opening { .. }), "{journal:#?}");
    facts.jobs.insert(UNDO[0], job_fact(None, None, Pods::NoneSeen));
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
