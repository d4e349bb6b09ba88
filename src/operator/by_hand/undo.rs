//! Undoing by hand what a night had begun.
//!
//! In: a step of the plan. Out: shell text that looks in `$ledger` whether there is something to undo, does it, and waits for its end.
//! Invariants: nothing is undone in a committed night, or behind a point of no return that has begun; without a ledger in hand nothing is
//! skipped in silence, the shell refuses; prepared Jobs are run, never new ones. Not here: reading the ledger ([`super::page`]).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::engine::JobKey;
use crate::model::epoch::Epoch;
use crate::model::need;
use crate::model::plan::{Plan, PlannedStep, PlannedUndo, StepIndex};
use crate::operator::effects::Preimages;
use crate::operator::effects::marks;
use crate::operator::effects::preimages::step_key;
use crate::operator::effects::token::{Token, Way};

use super::shell::{annotation_path, kubectl, quoted, restoring, unmaking};

/// A token of people: it deposes operator and sentinels.
pub(super) fn token(plan: &Plan, way: Way) -> String {
    Token::of(&plan.uid, Epoch::PEOPLE, way).to_string()
}

/// What undoes the step, if it is to be undone; none when it has no undo of its own.
pub(super) fn undoing(plan: &Plan, preimages: &Preimages, jobs: &BTreeMap<JobKey, String>, index: StepIndex) -> Option<String> {
    let step = plan.steps.get(index).filter(|step| step.has_own_undo())?;
    let name = &step.name;
    let mut text = "case ${ledger:?read the ledger first} in\n".to_owned();
    let mut arm = |pattern: &str, act: &str| text.push_str(&format!("{pattern})\n    {act}\n    ;;\n"));
    let says = |event: &str| format!("*{}*", quoted(event));
    let echo = |words: &str| format!("echo {}", quoted(words));
    arm(&says(r#""committed":{}"#), &echo(&format!("the work was finished and is kept: {name} is not undone")));
    for point in points_of_no_return(plan, index) {
        let words = format!("{point} has begun and there is no way back behind it: {name} is not undone");
        arm(&says(&format!(r#""stepIntended":{{"step":"{point}""#)), &echo(&words));
    }
    let undone = format!("undone=yes\n    {}", echo(&format!("{name} was undone already")));
    arm(&says(&format!(r#""undoDone":{{"step":"{name}""#)), &undone);
    let never = format!("{name} was stopped before it did anything: nothing to undo");
    arm(&says(&format!(r#""stepStopped":{{"step":"{name}","proof":"neverStarted""#)), &echo(&never));
    let act = act(plan, preimages, jobs, index, step).replace('\n', "\n    ");
    arm(&says(&format!(r#""stepIntended":{{"step":"{name}""#)), &format!("undone=yes\n    {act}"));
    arm("*", &echo(&format!("{name} did not begin: nothing to undo")));
    text.push_str("esac");
    Some(text)
}

/// Steps without a way back that keep this one, once they have begun.
fn points_of_no_return(plan: &Plan, index: StepIndex) -> Vec<&str> {
    let keeps = |&(other, step): &(StepIndex, &PlannedStep)| {
        step.is_irreversible() && need::kept(plan, &BTreeSet::from([index, other])).contains(&index)
    };
    plan.steps.iter().enumerate().filter(keeps).map(|(_, step)| step.name.as_str()).collect()
}

fn act(plan: &Plan, preimages: &Preimages, jobs: &BTreeMap<JobKey, String>, index: StepIndex, step: &PlannedStep) -> String {
    match &step.undo {
        PlannedUndo::Job { attempts, .. } => {
            let names = (1..=*attempts).filter_map(|attempt| jobs.get(&JobKey::Undo(index, attempt)));
            let closed: Vec<String> =
                step.touches.iter().filter_map(|&service| plan.services.get(service)).map(|one| one.id.to_string()).collect();
            let then =
                if closed.is_empty() { "call its contacts".to_owned() } else { format!("leave {} closed", closed.join(", ")) };
            run(
                plan,
                &names.cloned().collect::<Vec<_>>(),
                &format!("{} is undone", step.name),
                &format!("{} IS NOT UNDONE: {then}", step.name),
            )
        }
        PlannedUndo::Restore { .. } => unless_expired(&step.name, &restore(plan, preimages, step).join("\n")),
        PlannedUndo::Reopening | PlannedUndo::Nothing | PlannedUndo::CoveredBy { .. } | PlannedUndo::Irreversible => {
            String::new()
        }
    }
}

/// Of an object section 2 has overwritten the token that would say so: the ledger does, in one record for each service that was opened.
fn unless_expired(name: &str, restoring: &str) -> String {
    let words = format!("{name} IS NOT UNDONE: its undo has expired, people use what it left");
    let expired = r#"$(printf '%s\n' "$ledger" | tr '}' '\n' | grep '"undosExpired":{' || :)"#;
    let lines = [
        format!("case {expired} in"),
        format!("*[[,]{}[],]*) echo {}; false ;;", quoted(&format!("\"{name}\"")), quoted(&words)),
        format!("*)\n    {}\n    ;;", restoring.replace('\n', "\n    ")),
        "esac".to_owned(),
    ];
    lines.join("\n")
}

fn restore(plan: &Plan, preimages: &Preimages, step: &PlannedStep) -> Vec<String> {
    let (Some(target), Some(preimage)) = (step.target(), preimages.targets.get(&step_key(&step.name))) else {
        return vec![format!(
            "echo {}",
            quoted(&format!("no pre-image of {} was captured: look at its object by hand", step.name))
        )];
    };
    if preimage.is_absent() {
        return vec![unmaking(target, &preimage.resource, marks::CREATED, &format!("{}.{}", plan.uid, step.name))];
    }
    let commands = restoring(target, preimage);
    if commands.is_empty() {
        let words =
            format!("what {} replaced in {target} was not known by day: its record in the ledger has it, as before", step.name);
        return vec![format!("echo {}", quoted(&words))];
    }
    commands
}

/// Lets prepared Jobs run, one after the other until one completes. One whose right to run has expired stays as it is.
pub(super) fn run(plan: &Plan, names: &[String], good: &str, bad: &str) -> String {
    let annotations = json!({(marks::TOKEN): token(plan, Way::Back), (marks::RELEASED): "true"});
    let patch = json!({"metadata": {"annotations": annotations}, "spec": {"suspend": false}}).to_string();
    let kubectl = kubectl(&plan.namespace);
    let get = |what: &str| format!("{kubectl} get jobs.v1.batch \"$job\" -o {}", quoted(what));
    let lines = [
        format!("for job in {}; do", names.join(" ")),
        "    end=missing".to_owned(),
        format!("    token=$({}) || continue", get(&annotation_path(marks::TOKEN))),
        "    case $token in *.expired) echo \"$job has expired and is not run\"; continue ;; esac".to_owned(),
        format!("    {kubectl} patch jobs.v1.batch \"$job\" --type=merge -p {} || continue", quoted(&patch)),
        format!("    until end=$({}) &&", get(r#"jsonpath={range .status.conditions[?(@.status=="True")]}{.type}{" "}{end}"#)),
        "        case $end in *Complete*|*Failed*) true ;; *) false ;; esac".to_owned(),
        "    do sleep 2; done".to_owned(),
        "    case $end in *Complete*) break ;; esac".to_owned(),
        "done".to_owned(),
        format!("case $end in *Complete*) echo {} ;; *) echo {}; false ;; esac", quoted(good), quoted(bad)),
    ];
    lines.join("\n")
}
