//! The judge itself, on an invented night: a good one passes, and every harm that it is there for is noticed.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::judge::{Course, judge};
use super::nights::{Kind, Night};
use crate::audit::{Result, Write};
use crate::ledger::{Ledger, sha256};
use crate::small::{SENTINEL, TENANT};

const JOB_CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";
const UID: &str = "0123456789";

/// A night that sentinels took over while its Job ran, with two writes of the operator that came too late.
struct Story {
    writes: Vec<Write>,
    records: Vec<String>,
}

impl Story {
    fn told() -> Self {
        let mut story = Self { writes: vec![], records: vec![] };
        story.record("operator", &["accepted"]);
        story.object("tenant", "configmaps", "banco-01", &json!({"stato": "vecchio"}), None);
        story.object("tenant", "configmaps", "sportello-01", &json!({"stato": "aperto"}), None);
        story.object(TENANT, "configmaps", "sportello-01", &json!({"stato": "aperto"}), Some("1.forward"));
        story.record(TENANT, &["armed", "workBegun"]);
        story.object(TENANT, "configmaps", "sportello-01", &json!({"stato": "chiuso"}), Some("1.forward"));
        story.release(TENANT, "lavoro");
        story.record(SENTINEL, &["takenOver", "goingBack"]);
        story.object(SENTINEL, "configmaps", "sportello-01", &json!({"stato": "chiuso"}), Some("2.reopen"));
        story.release(SENTINEL, "lavoro-undo-1");
        story.object(SENTINEL, "configmaps", "sportello-01", &json!({"stato": "aperto"}), Some("2.reopen"));
        story.record(SENTINEL, &["finished"]);
        story.object(TENANT, "configmaps", "sportello-01", &json!({"stato": "aperto"}), None);
        story
    }

    /// The place of the write after which the door was open again.
    fn opening(&self) -> usize {
        self.writes.iter().rposition(|write| write.name == "sportello-01" && write.user == SENTINEL).unwrap()
    }

    fn push(&mut self, user: &str, resource: &str, name: &str, body: Value, stored: Value) {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(10 * i64::try_from(self.writes.len()).unwrap());
        let (verb, namespace) = (if resource == "pods" { "create" } else { "patch" }.to_owned(), "molti".to_owned());
        let (user, resource, name) = (user.to_owned(), resource.to_owned(), name.to_owned());
        self.writes.push(Write { user, verb, resource, namespace, name, at, result: Result::Stored, body, stored });
    }

    fn revision(&self) -> String {
        (100 + self.writes.len()).to_string()
    }

    fn object(&mut self, user: &str, resource: &str, name: &str, data: &Value, token: Option<&str>) {
        let annotations = token.map_or(json!({}), |token| json!({"notturno.dev/token": format!("{UID}.{token}")}));
        let stored = json!({"metadata": {"resourceVersion": self.revision(), "annotations": annotations}, "data": data});
        self.push(user, resource, name, json!([]), stored);
    }

    fn release(&mut self, user: &str, job: &str) {
        let name = format!("notte-01-{}-{job}", &UID[..8]);
        let body = json!([{"op": "replace", "path": "/spec/suspend", "value": false}]);
        let stored = json!({"metadata": {"resourceVersion": self.revision()}});
        self.push(user, "jobs", &name, body, stored);
        let pod = json!({"metadata": {"ownerReferences": [{"name": name}]}});
        self.push(JOB_CONTROLLER, "pods", "", pod, Value::Null);
    }

    fn record(&mut self, user: &str, kinds: &[&str]) {
        let entry = |kind: &&str| json!({"at": "2023-02-10T00:00:00Z", "event": {*kind: {"outcome": "RolledBack"}}, "why": "w"});
        let prev = self.records.last().map(|record| sha256(record.as_bytes())).unwrap_or_default();
        let seq = self.records.len() + 1;
        let record = json!({"seq": seq, "prev": prev, "entries": kinds.iter().map(entry).collect::<Vec<_>>()}).to_string();
        let head = format!("{seq}:{}", sha256(record.as_bytes()));
        if seq > 1 {
            let body = json!([{"path": "/data/head"}, {"value": head}, {"value": record}]);
            let (stored, name) = (json!({"metadata": {"resourceVersion": self.revision()}}), "notturno-notte-01-01234567-ledger");
            self.push(user, "configmaps", name, body, stored);
        }
        self.records.push(record);
    }

    fn judged(&self) -> Course {
        let mut data: serde_json::Map<String, Value> = self
            .records
            .iter()
            .enumerate()
            .map(|(place, record)| (format!("{:06}", place + 1), record.as_str().into()))
            .collect();
        let last = self.records.last().unwrap();
        data.insert("head".to_owned(), format!("{}:{}", self.records.len(), sha256(last.as_bytes())).into());
        let night = Night {
            kind: Kind::Works,
            number: "01".to_owned(),
            uid: UID.to_owned(),
            must_serve_by: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1000),
            ledger: Some(Ledger::follow(&Value::Object(data))),
            status: json!({"outcome": "RolledBack"}),
        };
        judge(&night, &self.writes)
    }
}

#[test]
fn a_night_that_was_taken_over_and_whose_operator_was_refused_has_no_problem() {
    let mut story = Story::told();
    let place = story.opening();
    let mut late = story.writes[place].clone();
    late.user = TENANT.to_owned();
    let idle = late.clone();
    (late.result, late.stored) = (Result::Refused(422), Value::Null);
    late.at += SignedDuration::from_millis(300);
    story.writes.extend([late, idle]);
    let course = story.judged();
    assert!(course.problems.is_empty(), "{:?}", course.problems);
    assert!(course.taken_over_at.is_some() && course.opened_by_sentinels);
    assert_eq!((course.refused_count, course.idle_count), ((1, 0), 1));
    assert!(course.raced_within(SignedDuration::from_secs(1)));
    assert!(!Story::told().judged().raced_within(SignedDuration::from_secs(1)), "ten seconds lie between any two writes");
}

#[test]
fn what_happens_twice_or_by_the_wrong_hand_is_a_problem() {
    let noticed = |change: &dyn Fn(&mut Story), words: &str| {
        let mut story = Story::told();
        change(&mut story);
        let problems = story.judged().problems;
        assert!(problems.iter().any(|problem| problem.contains(words)), "{words}: {problems:?}");
    };
    let opened_twice = |story: &mut Story| {
        story.object(SENTINEL, "configmaps", "sportello-01", &json!({"stato": "chiuso"}), None);
        story.object(SENTINEL, "configmaps", "sportello-01", &json!({"stato": "aperto"}), None);
    };
    noticed(&opened_twice, "the door was");
    noticed(&|story| story.release(SENTINEL, "lavoro-undo-1"), "releases and Pods");
    noticed(&|story| story.record(TENANT, &["opened"]), "record 5 is by");
    noticed(&|story| story.record(SENTINEL, &["finished"]), "finished happened 2 times");
    noticed(&|story| story.record(SENTINEL, &["takenOver"]), "takenOver happened 2 times");
    noticed(
        &|story| story.object(TENANT, "configmaps", "sportello-01", &json!({"stato": "aperto"}), Some("2.reopen")),
        "is left",
    );
    noticed(&|story| story.object(TENANT, "configmaps", "banco-01", &json!({"stato": "nuovo"}), None), "what the step changed");
    let place = Story::told().opening();
    noticed(&|story| story.writes[place].user = TENANT.to_owned(), "changed by the deposed operator");
    noticed(&|story| story.writes[place].at += SignedDuration::from_secs(5000), "it opened at");
    noticed(&|story| drop(story.writes.remove(place - 4)), "came of the appends");
}
