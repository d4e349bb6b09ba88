//! The status of an Intervention, as a report of its ledger.
//!
//! In: plan, journal, where they stand. Out: one write of the status subresource when something changed. Invariants: never read back
//! for a decision, only for what people were told already; what moves by itself (slack, the next moment, the sentence about now) is
//! written with a transition and is no reason to write; a status that cannot be written is tried again later and delays nothing else.
//! Not here: Events, conditions' rules.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::context::Context;
use super::effects::call::{CallError, within};
use super::herald::Herald;
use super::introduce::interventions;
use crate::api::conditions::{Standing, conditions};
use crate::api::status::{BoundBy, InterventionStatus, RefusalReport, ServiceReport, StepReport, TermReport};
use crate::engine::command::{Held, Hold};
use crate::engine::journal::{Event, Proof};
use crate::engine::state::{Running, ServiceState, StepState, Work};
use crate::engine::words::{self, clock};
use crate::engine::{Decision, Entry, State};
use crate::model::need::{reopen_by, turn_back_at};
use crate::model::phase::{Outcome, Phase};
use crate::model::plan::{Plan, PlannedService};
use crate::model::refusal::Refusal;
use crate::model::span::Span;

/// A status must not hold up a night.
const STATUS_FOR_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// What was written last.
#[derive(Debug)]
pub(super) struct Reporter {
    written: Box<InterventionStatus>,
    /// This operator has not written any yet.
    is_first: bool,
}

impl Reporter {
    /// Goes on from the report that the object bears.
    pub(super) fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned();
        let written: Box<InterventionStatus> = status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default();
        Self { written, is_first: true }
    }

    /// The last record that people were told, as the last status says; 0 when it does not say.
    pub(super) fn told_up_to(&self) -> u32 {
        self.written.told_up_to.and_then(|seq| u32::try_from(seq).ok()).unwrap_or_default()
    }

    /// Writes the status when it says something new. How far people were told goes with it; by itself it is new only to an operator's
    /// first status and when the night is over.
    ///
    /// # Errors
    /// When it could not be written: it is new then still.
    pub(super) async fn write(
        &mut self,
        object: &DynamicObject,
        mut status: InterventionStatus,
        herald: &mut Herald,
        context: &Context,
    ) -> Result<(), CallError> {
        let generation = object.metadata.generation.unwrap_or_default();
        status.observed_generation = Some(generation);
        status.conditions = conditions(standing(&status), generation, context.time.now(), &self.written.conditions);
        let mut status = status.within_bounds();
        let (is_news, is_last) = (essence(&status) != essence(&self.written), status.phase == Some(Phase::Finished));
        if is_news || is_last || self.is_first {
            herald.soon(context).await;
        }
        status.told_up_to = i32::try_from(herald.told_up_to()).ok().filter(|seq| *seq > 0);
        let tells_more = herald.is_idle() && status.told_up_to != self.written.told_up_to;
        if !is_news && !(tells_more && (is_last || self.is_first)) {
            return Ok(());
        }
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": object.metadata.uid},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let operations: json_patch::Patch = serde_json::from_value(operations).unwrap_or_default();
        let api = interventions(object, context);
        let what = format!("reporting on Intervention {}", object.name_any());
        let patch = Patch::<()>::Json(operations);
        let answer = within(STATUS_FOR_MAX, &what, api.patch_status(&object.name_any(), &PatchParams::default(), &patch)).await;
        context.metrics.status_written(answer.is_ok());
        answer?;
        (*self.written, self.is_first) = (status, false);
        Ok(())
    }

    /// What was reported last, with a fault of the operator's own on it: a person is called.
    pub(super) fn with_fault(&self, why: String) -> InterventionStatus {
        InterventionStatus { needs_human: true, why: Some(why), ..InterventionStatus::clone(&self.written) }
    }
}

/// Without what moves by itself, and how far people were told. Before the night the sentence is about what people have to mend, so it
/// counts.
fn essence(status: &InterventionStatus) -> InterventionStatus {
    let mut status = status.clone();
    status.slack = None;
    status.wake_at = None;
    status.told_up_to = None;
    if !matches!(status.phase, None | Some(Phase::Pending)) {
        status.why = None;
        status.conditions.iter_mut().for_each(|condition| condition.message.clear());
    }
    status
}

