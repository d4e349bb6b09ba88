//! A node that is lost in mid-work: what becomes of the Job's container there nobody can know.
//!
//! There is one machine, so the second node is the test's: it reports as a kubelet does, it half rewrites the volume as the container
//! would, and then is heard of no more. All that Kubernetes makes of that is Kubernetes' own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::city::Placement;
use super::cluster::{Cluster, say, until, wait};
use super::database::Rows;
use super::five::{Five, RESERVE};

const NODE: &str = "/api/v1/nodes/lontano";
const PODS: &str = "/api/v1/namespaces/tributi/pods";

/// A node that reports until it is lost; it is forgotten at the end.
struct FarNode<'a> {
    cluster: &'a Cluster,
    stop: Arc<AtomicBool>,
    reports: Option<JoinHandle<()>>,
}

/// It reports for the first time, and is there for nobody but who asks for it.
fn join(cluster: &Cluster) {
    let taint = json!([{"key": "lontano", "effect": "NoSchedule"}]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lontano", "labels": {"posto": "lontano"}}, "spec": {"taints": taint}});
    cluster.delete(NODE);
    cluster.apply(&node.to_string());
    report(cluster);
    let there = json!([{"key": "lontano", "operator": "Exists", "effect": "NoSchedule"}]);
    let template = json!({"spec": {"nodeSelector": {"posto": "lontano"}, "tolerations": there}});
    let path = "/apis/batch/v1/namespaces/tributi/cronjobs/riscrive";
    cluster.merge(path, &json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}));
}

fn report(cluster: &Cluster) {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let room = json!({"cpu": "1", "memory": "1Gi", "pods": "10"});
    let ready =
        json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now});
    cluster.merge(&format!("{NODE}/status"), &json!({"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}));
}

impl<'a> FarNode<'a> {
    fn reports(cluster: &'a Cluster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reports = move || {
            let cluster = Cluster::connect();
            while !stopped.load(Ordering::Relaxed) {
                report(&cluster);
                std::thread::sleep(Duration::from_secs(2));
            }
        };
        Self { cluster, stop, reports: Some(std::thread::spawn(reports)) }
    }

    /// The Pod that it has to run.
    fn pod(&self) -> Option<Value> {
        self.cluster.list(PODS).into_iter().find(|pod| pod["spec"]["nodeName"] == "lontano")
    }

    /// Its kubelet says what became of the container.
    fn says(&self, pod: &Value, phase: &str, state: &Value) {
        let container = json!({"name": "lavoro", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let path = format!("{PODS}/{}/status", pod["metadata"]["name"].as_str().unwrap());
        self.cluster.merge(&path, &json!({"status": {"phase": phase, "containerStatuses": [container]}}));
    }

    /// Nobody hears of it any more.
    fn lose(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reports) = self.reports.take() {
            assert!(reports.join().is_ok() || std::thread::panicking(), "the node could not report");
        }
    }

    fn is_ready(&self) -> Value {
        let node = self.cluster.get(NODE).unwrap();
        let conditions = node["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == "Ready").unwrap()["status"].clone()
    }
}

impl Drop for FarNode<'_> {
    fn drop(&mut self) {
        self.lose();
        self.cluster.delete(NODE);
    }
}

#[test]
fn work_on_a_node_that_is_lost_leaves_its_service_closed_with_people_called_and_everything_else_open_in_time() {
    let five = Five::declare(RESERVE, join);
    let mut node = FarNode::reports(&five.cluster);
    let night = five.night("tributi");
    let now = || Timestamp::now().to_string();
    let pod = wait(120, "work on the far node", || node.pod());
    node.says(&pod, "Running", &json!({"running": {"startedAt": now()}}));
    night.database.rewrite_half("lontano");
    five.until_placed();
    assert_eq!(night.tenant.held, Placement::DuringData);
    node.lose();

    until(five.must_serve_by + SignedDuration::from_secs(2));
    assert_eq!(node.is_ready(), "Unknown", "Kubernetes does not know either");
    let ledger = five.ledger(night).unwrap();
    assert!(node.pod().is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string()), "the Pod was asked to end");
    assert!(!ledger.has("stepStopped", "riscrive"), "nobody knows that it did: {}", ledger.story());
    assert!(!ledger.has("undoReleased", "riscrive"), "no undo beside what may still write: {}", ledger.story());
    assert_eq!(night.database.rows(), Rows::Torn);
    assert_eq!(five.doors.closed_at(five.must_serve_by), ["pagamenti"], "it is closed, and nothing else");
    let held = ledger.place("heldClosed", "pagamenti").expect("people are told");
    say(format!("told: {}", ledger.events[held].2));
    assert!(ledger.at("heldClosed", "pagamenti").unwrap() < five.must_serve_by, "before doors open");

    // The node is found: the container had ended with it.
    let terminated = json!({"terminated": {"exitCode": 137, "reason": "Error", "startedAt": now(), "finishedAt": now()}});
    node.says(&node.pod().unwrap(), "Failed", &terminated);
    let name = pod["metadata"]["name"].as_str().unwrap();
    five.cluster.run("kubectl", &["-n", "tributi", "delete", "pod", name, "--force", "--grace-period=0", "--wait=false"], "");
    five.until_settled();
    assert_eq!(five.ledger(night).unwrap().outcome(), Some("ReopenedLate"));
    assert_eq!(night.database.fingerprint(), night.fingerprint, "undone, byte for byte");
    assert!(five.doors.all_open());
    assert!(ledger.events[held].2.contains("Reperibile di tributi"), "who is called: {}", ledger.events[held].2);
}
