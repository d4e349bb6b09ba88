//! Before anything is claimed: every object is looked at, and the API server tries what the night will write.
//!
//! In: a plan. Out: [`Claim`]s, or every problem at once. Invariants: nothing is stored; what is tried is tried on the object as it will be
//! with its token on it; what a step does after another step on the same object cannot be tried by day, and is no problem by day.
//! Not here: stamping and capturing ([`super::arm`]).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::model::epoch::Epoch;
use crate::model::plan::Plan;
use crate::model::reference::Target;
use crate::model::service::Change;

use super::arm::{ArmError, problem};
use super::call::Answer;
use super::capture::{FieldChange, Preimage, changes, close_patch, common, is_closed, preimage, untouchable};
use super::drain::unsettled_by_nature;
use super::found::{differences, explained, foreseen, is_asked, of_revision};
use super::marks;
use super::operations::{strict, text};
use super::perform::ATTEMPTS_MAX;
use super::preimages::Preimages;
use super::rights::Lack;
use super::spots::{Planned, Wish, planned, target_path};
use super::targets::stamp;
use super::tenant::{Kind, Tenant};
use super::token::{Standing, Token, Way};

/// An object that is to be claimed, with everything that is to be done to it tonight.
pub(super) struct Claim<'a> {
    pub(super) target: &'a Target,
    pub(super) planned: Vec<Planned<'a>>,
    pub(super) resource: String,
    /// None where the first step on it makes it.
    pub(super) live: Option<Value>,
    /// As it will be once the token stands on it.
    stamped: Value,
}

/// Whether an earlier step changes the same object.
pub(super) fn follows_a_step(all: &[Planned<'_>], position: usize) -> bool {
    let own = all.get(position).is_some_and(|planned| planned.wish == Wish::Step);
    own && all.iter().take(position).any(|earlier| earlier.wish == Wish::Step)
}

/// Looks at every object of the night that the account has its rights on.
pub(super) async fn survey<'a>(
    tenant: &Tenant,
    plan: &'a Plan,
    lacking: &[Lack],
    problems: &mut Vec<String>,
) -> Result<Vec<Claim<'a>>, ArmError> {
    let mut by_target: BTreeMap<&Target, Vec<Planned<'a>>> = BTreeMap::new();
    for planned in planned(plan) {
        by_target.entry(planned.target).or_default().push(planned);
    }
    let mut claims = Vec::new();
    let allowed = |target: &Target| !lacking.iter().any(|lack| lack.is_on(target));
    for (target, planned) in by_target.into_iter().filter(|(target, _)| allowed(target)) {
        match look_at(tenant, plan, target, planned).await? {
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
    planned: Vec<Planned<'a>>,
) -> Result<Result<Claim<'a>, Vec<String>>, ArmError> {
    if target.kind == "Secret" {
        return Ok(Err(vec![format!("{target}: a Secret is not a target")]));
    }
    let kind = match tenant.kind(&target.api_version, &target.kind).await {
        Ok(Some(kind)) => kind,
        Ok(None) => return Ok(Err(vec![format!("{target}: {} {} is not served here", target.api_version, target.kind)])),
        Err(error) => return problem(error).map(|problem| Err(vec![format!("{target}: {problem}")])),
    };
    if let Some(problem) = misplaced(target, &kind) {
        return Ok(Err(vec![problem]));
    }
    let path = target_path(target, &kind.resource);
    for _ in 0..ATTEMPTS_MAX {
        let live = match tenant.get(&path).await {
            Err(error) if error.answer() == Some(Answer::NotFound) && is_made(&planned) => None,
            Err(error) => return problem(error).map(|problem| Err(vec![format!("{target}: {problem}")])),
            Ok(live) => Some(live),
        };
        let token = Token::of(&plan.uid, tenant.epoch, Way::Forward).to_string();
        let stamped = live.as_ref().map(|live| with_token(live, &token)).unwrap_or_default();
        let claim = Claim { target, planned: planned.clone(), resource: kind.resource.clone(), live, stamped };
        let mut problems: Vec<String> = claimable(&claim, plan).err().into_iter().collect();
        problems.extend(unfit(&claim));
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        match rehearse(tenant, plan, &claim, &path).await? {
            Rehearsal::Fine => return Ok(Ok(claim)),
            Rehearsal::Refused(reasons) => return Ok(Err(reasons)),
            Rehearsal::Moved => {}
        }
    }
    Err(ArmError::Restless { what: target.to_string() })
}

/// Of objects outside namespaces only Nodes are targets, and only to be cordoned.
fn misplaced(target: &Target, kind: &Kind) -> Option<String> {
    match (kind.namespaced, target.namespace.is_empty()) {
        (true, false) | (false, true) => None,
        (false, false) => Some(format!("{target}: objects outside namespaces are not targets")),
        (true, true) => Some(format!("{target}: it is in a namespace, and none is given")),
    }
}

