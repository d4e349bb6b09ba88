//! The sums behind moments, line by line.
//!
//! In: the plan, what has begun. Out: [`Line`]s whose last one is the moment. Invariant: [`coming_out`] lets through only what adds up, so
//! that nothing is ever explained by a sum that is wrong. Not here: which moments there are ([`super::moments`]).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::moments::{Line, Sign, Value, begun_at};
use crate::model::need::{Begun, kept, need, turn_back_at};
use crate::model::plan::{Plan, StepIndex};
use crate::model::schedule::predecessors;
use crate::model::span::{Span, after, before};

/// A line with a moment.
pub(super) fn at(sign: Sign, term: &str, at: Timestamp, why: String) -> Line {
    Line { sign, term: term.to_owned(), value: Value::At(at), why }
}

/// A line with a span.
pub(super) fn span(sign: Sign, term: &str, span: Span, why: String) -> Line {
    Line { sign, term: term.to_owned(), value: Value::For(span), why }
}

/// What the lines before the last add up to; none when they are no sum.
#[must_use]
pub fn total(sum: &[Line]) -> Option<Timestamp> {
    let mut total: Option<Timestamp> = None;
    for line in sum {
        total = match (line.sign, line.value, total) {
            (Sign::From, Value::At(at), None) => Some(at),
            (Sign::Plus, Value::For(span), Some(sofar)) => Some(after(sofar, span)),
            (Sign::Minus, Value::For(span), Some(sofar)) => Some(before(sofar, span)),
            (Sign::Is, Value::At(_), Some(sofar)) => Some(sofar),
            (Sign::From | Sign::Plus | Sign::Minus | Sign::Is, Value::At(_) | Value::For(_), _) => return None,
        };
    }
    total
}

/// The sum, if it comes out to its last line; else only that line.
pub(super) fn coming_out(sum: Vec<Line>) -> Vec<Line> {
    let result = sum.last().map(|line| line.value);
    if result.is_some() && total(&sum).map(Value::At) == result { sum } else { sum.into_iter().next_back().into_iter().collect() }
}

/// `must serve by − undo − smoke − reopen − reserve`.
pub(super) fn turn_back(plan: &Plan, begun: &Begun, moment: Timestamp) -> Vec<Line> {
    let need = need(plan, begun);
    let smoke = if plan.smoke.is_some() { "verification behind closed doors" } else { "none is declared" };
    coming_out(vec![
        at(Sign::From, "must serve by", plan.deadline.must_serve_by, String::new()),
        span(Sign::Minus, "undo", need.undo, undos(plan, begun)),
        span(Sign::Minus, "smoke", need.smoke, smoke.to_owned()),
        span(Sign::Minus, "reopen", need.reopen, waves(plan, begun)),
        span(Sign::Minus, "reserve", need.reserve, "time that nobody may plan with".to_owned()),
        at(Sign::Is, "turn back", moment, String::new()),
    ])
}

/// `must serve by − reserve − reopen`.
pub(super) fn reopen_by(plan: &Plan, begun: &Begun, moment: Timestamp) -> Vec<Line> {
    let need = need(plan, begun);
    coming_out(vec![
        at(Sign::From, "must serve by", plan.deadline.must_serve_by, String::new()),
        span(Sign::Minus, "reserve", need.reserve, "time that nobody may plan with".to_owned()),
        span(Sign::Minus, "reopen", need.reopen, waves(plan, begun)),
        at(Sign::Is, "reopen by", moment, String::new()),
    ])
}

/// Whose undos make the time that undoing takes.
fn undos(plan: &Plan, begun: &Begun) -> String {
    let kept = kept(plan, &begun.steps);
    let begun_steps = begun.steps.iter().filter(|index| !kept.contains(index)).filter_map(|&index| plan.steps.get(index));
    let mut own: Vec<(&str, Span)> = begun_steps.map(|step| (step.name.as_str(), step.undo_budget())).collect();
    own.retain(|(_, budget)| !budget.is_zero());
    let named = own.iter().rev().map(|(name, budget)| format!("{name} {budget}")).collect::<Vec<_>>().join(", ");
    let sum: Span = own.iter().map(|(_, budget)| *budget).sum();
    match own.len() {
        0 => "nothing that has begun has an undo of its own".to_owned(),
        1 => format!("undo of {named}"),
        _ if sum == need(plan, begun).undo => format!("undos one after the other: {named}"),
        _ => format!("the longest way through the undos: {named}"),
    }
}

