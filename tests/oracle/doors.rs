//! The promise itself: open when doors open, or closed by declared choice and people told; and open from then on.
//!
//! In: sightings, changes. Out: broken promises. Invariant: half done is what ran and was neither undone nor committed, whatever anybody
//! reports. Not here: how long reopening takes.

use jiff::Timestamp;

use super::Broken;
use super::declared::{Declared, Service, Undo};
use super::evidence::{Evidence, essence, is};
use super::{records, undos};

/// Whether data of the service may be half done at `moment`.
pub fn is_half_done(declared: &Declared, evidence: &Evidence, service: &str, moment: Timestamp) -> bool {
    let entries = records::entries(declared, evidence);
    if entries.iter().any(|entry| entry.kind == "committed" && entry.at <= moment) {
        return false;
    }
    let undone = |step: &str| undos::undo_of(declared, evidence, step).completed.is_some_and(|(_, at)| at <= moment);
    let touching = declared.steps.iter().filter(|step| step.touches.contains(service) && undos::ran(declared, evidence, step));
    let stem = declared.stem(evidence).unwrap_or_default();
    let verified = |name: &str| {
        let complete =
            |change: &super::Change| change.at <= moment && change.after.as_deref().is_some_and(|job| is(job, "Complete"));
        let mut own = evidence.jobs(&stem).filter(|change| change.key.name == format!("{stem}{name}")).peekable();
        own.peek().is_none() || own.any(complete)
    };
    let mut half = touching.filter(|step| match &step.undo {
        Undo::Job => !undone(&step.name),
        Undo::CoveredBy(other) => !undone(other),
        Undo::Restore => step.targets.iter().any(|key| {
            let at = evidence.of(key).take_while(|change| change.at <= moment).last().and_then(|change| change.after.as_ref());
            at.is_some_and(|object| evidence.by_day.get(key).is_some_and(|day| essence(day) != essence(object)))
        }),
        Undo::Never | Undo::Nothing => !complete(evidence, &format!("{stem}{}", step.name), moment),
    });
    let any = half.next().is_some();
    let touched = declared.steps.iter().any(|step| step.touches.contains(service) && undos::ran(declared, evidence, step));
    any || touched && !verified("smoke")
}

fn complete(evidence: &Evidence, job: &str, moment: Timestamp) -> bool {
    let own = evidence.jobs(job).filter(|change| change.key.name == job && change.at <= moment);
    own.filter_map(|change| change.after.as_deref()).any(|job| is(job, "Complete"))
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
    // Half-done work behind an open door is the other way to break it.
    for service in declared.closed().filter(|service| is_open(evidence, service, by) && service.when_dirty == "StayClosed") {
        if is_half_done(declared, evidence, &service.id, by) {
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
