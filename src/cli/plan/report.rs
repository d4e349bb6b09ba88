//! A night's plan as one JSON object (the contract of `notturno plan -o json`).
//!
//! In: the verdict. Out: [`Report`]. Invariants: unknown moments are left out; moments carry the offset of the binding calendar; spans
//! are Go durations. Not here: text for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::assemble::Assembled;
use crate::cli::read::ReadProblem;
use crate::model::need::reopen_by;
use crate::model::plan::{Plan, StepIndex};
use crate::model::refusal::{Refusal, Term, Warning};
use crate::model::runbook::Mode;
use crate::model::service::WhenDirty;
use crate::model::span::Span;

/// The whole object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    intervention: String,
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentinel_service_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_opening: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_serve_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_by: Option<BoundBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tell_people_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_open: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reopen_by: Option<String>,
    steps: Vec<Step>,
    services: Vec<Service>,
    warnings: Vec<Warning>,
    refusals: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct BoundBy {
    service: String,
    site: String,
    calendar: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    name: String,
    needs: Vec<String>,
    start: String,
    end: String,
    budget: Span,
    turn_back_at: String,
    finish_by: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_serve_by: Option<String>,
    could_stay_closed_by: Vec<String>,
    /// What becomes of it then; only of what could.
    #[serde(skip_serializing_if = "Option::is_none")]
    when_dirty: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_dirty_reason: Option<String>,
}

impl Report {
    /// The report of a verdict.
    pub(super) fn of(assembled: &Assembled) -> Self {
        let verdict = &assembled.verdict;
        let plan = verdict.timeline.as_ref();
        let zone = zone(plan);
        let show = |at: Timestamp| shown(at, &zone);
        Self {
            intervention: assembled.intervention.clone(),
            accepted: verdict.refusals.is_empty(),
            mode: plan.map(|plan| plan.mode),
            service_account: plan.map(|plan| plan.service_account.clone()),
            sentinel_service_account: plan.map(|plan| plan.sentinel_service_account.clone()),
            time_zone: plan.map(|plan| plan.time_zone.clone()),
            start_time: plan.map(|plan| show(plan.start_at)),
            first_opening: plan.and_then(|plan| plan.first_opening_at).map(show),
            must_serve_by: plan.map(|plan| show(plan.deadline.must_serve_by)),
            bound_by: plan.map(|plan| BoundBy {
                service: plan.deadline.service.to_string(),
                site: plan.deadline.site.clone(),
                calendar: plan.deadline.calendar.clone(),
            }),
            tell_people_by: plan.and_then(|plan| plan.tell_people_by).map(show),
            planned_open: plan.map(|plan| show(plan.planned_open_at)),
            reopen_by: plan.map(|plan| show(latest_reopening(plan))),
            steps: plan.map(|plan| steps(plan, &zone)).unwrap_or_default(),
            services: plan.map(|plan| services(plan, &zone)).unwrap_or_default(),
            warnings: verdict.warnings.clone(),
            refusals: verdict.refusals.iter().map(|refusal| refused(assembled, refusal, &zone)).collect(),
        }
    }

    /// The report on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|error| json!({ "accepted": false, "errors": [error.to_string()] }).to_string())
    }
}

/// `reopenBy` with everything closed that the plan closes.
pub(super) fn latest_reopening(plan: &Plan) -> Timestamp {
    reopen_by(plan, &plan.steps.iter().flat_map(|step| step.closes().iter().copied()).collect())
}

/// The zone in which a night is shown; UTC only where there is no timeline at all.
pub(in crate::cli) fn zone(plan: Option<&Plan>) -> TimeZone {
    plan.and_then(|plan| TimeZone::get(&plan.time_zone).ok()).unwrap_or(TimeZone::UTC)
}

/// RFC 3339 with offset.
fn shown(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
}

fn steps(plan: &Plan, zone: &TimeZone) -> Vec<Step> {
    let name = |index: &StepIndex| plan.steps.get(*index).map(|step| step.name.clone());
    let step = |step: &crate::model::plan::PlannedStep| Step {
        name: step.name.clone(),
        needs: step.needs.iter().filter_map(name).collect(),
        start: shown(step.start_at, zone),
        end: shown(step.end_at, zone),
        budget: step.budget,
        turn_back_at: shown(step.turn_back_at, zone),
        finish_by: shown(step.finish_by, zone),
    };
    plan.steps.iter().map(step).collect()
}

fn services(plan: &Plan, zone: &TimeZone) -> Vec<Service> {
    let name = |index: &StepIndex| plan.steps.get(*index).map(|step| step.name.clone());
    let service = |service: &crate::model::plan::PlannedService| Service {
        name: service.id.to_string(),
        close_at: service.close_at.map(|at| shown(at, zone)),
        must_serve_by: service.deadline.as_ref().map(|deadline| shown(deadline.must_serve_by, zone)),
        could_stay_closed_by: service.could_stay_closed_by.iter().filter_map(name).collect(),
        when_dirty: could_be(service).map(WhenDirty::as_str),
        degraded: could_be(service).map(|then| then.actions().iter().map(|one| one.name.clone()).collect()).unwrap_or_default(),
        when_dirty_reason: could_be(service).and_then(|then| match then {
            WhenDirty::Open { reason } => Some(reason.clone()),
            WhenDirty::StayClosed | WhenDirty::OpenDegraded { .. } => None,
        }),
    };
    plan.services.iter().map(service).collect()
}

/// What becomes of it when work on its data is half done; none for one that no step can leave so.
pub(super) fn could_be(service: &crate::model::plan::PlannedService) -> Option<&WhenDirty> {
    (!service.could_stay_closed_by.is_empty()).then_some(&service.when_dirty)
}

fn refused(assembled: &Assembled, refusal: &Refusal, zone: &TimeZone) -> Value {
    let sum = refusal.sum.iter().map(|term| term_of(term, zone));
    let mut value = Map::from_iter([
        ("reason".to_owned(), json!(refusal.reason)),
        ("object".to_owned(), json!(refusal.object)),
        ("path".to_owned(), json!(refusal.path)),
        ("message".to_owned(), json!(refusal.message)),
        ("sum".to_owned(), sum.collect()),
    ]);
    if let Some(place) = assembled.place(refusal) {
        value.insert("file".to_owned(), json!(place.file));
        value.insert("line".to_owned(), json!(place.line));
        value.insert("column".to_owned(), json!(place.column));
    }
    value.into()
}

pub(in crate::cli) fn term_of(term: &Term, zone: &TimeZone) -> Value {
    let mut line = Map::from_iter([("term".to_owned(), json!(term.term))]);
    line.extend(term.at.map(|at| ("at".to_owned(), json!(shown(at, zone)))));
    line.extend(term.span.map(|span| ("for".to_owned(), json!(span))));
    line.into()
}

/// What is printed when the files cannot be read at all, or when it is not clear which night is meant.
pub(super) fn unreadable(problems: &[ReadProblem]) -> String {
    let error = |problem: &ReadProblem| {
        let mut value = Map::from_iter([("message".to_owned(), json!(problem.message))]);
        value.extend((!problem.file.is_empty()).then(|| ("file".to_owned(), json!(problem.file))));
        value.extend(problem.line.map(|line| ("line".to_owned(), json!(line))));
        value.extend(problem.column.map(|column| ("column".to_owned(), json!(column))));
        Value::from(value)
    };
    json!({ "accepted": false, "errors": problems.iter().map(error).collect::<Vec<_>>() }).to_string()
}
