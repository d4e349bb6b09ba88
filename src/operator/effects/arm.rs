//! Arming: everything that has to stand before the night (PROTOCOL rules 1, 11, 12, 15).
//!
//! In: an accepted plan. Out: [`Preimages`], once every stamp was acknowledged and read back. Invariants: nothing is written before every
//! problem was looked for, and all problems are told at once; a pre-image is of the very revision that was stamped; repeated after an
//! interruption anywhere, it ends the same. Never called once the night is armed. Not here: the event `armed` (the caller appends it).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::engine::JobKey;
use crate::engine::facts::jobs;
use crate::model::action::Template;
use crate::model::epoch::Epoch;
use crate::model::plan::Plan;
use crate::model::reference::Target;

use super::addresses::{self, Judge};
use super::call::{Advice, Answer, CallError};
use super::capture::Preimage;
use super::found::step_preimage;
use super::jobs::{make, source};
use super::ledger::{self, LedgerError};
use super::marks;
use super::operations::{annotated, text};
use super::perform::ATTEMPTS_MAX;
use super::pod_security::{Level, violations};
use super::preimages::Preimages;
use super::rights::{self, Lack};
use super::sentinel::{self, Switch};
use super::spots::{Planned, planned, target_path};
use super::survey::{Claim, follows_a_step, recreated, survey};
use super::targets::{is_stale, stamp};
use super::tenant::{Tenant, path};
use super::token::{Standing, Token, Way};
use super::work::is_suspended;

/// Why a night is not armed.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// It cannot be as things are: tell a person, and try again on change.
    #[error("{} problem(s): {}", .problems.len(), .problems.join("; "))]
    Impossible {
        /// Every reason, with what to do about it.
        problems: Vec<String>,
    },
    /// Something changed while it was being armed. Retry later.
    #[error("{what} did not keep still while it was armed")]
    Restless {
        /// What.
        what: String,
    },
    /// A call failed. Retry later.
    #[error("arming was interrupted")]
    Call(#[source] CallError),
    /// Plan and ledger cannot be had; it says what to do.
    #[error("arming needs the plan")]
    Ledger(#[source] LedgerError),
}

impl ArmError {
    /// What to do.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Impossible { .. } => Advice::TellAPerson,
            Self::Restless { .. } => Advice::RetryLater,
            Self::Call(error) => error.advice(),
            Self::Ledger(error) => error.advice(),
        }
    }
}

/// Captures, stamps, creates, freezes, reads back. Templates that stand in the runbook have to keep `level`; `judge` says which addresses
/// would be asked at night; `switch`, what the dead man's switch runs from.
///
/// # Errors
/// [`ArmError::Impossible`] names every problem found; the others are of the moment.
pub async fn arm(tenant: &Tenant, plan: &Plan, level: Level, judge: &Judge, switch: &Switch) -> Result<Preimages, ArmError> {
    let frozen = ledger::frozen(tenant, plan).await.map_err(ArmError::Ledger)?;
    let mut problems = Vec::new();
    let lacking = lacking(tenant, plan, switch, &mut problems).await?;
    let claims = survey(tenant, plan, &lacking, &mut problems).await?;
    let made = make_jobs(tenant, plan, level, &lacking, &mut problems).await?;
    let addresses = addresses::judged(plan, judge).await;
    problems.extend(addresses.iter().filter(|finding| !finding.is_made).map(addresses::Finding::problem));
    problems.extend(sentinel_problems(tenant, plan, switch).await?);
    if let Some(frozen) = &frozen {
        problems.extend(claims.iter().filter_map(|claim| recreated(claim, frozen)));
    }
    if !problems.is_empty() {
        return Err(ArmError::Impossible { problems });
    }
    let mut captured = Preimages::default();
    for claim in claims {
        captured.targets.extend(stamp_claim(tenant, plan, claim).await?);
    }
    for job in &made {
        let stored = create_job(tenant, plan, job).await?;
        captured.jobs.insert(text(job, &["metadata", "name"]).to_owned(), text(&stored, &["metadata", "uid"]).to_owned());
    }
    let frozen = ledger::freeze(tenant, plan, &captured).await.map_err(ArmError::Ledger)?;
    read_back(tenant, plan, &frozen).await?;
    Ok(frozen)
}

/// What would keep the dead man's switch from standing.
async fn sentinel_problems(tenant: &Tenant, plan: &Plan, switch: &Switch) -> Result<Vec<String>, ArmError> {
    let image = match switch {
        Switch::Missing => return Ok(vec![sentinel::NO_IMAGE.to_owned()]),
        Switch::Without => return Ok(Vec::new()),
        Switch::Image(image) => image,
    };
    let mut problems = Vec::new();
    for sentinel::Tried { object, answer, changed } in sentinel::try_all(tenant, plan, image).await {
        if let Err(error) = answer {
            problems.push(format!("{object}: {}", problem(error)?));
        }
        problems.extend(changed.map(|how| format!("{object}: something in the cluster changes it when it is made: {how}")));
    }
    Ok(problems)
}

