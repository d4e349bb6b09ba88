//! Rehearsing: every effect of a night, put to the API server with the tenant's rights and stored nowhere.
//!
//! In: a plan and the tenant's hands. Out: [`Rehearsed`], with everything that would be refused at night, all at once. Invariants: each
//! write is a server-side dry run, so that defaults, validation, admission and quotas answer as they would; what a dry run cannot say
//! (an object that is not there yet is to be read, watched, changed) is asked as a `SelfSubjectAccessReview`, right by right; nothing is
//! stamped, created, held or closed. What it cannot see: several effects together, where each alone is accepted (a quota for fewer Jobs
//! than the night has); admission of the Pods behind the Jobs; rights and objects that change after it. Not here: the report, probes,
//! when it happens.

mod targets;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::engine::facts::jobs;
use crate::engine::{Entry, Event, JobKey};
use crate::model::action::{Check, Template};
use crate::model::plan::{Plan, PlannedAction, ServiceIndex};
use crate::model::refusal::Refusal;

use super::addresses::{self, Judge};
use super::call::{Advice, Answer, CallError};
use super::jobs::{make, source};
use super::ledger;
use super::marks;
use super::operations::text;
use super::pod_security::{Level, violations};
use super::rights::{self, Lack};
use super::sentinel::{self, Switch};
use super::tenant::{Tenant, path};

/// The variable by which a Job's program knows that it is rehearsed.
const VARIABLE: &str = "NOTTURNO_REHEARSAL";

/// What a rehearsal found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rehearsed {
    /// How many effects were tried.
    pub tried_count: u32,
    /// What would be refused: the object, whose effect it is, the API server's words, what to do.
    pub findings: Vec<Refusal>,
    /// What could not be tried by day, each with the reason.
    pub untried: Vec<String>,
    /// Services that are closed just now: their objects show it.
    pub closed: BTreeSet<ServiceIndex>,
}

/// Tries everything that arming, working, going back and reopening would do. Templates that stand in the runbook have to keep `level`.
///
/// # Errors
/// When the API server gives no usable answer now: nothing is known, try again.
pub async fn rehearse(
    tenant: &Tenant,
    plan: &Plan,
    level: Level,
    judge: &Judge,
    switch: &Switch,
) -> Result<Rehearsed, CallError> {
    let mut stage = Stage { tenant, plan, rehearsed: Rehearsed::default(), lacking: Vec::new() };
    stage.rights(switch).await?;
    stage.ledger().await?;
    stage.jobs(level).await?;
    stage.targets().await?;
    stage.checks().await?;
    stage.addresses(judge).await;
    stage.sentinel(switch).await?;
    Ok(stage.rehearsed)
}

struct Stage<'a> {
    tenant: &'a Tenant,
    plan: &'a Plan,
    rehearsed: Rehearsed,
    lacking: Vec<Lack>,
}

