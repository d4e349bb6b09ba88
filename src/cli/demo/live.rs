//! Watching the night as it goes: virtual time slowed down to a pace that eyes can follow.
//!
//! In: a speed. Out: new lines of the timeline as they are written, and one moving line: step, budget used, slack, turn-back moment.
//! Invariant: without a speed nothing is printed and nothing waits. Not here: what is told at the end.

use std::time::Duration;

use crate::clock::Clock;
use crate::embedded::Embedded;
use crate::engine::Entry;
use crate::engine::state::{State, Work};
use crate::engine::words::clock as clock_words;
use crate::model::need::turn_back_at;
use crate::model::plan::Plan;
use crate::model::span::Span;

use super::night::timeline;
use super::play::read_ledger;
use super::story::{self, Paint};
use crate::cli::say;

/// Keeps time with a person who watches.
pub(super) struct Pace {
    at_speed: Option<u32>,
    paint: Paint,
    told_count: usize,
    began: bool,
}

impl Pace {
    pub(super) fn new(at_speed: Option<u32>, paint: Paint) -> Self {
        Self { at_speed, paint, told_count: 0, began: false }
    }

    /// Virtual time between two looks.
    pub(super) fn step(&self) -> Span {
        match self.at_speed {
            None => Span::minutes(1),
            Some(speed) if speed > 600 => Span::minutes(1),
            Some(_) => Span::seconds(10),
        }
    }

    /// Tells what is new, then lets as much real time pass as the speed asks.
    pub(super) async fn keep(&mut self, embedded: &Embedded, clock: Clock) {
        let Some(speed) = self.at_speed else { return };
        if let Ok(Some(ledger)) = read_ledger(embedded).await {
            self.tell(&ledger.plan, &ledger.entries, clock);
        }
        let step = Duration::try_from(self.step().get()).unwrap_or_default();
        pause(step / speed);
    }

    fn tell(&mut self, plan: &Plan, entries: &[Entry], clock: Clock) {
        let mut text = String::from(if self.paint.colour { "\r\x1b[2K" } else { "" });
        if !std::mem::replace(&mut self.began, true) {
            text.push_str(&story::head(plan, self.paint));
        }
        let lines = timeline(plan, entries);
        lines.iter().skip(self.told_count).for_each(|line| text.push_str(&story::line(plan, line, self.paint)));
        self.told_count = lines.len();
        if self.paint.colour {
            text.push_str(&moving(plan, entries, clock));
        }
        say(&text);
    }
}

/// `03:12  aggiorna 1h12m of 1h30m, slack 1h43m, turn back by 04:55`.
fn moving(plan: &Plan, entries: &[Entry], clock: Clock) -> String {
    let (state, now) = (State::fold(plan, entries), clock.now());
    let turn_back = turn_back_at(plan, &state.begun(plan));
    let steps = plan.steps.iter().zip(&state.steps).filter_map(|(planned, step)| match step.work {
        Work::Running { since, .. } => Some(format!("{} {} of {}", planned.name, Span::between(since, now), planned.budget)),
        Work::Waiting | Work::Done { .. } | Work::Failed { .. } => None,
    });
    let steps: Vec<String> = steps.collect();
    let phase = state.phase(plan);
    let doing = if steps.is_empty() { phase.to_string() } else { steps.join(", ") };
    let slack = Span::between(now, turn_back);
    format!("  {}  {doing}, slack {slack}, turn back by {}", clock_words(plan, now), clock_words(plan, turn_back))
}

/// Real time, while virtual time stands still.
#[allow(clippy::disallowed_methods, reason = "a person watches: this is the one wait that is meant to be felt")]
fn pause(span: Duration) {
    std::thread::sleep(span);
}
