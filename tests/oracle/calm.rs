//! How much is written and asked: bounded in the night, and nothing once it is over.
//!
//! In: requests. Out: broken promises. Invariant: bounds follow from what the night declares. Not here: how fast it goes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Broken;
use super::declared::{Declared, Undo};
use super::evidence::{Evidence, Key};
use super::records;

/// Writes of one night for each of its steps, services and Jobs, faults included.
const WRITES_EACH_MAX: usize = 60;
/// Requests an hour once all is over, for each of those who still watch.
const CALM_REQUESTS_MAX: usize = 300;
/// How often in an hour whoever has taken a night over looks at it while it is not over, and what each look asks beside each object.
const LOOKS_MAX: usize = 240;
const LOOK_REQUESTS: usize = 4;
/// From a decision to the report of it.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// The night writes in proportion to what it declares, and tells each entry once.
pub fn bounded(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let mut broken = vec![];
    let writes = evidence.requests.iter().filter(|request| request.writes && !evidence.others.contains(&request.user)).count();
    let writes_max = WRITES_EACH_MAX * (declared.steps.len() + declared.services.len() + 4);
    if writes > writes_max {
        broken.push(Broken::new("bounded", format!("{writes} writes, more than {writes_max}")));
    }
    let entries = records::entries(declared, evidence).len();
    let events = evidence.changes.iter().filter(|one| one.key.resource == "events" && one.before.is_none()).count();
    if events > 2 * entries + 20 {
        broken.push(Broken::new("bounded", format!("{events} Events of {entries} entries")));
    }
    broken
}

/// The most that somebody asks in an hour who looks every fifteen seconds at all that the night may change or let run.
pub fn looks_max(declared: &Declared) -> usize {
    let jobs = declared.steps.iter().map(|step| usize::from(step.is_job) + usize::from(step.undo == Undo::Job)).sum::<usize>();
    LOOKS_MAX * (LOOK_REQUESTS + declared.targets().len() + jobs)
}

/// Once faults stop and the night is over nobody writes, and little is asked.
pub fn quiet(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let mut broken: Vec<Broken> = evidence
        .ours()
        .filter(|change| change.at > evidence.quiet_from && change.key.resource != "leases")
        .map(|change| Broken::new("quiet", format!("{} is still written at {}", change.key, change.at)))
        .collect();
    let hours = usize::try_from(evidence.until.duration_since(evidence.quiet_from).as_hours()).unwrap_or(0) + 1;
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    for one in evidence.requests.iter().filter(|one| one.at > evidence.quiet_from && !evidence.others.contains(&one.user)) {
        *asked.entry(&one.user).or_default() += 1;
    }
    let entries = records::entries(declared, evidence);
    let has = |kind: &str| entries.iter().any(|entry| entry.kind == kind);
    let each_max = if has("takenOver") && !has("finished") { looks_max(declared) } else { CALM_REQUESTS_MAX };
    let restless = asked.into_iter().filter(|(_, count)| *count > each_max * hours);
    broken.extend(restless.map(|(user, count)| Broken::new("quiet", format!("{user} asks {count} times in {hours} hours"))));
    broken
}

/// Whoever reads of a night that is not over finds what it waits for, and when it looks at itself again if nothing happens before.
pub fn every_pause_has_a_reason(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    const PROMISE: &str = "every pause has a reason";
    let key = Key::new("interventions", &declared.namespace, &declared.name);
    let mut broken = vec![];
    let entries = records::entries(declared, evidence);
    let taken_over_at = entries.iter().find(|entry| entry.kind == "takenOver").map(|entry| entry.at);
    for change in evidence.ours().filter(|change| change.key == key) {
        let Some(status) = change.after.as_ref().map(|night| &night["status"]).filter(|status| status["phase"].is_string())
        else {
            continue;
        };
        if status["outcome"].is_string() || change.before.as_ref().is_some_and(|night| night["status"] == *status) {
            continue;
        }
        if status["why"].as_str().is_none_or(str::is_empty) {
            broken.push(Broken::new(PROMISE, format!("none is told at {}", change.at)));
        }
        let wakes_at = status["wakeAt"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        // Whoever calls a person may have nothing to wake for but what that person does.
        let waits_for_person = wakes_at.is_none() && status["needsHuman"] == true;
        // Whoever was deposed tells what others write, and has nothing of its own to wake for.
        let is_deposed = taken_over_at.is_some_and(|at| at <= change.at);
        if !waits_for_person && !is_deposed && wakes_at.is_none_or(|moment| moment < change.at - TOLD_WITHIN) {
            broken.push(Broken::new(PROMISE, format!("at {} it wakes at {}: {}", change.at, status["wakeAt"], status["why"])));
        }
    }
    broken
}
