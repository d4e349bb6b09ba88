//! What is known of a Job's Pods (PROTOCOL rules 13 and H14).
//!
//! In: Pods as listed. Out: [`Pods`]. Invariants: pure; an end counts only when it was seen: a phase set by somebody else than the node,
//! while a container still shows as running, is no end. Not here: what follows from it (the engine).

use serde_json::Value;

use crate::engine::facts::Pods;

use super::marks;
use super::operations::{at, text};

/// One Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It may run.
    Alive,
    /// It has ended, or can never begin.
    Ended,
    /// It was lost from sight while it may run.
    Lost(String),
}

/// What a Pod shows.
#[must_use]
pub fn sight(pod: &Value) -> Sight {
    let name = text(pod, &["metadata", "name"]);
    let phase = text(pod, &["status", "phase"]);
    let running = statuses(pod).any(|status| at(status, &["state", "running"]).is_some());
    let node = text(pod, &["spec", "nodeName"]);
    let going = at(pod, &["metadata", "deletionTimestamp"]).is_some();
    let forced = going && at(pod, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64) == Some(0);
    let lost = |how: &str| Sight::Lost(format!("Pod {name} {how}, on node {node}"));
    match phase {
        "Succeeded" | "Failed" if running => lost("was declared over while a container runs"),
        "Succeeded" | "Failed" => Sight::Ended,
        _ if all_terminated(pod) => Sight::Ended,
        // Nothing is bound to a node any more once it is being deleted.
        _ if node.is_empty() && going => Sight::Ended,
        _ if node.is_empty() => Sight::Alive,
        "Unknown" => lost("is on a node that no longer answers"),
        _ if text(pod, &["status", "reason"]) == "NodeLost" => lost("is on a node that no longer answers"),
        _ if forced => lost("was deleted by force while it may run"),
        _ => Sight::Alive,
    }
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"].into_iter().flat_map(|list| items(pod, &["status", list]))
}

fn items<'a>(object: &'a Value, keys: &[&str]) -> &'a [Value] {
    at(object, keys).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Every container of the Pod was seen to end.
fn all_terminated(pod: &Value) -> bool {
    let ended = |status: &Value| at(status, &["state", "terminated"]).is_some();
    let main = items(pod, &["status", "containerStatuses"]);
    let declared = items(pod, &["spec", "containers"]).len();
    let sidecars_run =
        items(pod, &["status", "initContainerStatuses"]).iter().any(|one| at(one, &["state", "running"]).is_some());
    declared > 0 && main.len() == declared && main.iter().all(ended) && !sidecars_run
}

/// Whether our finalizer keeps the Pod.
#[must_use]
pub fn is_held(pod: &Value) -> bool {
    items(pod, &["metadata", "finalizers"]).iter().any(|one| one == marks::KEEP_POD)
}

/// Whether the Pod is one of the Job with this name and UID.
#[must_use]
pub fn belongs(pod: &Value, job: &str, uid: &str) -> bool {
    let owned = |owner: &Value| !uid.is_empty() && text(owner, &["uid"]) == uid;
    items(pod, &["metadata", "ownerReferences"]).iter().any(owned)
        || text(pod, &["metadata", "labels", "batch.kubernetes.io/job-name"]) == job
}

/// All Pods of one Job together; `status` is the Job's, which may tell of a Pod that is not there any more.
#[must_use]
pub fn all(pods: &[&Value], status: Option<&Value>) -> Pods {
    let mut known = if pods.is_empty() { Pods::NoneSeen } else { Pods::Terminal };
    for pod in pods {
        match sight(pod) {
            Sight::Lost(reason) => return Pods::Unknown { reason },
            Sight::Alive => known = Pods::Alive,
            Sight::Ended => {}
        }
    }
    let counted = |field: &str| status.and_then(|status| status.get(field)?.as_i64()).unwrap_or_default() > 0;
    if known == Pods::NoneSeen && (counted("active") || counted("failed")) {
        return Pods::Unknown { reason: "a Pod that the Job counts is not there any more".to_owned() };
    }
    known
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(extra: &Value) -> Value {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
            "status": {"phase": "Running"}});
        json_patch::merge(&mut pod, extra);
        pod
    }

    fn stopping(grace_seconds: i64) -> Value {
        json!({"status": {"containerStatuses": container("running")},
            "metadata": {"deletionTimestamp": "x", "deletionGracePeriodSeconds": grace_seconds}})
    }

    fn container(state: &str) -> Value {
        json!([{"name": "c", "state": {(state): {}}}])
    }

    #[test]
    fn an_end_counts_only_when_it_was_seen() {
        let ended = [
            json!({"status": {"phase": "Succeeded", "containerStatuses": container("terminated")}}),
            json!({"status": {"phase": "Failed"}}),
            json!({"status": {"containerStatuses": container("terminated")}, "metadata": {"deletionTimestamp": "x"}}),
            json!({"status": {"phase": "Pending"}, "spec": {"nodeName": null}, "metadata": {"deletionTimestamp": "x"}}),
        ];
        for extra in ended {
            assert_eq!(sight(&pod(&extra)), Sight::Ended, "{extra}");
        }
        let alive = [
            json!({}),
            json!({"status": {"containerStatuses": container("running")}}),
            stopping(30),
            json!({"status": {"phase": "Pending"}, "spec": {"nodeName": null}}),
            json!({"status": {"containerStatuses": container("terminated")}, "spec": {"containers": [{"name": "c"}, {"name": "d"}]}}),
        ];
        for extra in alive {
            assert_eq!(sight(&pod(&extra)), Sight::Alive, "{extra}");
        }
        let lost = [
            json!({"status": {"phase": "Unknown"}}),
            json!({"status": {"reason": "NodeLost"}}),
            json!({"status": {"phase": "Failed", "containerStatuses": container("running")}}),
            stopping(0),
        ];
        for extra in lost {
            assert!(matches!(sight(&pod(&extra)), Sight::Lost(_)), "{extra}");
        }
    }

    #[test]
    fn one_living_pod_is_enough_and_one_lost_pod_outweighs_all() {
        let (ended, alive, lost) =
            (pod(&json!({"status": {"phase": "Failed"}})), pod(&json!({})), pod(&json!({"status": {"phase": "Unknown"}})));
        assert_eq!(all(&[], None), Pods::NoneSeen);
        assert_eq!(all(&[&ended, &ended], None), Pods::Terminal);
        assert_eq!(all(&[&alive, &ended], None), Pods::Alive);
        assert!(matches!(all(&[&ended, &lost, &alive], None), Pods::Unknown { .. }));
        assert!(matches!(all(&[], Some(&json!({"failed": 1}))), Pods::Unknown { .. }));
    }
}
