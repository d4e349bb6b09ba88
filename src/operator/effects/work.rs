//! What is written to the Jobs of a night (PROTOCOL rules 3–5, 11, 13).
//!
//! In: plan, pre-images, a Job's key. Out: writes. Invariants: a Job is let run at most once, by a write that tests UID, exact token, that
//! it is suspended and that it was never released; a stop is a burn; the burn itself records what it proves. Not here: when (the engine).

use jiff::Timestamp;
use serde_json::Value;

use crate::engine::facts::JobEnd;
use crate::engine::{BurnTo, JobKey};
use crate::model::epoch::Epoch;
use crate::model::plan::Plan;

use super::call::{Answer, CallError, cut};
use super::jobs::release_way;
use super::ledger::release_patch;
use super::marks;
use super::names::job_names;
use super::operations::{add, annotate, annotated, annotation, at, replace, test, text, token};
use super::perform::{ATTEMPTS_MAX, Fence, PerformError};
use super::pods::{Sight, belongs, is_held, sight};
use super::preimages::Preimages;
use super::tenant::{Tenant, path};
use super::token::{Standing, Token, Way};

/// What the burn of a Job proves, in [`marks::BURNED`].
pub(super) const NEVER_STARTED: &str = "never-started";
/// The other proof.
pub(super) const STARTED: &str = "started";
/// The third: what it was started for was done before anybody stopped it.
pub(super) const COMPLETED: &str = "completed";

/// One Job of the night.
pub(super) struct Work<'a> {
    tenant: &'a Tenant,
    night: &'a str,
    key: JobKey,
    name: String,
    uid: &'a str,
}

impl<'a> Work<'a> {
    pub(super) fn of(tenant: &'a Tenant, plan: &'a Plan, preimages: &'a Preimages, key: JobKey) -> Result<Self, PerformError> {
        let name = job_names(plan).remove(&key);
        let name =
            name.ok_or_else(|| PerformError::Refused { what: key.to_string(), reason: "the plan has no such Job".to_owned() })?;
        let uid = preimages.jobs.get(&name).map(String::as_str).unwrap_or_default();
        Ok(Self { tenant, night: &plan.uid, key, name, uid })
    }

    fn what(&self) -> String {
        format!("Job {}/{}", self.tenant.namespace, self.name)
    }

    fn refused(&self, reason: impl Into<String>) -> PerformError {
        PerformError::Refused { what: self.what(), reason: reason.into() }
    }

    fn path(&self) -> String {
        path("batch/v1", &self.tenant.namespace, "jobs", &self.name)
    }

    fn own(&self, way: Way) -> String {
        Token::of(self.night, self.tenant.epoch, way).to_string()
    }

    fn standing(&self, live: &Value) -> Standing {
        Standing::of(live, self.night, self.tenant.epoch)
    }

