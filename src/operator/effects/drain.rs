//! Whether what follows from a change has happened: what was stopped has ended, what was started is ready.
//!
//! In: a live object as its controller reports on it. Out: yes or no. Invariants: pure; a report older than the change counts as not yet;
//! an object on which no controller reports has nothing behind it. Not here: what a patch may stop or start, which nobody can know.

use serde_json::Value;

use crate::model::service::Change;

use super::operations::{at, text};

/// Whether what `change` stops has not ended yet, or what it starts is not ready.
#[must_use]
pub fn is_draining(live: &Value, change: &Change) -> bool {
    let number = |keys: &[&str]| at(live, keys).and_then(Value::as_i64);
    match change {
        Change::Scale { replicas } => {
            let wanted = i64::from(*replicas);
            let ready = number(&["status", "readyReplicas"]).unwrap_or(0);
            let is_workload = text(live, &["apiVersion"]).starts_with("apps/") && is_reported(live);
            is_stale(live)
                || number(&["status", "replicas"]).is_some_and(|running| running > wanted)
                || number(&["status", "terminatingReplicas"]).is_some_and(|terminating| terminating > 0)
                || (is_workload && ready < wanted)
        }
        Change::Suspend {} => at(live, &["status", "active"]).and_then(Value::as_array).is_some_and(|active| !active.is_empty()),
        Change::Restart {} => is_reported(live) && (is_stale(live) || !is_rolled_out(live)),
        Change::Merge { .. } | Change::Json { .. } | Change::Apply { .. } | Change::Cordon {} => false,
    }
}

fn is_reported(live: &Value) -> bool {
    at(live, &["status", "observedGeneration"]).is_some()
}

/// The controller has not seen the latest change.
fn is_stale(live: &Value) -> bool {
    let number = |keys: &[&str]| at(live, keys).and_then(Value::as_i64);
    let seen = number(&["status", "observedGeneration"]).zip(number(&["metadata", "generation"]));
    seen.is_some_and(|(seen, generation)| seen < generation)
}

