//! Whether doors are open: an HTTP client outside of everything, through the real Services.
//!
//! In: doors. Out: every answer with its moment. Invariants: one question each [`EVERY`] or a little later to each service, from the moment the doors
//! are watched until they are no longer; no good answer in time is a closed door. Not here: what Notturno says about it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

const EVERY: Duration = Duration::from_millis(200);
/// Connecting is the kernel's work and takes no time; behind a closed door most questions are dropped, because refusals are rationed.
const CONNECT_FOR_MAX: Duration = Duration::from_millis(250);
const ANSWER_FOR_MAX: Duration = Duration::from_millis(1500);

/// What somebody who knocks sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Closed,
    Open,
    /// Open, and what is handed out is half-done work.
    OpenOnTornData,
}

/// A door, and what to make of its answers.
#[derive(Clone, Debug)]
pub struct Door {
    name: &'static str,
    address: SocketAddr,
    path: &'static str,
    judge: fn(&str) -> Seen,
}

impl Door {
    pub const fn new(name: &'static str, address: SocketAddr, path: &'static str, judge: fn(&str) -> Seen) -> Self {
        Self { name, address, path, judge }
    }

    fn knock(&self) -> Seen {
        get(self.address, self.path).map_or(Seen::Closed, |answer| (self.judge)(&answer))
    }
}

/// Any 200 is an open door.
pub fn answers(answer: &str) -> Seen {
    if answer.starts_with("HTTP/1.1 200 ") { Seen::Open } else { Seen::Closed }
}

/// One answer.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Timestamp,
    seen: Seen,
}

impl Sample {
    fn is_open(self) -> bool {
        self.seen != Seen::Closed
    }
}

/// Doors under watch.
pub struct Doors {
    samples: BTreeMap<&'static str, Arc<Mutex<Vec<Sample>>>>,
    stop: Arc<AtomicBool>,
    watchers: Vec<JoinHandle<()>>,
}

impl Doors {
    /// Begins to watch.
    pub fn watch(doors: Vec<Door>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut watched = Self { samples: BTreeMap::new(), stop: Arc::clone(&stop), watchers: vec![] };
        for door in doors {
            let samples = Arc::new(Mutex::new(vec![]));
            watched.samples.insert(door.name, Arc::clone(&samples));
            let stop = Arc::clone(&stop);
            watched.watchers.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let asked_at = Instant::now();
                    let seen = door.knock();
                    samples.lock().unwrap().push(Sample { at: Timestamp::now(), seen });
                    std::thread::sleep(EVERY.saturating_sub(asked_at.elapsed()));
                }
            }));
        }
        watched
    }

    fn of(&self, service: &str) -> Vec<Sample> {
        self.samples[service].lock().unwrap().clone()
    }

    /// Whether the last answers of all services were good.
    pub fn all_open(&self) -> bool {
        self.samples.values().all(|samples| samples.lock().unwrap().last().is_some_and(|sample| sample.is_open()))
    }

    /// From when to when a door did not open; none when it always did. Without an end it still does not.
    pub fn closed(&self, service: &str) -> Option<(Timestamp, Option<Timestamp>)> {
        let samples = self.of(service);
        let first = samples.iter().find(|sample| !sample.is_open())?.at;
        let last = samples.iter().rposition(|sample| !sample.is_open()).unwrap();
        Some((first, samples.get(last + 1).map(|sample| sample.at)))
    }

    /// The services whose last answer before `moment` was not good.
    pub fn closed_at(&self, moment: Timestamp) -> Vec<&'static str> {
        let closed = |name: &&'static str| {
            let samples = self.of(name);
            let last = samples.iter().rfind(|sample| sample.at <= moment);
            !last.unwrap_or_else(|| panic!("nobody asked {name} before {moment}")).is_open()
        };
        self.samples.keys().copied().filter(closed).collect()
    }

    /// When somebody was first handed half-done work by this service.
    pub fn torn(&self, service: &str) -> Option<Timestamp> {
        self.of(service).iter().find(|sample| sample.seen == Seen::OpenOnTornData).map(|sample| sample.at)
    }

    /// Every answer: of which service, when, and whether it was good.
    pub fn answers(&self) -> Vec<(&'static str, Timestamp, bool)> {
        let of = |&name: &&'static str| self.of(name).into_iter().map(move |sample| (name, sample.at, sample.is_open()));
        self.samples.keys().flat_map(of).collect()
    }

    /// How many questions were asked since `moment`, at least, of each service.
    pub fn asked_since(&self, moment: Timestamp) -> usize {
        let count =
            |samples: &Arc<Mutex<Vec<Sample>>>| samples.lock().unwrap().iter().filter(|sample| sample.at > moment).count();
        self.samples.values().map(count).min().unwrap_or_default()
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for watcher in self.watchers.drain(..) {
            // One that panicked has told so; there is nothing to add.
            let _ = watcher.join();
        }
    }
}

/// One plain GET; the whole answer.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_FOR_MAX)?;
    stream.set_read_timeout(Some(ANSWER_FOR_MAX))?;
    stream.set_write_timeout(Some(ANSWER_FOR_MAX))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address.ip())?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
