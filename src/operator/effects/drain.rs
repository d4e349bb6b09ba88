//! Whether something still runs behind a target that was closed.
//!
//! In: a live object as its controller reports on it. Out: yes or no. Invariants: pure; a report older than the closing counts as yes; an
//! object on which no controller reports has nothing behind it. Not here: what a merge patch may stop, which nobody can know.

use serde_json::Value;

use crate::model::service::Change;

use super::operations::at;

/// Whether what `change` stops has not ended yet.
#[must_use]
pub fn is_draining(live: &Value, change: &Change) -> bool {
    let number = |keys: &[&str]| at(live, keys).and_then(Value::as_i64);
    match change {
        Change::Scale { replicas } => {
            let seen = number(&["status", "observedGeneration"]).zip(number(&["metadata", "generation"]));
            seen.is_some_and(|(seen, generation)| seen < generation)
                || number(&["status", "replicas"]).is_some_and(|running| running > i64::from(*replicas))
                || number(&["status", "terminatingReplicas"]).is_some_and(|terminating| terminating > 0)
        }
        Change::Suspend {} => at(live, &["status", "active"]).and_then(Value::as_array).is_some_and(|active| !active.is_empty()),
        Change::Merge { .. } | Change::Json { .. } | Change::Apply { .. } | Change::Restart {} | Change::Cordon {} => false,
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
}
