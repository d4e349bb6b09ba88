//! Checks that ask what the night itself has shut down.
//!
//! In: the plan. Out: a warning for each step that asks the host of a probe while the probe's service is scaled to nothing. Not here:
//! what the step does with the answer ([`crate::engine`]).

use crate::model::action::Check;
use crate::model::plan::{Plan, PlannedAction, PlannedService, PlannedStep};
use crate::model::runbook::Runbook;
use crate::model::service::{Change, Closing};

use super::Findings;

pub(super) fn warn(plan: &Plan, runbook: &Runbook, findings: &mut Findings) {
    for (index, step) in plan.steps.iter().enumerate() {
        let PlannedAction::Check(Check::Http(probe)) = &step.action else { continue };
        let is_asked = |service: &&PlannedService| service.probes.iter().any(|one| host(&one.url) == host(&probe.url));
        for service in plan.services.iter().filter(|service| is_shut_down(service, step)).filter(is_asked) {
            let written = runbook.steps.iter().position(|one| one.name == step.name).unwrap_or(index);
            let message = format!(
                "step {:?} asks {}, as a probe of {} does, which is scaled to 0 by then: if nobody else answers there, the night turns \
                 back every time",
                step.name,
                host(&probe.url),
                service.id
            );
            findings.warn("AsksWhatIsClosed", &format!("spec.steps[{written}].http.url"), message);
        }
    }
}

fn is_shut_down(service: &PlannedService, step: &PlannedStep) -> bool {
    let to_nothing = |closing: &Closing| closing.change == Change::Scale { replicas: 0 };
    service.close_at.is_some_and(|at| at <= step.start_at) && service.close.iter().any(to_nothing)
}

/// Host and port of an address.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}
