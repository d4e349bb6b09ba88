//! Jobs of the night, made from suspended CronJobs and made safe (PROTOCOL rule 15).
//!
//! In: a plan and the CronJobs it names. Out: one Job object for each [`JobKey`]. Invariants: pure; a Job is suspended, runs one Pod once,
//! never retries, is never cleaned up by itself; its Pod stays until we have seen its end; nothing of a step is merged over the template
//! but environment variables. Not here: creating and releasing them.

use serde_json::{Map, Value, json};

use crate::engine::JobKey;
use crate::model::action::{EnvValue, JobSource, Template};
use crate::model::plan::{Plan, PlannedAction, PlannedUndo};

use super::marks;
use super::names::{job_names, sha256};
use super::operations::{at, text};
use super::token::{Token, Way};
use crate::model::epoch::Epoch;

/// What a Job is made from; none for a key that the plan does not have.
#[must_use]
pub fn source(plan: &Plan, key: JobKey) -> Option<&JobSource> {
    match key {
        JobKey::Step(index) => match &plan.steps.get(index)?.action {
            PlannedAction::Job(source) => Some(source),
            PlannedAction::Close { .. }
            | PlannedAction::Change(_)
            | PlannedAction::Check(_)
            | PlannedAction::Hold(_)
            | PlannedAction::Notify { .. } => None,
        },
        JobKey::Undo(index, _) => match &plan.steps.get(index)?.undo {
            PlannedUndo::Job { job, .. } => Some(job),
            PlannedUndo::Reopening
            | PlannedUndo::Restore { .. }
            | PlannedUndo::Nothing
            | PlannedUndo::CoveredBy { .. }
            | PlannedUndo::Irreversible => None,
        },
        JobKey::Smoke => plan.smoke.as_ref().map(|smoke| &smoke.job),
    }
}

/// The direction in which a Job is released.
#[must_use]
pub const fn release_way(key: JobKey) -> Way {
    match key {
        JobKey::Step(_) => Way::Forward,
        JobKey::Undo(..) | JobKey::Smoke => Way::Back,
    }
}

/// The labels of a Job and its Pods.
fn labels(plan: &Plan, key: JobKey) -> Map<String, Value> {
    let step = |index: usize| plan.steps.get(index).map(|step| step.name.clone()).unwrap_or_default();
    let (role, step, attempt) = match key {
        JobKey::Step(index) => ("forward", step(index), 1),
        JobKey::Undo(index, attempt) => ("undo", step(index), attempt),
        JobKey::Smoke => ("smoke", String::new(), 1),
    };
    let own = json!({(marks::MANAGED_BY): marks::US, (marks::NIGHT): plan.uid, (marks::STEP): step, (marks::ROLE): role,
        (marks::ATTEMPT): attempt.to_string()});
    own.as_object().cloned().unwrap_or_default()
}

/// The Job, ready to be created; a template that stands in the runbook comes dressed as a suspended CronJob.
///
/// # Errors
/// What is wrong with the CronJob, for people.
pub fn make(plan: &Plan, key: JobKey, cron_job: &Value) -> Result<Value, String> {
    let source = source(plan, key).ok_or_else(|| format!("the plan has no Job for {key}"))?;
    let called = match &source.template {
        Template::CronJob(name) => format!("CronJob {}/{name}", plan.namespace),
        Template::Inline(_) => format!("the template of {key}"),
    };
    if at(cron_job, &["spec", "suspend"]) != Some(&Value::Bool(true)) {
        return Err(format!("{called} is not suspended: it would also run by itself; set spec.suspend to true"));
    }
    let template = at(cron_job, &["spec", "jobTemplate", "spec", "template"]);
    let mut template =
        template.filter(|template| template.is_object()).cloned().ok_or_else(|| format!("{called} has no Pod template"))?;
    make_pod_safe(&mut template, plan, key);
    set_env(&mut template, source)?;
    let spec = json!({"suspend": true, "parallelism": 1, "completions": 1, "backoffLimit": 0, "podReplacementPolicy": "Failed",
        "template": template});
    let mut metadata = json!({"name": job_names(plan).remove(&key).unwrap_or_default(), "namespace": plan.namespace});
    for kept in ["labels", "annotations"] {
        let given = at(cron_job, &["spec", "jobTemplate", "metadata", kept]);
        set(&mut metadata, kept, given.filter(|given| given.is_object()).cloned().unwrap_or_else(|| json!({})));
    }
    extend(&mut metadata, "labels", labels(plan, key));
    let annotations = json!({(marks::TOKEN): Token::of(&plan.uid, Epoch::OPERATOR, Way::Forward).to_string(), (marks::RELEASED): "false",
        (marks::MADE_AS): sha256(spec.to_string()), "cronjob.kubernetes.io/instantiate": "manual"});
    extend(&mut metadata, "annotations", annotations.as_object().cloned().unwrap_or_default());
    Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}))
}

