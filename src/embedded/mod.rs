//! An in-memory Kubernetes API for `kube::Client`, with the few controllers a night needs.
//!
//! In: requests of ordinary clients, and the scene's annotations ([`annotations`] names them). Out: what a real API
//! server, Deployment and Job controller, node and network would show, at exact moments of a [`Clock`]: under Tokio's
//! paused time a whole night takes milliseconds.
//! Invariants: the same requests at the same moments give the same world, bit for bit: names and uids are counted, time
//! is the clock's, nothing is drawn. Nothing runs in the background: what is due happens, at its own moment, before the
//! next look. Everything kept is bounded.
//! Not here: admission beyond what a scene alters, RBAC (every user may do everything that [`Embedded::set_forbidden`] does not
//! forbid), schemas, the scheduler, Pods of Deployments.
//!
//! What can be compared with a real one is compared: `tests/real/differential`.
//!
//! # What differs from a real API server (1.35)
//!
//! - Namespaces need not exist; deleting one deletes what is in it, at once. No `default` `ServiceAccounts`.
//! - Custom kinds have no schema: no validation, defaults, pruning, conversion or CEL; a served kind stays served. All
//!   versions of a kind show the object as it was written.
//! - Built-in kinds are checked where a night would notice: types, names, labels, sizes, immutability, Job templates; only
//!   what a night reads is defaulted; fields that they do not know are kept. Services are given no cluster IPs.
//! - Server-side apply knows the managers that apply, and no others: fields that were created, updated or patched belong
//!   to nobody and never conflict, and go with their last applier; what both refuse is refused
//!   for its types before its conflicts.
//! - Strategic merge patches are answered 415. `/scale`, `/log`, `/eviction`, `/binding` do not exist.
//! - Access reviews allow what is not forbidden by the scene, whatever roles there are.
//! - Tokens are opaque, not JWTs; audiences are not checked.
//! - core/v1 and events.k8s.io/v1 Events are two kinds.
//! - Lists are the latest state, unless a fault says otherwise.
//! - Watches end after half an hour unless told otherwise, and tell a change at the instant it is made.
//! - Controllers act at the instant of a change, after its answer was made, and never on stale caches: the races of a
//!   lagging Job controller must be written into a scene (`on-stop: Completes` is one).
//! - Deployments have no `ReplicaSets` and no Pods; all new replicas are ready at once, after `ready-after`.
//! - Pods start at once on the one node, run their containers once whatever `restartPolicy` says, and stop as their
//!   annotations say.
//! - `CronJobs` are only objects.

mod access;
mod admission;
pub mod annotations;
mod apply;
mod audit;
mod call;
mod change;
mod create;
mod defaults;
mod definitions;
mod delete;
mod deployments;
mod execute;
mod failure;
mod fault;
mod fields;
mod garbage;
mod job_pods;
mod jobs;
mod kinds;
mod log;
mod network;
mod owned;
mod patch;
mod pods;
mod reactions;
mod selector;
mod serve;
mod token;
mod typed;
mod validate;
mod watch;
mod world;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::Value;

use crate::clock::Clock;

pub use access::{Access, ForbiddenFn};
pub use admission::{AdmissionFn, Admitted};
pub use audit::{AUDITED_MAX, Audited};
pub use call::Verb;
pub use deployments::Readiness;
pub use failure::Failure;
pub use fault::{EventInfo, Fault, FaultFn, Stage, WatchFault, WatchFaultFn};
pub use kinds::ResourceKind;
pub use log::{CountKey, KEPT_MAX, LoggedRequest, RequestInfo};
pub use patch::PatchType;
pub use pods::NODE;

use admission::Admission;
use fault::Telling;
use log::RequestLog;
use serve::Caller;
use world::{Key, World};

/// What waiting watches are told: the latest revision, and when something will happen by itself.
type Moved = (u64, Option<Timestamp>);

/// The embedded API. Clones are the same API.
#[derive(Clone)]
pub struct Embedded(Arc<Shared>);

struct Shared {
    clock: Clock,
    world: Mutex<World>,
    log: Mutex<RequestLog>,
    fault: Mutex<Option<FaultFn>>,
    telling: Mutex<Telling>,
    forbidden: Mutex<Option<ForbiddenFn>>,
    moved: Mutex<Moved>,
    /// Rings whenever that changes: waiting watches hear it in the order in which they began to wait.
    bell: tokio::sync::Notify,
    date_off_by: Mutex<SignedDuration>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("now", &self.clock().now()).finish_non_exhaustive()
    }
}