/// A failed call is a problem of the plan or of the moment.
pub(super) fn problem(error: CallError) -> Result<String, ArmError> {
    match error.advice() {
        Advice::RetryNow | Advice::RetryLater => Err(ArmError::Call(error)),
        Advice::OnChange | Advice::TellAPerson => Ok(error.story()),
    }
}

/// Every right that the account is missing. What it may not do is tried nowhere else, so that it is told once.
async fn lacking(tenant: &Tenant, plan: &Plan, switch: &Switch, problems: &mut Vec<String>) -> Result<Vec<Lack>, ArmError> {
    let lacking = match rights::lacking(tenant, plan, switch).await {
        Ok(lacking) => lacking,
        Err(error) => {
            problems.push(problem(error)?);
            Vec::new()
        }
    };
    problems.extend(lacking.iter().map(|lack| lack.words(tenant)));
    Ok(lacking)
}

async fn make_jobs(
    tenant: &Tenant,
    plan: &Plan,
    level: Level,
    lacking: &[Lack],
    problems: &mut Vec<String>,
) -> Result<Vec<Value>, ArmError> {
    let mut cron_jobs: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    let mut made = Vec::new();
    for job in jobs(plan) {
        let Some(source) = source(plan, job) else { continue };
        let cron_job = match &source.template {
            Template::Inline(template) => {
                problems.extend(unsafe_template(plan, job, template, level));
                Some(json!({"spec": {"suspend": true, "jobTemplate": template}}))
            }
            Template::CronJob(name) if lacking.iter().any(|lack| lack.is_of("get", "cronjobs", name)) => None,
            Template::CronJob(name) => {
                if !cron_jobs.contains_key(name.as_str()) {
                    cron_jobs.insert(name, cron_job(tenant, name, problems).await?);
                }
                cron_jobs.get(name.as_str()).cloned().flatten()
            }
        };
        match cron_job.map(|cron_job| make(plan, job, &cron_job)) {
            Some(Ok(job)) => made.push(job),
            Some(Err(reason)) if !problems.contains(&reason) => problems.push(reason),
            Some(Err(_)) | None => {}
        }
    }
    Ok(made)
}

/// What the template of a Job may not ask for; each attempt of an undo has the same, which is told once.
fn unsafe_template(plan: &Plan, job: JobKey, template: &Value, level: Level) -> Vec<String> {
    let step = |index: usize| plan.steps.get(index).map(|step| step.name.as_str()).unwrap_or_default();
    let whose = match job {
        JobKey::Undo(_, attempt) if attempt > 1 => return Vec::new(),
        JobKey::Step(index) => format!("step {}: job", step(index)),
        JobKey::Undo(index, _) => format!("step {}: undo.job", step(index)),
        JobKey::Smoke => "smoke.job".to_owned(),
    };
    let pods = template.pointer("/spec/template").unwrap_or(&Value::Null);
    let words = |violation: String| format!("{whose}.template.spec.template.{violation} (Pod Security {})", level.as_str());
    violations(pods, level).into_iter().map(words).collect()
}

async fn cron_job(tenant: &Tenant, name: &str, problems: &mut Vec<String>) -> Result<Option<Value>, ArmError> {
    match tenant.get(&path("batch/v1", &tenant.namespace, "cronjobs", name)).await {
        Ok(found) => Ok(Some(found)),
        Err(error) => {
            problems.push(format!("CronJob {}/{name}: {}", tenant.namespace, problem(error)?));
            Ok(None)
        }
    }
}

/// Puts the token on the object and captures what it looks like at that very revision.
async fn stamp_claim(tenant: &Tenant, plan: &Plan, claim: Claim<'_>) -> Result<BTreeMap<String, Preimage>, ArmError> {
    let Claim { target, planned, resource, live, .. } = claim;
    let Some(mut live) = live else {
        return Ok(planned.into_iter().map(|planned| (planned.key, Preimage::absent(&resource))).collect());
    };
    let path = target_path(target, &resource);
    let forward = Token::of(&plan.uid, tenant.epoch, Way::Forward).to_string();
    for _ in 0..ATTEMPTS_MAX {
        match Standing::of(&live, &plan.uid, tenant.epoch) {
            Standing::Own(Way::Forward) => match capture(tenant, &path, &live, &planned, &resource).await {
                Err(error) if is_stale(&error) => live = tenant.get(&path).await.map_err(ArmError::Call)?,
                captured => return captured.map_err(ArmError::Call),
            },
            Standing::Missing => {
                live = match tenant.patch(&path, &stamp(&live, &forward)).await {
                    Ok(stamped) => stamped,
                    Err(error) if is_stale(&error) => tenant.get(&path).await.map_err(ArmError::Call)?,
                    Err(error) => return Err(ArmError::Call(error)),
                };
            }
            Standing::Own(_) | Standing::Older(_) | Standing::Newer(_) | Standing::Foreign(_) => break,
        }
    }
    Err(ArmError::Restless { what: target.to_string() })
}

