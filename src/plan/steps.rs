//! The steps of the night, with every name resolved; times come later.
//!
//! In: the runbook, its order, the services concerned. Out: planned steps in topological order. Refuses parameters that do not fit
//! and undos that cannot cover. Not here: budgets and moments.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::action::{Action, EnvValue, EnvVar, JobSource, Undo};
use crate::model::near::did_you_mean;
use crate::model::plan::{PlannedAction, PlannedStep, PlannedUndo, ServiceIndex, StepIndex};
use crate::model::runbook::{Runbook, Smoke, Step};
use crate::model::schedule::ancestors;
use crate::model::service::Closing;
use jiff::Timestamp;

use super::services::Concerned;
use super::{Findings, Question, night_object, runbook_object};

/// Values of the runbook's parameters tonight.
pub(super) type Environment = BTreeMap<String, String>;

/// The value of every parameter, or refusals.
pub(super) fn parameters(question: Question<'_>, findings: &mut Findings) -> Environment {
    let (night, runbook) = (question.intervention, question.runbook);
    let night_object = night_object(night);
    for name in night.parameters.keys() {
        if !runbook.parameters.iter().any(|parameter| &parameter.name == name) {
            let message = format!(
                "runbook {} has no parameter {name:?}{}",
                runbook.name,
                did_you_mean(name, runbook.parameters.iter().map(|p| p.name.as_str()))
            );
            findings.refuse("UnknownParameter", &night_object, &format!("spec.parameters.{name}"), message);
        }
    }
    let mut values = Environment::new();
    for (index, parameter) in runbook.parameters.iter().enumerate() {
        let path = format!("spec.parameters.{}", parameter.name);
        if let Some(problem) = parameter.pattern_problem() {
            findings.refuse("BadPattern", &runbook_object(runbook), &format!("spec.parameters[{index}].pattern"), problem);
        }
        let Some(value) = night.parameters.get(&parameter.name).or(parameter.default.as_ref()) else {
            let message = format!("parameter {:?} has no default: the night has to give it", parameter.name);
            findings.refuse("MissingParameter", &night_object, &path, message);
            continue;
        };
        match parameter.problem(value) {
            Some(problem) => findings.refuse("ParameterMismatch", &night_object, &path, problem),
            None => drop(values.insert(parameter.name.clone(), value.clone())),
        }
    }
    values
}

/// The smoke test with its environment filled in.
pub(super) fn smoke(question: Question<'_>, environment: &Environment) -> Option<Smoke> {
    let smoke = question.runbook.smoke.as_ref()?;
    Some(Smoke { budget: smoke.budget, job: filled(&smoke.job, environment) })
}

/// Planned steps in the given order, still without times.
pub(super) fn steps(
    runbook: &Runbook,
    order: &[usize],
    concerned: &Concerned<'_>,
    environment: &Environment,
    findings: &mut Findings,
) -> Vec<PlannedStep> {
    let positions: BTreeMap<&str, StepIndex> = order
        .iter()
        .enumerate()
        .filter_map(|(position, &written)| Some((runbook.steps.get(written)?.name.as_str(), position)))
        .collect();
    undeclared_parameters(runbook, findings);
    let mut planned: Vec<PlannedStep> = Vec::with_capacity(order.len());
    for &written in order {
        let Some(step) = runbook.steps.get(written) else { continue };
        let path = format!("spec.steps[{written}]");
        let needs: Vec<StepIndex> = step.needs.iter().filter_map(|name| positions.get(name.as_str()).copied()).collect();
        let undo = undo(runbook, step, &path, &needs, &planned, &positions, environment, findings);
        planned.push(PlannedStep {
            name: step.name.clone(),
            budget: step.budget,
            hard_cap: step.hard_cap.unwrap_or(step.budget),
            on_overrun: step.on_overrun,
            on_futile: step.on_futile,
            action: action(step, concerned, environment),
            touches: touches(step, concerned),
            needs,
            undo,
            undo_touches: BTreeSet::new(),
            start_at: Timestamp::MIN,
            not_before: None,
            end_at: Timestamp::MIN,
            turn_back_at: Timestamp::MIN,
            finish_by: Timestamp::MIN,
        });
    }
    reach(&mut planned);
    planned
}

/// An undo changes what the steps touch that it covers, too.
fn reach(planned: &mut [PlannedStep]) {
    for index in 0..planned.len() {
        let Some(PlannedStep { undo: PlannedUndo::CoveredBy { step }, touches, .. }) = planned.get(index) else { continue };
        let (covering, touched) = (*step, touches.clone());
        if let Some(covering) = planned.get_mut(covering) {
            covering.undo_touches.extend(touched.difference(&covering.touches));
        }
    }
}

