//! What other hands do in the night: to objects, to programs, and as orders.
//!
//! In: the faults of a night. Out: deeds with their moments, in order. Invariants: a deed says whether it changed anything; what it finds
//! missing it leaves alone; by-day objects are those that the night began with. Not here: requests that fail on their way (`strikes`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use notturno::embedded::{Admitted, Embedded};
use notturno::engine::facts::{Ask, Order};
use serde_json::{Value, json};

use super::cast::{Cast, Who};
use super::fault::{Fault, Kind, Object, Way};
use super::scene::{BACK_AFTER, PERSON, WHOSE, key};
use crate::oracle::Key;
use crate::processes::{LEASE_IN, OPERATOR};

/// Whoever fights for an object.
pub const CONTROLLER: &str = "gitops";
/// How often it does.
const FIGHTS_EVERY: SignedDuration = SignedDuration::from_mins(2);
/// How far the API server's clock steps.
const AHEAD_BY: SignedDuration = SignedDuration::from_mins(4);
const BEHIND_BY: SignedDuration = SignedDuration::from_secs(-4);
/// What every service needs.
const NEEDED: &str = "rete";

/// One thing done, by the place of its fault.
#[derive(Clone, Debug)]
pub struct Deed {
    pub place: usize,
    pub fault: Fault,
    /// It ends what it began.
    pub is_end: bool,
}

/// All deeds of the night with their moments.
pub fn deeds(faults: &[Fault]) -> Vec<(Timestamp, Deed)> {
    let mut all = vec![];
    for (place, fault) in faults.iter().enumerate().filter(|(_, fault)| matches!(fault.kind.way(), Way::Hand | Way::Program)) {
        let mut add = |at, is_end| all.push((at, Deed { place, fault: fault.clone(), is_end }));
        let at = fault.from();
        match fault.kind {
            Kind::TargetFoughtOver => {
                let times = i32::try_from(fault.times.unwrap_or(3)).unwrap();
                (0..times).for_each(|time| add(at + FIGHTS_EVERY * time, false));
            }
            Kind::OperatorKilled | Kind::SentinelKilled => {
                add(at, false);
                add(at + BACK_AFTER, true);
            }
            Kind::SentinelsDown
            | Kind::DateAhead
            | Kind::DateBehind
            | Kind::WebhookAlters
            | Kind::ProbesRed
            | Kind::OrderHold => {
                add(at, false);
                add(fault.until(), true);
            }
            _ => add(at, false),
        }
    }
    all
}

/// What somebody's webhook writes on an object whenever it changes.
pub const WEBHOOK_MARK: &str = "webhook.example/visto";

fn root(kind: &str) -> &'static str {
    match kind {
        "Deployment" => "/apis/apps/v1",
        "Job" | "CronJob" => "/apis/batch/v1",
        "Lease" => "/apis/coordination.k8s.io/v1",
        "Intervention" | "Runbook" | "PublicService" | "OfficeCalendar" => "/apis/notturno.dev/v1alpha1",
        _ => "/api/v1",
    }
}

fn path(object: &Object) -> String {
    let inside = if object.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", object.namespace) };
    format!("{}{inside}/{}s/{}", root(&object.kind), object.kind.to_lowercase(), object.name)
}

fn named(kind: &str, namespace: &str, name: &str) -> Object {
    let [kind, namespace, name] = [kind, namespace, name].map(str::to_owned);
    Object { kind, namespace, name }
}

/// Whoever does it, and the world in which it is done.
pub struct Hand<'a> {
    pub embedded: &'a Embedded,
    pub by_day: &'a BTreeMap<Key, Arc<Value>>,
    /// How often a webhook altered something.
    pub altered: &'a Arc<AtomicUsize>,
}

