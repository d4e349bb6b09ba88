//! Before the work begins and while it goes forward: the clock's rules, the next step.
//!
//! In: plan, state, facts, now. Out: the next event, or a reason to wait. Order: what was seen up to now is folded first, then the
//! clock speaks (turn-back moment, hard cap, overrun), then the rest. Not here: what ended ([`super::outcome`]), what people said
//! ([`super::orders`]), anything after the night has turned.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::phase::Outcome;
use crate::model::plan::{Plan, PlannedAction, PlannedStep, ServiceIndex, StepIndex};
use crate::model::runbook::{OnFutile, OnOverrun};
use crate::model::schedule::{Gate, gate};
use crate::model::span::after;

use super::Next;
use super::command::{Held, Hold};
use super::facts::{Arming, Facts, JobEnd, JobKey};
use super::journal::{Cause, Event};
use super::state::{Direction, State, StepState, Work};
use super::words::{clock, said};
use super::{orders, outcome, switch};

/// What happens next before the night begins.
pub(super) fn next_before(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    if let Some(why) = orders::cancelled(state, facts, now) {
        return Some((Event::Finished { outcome: Outcome::Cancelled }, why));
    }
    if let Some((_, why)) = deleted(plan, state, facts).filter(|_| state.armed) {
        return Some((Event::Finished { outcome: Outcome::Cancelled }, format!("{why}: nothing was closed")));
    }
    let held = start_held(plan, state, facts, now);
    let and_held: String = held.iter().map(|hold| format!("; {}", hold.why)).collect();
    if now > plan.start_by {
        let why = match &facts.arming {
            Arming::Impossible { reason } if !state.armed => format!("it could not be armed before its latest start: {reason}"),
            Arming::Impossible { .. } | Arming::NotYet | Arming::Armed => {
                format!("its latest start, {}, has passed and nothing had begun{and_held}", clock(plan, plan.start_by))
            }
        };
        return Some((Event::Finished { outcome: Outcome::Cancelled }, why));
    }
    if !state.armed {
        let armed = facts.arming == Arming::Armed;
        return armed
            .then(|| (Event::Armed {}, "every Job exists and waits, every token stands, pre-images are durable".to_owned()));
    }
    if now < plan.start_at {
        return None;
    }
    let goes_on = |index: StepIndex| plan.steps.get(index).is_some_and(|step| step.on_futile == OnFutile::Continue);
    match first_unfit(plan, state, now).filter(|(index, _)| !goes_on(*index)) {
        None if !held.is_empty() => None,
        None => Some((Event::WorkBegun {}, format!("it is {}", clock(plan, now)))),
        Some((index, gate)) => {
            let (_, why) = going_back_futile(plan, index, &gate);
            Some((Event::Finished { outcome: Outcome::Cancelled }, format!("too late to begin: {why}{and_held}")))
        }
    }
}

/// Why a night whose time has come does not begin. Only the beginning is held: what is under way goes on by the latest that the time may
/// be, and turning back is never refused.
pub(super) fn start_held(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Vec<Hold> {
    let could = state.armed && state.direction == Direction::Still && state.outcome.is_none() && now >= plan.start_at;
    let clock = facts.clock_unbounded.clone().map(|why| Hold { what: Held::ClockNotBounded, why });
    let switch = switch::holds_start(facts).map(|why| Hold { what: Held::SwitchNotReady, why });
    clock.into_iter().chain(switch).filter(|_| could).collect()
}

/// What happens next while the work goes forward.
pub(super) fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    outcome::next(plan, state, facts, now)
        .or_else(|| failed(plan, state))
        .or_else(|| orders::next(plan, state, facts, now))
        .or_else(|| committed(plan, state))
        .or_else(|| turn_back(plan, state, now))
        .or_else(|| caps(plan, state, now))
        .or_else(|| futile(plan, state, now))
        .or_else(|| switch::lost(plan, facts, now))
        .or_else(|| going_back_deleted(plan, state, facts))
        .or_else(|| start(plan, state, facts, now))
}

pub(super) fn running<'a>(plan: &'a Plan, state: &'a State) -> impl Iterator<Item = (StepIndex, &'a PlannedStep, &'a StepState)> {
    let all = state.progress.running().iter();
    all.filter_map(|&index| Some((index, plan.steps.get(index)?, state.steps.get(index)?)))
}

/// When each running step ends by its budget; one that overran is taken to end now.
fn ends<'a>(plan: &'a Plan, state: &'a State, now: Timestamp) -> impl Iterator<Item = (StepIndex, Timestamp)> + 'a {
    let end = move |(index, planned, step): (StepIndex, &PlannedStep, &StepState)| match step.work {
        Work::Running { since, .. } => Some((index, after(since, planned.budget).max(now))),
        Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    };
    running(plan, state).filter_map(end)
}

