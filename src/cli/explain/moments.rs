//! Every moment of a night as a value: what it is, the sum behind it line by line, and how it will move.
//!
//! In: the frozen plan, and where the night stands. Out: [`Moment`]s. Invariants: every number comes from the plan or from
//! [`crate::model::need`], the arithmetic that the operator obeys; every sum comes out to the moment that it explains, and one that would
//! not is left out; no clock. Not here: text, JSON ([`super::show`]), where the plan comes from ([`super`]).

use jiff::Timestamp;

use crate::cli::status::when;
use crate::engine::State;
use crate::engine::state::{Direction, Work};
use crate::engine::words::clock;
use crate::model::need::{Begun, Need, kept, need, reopen_by, turn_back_at};
use crate::model::plan::{Because, Deadline, Plan, PlannedStep, StepIndex};
use crate::model::schedule::predecessors;
use crate::model::span::{Span, after};

use super::sums;

/// The moment that shows a step's start too.
pub(super) const PLANNED_END: &str = "planned-end";

/// One moment, explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// `must-serve-by`, `turn-back`, `reopen-by`, `tell-people-by`, `planned-open`; of a step `hard-cap`, `planned-end`, `finish-by`; of
    /// a service `deadline`.
    pub name: &'static str,
    /// The step or service that it is about; none: the whole night.
    pub of: Option<String>,
    /// When; none when it means nothing any more.
    pub at: Option<Timestamp>,
    /// What it is, and why it is this one.
    pub because: String,
    /// The sum, in order; its last line is the moment.
    pub sum: Vec<Line>,
    /// What will move it, in the order of the plan.
    pub moves: Vec<Move>,
}

/// One line of a sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What is done with it.
    pub sign: Sign,
    /// What it is.
    pub term: String,
    /// How much, or when.
    pub value: Value,
    /// Why so much.
    pub why: String,
}

/// What is done with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The sum begins here.
    From,
    /// It is added.
    Plus,
    /// It is taken off.
    Minus,
    /// It is the result.
    Is,
}

/// A moment or a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// When.
    At(Timestamp),
    /// How much.
    For(Span),
}

/// A moment after a step has started.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The step.
    pub after: String,
    /// What it becomes.
    pub at: Timestamp,
    /// What is added to what going back takes, or taken off it: `undo`, `reopen`.
    pub change: Vec<(Sign, &'static str, Span)>,
}

/// All moments of a night; before the night `state` is that of an empty journal.
#[must_use]
pub fn moments(plan: &Plan, state: &State) -> Vec<Moment> {
    let mut all = vec![must_serve_by(plan), turn_back(plan, state), reopen(plan, state)];
    all.extend(tell_people_by(plan));
    all.push(planned_open(plan));
    all.extend(hard_caps(plan, state));
    all.extend((0..plan.steps.len()).filter_map(|index| planned_end(plan, state, index)));
    all.extend((0..plan.steps.len()).filter_map(|index| finish_by(plan, state, index)));
    all.extend(plan.services.iter().filter_map(|service| service.deadline.as_ref()).map(|deadline| service(plan, deadline)));
    all
}

/// Whether going back is still a choice.
fn is_a_choice(state: &State) -> bool {
    state.outcome.is_none() && matches!(state.direction, Direction::Still | Direction::Forward)
}

/// `service sanita/zerocode at site prelievi (calendar prelievi) opens 07:15` and the sum behind a deadline.
fn deadline(plan: &Plan, deadline: &Deadline) -> (String, Vec<Line>) {
    let place = format!("service {} at site {} (calendar {})", deadline.service, deadline.site, deadline.calendar);
    match &deadline.because {
        Because::Opens { at, margin } => (
            format!("{place} opens {}, after the closing", clock(plan, *at)),
            vec![
                sums::at(Sign::From, "opening", *at, place),
                sums::span(Sign::Minus, "margin", *margin, "the night's margin before doors".to_owned()),
                sums::at(Sign::Is, "must serve by", deadline.must_serve_by, String::new()),
            ],
        ),
        Because::Tolerates { from, closed_for } => (
            format!("{place} is open and bears {closed_for} from the closing at {}", clock(plan, *from)),
            vec![
                sums::at(Sign::From, "closing", *from, "the planned closing, of it or of what it calls".to_owned()),
                sums::span(Sign::Plus, "closedFor", *closed_for, format!("what {place} tolerates; no margin is taken off")),
                sums::at(Sign::Is, "must serve by", deadline.must_serve_by, String::new()),
            ],
        ),
    }
}

