//! The promise itself: open when doors open, or closed by declared choice and people told; and open from then on.
//!
//! In: sightings, changes. Out: broken promises. Invariant: half done is what ran and was neither undone nor committed, whatever anybody
//! reports. Not here: how long reopening takes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::Broken;
use super::declared::{Declared, Service, Step, Undo};
use super::evidence::{Change, Evidence, Key, essence, is, may_run};
use super::{records, undos};

/// Whether data of the service may be half done at `moment`.
pub fn is_half_done(declared: &Declared, evidence: &Evidence, service: &str, moment: Timestamp) -> bool {
    let entries = records::entries(declared, evidence);
    if entries.iter().any(|entry| entry.kind == "committed" && entry.at <= moment) {
        return false;
    }
    let undone = |step: &str| undos::undo_of(declared, evidence, step).completed.is_some_and(|(_, at)| at <= moment);
    let kept = undos::kept(declared, evidence);
    let stem = declared.stem(evidence).unwrap_or_default();
    let complete = |step: &Step| complete(evidence, &format!("{stem}{}", step.name), moment);
    let touching: Vec<&Step> =
        declared.steps.iter().filter(|step| step.touches.contains(service) && undos::ran(declared, evidence, step)).collect();
    let half = |step: &&Step| match &step.undo {
        _ if kept.contains(step.name.as_str()) => step.is_job && !complete(step),
        Undo::Job => !undone(&step.name),
        Undo::CoveredBy(other) => !undone(other),
        Undo::Restore => step.targets.iter().any(|key| !is_restored(evidence, key, moment)),
        Undo::Never | Undo::Nothing => !complete(step),
    };
    let changed = |key: &Key| evidence.of(key).any(|change| change.at <= moment && evidence.is_ours(change) && change.differs());
    let taken_back = |step: &&Step| match &step.undo {
        _ if kept.contains(step.name.as_str()) => false,
        Undo::Job | Undo::CoveredBy(_) => true,
        Undo::Restore => step.targets.iter().any(changed),
        Undo::Never | Undo::Nothing => false,
    };
    touching.iter().any(half) || touching.iter().any(taken_back) && !is_verified(evidence, &stem, moment)
}

/// Whether verification passed, where the night has one.
fn is_verified(evidence: &Evidence, stem: &str, moment: Timestamp) -> bool {
    let name = format!("{stem}smoke");
    evidence.jobs(stem).all(|change| change.key.name != name) || complete(evidence, &name, moment)
}

/// Every value of the object, by its path.
fn leaves(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(&format!("{path}/{name}"), value, found)),
        other => drop(found.insert(path.to_owned(), other.clone())),
    }
}

/// Whether each value that we changed is as by day again, whatever others have changed beside; what was not there by day is gone or harms
/// nobody.
fn is_restored(evidence: &Evidence, key: &Key, moment: Timestamp) -> bool {
    let values = |object: &Value| {
        let mut found = BTreeMap::new();
        leaves("", &essence(object), &mut found);
        found
    };
    let Some(day) = evidence.by_day.get(key).map(|day| values(day)) else { return true };
    let own: Vec<&Change> = evidence.of(key).filter(|one| one.at <= moment && evidence.is_ours(one)).collect();
    let Some(last) = own.last().and_then(|change| change.after.as_deref()).map(values) else { return true };
    own.iter().all(|change| {
        let [before, after] = [&change.before, &change.after].map(|one| one.as_deref().map(values).unwrap_or_default());
        let changed = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
        changed.into_iter().all(|path| last.get(path) == day.get(path))
    })
}

/// Whether the Job did what it was for. Who is stopped may say so too, and does not count.
fn complete(evidence: &Evidence, job: &str, moment: Timestamp) -> bool {
    let own = evidence.jobs(job).filter(|change| change.key.name == job && change.at <= moment);
    let runs = |change: &&Change| change.before.as_deref().is_some_and(may_run);
    let mut untouched = own.skip_while(|change| !runs(change)).take_while(|change| change.after.as_deref().is_some_and(may_run));
    untouched.any(|change| change.after.as_deref().is_some_and(|job| is(job, "Complete")))
}

