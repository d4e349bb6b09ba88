//! What a runbook says about itself: the names its steps and Jobs point to.
//!
//! In: raw Jobs and objects. Out: validated ones, problems with a "did you mean". What is not here: whether the things named exist in
//! the cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Findings;
use crate::api::action as raw;
use crate::api::structure::closest;
use crate::model::action::{EnvValue, EnvVar, JobSource, Template};
use crate::model::kind::{Misnamed, misnamed};
use crate::model::reference::Target;

/// The longest template or manifest, in bytes of JSON.
const BYTES_MAX: usize = 32_768;

/// The names that a runbook may point to in itself, and where its own objects stand.
pub(super) struct Inside<'a> {
    pub namespace: &'a str,
    pub steps: BTreeSet<&'a str>,
    pub parameters: BTreeSet<&'a str>,
}

impl Inside<'_> {
    pub(super) fn points_to_step(&self, found: &mut Findings, own: &str, name: &str, path: &str) {
        if name == own {
            found.refuse("PointsToItself", path, format!("{name} points to itself: remove it"));
        } else if !self.steps.contains(name) {
            found.refuse("UnknownStep", path, not_there("step", name, &self.steps));
        }
    }

    pub(super) fn job(&self, found: &mut Findings, path: &str, raw: &raw::Job) -> JobSource {
        let template = match (&raw.from, &raw.template) {
            (Some(from), None) => Template::CronJob(from.cron_job.clone()),
            (None, Some(template)) => {
                let path = format!("{path}.template");
                bounded(found, &path, &Value::Object(template.clone()));
                if template.get("spec").and_then(|spec| spec.pointer("/template/spec/containers")).is_none() {
                    let message = "a template has spec.template.spec.containers, as spec.jobTemplate of a CronJob: write them";
                    found.refuse("Missing", &path, message);
                }
                Template::Inline(template.clone().into())
            }
            (None, None) | (Some(_), Some(_)) => {
                found.refuse("NotExactlyOne", path, "a Job has exactly one template: write from, or template");
                Template::CronJob(String::new())
            }
        };
        let mut env = Vec::new();
        for (index, raw) in raw.env.iter().enumerate() {
            env.extend(self.variable(found, &format!("{path}.env[{index}]"), raw));
        }
        JobSource { template, env }
    }

    fn variable(&self, found: &mut Findings, path: &str, raw: &raw::Variable) -> Option<EnvVar> {
        let value = match (&raw.value, &raw.parameter) {
            (Some(value), None) => EnvValue::Value(value.clone()),
            (None, Some(parameter)) => {
                if !self.parameters.contains(parameter.as_str()) {
                    let message = not_there("parameter", parameter, &self.parameters);
                    found.refuse("UnknownParameter", &format!("{path}.parameter"), message);
                }
                EnvValue::Parameter(parameter.clone())
            }
            (None, None) | (Some(_), Some(_)) => {
                found.refuse("NotExactlyOne", path, "a variable has exactly one source: write value or parameter");
                return None;
            }
        };
        Some(EnvVar { name: raw.name.clone(), value })
    }

    pub(super) fn object(&self, found: &mut Findings, path: &str, raw: &raw::Object) -> Target {
        let raw::Object { api_version, kind, namespace, name } = raw;
        refuse_kind(found, path, api_version, kind);
        let namespace = namespace.as_deref().unwrap_or(self.namespace).to_owned();
        let namespace = if is_of_the_cluster(api_version, kind) { String::new() } else { namespace };
        Target { api_version: api_version.clone(), kind: kind.clone(), namespace, name: name.clone() }
    }
}

/// The one kind outside namespaces that a step may be about.
fn is_of_the_cluster(api_version: &str, kind: &str) -> bool {
    (api_version, kind) == ("v1", "Node")
}

/// Refuses what is never a target, and a kind that there cannot be; `path` is that of the object.
pub(super) fn refuse_kind(found: &mut Findings, path: &str, api_version: &str, kind: &str) {
    if (api_version, kind) == ("v1", "Secret") {
        let message = "a Secret is never a target: its content would stand in the night's records; name another object";
        found.refuse("SecretTarget", &format!("{path}.kind"), message);
    } else if let Some(Misnamed { field, message }) = misnamed(api_version, kind) {
        found.refuse("UnknownKind", &format!("{path}.{field}"), message);
    }
}

pub(super) fn bounded(found: &mut Findings, path: &str, value: &Value) {
    let bytes = value.to_string().len();
    if bytes > BYTES_MAX {
        found.refuse("TooLong", path, format!("it has {bytes} bytes, at most {BYTES_MAX}"));
    }
}

fn not_there(what: &str, name: &str, known: &BTreeSet<&str>) -> String {
    let hint = closest(name, known.iter().copied()).map(|meant| format!("; did you mean {meant}?"));
    format!("the runbook has no {what} {name:?}{}", hint.unwrap_or_default())
}
