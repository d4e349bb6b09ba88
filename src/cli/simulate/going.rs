//! How one thing goes, in the words of a scenario's file: `takes`, `hangs`, `fails`, `stops`, `red`.
//!
//! In: the fields of a step, an undo, the verification or a service. Out: a [`Going`], and what chances are written. Invariant: a
//! probability lies between 0% and 100%, and an attempt that there is not is refused. Not here: whose it is ([`super::words`]).

use serde_json::Value;

use super::fields::Fields;
use crate::api::structure::field_path;
use crate::model::span::Span;
use crate::sim::{Going, Length, Often};

/// Spans that a distribution may be measured from.
const MEASURED_MAX: usize = 10_000;

/// What may be said of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// A Job: it can be stopped too.
    Job {
        /// How often it is tried.
        attempts: u32,
    },
    /// Anything else that ends, fails or hangs.
    Other,
    /// A service that answers, or does not.
    Answer,
}

/// Reads how it goes into `going`; where nothing is said it stays as it is.
pub(super) fn read(fields: &mut Fields<'_>, path: &str, manner: Manner, going: Option<&mut Going>) {
    let known: &[&str] = match manner {
        Manner::Job { .. } => &["takes", "hangs", "fails", "stops"],
        Manner::Other => &["takes", "hangs", "fails"],
        Manner::Answer => &["takes", "red"],
    };
    let (Some(_), Some(going)) = (fields.object(path, known), going) else { return };
    let attempts = if let Manner::Job { attempts } = manner { attempts } else { 1 };
    let at = |name: &str| field_path(path, name);
    going.takes = length(fields, &at("takes")).unwrap_or_else(|| going.takes.clone());
    if manner == Manner::Answer {
        going.hangs = often(fields, &at("red"), attempts).unwrap_or_default();
        return;
    }
    going.hangs = often(fields, &at("hangs"), attempts).unwrap_or_default();
    fails(fields, &at("fails"), attempts, going);
    if let Manner::Job { .. } = manner {
        going.stops = length(fields, &at("stops")).unwrap_or_else(|| going.stops.clone());
    }
}

/// `true`, `5%`, `[1]`, or one of them with the moment: `{often: 5%, after: 10m}`.
fn fails(fields: &mut Fields<'_>, path: &str, attempts: u32, going: &mut Going) {
    if !fields.value(path).is_some_and(Value::is_object) {
        going.fails = often(fields, path, attempts).unwrap_or_default();
        return;
    }
    fields.object(path, &["often", "after"]);
    going.fails = often(fields, &field_path(path, "often"), attempts).unwrap_or(Often::Always);
    going.fails_after = fields.required(&field_path(path, "after"), length);
}

/// `true`, `false`, `5%`, or attempts: `[1, 2]`.
pub(super) fn often(fields: &mut Fields<'_>, path: &str, attempts: u32) -> Option<Often> {
    match fields.value(path)? {
        Value::Bool(true) => Some(Often::Always),
        Value::Bool(false) => Some(Often::Never),
        Value::String(text) => chance(fields, path, text),
        Value::Array(items) => {
            let numbers: Vec<Option<u32>> = items.iter().map(|item| u32::try_from(item.as_u64()?).ok()).collect();
            for (index, number) in numbers.iter().enumerate() {
                if number.is_none_or(|number| number == 0 || number > attempts) {
                    let there_are = if attempts == 1 {
                        "there is one attempt, 1".to_owned()
                    } else {
                        format!("attempts are 1 to {attempts}")
                    };
                    fields.wrong(&format!("{path}[{index}]"), &format!("is not the number of an attempt: {there_are}"));
                }
            }
            Some(Often::Attempts(numbers.into_iter().flatten().collect()))
        }
        Value::Number(_) | Value::Object(_) | Value::Null => {
            fields.wrong(path, "write true, a chance such as 5%, or the numbers of attempts such as [1]");
            None
        }
    }
}

fn chance(fields: &mut Fields<'_>, path: &str, text: &str) -> Option<Often> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let chance = percent.filter(|percent| (0.0..=100.0).contains(percent));
    if chance.is_none() {
        fields.wrong(path, &format!("{text:?} is no chance: write one from 0% to 100%, such as 5%"));
    }
    chance.map(|percent| Often::Chance(percent / 100.0))
}

/// `30m`, `{from: 20m, likely: 30m, to: 90m}`, `{p50: 30m, p95: 80m}` or `{measured: [31m, 28m]}`.
fn length(fields: &mut Fields<'_>, path: &str) -> Option<Length> {
    if !fields.value(path)?.is_object() {
        return fields.span(path).map(Length::Fixed);
    }
    let written = fields.object(path, &["from", "likely", "to", "p50", "p95", "measured"])?;
    let has = |names: &[&str]| names.iter().any(|name| written.contains_key(*name));
    let forms = [has(&["from", "likely", "to"]), has(&["p50", "p95"]), has(&["measured"])];
    let at = |name: &str| field_path(path, name);
    let made = match forms {
        [true, false, false] => {
            let [from, likely, to] = ["from", "likely", "to"].map(|name| fields.required(&at(name), Fields::span));
            Length::triangular(from?, likely?, to?)
        }
        [false, true, false] => {
            let [p50, p95] = ["p50", "p95"].map(|name| fields.required(&at(name), Fields::span));
            Length::log_normal(p50?, p95?)
        }
        [false, false, true] => Length::measured(measured(fields, &at("measured"))?),
        _ => {
            let forms = "{from: 20m, likely: 30m, to: 90m}, {p50: 30m, p95: 80m} or {measured: [31m, 28m]}";
            fields.wrong(path, &format!("exactly one way to say how long is expected: {forms}"));
            return None;
        }
    };
    match made {
        Ok(length) => Some(length),
        Err(problem) => {
            fields.wrong(path, &problem.to_string());
            None
        }
    }
}

fn measured(fields: &mut Fields<'_>, path: &str) -> Option<Vec<Span>> {
    let count = fields.list(path)?;
    if count > MEASURED_MAX {
        fields.wrong(path, &format!("has {count} spans: at most {MEASURED_MAX} are read"));
        return None;
    }
    let spans: Vec<Option<Span>> = (0..count).map(|index| fields.span(&format!("{path}[{index}]"))).collect();
    spans.into_iter().collect()
}
