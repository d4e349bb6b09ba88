//! A night at every limit, with all of its work half done when its doors are to open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use nights::{opens, sogei};
use notturno::engine::facts::{Burned, ClosingFact, JobFact, Pods, ServiceFact, TokenFact, jobs};
use notturno::engine::journal::Cause;
use notturno::engine::{Entry, Event, Facts, JobKey, State, decide, due};
use notturno::model::plan::{Plan, PlannedAction, PlannedUndo};
use notturno::model::span::{Span, after};

const STEPS: usize = 256;
const SERVICES: usize = 64;

/// Every step touches every service, as Jobs do that say nothing else; `no_return` has no way back.
fn plan(no_return: Option<usize>) -> Plan {
    let mut plan = sogei().plan();
    let (like, service) = (plan.steps[4].clone(), plan.services[0].clone());
    let service = |index: usize| {
        let mut service = service.clone();
        service.id.name = format!("s{index}");
        (service.upstreams, service.close_at, service.when_dirty) = ((0..index).collect(), Some(plan.start_at), opens());
        service
    };
    let services = (0..SERVICES).map(service).collect();
    let step = |index: usize| {
        let mut step = like.clone();
        step.name = format!("p{index}");
        step.needs = (0..index).rev().take(1).collect();
        (step.budget, step.hard_cap) = (Span::seconds(10), Span::seconds(10));
        step.touches = (0..SERVICES).collect();
        if index == 0 {
            step.touches.clear();
            (step.action, step.undo) = (PlannedAction::Close { services: (0..SERVICES).collect() }, PlannedUndo::Reopening);
        } else if no_return == Some(index) {
            step.undo = PlannedUndo::Irreversible;
        }
        step
    };
    plan.steps = (0..STEPS).map(step).collect();
    (plan.services, plan.waves) = (services, (0..SERVICES).map(|index| vec![index]).collect());
    plan
}

/// All steps have begun, the last has failed.
fn turned(plan: &Plan, at: Timestamp) -> Vec<Entry> {
    let accepted = Event::Accepted { plan_hash: "h".to_owned() };
    let mut events = vec![accepted, Event::Armed {}, Event::WorkBegun {}];
    for (index, step) in plan.steps.iter().enumerate() {
        let name = || step.name.clone();
        events.push(Event::StepIntended { step: name(), dirty: vec![], preimages: BTreeMap::new() });
        events.push(if index + 1 < STEPS {
            Event::StepDone { step: name() }
        } else {
            Event::StepFailed { step: name(), reason: "exit code 1".to_owned() }
        });
    }
    events.push(Event::GoingBack { cause: Cause::StepFailed { step: format!("p{}", STEPS - 1) } });
    events.into_iter().map(|event| Entry { at, event, why: String::new() }).collect()
}

/// Everything is stopped and burned, and no undo ever ran.
fn facts(plan: &Plan, at: Timestamp) -> Facts {
    let job = |key: JobKey| {
        let is_step = matches!(key, JobKey::Step(_));
        let token = if is_step { TokenFact::Expired } else { TokenFact::Back };
        let (burned, burned_at) = (is_step.then_some(Burned::Started), Some(at));
        JobFact { token, burned, burned_at, suspended: true, end: None, pods: Pods::Terminal, held: false }
    };
    let service = ServiceFact { burned: true, closing: ClosingFact::Closed, ..ServiceFact::default() };
    Facts {
        jobs: jobs(plan).into_iter().map(|key| (key, job(key))).collect(),
        services: (0..SERVICES).map(|index| (index, service.clone())).collect(),
        ..Facts::default()
    }
}

/// What this thread has computed so far, whoever else is on this machine.
fn computed_for() -> Duration {
    let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(spent.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn with_all_work_of_a_night_at_every_limit_half_done_what_is_next_at_the_doors_is_known_in_seconds() {
    for no_return in [None, Some(100)] {
        let plan = plan(no_return);
        let mut journal = turned(&plan, plan.start_at);
        let facts = facts(&plan, plan.start_at);
        let late_at = after(plan.deadline.must_serve_by, Span::seconds(1));
        let before = computed_for();
        let decision = decide(&plan, &journal, &facts, late_at);
        assert!(decision.events.len() > SERVICES, "every service begins to expire: {}", decision.events.len());
        journal.extend(decision.events);
        let state = State::fold(&plan, &journal);
        assert_eq!(state.nonsense, [] as [&str; 0]);
        assert!(due(&plan, &state).is_some());
        let _ = decide(&plan, &journal, &facts, late_at);
        // Not optimized, it is two to three seconds; where each question looks at every pair of steps it was 15, with a point of no
        // return 160.
        let spent = computed_for().saturating_sub(before);
        assert!(spent < Duration::from_secs(8), "{no_return:?}: {spent:?}");
    }
}
