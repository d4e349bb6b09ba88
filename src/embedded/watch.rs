//! Watches: a stream of changes from a revision on.
//!
//! In: where to start, what to select, how long. Out: lines of JSON, one per change.
//! Invariants: every change in the scope after the start appears once and in order; an object that enters or leaves the
//! selection is added, or deleted as it was; a start older than the history is one `ERROR` with code 410; the stream ends after
//! `timeoutSeconds` of virtual time. At most [`BATCH_MAX`] changes wait in a stream.
//! Not here: the watch cache's delays; random timeouts (half an hour when none is asked).

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Embedded;
use super::call::Call;
use super::failure::Failure;
use super::fault::{EventInfo, WatchFault};
use super::kinds::ResourceKind;
use super::selector::Selector;
use super::world::{Change, Scope, World, after};

const BATCH_MAX: usize = 256;
const TIMEOUT_SECONDS: i64 = 1800;
const BOOKMARK_EVERY: SignedDuration = SignedDuration::from_secs(60);
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What is still to be sent, and the change that it tells, if it tells one.
struct Line {
    bytes: Bytes,
    event: Option<EventInfo>,
}

/// One open watch.
pub(super) struct Watching {
    embedded: Embedded,
    user: Arc<str>,
    kind: Arc<ResourceKind>,
    scope: Scope,
    selector: Selector,
    seen: u64,
    lines: VecDeque<Line>,
    /// Told after the next.
    kept_back: Option<Bytes>,
    ends_at: Timestamp,
    bookmark_at: Option<Timestamp>,
    ended: bool,
}

impl Watching {
    /// Opens the watch that `call` asks for.
    ///
    /// # Errors
    /// 400 or 500 for what cannot be read, 504 for a revision that does not exist yet.
    pub(super) fn open(
        embedded: &Embedded,
        user: &str,
        world: &World,
        kind: &Arc<ResourceKind>,
        call: &Call,
    ) -> Result<Self, Failure> {
        let mut labels_and_fields = (call.parameter("labelSelector"), call.parameter("fieldSelector").to_owned());
        if !call.name.is_empty() {
            labels_and_fields.1 = format!("metadata.name={}", call.name);
        }
        let selector = Selector::parse(kind, labels_and_fields.0, &labels_and_fields.1)?;
        let timeout = call.parameter("timeoutSeconds").parse().ok().filter(|seconds| *seconds > 0).unwrap_or(TIMEOUT_SECONDS);
        let mut watching = Self {
            embedded: embedded.clone(),
            user: user.into(),
            kind: Arc::clone(kind),
            scope: Scope::new(&kind.group, &kind.plural, call.namespace.as_deref()),
            selector,
            seen: world.revision(),
            lines: VecDeque::new(),
            kept_back: None,
            ends_at: after(world.now, SignedDuration::from_secs(timeout)),
            bookmark_at: (call.parameter("allowWatchBookmarks") == "true").then(|| after(world.now, BOOKMARK_EVERY)),
            ended: false,
        };
        let initial = call.parameter("sendInitialEvents") == "true";
        match call.parameter("resourceVersion") {
            "" | "0" => watching.send_initial(world, initial),
            _ if initial => watching.send_initial(world, true),
            revision => watching.resume(world, revision)?,
        }
        Ok(watching)
    }

    fn send_initial(&mut self, world: &World, marked: bool) {
        for (_, object) in world.scan(&self.scope).filter(|(_, object)| self.selector.selects(object)) {
            self.lines.push_back(plain("ADDED", object));
        }
        if marked {
            self.bookmark(&BTreeMap::from([(INITIAL_EVENTS_END, "true")]));
        }
    }

    fn resume(&mut self, world: &World, revision: &str) -> Result<(), Failure> {
        let revision: u64 =
            revision.parse().map_err(|_| Failure::internal(format!("resourceVersion: Invalid value: {revision:?}")))?;
        if revision > world.revision() {
            return Err(Failure::ahead_of_time(revision, world.revision()));
        }
        self.seen = revision;
        Ok(())
    }

    /// The lines of the stream, as frames of a body.
    pub(super) fn frames(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        futures::stream::unfold(self, |mut watching| async move {
            let line = watching.next().await?;
            Some((Ok(Frame::data(line)), watching))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                match self.suffered(line).await {
                    Some(bytes) => return Some(bytes),
                    None => continue,
                }
            }
            if self.ended {
                return None;
            }
            let embedded = self.embedded.clone();
            let mut rings = pin!(embedded.bell());
            // What moves from here on is heard.
            rings.as_mut().enable();
            let wake_at = self.collect();
            if self.lines.is_empty() && !self.ended {
                let clock = embedded.clock();
                tokio::select! {
                    biased;
                    () = rings => {}
                    () = clock.sleep_until(wake_at) => {}
                }
            }
        }
    }