/// Every Pod is of the latest template and serves, and no other is left, as `kubectl rollout status` has it.
fn is_rolled_out(live: &Value) -> bool {
    let status = |field: &str| at(live, &["status", field]).and_then(Value::as_i64).unwrap_or(0);
    let wanted = at(live, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(1);
    match text(live, &["kind"]) {
        "DaemonSet" => {
            let wanted = status("desiredNumberScheduled");
            status("updatedNumberScheduled") >= wanted && status("numberAvailable") >= wanted
        }
        "StatefulSet" => {
            let same = text(live, &["status", "currentRevision"]) == text(live, &["status", "updateRevision"]);
            same && status("readyReplicas") >= wanted
        }
        _ => {
            let updated = status("updatedReplicas");
            updated >= wanted && status("replicas") <= updated && status("availableReplicas") >= updated
        }
    }
}

/// Why a change of this object would never come to its end, where its own spec says so.
#[must_use]
pub fn unsettled_by_nature(live: &Value, change: &Change) -> Option<String> {
    match change {
        Change::Restart {} => {}
        Change::Scale { .. }
        | Change::Suspend {}
        | Change::Merge { .. }
        | Change::Json { .. }
        | Change::Apply { .. }
        | Change::Cordon {} => return None,
    }
    let kind = text(live, &["kind"]);
    let strategy = text(live, &["spec", "updateStrategy", "type"]);
    let partition = at(live, &["spec", "updateStrategy", "rollingUpdate", "partition"]).and_then(Value::as_i64).unwrap_or(0);
    match kind {
        "Deployment" if at(live, &["spec", "paused"]) == Some(&Value::Bool(true)) => {
            Some("its rollouts are paused, so no Pod would be replaced: set spec.paused to false".to_owned())
        }
        "StatefulSet" | "DaemonSet" if strategy == "OnDelete" => {
            Some("its Pods are only replaced when somebody deletes them: spec.updateStrategy is OnDelete".to_owned())
        }
        "StatefulSet" if partition > 0 => {
            Some(format!("only Pods from number {partition} on would be replaced: spec.updateStrategy has a partition"))
        }
        "Deployment" | "StatefulSet" | "DaemonSet" => None,
        _ => Some(format!("a {kind} cannot be restarted; a Deployment, a StatefulSet or a DaemonSet can")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_drains_until_its_controller_says_that_nothing_runs() {
        let change = Change::Scale { replicas: 0 };
        let draining = |generation: i64, status: &Value| {
            is_draining(&json!({"metadata": {"generation": generation}, "status": status}), &change)
        };
        assert!(draining(2, &json!({"observedGeneration": 1})));
        assert!(draining(2, &json!({"observedGeneration": 2, "replicas": 1})));
        assert!(draining(2, &json!({"observedGeneration": 2, "terminatingReplicas": 1})));
        assert!(!draining(2, &json!({"observedGeneration": 2, "replicas": 0})));
        assert!(!is_draining(&json!({"spec": {"replicas": 0}}), &change), "nobody reports on it");
    }

    #[test]
    fn a_suspended_cron_job_drains_while_one_of_its_jobs_is_active() {
        let change = Change::Suspend {};
        assert!(is_draining(&json!({"status": {"active": [{"name": "j"}]}}), &change));
        assert!(!is_draining(&json!({"status": {}}), &change));
    }

    #[test]
    fn scaled_up_a_workload_settles_when_so_many_are_ready() {
        let live = |status: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2}, "status": status});
        let change = Change::Scale { replicas: 3 };
        assert!(is_draining(&live(json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": 2})), &change));
        assert!(is_draining(&live(json!({"observedGeneration": 2, "replicas": 3})), &change));
        assert!(!is_draining(&live(json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": 3})), &change));
        assert!(!is_draining(&live(json!({})), &change), "nobody reports on it");
    }

    #[test]
    fn a_restart_settles_when_every_pod_is_new_and_serves_and_no_old_one_is_left() {
        let deployment = |status: Value| {
            let live = json!({"kind": "Deployment", "metadata": {"generation": 5}, "spec": {"replicas": 2}, "status": status});
            is_draining(&live, &Change::Restart {})
        };
        let done = json!({"observedGeneration": 5, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(!deployment(done.clone()));
        for (field, value) in [("observedGeneration", 4), ("replicas", 3), ("updatedReplicas", 1), ("availableReplicas", 1)] {
            let mut status = done.clone();
            status.as_object_mut().into_iter().for_each(|members| drop(members.insert(field.to_owned(), value.into())));
            assert!(deployment(status), "{field}");
        }
        let stateful = |current: &str, ready: i64| {
            let status =
                json!({"observedGeneration": 5, "currentRevision": current, "updateRevision": "b", "readyReplicas": ready});
            let live = json!({"kind": "StatefulSet", "metadata": {"generation": 5}, "spec": {"replicas": 2}, "status": status});
            is_draining(&live, &Change::Restart {})
        };
        assert_eq!([stateful("a", 2), stateful("b", 1), stateful("b", 2)], [true, true, false]);
        let daemon = |updated: i64, available: i64| {
            let status = json!({"observedGeneration": 5, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated,
                    "numberAvailable": available});
            is_draining(&json!({"kind": "DaemonSet", "metadata": {"generation": 5}, "status": status}), &Change::Restart {})
        };
        assert_eq!([daemon(2, 3), daemon(3, 2), daemon(3, 3)], [true, true, false]);
    }

    #[test]
    fn what_would_never_be_replaced_is_told_by_day() {
        let why = |object: Value| unsettled_by_nature(&object, &Change::Restart {});
        assert_eq!(why(json!({"kind": "Deployment", "spec": {}})), None);
        for (object, word) in [
            (json!({"kind": "Deployment", "spec": {"paused": true}}), "paused"),
            (json!({"kind": "DaemonSet", "spec": {"updateStrategy": {"type": "OnDelete"}}}), "OnDelete"),
            (json!({"kind": "StatefulSet", "spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}}), "partition"),
            (json!({"kind": "ConfigMap"}), "cannot be restarted"),
        ] {
            assert!(why(object.clone()).is_some_and(|why| why.contains(word)), "{object}");
        }
    }
}