/// The report of a night that has a ledger.
pub(crate) fn status(plan: &Plan, entries: &[Entry], state: &State, decision: &Decision, why: &str) -> InterventionStatus {
    let moment = |at: Timestamp| written(plan, at);
    let begun = state.begun(plan);
    let still_a_choice = matches!(decision.phase, Phase::Pending | Phase::Armed | Phase::Working);
    let turn_back = still_a_choice.then(|| turn_back_at(plan, &begun));
    let reported_at = entries.last().map_or(plan.start_at, |entry| entry.at);
    InterventionStatus {
        phase: Some(decision.phase),
        outcome: state.outcome,
        needs_human: state.needs_human(),
        step: step(plan, entries, state),
        plan_hash: state.plan_hash.clone(),
        start_at: Some(moment(plan.start_at)),
        must_serve_by: Some(moment(plan.deadline.must_serve_by)),
        turn_back_at: turn_back.map(moment),
        reopen_by: Some(moment(reopen_by(plan, &begun.closed))),
        tell_people_by: plan.tell_people_by.map(moment),
        planned_open: Some(moment(plan.planned_open_at)),
        slack: turn_back.map(|at| format!("{} at {}", Span::between(reported_at, at), clock(plan, reported_at))),
        why: Some(why.to_owned()),
        wake_at: decision.wake.as_ref().map(|wake| moment(wake.at)),
        bound_by: Some(BoundBy {
            service: plan.deadline.service.to_string(),
            site: plan.deadline.site.clone(),
            calendar: plan.deadline.calendar.clone(),
        }),
        services: services(plan, entries, state),
        steps: plan.steps.iter().zip(&state.steps).map(|(planned, step)| step_report(plan, &planned.name, step)).collect(),
        refusals: decision.start_held.iter().map(held).collect(),
        switch: None,
        told_up_to: None,
        conditions: Vec::new(),
        observed_generation: None,
    }
}

fn held(hold: &Hold) -> RefusalReport {
    let reason = match hold.what {
        Held::ClockNotBounded => "ClockNotBounded",
        Held::SwitchNotReady => "SwitchNotReady",
    };
    RefusalReport { reason: reason.to_owned(), message: hold.why.clone(), ..RefusalReport::default() }
}

/// Services whose data is half done: closed, open changed as they declared, open.
pub(super) fn half_done(plan: &Plan, state: &State) -> [u32; 3] {
    let mut counts = [0_u32; 3];
    for (planned, service) in plan.services.iter().zip(&state.services) {
        let [closed, degraded, open] = &mut counts;
        let shut = match service {
            ServiceState::Expiring { .. } => true,
            ServiceState::HeldClosed { through, .. } => !through.is_empty(),
            ServiceState::Open
            | ServiceState::Closed { .. }
            | ServiceState::Opening { .. }
            | ServiceState::ClosingAgain { .. }
            | ServiceState::Opened { .. }
            | ServiceState::Degraded { .. } => false,
        };
        let count = match (shut, service.open_on().is_empty(), planned.when_dirty.actions().is_empty()) {
            (true, _, _) => closed,
            (false, true, _) => continue,
            (false, false, true) => open,
            (false, false, false) => degraded,
        };
        *count = count.saturating_add(1);
    }
    counts
}

/// The report of a night that may not take place.
pub(super) fn refused(refusals: &[Refusal], needs_human: bool) -> InterventionStatus {
    let first = refusals.first().map_or_else(String::new, |refusal| format!("{}: {}", refusal.reason, refusal.message));
    let more = match refusals.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more reasons)", count - 1),
    };
    InterventionStatus {
        phase: Some(Phase::Finished),
        outcome: Some(Outcome::Refused),
        needs_human,
        why: Some(format!("{first}{more}")),
        refusals: refusals.iter().map(refusal_report).collect(),
        ..InterventionStatus::default()
    }
}

/// The report of a night that waits for its acceptance, and is tried again then: in UTC, as nobody knows its zone yet.
pub(super) fn pending(why: &str, again_at: Timestamp) -> InterventionStatus {
    InterventionStatus {
        phase: Some(Phase::Pending),
        why: Some(why.to_owned()),
        wake_at: Some(in_zone(TimeZone::UTC, again_at)),
        ..InterventionStatus::default()
    }
}

/// What its conditions are made of.
fn standing(status: &InterventionStatus) -> Standing<'_> {
    Standing {
        phase: status.phase.unwrap_or_default(),
        outcome: status.outcome,
        needs_human: status.needs_human,
        why: status.why.as_deref().unwrap_or_default(),
    }
}

fn refusal_report(refusal: &Refusal) -> RefusalReport {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let term = |term: &crate::model::refusal::Term| TermReport {
        term: term.term.clone(),
        at: term.at.map(|at| at.to_string()),
        span: term.span.map(String::from),
    };
    RefusalReport {
        reason: refusal.reason.clone(),
        object: some(&refusal.object),
        path: some(&refusal.path),
        message: refusal.message.clone(),
        sum: refusal.sum.iter().map(term).collect(),
    }
}

/// RFC 3339 with the offset of the plan's zone.
fn written(plan: &Plan, at: Timestamp) -> String {
    let zone = TimeZone::get(&plan.time_zone).unwrap_or(TimeZone::UTC);
    in_zone(zone, at)
}

