//! When the night has to be looked at again, and what it is waiting for.
//!
//! In: plan, state, facts, now. Out: the earliest due moment with its reason, and the state in one sentence. Invariant: every wait of a
//! night that is not over has a moment or a person (DESIGN §3, law 4). Not here: timers.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::model::action::OnSilence;
use crate::model::need::reopen_by;
use crate::model::plan::{Plan, PlannedAction};
use crate::model::span::{Span, after};

use super::back::STALE_CONTROLLER;
use super::command::Wake;
use super::facts::{Burned, Facts, Pods, SwitchFact};
use super::forward::{gate_now, not_before, ready, running, start_held};
use super::reopen::judged_in;
use super::state::{Direction, Running, ServiceState, State, StepState, Work};
use super::switch;
use super::words::{clock, said};

/// The earliest moment after `now` at which something becomes due.
pub(super) fn wake(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Option<Wake> {
    let mut due: Vec<(Timestamp, What<'_>)> = Vec::new();
    if state.outcome.is_some() {
        return None;
    }
    match &state.direction {
        Direction::Still => {
            due.push((plan.start_at, What::Words("work begins")));
            due.push((after(plan.start_by, Span::seconds(1)), What::Words("the latest start has passed")));
            if facts.switch != SwitchFact::NotAsked && state.armed {
                due.push((switch::armed_from(plan), What::Words("the dead man's switch is made")));
            }
            if !start_held(plan, state, facts, now).is_empty() {
                due.push((after(now, between_tries(plan, now)), What::Words("whether it may start")));
            }
        }
        Direction::Forward => {
            forward(plan, state, &mut due);
            due.extend(switch::lost_at(plan, facts).map(|at| (at, What::Words("the dead man's switch has been lost too long"))));
        }
        Direction::Back { .. } | Direction::Committed { .. } => back(plan, state, facts, now, &mut due),
    }
    let at = due.iter().map(|(at, _)| *at).filter(|at| *at > now).min()?;
    let first = due.into_iter().filter(|(due_at, _)| *due_at == at);
    let why = state.say(|| first.map(|(_, what)| what.to_string()).min().unwrap_or_default());
    Some(Wake { at, why })
}

/// What is due, in words that are only put together for what comes first.
enum What<'a> {
    Words(&'static str),
    Of(&'static str, &'a dyn fmt::Display, &'static str),
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Of(before, name, after) => write!(f, "{before}{name}{after}"),
        }
    }
}

/// Soon at first, then as long again as it has waited.
fn between_tries(plan: &Plan, now: Timestamp) -> Span {
    Span::between(plan.start_at, now).clamp(Span::seconds(1), START_TRIED_EVERY_MAX)
}

/// The longest pause before a start that is held is tried again.
const START_TRIED_EVERY_MAX: Span = Span::seconds(15);

fn forward<'a>(plan: &'a Plan, state: &'a State, due: &mut Vec<(Timestamp, What<'a>)>) {
    due.push((state.turn_back_at(plan), What::Words("the turn-back moment")));
    due.extend(
        ready(plan, state).iter().filter_map(|&index| Some((not_before(plan, index)?, What::Words("a closing may begin")))),
    );
    for (_, planned, step) in running(plan, state) {
        if let Work::Running { since, hard_cap_at, overrun } = step.work {
            due.push((hard_cap_at, What::Of("the hard cap of step ", &planned.name, "")));
            if !overrun && !matches!(planned.action, PlannedAction::Hold(_)) {
                due.push((after(since, planned.budget), What::Of("the budget of step ", &planned.name, "")));
            }
        }
    }
}

/// How often it is looked whether a service that was closed again was opened by hand.
const LOOK_EVERY: Span = Span::seconds(60);