async fn capture(
    tenant: &Tenant,
    path: &str,
    live: &Value,
    all: &[Planned<'_>],
    resource: &str,
) -> Result<BTreeMap<String, Preimage>, CallError> {
    let mut captured = BTreeMap::new();
    for (position, planned) in all.iter().enumerate() {
        let preimage = match planned.capture(tenant, path, live, resource).await {
            // What an earlier step will have made of it nobody can know by day: its intention says.
            Err(error) if is_stale(&error) && follows_a_step(all, position) && is_of(tenant, path, live).await? => {
                step_preimage(live, resource, Vec::new())
            }
            other => other?,
        };
        captured.insert(planned.key.clone(), preimage);
    }
    Ok(captured)
}

/// The object is still at the revision that was looked at.
async fn is_of(tenant: &Tenant, path: &str, live: &Value) -> Result<bool, CallError> {
    let now = tenant.get(path).await?;
    Ok(text(&now, &["metadata", "resourceVersion"]) == text(live, &["metadata", "resourceVersion"]))
}

/// Creates the Job, or finds it made by an arming that was interrupted.
async fn create_job(tenant: &Tenant, plan: &Plan, job: &Value) -> Result<Value, ArmError> {
    let collection = path("batch/v1", &tenant.namespace, "jobs", "");
    let name = text(job, &["metadata", "name"]);
    // What may have been created is looked for, and not sent again.
    let unknown = match tenant.create(&collection, job).await {
        Err(error) if error.answer() == Some(Answer::AlreadyExists) => None,
        Err(error) if error.is_unknown() => Some(error),
        Err(error) => {
            return Err(problem(error).map_or_else(|error| error, |problem| ArmError::Impossible { problems: vec![problem] }));
        }
        Ok(stored) => return Ok(stored),
    };
    let found = tenant.get(&path("batch/v1", &tenant.namespace, "jobs", name)).await;
    let found = found.map_err(|error| ArmError::Call(unknown.unwrap_or(error)))?;
    let same = annotated(&found, marks::MADE_AS) == annotated(job, marks::MADE_AS) && is_ready(&found, plan);
    if same {
        return Ok(found);
    }
    let problem = format!("Job {}/{name} is there already and is not the one this night makes: delete it", tenant.namespace);
    Err(ArmError::Impossible { problems: vec![problem] })
}

/// It is this night's, cannot run yet, and never ran.
fn is_ready(job: &Value, plan: &Plan) -> bool {
    text(job, &["metadata", "labels", marks::NIGHT]) == plan.uid
        && Standing::of(job, &plan.uid, Epoch::OPERATOR) == Standing::Own(Way::Forward)
        && annotated(job, marks::RELEASED) == Some("false")
        && is_suspended(job)
}

/// Every token and every Job, once more, with fresh eyes.
async fn read_back(tenant: &Tenant, plan: &Plan, frozen: &Preimages) -> Result<(), ArmError> {
    let mut seen: BTreeSet<&Target> = BTreeSet::new();
    for planned in planned(plan) {
        let restless = || ArmError::Restless { what: planned.target.to_string() };
        let captured = frozen.targets.get(&planned.key).ok_or_else(restless)?;
        if !seen.insert(planned.target) {
            continue;
        }
        let live = match tenant.get(&target_path(planned.target, &captured.resource)).await {
            Err(error) if captured.is_absent() && error.answer() == Some(Answer::NotFound) => continue,
            other => other.map_err(ArmError::Call)?,
        };
        let stands = Standing::of(&live, &plan.uid, tenant.epoch) == Standing::Own(Way::Forward);
        if !stands || text(&live, &["metadata", "uid"]) != captured.uid {
            return Err(restless());
        }
    }
    let collection = path("batch/v1", &tenant.namespace, "jobs", "");
    let found = tenant.list(&collection, marks::NIGHT, &plan.uid).await.map_err(ArmError::Call)?;
    for (name, uid) in &frozen.jobs {
        let ready = |job: &&Value| text(job, &["metadata", "uid"]) == uid && is_ready(job, plan);
        if !found.iter().any(|job| ready(&job)) {
            return Err(ArmError::Restless { what: format!("Job {}/{name}", tenant.namespace) });
        }
    }
    let missing = super::names::job_names(plan).into_iter().find(|(_, name)| !frozen.jobs.contains_key(name));
    missing.map_or(Ok(()), |(key, _): (JobKey, String)| Err(ArmError::Restless { what: format!("the Job of {key}") }))
}
