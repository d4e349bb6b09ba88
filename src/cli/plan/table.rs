//! A night's plan as people read it.
//!
//! In: the verdict. Out: text with the timeline, the sums and what they are made of. Not here: refusals' lines (printed beside it).

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::assemble::Assembled;
use super::report::{could_be, latest_reopening};
use crate::engine::words::clock;
use crate::model::need::{Begun, need};
use crate::model::plan::{Because, Plan, PlannedStep, PlannedUndo};
use crate::model::runbook::Mode;
use crate::model::service::WhenDirty;
use crate::model::span::Span;

/// The whole text.
pub(super) fn table(assembled: &Assembled) -> String {
    let verdict = &assembled.verdict;
    let word = if verdict.refusals.is_empty() { "accepted" } else { "refused" };
    let mut text = format!("{}: {word}\n", assembled.intervention);
    if let Some(plan) = &verdict.timeline {
        moments(&mut text, plan);
        steps(&mut text, plan);
        sums(&mut text, plan);
        services(&mut text, plan);
    }
    for warning in &verdict.warnings {
        let _ = writeln!(text, "warning: {}: {}", warning.path, warning.message);
    }
    text
}

fn day(plan: &Plan, at: Timestamp) -> String {
    let zone = TimeZone::get(&plan.time_zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%a %d %b %Y %:z").to_string()
}

fn moments(text: &mut String, plan: &Plan) {
    let why = match &plan.deadline.because {
        Because::Opens { at, margin } => format!("opens {}, margin {margin}", clock(plan, *at)),
        Because::Tolerates { from, closed_for } => {
            format!("is open and bears {closed_for} from the closing at {}", clock(plan, *from))
        }
    };
    let deadline = &plan.deadline;
    let bound = format!("{}: site {} (calendar {}) {why}", deadline.service, deadline.site, deadline.calendar);
    let rows = [
        ("start", Some(plan.start_at), format!("{} ({})", day(plan, plan.start_at), plan.time_zone)),
        ("planned open", Some(plan.planned_open_at), String::new()),
        ("tell people by", plan.tell_people_by, String::new()),
        ("reopen by", Some(latest_reopening(plan)), "from here on undoing delays nobody else".to_owned()),
        ("must serve by", Some(deadline.must_serve_by), bound),
    ];
    let _ = writeln!(text, "  {:<15} {}", "mode", mode(plan.mode));
    let _ = writeln!(text, "  {:<15} {}, its sentinel as {}", "runs as", plan.service_account, plan.sentinel_service_account);
    for (name, at, note) in rows {
        if let Some(at) = at {
            let line = format!("  {name:<15} {}  {note}", clock(plan, at));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text.push('\n');
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Run => "Run",
        Mode::Rehearse => "Rehearse: tried as soon as it is created, whatever its start; nothing is closed, nothing is changed",
    }
}

fn undo_of(plan: &Plan, step: &PlannedStep) -> String {
    match &step.undo {
        PlannedUndo::Reopening => "reopening".to_owned(),
        PlannedUndo::Nothing => "-".to_owned(),
        PlannedUndo::Job { budget, .. } | PlannedUndo::Restore { budget } => budget.to_string(),
        PlannedUndo::Irreversible => "no return".to_owned(),
        PlannedUndo::CoveredBy { step } => format!("in {}", plan.steps.get(*step).map_or("", |step| step.name.as_str())),
    }
}

fn steps(text: &mut String, plan: &Plan) {
    let width = plan.steps.iter().map(|step| step.name.len()).max().unwrap_or(0).max(4);
    let undo_width = plan.steps.iter().map(|step| undo_of(plan, step).len()).max().unwrap_or(0).max(4);
    let _ = writeln!(
        text,
        "  {:<width$}  {:>6}  {:>6}  {:>7}  {:<undo_width$}  {:>9}  {:>9}",
        "step", "start", "end", "budget", "undo", "turn back", "finish by"
    );
    for step in &plan.steps {
        let _ = writeln!(
            text,
            "  {:<width$}  {:>6}  {:>6}  {:>7}  {:<undo_width$}  {:>9}  {:>9}",
            step.name,
            clock(plan, step.start_at),
            clock(plan, step.end_at),
            step.budget.to_string(),
            undo_of(plan, step),
            clock(plan, step.turn_back_at),
            clock(plan, step.finish_by)
        );
    }
    text.push('\n');
}

/// One line for each different sum, from the step on at whose start it holds.
fn sums(text: &mut String, plan: &Plan) {
    let mut begun = Begun::default();
    let mut last = None;
    for (index, step) in plan.steps.iter().enumerate() {
        begun = begun.with(plan, index);
        let need = need(plan, &begun);
        if last == Some(need) {
            continue;
        }
        last = Some(need);
        let _ = writeln!(
            text,
            "  from {} on: {} = must serve by {} - (undo {} + smoke {} + reopen {} + reserve {} = {})",
            step.name,
            clock(plan, step.turn_back_at),
            clock(plan, plan.deadline.must_serve_by),
            need.undo,
            need.smoke,
            need.reopen,
            need.reserve,
            need.total()
        );
    }
    let (open_at, must_serve_by) = (plan.planned_open_at, plan.deadline.must_serve_by);
    let _ = if open_at > must_serve_by {
        writeln!(text, "  slack at the planned end: none, {} too late", Span::between(must_serve_by, open_at))
    } else {
        writeln!(text, "  slack at the planned end: {}", Span::between(open_at, must_serve_by))
    };
    text.push('\n');
}

fn services(text: &mut String, plan: &Plan) {
    let width = plan.services.iter().map(|service| service.id.to_string().len()).max().unwrap_or(0).max(7);
    let _ = writeln!(text, "  {:<width$}  {:>6}  {:>13}  half-done work through: then", "service", "closed", "must serve by");
    for service in &plan.services {
        let closed = service.close_at.map_or_else(|| "-".to_owned(), |at| clock(plan, at));
        let deadline = service.deadline.as_ref().map_or_else(|| "-".to_owned(), |deadline| clock(plan, deadline.must_serve_by));
        let steps = service.could_stay_closed_by.iter().filter_map(|&step| plan.steps.get(step));
        let through = steps.map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
        let then = could_be(service).map(|then| format!(": {}", then_of(then))).unwrap_or_default();
        let line = format!("  {:<width$}  {closed:>6}  {deadline:>13}  {through}{then}", service.id.to_string());
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn then_of(when_dirty: &WhenDirty) -> String {
    match when_dirty {
        WhenDirty::StayClosed => "stays closed".to_owned(),
        WhenDirty::OpenDegraded { actions } => {
            format!("opens with {}", actions.iter().map(|action| action.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        WhenDirty::Open { reason } => format!("opens: {reason}"),
    }
}
