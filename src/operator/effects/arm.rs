//! Arming: everything that has to stand before the night (PROTOCOL rules 1, 11, 12, 15).
//!
//! In: an accepted plan. Out: [`Preimages`], once every stamp was acknowledged and read back. Invariants: nothing is written before every
//! problem was looked for, and all problems are told at once; a pre-image is of the very revision that was stamped; repeated after an
//! interruption anywhere, it ends the same. Never called once the night is armed. Not here: the event `armed` (the caller appends it).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::engine::JobKey;
use crate::engine::state::jobs;
use crate::model::action::Template;
use crate::model::plan::Plan;
use crate::model::reference::Target;
use crate::model::service::Closing;

use super::call::{Advice, Answer, CallError};
use super::capture::{Preimage, changes, close_patch, common, is_closed, preimage, untouchable};
use super::jobs::{make, source};
use super::ledger::{self, LedgerError};
use super::marks;
use super::operations::{annotated, text};
use super::perform::ATTEMPTS_MAX;
use super::preimages::{Preimages, key};
use super::targets::{closings, stamp, target_path};
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

/// An object that is to be claimed, with everything that is to be done to it tonight.
struct Claim<'a> {
    target: &'a Target,
    closings: Vec<(String, &'a Closing)>,
    resource: String,
    live: Value,
    /// As it will be once the token stands on it.
    stamped: Value,
}

/// Captures, stamps, creates, freezes, reads back.
///
/// # Errors
/// [`ArmError::Impossible`] names every problem found; the others are of the moment.
pub async fn arm(tenant: &Tenant, plan: &Plan) -> Result<Preimages, ArmError> {
    let frozen = ledger::frozen(tenant, plan).await.map_err(ArmError::Ledger)?;
    let mut problems = Vec::new();
    let claims = survey(tenant, plan, &mut problems).await?;
    let made = make_jobs(tenant, plan, &mut problems).await?;
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

/// A failed call is a problem of the plan or of the moment.
fn problem(error: CallError) -> Result<String, ArmError> {
    match error.advice() {
        Advice::RetryNow | Advice::RetryLater => Err(ArmError::Call(error)),
        Advice::OnChange | Advice::TellAPerson => Ok(error.story()),
    }
}

async fn survey<'a>(tenant: &Tenant, plan: &'a Plan, problems: &mut Vec<String>) -> Result<Vec<Claim<'a>>, ArmError> {
    let mut by_target: BTreeMap<&Target, Vec<(String, &Closing)>> = BTreeMap::new();
    for (_, service, closing) in closings(plan) {
        by_target.entry(&closing.target).or_default().push((key(service, closing), closing));
    }
    let mut claims = Vec::new();
    for (target, closings) in by_target {
        match look_at(tenant, plan, target, closings).await? {
            Ok(claim) => claims.push(claim),
            Err(found) => problems.extend(found),
        }
    }
    Ok(claims)
}

async fn look_at<'a>(
    tenant: &Tenant,
    plan: &Plan,
    target: &'a Target,
    closings: Vec<(String, &'a Closing)>,
) -> Result<Result<Claim<'a>, Vec<String>>, ArmError> {
    if target.kind == "Secret" {
        return Ok(Err(vec![format!("{target}: a Secret is not a target")]));
    }
    let kind = match tenant.kind(&target.api_version, &target.kind).await {
        Ok(Some(kind)) if kind.namespaced => kind,
        Ok(Some(_)) => return Ok(Err(vec![format!("{target}: objects outside namespaces are not targets")])),
        Ok(None) => return Ok(Err(vec![format!("{target}: {} {} is not served here", target.api_version, target.kind)])),
        Err(error) => return problem(error).map(|problem| Err(vec![format!("{target}: {problem}")])),
    };
    let path = target_path(target, &kind.resource);
    for _ in 0..ATTEMPTS_MAX {
        let live = match tenant.get(&path).await {
            Ok(live) => live,
            Err(error) => return problem(error).map(|problem| Err(vec![format!("{target}: {problem}")])),
        };
        let stamped = with_token(&live, &Token::own(&plan.uid, Way::Forward).to_string());
        let claim = Claim { target, closings: closings.clone(), resource: kind.resource.clone(), live, stamped };
        let mut problems: Vec<String> = claimable(&claim, plan).err().into_iter().collect();
        problems.extend(unfit(&claim));
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        match rehearse(tenant, plan, &claim, &path).await? {
            Rehearsal::Fine => return Ok(Ok(claim)),
            Rehearsal::Refused(reason) => return Ok(Err(vec![reason])),
            Rehearsal::Moved => {}
        }
    }
    Err(ArmError::Restless { what: target.to_string() })
}