fn must_serve_by(plan: &Plan) -> Moment {
    let (place, sum) = deadline(plan, &plan.deadline);
    let others = plan.services.iter().filter_map(|service| service.deadline.as_ref());
    let next = others.filter(|other| other.service != plan.deadline.service).min_by_key(|other| other.must_serve_by);
    let next = next.map(|next| {
        if next.must_serve_by == plan.deadline.must_serve_by {
            format!("; so does service {}, with the same moment", next.service)
        } else {
            format!("; the next is service {}, {}", next.service, when::moment(plan, next.must_serve_by))
        }
    });
    let because =
        format!("{place}: as nothing is earlier, it binds the whole night{}; frozen at acceptance", next.unwrap_or_default());
    Moment { name: "must-serve-by", of: None, at: Some(plan.deadline.must_serve_by), because, sum, moves: Vec::new() }
}

fn service(plan: &Plan, own: &Deadline) -> Moment {
    let (place, sum) = deadline(plan, own);
    let first = &plan.deadline;
    let because = if own.must_serve_by == first.must_serve_by {
        format!("{place}; it binds the night")
    } else {
        let earlier = when::moment(plan, first.must_serve_by);
        format!("{place}; the night has to end earlier, {earlier}, for service {}", first.service)
    };
    let of = Some(own.service.to_string());
    Moment { name: "deadline", of, at: Some(own.must_serve_by), because, sum, moves: Vec::new() }
}

fn turn_back(plan: &Plan, state: &State) -> Moment {
    let begun = state.begun(plan);
    let at = turn_back_at(plan, &begun);
    let mut moment = Moment {
        name: "turn-back",
        of: None,
        at: Some(at),
        because: format!("the last moment at which going back still opens everything in time{}", stays(plan, &begun)),
        sum: sums::turn_back(plan, &begun, at),
        moves: moves(plan, state, turn_back_at, |need| vec![("undo", need.undo), ("smoke", need.smoke), ("reopen", need.reopen)]),
    };
    if !is_a_choice(state) {
        moment.at = None;
        moment.because = no_choice(plan, state, at);
    }
    moment
}

/// What going back does not undo any more.
fn stays(plan: &Plan, begun: &Begun) -> String {
    let kept = kept(plan, &begun.steps).into_iter().filter_map(|index| plan.steps.get(index)).map(|step| step.name.as_str());
    let names = kept.collect::<Vec<_>>().join(", ");
    if names.is_empty() { names } else { format!("; past a point of no return, so these stay done: {names}") }
}

fn no_choice(plan: &Plan, state: &State, at: Timestamp) -> String {
    let turned = match &state.direction {
        Direction::Back { since, .. } => format!("the night is going back since {}", clock(plan, *since)),
        Direction::Committed { since } => {
            format!("the work is committed since {}: nothing is undone any more", clock(plan, *since))
        }
        Direction::Still | Direction::Forward => "the night is over".to_owned(),
    };
    format!("{turned}; it would have been {}", clock(plan, at))
}

fn reopen(plan: &Plan, state: &State) -> Moment {
    let begun = state.begun(plan);
    let at = reopen_by(plan, &begun.closed);
    Moment {
        name: "reopen-by",
        of: None,
        at: Some(at),
        because: "from here on undoing delays the opening of nobody else".to_owned(),
        sum: sums::reopen_by(plan, &begun, at),
        moves: moves(plan, state, |plan, begun| reopen_by(plan, &begun.closed), |need| vec![("reopen", need.reopen)]),
    }
}

