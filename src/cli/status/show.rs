//! A [`View`] as text for people and as JSON for programs.
//!
//! In: the view. Out: text, one JSON object. Not here: anything computed.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::guard::Guard;
use super::view::{Source, Told, UnderWay, View};
use super::when;
use crate::api::status::{InterventionStatus, RefusalReport};

/// The whole text.
#[must_use]
pub fn text(view: &View) -> String {
    let status = &view.status;
    let phase = status.phase.map_or("not looked at yet", crate::model::phase::Phase::as_str);
    let outcome = status.outcome.map(|outcome| format!(", {outcome}")).unwrap_or_default();
    let human = if status.needs_human { ", a person is needed" } else { "" };
    let mut text = format!("{}  {phase}{outcome}{human}\n", view.night);
    text.extend(status.why.as_ref().map(|why| format!("  {why}\n")));
    text.extend(view.silent.iter().chain(&view.notes).map(|note| format!("  ! {note}\n")));
    text.push('\n');
    view.running.iter().for_each(|running| text.push_str(&under_way(view, running)));
    moments(view, &mut text);
    services(status, &mut text);
    steps(status, &mut text);
    status.refusals.iter().for_each(|refusal| text.push_str(&refused(refusal)));
    if !view.last.is_empty() {
        text.push_str("  last\n");
    }
    for told in &view.last {
        let _ = writeln!(text, "    {}  {}", when::hour(&told.at), line(told));
    }
    text
}

fn line(told: &Told) -> String {
    let step = told.step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
    format!("{}{step}: {}", told.what, told.why)
}

fn away(view: &View, at: &str) -> String {
    at.parse::<Timestamp>().map(|at| when::away(view.now, at)).unwrap_or_default()
}

fn under_way(view: &View, running: &UnderWay) -> String {
    let cap = running.hard_cap_at.as_ref().map(|at| format!(", hard cap {} ({})", when::hour(at), away(view, at)));
    let asks = running.asks.as_ref().map(|asks| format!("    asks: {asks}\n")).unwrap_or_default();
    format!(
        "  {} since {}; budget until {} ({}){}\n{asks}",
        running.name,
        when::hour(&running.since),
        when::hour(&running.budget_until),
        away(view, &running.budget_until),
        cap.unwrap_or_default()
    )
}

fn moments(view: &View, text: &mut String) {
    let status = &view.status;
    let bound = status.bound_by.as_ref().map(|by| format!("bound by {} at {} (calendar {})", by.service, by.site, by.calendar));
    let slack = status.slack.as_ref().map(|slack| format!("slack {slack}"));
    let over = status.outcome.is_some();
    let rows = [
        ("start", status.start_at.as_ref(), None),
        ("turn back by", status.turn_back_at.as_ref(), slack),
        ("reopen by", status.reopen_by.as_ref(), None),
        ("tell people by", status.tell_people_by.as_ref(), None),
        ("must serve by", status.must_serve_by.as_ref(), bound),
        ("planned open", status.planned_open.as_ref(), None),
        ("next", status.wake_at.as_ref().filter(|_| !over), view.next.clone()),
    ];
    for (name, at, note) in rows {
        if let Some(at) = at {
            let row = format!("  {name:<14}  {}  {:<10}  {}", when::written(at), away(view, at), note.unwrap_or_default());
            let _ = writeln!(text, "{}", row.trim_end());
        }
    }
    view.guard.iter().for_each(|guard| guarded(view, guard, text));
    text.push('\n');
}

fn guarded(view: &View, guard: &Guard, text: &mut String) {
    let armed = if guard.armed { "armed" } else { "not armed" };
    let place = guard.deployment.as_ref().filter(|_| guard.armed).map(|place| format!(" {place}")).unwrap_or_default();
    let nodes = if guard.nodes.is_empty() { String::new() } else { format!(", on {}", guard.nodes.join(", ")) };
    let _ = writeln!(text, "  {:<14}  {armed}{place}: {}{nodes}", "switch", guard.says);
    if let (Some(at), Some(what), true) = (&guard.acts_at, &guard.acts_for, guard.armed) {
        let _ = writeln!(
            text,
            "  {:<14}  {}  {:<10}  if nobody records before: {what}",
            "it acts",
            when::written(at),
            away(view, at)
        );
    }
}

