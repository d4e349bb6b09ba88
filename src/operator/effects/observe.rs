//! Looks at the cluster and says what is known.
//!
//! In: plan, pre-images, what is of interest. Out: [`Seen`], the facts for the engine. Invariants: one quorum LIST of Jobs, then one of
//! Pods, so that a burn seen is older than the Pods seen; what cannot be read is left out, never guessed, and holds nothing else.
//! Not here: probes, orders, and what follows from the facts.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::engine::facts::{Burned, ChangeFact, ClosingFact, JobEnd, JobFact, ServiceFact, TokenFact};
use crate::engine::{Interest, JobKey};
use crate::model::epoch::Epoch;
use crate::model::plan::{Plan, ServiceIndex, StepIndex};
use crate::model::reference::Target;

use super::call::{Advice, CallError, LIMIT};
use super::look::Look;
use super::marks;
use super::names::job_names;
use super::operations::{annotated, text};
use super::perform::PerformError;
use super::pods::{all, belongs, is_held};
use super::preimages::Preimages;
use super::spots::{degraded_spots, spots, step_spot};
use super::tenant::{Tenant, path};
use super::token::Standing;
use super::work::{COMPLETED, NEVER_STARTED, is_suspended, job_end};

/// How many services are looked at at once.
const AT_ONCE_MAX: usize = 16;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// All Jobs of the night, when they were looked at and could be read.
    pub jobs: BTreeMap<JobKey, JobFact>,
    /// The services that were looked at and could be read.
    pub services: BTreeMap<ServiceIndex, ServiceFact>,
    /// The objects of steps that were looked at and could be read.
    pub changes: BTreeMap<StepIndex, ChangeFact>,
    /// What could not be read, and why.
    pub blind: Vec<PerformError>,
}

