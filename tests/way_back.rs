//! What going back takes, kept up to date step by step, is what it takes when it is worked out anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use std::collections::BTreeSet;

use nights::{World, job, play, sogei, t};
use notturno::engine::facts::{Burned, JobEnd, JobFact, Pods, ServiceFact, TokenFact, jobs};
use notturno::engine::{Command, Event, Facts, JobKey, decide, torn};
use notturno::model::need::undo;
use notturno::model::plan::{Plan, PlannedAction, PlannedStep, PlannedUndo};
use notturno::model::reference::Target;
use notturno::model::service::{Change, Closing};
use notturno::model::span::Span;
use notturno::model::way_back::WayBack;
use proptest::prelude::*;

/// What is random about a step: which of those before it it needs, what its undo is, which services and which object it touches.
type Chance = (u16, u8, u8, u8);

fn object(number: u8) -> Closing {
    let target = Target {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "sanita".to_owned(),
        name: format!("oggetto-{number}"),
    };
    Closing { name: "oggetto".to_owned(), target, change: Change::Scale { replicas: 1 } }
}

fn step(like: &PlannedStep, index: usize, (needs, undo, touches, target): Chance) -> PlannedStep {
    let budget = Span::minutes(u32::from(undo % 7) * 10);
    PlannedStep {
        name: format!("passo-{index}"),
        needs: (0..index).filter(|before| needs >> (before % 16) & 1 == 1).collect(),
        touches: (0..3).filter(|service| touches >> service & 1 == 1).collect(),
        action: if target < 3 { PlannedAction::Change(object(target)) } else { PlannedAction::Job(job("lavoro")) },
        undo_touches: (0..3).filter(|service| undo > 200 && touches >> (3 + service) & 1 == 1).collect(),
        undo: match undo {
            0..40 => PlannedUndo::Nothing,
            40..45 => PlannedUndo::Irreversible,
            _ if target < 3 => PlannedUndo::Restore { budget },
            _ => PlannedUndo::Job { budget, attempts: 1, job: job("ritorno") },
        },
        ..like.clone()
    }
}

fn plan(chances: &[Chance]) -> Plan {
    let mut plan = sogei().plan();
    let like = plan.steps[0].clone();
    plan.steps = chances.iter().enumerate().map(|(index, chance)| step(&like, index, *chance)).collect();
    plan
}

/// In some order in which each comes after what it needs, or in any.
fn order(plan: &Plan, picks: &[usize], is_legal: bool) -> Vec<usize> {
    let mut left: Vec<usize> = (0..plan.steps.len()).collect();
    let mut order: Vec<usize> = vec![];
    for pick in picks {
        let may = |index: &usize| !is_legal || plan.steps[*index].needs.iter().all(|needed| order.contains(needed));
        let free: Vec<usize> = left.iter().copied().filter(may).collect();
        let Some(&next) = free.get(pick % free.len().max(1)) else { break };
        left.retain(|index| *index != next);
        order.push(next);
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn going_back_takes_the_same_however_it_is_worked_out(
        chances in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), 0..9_u8), 1..14),
        picks in prop::collection::vec(0..100_usize, 14),
        is_legal in any::<bool>(),
    ) {
        let plan = plan(&chances);
        let mut begun = BTreeSet::new();
        let mut way = WayBack::of(&plan, &begun);
        for index in order(&plan, &picks, is_legal) {
            let more: BTreeSet<usize> = begun.iter().copied().chain([index]).collect();
            prop_assert_eq!(way.with(&plan, &begun, index), undo(&plan, &more));
            way.add(&plan, &begun, index);
            begun = more;
            prop_assert_eq!(way.longest(), undo(&plan, &begun));
            prop_assert_eq!(WayBack::of(&plan, &begun).longest(), way.longest());
        }
    }
}

fn ended(end: Option<JobEnd>) -> JobFact {
    let (token, burned) = (TokenFact::Expired, Some(Burned::Started));
    JobFact { token, burned, burned_at: None, suspended: false, end, pods: Pods::Terminal, held: true }
}

#[test]
fn pods_are_let_go_only_once_the_end_of_their_attempt_is_recorded() {
    let plan = sogei().plan();
    let index = plan.step_named("aggiorna").unwrap().0;
    let mut world = World::default();
    world.takes.insert("aggiorna".to_owned(), None);
    world.fails.insert(("undo-aggiorna".to_owned(), 1), Span::minutes(10));
    let played = play(&plan, &world, t("12:00"));
    let second = |event: &Event| matches!(event, Event::UndoReleased { attempt: 2, .. });
    let end = played.journal.iter().position(|entry| second(&entry.event)).unwrap();
    let failed = Some(JobEnd::Failed { reason: "exit code 1".to_owned() });
    let jobs = [
        (JobKey::Step(index), ended(None)),
        (JobKey::Undo(index, 1), ended(failed)),
        (JobKey::Undo(index, 2), ended(None)),
        (JobKey::Smoke, ended(None)),
    ];
    let facts = Facts { jobs: jobs.into(), ..Facts::default() };
    let decision = decide(&plan, &played.journal[..=end], &facts, played.journal[end].at);
    let let_go: Vec<JobKey> = decision
        .commands
        .iter()
        .filter_map(|command| if let Command::LetGo { job } = command { Some(*job) } else { None })
        .collect();
    assert_eq!(let_go, [JobKey::Step(index), JobKey::Undo(index, 1)], "{:#?}", decision.events);
}

/// The ledger is lost past reopen-by: burns alone say what began.
#[test]
fn without_a_record_services_whose_work_is_proven_never_to_have_begun_come_back() {
    let plan = sogei().plan();
    let journal = torn(&plan, "h", vec![], "lost");
    let upgrade = JobKey::Step(plan.step_named("aggiorna").unwrap().0);
    let reopened = |of_the_upgrade| {
        let burned = |job| Some(if job == upgrade { of_the_upgrade } else { Burned::NeverStarted });
        let fact = |job| JobFact { burned: burned(job), ..ended(None) };
        let shut = ServiceFact { burned: true, restored: false, ..ServiceFact::default() };
        let facts = Facts {
            jobs: jobs(&plan).into_iter().map(|job| (job, fact(job))).collect(),
            services: (0..plan.services.len()).map(|index| (index, shut.clone())).collect(),
            unrecorded: true,
            ..Facts::default()
        };
        let commands = decide(&plan, &journal, &facts, t("06:30")).commands;
        let names = commands.into_iter().filter_map(|command| match command {
            Command::Reopen { service } => Some(plan.services[service].id.name.clone()),
            _ => None,
        });
        names.collect::<BTreeSet<String>>()
    };
    let untouched = ["archivio-730", "portale-ts"].map(str::to_owned);
    let core = ["accesso-ts", "anagrafe-assistiti", "ricetta-elettronica"].map(str::to_owned);
    assert_eq!(reopened(Burned::Started), untouched.clone().into());
    assert_eq!(reopened(Burned::NeverStarted), untouched.into_iter().chain(core).collect());
}
