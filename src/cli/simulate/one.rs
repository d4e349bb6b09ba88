//! One night told: line by line what happens and why, then who was open when.
//!
//! In: the subject, the night's number. Out: text or JSON, and whether the night ended in time. Invariant: every line is an entry of the
//! journal that the engine wrote. Not here: many nights ([`super::many`]).

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::supposed::{defaults, drawn};
use super::{Format, Subject, moment};
use crate::cli::demo::night::timeline;
use crate::cli::demo::story::{Paint, head, line};
use crate::engine::words::clock;
use crate::engine::{Entry, Event, State};
use crate::model::need::turn_back_at;
use crate::model::plan::Plan;
use crate::model::span::Span;
use crate::operator::report::service_words;
use crate::sim::nights::{Opened, is_in_time, one, opened};
use crate::sim::{Played, World};

/// When a service was closed and open.
struct Doors {
    name: String,
    state: &'static str,
    why: Option<String>,
    closed_at: Option<Timestamp>,
    open_at: Option<Timestamp>,
    must_serve_by: Timestamp,
}

impl Doors {
    /// How much earlier than promised; none for one that was too late, or is closed.
    fn spare(&self) -> Option<Span> {
        self.open_at.filter(|at| *at <= self.must_serve_by).map(|at| Span::between(at, self.must_serve_by))
    }
}

/// How a night turned: what happened, when, and how long before the last moment to go back.
struct Turn {
    what: &'static str,
    at: Timestamp,
    slack: Span,
}

/// Plays the night and tells it.
pub(super) fn told(subject: &Subject, night: u64, output: Format) -> (String, bool) {
    let (world, played) = one(&subject.plan, &subject.written.scenario, subject.seed, night);
    let is_good = is_in_time(&played.state);
    match output {
        Format::Text => (text(subject, night, &world, &played), is_good),
        Format::Json => (format!("{}\n", object(subject, night, &world, &played)), is_good),
    }
}

fn outcome(state: &State) -> String {
    state.outcome.map_or_else(|| "NeedsHuman".to_owned(), |outcome| outcome.to_string())
}

fn open_at(plan: &Plan, state: &State) -> Option<Timestamp> {
    match opened(plan, state)? {
        Opened::At(at) => Some(at),
        Opened::Never => None,
    }
}

fn doors(plan: &Plan, played: &Played) -> Vec<Doors> {
    let door = |(index, (planned, service))| {
        let closing = plan.steps.iter().find(|step| step.closes().contains(&index)).map(|step| step.name.as_str());
        let closed = |entry: &&Entry| matches!(&entry.event, Event::StepIntended { step, .. } if Some(step.as_str()) == closing);
        let (state, open_at, why) = service_words(plan, planned, service);
        Doors {
            name: planned.id.to_string(),
            state,
            why,
            closed_at: played.journal.iter().find(closed).map(|entry| entry.at),
            open_at,
            must_serve_by: planned.deadline.as_ref().map_or(plan.deadline.must_serve_by, |own| own.must_serve_by),
        }
    };
    plan.services.iter().zip(&played.state.services).enumerate().map(door).collect()
}

fn turn(plan: &Plan, journal: &[Entry]) -> Option<Turn> {
    let mut state = State::fold(plan, &[]);
    for entry in journal {
        let (back, done) = (matches!(entry.event, Event::GoingBack { .. }), matches!(entry.event, Event::Committed {}));
        if !back && !done {
            state.apply(plan, entry);
            continue;
        }
        let what = if back { "turned back" } else { "finished its work" };
        let slack = Span::between(entry.at, turn_back_at(plan, &state.begun(plan)));
        return Some(Turn { what, at: entry.at, slack });
    }
    None
}

fn text(subject: &Subject, night: u64, world: &World, played: &Played) -> String {
    let (plan, paint) = (&subject.plan, Paint { colour: false });
    let mut text = head(plan, paint);
    let _ = writeln!(text, "  scenario      {}", titled(subject));
    for (index, default) in defaults(subject).iter().enumerate() {
        let _ = writeln!(text, "  {:<13} {default}", if index == 0 { "not said" } else { "" });
    }
    let drawn = drawn(subject, world);
    if !drawn.is_empty() {
        let _ = writeln!(text, "  drawn         night {night} of seed {}: {}", subject.seed, drawn.join(", "));
    }
    text.push('\n');
    for entry in timeline(plan, &played.journal) {
        text.push_str(&line(plan, &entry, paint));
    }
    text.push('\n');
    text.push_str(&table(plan, &doors(plan, played)));
    text.push('\n');
    text.push_str(&verdict(plan, played));
    text
}