/// Runs once, as somebody, is seen to end.
fn make_pod_safe(template: &mut Value, plan: &Plan, key: JobKey) {
    let keep = |finalizers: &mut Vec<Value>| {
        if !finalizers.iter().any(|one| one == marks::KEEP_POD) {
            finalizers.push(marks::KEEP_POD.into());
        }
    };
    edit(template, "metadata", |metadata| {
        extend(metadata, "labels", labels(plan, key));
        edit_list(metadata, "finalizers", keep);
    });
    edit(template, "spec", |spec| {
        set(spec, "restartPolicy", json!("Never"));
        if let Some(members) = spec.as_object_mut() {
            members.remove("activeDeadlineSeconds");
        }
        if text(spec, &["serviceAccountName"]).is_empty() && text(spec, &["serviceAccount"]).is_empty() {
            set(spec, "serviceAccountName", json!(plan.service_account));
        }
    });
}

/// The step's variables, in every container, in place of those with the same name.
fn set_env(template: &mut Value, source: &JobSource) -> Result<(), String> {
    let value = |value: &EnvValue| match value {
        EnvValue::Value(text) => Ok(text.clone()),
        EnvValue::Parameter(name) => Err(format!("parameter {name} was left without a value")),
    };
    let wanted: Vec<(String, String)> =
        source.env.iter().map(|one| Ok((one.name.clone(), value(&one.value)?))).collect::<Result<_, String>>()?;
    for list in ["initContainers", "containers"] {
        let containers = template.get_mut("spec").and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut);
        let Some(containers) = containers else { continue };
        for container in containers.iter_mut().filter(|_| !wanted.is_empty()) {
            edit_list(container, "env", |env| wanted.iter().for_each(|(name, value)| set_variable(env, name, value)));
        }
    }
    Ok(())
}

/// In the place of the first of that name, because others may refer to it; else at the end.
fn set_variable(env: &mut Vec<Value>, name: &str, value: &str) {
    let new = json!({"name": name, "value": value});
    let place = env.iter().position(|one| text(one, &["name"]) == name).unwrap_or(env.len());
    env.retain(|one| text(one, &["name"]) != name);
    env.insert(place.min(env.len()), new);
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

fn extend(object: &mut Value, key: &str, more: Map<String, Value>) {
    edit(object, key, |inner| more.into_iter().for_each(|(name, value)| set(inner, &name, value)));
}

/// Edits the object under `key`, made where there is none.
fn edit(object: &mut Value, key: &str, edit: impl FnOnce(&mut Value)) {
    let mut inner = object.get_mut(key).map(Value::take).filter(Value::is_object).unwrap_or_else(|| json!({}));
    edit(&mut inner);
    set(object, key, inner);
}

/// Edits the list under `key`, made where there is none.
fn edit_list(object: &mut Value, key: &str, edit: impl FnOnce(&mut Vec<Value>)) {
    let mut list = match object.get_mut(key).map(Value::take) {
        Some(Value::Array(list)) => list,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) | None => Vec::new(),
    };
    edit(&mut list);
    set(object, key, Value::Array(list));
}
