//! Where small nights play, many at once: the namespace `molti`, which is gone at the end.
//!
//! In: when the doors of all of them open. Out: a namespace with what they share. Invariant: what they hold is let go before it is deleted,
//! also when a test fails. Not here: the nights.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::cluster::{Cluster, say, wait};
use super::tenant::fill;

/// The account of the work.
pub const TENANT: &str = "system:serviceaccount:molti:lavori";
/// The account of the sentinels.
pub const SENTINEL: &str = "system:serviceaccount:molti:lavori-sentinel";
pub const INTERVENTIONS: &str = "/apis/notturno.dev/v1alpha1/namespaces/molti/interventions";
const NAMESPACE: &str = "/api/v1/namespaces/molti";

/// The namespace.
pub struct Small<'a> {
    pub cluster: &'a Cluster,
    /// When the doors of all open; margins make up for what is earlier.
    opens_at: Timestamp,
}

impl<'a> Small<'a> {
    /// Settles it, with doors that open at the whole minute after this.
    pub fn settle(cluster: &'a Cluster, after: Timestamp) -> Self {
        wait(90, "a namespace that is gone", || cluster.get(NAMESPACE).is_none().then_some(()));
        let opens_at = Timestamp::from_second((after.as_second() / 60 + 1) * 60).unwrap();
        let clock = |moment: Timestamp| moment.strftime("%H:%M").to_string();
        let hours = format!("Mo-Su {}-{}", clock(opens_at), clock(opens_at + SignedDuration::from_hours(2)));
        cluster.apply(&fill(include_str!("oggetti/molti.yaml"), &[("HOURS", &hours)]));
        Self { cluster, opens_at }
    }

    /// The margin of a night that has to serve by this.
    pub fn margin(&self, must_serve_by: Timestamp) -> String {
        format!("{}ms", self.opens_at.duration_since(must_serve_by).as_millis())
    }

    /// Its nights.
    pub fn interventions(&self) -> Vec<Value> {
        self.cluster.list(INTERVENTIONS)
    }

    /// How those that are over ended.
    pub fn outcomes(&self) -> Vec<String> {
        let outcome = |night: &Value| night["status"]["outcome"].as_str().map(str::to_owned);
        self.interventions().iter().filter_map(outcome).collect()
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(self.cluster.try_run("kubectl", &["-n", "molti", "get", "interventions,jobs,pods"], "").unwrap_or_default());
        }
        for collection in [INTERVENTIONS, "/api/v1/namespaces/molti/configmaps", "/api/v1/namespaces/molti/pods"] {
            for object in self.cluster.list(collection).iter().filter(|object| object["metadata"]["finalizers"].is_array()) {
                self.cluster.free(&format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default()));
            }
        }
        self.cluster.delete(NAMESPACE);
    }
}
