//! What becomes of objects: what is not ours stays as it is, what we changed was captured before, is changed once and given back exactly.
//!
//! In: changes. Out: broken promises. Invariant: what other people change in the night is not held against us. Not here: Jobs and their Pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Broken;
use super::declared::{Declared, Step};
use super::doors::is_half_done;
use super::evidence::{Change, Evidence, Key, OURS, essence, token};
use super::records::{self, is_committed};
use super::undos::{self, goes_on};

fn is_own(declared: &Declared, stem: &str, key: &Key) -> bool {
    let maps = format!("notturno-{stem}");
    match key.resource.as_str() {
        "interventions" => key.namespace == declared.namespace && key.name == declared.name,
        "events" | "leases" => true,
        "configmaps" => key.name.starts_with(&maps),
        "deployments" => key.name == format!("{maps}sentinel"),
        "jobs" | "pods" => key.name.starts_with(stem),
        _ => false,
    }
}

/// We write to nothing but our own objects and what the night declares.
pub fn only_what_is_ours(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let stem = declared.stem(evidence).unwrap_or_default();
    let targets = declared.targets();
    let degraded: BTreeSet<&Key> = declared.services.values().flat_map(|service| &service.degraded).collect();
    let foreign = |change: &&Change| {
        !is_own(declared, &stem, &change.key) && !targets.contains_key(&change.key) && !degraded.contains(&change.key)
    };
    let told = |change: &Change| Broken::new("nothing else is changed", format!("{} at {}", change.key, change.at));
    evidence.ours().filter(foreign).map(told).collect()
}

/// We delete nothing that we did not make.
pub fn nothing_of_others_is_deleted(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let stem = declared.stem(evidence).unwrap_or_default();
    // Made before: whoever deletes what others made and makes it anew has deleted it all the same.
    let ours = |place: usize, key: &Key| {
        let is_made = |change: &Change| change.key == *key && change.before.is_none() && evidence.is_ours(change);
        is_own(declared, &stem, key) && key.resource != "interventions" || evidence.changes[..place].iter().any(is_made)
    };
    // Whoever takes the last finalizer away finishes what somebody else began.
    let is_going =
        |change: &Change| change.before.as_ref().is_some_and(|object| object["metadata"]["deletionTimestamp"].is_string());
    let deleted = |change: &Change| evidence.is_ours(change) && change.after.is_none() && !is_going(change);
    let all = evidence.changes.iter().enumerate();
    let removed = all.filter(|(place, change)| deleted(change) && !ours(*place, &change.key));
    removed.map(|(_, change)| Broken::new("nothing of others is deleted", format!("{} at {}", change.key, change.at))).collect()
}

/// Whether somebody else changed what its owner says of the object.
fn is_edited(evidence: &Evidence, key: &Key) -> bool {
    evidence.of(key).any(|change| !evidence.is_ours(change) && change.differs())
}

/// The object without the mark by which a restart replaces Pods: nothing is to undo about that.
fn unrestarted(declared: &Declared, key: &Key, object: &Value) -> Value {
    let mut object = essence(object);
    if declared.steps.iter().any(|step| step.restarts && step.targets.contains(key))
        && let Some(metadata) = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut)
    {
        let is_ours = |marks: &Value| marks.as_object().is_some_and(|marks| marks.keys().all(|mark| mark.starts_with(OURS)));
        metadata.retain(|name, value| name != "annotations" || !is_ours(value));
    }
    object
}

