//! `notturno by-hand NAME`: the page that tells how to open every service of a night with kubectl alone.
//!
//! In: a name, a cluster. Out: Markdown on stdout, made anew from plan and ledger, or else the one that was kept when the night was armed;
//! exit code 0, 2 when there is neither. Invariant: reads only, and needs neither the operator nor its kinds. Not here: the page
//! ([`crate::operator::by_hand`]).

use std::process::ExitCode;

use clap::Args;

use super::status::find::{ClusterArgs, FindError, Format, Found, stored_page};
use super::status::{look, unreachable};
use super::{note, say};
use crate::operator::by_hand::page;

/// Prints how to open every service of a night by hand, with kubectl alone, in order.
#[derive(Args, Clone, Debug)]
pub struct ByHandArgs {
    /// The Intervention, as NAME or NAMESPACE/NAME.
    #[arg(value_name = "NAME")]
    night: String,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs the verb.
#[must_use]
pub fn run(args: &ByHandArgs) -> ExitCode {
    let looked = look(&args.cluster, &args.night);
    if let Ok(found) = &looked
        && let Some(page) = live(found)
    {
        found.notes.iter().for_each(|line| note(&format!("notturno: {line}")));
        return printed(args, &page);
    }
    let why = looked.as_ref().err().map(|error| super::status::find::story(error));
    match kept(args) {
        Ok(Some(page)) => {
            let why = why.unwrap_or_else(|| "plan and pre-images cannot be read".to_owned());
            note(&format!("notturno: this page was kept when the night was armed, and covers every case: {why}"));
            printed(args, &page)
        }
        Ok(None) | Err(_) => match looked {
            Err(error) => unreachable(args.cluster.output, &error),
            Ok(found) => unreachable(args.cluster.output, &FindError::NotArmed { night: found.night }),
        },
    }
}

/// Of the journal only what is believed: with one that is broken the page covers every case.
fn live(found: &Found) -> Option<String> {
    let read = found.ledger.as_ref()?;
    let preimages = read.preimages.clone()?;
    let journal = read.broken.is_none().then_some(read.entries.as_slice());
    Some(page(&read.plan, &preimages.as_intended(&read.entries), journal))
}

fn kept(args: &ByHandArgs) -> Result<Option<String>, FindError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| FindError::NoCluster(error.into()))?;
    runtime.block_on(stored_page(&args.cluster, &args.night))
}

fn printed(args: &ByHandArgs, page: &str) -> ExitCode {
    match args.cluster.output {
        Format::Table => say(page),
        Format::Json => say(&format!("{}\n", serde_json::json!({"night": args.night, "page": page}))),
    }
    ExitCode::SUCCESS
}
