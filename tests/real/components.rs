//! The parts of Kubernetes itself, and how they are lost and come back.
//!
//! In: the name under which `tests/cluster/up` keeps the process. Out: it is gone, or there again. Invariants: ended by its id; what is
//! away comes back by `tests/cluster/up`, which repairs, also when a test fails meanwhile. Not here: what a night makes of it.

use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};

use super::cluster::{Cluster, wait};

/// A part that is away; it is started again at the end, whatever the end is.
pub struct Away(());

impl Away {
    /// `kill -9` of that part.
    pub fn put(cluster: &Cluster, name: &str) -> Self {
        let text = std::fs::read_to_string(cluster.state().join("pids").join(name)).unwrap();
        let id = text.split_whitespace().next().unwrap().to_owned();
        let killed = Command::new("kill").args(["-9", &id]).status().unwrap();
        assert!(killed.success(), "{name}, process {id}, was not there to be killed");
        Self(())
    }

    /// Starts it again.
    pub fn back(self) {
        drop(self);
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/up");
        let started = Command::new(up).output();
        let failed = match started {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::thread::panicking(), "tests/cluster/up: {failed}");
    }
}

/// Without that part for so long; from when to when.
pub fn away(cluster: &Cluster, name: &str, seconds: i64) -> (Timestamp, Timestamp) {
    let part = Away::put(cluster, name);
    let gone_at = Timestamp::now();
    let until = gone_at + SignedDuration::from_secs(seconds);
    wait(seconds.unsigned_abs() + 10, "an outage", || (Timestamp::now() >= until).then_some(()));
    part.back();
    (gone_at, Timestamp::now())
}