impl Stage<'_> {
    /// One effect was tried.
    fn tried<T>(&mut self, object: &str, whose: &str, answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
        self.rehearsed.tried_count += 1;
        self.heard(object, whose, answer)
    }

    /// Takes an answer: the value, or a finding. What says nothing about the night ends the rehearsal.
    fn heard<T>(&mut self, object: &str, whose: &str, answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
        let error = match answer {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error,
        };
        if takes_no_dry_run(&error) {
            self.rehearsed.untried.push(format!("{object} ({whose}): {}", error.story()));
            return Ok(None);
        }
        if matches!(error.advice(), Advice::RetryNow | Advice::RetryLater) && !is_failed_webhook(&error) {
            return Err(error);
        }
        let (reason, remedy) = self.remedy(&error);
        self.find(reason, object, whose, format!("{}; {remedy}", error.story()));
        Ok(None)
    }

    fn find(&mut self, reason: &str, object: &str, whose: &str, message: String) {
        let finding = Refusal::new(reason, object, whose, message);
        if !self.rehearsed.findings.contains(&finding) {
            self.rehearsed.findings.push(finding);
        }
    }

    fn remedy(&self, error: &CallError) -> (&'static str, String) {
        let account = format!("ServiceAccount {}/{}", self.tenant.namespace, self.tenant.service_account);
        match error.answer() {
            Some(Answer::NotFound | Answer::Gone) => ("Missing", "create it, or correct the name".to_owned()),
            Some(Answer::Forbidden) => (
                "Forbidden",
                format!("if the right is missing, grant it to {account}; if a policy or a quota refuses, change either"),
            ),
            Some(Answer::AlreadyExists) => ("AlreadyThere", "delete it, or name the night otherwise".to_owned()),
            Some(Answer::TooLarge) => ("TooLarge", "make it smaller".to_owned()),
            Some(Answer::Invalid | Answer::Other | Answer::Busy | Answer::Conflict | Answer::Unauthorized) | None => {
                ("NotAccepted", "change the night, or what refuses it".to_owned())
            }
        }
    }

    /// The two ConfigMaps that are the truth of a night; they are created first, and carry the whole plan.
    async fn ledger(&mut self) -> Result<(), CallError> {
        if self.lacks("create", "configmaps", "") {
            return Ok(());
        }
        let event = Event::Accepted { plan_hash: ledger::plan_hash(self.plan) };
        let first = Entry { at: self.plan.start_at, event, why: "rehearsed".to_owned() };
        for object in ledger::objects(self.plan, "operator", vec![first]) {
            let answer = self.tenant.try_create(&path("v1", &self.tenant.namespace, "configmaps", ""), &object).await;
            let what = format!("ConfigMap {}/{}", self.tenant.namespace, text(&object, &["metadata", "name"]));
            self.tried(&what, "plan and ledger", answer)?;
        }
        Ok(())
    }

    /// Every Job, forward, undo and smoke, as arming creates them: suspended, and marked as rehearsed.
    async fn jobs(&mut self, level: Level) -> Result<(), CallError> {
        let mut cron_jobs: BTreeMap<String, Option<Value>> = BTreeMap::new();
        for key in jobs(self.plan) {
            let whose = self.whose(key);
            let Some(source) = source(self.plan, key) else { continue };
            let (object, cron_job) = match &source.template {
                Template::Inline(template) => {
                    let pods = template.pointer("/spec/template").unwrap_or(&Value::Null);
                    for violation in violations(pods, level) {
                        let message = format!("{violation} (Pod Security {})", level.as_str());
                        self.find("PodSecurity", "the template in the runbook", &whose, message);
                    }
                    ("the template in the runbook".to_owned(), Some(json!({"spec": {"suspend": true, "jobTemplate": template}})))
                }
                Template::CronJob(name) if self.lacks("get", "cronjobs", name) => continue,
                Template::CronJob(name) => {
                    let object = format!("CronJob {}/{name}", self.tenant.namespace);
                    if !cron_jobs.contains_key(name) {
                        let answer = self.tenant.get(&path("batch/v1", &self.tenant.namespace, "cronjobs", name)).await;
                        let found = self.heard(&object, &whose, answer)?;
                        cron_jobs.insert(name.clone(), found);
                    }
                    (object, cron_jobs.get(name).cloned().flatten())
                }
            };
            let Some(cron_job) = cron_job else { continue };
            match make(self.plan, key, &cron_job) {
                Err(reason) => self.find("NotAccepted", &object, &whose, reason),
                Ok(_) if self.lacks("create", "jobs", "") => {}
                Ok(job) => {
                    let job = marked(job);
                    let answer = self.tenant.try_create(&path("batch/v1", &self.tenant.namespace, "jobs", ""), &job).await;
                    let what = format!("Job {}/{}", self.tenant.namespace, text(&job, &["metadata", "name"]));
                    self.tried(&what, &whose, answer)?;
                }
            }
        }
        Ok(())
    }

    fn whose(&self, key: JobKey) -> String {
        let step = |index: usize| self.plan.steps.get(index).map(|step| step.name.as_str()).unwrap_or_default();
        match key {
            JobKey::Step(index) => format!("step {}", step(index)),
            JobKey::Undo(index, attempt) => format!("undo of step {}, attempt {attempt}", step(index)),
            JobKey::Smoke => "smoke".to_owned(),
        }
    }

    /// What steps wait for: it need not be there yet, but it has to be readable.
    async fn checks(&mut self) -> Result<(), CallError> {
        for step in &self.plan.steps {
            let PlannedAction::Check(Check::Wait { target, .. }) = &step.action else { continue };
            let whose = format!("step {}", step.name);
            if self.lacking.iter().any(|lack| lack.is_on(target)) {
                continue;
            }
            let Some(path) = self.path_of(target, &whose).await? else { continue };
            let answer = self.tenant.get(&path).await;
            if answer.as_ref().is_err_and(|error| error.answer() == Some(Answer::NotFound)) {
                continue;
            }
            self.heard(&target.to_string(), &whose, answer)?;
        }
        Ok(())
    }

    /// What probes and steps ask, as arming judges it.
    async fn addresses(&mut self, judge: &Judge) {
        for finding in addresses::judged(self.plan, judge).await {
            if finding.is_made {
                self.rehearsed.untried.push(format!("{}: a step makes it only then", finding.problem()));
            } else {
                self.find(addresses::REASON, &finding.object, &finding.path, finding.message);
            }
        }
    }

    /// The dead man's switch.
    async fn sentinel(&mut self, switch: &Switch) -> Result<(), CallError> {
        let whose = "the dead man's switch";
        let image = match switch {
            Switch::Missing => {
                self.find("NoSwitch", "the operator", whose, sentinel::NO_IMAGE.to_owned());
                return Ok(());
            }
            Switch::Without => return Ok(()),
            Switch::Image(image) => image,
        };
        for sentinel::Tried { object, answer, changed } in sentinel::try_all(self.tenant, self.plan, image).await {
            self.tried(&object, whose, answer)?;
            if let Some(how) = changed {
                self.find("NotAccepted", &object, whose, format!("something in the cluster changes it when it is made: {how}"));
            }
        }
        Ok(())
    }

    /// Every right that the work needs. What is missing is told once, and not tried.
    async fn rights(&mut self, switch: &Switch) -> Result<(), CallError> {
        let answer = rights::lacking(self.tenant, self.plan, switch).await;
        let Some(lacking) = self.heard("the rights of the night", "the night", answer)? else { return Ok(()) };
        for lack in &lacking {
            self.find("Forbidden", &lack.object(), "the night", lack.words(self.tenant));
        }
        self.lacking = lacking;
        Ok(())
    }

    fn lacks(&self, verb: &str, resource: &str, name: &str) -> bool {
        self.lacking.iter().any(|lack| lack.is_of(verb, resource, name))
    }
}

/// Webhooks with side effects refuse every dry run: nothing is learnt from that.
fn takes_no_dry_run(error: &CallError) -> bool {
    error.answer() == Some(Answer::Other) && error.story().contains("dry run")
}

/// A webhook that fails would fail at night too, until somebody mends it.
fn is_failed_webhook(error: &CallError) -> bool {
    error.answer() == Some(Answer::Busy) && error.story().contains("webhook")
}

/// The Job, as whatever admits it can tell it from the one of the night.
fn marked(mut job: Value) -> Value {
    let labels = json!({(marks::REHEARSAL): "true"});
    let mark = json!({"metadata": {"labels": labels}, "spec": {"template": {"metadata": {"labels": labels}}}});
    json_patch::merge(&mut job, &mark);
    for list in ["initContainers", "containers"] {
        let containers = job.pointer_mut(&format!("/spec/template/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let mut env = container.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
            env.push(json!({"name": VARIABLE, "value": "true"}));
            container.insert("env".to_owned(), env.into());
        }
    }
    job
}
