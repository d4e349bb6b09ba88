//! How much is written and asked: bounded in the night, and nothing once it is over.
//!
//! In: requests. Out: broken promises. Invariant: bounds follow from what the night declares. Not here: how fast it goes.

use super::Broken;
use super::declared::Declared;
use super::evidence::Evidence;
use super::records;

/// Writes of one night for each of its steps, services and Jobs, faults included.
const WRITES_EACH_MAX: usize = 60;
/// Requests an hour once all is over, for each of those who still watch.
const CALM_REQUESTS_MAX: usize = 300;

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

/// Once faults stop and the night is over nobody writes, and little is asked.
pub fn quiet(_: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let mut broken: Vec<Broken> = evidence
        .ours()
        .filter(|change| change.at > evidence.quiet_from && change.key.resource != "leases")
        .map(|change| Broken::new("quiet", format!("{} is still written at {}", change.key, change.at)))
        .collect();
    let asked =
        evidence.requests.iter().filter(|one| one.at > evidence.quiet_from && !evidence.others.contains(&one.user)).count();
    let hours = usize::try_from(evidence.until.duration_since(evidence.quiet_from).as_hours()).unwrap_or(0) + 1;
    if asked > CALM_REQUESTS_MAX * hours {
        broken.push(Broken::new("quiet", format!("{asked} requests in {hours} hours")));
    }
    broken
}