/// Its name, and what it is about.
pub(super) fn titled(subject: &Subject) -> String {
    let (name, description) = (&subject.written.name, &subject.written.description);
    if description.is_empty() { name.clone() } else { format!("{name}: {description}") }
}

fn table(plan: &Plan, doors: &[Doors]) -> String {
    let width = doors.iter().map(|door| door.name.len()).max().unwrap_or_default().max("service".len());
    let at = |moment: Option<Timestamp>| moment.map_or_else(|| "-".to_owned(), |at| clock(plan, at));
    let mut text =
        format!("  {:<width$}  {:>8}  {:>8}  {:>13}  {:>7}  state\n", "service", "closed", "open", "must serve by", "spare");
    for door in doors {
        let spare = door.spare().map_or_else(|| "-".to_owned(), |spare| spare.to_string());
        let by = clock(plan, door.must_serve_by);
        let why = door.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let (closed, open) = (at(door.closed_at), at(door.open_at));
        let _ = writeln!(text, "  {:<width$}  {closed:>8}  {open:>8}  {by:>13}  {spare:>7}  {}{why}", door.name, door.state);
    }
    text
}

fn verdict(plan: &Plan, played: &Played) -> String {
    let by = plan.deadline.must_serve_by;
    let open = match open_at(plan, &played.state) {
        None if opened(plan, &played.state).is_none() => "nothing was closed".to_owned(),
        None => "not everything is open".to_owned(),
        Some(at) if at <= by => {
            format!("open {}, {} before must serve by {}", clock(plan, at), Span::between(at, by), clock(plan, by))
        }
        Some(at) => format!("open {}, {} after must serve by {}", clock(plan, at), Span::between(by, at), clock(plan, by)),
    };
    let turn = turn(plan, &played.journal)
        .map(|turn| format!("; {} {}, with {} of slack", turn.what, clock(plan, turn.at), turn.slack))
        .unwrap_or_default();
    let person = if played.state.needs_human() { "; a person is needed" } else { "" };
    format!("  {}: {open}{turn}{person}\n", outcome(&played.state))
}

fn object(subject: &Subject, night: u64, world: &World, played: &Played) -> Value {
    let plan = &subject.plan;
    let show = |at: Timestamp| moment(plan, at);
    let services = doors(plan, played).into_iter().map(|door| {
        let mut service = json!({"name": door.name, "state": door.state, "mustServeBy": show(door.must_serve_by)});
        put(&mut service, "closedAt", door.closed_at.map(show));
        put(&mut service, "openAt", door.open_at.map(show));
        put(&mut service, "spare", door.spare().map(String::from));
        put(&mut service, "why", door.why);
        service
    });
    let lines = timeline(plan, &played.journal).into_iter().map(|line| {
        let mut entry = json!({"at": show(line.at), "phase": line.phase.as_str(), "what": line.what, "why": line.why});
        put(&mut entry, "step", line.step);
        entry
    });
    let mut report = json!({
        "intervention": subject.intervention, "accepted": true, "timeZone": plan.time_zone,
        "scenario": subject.written.name, "seed": subject.seed, "night": night,
        "notSaid": defaults(subject), "drawn": drawn(subject, world),
        "outcome": outcome(&played.state), "inTime": is_in_time(&played.state), "needsHuman": played.state.needs_human(),
        "mustServeBy": show(plan.deadline.must_serve_by),
        "services": services.collect::<Vec<_>>(), "timeline": lines.collect::<Vec<_>>(),
    });
    put(&mut report, "openAt", open_at(plan, &played.state).map(show));
    if let Some(turn) = turn(plan, &played.journal) {
        put(&mut report, "turnedAt", Some(show(turn.at)));
        put(&mut report, "slack", Some(String::from(turn.slack)));
    }
    report
}

fn put(object: &mut Value, field: &str, value: Option<String>) {
    if let (Some(value), Some(fields)) = (value, object.as_object_mut()) {
        fields.insert(field.to_owned(), Value::String(value));
    }
}
