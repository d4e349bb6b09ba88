//! A night's first minute: its ledger, if it has one, or a plan from what is declared, or refusals.
//!
//! In: an Intervention as seen, live Runbook, `PublicServices`, `OfficeCalendars`. Out: [`Introduced`]. Invariants: a night that has a
//! ledger is never planned again; the Intervention bears our finalizer and the name of the `ServiceAccount` before there is a ledger, so
//! that after a restart one knows where to look; a refused night has no ledger. A refused night is planned again only when the operator
//! starts anew and its start is still to come: its spec never changes, and who mends a runbook writes another Intervention. A night that
//! is over and let go is left alone. Not here: anything after acceptance.

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::book::{Book, BookError, Whose};
use super::context::Context;
use super::declared::{self, Declared};
use super::effects::call::{CallError, LIMIT, within};
use crate::api::{self, Document, validate};
use crate::model::phase::Outcome;
use crate::model::plan::Plan;
use crate::model::refusal::Refusal;
use crate::model::runbook::{Intervention, Mode, Runbook};
use crate::model::span::after;
use crate::plan::{Question, plan};

/// Keeps an Intervention until its night is over.
pub(super) const FINALIZER: &str = "notturno.dev/night";
/// Says as whom its ledger is read.
pub(super) const SERVICE_ACCOUNT: &str = "notturno.dev/service-account";

/// What became of a new Intervention.
pub(super) enum Introduced {
    /// It has a ledger.
    Night(Box<Book>),
    /// It is to be rehearsed, and has none.
    Rehearsal(Box<Plan>),
    /// It may not take place.
    Refused {
        /// Why.
        refusals: Vec<Refusal>,
        /// Somebody has to look.
        needs_human: bool,
    },
    /// There is nothing to do for it.
    Nothing,
}

/// Why a night could not be introduced now: retry later, whatever it is, until its latest start.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntroduceError {
    /// The operator's own call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The tenant's ledger could not be read or begun.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// Looks for the ledger of a night; without one, plans it and begins one.
///
/// # Errors
/// When something cannot be read or written now.
pub(super) async fn introduce(object: &DynamicObject, context: &Context, now: Timestamp) -> Result<Introduced, IntroduceError> {
    let night = match intervention(object.clone()) {
        Ok(night) => night,
        Err(refusals) if is_marked(object) => return Box::pin(known_only(object, context, refusals)).await,
        Err(refusals) => return Ok(refused(refusals)),
    };
    match night.mode {
        Mode::Rehearse => return Box::pin(to_rehearse(object, &night, context)).await,
        Mode::Run => {}
    }
    let start_by = after(night.start_at, night.start_tolerance);
    let runbook = match account(object) {
        Some(account) => match Box::pin(Book::open(context, &whose(object, &account))).await? {
            // One whose ledger is torn and whose finalizer was taken off was ended by a person.
            Some(book) if (book.is_over() || book.is_torn) && !is_marked(object) => return Ok(Introduced::Nothing),
            Some(book) => return Ok(Introduced::Night(Box::new(book))),
            None if now >= night.start_at => return Ok(without_ledger(object)),
            None => declared::runbook(&context.client, &night).await?,
        },
        None if object.metadata.deletion_timestamp.is_some() || (now > start_by && was_refused(object)) => {
            return Ok(Introduced::Nothing);
        }
        None if now > start_by => return Ok(refused(vec![too_late(&night, start_by)])),
        None => declared::runbook(&context.client, &night).await?,
    };
    let runbook = match runbook {
        Ok(runbook) => runbook,
        Err(refusals) => return Ok(refused(refusals)),
    };
    let declared = declared::declared(&context.listings, &context.client, &runbook).await?;
    match accepted(&night, &runbook, declared) {
        Err(refusals) => Ok(refused(refusals)),
        Ok(plan) => Box::pin(begin(object, *plan, context, now)).await,
    }
}

