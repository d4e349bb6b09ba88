//! The embedded API is held against a real one: random sequences of calls have to be answered the same, but for what is written down.
//!
//! In: seeds; a namespace of its own, in which the cluster's controllers may not write, as the embedded ones do not here: what is compared is the
//! API alone. Out: the shortest sequence that is answered differently, in words. Invariants: nothing is left behind; what is written down is
//! needed. Not here: what follows from a change (`tests/embedded`, and the nights); a watch from too long ago, which only an old API server
//! refuses; old lists of its cache.

mod calls;
mod differences;
mod kinds;
mod memory;
mod sequence;
mod side;
mod trial;

use std::ops::Range;
use std::time::Instant;

use serde_json::json;

use super::cluster::{Cluster, say, wait};
use super::stage::turn;
use differences::{DIFFERENCES, Needed};
use trial::Court;

const NAMESPACE: &str = "differenze";
const NAMESPACE_PATH: &str = "/api/v1/namespaces/differenze";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1";
/// So many sequences in every run.
const SHARE: u64 = 250;
#[cfg(feature = "faults")]
const ALL: u64 = 6_000;
/// More than anybody reads.
const FOUND_MAX: usize = 20;

const STAGE: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: differenze}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchLabels: {notturno.test/quiet: "yes"}}
    resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/*"], scope: Namespaced}]
  validations:
    - expression: "!request.userInfo.username.startsWith('system:')"
      message: nobody works here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: differenze}
spec: {policyName: differenze, validationActions: [Deny]}
---
apiVersion: v1
kind: Namespace
metadata: {name: differenze, labels: {notturno.test/quiet: "yes"}}
"#;

/// What the header of `src/embedded/mod.rs` says beside [`DIFFERENCES`], and why it is not among them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Namespaces need not exist", "the one here does"),
    ("a served kind stays served", "kinds are not changed here"),
    ("Strategic merge patches are answered 415", "kube sends none unless asked"),
    ("Access reviews allow what is not forbidden", "rights are not compared"),
    ("Tokens are opaque", "rights are not compared"),
    ("Events are two kinds", "one of them is compared"),
    ("Lists are the latest state", "a real list of a cache may be old, which no two runs agree on"),
    ("Watches end after half an hour", "that is longer than a test"),
    ("Controllers act at the instant of a change", "they are stopped here"),
    ("have no `ReplicaSets`", "controllers are stopped here"),
    ("Pods start at once", "controllers are stopped here"),
    ("`CronJobs` are only objects", "controllers are stopped here"),
];

/// A namespace in which only the test writes; it goes with everything in it.
struct Quiet<'a>(&'a Cluster);

impl<'a> Quiet<'a> {
    fn make(cluster: &'a Cluster) -> Self {
        Self::end(cluster);
        cluster.apply(&std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/crds.yaml")).unwrap());
        cluster.apply(STAGE);
        let quiet = Self(cluster);
        // A policy is obeyed some seconds after it was made.
        wait(60, "a namespace in which nobody works", || quiet.is_quiet().then_some(()));
        quiet
    }

    /// Whether a controller's write is refused.
    fn is_quiet(&self) -> bool {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asked"}});
        let request = http::Request::builder().method("POST").uri(format!("{NAMESPACE_PATH}/configmaps?dryRun=All"));
        let request = request.header("impersonate-user", "system:asking").header("impersonate-group", "system:masters");
        let request = request.header("content-type", "application/json").body(body.to_string().into_bytes()).unwrap();
        let answer = self.0.block_on(self.0.client().request::<serde_json::Value>(request));
        matches!(answer, Err(kube::Error::Api(status)) if status.message.contains("nobody works here"))
    }

    fn end(cluster: &Cluster) {
        cluster.delete(&format!("{POLICIES}/validatingadmissionpolicybindings/differenze"));
        cluster.delete(&format!("{POLICIES}/validatingadmissionpolicies/differenze"));
        cluster.delete(NAMESPACE_PATH);
        wait(60, "a namespace that is gone", || cluster.get(NAMESPACE_PATH).is_none().then_some(()));
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        Self::end(self.0);
    }
}

fn compare(seeds: Range<u64>) -> Needed {
    let _turn = turn();
    let cluster = Cluster::connect();
    let _quiet = Quiet::make(&cluster);
    let court = Court { real: cluster.client(), namespace: NAMESPACE };
    let (since, mut needed, mut found) = (Instant::now(), Needed::new(), vec![]);
    let (mut sequences, mut calls_count, mut refused_count, mut early_count) = (0_u64, 0, 0, 0);
    cluster.block_on(async {
        court.clear_all().await;
        for seed in seeds {
            let calls = sequence::sequence(seed, NAMESPACE);
            let outcome = court.hear(&calls).await;
            sequences += 1;
            calls_count += outcome.calls;
            refused_count += outcome.refused;
            early_count += u32::from(outcome.ended_early);
            needed.extend(outcome.needed);
            if let Some(difference) = outcome.found {
                found.push(format!("seed {seed}:\n{}", court.shorten(&calls, difference).await));
                if found.len() >= FOUND_MAX {
                    break;
                }
            }
        }
    });
    say(format!(
        "{sequences} sequences, {calls_count} calls, {refused_count} of them refused; {early_count} sequences ended where both differ as written; \
         {:.0} s",
        since.elapsed().as_secs_f64()
    ));
    assert!(found.is_empty(), "answered differently:\n{}", found.join("\n"));
    needed
}

#[test]
fn random_calls_are_answered_as_a_real_api_server_answers_them() {
    compare(0..SHARE);
}

/// Takes a quarter of an hour.
#[cfg(feature = "faults")]
#[test]
fn thousands_of_random_sequences_are_answered_the_same_and_need_every_difference_that_is_written() {
    let needed = compare(0..ALL);
    let excuses: Vec<String> = differences::names().difference(&needed).cloned().collect();
    assert!(excuses.is_empty(), "written down, and needed by nothing: {excuses:#?}");
}

#[test]
fn what_the_embedded_api_says_of_itself_is_what_is_compared() {
    let source = include_str!("../../src/embedded/mod.rs");
    let header: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let header = header.join(" ");
    let (_, listed) = header.split_once("# What differs from a real API server (1.35)").unwrap();
    for difference in DIFFERENCES {
        assert!(listed.contains(difference.written), "the header does not say: {}", difference.written);
        assert!(!difference.why.is_empty(), "{}", difference.name);
    }
    let known = || DIFFERENCES.iter().map(|difference| difference.written).chain(ELSEWHERE.iter().map(|(written, _)| *written));
    for point in listed.split(" - ").map(str::trim).filter(|point| !point.is_empty()) {
        assert!(known().any(|written| point.contains(written)), "neither compared nor said to be elsewhere: {point}");
    }
    for (written, why) in ELSEWHERE {
        assert!(listed.contains(written), "the header does not say any more: {written} ({why})");
    }
}
