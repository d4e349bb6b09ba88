//! A night on the real cluster, judged by the oracle: by the audit log, by what stood there by day and at last, by what was seen at the doors.
//!
//! In: what was watched, nights that are over. Out: a failed test that names every promise that was broken and that the test does not excuse.
//! Invariants: the log has every version that a list shows, or it is no evidence; an excuse that nothing needs is a failure too.
//! Not here: what is promised (the oracle), how a line of the log is read (`audit_log`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::audit::{Audit, OPERATOR};
use super::cluster::{Cluster, say, until, wait};
use super::doors::Doors;
use super::oracle::audit_log::{Hands, Told, read, revision};
use super::oracle::recording::Recording;
use super::oracle::{Broken, Change, Declared, Evidence, Key, Sighting, judge};

/// Objects by key.
pub type Objects = BTreeMap<Key, Arc<Value>>;

/// Everything of which the audit log has bodies.
const KINDS: [(&str, &str); 14] = [
    ("/api/v1", "configmaps"),
    ("/api/v1", "services"),
    ("/api/v1", "pods"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "replicasets"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/apps/v1", "daemonsets"),
    ("/apis/apps/v1", "controllerrevisions"),
    ("/apis/batch/v1", "jobs"),
    ("/apis/batch/v1", "cronjobs"),
    ("/apis/notturno.dev/v1alpha1", "interventions"),
    ("/apis/notturno.dev/v1alpha1", "officecalendars"),
    ("/apis/notturno.dev/v1alpha1", "publicservices"),
    ("/apis/notturno.dev/v1alpha1", "runbooks"),
];
/// What is told of the end, and the switch that is taken down.
const SETTLES_FOR: SignedDuration = SignedDuration::from_secs(5);
/// After that everything is quiet, and watched for so long.
const WATCHED_FOR: SignedDuration = SignedDuration::from_secs(10);
/// So soon after a Pod is ready people are led to it.
const LED_WITHIN: SignedDuration = SignedDuration::from_secs(5);
/// A line is written after its change and before its answer.
const LOGGED_WITHIN: u64 = 10;

/// When a promise need not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// Whenever it is.
    Ever,
    /// As long as the log says of a Pod behind the door that it is there and not ready, and a moment after; whether that happens is chance.
    Unready,
}

/// One promise that a test makes impossible, about one thing.
pub struct Excuse {
    pub promise: &'static str,
    /// How the oracle's words begin; of a door its service alone.
    pub about: String,
    pub during: During,
    pub why: &'static str,
}

/// Everything that stands there now.
pub fn objects(cluster: &Cluster) -> Objects {
    let mut all = Objects::new();
    for (group, resource) in KINDS {
        let list = cluster.get(&format!("{group}/{resource}")).unwrap_or_default();
        let kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default();
        for mut object in list["items"].as_array().cloned().unwrap_or_default() {
            // Lists leave both to the reader; the log does not.
            object["apiVersion"] = json!(list["apiVersion"]);
            object["kind"] = json!(kind);
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            all.insert(Key::new(resource, text("namespace"), text("name")), Arc::new(object));
        }
    }
    all
}

/// What a list shows and the log does not, in words.
fn holes(told: &Told, at_last: &Objects) -> Vec<String> {
    let is_told = |key: &Key, object: &Value| told.last.get(key).and_then(|last| revision(last)) >= revision(object);
    let missing = at_last.iter().filter(|(key, object)| !is_told(key, object));
    // Whoever takes a kind away takes its objects away, and no log says so.
    let is_kept = |key: &Key| KINDS.iter().any(|(group, resource)| *resource == key.resource && !group.contains("notturno.dev"));
    let gone = told.last.keys().filter(|key| is_kept(key) && !at_last.contains_key(key));
    let missing = missing.map(|(key, object)| format!("{key} in version {}", object["metadata"]["resourceVersion"]));
    missing.chain(gone.map(|key| format!("the end of {key}"))).collect()
}

/// The evidence without what was seen at the service's door while a Pod behind it was there and not ready.
fn without_unready(evidence: &Evidence, service: &str) -> Evidence {
    let (namespace, name) = service.split_once('/').unwrap();
    let is_its = |change: &&Change| {
        let pod = change.after.as_deref().or(change.before.as_deref());
        change.key.resource == "pods"
            && change.key.namespace == namespace
            && pod.is_some_and(|pod| pod["metadata"]["labels"]["app"] == name)
    };
    let mut open: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut unready: Vec<(Timestamp, Timestamp)> = vec![];
    for change in evidence.changes.iter().filter(is_its) {
        let is_unready =
            change.after.as_deref().is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_null() && !is_ready(pod));
        if is_unready {
            open.entry(&change.key.name).or_insert(change.at);
        } else if let Some(from) = open.remove(change.key.name.as_str()) {
            unready.push((from, change.at + LED_WITHIN));
        }
    }
    unready.extend(open.into_values().map(|from| (from, Timestamp::MAX)));
    let mut seen = evidence.clone();
    seen.sightings.retain(|one| one.service != service || !unready.iter().any(|(from, until)| (*from..*until).contains(&one.at)));
    seen
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

/// What a test has watched from its beginning.
pub struct Watched<'a> {
    pub cluster: &'a Cluster,
    pub audit: &'a Audit,
    pub by_day: &'a Objects,
    pub doors: &'a Doors,
    /// Where the services stand whose doors they are.
    pub services_in: &'static str,
}

/// A night that is over.
pub struct Over<'a> {
    pub documents: &'a [Value],
    pub must_serve_by: Timestamp,
    pub excuses: &'a [Excuse],
}

