//! A line between a client and the embedded API that is cut at a chosen write, and slow by chance.
//!
//! In: a client. Out: the same client through the line. Invariants: while the line is cut neither requests nor answers pass, and all of them
//! do when it is mended, in an order that the seed chooses, whatever became of whoever sent them. The seed gives the delays, one after the
//! other; which request takes which is the order in which they are sent.
//! Not here: the machine behind it, which goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::sleep;

/// Numbers from a seed (`SplitMix64`).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to one less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The line; clones are the same line.
#[derive(Clone)]
pub struct Line(Arc<Inner>);

struct Inner {
    cut_at: u64,
    /// Whether the write at which it is cut is held itself, or only its answer.
    before: bool,
    write_count: AtomicU64,
    cut: watch::Sender<bool>,
    /// From the cut on.
    slow: AtomicBool,
    chance: Mutex<Chance>,
}

impl Line {
    pub fn new(cut_at: u64, before: bool, seed: u64) -> Self {
        let (cut, _) = watch::channel(false);
        let (write_count, slow, chance) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Chance::new(seed)));
        Self(Arc::new(Inner { cut_at, before, write_count, cut, slow, chance }))
    }

    /// Passes through this line.
    pub fn client(&self, inner: Client) -> Client {
        let line = self.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (inner, line) = (inner.clone(), line.clone());
            let sent = tokio::spawn(async move {
                let cuts = line.counts(request.method());
                if cuts && line.0.before {
                    line.is_cut();
                }
                line.passes().await;
                let answer = inner.send(request).await;
                if cuts && !line.0.before {
                    line.is_cut();
                }
                line.passes().await;
                answer
            });
            async move { sent.await.expect("the line holds") }
        });
        Client::new(service, "default")
    }

    /// Whether this is the write at which it is cut.
    fn counts(&self, method: &http::Method) -> bool {
        let writes = [http::Method::PATCH, http::Method::POST, http::Method::DELETE].contains(method);
        writes && self.0.write_count.fetch_add(1, Ordering::Relaxed) + 1 == self.0.cut_at
    }

    pub fn write_count(&self) -> u64 {
        self.0.write_count.load(Ordering::Relaxed)
    }

    fn is_cut(&self) {
        self.delays();
        self.0.cut.send_replace(true);
    }

    /// From now on everything takes its time.
    pub fn delays(&self) {
        self.0.slow.store(true, Ordering::Relaxed);
    }

    pub async fn until_cut(&self) {
        // The line holds the other end.
        let _ = self.0.cut.subscribe().wait_for(|cut| *cut).await.map(drop);
    }

    pub fn mend(&self) {
        self.0.cut.send_replace(false);
    }

    async fn passes(&self) {
        let _ = self.0.cut.subscribe().wait_for(|cut| !cut).await.map(drop);
        if self.0.slow.load(Ordering::Relaxed) {
            let delay = self.delay();
            sleep(delay).await;
        }
    }

    /// Mostly a moment, sometimes long enough for the other side to do many things meanwhile.
    fn delay(&self) -> Duration {
        let mut chance = self.0.chance.lock().unwrap();
        let most = [5, 5, 50, 300, 300, 2000][usize::try_from(chance.below(6)).unwrap()];
        Duration::from_millis(chance.below(most))
    }
}
