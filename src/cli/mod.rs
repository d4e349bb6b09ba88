//! The command line: one file per verb.
//!
//! In: arguments and files. Out: text or JSON on stdout, notes on stderr, an exit code. Not here: anything that is not about a person's
//! terminal or a pipeline's log.

pub mod by_hand;
pub mod check;
pub mod demo;
pub mod explain;
pub(crate) mod kubeconfig;
pub mod operator;
pub mod plan;
pub mod rbac;
pub mod read;
pub mod sentinel;
pub mod simulate;
pub mod status;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Night work that is always back before the doors open.
#[derive(Debug, Parser)]
#[command(name = "notturno", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    ByHand(by_hand::ByHandArgs),
    Check(check::CheckArgs),
    Demo(demo::DemoArgs),
    Explain(explain::ExplainArgs),
    Operator(operator::OperatorArgs),
    Plan(plan::PlanArgs),
    Sentinel(sentinel::SentinelArgs),
    Rbac(rbac::RbacArgs),
    Simulate(simulate::SimulateArgs),
    Status(status::StatusArgs),
}

/// Runs the verb that the arguments name.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => match cli.verb {
            Verb::ByHand(args) => by_hand::run(&args),
            Verb::Check(args) => check::run(&args),
            Verb::Demo(args) => demo::run(&args),
            Verb::Explain(args) => explain::run(&args),
            Verb::Operator(args) => operator::run(&args),
            Verb::Plan(args) => plan::run(&args),
            Verb::Sentinel(args) => sentinel::run(&args),
            Verb::Rbac(args) => rbac::run(&args),
            Verb::Simulate(args) => simulate::run(&args),
            Verb::Status(args) => status::run(&args),
        },
        Err(error) => usage(arguments, &error),
    }
}

/// Wrong usage is said in the format that was asked for.
fn usage(arguments: &[String], error: &clap::Error) -> ExitCode {
    let wants_json = arguments.iter().any(|argument| matches!(argument.as_str(), "json" | "-ojson" | "--output=json"));
    if error.use_stderr() && wants_json {
        let message = error.to_string();
        say(&format!("{}\n", serde_json::json!({ "accepted": false, "errors": [{ "message": message.trim() }] })));
    } else {
        // A closed pipe is the reader's choice.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Text on stdout. A reader that went away wants no more: that is no error. Whoever gets half of it otherwise, as from a full disk, must
/// not be told that all is well: the program ends with 2.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            note(&format!("notturno: the output could not be written: {error}"));
            std::process::exit(2);
        }
        Ok(()) | Err(_) => {}
    }
}

/// A note on stderr.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
