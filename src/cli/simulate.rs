//! `notturno simulate FILE…`: one night as it would go, or what thousands of them come to, by day and on the engine alone.
//!
//! In: the files of a night, a scenario. Out: text or one JSON object on stdout; exit code 0 when the night ends in time (with `--nights`:
//! when none was late, or left half-way), 1 when it does not or the plan is refused, 2 unreadable or wrong usage. Invariants: never reads a
//! clock, a cluster or chance that is not the seed. Not here: what is played ([`crate::sim`]), the operator's own code (`notturno demo`).

mod fields;
mod going;
mod many;
mod one;
mod supposed;
mod words;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::plan::assemble::{self, Assembled};
use super::read::{Document, ReadProblem, load};
use super::{note, plan, say};
use crate::engine::words::rfc3339;
use crate::model::plan::Plan;
use crate::sim::nights::NIGHTS_MAX;
use words::Written;

/// Plays a night, or thousands of them, against an invented world: how long things take, what hangs, what fails.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Files with calendars, services, a runbook and one intervention; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// What to suppose: a file with one Scenario. Without it everything takes the budget that it declared.
    #[arg(long, value_name = "FILE")]
    scenario: Option<String>,
    /// Play so many nights and tell what they come to (1 to 1000000).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=NIGHTS_MAX))]
    nights: Option<u64>,
    /// What chance is drawn from: the same seed gives the same nights.
    #[arg(long, value_name = "K", default_value_t = 1)]
    seed: u64,
    /// Which of the seed's nights to tell, when one is told.
    #[arg(long, value_name = "I", default_value_t = 1, conflicts_with = "nights")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=NIGHTS_MAX))]
    night: u64,
    /// Which intervention, as `name` or `namespace/name`, when the files hold several.
    #[arg(long, value_name = "NAME")]
    intervention: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: one object.
    Json,
}

/// A night to play.
struct Subject {
    intervention: String,
    plan: Plan,
    written: Written,
    seed: u64,
}

/// Runs the verb.
#[must_use]
pub fn run(args: &SimulateArgs) -> ExitCode {
    match subject(args) {
        Err(problems) => plan::unreadable(is_json(args), &problems),
        Ok(Err(refused)) => plan::print(is_json(args), &refused),
        Ok(Ok(subject)) => {
            let (text, is_good) = match args.nights {
                Some(count) => many::told(&subject, count, args.output),
                None => one::told(&subject, args.night, args.output),
            };
            say(&text);
            ExitCode::from(u8::from(!is_good))
        }
    }
}

fn is_json(args: &SimulateArgs) -> bool {
    args.output == Format::Json
}

/// What the files say; the inner error is a plan that is refused.
fn subject(args: &SimulateArgs) -> Result<Result<Subject, Box<Assembled>>, Vec<ReadProblem>> {
    let loaded = load(&args.files);
    let supposed = args.scenario.as_ref().map(|file| load(std::slice::from_ref(file)));
    let mut problems = loaded.problems;
    problems.extend(supposed.iter().flat_map(|supposed| supposed.problems.clone()));
    if !problems.is_empty() {
        return Err(problems);
    }
    let (beside, documents): (Vec<Document>, Vec<Document>) = loaded.documents.into_iter().partition(is_scenario);
    let asked = supposed.map(|supposed| supposed.documents);
    let scenario = chosen(asked, beside)?;
    let assembled = assemble::assemble(&documents, args.intervention.as_deref()).map_err(usage)?;
    let Some(plan) = assembled.verdict.timeline.clone() else { return Ok(Err(Box::new(assembled))) };
    let written = match &scenario {
        Some(document) => words::read(document, &plan)?,
        None => Written::nothing(&plan),
    };
    if !assembled.verdict.refusals.is_empty() {
        return Ok(Err(Box::new(assembled)));
    }
    for warning in &assembled.verdict.warnings {
        note(&format!("warning: {}: {}", warning.path, warning.message));
    }
    Ok(Ok(Subject { intervention: assembled.intervention, plan, written, seed: args.seed }))
}

fn is_scenario(document: &Document) -> bool {
    document.kind == words::KIND && document.api_version == words::API_VERSION
}

/// The one scenario: that of its own file, or one that stands beside the night.
fn chosen(asked: Option<Vec<Document>>, beside: Vec<Document>) -> Result<Option<Document>, Vec<ReadProblem>> {
    match (asked, beside.len()) {
        (Some(mut documents), 0) if documents.len() == 1 => Ok(documents.pop()),
        (Some(documents), 0) => {
            Err(usage(format!("--scenario holds {} documents: one is expected, a {}", documents.len(), words::KIND)))
        }
        (None, 0 | 1) => Ok(beside.into_iter().next()),
        (Some(_), _) => {
            Err(usage("the files of the night hold a Scenario too: leave it out, or leave out --scenario".to_owned()))
        }
        (None, count) => {
            Err(usage(format!("the files hold {count} Scenarios: keep one of them, or name its file with --scenario")))
        }
    }
}

fn usage(message: String) -> Vec<ReadProblem> {
    vec![ReadProblem { reason: "Usage", file: String::new(), line: None, column: None, message }]
}

/// With the offset of the night's zone.
fn moment(plan: &Plan, at: Timestamp) -> String {
    rfc3339(plan, at)
}