impl Over<'_> {
    fn namespace(&self) -> &str {
        let night = self.documents.iter().find(|one| one["kind"] == "Intervention").expect("a night");
        night["metadata"]["namespace"].as_str().unwrap()
    }

    /// Every promise was kept, but for what is excused; the evidence, and the lines of the log that it was made of, are kept where one asks.
    fn is_judged(&self, evidence: &Evidence, lines: &[Value]) {
        let declared = Declared::read(self.documents, self.must_serve_by);
        if let Some(path) = std::env::var_os("NOTTURNO_RECORD") {
            let recording = Recording::of(OPERATOR, self.documents, &declared, evidence, lines);
            std::fs::write(path, recording.text()).unwrap();
        }
        let ours = evidence.ours().count();
        assert!(ours > 0, "none of {} changes is ours: nothing was judged", evidence.changes.len());
        let broken = judge(&declared, evidence);
        let excuses_it = |excuse: &Excuse, one: &Broken| excuse.promise == one.promise && one.what.starts_with(&excuse.about);
        let mut left: Vec<Broken> = vec![];
        for one in &broken {
            match self.excuses.iter().find(|excuse| excuses_it(excuse, one)).map(|excuse| (excuse, excuse.during)) {
                None => left.push(one.clone()),
                Some((_, During::Ever)) => {}
                Some((excuse, During::Unready)) => {
                    let seen = without_unready(evidence, &excuse.about);
                    left.extend(judge(&declared, &seen).into_iter().filter(|one| excuses_it(excuse, one)));
                }
            }
        }
        assert!(left.is_empty(), "{}: broken: {left:#?}", self.namespace());
        for excuse in self.excuses.iter().filter(|excuse| excuse.during == During::Ever) {
            assert!(broken.iter().any(|one| excuses_it(excuse, one)), "excused in vain: {}: {}", excuse.promise, excuse.why);
        }
        say(format!(
            "{} judged by {} changes ({ours} of them ours), {} requests, {} knocks: every promise kept, {} excused",
            self.namespace(),
            evidence.changes.len(),
            evidence.requests.len(),
            evidence.sightings.len(),
            broken.len()
        ));
    }
}

impl Watched<'_> {
    /// Every promise of every night was kept, but for what a test itself made impossible.
    pub fn are_judged(&self, nights: &[Over]) {
        let quiet_from = Timestamp::now() + SETTLES_FOR;
        until(quiet_from + WATCHED_FOR);
        for night in nights {
            let hands = Hands::of(OPERATOR, night.documents);
            let (lines, mut evidence) = self.evidence(&hands, quiet_from);
            // What the operator does for another night is held against that one.
            let elsewhere: Vec<&str> = nights.iter().map(Over::namespace).filter(|one| *one != night.namespace()).collect();
            let is_for_another =
                |change: &Change| change.user.as_deref() == Some(OPERATOR) && elsewhere.contains(&&*change.key.namespace);
            evidence.changes.retain(|change| !is_for_another(change));
            night.is_judged(&evidence, &lines);
        }
    }

    /// The lines of the log, and what they and everything else that was watched tell.
    fn evidence(&self, hands: &Hands, quiet_from: Timestamp) -> (Vec<Value>, Evidence) {
        let (mut lines, mut told, mut at_last, mut left) = (vec![], Told::default(), Objects::new(), vec![]);
        let begun = Instant::now();
        wait(2 * LOGGED_WITHIN, "an audit log", || {
            at_last = objects(self.cluster);
            lines = self.audit.lines();
            told = read(&lines, hands, self.by_day);
            left = holes(&told, &at_last);
            (left.is_empty() || begun.elapsed().as_secs() > LOGGED_WITHIN).then_some(())
        });
        assert!(left.is_empty(), "not in the audit log: {left:#?}");
        let door = |(name, at, is_open): (&str, Timestamp, bool)| Sighting {
            at,
            service: format!("{}/{name}", self.services_in),
            is_open,
        };
        let evidence = Evidence {
            by_day: self.by_day.clone(),
            changes: told.changes,
            requests: told.requests,
            sightings: self.doors.answers().into_iter().map(door).collect(),
            at_last,
            quiet_from,
            until: Timestamp::now(),
            others: told.others,
        };
        (lines, evidence)
    }
}

#[test]
fn a_door_that_nobody_answers_is_not_held_against_us_while_its_pod_is_not_ready_and_only_then() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let pod = |name: &str, ready: &str| {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        Some(Arc::new(json!({"metadata": {"labels": {"app": name}}, "status": {"conditions": conditions}})))
    };
    let change = |second: i64, name: &str, ready: &str| Change {
        at: at(second),
        user: None,
        key: Key::new("pods", "citta", &format!("{name}-1")),
        before: None,
        after: pod(name, ready),
    };
    let knock = |service: &str, second: i64| Sighting { at: at(second), service: service.to_owned(), is_open: false };
    let evidence = Evidence {
        by_day: Objects::new(),
        changes: vec![change(10, "permessi", "False"), change(11, "pagamenti", "True"), change(20, "permessi", "True")],
        requests: vec![],
        sightings: vec![
            knock("citta/permessi", 9),
            knock("citta/permessi", 10),
            knock("citta/pagamenti", 15),
            knock("citta/permessi", 24),
            knock("citta/permessi", 25),
        ],
        at_last: Objects::new(),
        quiet_from: at(30),
        until: at(40),
        others: vec![],
    };
    let left = |service: &str| without_unready(&evidence, service).sightings.iter().map(|one| one.at).collect::<Vec<_>>();
    assert_eq!(left("citta/permessi"), [at(9), at(15), at(25)]);
    assert_eq!(left("citta/pagamenti").len(), 5);
}
