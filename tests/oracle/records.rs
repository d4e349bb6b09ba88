//! The ledger as what was written: one history, in which a night turns once, and in which nothing is done that is not recorded before.
//!
//! In: the ledger's `ConfigMap`, version by version. Out: broken promises. Invariants: hashes are computed here a second time. Not here: what a record means
//! to the engine.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Broken;
use super::declared::{Declared, Service};
use super::evidence::{Change, Evidence, essence, may_run, token};

/// Largest ledger, bytes.
const LEDGER_BYTES_MAX: usize = 256 * 1024;
/// How long a request that was sent may still land.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(60);

/// One entry of a record, and where in the order of the store it was written.
pub struct Entry {
    pub place: usize,
    pub at: Timestamp,
    pub kind: String,
    pub what: Value,
}

pub fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entries_of(record: &str) -> Vec<(String, Value)> {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let entries = record["entries"].as_array().cloned().unwrap_or_default();
    let event =
        |entry: &Value| entry["event"].as_object().and_then(|event| event.iter().next().map(|(k, v)| (k.clone(), v.clone())));
    entries.iter().filter_map(event).collect()
}

/// Everything recorded, in the order in which it was written.
pub fn entries(declared: &Declared, evidence: &Evidence) -> Vec<Entry> {
    let Some(key) = declared.ledger(evidence) else { return vec![] };
    let mut found = vec![];
    for (place, change) in evidence.changes.iter().enumerate().filter(|(_, change)| change.key == key) {
        for (_, record) in added(change) {
            found.extend(entries_of(&record).into_iter().map(|(kind, what)| Entry { place, at: change.at, kind, what }));
        }
    }
    found
}

/// Records that this version has and the one before had not.
fn added(change: &Change) -> Vec<(String, String)> {
    let records = |object: &Option<std::sync::Arc<Value>>| -> Vec<(String, String)> {
        let data = object.as_ref().and_then(|object| object["data"].as_object());
        let is = |name: &str| name.len() == 6 && name.bytes().all(|byte| byte.is_ascii_digit());
        let all = data.into_iter().flatten().filter(|(name, _)| is(name));
        all.map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned())).collect()
    };
    let before = records(&change.before);
    records(&change.after).into_iter().filter(|one| !before.contains(one)).collect()
}

pub fn is_committed(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.kind == "committed")
}

/// The ledger only grows, by one record at a time, each with the hash of the one before; a night turns once and ends once.
pub fn one_history(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    const PROMISE: &str = "one history";
    let Some(key) = declared.ledger(evidence) else { return vec![] };
    let mut broken = vec![];
    let (mut seq, mut hash) = (0, String::new());
    for change in evidence.of(&key) {
        let Some(after) = &change.after else {
            broken.push(Broken::new(PROMISE, format!("the ledger was deleted at {}", change.at)));
            continue;
        };
        let size = after["data"].to_string().len();
        if size > LEDGER_BYTES_MAX {
            broken.push(Broken::new("bounded", format!("the ledger has {size} bytes at {}", change.at)));
        }
        for (name, record) in added(change) {
            seq += 1;
            let prev = serde_json::from_str::<Value>(&record).unwrap_or_default()["prev"].as_str().unwrap_or_default().to_owned();
            if name != format!("{seq:06}") || (prev != hash && seq > 1) {
                broken.push(Broken::new(PROMISE, format!("record {name} at {} follows {}: {record}", change.at, seq - 1)));
            }
            hash = sha256(&record);
        }
        if after["data"]["head"] != format!("{seq}:{hash}").as_str() {
            broken
                .push(Broken::new(PROMISE, format!("at {} the head is {}, not {seq}:{hash}", change.at, after["data"]["head"])));
        }
    }
    let entries = entries(declared, evidence);
    let count = |kinds: &[&str]| entries.iter().filter(|entry| kinds.contains(&entry.kind.as_str())).count();
    for kinds in [&["goingBack", "committed"][..], &["takenOver"], &["finished"], &["armed"], &["workBegun"]] {
        if count(kinds) > 1 {
            broken.push(Broken::new(PROMISE, format!("{kinds:?} is recorded {} times", count(kinds))));
        }
    }
    broken
}

