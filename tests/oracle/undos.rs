//! Jobs and their Pods: each runs once; undos run in reverse order, never beside the step that they undo, and none is held up by another's failure.
//!
//! In: changes of Jobs and Pods. Out: broken promises. Invariant: a Pod counts as live from its creation until it was seen to end. Not here: what undos restore.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::Broken;
use super::declared::{Declared, Step, Undo};
use super::evidence::{Change, Evidence, is, may_run};
use super::records::{self, is_committed};

fn owner(pod: &Value) -> Option<&str> {
    pod["metadata"]["ownerReferences"][0]["name"].as_str()
}

/// How many Pods each Job of the night had.
fn pods(declared: &Declared, evidence: &Evidence) -> BTreeMap<String, usize> {
    let stem = declared.stem(evidence).unwrap_or_default();
    let mut found = BTreeMap::new();
    for change in evidence.changes.iter().filter(|change| change.key.resource == "pods" && change.before.is_none()) {
        let job = change.after.as_deref().and_then(owner).filter(|job| job.starts_with(&stem));
        if let Some(job) = job {
            *found.entry(job[stem.len()..].to_owned()).or_default() += 1;
        }
    }
    found
}

/// Whether the step's Job ever had a Pod, or its change was made.
pub fn ran(declared: &Declared, evidence: &Evidence, step: &Step) -> bool {
    if step.is_job {
        return pods(declared, evidence).contains_key(&step.name);
    }
    let intended = |entry: &records::Entry| entry.kind == "stepIntended" && entry.what["step"] == step.name.as_str();
    records::entries(declared, evidence).iter().any(intended)
}

/// Each Job has one Pod at most.
pub fn jobs_run_once(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let twice = pods(declared, evidence).into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(job, count)| Broken::new("once", format!("Job {job} had {count} Pods"))).collect()
}

/// When an undo was let run, and when it was seen complete: places in the order of the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    pub began: Option<usize>,
    pub completed: Option<(usize, Timestamp)>,
}

/// The course of all attempts of an undo.
pub fn undo_of(declared: &Declared, evidence: &Evidence, step: &str) -> Run {
    let stem = declared.stem(evidence).unwrap_or_default();
    let mut run = Run::default();
    for (place, change) in evidence.changes.iter().enumerate() {
        if let Some(after) = change.after.as_ref().filter(|_| is_undo_of(change, &stem, step)) {
            let was_held = change.before.as_ref().is_none_or(|before| !may_run(before));
            if may_run(after) && was_held && run.began.is_none() {
                run.began = Some(place);
            }
            if is(after, "Complete") && run.completed.is_none() {
                run.completed = Some((place, change.at));
            }
        }
    }
    run
}

fn is_undo_of(change: &Change, stem: &str, step: &str) -> bool {
    let name = change.key.name.strip_prefix(stem).and_then(|name| name.strip_prefix(step));
    change.key.resource == "jobs" && name.is_some_and(|rest| rest.starts_with("-undo-"))
}

/// The steps that nobody undoes any more: those without a way back that ran, and what they needed.
pub fn kept<'a>(declared: &'a Declared, evidence: &Evidence) -> BTreeSet<&'a str> {
    let passed = declared.steps.iter().filter(|step| step.undo == Undo::Never && ran(declared, evidence, step));
    passed.flat_map(|step| declared.upstream(step).into_iter().chain([step.name.as_str()])).collect()
}

/// Whether work of the step goes on for all that is known, or its undo does.
pub fn goes_on(declared: &Declared, evidence: &Evidence, step: &Step) -> bool {
    let name = format!("{}{}", declared.stem(evidence).unwrap_or_default(), step.name);
    let lives = |pod: &Value| owner(pod) == Some(name.as_str()) && !has_ended(pod);
    let works = evidence.at_last.iter().any(|(key, pod)| key.resource == "pods" && lives(pod));
    let unfinished = || undo_of(declared, evidence, &step.name).completed.is_none();
    ran(declared, evidence, step) && (works || step.undo == Undo::Job && unfinished())
}

fn has_ended(pod: &Value) -> bool {
    ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase)
}

/// What needs another step is undone before it.
pub fn in_reverse(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let mut broken = vec![];
    let by_job: Vec<&Step> = declared.steps.iter().filter(|step| step.undo == Undo::Job).collect();
    for later in &by_job {
        let upstream = declared.upstream(later);
        let Run { began: later_began, completed } = undo_of(declared, evidence, &later.name);
        for earlier in by_job.iter().filter(|one| upstream.contains(one.name.as_str())) {
            let Some(earlier_began) = undo_of(declared, evidence, &earlier.name).began else { continue };
            let first = later_began.is_some_and(|began| began < earlier_began);
            let overlap = completed.is_some_and(|(done, _)| done > earlier_began);
            if ran(declared, evidence, later) && (!first || overlap) {
                let what =
                    format!("the undo of {} began before the one of {}, which needs it, was over", earlier.name, later.name);
                broken.push(Broken::new("undone in reverse order", what));
            }
        }
    }
    broken
}

/// While a Pod of a step lives its undo does not run.
pub fn never_beside_their_step(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let stem = declared.stem(evidence).unwrap_or_default();
    let mut live: BTreeSet<(String, String)> = BTreeSet::new();
    let mut broken = vec![];
    for change in &evidence.changes {
        let Some(job) =
            change.after.as_deref().or(change.before.as_deref()).and_then(owner).and_then(|job| job.strip_prefix(&stem))
        else {
            continue;
        };
        if change.key.resource != "pods" {
            continue;
        }
        let pod = (job.to_owned(), change.key.name.clone());
        if change.after.as_deref().is_none_or(has_ended) {
            live.remove(&pod);
            continue;
        }
        let step = job.rsplit_once("-undo-").map(|(step, _)| step.to_owned());
        let beside = step.filter(|step| live.iter().any(|(job, _)| job == step));
        if let Some(step) = beside.filter(|_| change.before.is_none()) {
            broken.push(Broken::new(
                "no undo beside its step",
                format!("{} was made at {} beside {step}", change.key.name, change.at),
            ));
        }
        live.insert(pod);
    }
    broken
}

/// What ran and is not kept is undone, unless what needs it could not be.
pub fn none_is_held_up(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let entries = records::entries(declared, evidence);
    let expired = entries.iter().any(|entry| entry.kind == "undosExpired");
    if is_committed(&entries) || expired {
        return vec![];
    }
    let is_undone = |step: &Step| undo_of(declared, evidence, &step.name).completed.is_some();
    let kept = kept(declared, evidence);
    let mut broken = vec![];
    let by_job = |step: &&Step| step.undo == Undo::Job && ran(declared, evidence, step) && !kept.contains(step.name.as_str());
    let begun: Vec<&Step> = declared.steps.iter().filter(by_job).collect();
    for (place, step) in begun.iter().enumerate() {
        // What comes later is undone first where it needs this one, or works on the same data.
        let waits = begun[place + 1..].iter().any(|later| {
            let needs = declared.upstream(later).contains(step.name.as_str());
            (needs || !later.touches.is_disjoint(&step.touches)) && !is_undone(later)
        });
        if !waits && undo_of(declared, evidence, &step.name).began.is_none() {
            broken.push(Broken::new("no undo is held up", format!("nobody undid {}", step.name)));
        }
    }
    broken
}
