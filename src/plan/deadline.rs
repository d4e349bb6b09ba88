//! By when everything has to be open, and which site says so.
//!
//! In: a draft plan, services, calendars. Out: [`Moments`], and each planned service's own deadline. Rules (DESIGN §1): a site that
//! opens after the closing sets its opening less the margin; a site that is open while its service is closed sets the closing
//! plus what it tolerates, and is refused when it says nothing. Not here: whether the work fits.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::model::calendar::{Calendar, Freeze};
use crate::model::near::did_you_mean;
use crate::model::plan::{Because, Deadline, Plan, ServiceIndex};
use crate::model::service::{Service, Site};
use crate::model::span::{after, before};

use super::{Findings, Question, night_object, runbook_object, service_object};

/// How far ahead an opening is looked for.
const HORIZON: SignedDuration = SignedDuration::from_hours(60 * 24);

/// The moments that bind the whole night.
pub(super) struct Moments {
    pub binding: Deadline,
    pub first_opening_at: Option<Timestamp>,
    pub time_zone: String,
}

/// Sets every service's own deadline and returns the earliest; none when nothing binds or a calendar is missing.
pub(super) fn deadlines(question: Question<'_>, plan: &mut Plan, findings: &mut Findings) -> Option<Moments> {
    let mut first_opening_at: Option<Timestamp> = None;
    for index in 0..plan.services.len() {
        let Some((service, closed_at)) = affected(question, plan, index) else { continue };
        let mut own: Option<Deadline> = None;
        for (place, site) in service.sites.iter().enumerate() {
            let path = format!("spec.sites[{place}]");
            let Some(calendar) = calendar_of(service, place, site, question.calendars, findings) else { continue };
            frozen(question, calendar, findings);
            if site.tolerates.is_none() {
                keep_open(plan, index, calendar);
            }
            let deadline = of_site(question, plan, service, site, calendar, closed_at, &path, findings);
            if let Some(Deadline { because: Because::Opens { at, .. }, .. }) = &deadline {
                first_opening_at = Some(first_opening_at.map_or(*at, |first| first.min(*at)));
            }
            own = earlier(own, deadline);
        }
        if let Some(planned) = plan.services.get_mut(index) {
            planned.deadline = own;
        }
    }
    let binding = plan.services.iter().filter_map(|service| service.deadline.clone()).fold(None, |a, b| earlier(a, Some(b)));
    if binding.is_none() && findings.refusals.is_empty() {
        let message = "no site of a closed service, or of one that depends on it, opens within 60 days: nothing says by when the work \
                       must end; give the services sites with calendars";
        findings.refuse("NoOpening", &runbook_object(question.runbook), "spec.steps", message.to_owned());
    }
    let binding = binding?;
    let time_zone = question.calendars.get(&binding.calendar)?.time_zone_name().to_owned();
    Some(Moments { binding, first_opening_at, time_zone })
}

/// The calendar that a site keeps, or a refusal.
pub(super) fn calendar_of<'a>(
    service: &Service,
    place: usize,
    site: &Site,
    calendars: &'a BTreeMap<String, Calendar>,
    findings: &mut Findings,
) -> Option<&'a Calendar> {
    let calendar = calendars.get(&site.calendar);
    if calendar.is_none() {
        let hint = did_you_mean(&site.calendar, calendars.keys().map(String::as_str));
        let message = format!("there is no OfficeCalendar {:?}{hint}", site.calendar);
        findings.refuse("UnknownCalendar", &service_object(&service.id), &format!("spec.sites[{place}].calendar"), message);
    }
    calendar
}

fn earlier(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.must_serve_by < a.must_serve_by { b } else { a }),
        (one, other) => one.or(other),
    }
}

