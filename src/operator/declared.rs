//! What people have declared, read live and validated: the ground on which a night is planned.
//!
//! In: the operator's rights, an Intervention's runbook. Out: [`Declared`], or every refusal. Invariants: one object that cannot be
//! read hurts only nights that may need it: a service that is closed tonight, or that depends on anything, since it might depend on what is
//! closed. Not here: the plan made of it ([`crate::plan`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kube::api::{Api, ApiResource, ListParams};
use kube::core::DynamicObject;
use serde_json::Value;

use super::effects::call::{Answer, CallError, LIMIT, within};
use crate::api::{self, Document, OfficeCalendar, PublicService, validate};
use crate::model::action::Action;
use crate::model::calendar::Calendar;
use crate::model::refusal::Refusal;
use crate::model::runbook::{Intervention, Runbook};
use crate::model::service::Service;

/// Everything that the planner asks for.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) services: Vec<Service>,
    pub(super) calendars: BTreeMap<String, Calendar>,
    /// What is wrong with services that tonight may need.
    pub(super) refusals: Vec<Refusal>,
    /// What is wrong with calendars, by name; it matters only when the plan misses one.
    pub(super) bad_calendars: BTreeMap<String, Vec<Refusal>>,
}

/// The runbook of a night; the refusals when there is none that can be used.
///
/// # Errors
/// When it cannot be read now: retry later.
pub(super) async fn runbook(client: &kube::Client, night: &Intervention) -> Result<Result<Runbook, Vec<Refusal>>, CallError> {
    let kind = ApiResource::erase::<api::Runbook>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &night.namespace, &kind);
    let object = match within(LIMIT, &format!("reading Runbook {}", night.runbook), api.get(&night.runbook)).await {
        Ok(object) => object,
        Err(error) if error.answer() == Some(Answer::NotFound) => {
            let object = validate::object_name("Intervention", Some(&night.namespace), &night.name);
            let message = format!("there is no Runbook {} in namespace {}", night.runbook, night.namespace);
            return Ok(Err(vec![Refusal::new("UnknownRunbook", &object, "spec.runbook", message)]));
        }
        Err(error) => return Err(error),
    };
    Ok(match api::from_value(document(object, &kind)) {
        Ok(Document::Runbook(raw)) => validate::runbook(&raw).map(|checked| checked.value),
        Ok(Document::Calendar(_) | Document::Service(_) | Document::Intervention(_)) => Err(Vec::new()),
        Err(refusals) => Err(refusals),
    })
}

/// All services and calendars of the cluster, read at one time.
#[derive(Debug, Default)]
struct Listed {
    services: Vec<ListedService>,
    calendars: BTreeMap<String, Result<Calendar, Vec<Refusal>>>,
}

#[derive(Debug)]
struct ListedService {
    namespace: String,
    name: String,
    depends: bool,
    read: Result<Service, Vec<Refusal>>,
}

/// Reads shared by all nights that are introduced at a time: a thousand of them read a thousand services a few times, not each for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Listings(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    begun_count: AtomicU64,
    waiting_count: AtomicUsize,
    /// The last one's number, and what it found, as long as somebody waits for it.
    last: tokio::sync::Mutex<(u64, Option<Arc<Listed>>)>,
}

/// Counts who waits; whoever is dropped waits no more.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Listings {
    /// What a read found that began after this call: never older than the night that asks.
    async fn fresh(&self, client: &kube::Client) -> Result<Arc<Listed>, CallError> {
        let begun_before = self.0.begun_count.load(Ordering::Acquire);
        let waiting = Waiting::new(&self.0.waiting_count);
        let mut last = self.0.last.lock().await;
        drop(waiting);
        let known = last.1.take().filter(|_| last.0 > begun_before);
        let listed = if let Some(listed) = known {
            listed
        } else {
            last.0 = self.0.begun_count.fetch_add(1, Ordering::AcqRel) + 1;
            Arc::new(listed(client).await?)
        };
        last.1 = (self.0.waiting_count.load(Ordering::Acquire) > 0).then(|| Arc::clone(&listed));
        Ok(listed)
    }
}

async fn listed(client: &kube::Client) -> Result<Listed, CallError> {
    let mut all = Listed::default();
    let kind = ApiResource::erase::<PublicService>(&());
    for object in list(client, &kind).await? {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let name = object.metadata.name.clone().unwrap_or_default();
        let document = document(object, &kind);
        let depends = depends(&document);
        let read = service(document);
        if let Err(refusals) = &read {
            tracing::warn!(service = %format!("{namespace}/{name}"), count = refusals.len(), "a PublicService cannot be read");
        }
        all.services.push(ListedService { namespace, name, depends, read });
    }
    let kind = ApiResource::erase::<OfficeCalendar>(&());
    for object in list(client, &kind).await? {
        let name = object.metadata.name.clone().unwrap_or_default();
        all.calendars.insert(name, calendar(document(object, &kind)));
    }
    Ok(all)
}

/// All services and calendars, as far as `runbook` may need them.
///
/// # Errors
/// When they cannot be read now: retry later.
pub(super) async fn declared(listings: &Listings, client: &kube::Client, runbook: &Runbook) -> Result<Declared, CallError> {
    let listed = listings.fresh(client).await?;
    let mut declared = Declared::default();
    for ListedService { namespace, name, depends, read } in &listed.services {
        match read {
            Ok(service) => declared.services.push(service.clone()),
            Err(refusals) if *depends || closes(runbook, namespace, name) => declared.refusals.extend(refusals.iter().cloned()),
            Err(_) => {}
        }
    }
    for (name, read) in &listed.calendars {
        match read {
            Ok(calendar) => drop(declared.calendars.insert(name.clone(), calendar.clone())),
            Err(refusals) => drop(declared.bad_calendars.insert(name.clone(), refusals.clone())),
        }
    }
    Ok(declared)
}

async fn list(client: &kube::Client, kind: &ApiResource) -> Result<Vec<DynamicObject>, CallError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    Ok(within(LIMIT, &format!("listing {}", kind.plural), api.list(&ListParams::default())).await?.items)
}

/// As a file would have it.
pub(super) fn document(object: DynamicObject, kind: &ApiResource) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), kind.api_version.clone().into());
        fields.insert("kind".to_owned(), kind.kind.clone().into());
    }
    value
}

fn service(document: Value) -> Result<Service, Vec<Refusal>> {
    match api::from_value(document)? {
        Document::Service(raw) => Ok(validate::service(&raw)?.value),
        Document::Calendar(_) | Document::Runbook(_) | Document::Intervention(_) => Err(Vec::new()),
    }
}

fn calendar(document: Value) -> Result<Calendar, Vec<Refusal>> {
    match api::from_value(document)? {
        Document::Calendar(raw) => Ok(validate::calendar(&raw)?.value),
        Document::Service(_) | Document::Runbook(_) | Document::Intervention(_) => Err(Vec::new()),
    }
}

fn closes(runbook: &Runbook, namespace: &str, name: &str) -> bool {
    let closed = runbook.steps.iter().flat_map(|step| match &step.action {
        Action::Close { services } => services.as_slice(),
        Action::Job(_) | Action::Change { .. } | Action::Check(_) | Action::Hold(_) | Action::Notify { .. } => &[],
    });
    closed.into_iter().any(|one| one.name == name && one.namespace.as_deref().is_none_or(|one| one == namespace))
}

fn depends(document: &Value) -> bool {
    match document.pointer("/spec/dependsOn") {
        None | Some(Value::Null) => false,
        Some(Value::Array(dependencies)) => !dependencies.is_empty(),
        Some(_) => true,
    }
}