fn back<'a>(plan: &'a Plan, state: &State, facts: &Facts, now: Timestamp, due: &mut Vec<(Timestamp, What<'a>)>) {
    if state.reopening_since.is_none() {
        due.push((reopen_by(plan, &state.so_far().closed), What::Words("reopen-by")));
    }
    if !state.deadline_missed {
        due.push((plan.deadline.must_serve_by, What::Words("must-serve-by")));
    }
    for (planned, step) in plan.steps.iter().zip(&state.steps) {
        if let Running::Since { at, overrun: false, .. } = step.undo {
            due.push((after(at, planned.undo_budget()), What::Of("the budget of the undo of ", &planned.name, "")));
        }
    }
    for (index, (planned, service)) in plan.services.iter().zip(&state.services).enumerate() {
        match service {
            ServiceState::Opening { since, late: false, .. } => {
                due.push((after(*since, planned.reopen_budget), What::Of("the reopening budget of ", &planned.id, "")));
            }
            // Nothing rings when a person gives objects back.
            ServiceState::HeldClosed { through, .. } if through.is_empty() => {
                due.push((after(now, LOOK_EVERY), What::Of("whether a person has opened ", &planned.id, "")));
            }
            ServiceState::Expiring { since } => {
                let why = What::Of("the proof that nothing works on the data of ", &planned.id, " any more");
                due.push((after(*since, planned.reopen_budget), why));
            }
            ServiceState::Opening { late: true, tolerated: false, .. } => {
                let left = judged_in(plan, state, facts, index, now);
                due.extend(left.map(|left| (after(now, left), What::Of("whether ", &planned.id, " answers at all"))));
            }
            ServiceState::Open
            | ServiceState::Closed { .. }
            | ServiceState::Opening { late: true, tolerated: true, .. }
            | ServiceState::ClosingAgain { .. }
            | ServiceState::Opened { .. }
            | ServiceState::Degraded { .. }
            | ServiceState::HeldClosed { .. } => {}
        }
    }
    for job in facts.jobs.values() {
        if let (Some(Burned::Started), Some(at), Pods::NoneSeen) = (job.burned, job.burned_at, &job.pods) {
            due.push((after(at, STALE_CONTROLLER), What::Words("no Pod can be created any more")));
        }
    }
}

/// The state in one sentence.
pub(super) fn why(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> String {
    if let Some(outcome) = state.outcome {
        return format!("the night is over: {outcome}");
    }
    let running = |what: &str, names: Vec<&str>| format!("{what} {}", names.join(", "));
    match &state.direction {
        Direction::Still if state.armed => before_work(plan, state, facts, now),
        Direction::Still => "not armed yet".to_owned(),
        Direction::Forward => {
            let names: Vec<&str> = names(plan, state, |step| matches!(step.work, Work::Running { .. }));
            let turn_back = clock(plan, state.turn_back_at(plan));
            let waiting = ready(plan, state).first().map(|&index| {
                let gate = gate_now(plan, state, index, now);
                let name = plan.steps.get(index).map_or("", |step| step.name.as_str());
                if let Some(moment) = not_before(plan, index).filter(|moment| now < *moment) {
                    return format!("; {name} waits until {}: offices may be open till then", clock(plan, moment));
                }
                format!("; {name} waits: {}", said(plan, &gate.need.sum_from(gate.ends_at, plan.deadline.must_serve_by)))
            });
            let asked = asked(plan, state);
            let held = state.held.as_ref().map(|by| format!("; {by} said to start no further step")).unwrap_or_default();
            let working = running("working on", names);
            let unguarded = switch::holds_work(facts).map(|why| format!("; nothing new begins: {why}")).unwrap_or_default();
            format!("{working}{asked}{held}{unguarded}; the way back holds until {turn_back}{}", waiting.unwrap_or_default())
        }
        Direction::Back { .. } | Direction::Committed { .. } => returning(plan, state, facts),
    }
}

fn before_work(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> String {
    let held = start_held(plan, state, facts, now);
    if held.is_empty() {
        let not_yet = switch::holds_start(facts).filter(|_| now >= switch::armed_from(plan));
        let and_switch = not_yet.map(|why| format!("; {why}")).unwrap_or_default();
        return format!("armed; work begins {}{and_switch}", clock(plan, plan.start_at));
    }
    let reasons: Vec<String> = held.into_iter().map(|hold| hold.why).collect();
    format!("armed; it does not start: {}", reasons.join("; "))
}

/// What people are asked by holds.
fn asked(plan: &Plan, state: &State) -> String {
    let asked = plan.steps.iter().zip(&state.steps).filter_map(|(planned, step)| match (&planned.action, &step.work) {
        (PlannedAction::Hold(hold), Work::Running { hard_cap_at, .. }) => {
            let silence = match hold.on_silence {
                OnSilence::TurnBack => "going back",
                OnSilence::Continue => "going on",
            };
            let (said, needed) = (step.confirmed_by.len(), hold.confirmations);
            let until = clock(plan, *hard_cap_at);
            Some(format!("; {}: {said} of {needed} confirmed; silence until {until} means {silence}", hold.message))
        }
        (
            PlannedAction::Close { .. }
            | PlannedAction::Job(_)
            | PlannedAction::Change(_)
            | PlannedAction::Check(_)
            | PlannedAction::Notify { .. }
            | PlannedAction::Hold(_),
            _,
        ) => None,
    });
    asked.collect()
}

fn names<'a>(plan: &'a Plan, state: &State, is: impl Fn(&StepState) -> bool) -> Vec<&'a str> {
    plan.steps.iter().zip(&state.steps).filter(|(_, step)| is(step)).map(|(planned, _)| planned.name.as_str()).collect()
}

