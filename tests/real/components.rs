//! The parts of Kubernetes itself, and how they are lost and come back.
//!
//! In: the name under which `tests/cluster/up` keeps the process. Out: it is gone, or there again. Invariants: ended by its id; what is
//! away comes back by `tests/cluster/up`, which repairs, also when a test fails meanwhile. Not here: what a night makes of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jiff::{SignedDuration, Timestamp};

use super::cluster::{Cluster, wait};

/// A part that is away; it is started again at the end, whatever the end is.
pub struct Away(());

impl Away {
    /// `kill -9` of that part.
    pub fn put(cluster: &Cluster, name: &str) -> Self {
        let id = process(cluster, name);
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

fn process(cluster: &Cluster, name: &str) -> String {
    let text = std::fs::read_to_string(cluster.state().join("pids").join(name)).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

/// A part that runs as a process of the test's own, with another way to the API server, in place of the cluster's.
pub struct Elsewhere {
    process: Child,
    _away: Away,
}

impl Elsewhere {
    /// The same command line, but for these options.
    pub fn put(cluster: &Cluster, name: &str, other: &[(&str, String)]) -> Self {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", process(cluster, name))).unwrap();
        let mut words: Vec<String> = line.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        for (option, value) in other {
            let place = words.iter().position(|word| word == option).unwrap_or_else(|| panic!("{name} has no {option}"));
            words[place + 1].clone_from(value);
        }
        let away = Away::put(cluster, name);
        let log: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stderr(std::fs::File::create(log).unwrap());
        Self { process: command.spawn().unwrap(), _away: away }
    }

    /// `kill -9` of it; dropped, the cluster's own comes back.
    pub fn kill(&mut self) {
        assert!(self.process.try_wait().unwrap().is_none(), "it ended by itself");
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // It may have ended by itself: what it should have done did not happen then, and that is told.
        let _ = self.process.kill();
        let _ = self.process.wait();
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