/// What reopening is made of.
pub(super) fn waves(plan: &Plan, begun: &Begun) -> String {
    let budgets = plan.waves.iter().map(|wave| {
        let closed = wave.iter().filter(|index| begun.closed.contains(index)).filter_map(|&index| plan.services.get(index));
        closed.map(|service| service.reopen_budget).max().unwrap_or_default()
    });
    let budgets: Vec<Span> = budgets.filter(|budget| !budget.is_zero()).collect();
    let named = budgets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ");
    match (budgets.len(), budgets.iter().copied().sum::<Span>()) {
        (0, _) => "nothing is closed yet; the declared budget is kept free".to_owned(),
        (_, sum) if sum > plan.reopening_budget => format!("waves {named}, more than the declared {}", plan.reopening_budget),
        (_, sum) if sum == plan.reopening_budget => format!("waves {named}, as declared"),
        (_, _) => format!("the declared budget; the waves take {named}"),
    }
}

/// The gate that says how late a step may end: the turn-back moment of a later step, less the budgets on the way to its end. None when
/// no such sum gives the moment of the plan.
pub(super) fn finish_by(plan: &Plan, index: StepIndex) -> Option<Vec<Line>> {
    let own = plan.steps.get(index)?;
    let mut paths: BTreeMap<StepIndex, Vec<StepIndex>> = BTreeMap::from([(index, Vec::new())]);
    for (later, _) in plan.steps.iter().enumerate().skip(index + 1) {
        let before = predecessors(&plan.steps, later).into_iter().filter_map(|before| paths.get(&before).cloned());
        if let Some(mut path) = before.max_by_key(|path| length(plan, path)) {
            path.push(later);
            paths.insert(later, path);
        }
    }
    let from_here = plan.steps.iter().enumerate().filter(|(other, step)| (step.start_at, *other) >= (own.start_at, index));
    let gates = from_here.map(|(gate, step)| {
        let limit = turn_back_at(plan, &begun_at(plan, gate));
        let start = vec![at(Sign::From, "turn back", limit, format!("once {} has started", step.name))];
        less_budgets(plan, start, paths.get(&gate).map(Vec::as_slice).unwrap_or_default(), own.finish_by)
    });
    let longest = paths.values().max_by_key(|path| length(plan, path)).map(Vec::as_slice).unwrap_or_default();
    let all = Begun::of(plan, 0..plan.steps.len());
    let back = at(Sign::From, "turn back", turn_back_at(plan, &all), "once all the work has begun".to_owned());
    let whole = less_budgets(plan, vec![back], longest, own.finish_by);
    let forward = less_budgets(plan, forward(plan), longest, own.finish_by);
    gates.chain([whole, forward]).find(|sum| sum.len() > 1)
}

/// `must serve by − reserve − reopen`: by then all the work has to be done where there is a point of no return.
fn forward(plan: &Plan) -> Vec<Line> {
    let all = Begun::of(plan, 0..plan.steps.len());
    let no_return = "all the work has to fit before a point of no return starts";
    vec![
        at(Sign::From, "must serve by", plan.deadline.must_serve_by, no_return.to_owned()),
        span(Sign::Minus, "reserve", plan.reserve, "time that nobody may plan with".to_owned()),
        span(Sign::Minus, "reopen", need(plan, &all).reopen, waves(plan, &all)),
    ]
}

/// The sum less the budgets on the way; only the result when that is another one.
fn less_budgets(plan: &Plan, mut sum: Vec<Line>, path: &[StepIndex], result: Timestamp) -> Vec<Line> {
    let budgets = path.iter().filter_map(|&step| plan.steps.get(step));
    sum.extend(budgets.map(|step| span(Sign::Minus, &step.name, step.budget, "its budget".to_owned())));
    sum.push(at(Sign::Is, "finish by", result, String::new()));
    coming_out(sum)
}

fn length(plan: &Plan, path: &[StepIndex]) -> Span {
    path.iter().filter_map(|&step| plan.steps.get(step)).map(|step| step.budget).sum()
}