/// What was changed is as by day, but for what completed work leaves and what half-done work keeps closed; no mark of ours is left on it.
pub fn given_back(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    const PROMISE: &str = "given back exactly";
    let entries = records::entries(declared, evidence);
    let committed = is_committed(&entries);
    let of_steps: BTreeSet<&Key> = declared.steps.iter().flat_map(|step| &step.targets).collect();
    let half_done: Vec<&str> = declared
        .services
        .values()
        .filter(|one| is_half_done(declared, evidence, &one.id, evidence.until))
        .map(|one| one.id.as_str())
        .collect();
    // What a step without a way back needed stays as it was when that began; what a step needed whose work or undo goes on, as long as it does.
    let waiting: Vec<&Step> = declared.steps.iter().filter(|step| goes_on(declared, evidence, step)).collect();
    let mut passed = undos::kept(declared, evidence);
    if !entries.iter().any(|entry| entry.kind == "finished") {
        passed.extend(waiting.iter().flat_map(|step| declared.upstream(step)));
    }
    let kept: BTreeSet<&Key> = declared
        .services
        .values()
        .filter(|service| half_done.contains(&service.id.as_str()) || service.closes_again)
        .flat_map(|service| service.closing.iter().chain(&service.degraded))
        .chain(
            declared
                .steps
                .iter()
                .filter(|step| {
                    passed.contains(step.name.as_str()) || step.touches.iter().any(|id| half_done.contains(&id.as_str()))
                })
                .flat_map(|one| &one.targets),
        )
        .collect();
    let waits = !committed && !waiting.is_empty();
    let mut broken = vec![];
    for key in declared.targets().into_keys().filter(|key| !kept.contains(key) && !is_edited(evidence, key)) {
        let (day, last) = (evidence.by_day.get(key), evidence.at_last.get(key));
        let stays = committed && of_steps.contains(key);
        let [day_text, last_text] =
            [day, last].map(|object| object.map_or(Value::Null, |object| unrestarted(declared, key, object)));
        if day_text != last_text && !stays {
            broken.push(Broken::new(PROMISE, format!("{key} was {day_text} and is {last_text}")));
        }
        let annotations = last.and_then(|object| object["metadata"]["annotations"].as_object());
        let marks: Vec<&String> = annotations
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(super::evidence::OURS))
            .collect();
        // Whoever is half done keeps every token: the whole night waits for a person. So does one whose undo never ends.
        if half_done.is_empty() && !waits && !marks.is_empty() && !stays {
            broken.push(Broken::new(PROMISE, format!("{key} still bears {marks:?}")));
        }
    }
    broken
}

/// Each object is changed forward as often as declared, and given back as often.
pub fn once(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let mut broken = vec![];
    let closes_again = |key: &Key| declared.services.values().any(|one| one.closes_again && one.closing.contains(key));
    let degraded = |key: &Key| declared.services.values().flat_map(|one| &one.degraded).filter(|one| *one == key).count();
    for (key, count) in declared.targets() {
        let (mut forward, mut back) = (0, 0);
        for change in evidence.of(key).filter(|change| evidence.is_ours(change)) {
            let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
            if essence(before) == essence(after) {
                continue;
            }
            let is_forward = token(before).is_some_and(|token| token.ends_with(".forward"));
            if is_forward { forward += 1 } else { back += 1 }
        }
        let back_max = count + degraded(key) + if closes_again(key) { count } else { 0 };
        if forward > count || back > back_max {
            broken.push(Broken::new("once", format!("{key}: {forward} times forward and {back} back, declared {count} times")));
        }
    }
    broken
}

/// What was there before is written down once, before the first change.
pub fn captured_before(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    const PROMISE: &str = "captured before the first change";
    let Some(plan) = declared.plan(evidence) else { return vec![] };
    let targets = declared.targets();
    let mut captured: Option<String> = None;
    let mut broken = vec![];
    for change in &evidence.changes {
        if change.key == plan {
            let now = change.after.as_ref().and_then(|object| object["data"]["preimages.json"].as_str()).map(str::to_owned);
            if captured.is_some() && now != captured && change.after.is_some() {
                broken.push(Broken::new(PROMISE, format!("what was captured is another at {}", change.at)));
            }
            captured = now.or(captured);
        }
        let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
        let changes = evidence.is_ours(change) && targets.contains_key(&change.key) && essence(before) != essence(after);
        if changes && captured.is_none() {
            broken.push(Broken::new(PROMISE, format!("{} at {}", change.key, change.at)));
        }
    }
    broken
}
