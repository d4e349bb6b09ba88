//! `notturno plan FILE…`: a night's timeline and sums, or every reason why it is refused.
//!
//! In: files as people write them. Out: one table or one JSON object on stdout, also when refused; exit code 0 accepted, 1 refused,
//! 2 unreadable or wrong usage. Invariants: never reads the clock or a cluster. Not here: the arithmetic ([`crate::plan`]).

pub(in crate::cli) mod assemble;
mod offset;
pub(in crate::cli) mod report;
mod table;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::read::{ReadProblem, read};
use super::{note, say};
use crate::model::refusal::Refusal;
use assemble::Assembled;
pub use report::Report;

/// Shows the timeline and the sums of a night, or why it is refused.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Files with calendars, services, a runbook and one intervention; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Which intervention, as `name` or `namespace/name`, when the files hold several.
    #[arg(long, value_name = "NAME")]
    intervention: Option<String>,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs: one object.
    Json,
}

/// Runs the verb.
#[must_use]
pub fn run(args: &PlanArgs) -> ExitCode {
    let is_json = args.output == Format::Json;
    let documents = match read(&args.files) {
        Ok(documents) => documents,
        Err(problems) => return unreadable(is_json, &problems),
    };
    match assemble::assemble(&documents, args.intervention.as_deref()) {
        Err(message) => {
            let usage = ReadProblem { reason: "Usage", file: String::new(), line: None, column: None, message };
            unreadable(is_json, &[usage])
        }
        Ok(assembled) => print(is_json, &assembled),
    }
}

/// The planner's answer about the one night that the files describe, for other verbs.
pub(super) fn verdict(files: &[String], intervention: Option<&str>) -> Result<(String, crate::plan::Verdict), Vec<ReadProblem>> {
    let documents = read(files)?;
    let usage = |message| vec![ReadProblem { reason: "Usage", file: String::new(), line: None, column: None, message }];
    let assembled = assemble::assemble(&documents, intervention).map_err(usage)?;
    Ok((assembled.intervention, assembled.verdict))
}

/// Says why nothing can be planned; for other verbs too.
pub(super) fn unreadable(is_json: bool, problems: &[ReadProblem]) -> ExitCode {
    if is_json {
        say(&format!("{}\n", report::unreadable(problems)));
    } else {
        // What no file is to blame for is said by the program, as by every other verb.
        for problem in problems {
            note(&if problem.file.is_empty() { format!("notturno: {problem}") } else { problem.to_string() });
        }
    }
    ExitCode::from(2)
}

/// Prints what the planner said; for other verbs too, where a night is refused.
pub(super) fn print(is_json: bool, assembled: &Assembled) -> ExitCode {
    let accepted = assembled.verdict.refusals.is_empty();
    if is_json {
        say(&format!("{}\n", Report::of(assembled).to_json()));
    } else {
        say(&table::table(assembled));
        for refusal in &assembled.verdict.refusals {
            note(&located(assembled, refusal));
        }
    }
    ExitCode::from(u8::from(!accepted))
}

/// `file:line:column: Reason: message` with the sum below it.
fn located(assembled: &Assembled, refusal: &Refusal) -> String {
    let place = assembled.place(refusal);
    let at = place.map(|place| format!("{}:{}:{}: ", place.file, place.line, place.column)).unwrap_or_default();
    let sum = assembled.verdict.timeline.as_ref().filter(|_| !refusal.sum.is_empty());
    let sum = sum.map(|plan| format!("\n    {}", crate::engine::words::said(plan, &refusal.sum))).unwrap_or_default();
    format!("{at}{refusal}{sum}")
}
