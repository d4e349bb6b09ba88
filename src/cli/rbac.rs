//! `notturno rbac FILE…`: what a tenant grants by day for a runbook, as YAML for `kubectl apply`.
//!
//! In: files with a runbook and the services that it closes. Out: documents on stdout, notes on stderr; exit code 0, 1 refused,
//! 2 unreadable or wrong usage. Invariants: never asks a cluster; nothing is printed unless all of it is known. Not here: which rights
//! those are ([`crate::plan::rights`]), the documents ([`crate::api::rbac`]).

use std::process::ExitCode;

use clap::Args;

use super::plan::assemble::Words;
use super::read::read;
use super::{note, say};
use crate::api::manifests::{NAMESPACE, OPERATOR};
use crate::api::rbac::{grants, yaml};
use crate::model::reference::{is_label, is_subdomain};
use crate::model::refusal::Refusal;
use crate::model::runbook::Runbook;
use crate::plan::rights::Needs;

/// Prints the accounts, roles and bindings that a runbook needs: for the work, for its sentinel, and for the operator to ask for tokens.
#[derive(Args, Clone, Debug)]
pub struct RbacArgs {
    /// Files with a runbook and the services that it closes; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Which runbook, as `name` or `namespace/name`, when the files hold several.
    #[arg(long, value_name = "NAME")]
    runbook: Option<String>,
    /// The operator's `ServiceAccount`.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value_t = format!("{NAMESPACE}/{OPERATOR}"))]
    operator: String,
    /// For an operator that runs `--without-sentinel`: nothing for the dead man's switch, nor for its account.
    #[arg(long)]
    without_sentinel: bool,
}

/// Runs the verb.
#[must_use]
pub fn run(args: &RbacArgs) -> ExitCode {
    let documents = match read(&args.files) {
        Ok(documents) => documents,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            note(&lines.join("\n"));
            return ExitCode::from(2);
        }
    };
    match printed(args, &Words::of(&documents)) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(Unprinted::Usage(message)) => {
            note(&format!("notturno: {message}"));
            ExitCode::from(2)
        }
        Err(Unprinted::Refused(lines)) => {
            note(&lines.join("\n"));
            ExitCode::from(1)
        }
    }
}

/// Why nothing is printed.
enum Unprinted {
    Usage(String),
    Refused(Vec<String>),
}

fn printed(args: &RbacArgs, words: &Words) -> Result<String, Unprinted> {
    let operator = operator(&args.operator).map_err(Unprinted::Usage)?;
    let concerned = |refusal: &&Refusal| matches!(refusal.object.split(['/', '.']).next(), Some("Runbook" | "PublicService"));
    let mut refusals: Vec<&Refusal> = words.refusals.iter().filter(concerned).collect();
    let chosen = match choose(&words.runbooks, args.runbook.as_deref()) {
        Ok(chosen) => chosen,
        Err(_) if !refusals.is_empty() => return Err(refused(words, &refusals)),
        Err(message) => return Err(Unprinted::Usage(message)),
    };
    let needs = Needs::of_runbook(chosen, &words.services)
        .map(|needs| if args.without_sentinel { needs.without_switch() } else { needs });
    refusals.extend(needs.as_ref().err().into_iter().flatten().filter(|refusal| !words.follows(refusal)));
    match &needs {
        Ok(needs) if refusals.is_empty() => yaml(&grants(chosen, needs, operator)).map_err(Unprinted::Usage),
        Ok(_) | Err(_) => Err(refused(words, &refusals)),
    }
}

/// `file:line:column: Reason: message`, each.
fn refused(words: &Words, refusals: &[&Refusal]) -> Unprinted {
    let line = |refusal: &&Refusal| {
        let document = words.places.get(&refusal.object);
        let at = document.map(|document| {
            let (line, column) = document.position(&refusal.path).unwrap_or(document.start());
            format!("{}:{line}:{column}: ", document.file)
        });
        format!("{}{refusal}", at.unwrap_or_default())
    };
    Unprinted::Refused(refusals.iter().map(line).collect())
}

fn operator(text: &str) -> Result<(&str, &str), String> {
    let parts = text.split_once('/').filter(|(namespace, name)| is_label(namespace) && is_subdomain(name));
    parts.ok_or_else(|| format!("--operator {text:?} is no NAMESPACE/NAME of a ServiceAccount"))
}

fn choose<'a>(runbooks: &'a [Runbook], wanted: Option<&str>) -> Result<&'a Runbook, String> {
    let name = |runbook: &Runbook| format!("{}/{}", runbook.namespace, runbook.name);
    let is_wanted = |runbook: &&Runbook| wanted.is_none_or(|wanted| wanted == runbook.name || wanted == name(runbook));
    let found: Vec<&Runbook> = runbooks.iter().filter(is_wanted).collect();
    let names = runbooks.iter().map(name).collect::<Vec<_>>().join(", ");
    match (found.as_slice(), wanted) {
        ([one], _) => Ok(one),
        ([], None) => Err("the files hold no Runbook".to_owned()),
        ([], Some(wanted)) => Err(format!("no Runbook {wanted:?} in the files; there are: {names}")),
        (_, None) => Err(format!("the files hold several Runbooks: choose with --runbook from {names}")),
        (_, Some(wanted)) => Err(format!("{wanted:?} may mean several Runbooks: write namespace/name; there are: {names}")),
    }
}