fn with_token(live: &Value, token: &str) -> Value {
    let mut stamped = live.clone();
    if let Some(metadata) = stamped.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert(Value::Null);
        if !annotations.is_object() {
            *annotations = Value::Object(Map::new());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(marks::TOKEN.to_owned(), token.into());
        }
    }
    stamped
}

/// Whether the object is free, or ours already.
fn claimable(claim: &Claim, plan: &Plan) -> Result<(), String> {
    let target = claim.target;
    let clear = || {
        let Target { kind, namespace, name, .. } = target;
        format!("when that night is over: kubectl -n {namespace} annotate {} {name} {}-", kind.to_lowercase(), marks::TOKEN)
    };
    match Standing::of(&claim.live, &plan.uid) {
        Standing::Missing | Standing::Own(Way::Forward) => Ok(()),
        Standing::Own(way) => Err(format!("{target}: its token already says {}", way.as_str())),
        Standing::Newer(token) => Err(format!("{target}: epoch {} has taken this night over", token.epoch)),
        Standing::Foreign(token) => Err(format!("{target}: the night {} has claimed it; {}", token.night, clear())),
    }
}

/// What the closings of one object may not do.
fn unfit(claim: &Claim) -> Vec<String> {
    let target = claim.target;
    let mut problems = Vec::new();
    for (key, closing) in &claim.closings {
        let found = changes(&claim.stamped, &closing.change);
        let forbidden = untouchable(&found);
        problems.extend(forbidden.iter().map(|pointer| format!("{target}: {key} may not change {pointer}")));
    }
    let captured: Vec<(&String, Preimage)> =
        claim.closings.iter().map(|(key, closing)| (key, preimage(&claim.stamped, "", &closing.change))).collect();
    for (position, (key, one)) in captured.iter().enumerate() {
        let clash = |(other, another): &(&String, Preimage)| {
            common(one, another).map(|pointer| format!("{target}: {key} and {other} both change {pointer}; make them one"))
        };
        problems.extend(captured.iter().take(position).filter_map(clash));
    }
    problems
}

enum Rehearsal {
    Fine,
    Refused(String),
    /// The object changed meanwhile.
    Moved,
}

/// Lets the API server try, by day and without storing anything, what closing would do.
async fn rehearse(tenant: &Tenant, plan: &Plan, claim: &Claim<'_>, path: &str) -> Result<Rehearsal, ArmError> {
    let forward = Token::own(&plan.uid, Way::Forward).to_string();
    let uid = text(&claim.live, &["metadata", "uid"]);
    let mut patch = stamp(&claim.live, &forward);
    for (_, closing) in &claim.closings {
        patch.extend(close_patch(&claim.stamped, uid, &forward, &changes(&claim.stamped, &closing.change)));
    }
    let error = match tenant.try_patch(path, &patch).await {
        Ok(closed) => {
            let open = claim.closings.iter().find(|(_, closing)| !is_closed(&closed, &closing.change));
            return Ok(open.map_or(Rehearsal::Fine, |(key, _)| {
                Rehearsal::Refused(format!("{}: the API server would not keep what {key} writes", claim.target))
            }));
        }
        Err(error) => error,
    };
    // Admission webhooks with side effects refuse every rehearsal: nothing is learnt from that.
    let webhook = error.answer() == Some(Answer::Other) && error.story().contains("dry run");
    if webhook {
        return Ok(Rehearsal::Fine);
    }
    let reason = problem(error)?;
    match tenant.get(path).await {
        Ok(now) if text(&now, &["metadata", "resourceVersion"]) != text(&claim.live, &["metadata", "resourceVersion"]) => {
            Ok(Rehearsal::Moved)
        }
        Ok(_) => Ok(Rehearsal::Refused(format!("{}: closing it would fail: {reason}", claim.target))),
        Err(error) => problem(error).map(Rehearsal::Refused),
    }
}

