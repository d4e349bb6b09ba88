//! `notturno check FILE…`: every problem of every file at once, for people and for pipelines.
//!
//! In: files as people write them. Out: findings with file, line, column, field and what to do, as text, JSON, SARIF or `JUnit` on stdout;
//! exit code 0 nothing or notes and warnings only, 1 problems, 2 unreadable files or wrong usage. Invariants: never reads the clock or a
//! cluster; one unreadable file or refused document hides nothing of the others. Not here: what is right and what is wrong
//! ([`crate::api`], [`crate::plan`]); this verb gathers, places and prints.

mod catalog;
mod finding;
mod gather;
mod junit;
mod sarif;
mod spelling;
mod text;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::read::{Loaded, load};
use super::say;
pub use catalog::{RULES, Rule, markdown};
pub use finding::{Checked, Finding, Level};
pub use gather::check;

/// Checks files without a cluster: what an API server would refuse, what kubectl would read differently, what cannot fit the night.
///
/// Files may hold any number of documents of any kind; those of other API groups are ignored, unless ours was meant, and no Intervention
/// is needed. A night is planned when the files hold its runbook, and services and calendars: then every service and calendar that it
/// names has to be in the files too; so has what a runbook without a night names. A runbook that is not there is an error when the files
/// hold others of its namespace. Otherwise a note says what is missing, and names of other objects are taken on trust. Beside what is
/// broken as much is looked at as can be read, and what was not is said.
///
/// Exit code 0: nothing, or notes and warnings only; 1: problems; 2: files that cannot be read, or wrong usage.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Files to check; `-` is standard input.
    #[arg(required_unless_present = "rules", value_name = "FILE")]
    files: Vec<String>,
    /// How to print the findings.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
    /// Lists every rule with its id, and checks nothing.
    #[arg(long)]
    rules: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object.
    Json,
    /// SARIF 2.1.0, for code review tools.
    Sarif,
    #[allow(clippy::doc_markdown, reason = "shown by --help, which is plain text")]
    /// JUnit XML, one case a document, for CI servers.
    Junit,
}

/// Runs the verb.
#[must_use]
pub fn run(args: &CheckArgs) -> ExitCode {
    if args.rules {
        say(&markdown());
        return ExitCode::SUCCESS;
    }
    let loaded = load(&args.files);
    let checked = check(&loaded, args.files.len());
    say(&shown(&checked, &loaded, args.output));
    ExitCode::from(checked.exit_code())
}

/// What was found, as it is printed; `loaded` is what was checked.
#[must_use]
pub fn shown(checked: &Checked, loaded: &Loaded, format: Format) -> String {
    match format {
        Format::Text => text::text(checked, loaded),
        Format::Json => checked.to_json(),
        Format::Sarif => sarif::sarif(checked),
        Format::Junit => junit::junit(checked),
    }
}
