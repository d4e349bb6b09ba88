//! The objects that a night changes: which, by whose wish, and with what pre-image.
//!
//! In: plan and pre-images. Out: [`Spot`]s: one change of one object, of a closing or of a step. Invariants: a closing's key is
//! `namespace/service/closing`, that of what is declared for half-done work
//! `namespace/service/degraded/action`, a step's `step/<name>`; a restart is the merge of an annotation that only this step of this night
//! has, so that repeating it changes nothing. Not here: what is written to a spot ([`super::targets`], [`super::change`],
//! [`super::restore`]) or seen of it ([`super::look`]).

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::plan::{Plan, PlannedAction, ServiceIndex, StepIndex};
use crate::model::reference::Target;
use crate::model::service::{Change, Closing};

use super::call::CallError;
use super::capture::{FieldChange, Preimage, changes, is_closed};
use super::found::{self, is_asked};
use super::marks;
use super::names::restored_mark;
use super::operations::{annotated, at, keys, text};
use super::perform::PerformError;
use super::preimages::{Preimages, degraded_key, key, step_key};
use super::tenant::{Tenant, path};
use super::token::{Standing, Token, Way};

/// Whose change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A service's, to be closed.
    Closing,
    /// A service's, to be open on half-done work.
    Degraded,
    /// A step's.
    Step,
}

/// One change that is planned.
#[derive(Clone)]
pub(super) struct Planned<'a> {
    pub(super) key: String,
    pub(super) wish: Wish,
    /// Whose it is, when it is a service's.
    pub(super) service: Option<ServiceIndex>,
    pub(super) target: &'a Target,
    /// As it was declared.
    pub(super) declared: &'a Change,
    /// As it is written.
    pub(super) change: Cow<'a, Change>,
}

impl<'a> Planned<'a> {
    fn of_service(key: String, wish: Wish, service: ServiceIndex, closing: &'a Closing) -> Self {
        let Closing { name: _, target, change } = closing;
        Self { key, wish, service: Some(service), target, declared: change, change: Cow::Borrowed(change) }
    }

    fn step(plan: &Plan, closing: &'a Closing) -> Self {
        let Closing { name, target, change } = closing;
        let written = match change {
            Change::Restart {} => {
                let once = json!({"metadata": {"annotations": {(marks::RESTARTED): made_by(&plan.uid, name)}}});
                Cow::Owned(Change::Merge { merge: json!({"spec": {"template": once}}) })
            }
            Change::Scale { .. }
            | Change::Suspend {}
            | Change::Merge { .. }
            | Change::Json { .. }
            | Change::Apply { .. }
            | Change::Cordon {} => Cow::Borrowed(change),
        };
        Self { key: step_key(name), wish: Wish::Step, service: None, target, declared: change, change: written }
    }

    /// What it would change in `live`, the object at `path`.
    pub(super) async fn capture(&self, tenant: &Tenant, path: &str, live: &Value, resource: &str) -> Result<Preimage, CallError> {
        match self.wish {
            Wish::Closing if !is_asked(&self.change) => Ok(super::capture::preimage(live, resource, &self.change)),
            Wish::Closing | Wish::Degraded | Wish::Step => {
                let found = found::found(tenant, path, live, &self.change).await?;
                Ok(found::step_preimage(live, resource, found))
            }
        }
    }
}

/// Which step of which night made something.
fn made_by(night: &str, step: &str) -> String {
    format!("{night}.{step}")
}

/// Every change that is planned for the night: those of services, then those of steps, in order.
pub(super) fn planned(plan: &Plan) -> Vec<Planned<'_>> {
    let closed = plan.services.iter().enumerate().filter(|(_, service)| service.close_at.is_some());
    let closings = closed.flat_map(|(index, _)| of_service(plan, index).into_iter().chain(of_degraded(plan, index)));
    closings.chain((0..plan.steps.len()).filter_map(|index| of_step(plan, index))).collect()
}

/// The closings of a service, in declared order.
pub(super) fn of_service(plan: &Plan, index: ServiceIndex) -> Vec<Planned<'_>> {
    let Some(service) = plan.services.get(index) else { return Vec::new() };
    let planned = |closing| Planned::of_service(key(service, closing), Wish::Closing, index, closing);
    service.close.iter().map(planned).collect()
}

/// What a service declared for half-done work, in declared order.
pub(super) fn of_degraded(plan: &Plan, index: ServiceIndex) -> Vec<Planned<'_>> {
    let Some(service) = plan.services.get(index) else { return Vec::new() };
    let planned = |action| Planned::of_service(degraded_key(service, action), Wish::Degraded, index, action);
    service.when_dirty.actions().iter().map(planned).collect()
}

/// The change of a step, when it is one.
pub(super) fn of_step(plan: &Plan, index: StepIndex) -> Option<Planned<'_>> {
    match &plan.steps.get(index)?.action {
        PlannedAction::Change(closing) => Some(Planned::step(plan, closing)),
        PlannedAction::Close { .. }
        | PlannedAction::Job(_)
        | PlannedAction::Check(_)
        | PlannedAction::Hold(_)
        | PlannedAction::Notify { .. } => None,
    }
}

