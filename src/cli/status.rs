//! `notturno status NAME`: where a night stands, what it waits for, how late it can still go back.
//!
//! In: a name, a cluster. Out: text or one JSON object on stdout; exit code 0, 1 when somebody has to look (a person is needed, refused,
//! late, a silent operator), 2 when nothing can be said. Invariant: reads only. Not here: why a moment is that one ([`super::explain`]).

pub mod find;
pub mod guard;
pub mod show;
pub mod view;
pub(crate) mod when;

use std::process::ExitCode;

use clap::Args;

use super::{note, say};
use find::{ClusterArgs, FindError, Format, Found, find};
use view::View;

/// Shows where a night stands: from its ledger, also when the Intervention or its kind is gone.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// The Intervention, as NAME or NAMESPACE/NAME.
    #[arg(value_name = "NAME")]
    night: String,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs the verb.
#[must_use]
pub fn run(args: &StatusArgs) -> ExitCode {
    let view = match look(&args.cluster, &args.night) {
        Ok(found) => view(&found),
        Err(error) => return unreachable(args.cluster.output, &error),
    };
    match args.cluster.output {
        Format::Table => say(&show::text(&view)),
        Format::Json => say(&format!("{}\n", show::json(&view))),
    }
    ExitCode::from(u8::from(view.needs_attention()))
}

/// What was found, as a view.
#[must_use]
pub fn view(found: &Found) -> View {
    let Found { night, report, ledger, guard, now, notes } = found;
    match ledger {
        Some(read) => {
            View::of_ledger(night, read, report.as_ref(), notes.clone(), *now).with_guard(guard.as_ref(), report.as_ref())
        }
        None => View::of_report(night, report.clone().unwrap_or_default(), notes.clone(), *now),
    }
}

/// Finds the night from a process that has no runtime yet.
pub(super) fn look(cluster: &ClusterArgs, night: &str) -> Result<Found, FindError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| FindError::NoCluster(error.into()))?;
    runtime.block_on(find(cluster, night))
}

/// Nothing can be said, and why.
pub(super) fn unreachable(format: Format, error: &FindError) -> ExitCode {
    let message = find::story(error);
    match format {
        Format::Table => note(&format!("notturno: {message}")),
        Format::Json => say(&format!("{}\n", serde_json::json!({"errors": [{"message": message}]}))),
    }
    ExitCode::from(2)
}
