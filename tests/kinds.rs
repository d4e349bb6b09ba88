//! Steps of every kind on the pure engine: people asked, objects changed and given back, points of no return, doors that stay red.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use nights::{Night, Played, World, job, orders, play, sogei, step, t};
use notturno::engine::facts::{Ask, Burned, CalledOff, ChangeFact, ClosingFact, JobFact, Pods, TokenFact, jobs};
use notturno::engine::journal::{Cause, Proof};
use notturno::engine::{Command, Entry, Event, Facts, JobKey, State, decide};
use notturno::model::action::{Action, Check, Hold, OnSilence, Undo};
use notturno::model::phase::Outcome;
use notturno::model::plan::Plan;
use notturno::model::reference::Target;
use notturno::model::runbook::OnOverrun;
use notturno::model::service::{Change, WhenRed};
use notturno::model::span::Span;

fn object(name: &str) -> Target {
    Target { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: "centro-dati".into(), name: name.into() }
}

/// The night of 2023 with one more step of ten minutes after the upgrade's `needs`, before `prova`.
fn with(name: &str, needs: &str, action: Action, undo: Undo) -> Night {
    let mut night = sogei();
    let more = step(name, &[needs], 10, action, undo);
    let place = night.runbook.steps.iter().position(|step| step.name == "prova").unwrap();
    night.runbook.steps[place].needs.push(name.to_owned());
    night.runbook.steps.insert(place, more);
    night
}

fn asking(on_silence: OnSilence, confirmations: u32) -> Night {
    let hold = Hold { message: "il motore risponde?".to_owned(), confirmations, on_silence };
    with("conferma", "indici", Action::Hold(hold), Undo::Nothing)
}

fn changing() -> Night {
    let change = Change::Merge { merge: serde_json::json!({"data": {"versione": "16"}}) };
    let action = Action::Change { target: object("impostazioni"), change };
    with("imposta", "chiudi-nucleo", action, Undo::Restore { budget: Span::minutes(5) })
}

fn confirm() -> Ask {
    Ask::Confirm { step: "conferma".to_owned() }
}

fn played(night: &Night, world: &World) -> Played {
    play(&night.plan(), world, t("12:00"))
}

fn answering(asked: &[(&str, &str, Ask)]) -> World {
    World { orders: orders(asked), ..World::default() }
}

fn outcome(played: &Played) -> Option<Outcome> {
    played.state().outcome
}