/// The plan of a rehearsal, whenever its start; nothing when it was rehearsed or is going. It needs no finalizer: one that somebody wrote
/// is taken off.
async fn to_rehearse(object: &DynamicObject, night: &Intervention, context: &Context) -> Result<Introduced, IntroduceError> {
    if object.metadata.deletion_timestamp.is_some() || has_outcome(object) {
        unmark(object, context).await?;
        return Ok(Introduced::Nothing);
    }
    let runbook = match declared::runbook(&context.client, night).await? {
        Ok(runbook) => runbook,
        Err(refusals) => return Ok(refused(refusals)),
    };
    let declared = declared::declared(&context.listings, &context.client, &runbook).await?;
    Ok(match accepted(night, &runbook, declared) {
        Err(refusals) => refused(refusals),
        Ok(mut plan) => {
            plan.uid = object.uid().unwrap_or_default();
            Introduced::Rehearsal(plan)
        }
    })
}

/// An Intervention that cannot be read (any more), but was accepted once.
async fn known_only(object: &DynamicObject, context: &Context, refusals: Vec<Refusal>) -> Result<Introduced, IntroduceError> {
    let book = match account(object) {
        Some(account) => Book::open(context, &whose(object, &account)).await?,
        None => None,
    };
    Ok(book.map_or_else(|| refused(refusals), |book| Introduced::Night(Box::new(book))))
}

/// The validated Intervention, or every refusal.
pub(super) fn intervention(object: DynamicObject) -> Result<Intervention, Vec<Refusal>> {
    match api::from_value(declared::document(object, &ApiResource::erase::<api::Intervention>(&())))? {
        Document::Intervention(raw) => Ok(validate::intervention(&raw)?.value),
        Document::Calendar(_) | Document::Service(_) | Document::Runbook(_) => Err(Vec::new()),
    }
}

fn refused(refusals: Vec<Refusal>) -> Introduced {
    Introduced::Refused { refusals, needs_human: false }
}

fn accepted(night: &Intervention, runbook: &Runbook, declared: Declared) -> Result<Box<Plan>, Vec<Refusal>> {
    let Declared { services, calendars, refusals: mut found, bad_calendars } = declared;
    let object = validate::object_name("Runbook", Some(&runbook.namespace), &runbook.name);
    // Whoever rehearses changes nothing that somebody would have to approve.
    if runbook.approvals.is_some() && night.mode == Mode::Run {
        let message = "approvals cannot be given yet; a runbook that asks for them is not run: remove spec.approvals";
        found.push(Refusal::new("ApprovalsNotSupported", &object, "spec.approvals", message.to_owned()));
    }
    let mut verdict = plan(Question { intervention: night, runbook, services: &services, calendars: &calendars });
    found.append(&mut verdict.refusals);
    if !found.is_empty() {
        let used = services.iter().flat_map(|service| &service.sites).map(|site| &site.calendar);
        let used: std::collections::BTreeSet<&String> = used.collect();
        found.extend(bad_calendars.into_iter().filter(|(name, _)| used.contains(name)).flat_map(|(_, refusals)| refusals));
        return Err(found);
    }
    verdict.timeline.map(Box::new).ok_or_else(|| vec![Refusal::new("NoPlan", &object, "spec", "no plan was made".to_owned())])
}

async fn begin(object: &DynamicObject, mut plan: Plan, context: &Context, now: Timestamp) -> Result<Introduced, IntroduceError> {
    plan.uid = object.uid().unwrap_or_default();
    // A tenant that gives no token has no ledger either: nothing is marked for it.
    context.tenants.of(&plan.namespace, &plan.service_account).await.map_err(BookError::from)?;
    mark(object, &plan.service_account, context).await?;
    Ok(Introduced::Night(Box::new(Book::begin(context, plan, now).await?)))
}