    /// What is left of a line by what goes wrong with it.
    async fn suffered(&mut self, line: Line) -> Option<Bytes> {
        let Some(event) = line.event else { return Some(line.bytes) };
        let fault = self.embedded.watch_fault(event);
        let held = self.kept_back.take();
        match fault {
            WatchFault::None => {}
            WatchFault::Lost => return held,
            WatchFault::Late(span) => tokio::time::sleep(span).await,
            WatchFault::Twice => self.lines.push_front(again(&line.bytes)),
            WatchFault::AfterNext => {
                self.kept_back = Some(line.bytes);
                return held;
            }
            WatchFault::Compacted => {
                let failure = Failure::expired(self.seen, self.seen);
                self.lines = VecDeque::from([plain("ERROR", &failure.status())]);
                self.ended = true;
                return None;
            }
            WatchFault::Ended => {
                self.lines.clear();
                self.ended = true;
                return None;
            }
            WatchFault::Silent => pending().await,
        }
        if let Some(held) = held {
            self.lines.push_front(again(&held));
        }
        Some(line.bytes)
    }

    /// Collects what has happened by now; returns when something will happen by itself.
    fn collect(&mut self) -> Timestamp {
        let embedded = self.embedded.clone();
        embedded.enter(|world| {
            self.collect_changes(world);
            if self.lines.is_empty() && !self.ended {
                self.collect_time(world);
            }
            let soonest = [world.next_due(), self.bookmark_at].into_iter().flatten().min();
            soonest.map_or(self.ends_at, |at| at.min(self.ends_at))
        })
    }

    fn collect_changes(&mut self, world: &World) {
        if self.seen < world.forgotten() {
            let failure = Failure::expired(self.seen, world.forgotten());
            self.lines.push_back(plain("ERROR", &failure.status()));
            self.ended = true;
            return;
        }
        let changes = world.changes_after(self.seen, &self.scope, BATCH_MAX);
        let whole = changes.len() < BATCH_MAX;
        for change in &changes {
            self.seen = change.revision;
            self.lines.extend(self.tell(change));
        }
        if whole {
            self.seen = world.revision();
        }
    }

    fn tell(&self, change: &Change) -> Option<Line> {
        let was = change.before.as_ref().is_some_and(|before| self.selector.selects(before));
        let is = !change.removed && self.selector.selects(&change.object);
        let kind = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        let [group, resource, namespace, name] =
            [&change.key.group, &change.key.plural, &change.key.namespace, &change.key.name].map(Clone::clone);
        let event = EventInfo { user: self.user.to_string(), group, resource, namespace, name, number: 0 };
        let left = change.before.as_ref().filter(|_| was && !is && !change.removed);
        // Who leaves a selection is shown as it was in it.
        let line = left.map(|before| {
            let mut before = (**before).clone();
            super::fields::set(&mut before, &["metadata", "resourceVersion"], change.revision.to_string());
            plain(kind, &before)
        });
        Some(Line { event: Some(event), ..line.unwrap_or_else(|| plain(kind, &change.object)) })
    }

    fn collect_time(&mut self, world: &World) {
        if world.now >= self.ends_at {
            if self.bookmark_at.is_some() {
                self.bookmark(&BTreeMap::new());
            }
            self.ended = true;
        } else if self.bookmark_at.is_some_and(|at| world.now >= at) {
            self.bookmark(&BTreeMap::new());
            self.bookmark_at = Some(after(world.now, BOOKMARK_EVERY));
        }
    }

    fn bookmark(&mut self, annotations: &BTreeMap<&str, &str>) {
        let mut object = json!({"apiVersion": self.kind.api_version(), "kind": self.kind.kind,
            "metadata": {"resourceVersion": self.seen.to_string(), "creationTimestamp": null}});
        if !annotations.is_empty() {
            super::fields::set(&mut object, &["metadata", "annotations"], json!(annotations));
        }
        self.lines.push_back(plain("BOOKMARK", &object));
    }
}

/// A line to which nothing happens.
fn plain(event: &str, object: &Value) -> Line {
    Line { bytes: Bytes::from(format!("{}\n", json!({"type": event, "object": object}))), event: None }
}

fn again(bytes: &Bytes) -> Line {
    Line { bytes: bytes.clone(), event: None }
}