/// Whether the objects that closing changed are as by day, and who knocks is let in.
fn is_open(evidence: &Evidence, service: &Service, moment: Timestamp) -> bool {
    let seen = evidence.sightings.iter().rfind(|sighting| sighting.service == service.id && sighting.at <= moment);
    if !service.probes.is_empty() {
        return seen.is_some_and(|sighting| sighting.is_open);
    }
    service.closing.iter().all(|key| {
        let last = evidence.of(key).take_while(|change| change.at <= moment).last();
        let now = last.map_or(evidence.by_day.get(key), |change| change.after.as_ref());
        now.map(|object| essence(object)) == evidence.by_day.get(key).map(|object| essence(object))
    })
}

/// Whether it was somebody else who last gave something that keeps it closed back as it was by day.
fn is_opened_by_others(evidence: &Evidence, service: &Service, moment: Timestamp) -> bool {
    service.closing.iter().any(|key| {
        let last = evidence.of(key).filter(|change| change.at <= moment && change.differs()).last();
        let day = evidence.by_day.get(key).map(|day| essence(day));
        last.is_some_and(|change| !evidence.is_ours(change) && change.after.as_deref().map(essence) == day)
    })
}

/// Whether an Event that warns named the service before.
fn is_told(evidence: &Evidence, service: &str, moment: Timestamp) -> bool {
    let mut events = evidence.changes.iter().filter(|change| change.key.resource == "events" && change.at <= moment);
    events.any(|change| {
        let text =
            |field: &str| change.after.as_ref().and_then(|event| event[field].as_str().map(str::to_owned)).unwrap_or_default();
        text("type") == "Warning" && (text("note") + &text("action")).contains(service)
    })
}

/// At its deadline every service is open, or closed for half-done work, and people know.
pub fn opened(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    const PROMISE: &str = "open before doors";
    let by = declared.must_serve_by;
    let mut broken = vec![];
    for service in declared.closed().filter(|service| !is_open(evidence, service, by)) {
        let dirty = is_half_done(declared, evidence, &service.id, by);
        let upstream = service.needs.iter().any(|id| is_half_done(declared, evidence, id, by));
        if !dirty && !upstream {
            broken.push(Broken::new(PROMISE, format!("{} is not open at {by}", service.id)));
        } else if dirty && service.when_dirty == "Open" {
            broken.push(Broken::new(PROMISE, format!("{} is half done and declared open, and closed at {by}", service.id)));
        } else if !is_told(evidence, &service.id, by) {
            broken.push(Broken::new(PROMISE, format!("{} is not open at {by}, and nobody was told", service.id)));
        }
    }
    // Half-done work behind a door that we opened is the other way to break it.
    for service in declared.closed().filter(|service| is_open(evidence, service, by) && service.when_dirty == "StayClosed") {
        if !is_opened_by_others(evidence, service, by) && is_half_done(declared, evidence, &service.id, by) {
            broken.push(Broken::new("data before the clock", format!("{} is open at {by} on half-done work", service.id)));
        }
    }
    broken
}

/// A service that is open after the night stays so.
pub fn stayed_open(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let entries = records::entries(declared, evidence);
    let Some(finished) = entries.iter().find(|entry| entry.kind == "finished") else { return vec![] };
    let mut broken = vec![];
    for service in declared.closed().filter(|service| !service.closes_again) {
        let mut seen = evidence.sightings.iter().filter(|one| one.service == service.id && one.at >= finished.at);
        let opened = seen.find(|one| one.is_open);
        if let (Some(opened), Some(closed)) = (opened, seen.find(|one| !one.is_open)) {
            broken.push(Broken::new(
                "open from then on",
                format!("{} at {}, closed again at {}", service.id, opened.at, closed.at),
            ));
        }
    }
    broken
}