    async fn live(&self) -> Result<Option<Value>, PerformError> {
        match self.tenant.get(&self.path()).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => Ok(None),
            other => other.map(Some).map_err(|error| PerformError::of(&self.what(), error)),
        }
    }

    /// Lets the Job run.
    pub(super) async fn release(&self, fence: &Fence) -> Result<u32, PerformError> {
        let patch = [
            test("/metadata/uid", self.uid),
            test(&token(), self.own(release_way(self.key))),
            test("/spec/suspend", true),
            test(&annotation(marks::RELEASED), "false"),
            replace(&annotation(marks::RELEASED), "true"),
            replace("/spec/suspend", false),
        ];
        fence.check(&self.what())?;
        let error = match self.tenant.patch(&self.path(), &patch).await {
            Ok(_) => return Ok(1),
            Err(error) if is_stale(&error) => error,
            Err(error) => return Err(PerformError::of(&self.what(), error)),
        };
        let live = self.live().await?.ok_or_else(|| self.refused("it is not there any more"))?;
        self.why_not_released(&live, &error).map(|()| 0)
    }

    fn why_not_released(&self, live: &Value, error: &CallError) -> Result<(), PerformError> {
        let way = release_way(self.key);
        match self.standing(live) {
            Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
            Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
            Standing::Older(_) => {
                return Err(self.refused("its token is of an epoch that was deposed, and is to be burned first"));
            }
            Standing::Missing => return Err(self.refused("its token is gone")),
            Standing::Own(found) if found != way => {
                return Err(self.refused(format!("its token says {}, not {}", found.as_str(), way.as_str())));
            }
            Standing::Own(_) => {}
        }
        if text(live, &["metadata", "uid"]) != self.uid {
            return Err(self.refused("it was deleted and made anew since arming"));
        }
        match (annotated(live, marks::RELEASED), is_suspended(live)) {
            (Some("true"), false) => Ok(()),
            (Some("true"), true) => {
                Err(self.refused("it was released once and then suspended by somebody else; it never runs twice"))
            }
            (Some("false"), false) => Err(self.refused("it runs although nobody released it")),
            (Some("false"), true) if error.answer() == Some(Answer::Conflict) => {
                Err(PerformError::Restless { what: self.what() })
            }
            (Some("false"), true) => Err(self.refused(error.story())),
            (_, _) => Err(self.refused(format!("its annotation {} is gone", marks::RELEASED))),
        }
    }

    /// Takes the right to act from the Job.
    pub(super) async fn burn(&self, to: BurnTo, now: Timestamp) -> Result<u32, PerformError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(live) = self.live().await? else { return Ok(0) };
            let guard = match self.standing(&live) {
                Standing::Own(Way::Back | Way::Expired) if to == BurnTo::Back => return Ok(0),
                Standing::Own(Way::Expired) | Standing::Older(Token { way: Way::Expired, .. }) if is_suspended(&live) => {
                    return Ok(0);
                }
                Standing::Own(way) => test(&token(), self.own(way)),
                Standing::Older(older) => test(&token(), older.to_string()),
                Standing::Missing => test("/metadata/resourceVersion", text(&live, &["metadata", "resourceVersion"])),
                Standing::Newer(token) => return Err(PerformError::Deposed { what: self.what(), epoch: token.epoch }),
                Standing::Foreign(token) => return Err(PerformError::Claimed { what: self.what(), night: token.night }),
            };
            let patch = match to {
                BurnTo::Expired => self.expiring(&live, guard, now),
                BurnTo::Back if is_suspended(&live) || is_handed_on(&live, self.night, self.tenant.epoch) => {
                    self.turning(&live, guard)
                }
                BurnTo::Back => return Err(self.refused("it runs although nobody released it")),
            };
            match self.tenant.patch(&self.path(), &patch).await {
                Ok(_) => return Ok(1),
                Err(error) if error.answer() == Some(Answer::NotFound) => return Ok(0),
                Err(error) if is_stale(&error) => {}
                Err(error) => return Err(PerformError::of(&self.what(), error)),
            }
        }
        Err(PerformError::Restless { what: self.what() })
    }

    /// Whether its burn would be taken, as a dry run.
    pub(super) async fn try_burn(&self, now: Timestamp) -> Result<(), PerformError> {
        let Some(live) = self.live().await? else { return Err(self.refused("it is not there")) };
        let guard = test("/metadata/resourceVersion", text(&live, &["metadata", "resourceVersion"]));
        let patch = self.expiring(&live, guard, now);
        self.tenant.try_patch(&self.path(), &patch).await.map(drop).map_err(|error| PerformError::of(&self.what(), error))
    }

    /// Stops the Job for good. That it is suspended and was never released, tested by the same patch, proves that it never started. That it
    /// was complete when nobody had stopped it yet, which nothing can take back, proves that it did what it was for (PROTOCOL rule 14).
    fn expiring(&self, live: &Value, guard: Value, now: Timestamp) -> Vec<Value> {
        let never = is_suspended(live)
            && annotated(live, marks::RELEASED) == Some("false")
            && self.uid == text(live, &["metadata", "uid"]);
        let mut patch = vec![test("/metadata/uid", text(live, &["metadata", "uid"])), guard];
        if never {
            patch.extend([test("/spec/suspend", true), test(&annotation(marks::RELEASED), "false")]);
        } else {
            patch.push(add("/spec/suspend", true));
        }
        let done = !is_suspended(live) && annotated(live, marks::BURNED).is_none() && job_end(live) == Some(JobEnd::Complete);
        let proof = match (never, done) {
            (true, _) => NEVER_STARTED,
            (false, true) => COMPLETED,
            (false, false) => STARTED,
        };
        let at = now.to_string();
        patch.extend(annotate(live, &[(marks::TOKEN, &self.own(Way::Expired)), (marks::BURNED, proof), (marks::BURNED_AT, &at)]));
        patch
    }

    /// From now on the Job may be released, on the way back; one that an older epoch released goes on.
    fn turning(&self, live: &Value, guard: Value) -> Vec<Value> {
        let still = test("/spec/suspend", is_suspended(live));
        let mut patch = vec![test("/metadata/uid", text(live, &["metadata", "uid"])), guard, still];
        patch.extend(annotate(live, &[(marks::TOKEN, &self.own(Way::Back))]));
        patch
    }

    /// The end of the Job is recorded: its Pods that have ended may go.
    pub(super) async fn let_go(&self) -> Result<u32, PerformError> {
        let of = |error| PerformError::of(&self.what(), error);
        let collection = path("v1", &self.tenant.namespace, "pods", "");
        let pods = self.tenant.list(&collection, marks::NIGHT, self.night).await.map_err(of)?;
        let over = |pod: &&Value| belongs(pod, &self.name, self.uid) && is_held(pod) && sight(pod) == Sight::Ended;
        let mut write_count = 0;
        for pod in pods.iter().filter(over) {
            let Some(patch) = release_patch(pod, marks::KEEP_POD) else { continue };
            let path = path("v1", &self.tenant.namespace, "pods", text(pod, &["metadata", "name"]));
            match self.tenant.patch(&path, &patch).await {
                Ok(_) => write_count += 1,
                Err(error) if error.answer() == Some(Answer::NotFound) => {}
                Err(error) if is_stale(&error) => return Err(PerformError::Restless { what: self.what() }),
                Err(error) => return Err(of(error)),
            }
        }
        Ok(write_count)
    }
}

/// An undo that the epoch before released and that runs: it is never stopped, only its token changes hands.
fn is_handed_on(live: &Value, night: &str, epoch: Epoch) -> bool {
    let released = annotated(live, marks::RELEASED) == Some("true");
    released && matches!(Standing::of(live, night, epoch), Standing::Older(Token { way: Way::Back, .. }))
}

fn is_stale(error: &CallError) -> bool {
    matches!(error.answer(), Some(Answer::Invalid | Answer::Conflict))
}

pub(super) fn is_suspended(job: &Value) -> bool {
    at(job, &["spec", "suspend"]).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn job_end(job: &Value) -> Option<JobEnd> {
    let conditions = at(job, &["status", "conditions"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let holds = |kind: &str| conditions.iter().find(|one| text(one, &["type"]) == kind && text(one, &["status"]) == "True");
    if holds("Complete").is_some() {
        return Some(JobEnd::Complete);
    }
    let failed = holds("Failed")?;
    let reason = [text(failed, &["reason"]), text(failed, &["message"])];
    let reason = reason.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    Some(JobEnd::Failed { reason: cut(reason) })
}