/// The finalizer and the ServiceAccount, in one write that holds only for the object as it was seen.
async fn mark(object: &DynamicObject, service_account: &str, context: &Context) -> Result<(), CallError> {
    if is_marked(object) && account(object).as_deref() == Some(service_account) {
        return Ok(());
    }
    let mut finalizers = object.finalizers().to_vec();
    if !is_marked(object) {
        finalizers.push(FINALIZER.to_owned());
    }
    let metadata = json!({
        "resourceVersion": object.metadata.resource_version, "finalizers": finalizers,
        "annotations": {SERVICE_ACCOUNT: service_account},
    });
    write(object, &Patch::Merge(json!({"metadata": metadata})), context, "marking").await
}

/// Lets the Intervention go. Nothing is written when it is not held.
pub(super) async fn unmark(object: &DynamicObject, context: &Context) -> Result<(), CallError> {
    let Some(position) = object.finalizers().iter().position(|name| name == FINALIZER) else { return Ok(()) };
    let pointer = format!("/metadata/finalizers/{position}");
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": object.metadata.uid},
        {"op": "test", "path": pointer, "value": FINALIZER},
        {"op": "remove", "path": pointer},
    ]);
    let patch = Patch::Json(serde_json::from_value(operations).unwrap_or_default());
    write(object, &patch, context, "letting go of").await
}

async fn write(object: &DynamicObject, patch: &Patch<Value>, context: &Context, verb: &str) -> Result<(), CallError> {
    let (name, parameters) = (object.name_any(), PatchParams::default());
    within(LIMIT, &format!("{verb} Intervention {name}"), interventions(object, context).patch(&name, &parameters, patch))
        .await?;
    Ok(())
}

/// When it is to start, as far as that can be read without the rest.
pub(super) fn start_at(object: &DynamicObject) -> Option<Timestamp> {
    object.data.pointer("/spec/startTime").and_then(Value::as_str).and_then(|text| text.parse().ok())
}

/// What it runs, as far as that can be read without the rest; empty when it cannot.
pub(super) fn runbook_name(object: &DynamicObject) -> &str {
    object.data.pointer("/spec/runbook").and_then(Value::as_str).unwrap_or_default()
}

/// The Interventions of the object's namespace.
pub(super) fn interventions(object: &DynamicObject, context: &Context) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<api::Intervention>(&());
    Api::namespaced_with(context.client.clone(), &object.namespace().unwrap_or_default(), &kind)
}

pub(super) fn is_marked(object: &DynamicObject) -> bool {
    object.finalizers().iter().any(|name| name == FINALIZER)
}

fn account(object: &DynamicObject) -> Option<String> {
    object.annotations().get(SERVICE_ACCOUNT).cloned()
}

fn whose(object: &DynamicObject, service_account: &str) -> Whose {
    Whose {
        namespace: object.namespace().unwrap_or_default(),
        service_account: service_account.to_owned(),
        name: object.name_any(),
        night_uid: object.uid().unwrap_or_default(),
    }
}

/// Only to leave an old report as it stands.
fn has_outcome(object: &DynamicObject) -> bool {
    object.data.pointer("/status/outcome").is_some_and(Value::is_string)
}

/// As for [`has_outcome`].
fn was_refused(object: &DynamicObject) -> bool {
    let outcome = object.data.pointer("/status/outcome").and_then(Value::as_str);
    outcome == Some(Outcome::Refused.as_str())
}

fn too_late(night: &Intervention, start_by: Timestamp) -> Refusal {
    let object = validate::object_name("Intervention", Some(&night.namespace), &night.name);
    let message = format!("its latest start, {start_by}, has passed: a night is never replayed; write another Intervention");
    Refusal::new("TooLate", &object, "spec.startTime", message)
}

/// It was to be accepted once. Whether the ledger was never begun or was destroyed cannot be known, so nobody begins another one.
fn without_ledger(object: &DynamicObject) -> Introduced {
    if !is_marked(object) {
        return Introduced::Nothing;
    }
    let name = validate::object_name("Intervention", object.namespace().as_deref(), &object.name_any());
    let message =
        "the night was accepted or about to be, its start has passed, and there is no ledger: look at the services by hand";
    let refusals = vec![Refusal::new("LedgerMissing", &name, "metadata.annotations", message.to_owned())];
    Introduced::Refused { refusals, needs_human: true }
}