/// What closes this service, or anything that it calls, waits for its planned moment when the site is open at some time before.
fn keep_open(plan: &mut Plan, index: ServiceIndex, calendar: &Calendar) {
    let (reached, start_at) = (upstreams(plan, index), plan.start_at);
    for step in plan.steps.iter_mut().filter(|step| !step.closes().is_disjoint(&reached)) {
        if calendar.is_open_at(start_at) || calendar.open_during(start_at, step.start_at) {
            step.not_before = Some(step.start_at);
        }
    }
}

/// The service and all that it calls synchronously, however indirectly.
fn upstreams(plan: &Plan, index: ServiceIndex) -> BTreeSet<ServiceIndex> {
    let mut seen: BTreeSet<ServiceIndex> = BTreeSet::from([index]);
    let mut open = vec![index];
    while let Some(planned) = open.pop().and_then(|next| plan.services.get(next)) {
        open.extend(planned.upstreams.iter().copied().filter(|upstream| seen.insert(*upstream)));
    }
    seen
}

/// The service as declared and the moment since which people cannot use it: the first closing of it or of anything that it
/// calls synchronously, however indirectly.
fn affected<'a>(question: Question<'a>, plan: &Plan, index: ServiceIndex) -> Option<(&'a Service, Timestamp)> {
    let reached = upstreams(plan, index);
    let closed_at = reached.iter().filter_map(|&reached| plan.services.get(reached)?.close_at).min();
    let id = &plan.services.get(index)?.id;
    let service = question.services.iter().find(|service| &service.id == id)?;
    Some((service, closed_at?))
}

#[allow(clippy::too_many_arguments, reason = "one leaf of `deadlines`, which owns all of these")]
fn of_site(
    question: Question<'_>,
    plan: &Plan,
    service: &Service,
    site: &Site,
    calendar: &Calendar,
    closed_at: Timestamp,
    path: &str,
    findings: &mut Findings,
) -> Option<Deadline> {
    let deadline = |must_serve_by, because| Deadline {
        must_serve_by,
        service: service.id.clone(),
        site: site.name.clone(),
        calendar: site.calendar.clone(),
        because,
    };
    if let Some(tolerance) = &site.tolerates {
        let until = after(closed_at, tolerance.closed_for);
        if calendar.is_open_at(closed_at) || calendar.open_during(closed_at, until) {
            return Some(deadline(until, Because::Tolerates { from: closed_at, closed_for: tolerance.closed_for }));
        }
    } else if calendar.is_open_at(closed_at) {
        let planned = plan.services.iter().find(|planned| planned.id == service.id);
        let what = match planned.and_then(|planned| planned.close_at) {
            Some(_) => "is to be closed",
            None => "cannot work because a service that it calls is closed",
        };
        let message = format!(
            "site {:?} is open at {} while {} {what}; say what it bears with tolerates: {{closedFor, fallback}}, or move the night",
            site.name,
            calendar.display(closed_at),
            service.id
        );
        findings.refuse("OpenWhileClosed", &service_object(&service.id), path, message);
        return None;
    }
    let at = calendar.next_opening_after(closed_at, HORIZON)?;
    let margin = question.intervention.margin;
    Some(deadline(before(at, margin), Because::Opens { at, margin }))
}

/// Refuses a start in a period in which the calendar lets no work start; once for each freeze.
fn frozen(question: Question<'_>, calendar: &Calendar, findings: &mut Findings) {
    let night = question.intervention;
    let Some(freeze) = calendar.frozen_at(night.start_at) else { return };
    let Freeze { name, from, until, reason, overridable_by } = freeze;
    let who = if overridable_by.is_empty() {
        "nobody may override it".to_owned()
    } else {
        let groups = overridable_by.join(", ");
        format!("a member of {groups} may override it, by name and with a reason, but this version takes no override yet")
    };
    let message = format!(
        "no work may start from {from} to {until}: freeze {name} of calendar {}, because of: {reason}; {who}; move startTime out of it",
        calendar.name()
    );
    let object = night_object(night);
    if !findings.refusals.iter().any(|refusal| refusal.message == message) {
        findings.refuse("Frozen", &object, "spec.startTime", message);
    }
}