fn action(step: &Step, concerned: &Concerned<'_>, environment: &Environment) -> PlannedAction {
    match &step.action {
        Action::Close { services } => {
            PlannedAction::Close { services: services.iter().filter_map(|reference| concerned.position(reference)).collect() }
        }
        Action::Job(job) => PlannedAction::Job(filled(job, environment)),
        Action::Change { target, change } => {
            PlannedAction::Change(Closing { name: step.name.clone(), target: target.clone(), change: change.clone() })
        }
        Action::Check(check) => PlannedAction::Check(check.clone()),
        Action::Hold(hold) => PlannedAction::Hold(hold.clone()),
        Action::Notify { message } => PlannedAction::Notify { message: message.clone() },
    }
}

fn touches(step: &Step, concerned: &Concerned<'_>) -> BTreeSet<ServiceIndex> {
    match (&step.action, &step.touches) {
        (_, Some(named)) => named.iter().filter_map(|reference| concerned.position(reference)).collect(),
        (Action::Job(_), None) => concerned.closed(),
        (Action::Close { .. } | Action::Change { .. } | Action::Check(_) | Action::Hold(_) | Action::Notify { .. }, None) => {
            BTreeSet::new()
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one leaf of `steps`, which owns all of these")]
fn undo(
    runbook: &Runbook,
    step: &Step,
    path: &str,
    needs: &[StepIndex],
    earlier: &[PlannedStep],
    positions: &BTreeMap<&str, StepIndex>,
    environment: &Environment,
    findings: &mut Findings,
) -> PlannedUndo {
    match &step.undo {
        Undo::Reopening => PlannedUndo::Reopening,
        Undo::Nothing => PlannedUndo::Nothing,
        Undo::Job { budget, attempts, job } => {
            PlannedUndo::Job { budget: *budget, attempts: *attempts, job: filled(job, environment) }
        }
        Undo::Restore { budget } => PlannedUndo::Restore { budget: *budget },
        Undo::CoveredBy { step: name } => {
            let covering = positions.get(name.as_str()).copied();
            let good = covering.filter(|&index| {
                ancestors(earlier, needs).contains(&index)
                    && earlier
                        .get(index)
                        .is_some_and(|step| matches!(step.undo, PlannedUndo::Job { .. } | PlannedUndo::Restore { .. }))
            });
            if good.is_none() {
                let message = format!(
                    "the undo of {name:?} cannot cover {:?}: it has to be an earlier step that {:?} needs, with an undo of its own",
                    step.name, step.name
                );
                findings.refuse("CannotCover", &runbook_object(runbook), &format!("{path}.noUndo.step"), message);
            }
            good.map_or(PlannedUndo::Nothing, |step| PlannedUndo::CoveredBy { step })
        }
        Undo::Irreversible => PlannedUndo::Irreversible,
    }
}

fn filled(job: &JobSource, environment: &Environment) -> JobSource {
    let value = |variable: &EnvVar| match &variable.value {
        EnvValue::Value(text) => Some(text.clone()),
        EnvValue::Parameter(name) => environment.get(name).cloned(),
    };
    let fill = |variable: &EnvVar| Some(EnvVar { name: variable.name.clone(), value: EnvValue::Value(value(variable)?) });
    JobSource { template: job.template.clone(), env: job.env.iter().filter_map(fill).collect() }
}

/// Every Job of the runbook, with its place.
fn jobs(runbook: &Runbook) -> Vec<(String, &JobSource)> {
    let mut jobs: Vec<(String, &JobSource)> =
        runbook.smoke.iter().map(|smoke| ("spec.smoke.job".to_owned(), &smoke.job)).collect();
    for (index, step) in runbook.steps.iter().enumerate() {
        if let Action::Job(job) = &step.action {
            jobs.push((format!("spec.steps[{index}].job"), job));
        }
        if let Undo::Job { job, .. } = &step.undo {
            jobs.push((format!("spec.steps[{index}].undo.job"), job));
        }
    }
    jobs
}

/// Parameters that a Job's environment names and the runbook does not.
fn undeclared_parameters(runbook: &Runbook, findings: &mut Findings) {
    for (place, job) in jobs(runbook) {
        for (index, variable) in job.env.iter().enumerate() {
            let EnvValue::Parameter(name) = &variable.value else { continue };
            if !runbook.parameters.iter().any(|parameter| &parameter.name == name) {
                let path = format!("{place}.env[{index}].parameter");
                let message = format!("{name:?} is no parameter of this runbook: declare it in spec.parameters");
                findings.refuse("UnknownParameter", &runbook_object(runbook), &path, message);
            }
        }
    }
}
