//! Looks at the cluster and says what is known.
//!
//! In: plan, pre-images, what is of interest. Out: [`Seen`], the facts for the engine. Invariants: one quorum LIST of Jobs, then one of
//! Pods, so that a burn seen is older than the Pods seen; what cannot be read is left out, never guessed, and holds nothing else.
//! Not here: probes, orders, and what follows from the facts.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::engine::facts::{Burned, ClosingFact, JobEnd, JobFact, ServiceFact, TokenFact};
use crate::engine::{Interest, JobKey};
use crate::model::plan::{Plan, ServiceIndex};

use super::call::{Advice, CallError, LIMIT};
use super::marks;
use super::names::job_names;
use super::operations::{annotated, at, text};
use super::perform::PerformError;
use super::pods::{all, belongs, is_held};
use super::preimages::{Preimages, key};
use super::targets::spots;
use super::tenant::{Tenant, path};
use super::token::Standing;
use super::work::{NEVER_STARTED, is_suspended};

/// How many services are looked at at once.
const AT_ONCE_MAX: usize = 16;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// All Jobs of the night, when they were looked at and could be read.
    pub jobs: BTreeMap<JobKey, JobFact>,
    /// The services that were looked at and could be read.
    pub services: BTreeMap<ServiceIndex, ServiceFact>,
    /// What could not be read, and why.
    pub blind: Vec<PerformError>,
}

/// Looks, for two limits of a call at most. `preimages` are those of arming as intentions renewed them.
pub async fn observe(tenant: &Tenant, plan: &Plan, preimages: &Preimages, interest: &Interest) -> Seen {
    let mut seen = Seen::default();
    let until = Instant::now() + 2 * LIMIT;
    let looking = async { if interest.jobs { Some(jobs(tenant, plan, preimages).await) } else { None } };
    let services = interest.targets.clone().into_iter().map(|index| async move {
        let fact = timeout_at(until, service(tenant, plan, preimages, index)).await;
        (index, fact.unwrap_or_else(|_| Err(not_looked_at(plan, index))))
    });
    let services = futures::stream::iter(services).buffered(AT_ONCE_MAX).collect::<Vec<_>>();
    let (jobs, services) = tokio::join!(looking, services);
    match jobs {
        None => {}
        Some(Ok(jobs)) => seen.jobs = jobs,
        Some(Err(error)) => seen.blind.push(PerformError::of("the Jobs of the night", error)),
    }
    for (index, fact) in services {
        match fact {
            Ok(fact) => drop(seen.services.insert(index, fact)),
            Err(error) => seen.blind.push(error),
        }
    }
    seen
}

/// When the API server is slow, looking at every target in turn would take longer than the night has.
fn not_looked_at(plan: &Plan, index: ServiceIndex) -> PerformError {
    let what = plan.services.get(index).map(|service| service.id.to_string()).unwrap_or_default();
    let source = CallError::Timeout { what: format!("looking at {what}"), limit: 2 * LIMIT };
    PerformError::Unreached { what, source }
}

async fn jobs(tenant: &Tenant, plan: &Plan, preimages: &Preimages) -> Result<BTreeMap<JobKey, JobFact>, CallError> {
    let collection = |api_version, resource| path(api_version, &tenant.namespace, resource, "");
    let jobs = tenant.list(&collection("batch/v1", "jobs"), marks::NIGHT, &plan.uid).await?;
    let pods = tenant.list(&collection("v1", "pods"), marks::NIGHT, &plan.uid).await?;
    let fact = |(key, name): (JobKey, String)| {
        let uid = preimages.jobs.get(&name).map(String::as_str).unwrap_or_default();
        let same = |job: &&Value| text(job, &["metadata", "name"]) == name && text(job, &["metadata", "uid"]) == uid;
        let own: Vec<&Value> = pods.iter().filter(|pod| belongs(pod, &name, uid)).collect();
        (key, job_fact(plan, jobs.iter().find(same), &own))
    };
    Ok(job_names(plan).into_iter().map(fact).collect())
}

/// One Job, as its object and its Pods show it. A Job made anew under its name is not it.
fn job_fact(plan: &Plan, job: Option<&Value>, pods: &[&Value]) -> JobFact {
    let held = pods.iter().any(|pod| is_held(pod));
    let known = all(pods, job.and_then(|job| job.get("status")));
    let Some(job) = job else {
        let end = Some(JobEnd::Vanished);
        return JobFact { token: TokenFact::Missing, burned: None, burned_at: None, suspended: false, end, pods: known, held };
    };
    let token = Standing::of(job, &plan.uid).fact();
    let burned = match annotated(job, marks::BURNED) {
        Some(NEVER_STARTED) => Burned::NeverStarted,
        Some(_) | None => Burned::Started,
    };
    JobFact {
        token,
        burned: (token == TokenFact::Expired).then_some(burned),
        burned_at: annotated(job, marks::BURNED_AT).and_then(|at| at.parse::<Timestamp>().ok()),
        suspended: is_suspended(job),
        end: job_end(job),
        pods: known,
        held,
    }
}

fn job_end(job: &Value) -> Option<JobEnd> {
    let conditions = at(job, &["status", "conditions"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let holds = |kind: &str| conditions.iter().find(|one| text(one, &["type"]) == kind && text(one, &["status"]) == "True");
    if holds("Complete").is_some() {
        return Some(JobEnd::Complete);
    }
    let failed = holds("Failed")?;
    let reason = [text(failed, &["reason"]), text(failed, &["message"])];
    let reason = reason.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    Some(JobEnd::Failed { reason })
}

async fn service(tenant: &Tenant, plan: &Plan, preimages: &Preimages, index: ServiceIndex) -> Result<ServiceFact, PerformError> {
    let mut fact = ServiceFact { burned: true, restored: true, closing: ClosingFact::Closed, ..ServiceFact::default() };
    let planned = plan.services.get(index);
    // Collected: an iterator of closures that lives across an await makes the future not Send.
    let closings = planned.into_iter().flat_map(|service| service.close.iter().map(move |closing| key(service, closing)));
    let closings: Vec<String> = closings.collect();
    for (key, spot) in closings.into_iter().zip(spots(tenant, plan, preimages, index)) {
        let look = match spot?.look().await {
            Ok(look) => look,
            Err(error) if matches!(error.advice(), Advice::TellAPerson) => {
                fact = ServiceFact { burned: false, restored: false, ..fact };
                fact.closing = ClosingFact::Refused { reason: error.story() };
                continue;
            }
            Err(error) => return Err(PerformError::of(&key, error)),
        };
        fact.burned &= look.burned;
        fact.restored &= look.restored;
        fact.preimages.extend(look.preimage.map(|preimage| (key, preimage)));
        fact.closing = worse(fact.closing, look.closing);
    }
    Ok(fact)
}

/// A refusal tells more than an open target, an open one more than one that drains.
fn worse(one: ClosingFact, other: ClosingFact) -> ClosingFact {
    let rank = |fact: &ClosingFact| match fact {
        ClosingFact::Closed => 0,
        ClosingFact::Draining => 1,
        ClosingFact::Open => 2,
        ClosingFact::Refused { .. } => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
