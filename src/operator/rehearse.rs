//! A rehearsal: an Intervention with `mode: Rehearse`, from its creation to its report, in one turn.
//!
//! In: an accepted plan. Out: [`Rehearsal`], with the status to write and the Events to tell. Invariants: it happens at once and not at
//! `startTime`, also when that has passed; nothing is stored but status and Events, so there is **no ledger**: nothing has to be undone,
//! nothing has to outlive us, and a rehearsal cut short is simply rehearsed again. One that has its outcome is left alone. No finalizer is
//! set. Not here: the effects themselves ([`super::effects::rehearse`]).

use jiff::Timestamp;

use super::book::BookError;
use super::context::Context;
use super::effects::call::{Advice, goes_on};
use super::effects::tenants::TenantError;
use super::effects::{Rehearsed, rehearse as try_effects};
use super::events::Notice;
use super::introduce::IntroduceError;
use super::report;
use super::story::story;
use crate::api::status::{BoundBy, InterventionStatus, ServiceReport};
use crate::engine::words::rfc3339;
use crate::model::phase::{Outcome, Phase};
use crate::model::plan::{Plan, PlannedService};
use crate::model::refusal::Refusal;
use crate::model::service::Probe;

/// What there is to say about a rehearsal.
pub(super) struct Rehearsal {
    pub(super) status: InterventionStatus,
    pub(super) findings: Vec<Refusal>,
    why: String,
}

impl Rehearsal {
    /// The Event that sums it up; findings are told like refusals.
    pub(super) fn notice(&self, now: Timestamp) -> Notice {
        Notice {
            place: "rehearsed".to_owned(),
            at: now,
            reason: "Rehearsed".to_owned(),
            action: "Rehearse".to_owned(),
            note: self.why.clone(),
            warning: !self.findings.is_empty(),
        }
    }
}

/// Tries every effect of the plan and asks every service once.
///
/// # Errors
/// When the API server gives no usable answer now: try again later.
pub(super) async fn rehearse(plan: &Plan, context: &Context) -> Result<Rehearsal, IntroduceError> {
    let mut rehearsed = match context.tenants.of(&plan.namespace, &plan.service_account).await {
        Ok(tenant) => try_effects(&tenant, plan, context.pod_security, &context.judge, &context.switch).await?,
        Err(error) => Rehearsed { findings: vec![no_token(plan, error)?], ..Rehearsed::default() },
    };
    let mut services = Vec::new();
    for (index, service) in plan.services.iter().enumerate() {
        let is_closed = rehearsed.closed.contains(&index);
        let (report, red) = asked(service, is_closed, context).await;
        services.push(report);
        if !is_closed {
            // One that is never asked is red for that reason, which is told.
            let told: Vec<_> = rehearsed.findings.iter().map(|one| (one.object.clone(), one.path.clone())).collect();
            rehearsed.findings.extend(red.into_iter().filter(|red| !told.contains(&(red.object.clone(), red.path.clone()))));
        }
    }
    Ok(told(plan, rehearsed, services))
}

/// Without a token nothing else can be tried; a call that may work later is none of the night's.
fn no_token(plan: &Plan, error: TenantError) -> Result<Refusal, IntroduceError> {
    let retry = match &error {
        TenantError::NoToken { source, .. } => matches!(source.advice(), Advice::RetryNow | Advice::RetryLater),
        TenantError::NoClient(_) => false,
    };
    if retry {
        return Err(BookError::from(error).into());
    }
    let account = format!("ServiceAccount {}/{}", plan.namespace, plan.service_account);
    let message = format!(
        "{}; create it where it is missing, and let the operator create serviceaccounts/token of it; nothing else was tried",
        story(&error)
    );
    Ok(Refusal::new("NoToken", &account, "spec.serviceAccountName", message))
}

/// Each probe of one service, once: its report, and what is red.
async fn asked(service: &PlannedService, is_closed: bool, context: &Context) -> (ServiceReport, Vec<Refusal>) {
    let (mut words, mut red) = (Vec::new(), Vec::new());
    for probe in &service.probes {
        let (good, answer) = answer(probe, context).await;
        words.push(format!("{}: {answer}", probe.name));
        if !good {
            let message = format!(
                "{} {answer}, although the service is open: at night it would count as closed; mend the probe or the service",
                probe.url
            );
            red.push(Refusal::new(
                "ProbeRed",
                &format!("PublicService/{}", service.id),
                &format!("probe {}", probe.name),
                message,
            ));
        }
    }
    let state = if is_closed { "Closed" } else { "Open" };
    let because = (!words.is_empty()).then(|| words.join("; "));
    (ServiceReport { name: service.id.to_string(), state: state.to_owned(), because, ..ServiceReport::default() }, red)
}

async fn answer(probe: &Probe, context: &Context) -> (bool, String) {
    let answer = (context.getter)(probe.url.clone()).await;
    goes_on();
    match answer {
        Ok(status) => (probe.status.contains(&status), format!("answers {status}")),
        Err(reason) => (false, format!("gives no answer: {reason}")),
    }
}

fn told(plan: &Plan, rehearsed: Rehearsed, services: Vec<ServiceReport>) -> Rehearsal {
    let Rehearsed { tried_count, findings, untried, closed: _ } = rehearsed;
    let and_untried = match untried.as_slice() {
        [] => String::new(),
        [first, ..] => format!("; {} could not be tried, the first: {first}", untried.len()),
    };
    let (outcome, why) = if findings.is_empty() {
        (Outcome::Completed, format!("rehearsed: {tried_count} effects would be accepted{and_untried}"))
    } else {
        let count = findings.len();
        (Outcome::Refused, format!("rehearsed: {tried_count} effects tried, {count} finding(s), see refusals{and_untried}"))
    };
    let moment = |at: Timestamp| Some(rfc3339(plan, at));
    let status = InterventionStatus {
        phase: Some(Phase::Finished),
        outcome: Some(outcome),
        why: Some(why.clone()),
        start_at: moment(plan.start_at),
        must_serve_by: moment(plan.deadline.must_serve_by),
        turn_back_at: plan.steps.iter().map(|step| step.turn_back_at).min().and_then(moment),
        tell_people_by: plan.tell_people_by.and_then(moment),
        planned_open: moment(plan.planned_open_at),
        bound_by: Some(BoundBy {
            service: plan.deadline.service.to_string(),
            site: plan.deadline.site.clone(),
            calendar: plan.deadline.calendar.clone(),
        }),
        services,
        ..report::refused(&findings, false)
    };
    Rehearsal { status, findings, why }
}