/// The first step of all that has not begun that does not fit any more; found the short way that there is none, where that shows it.
fn first_unfit(plan: &Plan, state: &State, now: Timestamp) -> Option<(StepIndex, Gate)> {
    if state.progress.fits(plan, ends(plan, state, now), now) == Some(true) {
        return None;
    }
    state.progress.tables().course(plan).first_that_does_not_fit(state.so_far(), &state.ends(plan, now), now)
}

fn failed(plan: &Plan, state: &State) -> Next {
    if !state.progress.has_failed() {
        return None;
    }
    let (planned, _) = plan.steps.iter().zip(&state.steps).find(|(_, step)| matches!(step.work, Work::Failed { .. }))?;
    let why = format!("step {} failed: going back", planned.name);
    Some((Event::GoingBack { cause: Cause::StepFailed { step: planned.name.clone() } }, why))
}

/// The first Job that is not there any more, of those that are still to run for what has not begun; nobody makes one anew in a night.
fn deleted(plan: &Plan, state: &State, facts: &Facts) -> Option<(JobKey, String)> {
    let waits = |index: &StepIndex| state.steps.get(*index).is_some_and(|step| step.work == Work::Waiting);
    let gone = facts.jobs.iter().filter(|(_, fact)| fact.end == Some(JobEnd::Vanished));
    gone.map(|(job, _)| *job).find_map(|job| {
        let (what, index) = match job {
            JobKey::Step(index) => ("the Job of step ", Some(index)),
            JobKey::Undo(index, _) => ("a Job of the undo of step ", Some(index)),
            JobKey::Smoke if state.direction == Direction::Still => ("the Job of the verification", None),
            JobKey::Smoke => return None,
        };
        let name = index.filter(waits).and_then(|index| plan.steps.get(index)).map_or("", |step| step.name.as_str());
        (index.is_none() || !name.is_empty()).then(|| (job, format!("{what}{name} is not there any more")))
    })
}

fn going_back_deleted(plan: &Plan, state: &State, facts: &Facts) -> Next {
    let (job, why) = deleted(plan, state, facts)?;
    let (JobKey::Step(index) | JobKey::Undo(index, _)) = job else { return None };
    let step = plan.steps.get(index)?.name.clone();
    Some((Event::GoingBack { cause: Cause::StepFailed { step } }, format!("{why}: going back before it begins")))
}

fn committed(plan: &Plan, state: &State) -> Next {
    state
        .progress
        .is_all_done(plan)
        .then(|| (Event::Committed {}, "the last step is done: undos expire, services come back".to_owned()))
}

fn turn_back(plan: &Plan, state: &State, now: Timestamp) -> Next {
    let moment = state.turn_back_at(plan);
    (now >= moment).then(|| {
        let why = format!("it is {}, the last moment at which going back still opens everything in time", clock(plan, moment));
        (Event::GoingBack { cause: Cause::TurnBackMoment }, why)
    })
}

fn caps(plan: &Plan, state: &State, now: Timestamp) -> Next {
    let hard = running(plan, state).find_map(|(_, planned, step)| match step.work {
        Work::Running { hard_cap_at, .. } if now >= hard_cap_at && is_hold(planned) => {
            let why = format!("nobody confirmed {} by {}: that means no", planned.name, clock(plan, hard_cap_at));
            Some((Event::GoingBack { cause: Cause::Silence { step: planned.name.clone() } }, why))
        }
        Work::Running { hard_cap_at, .. } if now >= hard_cap_at => {
            let why = format!("step {} outlived its hard cap, {}", planned.name, clock(plan, hard_cap_at));
            Some((Event::GoingBack { cause: Cause::HardCap { step: planned.name.clone() } }, why))
        }
        Work::Running { .. } | Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    });
    let mut working = running(plan, state).filter(|(_, planned, _)| !is_hold(planned));
    hard.or_else(|| working.find_map(|(_, planned, step)| overrun(plan, state, planned, step, now)))
}

/// Its end is a question to people, not an overrun.
fn is_hold(planned: &PlannedStep) -> bool {
    matches!(planned.action, PlannedAction::Hold(_))
}