fn services(status: &InterventionStatus, text: &mut String) {
    let width = status.services.iter().map(|one| one.name.len()).max().unwrap_or(0).max(7);
    let states = status.services.iter().map(|one| one.state.len()).max().unwrap_or(0).max(5);
    if !status.services.is_empty() {
        let _ = writeln!(text, "  {:<width$}  {:<states$}  closed  open", "service", "state");
    }
    for one in &status.services {
        let moment = |at: &Option<String>| at.as_deref().map_or("-", when::hour).to_owned();
        let because = one.because.clone().unwrap_or_default();
        let row = format!(
            "  {:<width$}  {:<states$}  {:<6}  {:<5}  {because}",
            one.name,
            one.state,
            moment(&one.closed_at),
            moment(&one.open_at)
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    if !status.services.is_empty() {
        text.push('\n');
    }
}

fn steps(status: &InterventionStatus, text: &mut String) {
    let width = status.steps.iter().map(|one| one.name.len()).max().unwrap_or(0).max(4);
    let states = status.steps.iter().map(|one| one.state.len()).max().unwrap_or(0).max(5);
    if !status.steps.is_empty() {
        let _ = writeln!(text, "  {:<width$}  {:<states$}  began  ended", "step", "state");
    }
    for one in &status.steps {
        let moment = |at: &Option<String>| at.as_deref().map_or("-", when::hour).to_owned();
        let row =
            format!("  {:<width$}  {:<states$}  {:<5}  {}", one.name, one.state, moment(&one.started_at), moment(&one.ended_at));
        let _ = writeln!(text, "{}", row.trim_end());
    }
    if !status.steps.is_empty() {
        text.push('\n');
    }
}

/// One refusal with its sum.
#[must_use]
pub fn refused(refusal: &RefusalReport) -> String {
    let place = [&refusal.object, &refusal.path].into_iter().flatten().map(|part| format!(" {part}")).collect::<String>();
    let mut text = format!("  {}:{place}: {}\n", refusal.reason, refusal.message);
    for term in &refusal.sum {
        let value = term.at.as_deref().map(when::written).or_else(|| term.span.clone()).unwrap_or_default();
        let _ = writeln!(text, "    {:<12}  {value}", term.term);
    }
    text
}

fn guard(guard: &Guard) -> Value {
    let Guard { armed, deployment, says, nodes, acts_at, acts_for } = guard;
    json!({"armed": armed, "deployment": deployment, "says": says, "nodes": nodes, "actsAt": acts_at, "actsFor": acts_for})
}

/// The report as on the Intervention, with what this command adds.
#[must_use]
pub fn json(view: &View) -> Value {
    let source = match view.source {
        Source::Ledger => "ledger",
        Source::Report => "report",
    };
    let running = view.running.iter().map(|one| {
        let UnderWay { name, since, budget_until, hard_cap_at, asks } = one;
        json!({"name": name, "since": since, "budgetUntil": budget_until, "hardCapAt": hard_cap_at, "asks": asks})
    });
    let last = view.last.iter().map(|told| json!({"at": told.at, "event": told.what, "step": told.step, "why": told.why}));
    let mut object = serde_json::to_value(&view.status).unwrap_or_else(|_| json!({}));
    for (name, value) in [
        ("night", json!(view.night)),
        ("now", json!(view.now)),
        ("source", json!(source)),
        ("running", running.collect()),
        ("next", json!(view.next)),
        ("guard", view.guard.as_ref().map_or(Value::Null, guard)),
        ("last", last.collect()),
        ("silent", json!(view.silent)),
        ("notes", json!(view.notes)),
        ("needsAttention", json!(view.needs_attention())),
    ] {
        if let Some(object) = object.as_object_mut() {
            object.insert(name.to_owned(), value);
        }
    }
    object
}