/// Whether what is not there is made by the first change of it.
fn is_made(planned: &[Planned<'_>]) -> bool {
    planned.first().is_some_and(|first| first.wish == Wish::Step && first.change.makes())
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
        let place = if namespace.is_empty() { String::new() } else { format!(" -n {namespace}") };
        format!("when that night is over: kubectl{place} annotate {} {name} {}-", kind.to_lowercase(), marks::TOKEN)
    };
    let Some(live) = &claim.live else { return Ok(()) };
    match Standing::of(live, &plan.uid, Epoch::OPERATOR) {
        Standing::Missing | Standing::Own(Way::Forward) => Ok(()),
        Standing::Own(way) => Err(format!("{target}: its token already says {}", way.as_str())),
        Standing::Older(token) | Standing::Newer(token) => {
            Err(format!("{target}: epoch {} has taken this night over", token.epoch))
        }
        Standing::Foreign(token) => Err(format!("{target}: the night {} has claimed it; {}", token.night, clear())),
    }
}

/// What the changes of one object may not do.
fn unfit(claim: &Claim) -> Vec<String> {
    let target = claim.target;
    let mut problems = Vec::new();
    for planned in &claim.planned {
        let found = changes(&claim.stamped, &planned.change);
        problems.extend(forbidden(claim, &planned.key, &found));
        if let Some(live) = &claim.live
            && let Some(reason) = unsettled_by_nature(live, planned.declared)
        {
            problems.push(format!("{target}: {}: {reason}", planned.key));
        }
    }
    let of = |planned: &Planned<'_>| match planned.wish {
        Wish::Closing => foreseen(&claim.stamped, &planned.change),
        Wish::Degraded | Wish::Step => preimage(&claim.stamped, "", &planned.change),
    };
    let captured: Vec<(&Planned<'_>, Preimage)> = claim.planned.iter().map(|planned| (planned, of(planned))).collect();
    for (position, (planned, one)) in captured.iter().enumerate() {
        let clash = |(other, another): &(&Planned<'_>, Preimage)| clash(target, (planned, one), (other, another));
        problems.extend(captured.iter().take(position).filter_map(clash));
    }
    problems
}

fn forbidden(claim: &Claim, key: &str, found: &[FieldChange]) -> Vec<String> {
    untouchable(found).iter().map(|pointer| format!("{}: {key} may not change {pointer}", claim.target)).collect()
}

/// Two closings, or a closing and a step, may not change one field; two steps do so one after the other, and so do a service's closing
/// and what it declared for half-done work. That and a step may not even change one object: its token stops the step's way back.
fn clash(target: &Target, (one, its): (&Planned<'_>, &Preimage), (other, others): (&Planned<'_>, &Preimage)) -> Option<String> {
    match (one.wish, other.wish) {
        (Wish::Step, Wish::Step) => return None,
        (Wish::Degraded, Wish::Closing) | (Wish::Closing, Wish::Degraded) if one.service == other.service => return None,
        (Wish::Degraded, Wish::Step) | (Wish::Step, Wish::Degraded) => {
            return Some(format!(
                "{target}: {} and {} both change it; let one of them change another object",
                one.key, other.key
            ));
        }
        (Wish::Closing | Wish::Degraded, Wish::Closing | Wish::Degraded)
        | (Wish::Closing, Wish::Step)
        | (Wish::Step, Wish::Closing) => {}
    }
    let pointer = common(its, others)?;
    Some(format!("{target}: {} and {} both change {pointer}; make them one", one.key, other.key))
}

enum Rehearsal {
    Fine,
    Refused(Vec<String>),
    /// The object changed meanwhile.
    Moved,
}

/// Lets the API server try, by day and without storing anything, what the night will write.
async fn rehearse(tenant: &Tenant, plan: &Plan, claim: &Claim<'_>, path: &str) -> Result<Rehearsal, ArmError> {
    let Some(live) = &claim.live else { return rehearse_making(tenant, claim).await };
    let closings: Vec<&Planned<'_>> = claim.planned.iter().filter(|planned| planned.wish == Wish::Closing).collect();
    let steps = claim.planned.iter().enumerate().filter(|(_, planned)| planned.wish == Wish::Step);
    let mut trials = vec![(closings, false)];
    // Each finds the object as it is by day, those of one service one after the other.
    let of = |service| claim.planned.iter().filter(move |planned| planned.wish == Wish::Degraded && planned.service == service);
    let services: BTreeSet<_> =
        claim.planned.iter().filter(|planned| planned.wish == Wish::Degraded).map(|planned| planned.service).collect();
    trials.extend(services.into_iter().map(|service| (of(service).collect(), false)));
    trials.extend(steps.map(|(position, planned)| (vec![planned], follows_a_step(&claim.planned, position))));
    trials.retain(|(together, _)| !together.is_empty());
    let mut refused = Vec::new();
    for (together, follows) in trials {
        let reason = match rehearse_one(tenant, plan, claim, (live, path), &together).await? {
            Ok(left) => unkept(claim, &together, left.as_ref()),
            Err(reason) => vec![reason],
        };
        refused.extend(reason.into_iter().filter(|_| !follows));
    }
    if refused.is_empty() {
        return Ok(Rehearsal::Fine);
    }
    match tenant.get(path).await {
        Ok(now) if text(&now, &["metadata", "resourceVersion"]) != text(live, &["metadata", "resourceVersion"]) => {
            Ok(Rehearsal::Moved)
        }
        Ok(_) => Ok(Rehearsal::Refused(refused)),
        Err(error) => problem(error).map(|problem| Rehearsal::Refused(vec![problem])),
    }
}

/// The object as these changes would leave it, or why it would not; none when the API server cannot try it.
async fn rehearse_one(
    tenant: &Tenant,
    plan: &Plan,
    claim: &Claim<'_>,
    (live, path): (&Value, &str),
    together: &[&Planned<'_>],
) -> Result<Result<Option<Value>, String>, ArmError> {
    let forward = Token::of(&plan.uid, tenant.epoch, Way::Forward).to_string();
    let uid = text(live, &["metadata", "uid"]);
    let applied = together.iter().find_map(|planned| manifest_of(&planned.change));
    let tried = if let Some(manifest) = applied {
        tenant.apply(path, &of_revision(manifest, live), true).await
    } else {
        let mut patch = stamp(live, &forward);
        for planned in together {
            if let Change::Json { operations } = &*planned.change {
                patch.extend(strict(operations));
            } else {
                patch.extend(close_patch(&claim.stamped, uid, &forward, &changes(&claim.stamped, &planned.change)));
            }
        }
        tenant.try_patch(path, &patch).await
    };
    let error = match tried {
        Ok(left) => return Ok(Ok(Some(with_token(&left, &forward)))),
        Err(error) => error,
    };
    // Admission webhooks with side effects refuse every rehearsal: nothing is learnt from that.
    let webhook = error.answer() == Some(Answer::Other) && error.story().contains("dry run");
    let asked = together.iter().any(|planned| is_asked(&planned.change));
    if webhook && !asked {
        return Ok(Ok(None));
    }
    let words = together.first().map(|planned| explained(&claim.stamped, &planned.change, &error));
    let reason = problem(error)?;
    let verb = match together.first().map(|planned| planned.wish) {
        Some(Wish::Closing) | None => "closing it would fail".to_owned(),
        Some(Wish::Degraded | Wish::Step) => {
            format!("{} would fail", together.first().map(|planned| planned.key.as_str()).unwrap_or_default())
        }
    };
    Ok(Err(format!("{}: {verb}: {}", claim.target, words.unwrap_or(reason))))
}

fn manifest_of(change: &Change) -> Option<&Value> {
    if let Change::Apply { manifest } = change { Some(manifest) } else { None }
}

/// What the API server would not keep, or may not be changed.
fn unkept(claim: &Claim<'_>, together: &[&Planned<'_>], left: Option<&Value>) -> Vec<String> {
    let Some(left) = left else { return Vec::new() };
    let mut problems = Vec::new();
    for planned in together {
        if is_asked(&planned.change) {
            problems.extend(forbidden(claim, &planned.key, &differences(&claim.stamped, left)));
        } else if !is_closed(left, &planned.change) {
            problems.push(format!("{}: the API server would not keep what {} writes", claim.target, planned.key));
        }
    }
    problems
}

/// An object that the first step on it makes.
async fn rehearse_making(tenant: &Tenant, claim: &Claim<'_>) -> Result<Rehearsal, ArmError> {
    let Some(Change::Apply { manifest }) = claim.planned.first().map(|planned| &*planned.change) else {
        return Ok(Rehearsal::Fine);
    };
    let collection = target_path(&Target { name: String::new(), ..claim.target.clone() }, &claim.resource);
    match tenant.try_create(&collection, manifest).await {
        Ok(_) => Ok(Rehearsal::Fine),
        Err(error) if error.answer() == Some(Answer::AlreadyExists) => Ok(Rehearsal::Moved),
        Err(error) if error.answer() == Some(Answer::Other) && error.story().contains("dry run") => Ok(Rehearsal::Fine),
        Err(error) => Ok(Rehearsal::Refused(vec![format!("{}: making it would fail: {}", claim.target, problem(error)?)])),
    }
}

/// An object that is not the one whose pre-image was frozen.
pub(super) fn recreated(claim: &Claim, frozen: &Preimages) -> Option<String> {
    let uid = claim.live.as_ref().map(|live| text(live, &["metadata", "uid"])).unwrap_or_default();
    let other = claim.planned.iter().filter_map(|planned| frozen.targets.get(&planned.key)).any(|preimage| preimage.uid != uid);
    other.then(|| format!("{}: it was deleted or made anew since its pre-image was frozen", claim.target))
}