impl Embedded {
    /// An empty API whose time is `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            world: Mutex::new(World::starting_at(clock.now())),
            log: Mutex::new(RequestLog::default()),
            fault: Mutex::new(None),
            telling: Mutex::default(),
            forbidden: Mutex::new(None),
            moved: Mutex::new((0, None)),
            bell: tokio::sync::Notify::new(),
            date_off_by: Mutex::default(),
        }))
    }

    /// The clock it runs on.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// A client whose requests are `user`'s. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn client(&self, user: &str) -> Client {
        self.client_of(&Caller::User(user.into()))
    }

    /// A client that bears `token`, as a `TokenRequest` gave it; unknown or expired tokens are answered 401.
    #[must_use]
    pub fn client_for_token(&self, token: &str) -> Client {
        self.client_of(&Caller::Token(token.into()))
    }

    fn client_of(&self, caller: &Caller) -> Client {
        let (embedded, caller) = (self.clone(), caller.clone());
        let service = tower::service_fn(move |request| {
            let (embedded, caller) = (embedded.clone(), caller.clone());
            async move { Ok::<_, Infallible>(embedded.answer(caller, request).await) }
        });
        Client::new(service, "default")
    }

    /// Serves a custom kind.
    pub fn register(&self, kind: ResourceKind) {
        self.enter(|world| world.kinds.register(kind));
    }

    /// Serves the kinds of a `CustomResourceDefinition`, as creating it through the API does too.
    ///
    /// # Errors
    /// When the definition names no group, kind, plural or version.
    pub fn register_definition(&self, definition: &Value) -> Result<(), Failure> {
        let kinds = kinds::from_definition(definition)?;
        self.enter(|world| kinds.into_iter().for_each(|kind| world.kinds.register(kind)));
        Ok(())
    }

    /// Creates an object directly, for scenes: neither logged nor exposed to faults. Its namespace is its own, or
    /// `default`.
    ///
    /// # Errors
    /// As the API would refuse it; an unknown kind is 404.
    pub fn create(&self, object: Value) -> Result<Value, Failure> {
        self.enter(|world| {
            let kind = world.kinds.by_kind(fields::text(&object, &["apiVersion"]), fields::text(&object, &["kind"]));
            let kind = kind.ok_or_else(Failure::no_such_path)?;
            let own = fields::text(&object, &["metadata", "namespace"]).to_owned();
            let namespace = match (kind.namespaced, own.is_empty()) {
                (false, _) => "",
                (true, true) => "default",
                (true, false) => &own,
            };
            create::create(world, &kind, namespace, object, false).map(|stored| (*stored).clone())
        })
    }

    /// The object of `group`/`plural` as it is now, for scenes and tests: not logged.
    #[must_use]
    pub fn object(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = Key::new(group, plural, namespace, name);
        self.enter(|world| world.get(&key).map(|object| (*object).clone()))
    }

    /// Every object as it is now, by group, plural, namespace and name: to compare two ends of one night.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        self.enter(|world| world.all().map(|(_, object)| (**object).clone()).collect())
    }

    /// The latest requests, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.requests().kept()
    }

    /// How many requests there were by verb, group and plural, since the beginning.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<CountKey, u64> {
        self.requests().counts()
    }

    /// From now on every request is exposed to `fault`; none ends that.
    pub fn set_fault(&self, fault: Option<FaultFn>) {
        *locked(&self.0.fault) = fault;
    }

    /// From now on every event of a watch is exposed to `fault`; none ends that.
    pub fn set_watch_fault(&self, fault: Option<WatchFaultFn>) {
        locked(&self.0.telling).decide = fault;
    }

    /// How many events watches were told, since the beginning.
    #[must_use]
    pub fn events_told(&self) -> u64 {
        locked(&self.0.telling).count
    }

    /// From now on whatever `forbidden` says is answered 403, and by access reviews with no; none ends that.
    pub fn set_forbidden(&self, forbidden: Option<ForbiddenFn>) {
        *locked(&self.0.forbidden) = forbidden;
    }

    /// From now on the API is alone: no Job, Pod, Deployment or owner's end is followed by anything.
    pub fn stop_controllers(&self) {
        self.enter(|world| world.controllers_stopped = true);
    }

    /// From now on the Pods of Deployments with this label become ready so; none ends that.
    pub fn say_of_deployments(&self, label: (&str, &str), readiness: Option<Readiness>) {
        self.enter(|world| deployments::say(world, label, readiness));
    }

    /// From now on every `Date` is off by so much: whoever goes by it has another time than the controllers.
    pub fn set_date_off_by(&self, off_by: SignedDuration) {
        *locked(&self.0.date_off_by) = off_by;
    }

    fn date_is_off_by(&self) -> SignedDuration {
        *locked(&self.0.date_off_by)
    }

    /// From now on whatever is written through the API passes `admission`, as it passes other people's mutating webhooks; none ends that.
    pub fn set_admission(&self, admission: Option<AdmissionFn>) {
        self.enter(|world| world.admission = Admission(admission));
    }

    /// What a probe of `url` gets now.
    ///
    /// # Errors
    /// The words of a client that got no answer: `no such host …`, `connection refused …`, `connection timed out …`.
    pub fn http_get(&self, url: &str) -> Result<u16, String> {
        self.enter(|world| network::get(world, url))
    }

    /// Forgets all but the latest `kept` changes, so that a watch from before them is answered 410.
    pub fn compact(&self, kept: usize) {
        self.enter(|world| world.forget_all_but(kept));
    }

    /// Does something to the world at this instant: what was due happens first, what follows happens at once.
    fn enter<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = locked(&self.0.world);
        world.advance(self.0.clock.now());
        let result = act(&mut world);
        world.settle();
        let moved = (world.revision(), world.next_due());
        drop(world);
        if std::mem::replace(&mut *locked(&self.0.moved), moved) != moved {
            self.0.bell.notify_waiters();
        }
        result
    }

    fn bell(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.bell.notified()
    }

    fn requests(&self) -> MutexGuard<'_, RequestLog> {
        locked(&self.0.log)
    }

    fn forbidden(&self) -> Option<ForbiddenFn> {
        locked(&self.0.forbidden).clone()
    }

    fn fault(&self) -> Option<FaultFn> {
        locked(&self.0.fault).clone()
    }

    /// What goes wrong with the next event that a watch is told.
    fn watch_fault(&self, mut event: EventInfo) -> WatchFault {
        let mut telling = locked(&self.0.telling);
        telling.count = telling.count.saturating_add(1);
        event.number = telling.count;
        let decide = telling.decide.clone();
        drop(telling);
        decide.map(|decide| decide(&event)).unwrap_or_default()
    }
}

/// A panic of one test's closure must not hide what the others see.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
