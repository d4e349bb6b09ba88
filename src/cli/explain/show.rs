//! Moments as text for people and as JSON for programs.
//!
//! In: [`Moment`]s, the plan in whose zone they are shown, now if it is known. Out: text, one JSON object. Not here: any arithmetic.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::moments::{Line, Moment, Move, PLANNED_END, Sign, Value};
use crate::cli::status::when;
use crate::engine::words::{clock, rfc3339};
use crate::model::plan::Plan;
use crate::model::span::Span;

impl Moment {
    /// `finish-by aggiorna`.
    #[must_use]
    pub fn title(&self) -> String {
        self.of.as_ref().map_or_else(|| self.name.to_owned(), |of| format!("{} {of}", self.name))
    }

    /// Whether people mean it by `asked`: its name, its step or service, both, or a time of day that it is or will be.
    #[must_use]
    pub fn is_meant(&self, plan: &Plan, asked: &str) -> bool {
        let times = self.at.into_iter().chain(self.start()).chain(self.moves.iter().map(|later| later.at));
        asked == self.name
            || self.of.as_deref() == Some(asked)
            || asked.replacen(':', " ", 1) == self.title()
            || times.into_iter().any(|at| clock(plan, at) == asked)
    }

    /// Where a step's own line begins, which falls on that time too.
    fn start(&self) -> Option<Timestamp> {
        match self.sum.first()?.value {
            Value::At(at) if self.name == PLANNED_END => Some(at),
            Value::At(_) | Value::For(_) => None,
        }
    }

    /// Whether a line of its sum stands at that time of day.
    #[must_use]
    pub fn counts_from(&self, plan: &Plan, asked: &str) -> bool {
        self.sum.iter().any(|line| match line.value {
            Value::At(at) => clock(plan, at) == asked,
            Value::For(_) => false,
        })
    }

    /// Its paragraph.
    #[must_use]
    pub fn text(&self, plan: &Plan, now: Option<Timestamp>) -> String {
        let at = self.at.map_or_else(|| "-".to_owned(), |at| when::moment(plan, at));
        let away = self.at.zip(now).map(|(at, now)| format!("  {}", when::away(now, at))).unwrap_or_default();
        let mut text = format!("{}  {at}{away}\n  {}\n", self.title(), self.because);
        let shown: Vec<(String, &Line)> = self.sum.iter().map(|line| (shown(plan, line), line)).collect();
        let width = shown.iter().map(|(value, _)| value.chars().count()).max().unwrap_or(0);
        let terms = self.sum.iter().map(|line| line.term.chars().count()).max().unwrap_or(0);
        for (value, line) in shown {
            let row = format!("    {} {value:<width$}  {:<terms$}  {}", sign(line.sign), line.term, line.why);
            let _ = writeln!(text, "{}", row.trim_end());
        }
        for later in &self.moves {
            let _ =
                writeln!(text, "  after {} starts it becomes {}: {}", later.after, clock(plan, later.at), change(&later.change));
        }
        text
    }

    /// As an object.
    #[must_use]
    pub fn json(&self, plan: &Plan, now: Option<Timestamp>) -> Json {
        let mut object = Map::from_iter([("name".to_owned(), json!(self.name))]);
        object.extend(self.of.as_ref().map(|of| ("of".to_owned(), json!(of))));
        object.extend(self.at.map(|at| ("at".to_owned(), json!(rfc3339(plan, at)))));
        let seconds = self.at.zip(now).map(|(at, now)| at.duration_since(now).as_secs());
        object.extend(seconds.map(|seconds| ("inSeconds".to_owned(), json!(seconds))));
        object.insert("because".to_owned(), json!(self.because));
        object.insert("sum".to_owned(), self.sum.iter().map(|line| line_json(plan, line)).collect());
        object.insert("moves".to_owned(), self.moves.iter().map(|later| move_json(plan, later)).collect());
        object.into()
    }
}

fn sign(sign: Sign) -> &'static str {
    match sign {
        Sign::From => " ",
        Sign::Plus => "+",
        Sign::Minus => "-",
        Sign::Is => "=",
    }
}

fn shown(plan: &Plan, line: &Line) -> String {
    match line.value {
        Value::At(at) => clock(plan, at),
        Value::For(span) => span.to_string(),
    }
}

/// `+ undo 1h`.
fn change(change: &[(Sign, &'static str, Span)]) -> String {
    change.iter().map(|(how, term, span)| format!("{} {term} {span}", sign(*how))).collect::<Vec<_>>().join(" ")
}

fn line_json(plan: &Plan, line: &Line) -> Json {
    let mut object = Map::from_iter([
        ("sign".to_owned(), json!(sign(line.sign).trim())),
        ("term".to_owned(), json!(line.term)),
        ("why".to_owned(), json!(line.why)),
    ]);
    match line.value {
        Value::At(at) => object.insert("at".to_owned(), json!(rfc3339(plan, at))),
        Value::For(span) => object.insert("for".to_owned(), json!(span)),
    };
    object.into()
}

fn move_json(plan: &Plan, later: &Move) -> Json {
    let change = later.change.iter().map(|(how, term, span)| json!({"sign": sign(*how), "term": term, "for": span}));
    json!({"after": later.after, "at": rfc3339(plan, later.at), "change": change.collect::<Vec<_>>()})
}
