//! The operator as people install it, and the ways in which it dies.
//!
//! In: the manifests or the chart, as they are. Out: two running Pods, one of which leads. Invariants: installed anew for each test; ended by the id of its own
//! process, or by the API. Not here: what it does.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::cluster::{Cluster, wait};
use super::process;

pub const NAMESPACE: &str = "/api/v1/namespaces/notturno-system";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/notturno-system/deployments/notturno";
pub const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// By which the replicas agree who leads.
pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/notturno-system/leases/notturno";

/// How it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Manifests,
    Chart,
}

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What each installs, as documents.
pub fn documents(cluster: &Cluster, by: By) -> String {
    match by {
        By::Manifests => fs::read_to_string(root("manifests/install.yaml")).unwrap(),
        By::Chart => {
            let chart = root("charts/notturno");
            let arguments = ["template", "notturno", chart.to_str().unwrap(), "--namespace", "notturno-system", "--include-crds"];
            cluster.run("helm", &arguments, "")
        }
    }
}

/// Takes away all of it but its custom resources.
pub fn uninstall(cluster: &Cluster) {
    cluster.delete(NAMESPACE);
    for kind in ["clusterroles", "clusterrolebindings"] {
        cluster.delete(&format!("{RBAC}/{kind}/notturno"));
    }
}

/// Installs it where nothing of it is left.
pub fn install(cluster: &Cluster, by: By) {
    wait(60, "an operator that is gone", || cluster.get(NAMESPACE).is_none().then_some(()));
    if by == By::Chart {
        cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: notturno-system}}");
    }
    cluster.apply(&documents(cluster, by));
}

/// Takes its Deployment away, and waits until nothing of it runs.
pub fn delete(cluster: &Cluster) {
    cluster.delete(DEPLOYMENT);
    wait(60, "an operator that is gone", || pods(cluster).is_empty().then_some(()));
}

/// Somebody installs it again over whatever is left.
pub fn come_back(cluster: &Cluster) {
    cluster.apply(&documents(cluster, By::Manifests));
    until_ready(cluster);
}

/// Waits until the kubelet says that it is ready.
pub fn until_ready(cluster: &Cluster) {
    wait(60, "an operator that is ready", || {
        let deployment = cluster.get(DEPLOYMENT)?;
        (deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"]).then_some(())
    });
    wait(30, "a replica that leads", || (!leader(cluster).is_empty()).then_some(()));
}

fn lease(cluster: &Cluster) -> Value {
    cluster.get(LEASE).unwrap_or_default()
}

/// The name of the Pod that leads; empty when none does.
pub fn leader(cluster: &Cluster) -> String {
    let holder = lease(cluster)["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    holder.split_once('_').map(|(pod, _)| pod.to_owned()).unwrap_or_default()
}

/// How often the lease has changed hands.
pub fn epoch(cluster: &Cluster) -> i64 {
    lease(cluster)["spec"]["leaseTransitions"].as_i64().unwrap_or_default()
}

/// A leader that sleeps; it wakes at the end, whatever the end is.
pub struct Asleep(u32);

impl Asleep {
    /// `SIGSTOP` to its process.
    pub fn put(cluster: &Cluster) -> Self {
        Self::put_process(leader_process(cluster))
    }

    /// The same, at once: the process was found before.
    pub fn put_process(process: u32) -> Self {
        assert!(Command::new("kill").args(["-STOP", &process.to_string()]).status().unwrap().success());
        Self(process)
    }

    /// `SIGCONT`.
    pub fn wake(self) {
        drop(self);
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        // The kubelet may have ended it; that is told by what is asserted.
        let _ = Command::new("kill").args(["-CONT", &self.0.to_string()]).status();
    }
}

/// The kubelet no longer ends what does not answer it: a test that lets a replica sleep wants it to wake.
pub fn may_sleep(cluster: &Cluster) {
    let patch = r#"[{"op": "remove", "path": "/spec/template/spec/containers/0/livenessProbe"}]"#;
    let name = ["-n", "notturno-system", "patch", "deployment", "notturno", "--type=json", "-p", patch];
    cluster.run("kubectl", &name, "");
    cluster.run("kubectl", &["-n", "notturno-system", "rollout", "status", "deployment/notturno", "--timeout=60s"], "");
    wait(60, "two Pods", || (pods(cluster).len() == 2).then_some(()));
    let alive = |name: &String| pod_names(cluster).contains(name);
    wait(30, "a replica that leads", || Some(leader(cluster)).filter(alive).map(drop));
}

/// So many replicas, from now on; waits until none is left when none is wanted.
pub fn scale(cluster: &Cluster, replicas: u32) {
    cluster.merge(DEPLOYMENT, &json!({"spec": {"replicas": replicas}}));
    if replicas == 0 {
        wait(60, "an operator that is gone", || pods(cluster).is_empty().then_some(()));
    }
}

fn pods(cluster: &Cluster) -> Vec<Value> {
    cluster.list("/api/v1/namespaces/notturno-system/pods")
}

/// The names of its Pods.
pub fn pod_names(cluster: &Cluster) -> Vec<String> {
    pods(cluster).iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// The id of the leader's process on this machine.
pub fn leader_process(cluster: &Cluster) -> u32 {
    wait(30, "an operator that runs", || {
        let leader = leader(cluster);
        process::of(&pods(cluster).into_iter().find(|pod| pod["metadata"]["name"] == leader.as_str())?)
    })
}

/// `kill -9` of the leader; the kubelet starts another one in the same Pod.
pub fn kill(cluster: &Cluster) {
    let process = leader_process(cluster);
    let killed = Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
    assert!(killed.success(), "process {process} was not there to be killed");
    wait(10, "an operator that is dead", || (!Path::new(&format!("/proc/{process}")).exists()).then_some(()));
}

/// `kubectl delete pod --force --grace-period=0`: the Pod is gone from the API while its process may still live.
pub fn delete_by_force(cluster: &Cluster) {
    let name = wait(30, "a leader", || Some(leader(cluster)).filter(|name| !name.is_empty()));
    cluster.run("kubectl", &["-n", "notturno-system", "delete", "pod", &name, "--force", "--grace-period=0"], "");
}

/// What it said, this process and the one before it.
pub fn logs(cluster: &Cluster) -> String {
    let logs = |options: &[&str]| {
        let names = pod_names(cluster);
        let of = |name: &String| {
            let mut arguments = vec!["-n", "notturno-system", "logs", "--tail", "80", name];
            arguments.extend(options);
            let output = cluster.try_run("kubectl", &arguments, "");
            format!("--- {name} {options:?}\n{}", output.unwrap_or_else(|error| error))
        };
        names.iter().map(of).collect::<String>()
    };
    format!("{}{}", logs(&["--previous"]), logs(&[]))
}
