//! What a runbook names, without a night.
//!
//! In: a runbook, all services and calendars known. Out: [`Named`], what is wrong with the names. Invariant: a night of this runbook is
//! refused for each of these too. Not here: values of parameters, sums of time.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::calendar::Calendar;
use crate::model::plan::ServiceIndex;
use crate::model::refusal::{Refusal, Warning};
use crate::model::runbook::Runbook;
use crate::model::service::Service;

use super::services::Concerned;
use super::steps::Environment;
use super::{Findings, deadline, graph, services, steps};

/// What is wrong with what a runbook names, and what to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Why every night of it is refused.
    pub refusals: Vec<Refusal>,
    /// What to know besides, of the runbook.
    pub warnings: Vec<Warning>,
}

/// Looks up every step, service, calendar and parameter that a night of the runbook would.
#[must_use]
pub fn named(runbook: &Runbook, services: &[Service], calendars: &BTreeMap<String, Calendar>) -> Named {
    let mut findings = Findings::default();
    let order = graph::order(runbook, &mut findings);
    let concerned = services::concerned(runbook, services, &mut findings);
    if let Some(order) = order {
        steps::steps(runbook, &order, &concerned, &Environment::new(), &mut findings);
    }
    for index in unavailable(&concerned) {
        let Some(service) = concerned.services.get(index) else { continue };
        for (place, site) in service.sites.iter().enumerate() {
            deadline::calendar_of(service, place, site, calendars, &mut findings);
        }
    }
    Named { refusals: findings.refusals, warnings: findings.warnings }
}

/// The services that are closed, and those that cannot answer then: they have a deadline.
fn unavailable(concerned: &Concerned<'_>) -> BTreeSet<ServiceIndex> {
    let mut reached = concerned.closed();
    loop {
        let calls = |index: &ServiceIndex| concerned.upstreams.get(*index).is_some_and(|called| !called.is_disjoint(&reached));
        let more: Vec<ServiceIndex> =
            (0..concerned.services.len()).filter(|index| !reached.contains(index)).filter(calls).collect();
        if more.is_empty() {
            return reached;
        }
        reached.extend(more);
    }
}
