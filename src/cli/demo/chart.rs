//! The night as bars over the hours: what a person sees first.
//!
//! In: plan and entries of the ledger. Out: one row for each step, undo and verification, and for the reopening, with must-serve-by as a
//! line through all of them. Invariant: drawn from recorded moments only. Not here: words for why.

use std::fmt::Write;

use jiff::Timestamp;

use super::story::Paint;
use crate::engine::words::clock;
use crate::engine::{Entry, Event};
use crate::model::phase::Phase;
use crate::model::plan::Plan;
use crate::model::span::{Span, after};

/// Columns of the hours.
const WIDTH: usize = 72;

/// How a row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good,
    Bad,
    Open,
}

struct Row {
    name: String,
    phase: Phase,
    from: Timestamp,
    until: Timestamp,
    end: End,
}

/// The whole chart.
pub(super) fn chart(plan: &Plan, entries: &[Entry], paint: Paint) -> String {
    let rows = rows(plan, entries);
    let deadline = plan.deadline.must_serve_by;
    let last = rows.iter().map(|row| row.until).max().unwrap_or(deadline).max(after(deadline, Span::minutes(15)));
    let scale = Scale { from: plan.start_at, span: Span::between(plan.start_at, last).get().as_millis().max(1) };
    let label = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let mut text = format!("  {:label$}  {}\n", "", hours(plan, &scale));
    for row in &rows {
        let bar = bar(row, &scale, scale.column(deadline));
        let marks: String = bar.iter().collect();
        let _ = writeln!(text, "  {:<label$}  {}", row.name, paint.phase_of(row.phase, marks.trim_end()));
    }
    text
}

struct Scale {
    from: Timestamp,
    span: i128,
}

impl Scale {
    fn column(&self, at: Timestamp) -> usize {
        let since = Span::between(self.from, at).get().as_millis();
        let column = since.saturating_mul(i128::try_from(WIDTH).unwrap_or_default()) / self.span;
        usize::try_from(column).unwrap_or(WIDTH).min(WIDTH)
    }
}

/// Full hours where they fit, and must-serve-by, which always does.
fn hours(plan: &Plan, scale: &Scale) -> String {
    let mut line = vec![' '; WIDTH + 6];
    let deadline = plan.deadline.must_serve_by;
    let mut put = |at: Timestamp| {
        let column = scale.column(at);
        let label: Vec<char> = clock(plan, at).chars().take(5).collect();
        let place = line.get_mut(column.saturating_sub(1)..column + label.len() + 1);
        if let Some(place) = place.filter(|place| place.iter().all(|c| *c == ' ')) {
            let skip = usize::from(column > 0);
            place.iter_mut().skip(skip).zip(label).for_each(|(to, from)| *to = from);
        }
    };
    put(deadline);
    put(plan.start_at);
    (1..48_u32)
        .map(|half| after(plan.start_at, Span::minutes(half * 30)))
        .filter(|at| clock(plan, *at).ends_with(":00"))
        .for_each(put);
    line.into_iter().collect::<String>().trim_end().to_owned()
}

fn bar(row: &Row, scale: &Scale, deadline: usize) -> Vec<char> {
    let (from, until) = (scale.column(row.from), scale.column(row.until));
    let mut line = vec![' '; WIDTH + 2];
    for (column, place) in line.iter_mut().enumerate() {
        if column >= from && (column < until || column == from) {
            *place = '█';
        } else if column == deadline {
            *place = '│';
        }
    }
    let mark = match row.end {
        End::Good => None,
        End::Bad => Some('✗'),
        End::Open => Some('…'),
    };
    if let (Some(mark), Some(place)) = (mark, line.get_mut(until.max(from + 1))) {
        *place = mark;
    }
    line
}

fn rows(plan: &Plan, entries: &[Entry]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for entry in entries {
        let at = entry.at;
        let mut begin = |name: String, phase| rows.push(Row { name, phase, from: at, until: at, end: End::Open });
        match &entry.event {
            Event::StepIntended { step, .. } => begin(step.clone(), Phase::Working),
            Event::UndoReleased { step, attempt } => begin(undo(step, *attempt), Phase::TurningBack),
            Event::SmokeReleased {} => begin("smoke".to_owned(), Phase::TurningBack),
            Event::ReopeningBegun {} => begin("reopening".to_owned(), Phase::Reopening),
            Event::StepDone { step } => end(&mut rows, step, at, End::Good),
            Event::StepFailed { step, .. } | Event::StepStopped { step, .. } => end(&mut rows, step, at, End::Bad),
            Event::UndoDone { step, attempt } => end(&mut rows, &undo(step, *attempt), at, End::Good),
            Event::UndoFailed { step, attempt, .. } => end(&mut rows, &undo(step, *attempt), at, End::Bad),
            Event::SmokeDone {} => end(&mut rows, "smoke", at, End::Good),
            Event::SmokeFailed { .. } => end(&mut rows, "smoke", at, End::Bad),
            Event::Finished { .. } => end(&mut rows, "reopening", at, End::Good),
            Event::Accepted { .. }
            | Event::Armed {}
            | Event::WorkBegun {}
            | Event::Overrun { .. }
            | Event::Extended { .. }
            | Event::Confirmed { .. }
            | Event::Held { .. }
            | Event::Resumed { .. }
            | Event::ClosedAgain { .. }
            | Event::OrderRefused { .. }
            | Event::TakenOver { .. }
            | Event::GoingBack { .. }
            | Event::UndoOverrun { .. }
            | Event::Committed {}
            | Event::UndosExpired { .. }
            | Event::Opening { .. }
            | Event::Opened { .. }
            | Event::Degraded { .. }
            | Event::HeldClosed { .. }
            | Event::OpeningLate { .. }
            | Event::DeadlineMissed { .. } => {}
        }
    }
    let last = entries.iter().map(|entry| entry.at).max().unwrap_or(plan.start_at);
    rows.iter_mut().filter(|row| row.end == End::Open).for_each(|row| row.until = last);
    rows
}

fn undo(step: &str, attempt: u32) -> String {
    format!("undo {step} {attempt}")
}

fn end(rows: &mut [Row], name: &str, at: Timestamp, how: End) {
    if let Some(row) = rows.iter_mut().find(|row| row.name == name && row.end == End::Open) {
        (row.until, row.end) = (at, how);
    }
}