/// How a moment moves as the steps that have not begun start, one after the other as planned.
fn moves(
    plan: &Plan,
    state: &State,
    moment: impl Fn(&Plan, &Begun) -> Timestamp,
    parts: impl Fn(Need) -> Vec<(&'static str, Span)>,
) -> Vec<Move> {
    if !is_a_choice(state) {
        return Vec::new();
    }
    let mut begun = state.begun(plan);
    let mut waiting: Vec<(Timestamp, StepIndex, &PlannedStep)> =
        plan.steps.iter().enumerate().map(|(index, step)| (step.start_at, index, step)).collect();
    waiting.retain(|(_, index, _)| !begun.steps.contains(index));
    waiting.sort_by_key(|(start_at, index, _)| (*start_at, *index));
    let mut found = Vec::new();
    for (_, index, step) in waiting {
        let later = begun.with(plan, index);
        let (was, is) = (need(plan, &begun), need(plan, &later));
        if moment(plan, &later) != moment(plan, &begun) {
            let both = parts(is).into_iter().zip(parts(was));
            let change =
                both.flat_map(|((term, is), (_, was))| [(Sign::Plus, term, is.less(was)), (Sign::Minus, term, was.less(is))]);
            let change = change.filter(|(_, _, span)| !span.is_zero()).collect();
            found.push(Move { after: step.name.clone(), at: moment(plan, &later), change });
        }
        begun = later;
    }
    found
}

fn tell_people_by(plan: &Plan) -> Option<Moment> {
    let (at, opening) = (plan.tell_people_by?, plan.first_opening_at?);
    let ahead = Span::between(at, opening);
    Some(Moment {
        name: "tell-people-by",
        of: None,
        at: Some(at),
        because: "by then people know what stays closed".to_owned(),
        sum: vec![
            sums::at(Sign::From, "first opening", opening, "the first doors of all that the night concerns".to_owned()),
            sums::span(Sign::Minus, "tellBefore", ahead, "declared by the Intervention".to_owned()),
            sums::at(Sign::Is, "tell people by", at, String::new()),
        ],
        moves: Vec::new(),
    })
}

/// Back from the step that ends last, along the steps that it waited for.
fn planned_open(plan: &Plan) -> Moment {
    let mut chain: Vec<StepIndex> = Vec::new();
    let mut next = plan.steps.iter().enumerate().max_by_key(|(index, step)| (step.end_at, *index)).map(|(index, _)| index);
    while let Some(index) = next.filter(|_| chain.len() < plan.steps.len()) {
        chain.push(index);
        let start_at = plan.steps.get(index).map(|step| step.start_at);
        let ends = |before: &StepIndex| plan.steps.get(*before).map(|step| step.end_at) == start_at;
        next = predecessors(&plan.steps, index).into_iter().find(ends);
    }
    let budget =
        |index: StepIndex| plan.steps.get(index).map(|step| sums::span(Sign::Plus, &step.name, step.budget, String::new()));
    let all = Begun::of(plan, 0..plan.steps.len());
    let mut sum = vec![sums::at(Sign::From, "start", plan.start_at, String::new())];
    sum.extend(chain.into_iter().rev().filter_map(budget));
    sum.push(sums::span(Sign::Plus, "reopen", need(plan, &all).reopen, sums::waves(plan, &all)));
    sum.push(sums::at(Sign::Is, "planned open", plan.planned_open_at, String::new()));
    Moment {
        name: "planned-open",
        of: None,
        at: Some(plan.planned_open_at),
        because: "when everything is open again if all takes its budget; frozen at acceptance".to_owned(),
        sum: sums::coming_out(sum),
        moves: Vec::new(),
    }
}

fn hard_caps(plan: &Plan, state: &State) -> Vec<Moment> {
    let running = plan.steps.iter().zip(&state.steps).filter_map(|(planned, step)| match step.work {
        Work::Running { since, hard_cap_at, .. } if is_a_choice(state) => Some((planned, since, hard_cap_at)),
        Work::Running { .. } | Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    });
    let explained = |(planned, since, hard_cap_at): (&PlannedStep, Timestamp, Timestamp)| {
        let declared = after(since, planned.hard_cap);
        let moved = Span::between(declared, hard_cap_at);
        let mut sum = vec![
            sums::at(Sign::From, "start", since, format!("when {} began", planned.name)),
            sums::span(Sign::Plus, "hardCap", planned.hard_cap, "declared by the step".to_owned()),
        ];
        if !moved.is_zero() {
            sum.push(sums::span(Sign::Plus, "extension", moved, "given by people".to_owned()));
        }
        sum.push(sums::at(Sign::Is, "hard cap", hard_cap_at, String::new()));
        let because = format!(
            "a step that outlives it is turned back at once; its budget ends {}",
            clock(plan, after(since, planned.budget))
        );
        Moment {
            name: "hard-cap",
            of: Some(planned.name.clone()),
            at: Some(hard_cap_at),
            because,
            sum: sums::coming_out(sum),
            moves: Vec::new(),
        }
    };
    running.map(explained).collect()
}

/// When a step ends by its budget, if all before it took theirs.
fn planned_end(plan: &Plan, state: &State, index: StepIndex) -> Option<Moment> {
    let step = plan.steps.get(index)?;
    let ends_then = |before: &&PlannedStep| before.end_at == step.start_at;
    let before = predecessors(&plan.steps, index).into_iter().filter_map(|before| plan.steps.get(before)).filter(ends_then);
    let names = before.map(|before| before.name.as_str()).collect::<Vec<_>>().join(" and ");
    let why = if names.is_empty() { "as planned, with the night".to_owned() } else { format!("as planned, after {names}") };
    let so_far = match state.steps.get(index).map(|step| &step.work) {
        Some(Work::Done { at, .. }) => format!("it ended {}", clock(plan, *at)),
        Some(Work::Failed { at, .. }) => format!("it failed {}", clock(plan, *at)),
        Some(Work::Running { since, .. }) => format!("it runs since {}", clock(plan, *since)),
        Some(Work::Waiting) | None => "it has not begun".to_owned(),
    };
    Some(Moment {
        name: PLANNED_END,
        of: Some(step.name.clone()),
        at: Some(step.end_at),
        because: format!("when it ends if everything takes its budget; {so_far}"),
        sum: vec![
            sums::at(Sign::From, "start", step.start_at, why),
            sums::span(Sign::Plus, "budget", step.budget, "declared by the step".to_owned()),
            sums::at(Sign::Is, "planned end", step.end_at, String::new()),
        ],
        moves: Vec::new(),
    })
}

/// The latest end of a step from which every later gate still holds, with the gate that says so.
fn finish_by(plan: &Plan, state: &State, index: StepIndex) -> Option<Moment> {
    let step = plan.steps.get(index)?;
    let because = match state.steps.get(index).map(|step| &step.work) {
        Some(Work::Done { at, .. }) => format!("it ended {}", clock(plan, *at)),
        Some(Work::Failed { at, .. }) => format!("it failed {}", clock(plan, *at)),
        Some(Work::Running { .. }) => "it runs: an end after this leaves no room for what follows at its budget".to_owned(),
        Some(Work::Waiting) | None => "an end after this leaves no room for what follows at its budget".to_owned(),
    };
    Some(Moment {
        name: "finish-by",
        of: Some(step.name.clone()),
        at: Some(step.finish_by),
        because,
        sum: sums::finish_by(plan, index).unwrap_or_default(),
        moves: Vec::new(),
    })
}

/// What has begun when step `index` starts as planned, itself included.
pub(super) fn begun_at(plan: &Plan, index: StepIndex) -> Begun {
    let Some(own) = plan.steps.get(index) else { return Begun::default() };
    let is_begun = |(other, step): &(StepIndex, &PlannedStep)| (step.start_at, *other) <= (own.start_at, index);
    Begun::of(plan, plan.steps.iter().enumerate().filter(is_begun).map(|(other, _)| other))
}