fn cause(played: &Played) -> Cause {
    let found = played.journal.iter().find_map(|entry| match &entry.event {
        Event::GoingBack { cause } => Some(cause.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{}", played.text()))
}

#[test]
fn a_hold_goes_on_when_enough_different_people_have_confirmed() {
    let world = answering(&[("04:16", "anna", confirm()), ("04:17", "anna", confirm()), ("04:18", "bruno", confirm())]);
    let night = played(&asking(OnSilence::TurnBack, 2), &world);
    assert_eq!(night.at(|event| matches!(event, Event::StepDone { step } if step == "conferma")).as_deref(), Some("04:18"));
    assert!(night.text().contains("anna confirmed conferma already; somebody else has to"), "{}", night.text());
    assert!(night.text().contains("confirmed by anna, bruno"), "{}", night.text());
    assert_eq!(outcome(&night), Some(Outcome::Completed));
}

#[test]
fn silence_on_a_hold_means_no_unless_it_was_said_by_day_that_it_means_yes() {
    let no = played(&asking(OnSilence::TurnBack, 1), &World::default());
    assert_eq!(cause(&no), Cause::Silence { step: "conferma".to_owned() });
    assert_eq!(no.at(|event| matches!(event, Event::GoingBack { .. })).as_deref(), Some("04:25"));
    assert!(no.text().contains("nobody confirmed conferma by 04:25: that means no"), "{}", no.text());
    assert_eq!(outcome(&no), Some(Outcome::RolledBack));
    let yes = played(&asking(OnSilence::Continue, 1), &World::default());
    assert!(yes.text().contains("not confirmed by 04:25, and silence means to go on"), "{}", yes.text());
    assert_eq!(outcome(&yes), Some(Outcome::Completed));
}

#[test]
fn a_person_says_no_to_a_hold_and_the_night_goes_back() {
    let night =
        played(&asking(OnSilence::Continue, 1), &answering(&[("04:16", "anna", Ask::Reject { step: "conferma".into() })]));
    assert_eq!(cause(&night), Cause::Ordered { by: "anna".to_owned() });
    assert!(night.text().contains("anna said no to conferma: going back"), "{}", night.text());
}

#[test]
fn an_answer_to_what_asks_nobody_is_refused_with_the_reason() {
    let early = ("03:00", "anna", confirm());
    let other = ("03:01", "anna", Ask::Confirm { step: "aggiorna".into() });
    let none = ("03:02", "anna", Ask::Reject { step: "mai".into() });
    let night = played(&asking(OnSilence::Continue, 1), &answering(&[early, other, none]));
    for words in [
        "anna confirmed conferma, which is not waiting for anybody",
        "anna confirmed aggiorna, which asks nobody",
        "anna said no to mai, which is no step of this night",
    ] {
        assert!(night.text().contains(words), "{words}: {}", night.text());
    }
    assert_eq!(outcome(&night), Some(Outcome::Completed));
}

#[test]
fn while_a_person_holds_no_step_starts_and_the_clock_goes_on() {
    let held = played(&sogei(), &answering(&[("01:50", "anna", Ask::Hold)]));
    assert_eq!(held.at(|event| matches!(event, Event::StepIntended { step, .. } if step == "chiudi-nucleo")), None);
    assert_eq!(cause(&held), Cause::TurnBackMoment);
    assert_eq!(held.at(|event| matches!(event, Event::GoingBack { .. })).as_deref(), Some("05:55"));
    let resumed = played(&sogei(), &answering(&[("01:50", "anna", Ask::Hold), ("02:10", "bruno", Ask::Resume)]));
    let begun = resumed.at(|event| matches!(event, Event::StepIntended { step, .. } if step == "chiudi-nucleo"));
    assert_eq!(begun.as_deref(), Some("02:10"));
    assert_eq!(outcome(&resumed), Some(Outcome::Completed));
}

#[test]
fn an_order_to_go_back_before_the_night_is_an_order_not_to_begin() {
    let night = played(&sogei(), &answering(&[("00:10", "anna", Ask::TurnBack)]));
    assert_eq!(outcome(&night), Some(Outcome::Cancelled));
    assert!(night.text().contains("anna said not to begin"), "{}", night.text());
    assert_eq!(night.at(|event| matches!(event, Event::WorkBegun {})), None);
}

#[test]
fn a_changed_object_is_given_back_before_doors_open() {
    let mut world = World::default();
    world.takes.insert("aggiorna".to_owned(), None);
    let night = played(&changing(), &world);
    let released = night.at(|event| matches!(event, Event::UndoReleased { step, .. } if step == "imposta"));
    let undone = night.at(|event| matches!(event, Event::UndoDone { step, .. } if step == "imposta"));
    assert_eq!((released.as_deref(), undone.as_deref()), (Some("04:00"), Some("04:05")), "{}", night.text());
    assert_eq!(outcome(&night), Some(Outcome::RolledBack));
}

#[test]
fn an_object_that_was_never_changed_has_nothing_to_give_back() {
    let mut night = changing();
    night.step("imposta").needs = vec!["indici".to_owned()];
    let mut world = World::default();
    world.fails.insert(("aggiorna".to_owned(), 0), Span::minutes(30));
    let night = played(&night, &world);
    assert_eq!(night.at(|event| matches!(event, Event::UndoReleased { step, .. } if step == "imposta")), None);
    // Going back in the middle of the change: burned while it is as before, it is proven never to have happened.
    let plan = changing().plan();
    let (mut journal, index) = (until_change(&plan), plan.step_named("imposta").unwrap().0);
    let burned = ChangeFact { burned: true, restored: true, ..ChangeFact::default() };
    let facts = Facts { changes: [(index, burned)].into(), called_off: Some(CalledOff::Deleted), ..Facts::default() };
    let decision = decide(&plan, &journal, &facts, t("02:01"));
    journal.extend(decision.events);
    assert_eq!(State::fold(&plan, &journal).steps[index].stopped, Some(Proof::NeverStarted));
}

/// Somebody deleted it after it was captured: what was seen says so, and the intention records it.
#[test]
fn an_object_that_is_another_than_was_captured_is_looked_at_anew_before_anything_follows() {
    let plan = changing().plan();
    let (mut journal, index) = (until_change(&plan), plan.step_named("imposta").unwrap().0);
    let intended = journal.pop().unwrap();
    let reason = "it is not there".to_owned();
    let gone = ChangeFact {
        change: ClosingFact::Refused { reason: reason.clone() },
        burned: true,
        cannot_restore: Some(reason),
        preimages: [("step/imposta".to_owned(), serde_json::json!({"uid": ""}))].into(),
        ..ChangeFact::default()
    };
    let facts = Facts { changes: [(index, gone)].into(), ..Facts::default() };
    let events: Vec<Event> = decide(&plan, &journal, &facts, intended.at).events.into_iter().map(|entry| entry.event).collect();
    let Some(Event::StepIntended { step, preimages, .. }) = events.last() else { panic!("{events:#?}") };
    assert_eq!((step.as_str(), preimages.len()), ("imposta", 1));
}

#[test]
fn nobody_confirms_a_step_that_asks_nothing() {
    let plan = changing().plan();
    let mut journal = until_change(&plan);
    let (at, why) = (journal.last().unwrap().at, String::new());
    let event = Event::Confirmed { step: "imposta".to_owned(), order: "si-1".to_owned(), by: "anna".to_owned() };
    journal.push(Entry { at, event, why });
    assert_eq!(State::fold(&plan, &journal).nonsense.len(), 1, "it runs, and is no hold");
}

fn until_change(plan: &Plan) -> Vec<Entry> {
    let whole = play(plan, &World::default(), t("12:00"));
    let is = |entry: &Entry| matches!(&entry.event, Event::StepIntended { step, .. } if step == "imposta");
    let end = whole.journal.iter().position(is).unwrap();
    whole.journal[..=end].to_vec()
}

#[test]
fn an_object_that_cannot_be_given_back_holds_no_other_undo_and_a_person_is_called() {
    let plan = changing().plan();
    let index = plan.step_named("imposta").unwrap().0;
    let mut journal = until_change(&plan);
    let gone = ChangeFact { burned: true, cannot_restore: Some("it is not there".to_owned()), ..ChangeFact::default() };
    let facts = Facts { changes: [(index, gone)].into(), called_off: Some(CalledOff::Deleted), ..Facts::default() };
    journal.extend(decide(&plan, &journal, &facts, t("02:01")).events);
    let state = State::fold(&plan, &journal);
    assert!(state.needs_human(), "{journal:#?}");
    let failed = journal.iter().any(|entry| entry.why == "undo of imposta, attempt 1, failed: it is not there");
    assert!(failed, "{journal:#?}");
}

#[test]
fn what_is_waited_for_is_so_or_the_hard_cap_comes() {
    let check = Check::Wait { target: object("stato"), until: "self.data.pronto == 'si'".to_owned() };
    let night = with("attendi", "indici", Action::Check(check), Undo::Nothing);
    let so = played(&night, &World::default());
    assert_eq!(outcome(&so), Some(Outcome::Completed));
    let mut never = World::default();
    never.takes.insert("attendi".to_owned(), None);
    let never = played(&night, &never);
    assert_eq!(cause(&never), Cause::HardCap { step: "attendi".to_owned() });
}

#[test]
fn a_notice_is_an_event_and_takes_no_time() {
    let notice = Action::Notify { message: "gli indici sono pronti".to_owned() };
    let night = played(&with("avvisa", "indici", notice, Undo::Nothing), &World::default());
    assert!(night.text().contains("04:15 step avvisa: gli indici sono pronti"), "{}", night.text());
    assert_eq!(outcome(&night), Some(Outcome::Completed));
}

/// `elimina` cannot be undone: what it needed is kept from then on.
fn irreversible() -> Night {
    let mut night = with("elimina", "indici", Action::Job(job("elimina")), Undo::Irreversible);
    let elimina = night.step("elimina");
    elimina.touches = Some(vec!["archivio-730".parse().unwrap()]);
    elimina.on_overrun = OnOverrun::Continue;
    night
}

#[test]
fn a_point_of_no_return_is_planned_only_where_all_that_follows_fits() {
    // elimina 04:15, prova 04:25–04:40, reopening 30m, reserve 20m: 05:30, 90 minutes before 07:00.
    let plan = irreversible().plan();
    let elimina = &plan.steps[plan.step_named("elimina").unwrap().0];
    // Every undo lies behind it: only smoke, reopening and reserve are left of the way back.
    assert_eq!(elimina.turn_back_at, t("05:55"));
    // prova has to start by 05:55 less its budget, so that 06:10 (reopening and reserve) holds: elimina ends by 05:40.
    assert_eq!(elimina.finish_by, t("05:40"));
    let mut tight = irreversible();
    tight.step("prova").budget = Span::minutes(106);
    let refusals = tight.verdict().refusals;
    let refused: Vec<&str> = refusals.iter().map(|refusal| refusal.path.as_str()).collect();
    assert!(refused.contains(&"spec.steps[6]"), "{refusals:#?}");
    let sum: Vec<String> = refusals[0].sum.iter().map(|term| format!("{} {:?}", term.term, term.span)).collect();
    assert_eq!(refusals[0].sum[0].at, Some(t("06:11")), "{sum:?}");
}

#[test]
fn after_a_point_of_no_return_the_way_back_keeps_what_it_needed() {
    let mut world = World::default();
    world.fails.insert(("prova".to_owned(), 0), Span::minutes(5));
    let night = played(&irreversible(), &world);
    assert_eq!(cause(&night), Cause::StepFailed { step: "prova".to_owned() });
    assert_eq!(night.at(|event| matches!(event, Event::UndoReleased { .. })), None, "{}", night.text());
    assert_eq!(outcome(&night), Some(Outcome::RolledBack), "{}", night.text());
    assert!(!night.state().needs_human());
}

#[test]
fn a_point_of_no_return_left_half_done_keeps_what_it_touches_shut() {
    let mut world = World::default();
    world.takes.insert("elimina".to_owned(), None);
    let night = played(&irreversible(), &world);
    assert_eq!(cause(&night), Cause::HardCap { step: "elimina".to_owned() });
    assert!(night.text().contains("sanita/archivio-730 stays closed, as it declares"), "{}", night.text());
    assert!(night.opened("cup").is_some() && night.opened("archivio-730").is_none());
}

fn red(policy: WhenRed) -> Played {
    let mut night = sogei();
    night.services.iter_mut().find(|service| service.id.name == "portale-ts").unwrap().when_red = policy;
    let world = World { red: ["portale-ts".to_owned()].into(), ..World::default() };
    played(&night, &world)
}

#[test]
fn after_finished_work_a_service_that_stays_red_is_left_to_a_person() {
    let night = red(WhenRed::CallPerson);
    assert_eq!(outcome(&night), None);
    assert!(night.state().needs_human() && night.state().deadline_missed);
}

#[test]
fn after_finished_work_a_service_that_stays_red_counts_as_open_in_part_where_it_says_so() {
    let night = red(WhenRed::OpenDegraded);
    assert!(night.text().contains("it counts as open in part, as it declares"), "{}", night.text());
    assert_eq!(outcome(&night), Some(Outcome::Completed));
    assert!(!night.state().needs_human() && !night.state().deadline_missed);
}

#[test]
fn after_finished_work_a_service_that_stays_red_is_closed_again_where_it_says_so() {
    let night = red(WhenRed::CloseAgain);
    let again = night.at(|event| matches!(event, Event::ClosedAgain { service, .. } if service.name == "portale-ts"));
    let held = night.at(|event| matches!(event, Event::HeldClosed { service, .. } if service.name == "portale-ts"));
    assert!(again.is_some() && again == held, "{}", night.text());
    assert!(night.state().needs_human() && outcome(&night).is_none(), "{}", night.text());
    // A person mends it and gives its objects back: it is asked again, and answers.
    let plan = night.plan.clone();
    let index = plan.services.iter().position(|service| service.id.name == "portale-ts").unwrap();
    let fact = notturno::engine::facts::ServiceFact { burned: true, restored: true, ..Default::default() };
    let facts = Facts { services: [(index, fact)].into(), ..Facts::default() };
    let decision = decide(&plan, &night.journal, &facts, t("13:00"));
    let opening = |entry: &Entry| matches!(&entry.event, Event::Opening { services } if services[0].name == "portale-ts");
    assert!(decision.events.iter().any(opening), "{decision:#?}");
}

#[test]
fn going_back_a_red_service_is_never_closed_again() {
    let mut night = sogei();
    night.services.iter_mut().find(|service| service.id.name == "portale-ts").unwrap().when_red = WhenRed::CloseAgain;
    let mut world = World { red: ["portale-ts".to_owned()].into(), ..World::default() };
    world.takes.insert("aggiorna".to_owned(), None);
    let night = played(&night, &world);
    assert_eq!(night.at(|event| matches!(event, Event::ClosedAgain { .. })), None);
}

#[test]
fn waves_that_are_not_written_follow_who_calls_whom() {
    let mut night = sogei();
    night.runbook.reopening.waves = vec![];
    for service in &mut night.services {
        service.reopen_budget = Span::minutes(5);
    }
    night.step("chiudi-nucleo").action = Action::Close {
        services: ["ricetta-elettronica", "anagrafe-assistiti", "accesso-ts", "cup"].map(|name| name.parse().unwrap()).to_vec(),
    };
    let plan = night.plan();
    let name = |index: &usize| plan.services[*index].id.name.clone();
    let waves: Vec<Vec<String>> = plan.waves.iter().map(|wave| wave.iter().map(name).collect()).collect();
    assert_eq!(
        waves,
        [vec!["portale-ts", "archivio-730", "anagrafe-assistiti", "accesso-ts"], vec!["ricetta-elettronica"], vec!["cup"]]
    );
}

#[test]
fn a_pod_that_nobody_can_see_any_more_is_named_while_its_proof_is_waited_for() {
    let plan = sogei().plan();
    let whole = play(&plan, &World::default(), t("12:00"));
    let is = |entry: &Entry| matches!(&entry.event, Event::StepIntended { step, .. } if step == "aggiorna");
    let end = whole.journal.iter().position(is).unwrap();
    let job = JobFact {
        token: TokenFact::Expired,
        burned: Some(Burned::Started),
        burned_at: Some(t("03:00")),
        suspended: true,
        end: None,
        pods: Pods::Unknown { reason: "Pod aggiorna-x is on a node that does not answer".to_owned() },
        held: true,
    };
    let index = plan.step_named("aggiorna").unwrap().0;
    let facts = Facts { jobs: [(JobKey::Step(index), job)].into(), called_off: Some(CalledOff::Deleted), ..Facts::default() };
    let why = decide(&plan, &whole.journal[..=end], &facts, t("03:01")).why;
    assert_eq!(why, "waiting for proof that aggiorna has stopped: Pod aggiorna-x is on a node that does not answer");
}

#[test]
fn jobs_that_cannot_be_looked_at_are_burned_all_the_same() {
    let plan = sogei().plan();
    let mut world = World::default();
    world.takes.insert("aggiorna".to_owned(), None);
    let whole = play(&plan, &world, t("12:00"));
    let end = whole.journal.iter().position(|entry| matches!(entry.event, Event::GoingBack { .. })).unwrap();
    let blind = decide(&plan, &whole.journal[..=end], &Facts::default(), t("04:00"));
    let burned = blind.commands.iter().filter(|command| matches!(command, Command::BurnJob { .. })).count();
    assert_eq!(burned, jobs(&plan).len(), "{blind:#?}");
}