impl Hand<'_> {
    async fn send(&self, user: &str, method: &str, path: &str, body: String) -> bool {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/merge-patch+json");
        let answer = self.embedded.client(user).send(request.body(Body::from(body.into_bytes())).unwrap()).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn merge(&self, user: &str, object: &Object, patch: Value) -> bool {
        self.send(user, "PATCH", &path(object), patch.to_string()).await
    }

    async fn delete(&self, object: &Object) -> bool {
        self.send(PERSON, "DELETE", &format!("{}?propagationPolicy=Background", path(object)), String::new()).await
    }

    fn day(&self, object: &Object) -> Option<Value> {
        let key = key(&json!({"kind": object.kind, "metadata": {"namespace": object.namespace, "name": object.name}}));
        let mut day = (**self.by_day.get(&key)?).clone();
        day.as_object_mut()?.remove("status");
        let metadata = day["metadata"].as_object_mut()?;
        metadata.retain(|name, _| ["name", "namespace", "labels", "annotations"].contains(&name.as_str()));
        Some(day)
    }

    async fn recreate(&self, object: &Object) -> bool {
        let Some(day) = self.day(object) else { return false };
        let collection = path(object).rsplit_once('/').map(|(collection, _)| collection.to_owned()).unwrap();
        self.delete(object).await && self.send(PERSON, "POST", &collection, day.to_string()).await
    }

    async fn fight(&self, object: &Object) -> bool {
        let Some(day) = self.day(object) else { return false };
        let mut wanted = json!({});
        for field in ["spec", "data"] {
            if let Some(value) = day.get(field) {
                wanted[field] = value.clone();
            }
        }
        self.merge(CONTROLLER, object, wanted).await
    }

    async fn delete_pods(&self, job: &str) -> bool {
        let mut any = false;
        for pod in self.embedded.objects().into_iter().filter(|one| one["kind"] == "Pod") {
            if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job {
                any |= self.delete(&named("Pod", WHOSE.namespace, pod["metadata"]["name"].as_str().unwrap())).await;
            }
        }
        any
    }

    /// From now on the object is altered whenever it is written.
    fn alter(&self, object: &Object) {
        let (object, altered) = (object.clone(), Arc::clone(self.altered));
        self.embedded.set_admission(Some(Arc::new(move |admitted: Admitted<'_>, value: &mut Value| {
            let resource = format!("{}s", object.kind.to_lowercase());
            if (admitted.resource, admitted.namespace, admitted.name) == (resource.as_str(), &object.namespace, &object.name) {
                value["metadata"]["annotations"][WEBHOOK_MARK] = json!("si");
                altered.fetch_add(1, Ordering::Relaxed);
            }
        })));
    }

    fn order(cast: &Cast, deed: &Deed, ask: Ask) -> bool {
        let name = format!("ordine-{}-{}", deed.place, deed.is_end);
        let order = Order { name, by: PERSON.to_owned(), at: deed.fault.from(), ask };
        cast.orders().is_some_and(|orders| orders.give(&format!("{}/{}", WHOSE.namespace, WHOSE.name), order))
    }

    /// Does it; whether it made any difference.
    pub async fn does(&self, cast: &mut Cast, deed: &Deed) -> bool {
        match deed.fault.kind.way() {
            Way::Program => self.on_program(cast, deed).await,
            Way::Hand | Way::Request | Way::Event | Way::Work => self.on_object(cast, deed).await,
        }
    }

    async fn on_program(&self, cast: &mut Cast, deed: &Deed) -> bool {
        let lived = cast.lives(if deed.fault.kind == Kind::SentinelKilled { Who::Sentinel(0) } else { Who::Operator });
        match (deed.fault.kind, deed.is_end) {
            (Kind::OperatorKilled, false) => cast.kill(Who::Operator),
            (Kind::OperatorKilled, true) => cast.start(Who::Operator).await,
            (Kind::OperatorDies, _) => cast.bury(),
            (Kind::SentinelKilled, false) => cast.kill(Who::Sentinel(0)),
            (Kind::SentinelKilled, true) => cast.start(Who::Sentinel(0)).await,
            (Kind::SentinelsDown, is_end) => {
                let lived = cast.lives(Who::Sentinel(0));
                cast.down(!is_end).await;
                return lived && !is_end;
            }
            (Kind::DateAhead, is_end) => self.embedded.set_date_off_by(if is_end { SignedDuration::ZERO } else { AHEAD_BY }),
            (Kind::DateBehind, is_end) => self.embedded.set_date_off_by(if is_end { SignedDuration::ZERO } else { BEHIND_BY }),
            // They were started with them.
            (Kind::WallClockAhead | Kind::WallClockBehind | Kind::SentinelsAhead | Kind::SentinelsBehind, _) => {}
            (other, _) => unreachable!("{other:?} strikes no program"),
        }
        lived && !deed.is_end
    }

    async fn on_object(&self, cast: &Cast, deed: &Deed) -> bool {
        let Deed { fault, is_end, .. } = deed;
        let own = |what: &str| format!("{}{what}", cast.stem);
        let map = |what: &str| named("ConfigMap", WHOSE.namespace, &own(what));
        let job = || format!("{}{}", cast.stem.trim_start_matches("notturno-"), fault.object().name);
        match fault.kind {
            Kind::WebhookAlters if *is_end => self.embedded.set_admission(None),
            Kind::WebhookAlters => self.alter(fault.object()),
            Kind::Compacted => {
                self.embedded.compact(0);
                return true;
            }
            Kind::LeaseStolen => {
                let lease = named("Lease", LEASE_IN, OPERATOR);
                return self.merge(PERSON, &lease, json!({"spec": {"holderIdentity": "due"}})).await;
            }
            Kind::TargetDeleted | Kind::ServiceDeleted => return self.delete(fault.object()).await,
            Kind::TargetRecreated => return self.recreate(fault.object()).await,
            Kind::TargetEdited => {
                let patch = json!({"metadata": {"labels": {"a-mano": "si"}}});
                return self.merge(PERSON, fault.object(), patch).await;
            }
            Kind::TargetFoughtOver => return self.fight(fault.object()).await,
            Kind::TokenTaken => {
                let patch = json!({"metadata": {"annotations": {"notturno.dev/token": null}}});
                return self.merge(PERSON, fault.object(), patch).await;
            }
            Kind::JobDeleted => return self.delete(&named("Job", WHOSE.namespace, &job())).await,
            Kind::PodDeleted => return self.delete_pods(&job()).await,
            Kind::LedgerLabelled => {
                return self.merge(CONTROLLER, &map("ledger"), json!({"metadata": {"labels": {"di": "altri"}}})).await;
            }
            Kind::LedgerForeignKey => return self.merge(PERSON, &map("ledger"), json!({"data": {"straniero": "si"}})).await,
            Kind::RunbookEdited => {
                let patch = json!({"spec": {"reserve": "1m", "reopening": {"budget": "1m"}}});
                return self.merge(PERSON, &named("Runbook", WHOSE.namespace, "lavori"), patch).await;
            }
            Kind::CalendarEdited => {
                return self.merge(PERSON, fault.object(), json!({"spec": {"hours": "Mo-Su 20:00-21:00"}})).await;
            }
            Kind::SwitchDeleted => return self.delete(&named("Deployment", WHOSE.namespace, &own("sentinel"))).await,
            Kind::NightDeleted => return self.delete(&named("Intervention", WHOSE.namespace, WHOSE.name)).await,
            Kind::OrderTurnBack => return Self::order(cast, deed, Ask::TurnBack),
            Kind::OrderHold => return Self::order(cast, deed, if *is_end { Ask::Resume } else { Ask::Hold }),
            Kind::OrderExtend => {
                let ask = Ask::Extend { step: fault.object().name.clone(), until: fault.until() };
                return Self::order(cast, deed, ask);
            }
            Kind::ProbesRed => {
                let patch = json!({"spec": {"replicas": i32::from(*is_end)}});
                return self.merge(PERSON, &named("Deployment", "sanita", NEEDED), patch).await && !is_end;
            }
            other => unreachable!("{other:?} is nobody's deed"),
        }
        false
    }
}