/// Looks, for two limits of a call at most. `preimages` are those of arming as intentions renewed them; `now` is API-server time.
pub async fn observe(tenant: &Tenant, plan: &Plan, preimages: &Preimages, now: Timestamp, interest: &Interest) -> Seen {
    let mut seen = Seen::default();
    let until = Instant::now() + 2 * LIMIT;
    let looking = async { if interest.jobs { Some(jobs(tenant, plan, preimages).await) } else { None } };
    let services = interest.targets.clone().into_iter().map(|index| async move {
        let degraded = interest.degraded.contains(&index);
        let fact = timeout_at(until, service(tenant, plan, preimages, now, index, degraded)).await;
        (index, fact.unwrap_or_else(|_| Err(not_looked_at(plan, index))))
    });
    let services = futures::stream::iter(services).buffered(AT_ONCE_MAX).collect::<Vec<_>>();
    let changes = changes(tenant, plan, preimages, now, &interest.changes);
    let (jobs, services, changes) = tokio::join!(looking, services, changes);
    for (step, fact) in changes {
        match fact {
            Ok(fact) => drop(seen.changes.insert(step, fact)),
            Err(error) => seen.blind.push(error),
        }
    }
    match jobs {
        None => {}
        Some(Ok(jobs)) => seen.jobs = jobs,
        Some(Err(error)) => seen.blind.push(PerformError::of("the Jobs of the night", error)),
    }
    for (index, fact) in services {
        match fact {
            Ok((fact, unread)) => {
                seen.services.insert(index, fact);
                seen.blind.extend(unread);
            }
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
        (key, job_fact(plan, tenant.epoch, jobs.iter().find(same), &own))
    };
    Ok(job_names(plan).into_iter().map(fact).collect())
}

/// One Job, as its object and its Pods show it. A Job made anew under its name is not it.
fn job_fact(plan: &Plan, epoch: Epoch, job: Option<&Value>, pods: &[&Value]) -> JobFact {
    let held = pods.iter().any(|pod| is_held(pod));
    let known = all(pods, job.and_then(|job| job.get("status")));
    let Some(job) = job else {
        let end = Some(JobEnd::Vanished);
        return JobFact { token: TokenFact::Missing, burned: None, burned_at: None, suspended: false, end, pods: known, held };
    };
    let token = Standing::of(job, &plan.uid, epoch).fact();
    let burned = match annotated(job, marks::BURNED) {
        Some(NEVER_STARTED) => Burned::NeverStarted,
        Some(COMPLETED) => Burned::Completed,
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

/// Each object is read once, whatever steps change it: what is said of one step must not be older than what is said of another.
async fn changes(
    tenant: &Tenant,
    plan: &Plan,
    preimages: &Preimages,
    now: Timestamp,
    steps: &BTreeSet<StepIndex>,
) -> Vec<(StepIndex, Result<ChangeFact, PerformError>)> {
    let mut by_target: BTreeMap<&Target, Vec<StepIndex>> = BTreeMap::new();
    for &step in steps {
        if let Some(target) = plan.steps.get(step).and_then(|planned| planned.target()) {
            by_target.entry(target).or_default().push(step);
        }
    }
    let since = Instant::now();
    let looks = by_target.into_values().map(|steps| async move {
        let mut facts = Vec::new();
        let mut live = None;
        for step in steps {
            let fact = if since.elapsed() < LIMIT {
                change(tenant, plan, preimages, now, step, &mut live).await
            } else {
                Err(late(step))
            };
            facts.push((step, fact));
        }
        facts
    });
    futures::stream::iter(looks).buffered(AT_ONCE_MAX).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

fn late(step: StepIndex) -> PerformError {
    let what = format!("the object of step {step}");
    PerformError::Unreached { source: CallError::Timeout { what: format!("looking at {what}"), limit: LIMIT }, what }
}

/// An object as it was read; none when it is not there.
struct Read(Option<Value>);

/// `read` is the object as it was read for an earlier step.
async fn change(
    tenant: &Tenant,
    plan: &Plan,
    preimages: &Preimages,
    now: Timestamp,
    step: StepIndex,
    read: &mut Option<Read>,
) -> Result<ChangeFact, PerformError> {
    let spot = step_spot(tenant, plan, preimages, step)?;
    let look = async {
        let live = match read.take() {
            Some(Read(live)) => live,
            None => spot.read().await?,
        };
        let look = spot.look(live.as_ref(), now).await;
        *read = Some(Read(live));
        look
    };
    let Look { closing, burned, expired, restored, lost, preimage } = match look.await {
        Ok(look) => look,
        Err(error) if matches!(error.advice(), Advice::TellAPerson) => {
            return Ok(ChangeFact { change: ClosingFact::Refused { reason: error.story() }, ..ChangeFact::default() });
        }
        Err(error) => return Err(PerformError::of(&spot.what(), error)),
    };
    let preimages = preimage.map(|preimage| (spot.planned.key.clone(), preimage)).into_iter().collect();
    Ok(ChangeFact { change: closing, burned, expired, restored, cannot_restore: lost, preimages })
}

/// What its closings show, and why it could not be seen whether what it declared stands.
async fn service(
    tenant: &Tenant,
    plan: &Plan,
    preimages: &Preimages,
    now: Timestamp,
    index: ServiceIndex,
    is_degraded_wanted: bool,
) -> Result<(ServiceFact, Option<PerformError>), PerformError> {
    let mut fact = ServiceFact { burned: true, restored: true, closing: ClosingFact::Closed, ..ServiceFact::default() };
    for spot in spots(tenant, plan, preimages, index) {
        let spot = spot?;
        let look = async { spot.look(spot.read().await?.as_ref(), now).await };
        let look = match look.await {
            Ok(look) => look,
            Err(error) if matches!(error.advice(), Advice::TellAPerson) => {
                fact = ServiceFact { burned: false, restored: false, ..fact };
                fact.closing = ClosingFact::Refused { reason: error.story() };
                continue;
            }
            Err(error) => return Err(PerformError::of(&spot.planned.key, error)),
        };
        fact.burned &= look.burned;
        fact.restored &= look.restored;
        fact.preimages.extend(look.preimage.map(|preimage| (spot.planned.key.clone(), preimage)));
        fact.closing = worse(fact.closing, look.closing);
    }
    if is_degraded_wanted {
        match degraded(tenant, plan, preimages, index).await {
            Ok(degraded) => fact.degraded = degraded,
            Err(error) if error.is_for_good() => fact.degraded = ClosingFact::Refused { reason: error.to_string() },
            Err(error) => return Ok((fact, Some(error))),
        }
    }
    Ok((fact, None))
}

/// Whether what it declared for half-done work stands.
async fn degraded(tenant: &Tenant, plan: &Plan, preimages: &Preimages, index: ServiceIndex) -> Result<ClosingFact, PerformError> {
    for spot in degraded_spots(tenant, plan, preimages, index) {
        let spot = spot?;
        if !spot.live().await?.is_some_and(|live| spot.is_degraded(&live)) {
            return Ok(ClosingFact::Open);
        }
    }
    Ok(ClosingFact::Closed)
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
