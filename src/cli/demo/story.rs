//! The played night as a person reads it at a glance.
//!
//! In: a [`Night`]. Out: text: the timeline that the operator wrote, what somebody outside saw, and the comparison with the night as it
//! happened. Invariant: colour only where a terminal is. Not here: what happened; this only tells it.

use std::fmt::Write;

use jiff::Timestamp;

use super::night::{Line, Night};
use super::prober::Seen;
use crate::engine::words::clock;
use crate::model::phase::Phase;
use crate::model::plan::Plan;
use crate::model::span::Span;

/// Columns of when a service was closed and open: `closed 01:56, open 05:25 ( 3h29m)`.
const SPAN_COLUMNS: usize = 33;

/// How lines are painted.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Paint {
    /// Whether a terminal reads it.
    pub colour: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Text in the colour of a phase.
    pub(super) fn phase_of(self, phase: Phase, text: &str) -> String {
        let code = match phase {
            Phase::Pending | Phase::Armed => "2",
            Phase::Working => "36",
            Phase::TurningBack => "33",
            Phase::Reopening | Phase::Verifying => "34",
            Phase::Finished => "32",
        };
        self.with(code, text)
    }

    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// The line above the timeline.
pub(in crate::cli) fn head(plan: &Plan, paint: Paint) -> String {
    let title = format!("{}/{}", plan.namespace, plan.name);
    format!(
        "{}  must serve by {}, people told by {}, planned open {}\n\n",
        paint.strong(&title),
        paint.strong(&clock(plan, plan.deadline.must_serve_by)),
        plan.tell_people_by.map_or_else(|| "-".to_owned(), |at| clock(plan, at)),
        clock(plan, plan.planned_open_at)
    )
}

/// One line of the timeline.
pub(in crate::cli) fn line(plan: &Plan, line: &Line, paint: Paint) -> String {
    format!("  {:<8}  {}  {}\n", clock(plan, line.at), paint.phase_of(line.phase, &format!("{:<11}", line.phase)), line.why)
}

/// What somebody outside saw, and the comparison.
pub(super) fn tail(night: &Night, paint: Paint) -> String {
    let mut text = String::from("\n  seen from outside, asking once a minute\n");
    let width = night.seen.keys().map(String::len).max().unwrap_or_default();
    for (name, seen) in &night.seen {
        let _ = writeln!(text, "  {name:<width$}  {}  {}", span_of(night, name, *seen, paint), night.state_of(name));
    }
    text.push('\n');
    text.push_str(&comparison(night, paint));
    text
}

fn span_of(night: &Night, name: &str, seen: Seen, paint: Paint) -> String {
    let at = |moment: Timestamp| clock(&night.plan, moment);
    let in_part = night.works_in_part(name);
    let (closed, then, took) = match (seen.closed_at, seen.open_at) {
        (None, _) => return format!("{:<SPAN_COLUMNS$}", "never closed"),
        (Some(closed), Some(open)) if in_part => (at(closed), format!("in part {}", at(open)), String::new()),
        (Some(closed), None) if in_part => (at(closed), "then in part".to_owned(), String::new()),
        (Some(closed), Some(open)) => {
            (at(closed), format!("open {}", at(open)), format!(" ({:>6})", Span::between(closed, open).to_string()))
        }
        (Some(closed), None) => (at(closed), "not open again".to_owned(), String::new()),
    };
    let width = SPAN_COLUMNS.saturating_sub(format!("closed {closed}, {then}{took}").chars().count());
    let painted = if in_part || seen.open_at.is_none() { paint.bad(&then) } else { paint.good(&then) };
    format!("closed {closed}, {painted}{took}{:width$}", "")
}

fn comparison(night: &Night, paint: Paint) -> String {
    let plan = &night.plan;
    let deadline = clock(plan, plan.deadline.must_serve_by);
    let opened = night.open_at().map_or_else(|| "not everything opened".to_owned(), |at| format!("open {}", clock(plan, at)));
    let verdict = if night.kept_the_promise() {
        paint.good(&format!("every service was open at {deadline}"))
    } else {
        let in_part = |name: &str| night.works_in_part(name);
        let not_whole = night.seen.iter().filter(|(name, seen)| in_part(name) || !seen.was_open_at(plan.deadline.must_serve_by));
        let (in_part, closed): (Vec<&str>, Vec<&str>) = not_whole.map(|(name, _)| name.as_str()).partition(|name| in_part(name));
        let told = [("these were closed", closed), ("these worked only in part", in_part)].into_iter();
        let told = told.filter(|(_, names)| !names.is_empty()).map(|(what, names)| format!("{what}: {}", names.join(", ")));
        paint.bad(&format!("at {deadline} {}", told.collect::<Vec<_>>().join("; ")))
    };
    let happened = "as it happened, 2023  12 hours closed, open 14:00, about 20,000 operations not done";
    format!("  {happened}\n  guarded by notturno   {}: {}; {verdict}\n", night.outcome(), paint.strong(&opened))
}