/// What a change does forward: an object of a target, or a Job that is let run, under a token that says so.
fn forward<'a>(declared: &Declared, evidence: &'a Evidence) -> Vec<(usize, &'a Change)> {
    let targets = declared.targets();
    let stem = declared.stem(evidence).unwrap_or_default();
    let is = |change: &Change| {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
        if token(before).is_none_or(|token| !token.ends_with(".forward")) {
            return false;
        }
        let target = targets.contains_key(&change.key) && essence(before) != essence(after);
        let job = change.key.resource == "jobs" && change.key.name.starts_with(&stem) && !may_run(before) && may_run(after);
        target || job
    };
    evidence.changes.iter().enumerate().filter(|(_, change)| evidence.is_ours(change) && is(change)).collect()
}

/// Once the night has turned, or is committed, nothing goes forward but what was under way; and nothing so late that what is kept free is gone.
pub fn forward_ends_at_the_turn(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    const PROMISE: &str = "no forward write after the turn-back";
    let entries = entries(declared, evidence);
    let turn = entries.iter().find(|entry| ["goingBack", "committed", "takenOver"].contains(&entry.kind.as_str()));
    let latest = declared.must_serve_by - declared.kept_free;
    let mut broken = vec![];
    for (place, change) in forward(declared, evidence) {
        // Undos are released under a token that says back, and what verifies under none that says forward.
        let is_undo = change.key.name.contains("-undo-") || change.key.name.ends_with("-smoke");
        if is_undo {
            continue;
        }
        if let Some(turn) = turn.filter(|turn| place > turn.place && change.at > turn.at + IN_FLIGHT) {
            broken.push(Broken::new(PROMISE, format!("{} at {}, turned at {}", change.key, change.at, turn.at)));
        }
        if change.at > latest {
            broken.push(Broken::new(PROMISE, format!("{} at {}, later than {latest}", change.key, change.at)));
        }
    }
    let burned = |change: &Change| change.before.as_deref().and_then(token).is_some_and(|token| !token.ends_with(".forward"));
    for change in evidence.ours().filter(|change| burned(change)) {
        let (Some(before), Some(after), Some(day)) = (&change.before, &change.after, evidence.by_day.get(&change.key)) else {
            continue;
        };
        let again = |one: &Service| one.closes_again && one.closing.contains(&change.key) || one.degraded.contains(&change.key);
        let allowed = declared.services.values().any(again);
        if declared.targets().contains_key(&change.key)
            && essence(before) == essence(day)
            && essence(after) != essence(day)
            && !allowed
        {
            broken.push(Broken::new(PROMISE, format!("{} is changed again at {}", change.key, change.at)));
        }
    }
    broken
}

/// Whatever is done was recorded as intended before.
pub fn recorded_before_done(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let entries = entries(declared, evidence);
    let stem = declared.stem(evidence).unwrap_or_default();
    let mut broken = vec![];
    for (place, change) in forward(declared, evidence) {
        let steps: Vec<&str> = declared
            .steps
            .iter()
            .filter(|step| {
                let closes =
                    step.closes.iter().filter_map(|id| declared.services.get(id)).any(|one| one.closing.contains(&change.key));
                step.is_job && change.key.name == format!("{stem}{}", step.name) || step.targets.contains(&change.key) || closes
            })
            .map(|step| step.name.as_str())
            .collect();
        let intended = |entry: &Entry| {
            entry.place < place
                && entry.kind == "stepIntended"
                && entry.what["step"].as_str().is_some_and(|name| steps.contains(&name))
        };
        if !steps.is_empty() && !entries.iter().any(intended) {
            broken.push(Broken::new(
                "recorded before done",
                format!("{} at {}: {steps:?} was not intended", change.key, change.at),
            ));
        }
    }
    for (place, change) in evidence.changes.iter().enumerate().filter(|(_, change)| change.key.resource == "jobs") {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
        let Some((step, attempt)) = change.key.name.strip_prefix(&stem).and_then(|name| name.rsplit_once("-undo-")) else {
            continue;
        };
        let released = !may_run(before) && may_run(after) && evidence.is_ours(change);
        let recorded = |entry: &Entry| {
            entry.place < place
                && entry.kind == "undoReleased"
                && entry.what["step"] == step
                && entry.what["attempt"].as_u64() == attempt.parse().ok()
        };
        if released && !entries.iter().any(recorded) {
            broken.push(Broken::new("recorded before done", format!("{} was let run at {} unrecorded", change.key, change.at)));
        }
    }
    broken
}