fn in_zone(zone: TimeZone, at: Timestamp) -> String {
    at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// What runs, or what was begun last.
fn step(plan: &Plan, entries: &[Entry], state: &State) -> Option<String> {
    let names = plan.steps.iter().zip(&state.steps);
    let running = names.filter(|(_, step)| matches!(step.work, Work::Running { .. })).map(|(planned, _)| planned.name.as_str());
    let running: Vec<&str> = running.collect();
    if !running.is_empty() && state.outcome.is_none() {
        return Some(running.join(", "));
    }
    entries.iter().rev().find_map(|entry| {
        let Event::StepIntended { step, .. } = &entry.event else { return None };
        Some(step.clone())
    })
}

fn step_report(plan: &Plan, name: &str, step: &StepState) -> StepReport {
    let (state, started, ended) = match (&step.work, &step.undo) {
        (Work::Waiting, _) => ("Waiting", None, None),
        (Work::Running { since, .. } | Work::Done { since, .. } | Work::Failed { since, .. }, Running::Since { .. }) => {
            ("Undoing", Some(*since), None)
        }
        (Work::Running { since, .. } | Work::Done { since, .. } | Work::Failed { since, .. }, Running::Done { at }) => {
            ("Undone", Some(*since), Some(*at))
        }
        (Work::Running { since, .. } | Work::Done { since, .. } | Work::Failed { since, .. }, Running::Failed { at }) => {
            ("UndoFailed", Some(*since), Some(*at))
        }
        (Work::Running { since, .. } | Work::Done { since, .. } | Work::Failed { since, .. }, Running::Expired { at, .. }) => {
            ("UndoExpired", Some(*since), Some(*at))
        }
        (Work::Running { since, .. }, Running::Waiting) if step.stopped == Some(Proof::Completed) => {
            ("Succeeded", Some(*since), None)
        }
        (Work::Running { since, .. }, Running::Waiting) if step.stopped.is_some() => ("Stopped", Some(*since), None),
        (Work::Running { since, .. }, Running::Waiting) => ("Running", Some(*since), None),
        (Work::Done { since, at }, Running::Waiting) => ("Succeeded", Some(*since), Some(*at)),
        (Work::Failed { since, at, .. }, Running::Waiting) => ("Failed", Some(*since), Some(*at)),
    };
    let moment = |at: Timestamp| written(plan, at);
    StepReport { name: name.to_owned(), state: state.to_owned(), started_at: started.map(moment), ended_at: ended.map(moment) }
}

fn services(plan: &Plan, entries: &[Entry], state: &State) -> Vec<ServiceReport> {
    let closed_at = |index: usize| {
        entries.iter().find_map(|entry| {
            let Event::StepIntended { step, .. } = &entry.event else { return None };
            plan.step_named(step).filter(|(_, planned)| planned.closes().contains(&index)).map(|_| entry.at)
        })
    };
    let all = plan.services.iter().zip(&state.services).enumerate();
    let report = |(index, (planned, service)): (usize, (&PlannedService, &ServiceState))| {
        let (word, open_at, because) = service_words(plan, planned, service);
        ServiceReport {
            name: planned.id.to_string(),
            state: word.to_owned(),
            closed_at: closed_at(index).map(|at| written(plan, at)),
            open_at: open_at.map(|at| written(plan, at)),
            because,
        }
    };
    all.map(report).collect()
}

/// The state of a service as the status shows it: word, since when it is open, why.
pub(crate) fn service_words(
    plan: &Plan,
    planned: &PlannedService,
    service: &ServiceState,
) -> (&'static str, Option<Timestamp>, Option<String>) {
    let half_done = (!service.open_on().is_empty()).then(|| words::open_on(plan, planned, service.open_on()));
    match service {
        ServiceState::Open => ("Open", None, None),
        ServiceState::Closed { .. } => ("Closed", None, None),
        ServiceState::Expiring { .. } => {
            let why = "its data is half done; it opens as it declared once nothing can work on that any more";
            ("Expiring", None, Some(format!("{why}{}", words::call(planned))))
        }
        ServiceState::Opening { late: false, .. } => ("Opening", None, half_done),
        ServiceState::Opening { tolerated: true, .. } => {
            ("Degraded", None, Some("it does not answer in time and declared to count as open in part".to_owned()))
        }
        ServiceState::Opening { late: true, .. } => {
            let on = half_done.map(|on| format!("; {on}")).unwrap_or_default();
            ("OpeningLate", None, Some(format!("its reopening budget is gone{on}")))
        }
        ServiceState::ClosingAgain { .. } => ("Closed", None, Some("it did not answer and is closed again".to_owned())),
        ServiceState::Opened { at, dirty } if !dirty.is_empty() => {
            let word = if planned.when_dirty.actions().is_empty() { "OpenDirty" } else { "OpenDegraded" };
            (word, Some(*at), half_done)
        }
        ServiceState::Opened { at, .. } => ("Open", Some(*at), None),
        ServiceState::Degraded { because, .. } => {
            let names: Vec<String> =
                because.iter().filter_map(|&one| plan.services.get(one)).map(|one| one.id.to_string()).collect();
            let on = half_done.map(|on| format!("; {on}")).unwrap_or_default();
            ("Degraded", None, Some(format!("waits for {}{on}", names.join(", "))))
        }
        ServiceState::HeldClosed { through, .. } if through.is_empty() => {
            ("Closed", None, Some("it did not answer and was closed again; a person opens it".to_owned()))
        }
        ServiceState::HeldClosed { through, .. } => {
            let names = words::steps(plan, through).join(", ");
            ("Dirty", None, Some(format!("work on its data is half done through {names}{}", words::call(planned))))
        }
    }
}
