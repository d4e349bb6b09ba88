//! While the work goes forward: outcomes, orders, the clock's rules, the next step.
//!
//! In: plan, state, facts, now. Out: the next event, or a reason to wait. Order: what was seen up to now is folded first, then the
//! clock speaks (turn-back moment, hard cap, overrun), then the rest. Not here: anything after the night has turned.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::need::{need, turn_back_at};
use crate::model::plan::{Plan, PlannedAction, PlannedStep, StepIndex};
use crate::model::runbook::{OnFutile, OnOverrun};
use crate::model::schedule::{Gate, first_that_does_not_fit, gate, predecessors};
use crate::model::span::{Span, after};

use super::facts::{Ask, ClosingFact, Facts, JobEnd, JobKey, Order};
use super::journal::{Cause, Event};
use super::state::{Direction, State, StepState, Work};
use super::words::{clock, said};

/// An event and its reason.
pub(super) type Next = Option<(Event, String)>;

/// What happens next before the night begins.
pub(super) fn next_before(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    use super::facts::Arming;
    use crate::model::phase::Outcome;
    if facts.deleted {
        let why = "the intervention was deleted before it began".to_owned();
        return Some((Event::Finished { outcome: Outcome::Cancelled }, why));
    }
    if now > plan.start_by {
        let why = match &facts.arming {
            Arming::Impossible { reason } if !state.armed => format!("it could not be armed before its latest start: {reason}"),
            Arming::Impossible { .. } | Arming::NotYet | Arming::Armed => {
                format!("its latest start, {}, has passed and nothing had begun", clock(plan, plan.start_by))
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
    match first_that_does_not_fit(plan, &state.begun(plan), &BTreeMap::new(), now).filter(|(index, _)| !goes_on(*index)) {
        None => Some((Event::WorkBegun {}, format!("it is {}", clock(plan, now)))),
        Some((index, gate)) => {
            let (_, why) = going_back_futile(plan, index, &gate);
            Some((Event::Finished { outcome: Outcome::Cancelled }, format!("too late to begin: {why}")))
        }
    }
}

/// What happens next while the work goes forward.
pub(super) fn next(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    outcome(plan, state, facts)
        .or_else(|| failed(plan, state))
        .or_else(|| ordered(plan, state, facts, now))
        .or_else(|| committed(state))
        .or_else(|| turn_back(plan, state, now))
        .or_else(|| caps(plan, state, now))
        .or_else(|| futile(plan, state, now))
        .or_else(|| start(plan, state, facts, now))
}

fn running<'a>(plan: &'a Plan, state: &'a State) -> impl Iterator<Item = (StepIndex, &'a PlannedStep, &'a StepState)> {
    let all = plan.steps.iter().zip(&state.steps).enumerate();
    all.filter(|(_, (_, step))| matches!(step.work, Work::Running { .. })).map(|(index, (planned, step))| (index, planned, step))
}

fn outcome(plan: &Plan, state: &State, facts: &Facts) -> Next {
    running(plan, state).find_map(|(index, planned, _)| match &planned.action {
        PlannedAction::Close { services } => {
            let facts: Vec<_> = services.iter().map(|service| facts.services.get(service).map(|f| &f.closing)).collect();
            let refused = facts.iter().find_map(|fact| match fact {
                Some(ClosingFact::Refused { reason }) => Some(reason.clone()),
                Some(ClosingFact::Open | ClosingFact::Draining | ClosingFact::Closed) | None => None,
            });
            if let Some(reason) = refused {
                let why = format!("step {} failed: {reason}", planned.name);
                return Some((Event::StepFailed { step: planned.name.clone(), reason }, why));
            }
            let closed = facts.iter().all(|fact| matches!(fact, Some(ClosingFact::Closed)));
            closed
                .then(|| (Event::StepDone { step: planned.name.clone() }, format!("step {}: services are closed", planned.name)))
        }
        PlannedAction::Job(_) => {
            let job = facts.jobs.get(&JobKey::Step(index))?;
            job_outcome(&planned.name, job.end.as_ref()?, job.burned.is_some())
        }
    })
}

fn job_outcome(name: &str, end: &JobEnd, burned: bool) -> Next {
    let reason = match end {
        JobEnd::Complete if burned => return None,
        JobEnd::Complete => {
            return Some((Event::StepDone { step: name.to_owned() }, format!("step {name}: its Job is complete")));
        }
        JobEnd::Failed { reason } => reason.clone(),
        JobEnd::Vanished => "its Job is not there any more".to_owned(),
    };
    let why = format!("step {name} failed: {reason}");
    Some((Event::StepFailed { step: name.to_owned(), reason }, why))
}

fn failed(plan: &Plan, state: &State) -> Next {
    let (planned, _) = plan.steps.iter().zip(&state.steps).find(|(_, step)| matches!(step.work, Work::Failed { .. }))?;
    let why = format!("step {} failed: going back", planned.name);
    Some((Event::GoingBack { cause: Cause::StepFailed { step: planned.name.clone() } }, why))
}

fn ordered(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    if facts.deleted {
        return Some((Event::GoingBack { cause: Cause::Deleted }, "the intervention was deleted: going back".to_owned()));
    }
    let order = facts.orders.iter().find(|order| order.at <= now && !state.answered.contains(&order.name))?;
    match &order.ask {
        Ask::TurnBack => {
            let why = format!("{} said to go back", order.by);
            Some((Event::GoingBack { cause: Cause::Ordered { by: order.by.clone() } }, why))
        }
        Ask::Extend { step, until } => Some(extend(plan, state, order, step, *until)),
    }
}

/// Orders that come after the night has turned are told so (PROTOCOL rule 9, H34); who asked to go back has what was asked for.
pub(super) fn too_late(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    let (what, since, goes_back) = match &state.direction {
        Direction::Back { since, .. } => ("the night is going back since", *since, true),
        Direction::Committed { since } => ("committed at", *since, false),
        Direction::Still | Direction::Forward => return None,
    };
    let is_open = |order: &&Order| {
        let obeyed = goes_back && order.ask == Ask::TurnBack;
        order.at <= now && !obeyed && !state.answered.contains(&order.name)
    };
    let order = facts.orders.iter().find(is_open)?;
    let why = format!("{} asked too late: {what} {}", order.by, clock(plan, since));
    Some((Event::OrderRefused { order: order.name.clone(), by: order.by.clone(), sum: Vec::new() }, why))
}

fn extend(plan: &Plan, state: &State, order: &Order, step: &str, until: Timestamp) -> (Event, String) {
    let begun = state.begun(plan);
    let limit = turn_back_at(plan, &begun);
    let refused = |why: String| {
        let sum = need(plan, &begun).sum_from(until, plan.deadline.must_serve_by);
        (Event::OrderRefused { order: order.name.clone(), by: order.by.clone(), sum }, why)
    };
    let work = plan.step_named(step).and_then(|(index, planned)| Some((planned, &state.steps.get(index)?.work)));
    let Some((planned, Work::Running { hard_cap_at, .. })) = work else {
        return refused(format!("{} asked for more time for step {step}, which is not running", order.by));
    };
    if until > limit {
        let sum = need(plan, &begun).sum_from(until, plan.deadline.must_serve_by);
        return refused(format!(
            "{} asked for {}, past the turn-back moment {}: {}",
            order.by,
            clock(plan, until),
            clock(plan, limit),
            said(plan, &sum)
        ));
    }
    if until <= *hard_cap_at {
        return refused(format!(
            "{} asked for {}, which is not past the hard cap that holds already",
            order.by,
            clock(plan, until)
        ));
    }
    let event = Event::Extended { step: step.to_owned(), until, order: order.name.clone(), by: order.by.clone() };
    (event, format!("{} gave step {step} until {}{}", order.by, clock(plan, until), warning(plan, state, planned, until)))
}

/// "beyond `finishBy` only with the warning" (DESIGN §1, hard cap).
fn warning(plan: &Plan, state: &State, step: &PlannedStep, until: Timestamp) -> String {
    if until <= step.finish_by {
        return String::new();
    }
    let all = plan.steps.iter().enumerate().fold(state.begun(plan), |begun, (index, _)| begun.with(plan, index));
    let left = Span::between(until, turn_back_at(plan, &all));
    let then = match step.on_futile {
        OnFutile::TurnBack => "the night will turn back when this step ends",
        OnFutile::Continue => "the night goes on as far as its gates allow",
    };
    format!("; the way back holds; the work will not fit unless the later steps take ≤ {left}: {then}")
}

fn committed(state: &State) -> Next {
    let done = state.steps.iter().all(|step| matches!(step.work, Work::Done { .. }));
    done.then(|| (Event::Committed {}, "the last step is done: undos expire, services come back".to_owned()))
}

fn turn_back(plan: &Plan, state: &State, now: Timestamp) -> Next {
    let moment = turn_back_at(plan, &state.begun(plan));
    (now >= moment).then(|| {
        let why = format!("it is {}, the last moment at which going back still opens everything in time", clock(plan, moment));
        (Event::GoingBack { cause: Cause::TurnBackMoment }, why)
    })
}

fn caps(plan: &Plan, state: &State, now: Timestamp) -> Next {
    let hard = running(plan, state).find_map(|(_, planned, step)| match step.work {
        Work::Running { hard_cap_at, .. } if now >= hard_cap_at => {
            let why = format!("step {} outlived its hard cap, {}", planned.name, clock(plan, hard_cap_at));
            Some((Event::GoingBack { cause: Cause::HardCap { step: planned.name.clone() } }, why))
        }
        Work::Running { .. } | Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    });
    hard.or_else(|| running(plan, state).find_map(|(_, planned, step)| overrun(plan, planned, step, now)))
}

fn overrun(plan: &Plan, planned: &PlannedStep, step: &StepState, now: Timestamp) -> Next {
    let Work::Running { since, hard_cap_at, overrun } = step.work else { return None };
    let gone_at = after(since, planned.budget);
    if now < gone_at {
        return None;
    }
    if !overrun {
        let then = match planned.on_overrun {
            OnOverrun::TurnBack if hard_cap_at == after(since, planned.hard_cap) => "going back".to_owned(),
            OnOverrun::Ask => format!("people are asked; silence means to go on until {}", clock(plan, hard_cap_at)),
            OnOverrun::TurnBack | OnOverrun::Continue => format!("it goes on until {}", clock(plan, hard_cap_at)),
        };
        let why = format!("step {}: its budget of {} was gone at {}; {then}", planned.name, planned.budget, clock(plan, gone_at));
        return Some((Event::Overrun { step: planned.name.clone() }, why));
    }
    let extended = hard_cap_at > after(since, planned.hard_cap);
    (planned.on_overrun == OnOverrun::TurnBack && !extended).then(|| {
        let why = format!("step {} overran and its policy is to go back", planned.name);
        (Event::GoingBack { cause: Cause::Overrun { step: planned.name.clone() } }, why)
    })
}

/// Judged only when a step ends: the last that ended decides, by its policy, whether what remains is still tried.
fn futile(plan: &Plan, state: &State, now: Timestamp) -> Next {
    let ended = plan.steps.iter().zip(&state.steps).filter_map(|(planned, step)| match step.work {
        Work::Done { at, .. } => Some((at, planned)),
        Work::Waiting | Work::Running { .. } | Work::Failed { .. } => None,
    });
    let (at, last) = ended.max_by_key(|(at, _)| *at)?;
    if at != now || last.on_futile == OnFutile::Continue {
        return None;
    }
    let (index, gate) = first_that_does_not_fit(plan, &state.begun(plan), &ends(plan, state, now), at)?;
    Some(going_back_futile(plan, index, &gate))
}

fn going_back_futile(plan: &Plan, index: StepIndex, gate: &Gate) -> (Event, String) {
    let name = plan.steps.get(index).map_or("", |step| step.name.as_str());
    let sum = gate.need.sum_from(gate.ends_at, plan.deadline.must_serve_by);
    (Event::GoingBack { cause: Cause::Futile }, format!("step {name} cannot fit any more: {}", said(plan, &sum)))
}

/// When every begun step ended, or ends by its budget.
fn ends(plan: &Plan, state: &State, now: Timestamp) -> BTreeMap<StepIndex, Timestamp> {
    let end = |(index, (planned, step)): (StepIndex, (&PlannedStep, &StepState))| match step.work {
        Work::Waiting => None,
        Work::Running { since, .. } => Some((index, after(since, planned.budget).max(now))),
        Work::Done { at, .. } | Work::Failed { at, .. } => Some((index, at)),
    };
    plan.steps.iter().zip(&state.steps).enumerate().filter_map(end).collect()
}

/// The first waiting step whose predecessors are done and whose gate holds; going back when nothing runs and none can start.
fn start(plan: &Plan, state: &State, facts: &Facts, now: Timestamp) -> Next {
    let mut shut = None;
    for index in ready(plan, state) {
        if not_before(plan, index).is_some_and(|moment| now < moment) {
            continue;
        }
        let gate = gate_now(plan, state, index, now);
        if gate.holds() {
            return Some(intend(plan, facts, index, &gate));
        }
        shut = shut.or(Some((index, gate)));
    }
    let (index, gate) = shut.filter(|_| running(plan, state).next().is_none())?;
    Some(going_back_futile(plan, index, &gate))
}

/// Waiting steps whose predecessors are done, in order.
pub(super) fn ready(plan: &Plan, state: &State) -> Vec<StepIndex> {
    let done = |index: &StepIndex| state.steps.get(*index).is_some_and(|step| matches!(step.work, Work::Done { .. }));
    let waiting = state.steps.iter().enumerate().filter(|(_, step)| step.work == Work::Waiting).map(|(index, _)| index);
    waiting.filter(|&index| predecessors(&plan.steps, index).iter().all(done)).collect()
}

/// Before this the step's closing would hit people while they are served.
pub(super) fn not_before(plan: &Plan, index: StepIndex) -> Option<Timestamp> {
    plan.steps.get(index)?.not_before
}

/// The gate of a step right now.
pub(super) fn gate_now(plan: &Plan, state: &State, index: StepIndex, now: Timestamp) -> Gate {
    gate(plan, &state.begun(plan), index, now, state.running_end_at(plan, now))
}

fn intend(plan: &Plan, facts: &Facts, index: StepIndex, gate: &Gate) -> (Event, String) {
    let Some(planned) = plan.steps.get(index) else {
        return (Event::GoingBack { cause: Cause::Nonsense }, format!("there is no step {index}"));
    };
    let id = |service: &usize| plan.services.get(*service).map(|service| service.id.clone());
    let preimages = planned.closes().iter().filter_map(|service| facts.services.get(service));
    let event = Event::StepIntended {
        step: planned.name.clone(),
        dirty: planned.touches.iter().filter_map(id).collect(),
        preimages: preimages.flat_map(|fact| fact.preimages.clone()).collect(),
    };
    let why = format!(
        "step {} may start: by its budget it ends {}, going back from there would open {}, before {}",
        planned.name,
        clock(plan, gate.ends_at),
        clock(plan, after(gate.ends_at, gate.need.total())),
        clock(plan, plan.deadline.must_serve_by)
    );
    (event, why)
}
