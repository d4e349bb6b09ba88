//! `notturno explain NAME [MOMENT]`: why 04:55? Every moment of a night with its sum, line by line, and how it will move.
//!
//! In: a night in a cluster, or files (`-f`), and what is asked. Out: text or one JSON object on stdout; exit code 0, 1 when somebody has
//! to look (a person is needed, refused, late), 2 when nothing can be said. Invariants: reads only; with files it reads neither a clock
//! nor a cluster. Not here: the sums ([`moments`]), the arithmetic ([`crate::model::need`]).

pub mod moments;
mod show;
pub mod sums;

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::status::find::{ClusterArgs, Format};
use super::status::view::View;
use super::status::{self, when};
use super::{note, plan, say};
use crate::engine::State;
use crate::model::near::closest;
use crate::model::plan::Plan;
use moments::{Moment, moments};

/// Explains every moment of a night, or those that are asked for: the sum line by line, and how it will move.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The Intervention, as NAME or NAMESPACE/NAME, and what to explain: the name of a moment, a step, a service, a time as 04:55.
    /// With --file only the latter.
    #[arg(value_name = "NAME|MOMENT", num_args = 0..=2)]
    words: Vec<String>,
    /// Files instead of a cluster: the plan as `notturno plan` makes it; `-` is standard input.
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// Which intervention of the files, when they hold several.
    #[arg(long, value_name = "NAME", requires = "files")]
    intervention: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A night to explain.
struct Subject {
    night: String,
    plan: Plan,
    state: State,
    now: Option<Timestamp>,
    notes: Vec<String>,
    needs_attention: bool,
}

/// Runs the verb.
#[must_use]
pub fn run(args: &ExplainArgs) -> ExitCode {
    match (args.files.is_empty(), args.words.as_slice()) {
        (true, [night, asked @ ..]) => of_cluster(args, night, asked.first()),
        (false, [] | [_]) => of_files(args, args.words.first()),
        (true, []) => wrong(args.cluster.output, "name an Intervention, or give --file"),
        (false, [..]) => wrong(args.cluster.output, "with --file give only what to explain, and --intervention to choose"),
    }
}

fn of_cluster(args: &ExplainArgs, night: &str, asked: Option<&String>) -> ExitCode {
    let found = match status::look(&args.cluster, night) {
        Ok(found) => found,
        Err(error) => return status::unreachable(args.cluster.output, &error),
    };
    let view = status::view(&found);
    let Some(read) = &found.ledger else { return without_plan(args.cluster.output, &view) };
    let subject = Subject {
        night: found.night.clone(),
        plan: read.plan.clone(),
        state: State::fold(&read.plan, &read.believed(found.now).entries),
        now: Some(found.now),
        needs_attention: view.needs_attention(),
        notes: view.silent.into_iter().chain(view.notes).collect(),
    };
    explain(args.cluster.output, &subject, asked)
}

fn of_files(args: &ExplainArgs, asked: Option<&String>) -> ExitCode {
    let (night, verdict) = match plan::verdict(&args.files, args.intervention.as_deref()) {
        Ok(planned) => planned,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return wrong(args.cluster.output, &lines.join("\n"));
        }
    };
    let refusals: Vec<String> = verdict.refusals.iter().map(ToString::to_string).collect();
    match verdict.timeline {
        None => {
            let output = args.cluster.output;
            wrong(output, &format!("{night} has no timeline: {}", refusals.join("\n")));
            ExitCode::from(1)
        }
        Some(plan) => {
            let (state, needs_attention) = (State::fold(&plan, &[]), !refusals.is_empty());
            explain(args.cluster.output, &Subject { night, plan, state, now: None, notes: refusals, needs_attention }, asked)
        }
    }
}

fn explain(format: Format, subject: &Subject, asked: Option<&String>) -> ExitCode {
    let Subject { night, plan, state, now, notes, needs_attention } = subject;
    let all = moments(plan, state);
    let mut meant: Vec<&Moment> = all.iter().filter(|moment| asked.is_none_or(|asked| moment.is_meant(plan, asked))).collect();
    if let Some(asked) = asked.filter(|_| meant.is_empty()) {
        meant.extend(all.iter().filter(|moment| moment.counts_from(plan, asked)));
    }
    if meant.is_empty() {
        let asked = asked.cloned().unwrap_or_default();
        let instead = meant_instead(plan, &asked).unwrap_or_else(|| {
            let titles: Vec<String> = all.iter().map(Moment::title).collect();
            format!("there are: {}", titles.join(", "))
        });
        return wrong(
            format,
            &format!("nothing of this night is called {asked:?}, and none of its moments falls on it; {instead}"),
        );
    }
    match format {
        Format::Table => {
            let head = now.map(|now| format!("{} at {}", state.phase(plan), when::moment(plan, now)));
            let mut text = format!("{night}  {}\n", head.unwrap_or_else(|| "as planned".to_owned()));
            text.extend(notes.iter().map(|note| format!("  ! {note}\n")));
            text.extend(meant.iter().map(|moment| format!("\n{}", moment.text(plan, *now))));
            say(&text);
        }
        Format::Json => {
            let moments: Vec<Value> = meant.iter().map(|moment| moment.json(plan, *now)).collect();
            let object = json!({"night": night, "phase": state.phase(plan), "timeZone": plan.time_zone, "now": now, "notes": notes,
                "needsAttention": needs_attention, "moments": moments});
            say(&format!("{object}\n"));
        }
    }
    ExitCode::from(u8::from(*needs_attention))
}

/// Services by their bare name, or else the nearest step or service.
fn meant_instead(plan: &Plan, asked: &str) -> Option<String> {
    let ids: Vec<String> = plan.services.iter().map(|service| service.id.to_string()).collect();
    let is_bare = |id: &&String| id.rsplit('/').next() == Some(asked);
    let namesakes: Vec<&str> = ids.iter().filter(is_bare).map(String::as_str).collect();
    if !namesakes.is_empty() {
        return Some(format!("did you mean {}?", namesakes.join(" or ")));
    }
    let names = plan.steps.iter().map(|step| step.name.as_str()).chain(ids.iter().map(String::as_str));
    closest(asked, names).map(|meant| format!("did you mean {meant}?"))
}

/// A night that was refused, or is not accepted yet: there is no plan to explain, but perhaps a sum that did not come out.
fn without_plan(format: Format, view: &View) -> ExitCode {
    match format {
        Format::Table => say(&status::show::text(view)),
        Format::Json => say(&format!("{}\n", status::show::json(view))),
    }
    ExitCode::from(u8::from(view.needs_attention()))
}

fn wrong(format: Format, message: &str) -> ExitCode {
    match format {
        Format::Table => note(&format!("notturno: {message}")),
        Format::Json => say(&format!("{}\n", json!({"errors": [{"message": message}]}))),
    }
    ExitCode::from(2)
}
