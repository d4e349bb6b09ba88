//! The timeline at declared budgets: when each step starts and ends, when everything is open again.
//!
//! In: resolved steps and services. Out: a draft [`Plan`] whose deadlines are still to be set. Invariants: a step starts when all it
//! needs has ended and no earlier step that shares a service runs; starts follow the topological order of ties.
//! Not here: whether it fits ([`super::gates`]).

use jiff::Timestamp;

use crate::model::need::reopen;
use crate::model::plan::{Because, Deadline, Plan, PlannedService, PlannedStep, ServiceIndex};
use crate::model::reference::ServiceRef;
use crate::model::schedule::predecessors;
use crate::model::service::{DependencyMode, Service, Text};
use crate::model::span::{Span, after};

use super::Question;
use super::services::Concerned;
use super::steps::{Environment, smoke};

/// The plan as far as it is known before any deadline.
pub(super) fn draft(
    question: Question<'_>,
    mut steps: Vec<PlannedStep>,
    concerned: Concerned<'_>,
    environment: &Environment,
) -> Plan {
    let night = question.intervention;
    set_times(&mut steps, night.start_at);
    let services = services(&steps, &concerned, question.runbook.reopening.budget);
    let mut plan = Plan {
        version: 1,
        namespace: night.namespace.clone(),
        name: night.name.clone(),
        uid: String::new(),
        mode: night.mode,
        requester: night.requester.clone(),
        service_account: question.runbook.service_account.clone(),
        sentinel_service_account: question.runbook.sentinel_service_account.clone(),
        time_zone: String::new(),
        start_at: night.start_at,
        start_by: night.start_at,
        deadline: nobody(),
        first_opening_at: None,
        tell_people_by: None,
        planned_open_at: night.start_at,
        reserve: question.runbook.reserve,
        reopening_budget: question.runbook.reopening.budget,
        smoke: smoke(question, environment),
        steps,
        services,
        waves: concerned.waves,
    };
    let work_ends = plan.steps.iter().map(|step| step.end_at).max().unwrap_or(plan.start_at);
    let closed = plan.steps.iter().flat_map(|step| step.closes().iter().copied()).collect();
    plan.planned_open_at = after(work_ends, reopen(&plan, &closed));
    plan
}

/// Stands in the draft until the deadlines are known.
fn nobody() -> Deadline {
    Deadline {
        must_serve_by: Timestamp::MAX,
        service: ServiceRef::new("", ""),
        site: String::new(),
        calendar: String::new(),
        because: Because::Opens { at: Timestamp::MAX, margin: Span::ZERO },
    }
}

fn set_times(steps: &mut [PlannedStep], start_at: Timestamp) {
    for index in 0..steps.len() {
        let ends = predecessors(steps, index).into_iter().filter_map(|before| steps.get(before).map(|step| step.end_at));
        let start = ends.max().unwrap_or(start_at).max(start_at);
        if let Some(step) = steps.get_mut(index) {
            step.start_at = start;
            step.end_at = after(start, step.budget);
        }
    }
}

fn services(steps: &[PlannedStep], concerned: &Concerned<'_>, whole: Span) -> Vec<PlannedService> {
    concerned.services.iter().enumerate().map(|(index, service)| planned(index, service, steps, concerned, whole)).collect()
}

fn planned(
    index: ServiceIndex,
    service: &Service,
    steps: &[PlannedStep],
    concerned: &Concerned<'_>,
    whole: Span,
) -> PlannedService {
    let close_at = steps.iter().filter(|step| step.closes().contains(&index)).map(|step| step.start_at).min();
    let touching = steps.iter().enumerate().filter(|(_, step)| step.touches.contains(&index));
    PlannedService {
        id: service.id.clone(),
        title: service.title.clone(),
        close_at,
        deadline: None,
        close: if close_at.is_some() { service.close.clone() } else { Vec::new() },
        // Only asked, and with no budget of its own: it may take the whole reopening.
        reopen_budget: if service.reopen_budget.is_zero() { whole } else { service.reopen_budget },
        probes: service.probes.clone(),
        when_dirty: service.when_dirty.clone(),
        when_red: service.when_red,
        upstreams: concerned.upstreams.get(index).cloned().unwrap_or_default(),
        fallback: fallback(service),
        could_stay_closed_by: close_at.iter().flat_map(|_| touching.clone().map(|(step, _)| step)).collect(),
        contacts: service.contacts.clone(),
    }
}

/// What people use while the service does not work: the first fallback declared by an open site, else by a synchronous call.
fn fallback(service: &Service) -> Text {
    let sites = service.sites.iter().filter_map(|site| site.tolerates.as_ref()).map(|tolerance| &tolerance.fallback);
    let calls = service.depends_on.iter().filter(|d| d.mode == DependencyMode::Sync).map(|d| &d.fallback);
    sites.chain(calls).find(|text| !text.it.is_empty() || !text.en.is_empty()).cloned().unwrap_or_default()
}
