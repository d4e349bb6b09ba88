//! A network for probes: which Service answers what, now.
//!
//! In: Services, the Deployments behind them, and their annotations. Out: an HTTP status, or why there is none.
//! Invariants: a Service is looked at whenever a Service or a Deployment changed and whenever a recovery ends, so the
//! moment at which its dependencies all answered 200 again is exact, whoever probes and when.
//! A recovery follows an outage: a Service whose dependencies come up for the first time does not wait.
//! Not here: bodies, latency, load balancing (the first ready Deployment by name answers), ingress, DNS beyond
//! `name.namespace[.svc[.cluster.local]]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::annotations;
use super::fields;
use super::world::{Key, Scope, World, after};

/// Dependencies are followed this deep; what lies deeper counts as unhealthy.
const DEPTH_MAX: usize = 16;

/// How the dependencies of a Service have fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recovery {
    /// Whether they have all been healthy once.
    was_healthy: bool,
    healthy: bool,
    /// Since when they are all healthy again after an outage.
    since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    NoSuchHost,
    Refused,
    Code(u16),
}

/// Whether a change at `key` may change what Services answer.
pub(super) fn concerns(key: &Key) -> bool {
    key.is("", "services") || key.is("apps", "deployments")
}

/// Looks at all Services, notes which dependencies became healthy or ceased to be, and arms the ends of recoveries.
pub(super) fn observe(world: &mut World) {
    let mut look = Look { replies: BTreeMap::new(), recoveries: BTreeMap::new(), world };
    let services = world.copies(&Scope::new("", "services", None));
    for (key, _) in &services {
        look.reply(key, 0);
    }
    let recoveries = look.recoveries;
    for (key, service) in &services {
        let since = recoveries.get(key).and_then(|recovery| recovery.since);
        let due = since.map(|since| recovers_at(service, since)).filter(|at| *at > world.now);
        world.arm(key, due);
    }
    world.recoveries = recoveries;
}

/// What `GET url` answers now.
///
/// # Errors
/// The words of a client that got no answer.
pub(super) fn get(world: &World, url: &str) -> Result<u16, String> {
    let (host, port) = host_and_port(url).ok_or_else(|| format!("unsupported URL {url:?}"))?;
    let unknown = || format!("no such host {host:?}");
    let mut labels = host.split('.');
    let (Some(name), Some(namespace)) = (labels.next(), labels.next()) else { return Err(unknown()) };
    let rest: Vec<&str> = labels.collect();
    if !["", "svc", "svc.cluster.local"].contains(&rest.join(".").as_str()) {
        return Err(unknown());
    }
    let key = Key::new("", "services", namespace, name);
    let service = world.get(&key).ok_or_else(unknown)?;
    let ports = fields::list(&service, &["spec", "ports"]);
    if !ports.is_empty() && !ports.iter().any(|one| fields::int(one, &["port"], 0) == i64::from(port)) {
        return Err(format!("connection timed out: {host} has no port {port}"));
    }
    let mut look = Look { replies: BTreeMap::new(), recoveries: BTreeMap::new(), world };
    match look.reply(&key, 0) {
        Reply::NoSuchHost => Err(unknown()),
        Reply::Refused => Err(format!("connection refused: nothing ready behind {host}")),
        Reply::Code(code) => Ok(code),
    }
}

fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (rest, standard) = match url.split_once("://")? {
        ("http", rest) => (rest, 80),
        ("https", rest) => (rest, 443),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    match authority.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, standard)),
    }
}

/// One look at the network at one instant.
struct Look<'a> {
    world: &'a World,
    replies: BTreeMap<Key, Reply>,
    recoveries: BTreeMap<Key, Recovery>,
}

impl Look<'_> {
    /// What the Service at `key` answers; its dependencies are looked at first.
    fn reply(&mut self, key: &Key, depth: usize) -> Reply {
        if let Some(known) = self.replies.get(key) {
            return *known;
        }
        let Some(service) = self.world.get(key) else { return Reply::NoSuchHost };
        // What a circle of dependencies sees of a Service that it is still looking at.
        self.replies.insert(key.clone(), Reply::Code(503));
        let recovery = self.recovery(key, &service, depth);
        let reply = self.front(key, &service, recovery);
        self.recoveries.insert(key.clone(), recovery);
        self.replies.insert(key.clone(), reply);
        reply
    }

    fn recovery(&mut self, key: &Key, service: &Value, depth: usize) -> Recovery {
        let before = self.world.recoveries.get(key).copied().unwrap_or_default();
        let healthy = depth < DEPTH_MAX && needed(service).iter().all(|other| self.reply(other, depth + 1) == Reply::Code(200));
        let since = match (before.healthy, healthy) {
            (_, false) => None,
            (true, true) => before.since,
            (false, true) => before.was_healthy.then_some(self.world.now),
        };
        Recovery { was_healthy: before.was_healthy || healthy, healthy, since }
    }

    fn front(&self, key: &Key, service: &Value, recovery: Recovery) -> Reply {
        let Some(deployment) = self.backend(key, service) else { return Reply::Refused };
        if let Some(code) = annotations::answers(&deployment) {
            return Reply::Code(code);
        }
        let recovering = recovery.since.is_some_and(|since| recovers_at(service, since) > self.world.now);
        Reply::Code(if recovery.healthy && !recovering { 200 } else { 503 })
    }

    /// The first Deployment with something ready that the Service selects.
    fn backend(&self, key: &Key, service: &Value) -> Option<Arc<Value>> {
        let selector = fields::strings(service, &["spec", "selector"]);
        let scope = Scope::new("apps", "deployments", Some(&key.namespace));
        let selected = |deployment: &Value| {
            let labels = fields::strings(deployment, &["spec", "template", "metadata", "labels"]);
            !selector.is_empty() && selector.iter().all(|(label, value)| labels.get(label) == Some(value))
        };
        let ready = |deployment: &Value| fields::int(deployment, &["status", "readyReplicas"], 0) > 0;
        let found = self.world.scan(&scope).find(|(_, deployment)| selected(deployment) && ready(deployment));
        found.map(|(_, deployment)| Arc::clone(deployment))
    }
}

fn needed(service: &Value) -> Vec<Key> {
    let names = annotations::text(service, annotations::HEALTHY_WITH).split(',').map(str::trim);
    let parts = names.filter_map(|name| {
        let mut parts = name.split('.');
        parts.next().zip(parts.next())
    });
    parts.map(|(name, namespace)| Key::new("", "services", namespace, name)).collect()
}

fn recovers_at(service: &Value, since: Timestamp) -> Timestamp {
    after(since, annotations::span(service, annotations::RECOVERS_AFTER))
}