fn recreated(claim: &Claim, frozen: &Preimages) -> Option<String> {
    let uid = text(&claim.live, &["metadata", "uid"]);
    let other = claim.closings.iter().filter_map(|(key, _)| frozen.targets.get(key)).any(|preimage| preimage.uid != uid);
    other.then(|| format!("{}: it was deleted and made anew since its pre-image was frozen", claim.target))
}

async fn make_jobs(tenant: &Tenant, plan: &Plan, problems: &mut Vec<String>) -> Result<Vec<Value>, ArmError> {
    let mut cron_jobs: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    let mut made = Vec::new();
    for job in jobs(plan) {
        let Some(source) = source(plan, job) else { continue };
        let cron_job = match &source.template {
            Template::Inline(template) => Some(json!({"spec": {"suspend": true, "jobTemplate": template}})),
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
    let Claim { target, closings, resource, mut live, .. } = claim;
    let path = target_path(target, &resource);
    let forward = Token::own(&plan.uid, Way::Forward).to_string();
    for _ in 0..ATTEMPTS_MAX {
        match Standing::of(&live, &plan.uid) {
            Standing::Own(Way::Forward) => {
                let captured = |(key, closing): (String, &Closing)| (key, preimage(&live, &resource, &closing.change));
                return Ok(closings.into_iter().map(captured).collect());
            }
            Standing::Missing => {}
            Standing::Own(_) | Standing::Newer(_) | Standing::Foreign(_) => break,
        }
        live = match tenant.patch(&path, &stamp(&live, &forward)).await {
            Ok(stamped) => stamped,
            Err(error) if matches!(error.answer(), Some(Answer::Invalid | Answer::Conflict)) => {
                tenant.get(&path).await.map_err(ArmError::Call)?
            }
            Err(error) => return Err(ArmError::Call(error)),
        };
    }
    Err(ArmError::Restless { what: target.to_string() })
}

/// Creates the Job, or finds it made by an arming that was interrupted.
async fn create_job(tenant: &Tenant, plan: &Plan, job: &Value) -> Result<Value, ArmError> {
    let collection = path("batch/v1", &tenant.namespace, "jobs", "");
    let name = text(job, &["metadata", "name"]);
    match tenant.create(&collection, job).await {
        Err(error) if error.answer() == Some(Answer::AlreadyExists) => {}
        Err(error) => {
            return Err(problem(error).map_or_else(|error| error, |problem| ArmError::Impossible { problems: vec![problem] }));
        }
        Ok(stored) => return Ok(stored),
    }
    let found = tenant.get(&path("batch/v1", &tenant.namespace, "jobs", name)).await.map_err(ArmError::Call)?;
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
        && Standing::of(job, &plan.uid) == Standing::Own(Way::Forward)
        && annotated(job, marks::RELEASED) == Some("false")
        && is_suspended(job)
}

/// Every token and every Job, once more, with fresh eyes.
async fn read_back(tenant: &Tenant, plan: &Plan, frozen: &Preimages) -> Result<(), ArmError> {
    let mut seen: BTreeSet<&Target> = BTreeSet::new();
    for (_, service, closing) in closings(plan) {
        let restless = || ArmError::Restless { what: closing.target.to_string() };
        let captured = frozen.targets.get(&key(service, closing)).ok_or_else(restless)?;
        if !seen.insert(&closing.target) {
            continue;
        }
        let live = tenant.get(&target_path(&closing.target, &captured.resource)).await.map_err(ArmError::Call)?;
        let stands = Standing::of(&live, &plan.uid) == Standing::Own(Way::Forward);
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
