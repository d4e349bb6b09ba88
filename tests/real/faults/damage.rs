//! What is broken as long as it is held, and mended when it is dropped.
//!
//! In: what to break. Out: a guard. Invariants: whatever the end of a test is, nothing of it goes on: threads are joined, processes are
//! ended by their ids, parts of Kubernetes are started again. Not here: when.

use std::any::Any;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::cluster::Cluster;
use crate::operator::LEASE;

/// All that one fault holds broken.
pub type Damage = Vec<Box<dyn Any>>;

/// Somebody else who holds the operator's Lease, and renews it.
pub struct Thief {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Thief {
    const RENEWS_EVERY: Duration = Duration::from_secs(1);

    /// Takes it now.
    pub fn steal() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let take = move || {
            let cluster = Cluster::connect();
            while !stopped.load(Ordering::Relaxed) {
                let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
                let spec = json!({"holderIdentity": "ladro_1", "renewTime": now, "leaseDurationSeconds": 15});
                cluster.merge(LEASE, &json!({"spec": spec}));
                std::thread::sleep(Self::RENEWS_EVERY);
            }
        };
        Self { stop, thread: Some(std::thread::spawn(take)) }
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the thief failed: nothing was tested");
    }
}

/// A process that takes a whole CPU; after ten minutes it ends by itself.
pub struct Hog(Child);

impl Hog {
    /// Starts it, as nice as anybody.
    pub fn start() -> Self {
        Self(Command::new("bash").args(["-c", "while ((SECONDS < 600)); do :; done"]).spawn().unwrap())
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let still_ran = matches!(self.0.try_wait(), Ok(None));
        let ended = self.0.kill().and_then(|()| self.0.wait());
        assert!(std::thread::panicking() || (still_ran && ended.is_ok()), "the CPU was not taken to the end");
    }
}
