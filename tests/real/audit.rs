//! The API server's own account of who wrote what: its audit log.
//!
//! In: the log, from a moment on. Out: writes. Invariants: the log is written before the answer, so what is not in it did not happen;
//! writes that were refused or only tried are told apart from those that changed something. Not here: how many there may be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use super::cluster::Cluster;
use super::oracle::audit_log::{is_read, is_tried, revision};

pub const TENANT: &str = "system:serviceaccount:centro-dati:lavori-notturni";
pub const SENTINEL: &str = "system:serviceaccount:centro-dati:lavori-notturni-sentinel";
pub const OPERATOR: &str = "system:serviceaccount:notturno-system:notturno";
const JOB_CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";

/// A place in the log.
pub struct Audit {
    path: PathBuf,
    from: u64,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Result {
    Stored,
    /// `dryRun=All`: the API server tried it and stored nothing.
    Tried,
    Refused(u64),
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    pub user: String,
    pub verb: String,
    /// With its subresource.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub at: Timestamp,
    pub result: Result,
    pub body: Value,
    /// The object as it stands after it, where the log has it.
    pub stored: Value,
}

impl Audit {
    /// From now on.
    pub fn from_now(cluster: &Cluster) -> Self {
        let path = cluster.state().join("audit.log");
        let from = path.metadata().unwrap().len();
        Self { path, from }
    }

    /// Every write since then.
    pub fn writes(&self) -> Vec<Write> {
        let lines = self.lines();
        lines.iter().filter(|event| event["stage"] == "ResponseComplete" && is_write(event)).map(write).collect()
    }

    /// Everything that was logged since then.
    pub fn lines(&self) -> Vec<Value> {
        let mut file = File::open(&self.path).unwrap();
        assert!(file.metadata().unwrap().len() >= self.from, "the log was turned over: what was written is not known");
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let lines = BufReader::new(file).lines().map_while(std::io::Result::ok);
        // A line that is being written just now is not whole.
        lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok()).collect()
    }

    /// The writes of Notturno, whichever of its two hands did them.
    pub fn ours(&self) -> Vec<Write> {
        self.writes().into_iter().filter(|write| [TENANT, OPERATOR].contains(&write.user.as_str())).collect()
    }

    /// How often each Job was let run, and how many Pods its controller made for it.
    pub fn starts(&self, namespace: &str) -> BTreeMap<String, (usize, usize)> {
        starts(&self.writes(), namespace)
    }
}

/// How often each Job was let run, and how many Pods its controller made for it, by these writes.
pub fn starts(writes: &[Write], namespace: &str) -> BTreeMap<String, (usize, usize)> {
    let mut starts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for write in writes.iter().filter(|write| write.result == Result::Stored && write.namespace == namespace) {
        if write.releases() {
            starts.entry(write.name.clone()).or_default().0 += 1;
        }
        if write.user == JOB_CONTROLLER && write.verb == "create" && write.resource == "pods" {
            let owner =
                write.body["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or("a Pod without its Job in the log");
            starts.entry(owner.to_owned()).or_default().1 += 1;
        }
    }
    starts
}

impl Write {
    /// Whether it appends a record to a ledger.
    pub fn appends(&self) -> bool {
        self.result == Result::Stored && self.body[0]["path"] == "/data/head"
    }

    /// The version of the object that it made, or left as it was; none where the log does not have it. Versions of a cluster are in order.
    pub fn revision(&self) -> Option<u64> {
        revision(&self.stored)
    }

    /// Whether it lets a Job run.
    pub fn releases(&self) -> bool {
        let lets_run =
            |operation: &Value| operation["path"] == "/spec/suspend" && operation["op"] != "test" && operation["value"] == false;
        self.resource == "jobs" && self.body.as_array().is_some_and(|operations| operations.iter().any(lets_run))
    }
}

/// Whether it is of a write that counts: what Events cost is held against its own bound (the oracle).
fn is_write(event: &Value) -> bool {
    !is_read(event) && event["objectRef"]["resource"] != "events"
}

fn write(event: &Value) -> Write {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let resource = match object["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    let code = event["responseStatus"]["code"].as_u64().unwrap();
    let result = match code {
        ..400 if is_tried(event) => Result::Tried,
        ..400 => Result::Stored,
        _ => Result::Refused(code),
    };
    Write {
        user: text(&event["user"]["username"]),
        verb: text(&event["verb"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        at: text(&event["requestReceivedTimestamp"]).parse().unwrap(),
        result,
        body: event["requestObject"].clone(),
        stored: event["responseObject"].clone(),
    }
}

#[test]
fn a_job_that_starts_twice_and_a_write_that_was_refused_are_told_apart() {
    let event = |user: &str, verb: &str, resource: &str, code: u64, uri: &str, body: Value| {
        write(&serde_json::json!({
            "user": {"username": user}, "verb": verb, "requestURI": uri, "requestObject": body, "responseStatus": {"code": code},
            "objectRef": {"resource": resource, "namespace": "centro-dati", "name": "j"}, "requestReceivedTimestamp": "2023-02-10T00:00:00Z",
        }))
    };
    let body = serde_json::json!([{"op": "test", "path": "/spec/suspend", "value": true}, {"op": "replace", "path": "/spec/suspend", "value": false}]);
    let release = |code, uri| event(TENANT, "patch", "jobs", code, uri, body.clone());
    let pod =
        event(JOB_CONTROLLER, "create", "pods", 201, "/", serde_json::json!({"metadata": {"ownerReferences": [{"name": "j"}]}}));
    let once = [release(200, "/"), pod.clone(), release(422, "/"), release(200, "/?dryRun=All")];
    assert_eq!(starts(&once, "centro-dati")["j"], (1, 1));
    assert!(starts(&once, "sanita").is_empty());
    assert_eq!(starts(&[release(200, "/"), release(200, "/"), pod.clone(), pod], "centro-dati")["j"], (2, 2));
    let stop = serde_json::json!([{"op": "add", "path": "/spec/suspend", "value": true}]);
    assert!(starts(&[event(TENANT, "patch", "jobs", 200, "/", stop)], "centro-dati").is_empty());
}
