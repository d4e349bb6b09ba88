//! Names of the night's objects, bounded and without collisions.
//!
//! In: the night's name and UID. Out: names. Invariants: the same plan always gives the same names; a name cut to its bound ends in a
//! hash of what was cut. Not here: labels ([`super::marks`]).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::engine::JobKey;
use crate::engine::facts::jobs;
use crate::model::plan::Plan;

/// Longest name of an object.
const OBJECT_MAX: usize = 253;
/// Longest name of a Deployment: its `ReplicaSet` puts a hash behind it.
const SENTINEL_MAX: usize = OBJECT_MAX - 11;
/// Longest name of a Job: it becomes a label of its Pods.
const JOB_MAX: usize = 63;

/// SHA-256, hexadecimal.
#[must_use]
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name, cut to `length_max` characters with a hash when it is longer; names are ASCII.
#[must_use]
pub fn bounded(name: &str, length_max: usize) -> String {
    if name.len() <= length_max {
        return name.to_owned();
    }
    let kept: String = name.chars().take(length_max.saturating_sub(9)).collect();
    format!("{}-{}", kept.trim_end_matches(['-', '.']), first(&sha256(name), 8))
}

fn first(text: &str, count: usize) -> String {
    text.chars().take(count).collect()
}

/// `<name>-<first 8 of the UID>`.
fn stem(name: &str, uid: &str) -> String {
    format!("{name}-{}", first(uid, 8))
}

/// The annotation that says of the change with this key that it was taken back.
#[must_use]
pub fn restored_mark(key: &str) -> String {
    format!("{}{}", super::marks::RESTORED, first(&sha256(key), 12))
}

/// The two ConfigMaps of a night.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerNames {
    /// The plan's.
    pub plan: String,
    /// The ledger's.
    pub ledger: String,
}

impl LedgerNames {
    /// Of the night with this name and UID.
    #[must_use]
    pub fn of(name: &str, uid: &str) -> Self {
        let of =
            |what: &str| format!("{}-{what}", bounded(&format!("notturno-{}", stem(name, uid)), OBJECT_MAX - what.len() - 1));
        Self { plan: of("plan"), ledger: of("ledger") }
    }
}

/// The Deployment of a night's dead man's switch.
#[must_use]
pub fn sentinel_name(name: &str, uid: &str) -> String {
    format!("{}-sentinel", bounded(&format!("notturno-{}", stem(name, uid)), SENTINEL_MAX - "-sentinel".len()))
}

/// The names of all Jobs of a night. Where a step is called as an undo or the smoke test of another would be, the latter gives way.
#[must_use]
pub fn job_names(plan: &Plan) -> BTreeMap<JobKey, String> {
    let stem = stem(&plan.name, &plan.uid);
    let step = |index: usize| plan.steps.get(index).map(|step| step.name.as_str()).unwrap_or_default();
    let mut taken = BTreeSet::new();
    // Steps come before undos and smoke in the order of keys.
    let mut keys = jobs(plan);
    keys.sort_unstable();
    let name = |key: JobKey| {
        let full = match key {
            JobKey::Step(index) => format!("{stem}-{}", step(index)),
            JobKey::Undo(index, attempt) => format!("{stem}-{}-undo-{attempt}", step(index)),
            JobKey::Smoke => format!("{stem}-smoke"),
        };
        let mut name = bounded(&full, JOB_MAX);
        if !taken.insert(name.clone()) {
            name = bounded(&format!("{full}-{}", first(&sha256(format!("{full} {key}")), 8)), JOB_MAX);
            taken.insert(name.clone());
        }
        (key, name)
    };
    keys.into_iter().map(name).collect()
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_with_a_hash_and_stays_valid() {
        let long = format!("{}-{}", "a".repeat(53), "b".repeat(40));
        let cut = bounded(&long, 63);
        assert!(cut.len() <= 63 && cut.starts_with(&"a".repeat(53)), "{cut}");
        assert!(!cut.contains("--"), "{cut}");
        assert_ne!(cut, bounded(&long.replace('b', "c"), 63));
    }

    #[test]
    fn ledger_names_are_those_of_the_settled_details() {
        let names = LedgerNames::of("notte-9-febbraio", "0f0e0d0c-1111");
        assert_eq!(names.plan, "notturno-notte-9-febbraio-0f0e0d0c-plan");
        assert_eq!(names.ledger, "notturno-notte-9-febbraio-0f0e0d0c-ledger");
        assert!(LedgerNames::of(&"n".repeat(253), "0f0e0d0c").ledger.len() <= 253);
        assert_eq!(sentinel_name("notte-9-febbraio", "0f0e0d0c-1111"), "notturno-notte-9-febbraio-0f0e0d0c-sentinel");
        assert_eq!(sentinel_name(&"n".repeat(253), "0f0e0d0c").len(), 242);
    }
}