fn overrun(plan: &Plan, state: &State, planned: &PlannedStep, step: &StepState, now: Timestamp) -> Next {
    let Work::Running { since, hard_cap_at, overrun } = step.work else { return None };
    let gone_at = after(since, planned.budget);
    if now < gone_at {
        return None;
    }
    if !overrun {
        let then = || match planned.on_overrun {
            OnOverrun::TurnBack if hard_cap_at == after(since, planned.hard_cap) => "going back".to_owned(),
            OnOverrun::Ask => format!("people are asked; silence means to go on until {}", clock(plan, hard_cap_at)),
            OnOverrun::TurnBack | OnOverrun::Continue => format!("it goes on until {}", clock(plan, hard_cap_at)),
        };
        let why = || {
            format!("step {}: its budget of {} was gone at {}; {}", planned.name, planned.budget, clock(plan, gone_at), then())
        };
        return Some((Event::Overrun { step: planned.name.clone() }, state.say(why)));
    }
    let extended = hard_cap_at > after(since, planned.hard_cap);
    (planned.on_overrun == OnOverrun::TurnBack && !extended).then(|| {
        let why = format!("step {} overran and its policy is to go back", planned.name);
        (Event::GoingBack { cause: Cause::Overrun { step: planned.name.clone() } }, why)
    })
}

/// Judged only when a step ends: the last that ended decides, by its policy, whether what remains is still tried.
fn futile(plan: &Plan, state: &State, now: Timestamp) -> Next {
    let (at, last) = state.progress.last_done()?;
    if at != now || plan.steps.get(last)?.on_futile == OnFutile::Continue {
        return None;
    }
    let (index, gate) = first_unfit(plan, state, now)?;
    Some(going_back_futile(plan, index, &gate))
}

fn going_back_futile(plan: &Plan, index: StepIndex, gate: &Gate) -> (Event, String) {
    let name = plan.steps.get(index).map_or("", |step| step.name.as_str());
    let sum = gate.need.sum_from(gate.ends_at, plan.deadline.must_serve_by);
    (Event::GoingBack { cause: Cause::Futile }, format!("step {name} cannot fit any more: {}", said(plan, &sum)))
}

/// The first waiting step whose predecessors are done and whose gate holds; going back when nothing runs and none can start.
fn start(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    if state.held.is_some() || switch::holds_work(facts).is_some() {
        return None;
    }
    let mut shut = None;
    for &index in ready(plan, state) {
        if not_before(plan, index).is_some_and(|moment| now < moment) {
            continue;
        }
        let gate = gate_now(plan, state, index, now);
        if gate.holds() {
            return Some(intend(plan, state, facts, index, &gate));
        }
        shut = shut.or(Some((index, gate)));
    }
    let (index, gate) = shut.filter(|_| running(plan, state).next().is_none())?;
    Some(going_back_futile(plan, index, &gate))
}

/// Waiting steps whose predecessors are done, in order.
pub(super) fn ready<'a>(plan: &Plan, state: &'a State) -> &'a BTreeSet<StepIndex> {
    state.progress.ready(plan)
}

/// Before this the step's closing would hit people while they are served.
pub(super) fn not_before(plan: &Plan, index: StepIndex) -> Option<Timestamp> {
    plan.steps.get(index)?.not_before
}

/// The gate of a step right now.
pub(super) fn gate_now(plan: &Plan, state: &State, index: StepIndex, now: Timestamp) -> Gate {
    let Some(planned) = plan.steps.get(index).filter(|planned| !planned.is_irreversible()) else {
        return gate(plan, state.so_far(), &state.ends(plan, now), index, now);
    };
    let running_end_at = state.progress.ends_at(ends(plan, state, now).map(|(_, at)| at));
    state.progress.gate(plan, index, after(now, planned.budget).max(running_end_at.unwrap_or(now)))
}

fn intend(plan: &Plan, state: &State, facts: &Facts, index: StepIndex, gate: &Gate) -> (Event, String) {
    let Some(planned) = plan.steps.get(index) else {
        return (Event::GoingBack { cause: Cause::Nonsense }, format!("there is no step {index}"));
    };
    let id = |service: &ServiceIndex| plan.services.get(*service).map(|service| service.id.clone());
    let closed = planned.closes().iter().filter_map(|service| facts.services.get(service)).map(|fact| &fact.preimages);
    let preimages = closed.chain(facts.changes.get(&index).map(|fact| &fact.preimages));
    let event = Event::StepIntended {
        step: planned.name.clone(),
        dirty: planned.touches.iter().filter_map(id).collect(),
        preimages: preimages.flat_map(Clone::clone).collect(),
    };
    let why = state.say(|| {
        format!(
            "step {} may start: by its budget it ends {}, going back from there would open {}, before {}",
            planned.name,
            clock(plan, gate.ends_at),
            clock(plan, after(gate.ends_at, gate.need.total())),
            clock(plan, plan.deadline.must_serve_by)
        )
    });
    (event, why)
}