/// One change of one object, with its pre-image.
pub(super) struct Spot<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) night: &'a str,
    pub(super) planned: Planned<'a>,
    pub(super) preimage: &'a Preimage,
    pub(super) path: String,
    /// The annotation that says it was restored.
    pub(super) restored: String,
    /// Since when nothing is sent forward any more.
    pub(super) turned_at: Option<Timestamp>,
}

/// The closings of a service, in declared order; those without a pre-image are an error value.
pub(super) fn spots<'a>(
    tenant: &'a Tenant,
    plan: &'a Plan,
    preimages: &'a Preimages,
    service: ServiceIndex,
) -> Vec<Result<Spot<'a>, PerformError>> {
    of_service(plan, service).into_iter().map(|planned| Spot::of(tenant, plan, preimages, planned)).collect()
}

/// What a service declared for half-done work, in declared order.
pub(super) fn degraded_spots<'a>(
    tenant: &'a Tenant,
    plan: &'a Plan,
    preimages: &'a Preimages,
    service: ServiceIndex,
) -> Vec<Result<Spot<'a>, PerformError>> {
    of_degraded(plan, service).into_iter().map(|planned| Spot::of(tenant, plan, preimages, planned)).collect()
}

/// The object that a step changes.
pub(super) fn step_spot<'a>(
    tenant: &'a Tenant,
    plan: &'a Plan,
    preimages: &'a Preimages,
    step: StepIndex,
) -> Result<Spot<'a>, PerformError> {
    let none = || PerformError::Refused { what: format!("step {step}"), reason: "it changes no object".to_owned() };
    Spot::of(tenant, plan, preimages, of_step(plan, step).ok_or_else(none)?)
}

pub(super) fn target_path(target: &Target, resource: &str) -> String {
    path(&target.api_version, &target.namespace, resource, &target.name)
}

impl<'a> Spot<'a> {
    fn of(tenant: &'a Tenant, plan: &'a Plan, preimages: &'a Preimages, planned: Planned<'a>) -> Result<Self, PerformError> {
        let reason = || format!("no pre-image of {} was captured", planned.key);
        let missing = || PerformError::Refused { what: planned.target.to_string(), reason: reason() };
        let preimage = preimages.targets.get(&planned.key).ok_or_else(missing)?;
        Ok(Self {
            tenant,
            night: &plan.uid,
            preimage,
            path: target_path(planned.target, &preimage.resource),
            restored: restored_mark(&planned.key),
            turned_at: preimages.turned_at,
            planned,
        })
    }

    pub(super) fn what(&self) -> String {
        self.planned.target.to_string()
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> PerformError {
        PerformError::Refused { what: self.what(), reason: reason.into() }
    }

    pub(super) fn own(&self, way: Way) -> String {
        Token::of(self.night, self.tenant.epoch, way).to_string()
    }

    pub(super) fn standing(&self, live: &Value) -> Standing {
        Standing::of(live, self.night, self.tenant.epoch)
    }

    /// The value of the mark on a target that was closed again after it had been given back.
    pub(super) fn closed_again(&self) -> String {
        format!("{}.closed-again", self.night)
    }

    pub(super) fn is_recreated(&self, live: &Value) -> bool {
        text(live, &["metadata", "uid"]) != self.preimage.uid
    }

    /// The value of the mark on an object that this step makes.
    pub(super) fn maker(&self) -> String {
        made_by(self.night, self.planned.key.strip_prefix("step/").unwrap_or(&self.planned.key))
    }

    /// Whether this step made the object.
    pub(super) fn is_made_here(&self, live: &Value) -> bool {
        annotated(live, marks::CREATED) == Some(&self.maker())
    }

    /// The fields that the change changes in `live`; of one that only the API server can tell, as it told them then.
    pub(super) fn known_changes(&self, live: &Value) -> Vec<FieldChange> {
        if !is_asked(&self.planned.change) {
            return changes(live, &self.planned.change);
        }
        let known = |field: &super::capture::Field| FieldChange {
            pointer: field.pointer.clone(),
            before: at(live, &keys(&field.pointer)).cloned(),
            after: field.after.clone(),
        };
        self.preimage.fields.iter().map(known).collect()
    }

    /// Whether `live` shows the change. Of one that only the API server can tell, an empty one is not known here.
    pub(super) fn is_changed(&self, live: &Value) -> bool {
        if self.preimage.is_absent() {
            return self.is_made_here(live);
        }
        if is_asked(&self.planned.change) {
            let as_after = |field: &super::capture::Field| at(live, &keys(&field.pointer)) == field.after.as_ref();
            return !self.preimage.fields.is_empty() && self.preimage.fields.iter().all(as_after);
        }
        is_closed(live, &self.planned.change)
    }
}