/// Pods of which nobody knows whether they run: a person may.
fn lost(facts: &Facts) -> String {
    let reasons = facts.jobs.values().filter_map(|job| match &job.pods {
        Pods::Unknown { reason } => Some(reason.as_str()),
        Pods::NoneSeen | Pods::Alive | Pods::Terminal => None,
    });
    let reasons: BTreeSet<&str> = reasons.collect();
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.into_iter().collect::<Vec<_>>().join(", ")) }
}

fn returning(plan: &Plan, state: &State, facts: &Facts) -> String {
    let mut parts: Vec<String> = Vec::new();
    let unproven =
        names(plan, state, |step| matches!(step.work, Work::Running { .. } | Work::Failed { .. }) && step.stopped.is_none());
    let undoing = names(plan, state, |step| matches!(step.undo, Running::Since { .. }));
    if matches!(state.direction, Direction::Back { .. }) && !unproven.is_empty() {
        parts.push(format!("waiting for proof that {} has stopped{}", unproven.join(", "), lost(facts)));
    }
    if !undoing.is_empty() {
        parts.push(format!("undoing {}", undoing.join(", ")));
    }
    if matches!(state.smoke, Running::Since { .. }) {
        parts.push("verifying behind closed doors".to_owned());
    }
    let services = |is: fn(&ServiceState) -> bool| {
        let all = plan.services.iter().zip(&state.services).filter(|(_, service)| is(service));
        all.map(|(planned, _)| planned.id.to_string()).collect::<Vec<_>>().join(", ")
    };
    let opening = services(|service| matches!(service, ServiceState::Opening { .. }));
    let expiring = services(|service| matches!(service, ServiceState::Expiring { .. }));
    let half_done = services(|service| !service.open_on().is_empty());
    let held = services(|service| matches!(service, ServiceState::HeldClosed { .. }));
    if !opening.is_empty() {
        parts.push(format!("opening {opening}"));
    }
    if !expiring.is_empty() {
        parts.push(format!("waiting for proof that nothing works on the data of {expiring} any more{}", lost(facts)));
    }
    if !half_done.is_empty() {
        parts.push(format!("a person is needed: open on half-done work: {half_done}"));
    }
    if !held.is_empty() {
        parts.push(format!("a person is needed for {held}"));
    }
    if parts.is_empty() {
        parts.push("taking back the right to act from every target and Job".to_owned());
    }
    parts.join("; ")
}
