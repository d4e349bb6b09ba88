//! `notturno demo`: the night of 9 February 2023, played by the operator's own code on the embedded API.
//!
//! In: which branch of the night. Out: the timeline that the operator wrote and what somebody outside saw; exit code 0 only when
//! every service was open at must-serve-by. Invariant: nothing printed is computed here. Not here: the operator; the embedded API.

mod chart;
mod live;
pub(in crate::cli) mod night;
mod play;
mod prober;
mod report;
mod scene;
pub(in crate::cli) mod story;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::civil;

use super::{note, say};
use crate::model::duration;
use crate::model::span::Span;
use night::Night;
use story::Paint;

/// The night that is played.
const RUNBOOK: &str = include_str!("../../runbooks/sogei-2023.yaml");

/// Plays the night of 9 February 2023 in virtual time, with nothing but this binary.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that a person writes")]
pub struct DemoArgs {
    /// The upgrade works and everything takes its budget.
    #[arg(long, conflicts_with_all = ["restore_takes", "extend_to", "undo_fails"])]
    as_planned: bool,
    /// How long going back takes until the data is restored, stopping the upgrade included (at least 31s).
    #[arg(long, value_name = "DURATION", default_value = "60m", value_parser = restore)]
    restore_takes: Span,
    /// Two people give the upgrade more time, at 03:40.
    #[arg(long, value_name = "HH:MM", value_parser = clock_time)]
    extend_to: Option<civil::Time>,
    /// The first restore fails after forty minutes, the second hangs.
    #[arg(long, conflicts_with = "restore_takes")]
    undo_fails: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
    /// Watch it live, so many times faster than time (1 to 100000).
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with = "output")]
    at_speed: Option<u32>,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: one object.
    Json,
}

/// How the invented world behaves tonight.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    upgrade_hangs: bool,
    restore_takes: Span,
    extend_to: Option<civil::Time>,
    undo_fails: bool,
}

fn restore(text: &str) -> Result<Span, String> {
    let span = duration::parse(text).map(Span::from).map_err(|problem| problem.to_string())?;
    if span < Span::seconds(31) || span > Span::minutes(12 * 60) {
        return Err("the restore takes from 31s to 12h".to_owned());
    }
    Ok(span)
}

fn clock_time(text: &str) -> Result<civil::Time, String> {
    civil::Time::strptime("%H:%M", text).map_err(|_| format!("{text:?} is not a time of day: write HH:MM, such as 04:55"))
}

/// Runs the verb.
#[must_use]
pub fn run(args: &DemoArgs) -> ExitCode {
    let branch = Branch {
        upgrade_hangs: !args.as_planned,
        restore_takes: args.restore_takes,
        extend_to: args.extend_to,
        undo_fails: args.undo_fails,
    };
    let paint = Paint { colour: std::io::stdout().is_terminal() && args.output == Format::Text };
    match play::play(&branch, args.at_speed, paint) {
        Ok(night) => {
            print(&night, args, paint);
            ExitCode::from(u8::from(!night.kept_the_promise()))
        }
        Err(error) => {
            note(&format!("the demo could not be played: {error}"));
            ExitCode::from(2)
        }
    }
}

fn print(night: &Night, args: &DemoArgs, paint: Paint) {
    let mut text = String::new();
    match args.output {
        Format::Json => text = format!("{}\n", report::json(night)),
        Format::Text => {
            if args.at_speed.is_none() {
                text.push_str(&story::head(&night.plan, paint));
                text.push_str(&chart::chart(&night.plan, &night.entries, paint));
                text.push('\n');
                night.timeline().iter().for_each(|line| text.push_str(&story::line(&night.plan, line, paint)));
            }
            text.push_str(&story::tail(night, paint));
        }
    }
    say(&text);
}
