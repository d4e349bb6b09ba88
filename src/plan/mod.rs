//! Before the night: from a runbook, services and calendars to a frozen [`Plan`], or every refusal at once.
//!
//! In: validated words. Out: a [`Verdict`]. Invariants: pure, the same question always has the same answer; a plan without
//! refusals keeps the promise at declared budgets at every instant (DESIGN §1). Not here: reading files or objects, any clock,
//! and what happens once the night has begun ([`crate::engine`]).

#![warn(clippy::wildcard_enum_match_arm, reason = "a new word has to be thought of wherever one is looked at")]

mod check;
mod deadline;
mod gates;
mod graph;
mod half_done;
mod named;
mod references;
pub mod rights;
mod services;
mod steps;
mod timeline;
mod unanswered;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::calendar::Calendar;
use crate::model::plan::Plan;
use crate::model::reference::ServiceRef;
use crate::model::refusal::{Refusal, Warning, object_name};
use crate::model::runbook::{Intervention, Runbook};
use crate::model::service::Service;
use crate::model::span::{after, before};

pub use check::check;
pub use named::{Named, named};

/// Everything the planner may know.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The night asked for.
    pub intervention: &'a Intervention,
    /// Its runbook.
    pub runbook: &'a Runbook,
    /// All services known: those that depend on a closed one are found among them.
    pub services: &'a [Service],
    /// All calendars known, by name.
    pub calendars: &'a BTreeMap<String, Calendar>,
}

/// What the planner says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The timeline, as far as there is one: a refused night may have one too, for people to read.
    pub timeline: Option<Plan>,
    /// Why the night is refused; none when it is accepted.
    pub refusals: Vec<Refusal>,
    /// What to know besides.
    pub warnings: Vec<Warning>,
}

impl Verdict {
    /// The plan, only when nothing speaks against it.
    #[must_use]
    pub fn accepted(self) -> Option<Plan> {
        if self.refusals.is_empty() { self.timeline } else { None }
    }
}

/// What was found on the way.
#[derive(Debug, Default)]
struct Findings {
    refusals: Vec<Refusal>,
    warnings: Vec<Warning>,
}

impl Findings {
    fn refuse(&mut self, reason: &str, object: &str, path: &str, message: String) {
        self.refusals.push(Refusal::new(reason, object, path, message));
    }

    fn warn(&mut self, reason: &str, path: &str, message: String) {
        self.warnings.push(Warning { reason: reason.to_owned(), path: path.to_owned(), message });
    }
}

fn night_object(night: &Intervention) -> String {
    object_name("Intervention", Some(&night.namespace), &night.name)
}

fn runbook_object(runbook: &Runbook) -> String {
    object_name("Runbook", Some(&runbook.namespace), &runbook.name)
}

fn service_object(id: &ServiceRef) -> String {
    object_name("PublicService", Some(&id.namespace), &id.name)
}

/// What is wrong with the order of a runbook's steps, whatever the night.
#[must_use]
pub fn order_refusals(runbook: &Runbook) -> Vec<Refusal> {
    let mut findings = Findings::default();
    graph::order(runbook, &mut findings);
    findings.refusals
}

/// Plans a night. Source of the arithmetic: DESIGN §1.
#[must_use]
pub fn plan(question: Question<'_>) -> Verdict {
    let mut findings = Findings::default();
    let timeline = timeline_of(question, &mut findings);
    Verdict { timeline, refusals: findings.refusals, warnings: findings.warnings }
}

fn timeline_of(question: Question<'_>, findings: &mut Findings) -> Option<Plan> {
    let order = graph::order(question.runbook, findings);
    let environment = steps::parameters(question, findings);
    let concerned = services::concerned(question.runbook, question.services, findings);
    let steps = steps::steps(question.runbook, &order?, &concerned, &environment, findings);
    if concerned.closed_count == 0 {
        let message =
            "no step closes a service, so nothing says by when the work must end; add a step with close: {services: […]}";
        findings.refuse("ClosesNothing", &runbook_object(question.runbook), "spec.steps", message.to_owned());
        return None;
    }
    let mut plan = timeline::draft(question, steps, concerned, &environment);
    let moments = deadline::deadlines(question, &mut plan, findings)?;
    plan.time_zone = moments.time_zone;
    plan.deadline = moments.binding;
    plan.first_opening_at = moments.first_opening_at;
    plan.tell_people_by = moments.first_opening_at.map(|at: Timestamp| before(at, question.intervention.tell_before));
    plan.start_by = after(plan.start_at, question.intervention.start_tolerance);
    gates::check(&mut plan, question.runbook, findings);
    half_done::warn(&plan, question.runbook, findings);
    unanswered::warn(&plan, question.runbook, findings);
    if findings.refusals.is_empty() {
        for wrong in check(&plan) {
            let message = format!(
                "the plan was worked out twice, with two results: {wrong}; this is a fault of notturno, please report it"
            );
            findings.refuse("NotProven", &night_object(question.intervention), "spec", message);
        }
    }
    Some(plan)
}
