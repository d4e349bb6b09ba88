//! The ledger: two ConfigMaps that are the truth of a night (DESIGN §3, PROTOCOL rules 8 and 12).
//!
//! In: a plan, entries. Out: [`LedgerRead`], [`Head`]. Invariants: the journal is append-only, by compare-and-set on its head; each record
//! carries the hash of the one before; neither ConfigMap is ever recreated once a night is armed; both carry a finalizer until the night
//! is finished. A chain that does not hold is a value, not an error. Not here: which entries are appended, and when it is safe to act.

mod identity;
mod record;
mod thaw;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::engine::{Believed, Broken, Entry, believed};
use crate::model::plan::Plan;
use crate::operator::by_hand;

use super::call::{Advice, Answer, CallError};
use super::marks;
use super::names::{LedgerNames, sha256};
use super::operations::{add, at, replace, test, text};
use super::preimages::Preimages;
use super::tenant::{Tenant, path};

pub use identity::{PlanIdentity, holds_plan, identity};
pub use record::{Chain, Head, Record};
pub use thaw::{thaw, thaw_live};

/// The key of the plan in its `ConfigMap`.
pub const PLAN: &str = "plan.json";
/// The key of what arming captured.
pub const PREIMAGES: &str = "preimages.json";
/// Where the page stands that tells people how to open everything by hand.
pub const BY_HAND: &str = "by-hand.md";

/// Everything the two ConfigMaps say.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerRead {
    /// The frozen plan.
    pub plan: Plan,
    /// SHA-256 of the plan as stored.
    pub plan_hash: String,
    /// What arming captured; none before.
    pub preimages: Option<Preimages>,
    /// The journal, as far as its chain holds.
    pub entries: Vec<Entry>,
    /// How many entries each record of it has, in order.
    pub records: Vec<usize>,
    /// Where the next record goes; none when acceptance was interrupted before the ledger was created: accept again.
    pub head: Option<Head>,
    /// Why the journal is not to be believed.
    pub broken: Option<String>,
    /// Part of what was recorded is lost.
    pub is_torn: bool,
    /// Pre-images were written, whether or not they can be read.
    pub is_armed: bool,
    /// Somebody deletes one of the two: go back.
    pub deleting: bool,
}

impl LedgerRead {
    /// The journal as it is decided on, `now`. Of a night that is not armed nothing was closed, whatever is lost.
    #[must_use]
    pub fn believed(&self, now: Timestamp) -> Believed {
        let broken = self.broken.clone().map(|why| Broken { why, is_lost: self.is_torn && self.is_armed });
        believed(&self.plan, &self.plan_hash, &self.entries, broken.as_ref(), now)
    }
}

/// Why plan or ledger cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A call failed; it says what to do.
    #[error("the ledger is out of reach")]
    Call(#[from] CallError),
    /// The plan cannot be read, so nothing can be done for this night: tell a person.
    #[error("ConfigMap {name} does not hold a plan")]
    NoPlan {
        /// The ConfigMap.
        name: String,
        /// What it is instead.
        #[source]
        source: serde_json::Error,
    },
    /// The ledger is there without its plan: tell a person.
    #[error("ConfigMap {name} is gone while its ledger is there")]
    PlanGone {
        /// The ConfigMap.
        name: String,
    },
    /// Another plan was frozen for this night; read it and go on with that one. Retry now.
    #[error("another plan, {found}, is frozen for this night")]
    OtherPlan {
        /// Its hash.
        found: String,
    },
    /// The ledger of an armed night is not there; it is never made anew: tell a person.
    #[error("ConfigMap {name}, the ledger of an armed night, is gone")]
    LedgerGone {
        /// The ConfigMap.
        name: String,
    },
}

impl LedgerError {
    /// What to do.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Call(error) => error.advice(),
            Self::OtherPlan { .. } => Advice::RetryNow,
            Self::NoPlan { .. } | Self::PlanGone { .. } | Self::LedgerGone { .. } => Advice::TellAPerson,
        }
    }
}

/// Why a record is not known to be in the ledger.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended first. Retry now: read, and decide again.
    #[error("the ledger moved on")]
    Moved,
    /// The head stands where it was and the record was refused: full, forbidden, gone. Tell a person.
    #[error("the ledger takes no record")]
    Refused(#[source] CallError),
    /// It may have landed, or may still. Retry later: read, and decide again.
    #[error("nobody knows whether the record landed")]
    Unknown(#[source] CallError),
}

/// The plan as it is stored.
fn plan_text(plan: &Plan) -> String {
    serde_json::to_string(plan).unwrap_or_default()
}

/// SHA-256 of the plan as it is stored, hexadecimal.
#[must_use]
pub fn plan_hash(plan: &Plan) -> String {
    sha256(plan_text(plan))
}

fn place(tenant: &Tenant, name: &str) -> String {
    path("v1", &tenant.namespace, "configmaps", name)
}

async fn look(tenant: &Tenant, name: &str) -> Result<Option<Value>, CallError> {
    match tenant.get(&place(tenant, name)).await {
        Err(error) if error.answer() == Some(Answer::NotFound) => Ok(None),
        other => other.map(Some),
    }
}

/// Reads the night with this name and UID; none when nothing was accepted yet.
///
/// # Errors
/// When one of the two cannot be read, or the plan is not one.
pub async fn read(tenant: &Tenant, name: &str, uid: &str) -> Result<Option<LedgerRead>, LedgerError> {
    let names = LedgerNames::of(name, uid);
    let (plan, ledger) = (look(tenant, &names.plan).await?, look(tenant, &names.ledger).await?);
    let Some(stored) = plan else {
        return if ledger.is_some() { Err(LedgerError::PlanGone { name: names.plan }) } else { Ok(None) };
    };
    let no_plan = |source| LedgerError::NoPlan { name: names.plan.clone(), source };
    let plan: Plan = serde_json::from_str(text(&stored, &["data", PLAN])).map_err(no_plan)?;
    let plan_hash = sha256(text(&stored, &["data", PLAN]));
    let (preimages, unreadable) = captured(&stored);
    let chain = match &ledger {
        Some(ledger) => record::verify(ledger.get("data").and_then(Value::as_object), &plan_hash),
        None if is_armed(&stored) => Chain::broken(format!("ConfigMap {} is gone", names.ledger)),
        None => Chain::default(),
    };
    let going = |object: &Value| at(object, &["metadata", "deletionTimestamp"]).is_some();
    let deleting = going(&stored) || ledger.as_ref().is_some_and(going);
    let Chain { entries, head, by: _, records, broken, is_torn } = chain;
    let (broken, is_armed) = (broken.or(unreadable), is_armed(&stored));
    Ok(Some(LedgerRead { plan, plan_hash, preimages, entries, records, head, broken, is_torn, is_armed, deleting }))
}

/// The journal alone, of an armed night whose plan is known.
///
/// # Errors
/// When it cannot be read. One that is gone is a chain that is broken.
pub async fn journal(tenant: &Tenant, plan: &Plan, plan_hash: &str) -> Result<Chain, CallError> {
    let name = LedgerNames::of(&plan.name, &plan.uid).ledger;
    Ok(match look(tenant, &name).await? {
        Some(ledger) => record::verify(ledger.get("data").and_then(Value::as_object), plan_hash),
        None => Chain::broken(format!("ConfigMap {name} is gone")),
    })
}

/// Whether a record would be taken, as a dry run that adds nothing.
pub(super) async fn try_append(tenant: &Tenant, plan: &Plan) -> Result<(), CallError> {
    let name = LedgerNames::of(&plan.name, &plan.uid).ledger;
    let ledger = tenant.get(&place(tenant, &name)).await?;
    let head = text(&ledger, &["data", "head"]);
    let patch = [test("/data/head", head), replace("/data/head", head), add("/data/999999", "")];
    tenant.try_patch(&place(tenant, &name), &patch).await.map(drop)
}

fn is_armed(stored: &Value) -> bool {
    at(stored, &["data", PREIMAGES]).is_some()
}

fn captured(stored: &Value) -> (Option<Preimages>, Option<String>) {
    if !is_armed(stored) {
        return (None, None);
    }
    match serde_json::from_str(text(stored, &["data", PREIMAGES])) {
        Ok(preimages) => (Some(preimages), None),
        Err(error) => (None, Some(format!("the pre-images cannot be read: {error}"))),
    }
}

fn config_map(plan: &Plan, name: &str, data: &Map<String, Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": plan.namespace, "finalizers": [marks::KEEP_LEDGER],
            "labels": {(marks::MANAGED_BY): marks::US, (marks::NIGHT): plan.uid}},
        "data": data})
}

/// The two objects with which a night is accepted: plan and ledger.
pub(super) fn objects(plan: &Plan, by: &str, entries: Vec<Entry>) -> [Value; 2] {
    let names = LedgerNames::of(&plan.name, &plan.uid);
    let record = Record::after(None, by, entries);
    let head = record.head();
    let whole = Map::from_iter([(PLAN.to_owned(), plan_text(plan).into())]);
    let begun = Map::from_iter([("head".to_owned(), head.to_string().into()), (head.key(), record.text().into())]);
    [config_map(plan, &names.plan, &whole), config_map(plan, &names.ledger, &begun)]
}

/// Freezes the plan and begins its journal with these entries, the first of which is its acceptance. Repeated, it finds what is
/// there: then the entries in the ledger, not these, are the journal, so read it.
///
/// # Errors
/// [`LedgerError::OtherPlan`] when another plan is frozen already.
pub async fn accept(tenant: &Tenant, plan: &Plan, by: &str, entries: Vec<Entry>) -> Result<Head, LedgerError> {
    let names = LedgerNames::of(&plan.name, &plan.uid);
    let whole = plan_text(plan);
    let data = Map::from_iter([(PLAN.to_owned(), whole.clone().into())]);
    let stored = create_or_find(tenant, &names.plan, &config_map(plan, &names.plan, &data)).await?;
    let found = text(&stored, &["data", PLAN]);
    if found != whole {
        return Err(LedgerError::OtherPlan { found: sha256(found) });
    }
    if is_armed(&stored) && look(tenant, &names.ledger).await?.is_none() {
        return Err(LedgerError::LedgerGone { name: names.ledger });
    }
    let record = Record::after(None, by, entries);
    let head = record.head();
    let data = Map::from_iter([("head".to_owned(), head.to_string().into()), (head.key(), record.text().into())]);
    let ledger = create_or_find(tenant, &names.ledger, &config_map(plan, &names.ledger, &data)).await?;
    Ok(Head::parse(text(&ledger, &["data", "head"])).unwrap_or(head))
}

/// What may have been created is looked for, and not sent again.
async fn create_or_find(tenant: &Tenant, name: &str, object: &Value) -> Result<Value, CallError> {
    match tenant.create(&path("v1", &tenant.namespace, "configmaps", ""), object).await {
        Err(error) if error.answer() == Some(Answer::AlreadyExists) || error.is_unknown() => {
            look(tenant, name).await?.ok_or(error)
        }
        other => other,
    }
}

/// Appends one record with these entries after `head`. It was seen in the ledger when this returns a head.
///
/// # Errors
/// Each says whether to read and decide again now, later, or not without a person.
pub async fn append(tenant: &Tenant, plan: &Plan, head: &Head, by: &str, entries: Vec<Entry>) -> Result<Head, AppendError> {
    let names = LedgerNames::of(&plan.name, &plan.uid);
    let record = Record::after(Some(head), by, entries);
    let next = record.head();
    let patch = [
        test("/data/head", head.to_string()),
        replace("/data/head", next.to_string()),
        add(&format!("/data/{}", next.key()), record.text()),
    ];
    let holds = |ledger: &Value| text(ledger, &["data", &next.key()]) == record.text();
    let error = match tenant.patch(&place(tenant, &names.ledger), &patch).await {
        Ok(ledger) if holds(&ledger) => return Ok(next),
        Ok(_) => CallError::not_understood("appending a record", "the answer does not show it"),
        Err(error) => error,
    };
    let Ok(Some(ledger)) = look(tenant, &names.ledger).await else {
        return Err(if error.is_unknown() { AppendError::Unknown(error) } else { AppendError::Refused(error) });
    };
    if holds(&ledger) {
        return Ok(next);
    }
    Err(match text(&ledger, &["data", "head"]) == head.to_string() {
        false => AppendError::Moved,
        true if error.is_unknown() || error.answer() == Some(Answer::Conflict) => AppendError::Unknown(error),
        true => AppendError::Refused(error),
    })
}

/// Adds the pre-images to the plan, and the page for people, and makes all immutable. Pre-images frozen before stay, and are what this
/// returns.
///
/// # Errors
/// When the plan is not there or takes no change.
pub(super) async fn freeze(tenant: &Tenant, plan: &Plan, preimages: &Preimages) -> Result<Preimages, LedgerError> {
    let name = LedgerNames::of(&plan.name, &plan.uid).plan;
    let stored = look(tenant, &name).await?.ok_or_else(|| LedgerError::PlanGone { name: name.clone() })?;
    if let Some(frozen) = captured(&stored).0 {
        return Ok(frozen);
    }
    let captured_text = serde_json::to_string(preimages).unwrap_or_default();
    let page = by_hand::stored(plan, preimages, plan_text(plan).len() + captured_text.len());
    let patch = [
        test("/metadata/uid", text(&stored, &["metadata", "uid"])),
        test("/metadata/resourceVersion", text(&stored, &["metadata", "resourceVersion"])),
        add(&format!("/data/{PREIMAGES}"), captured_text),
        add(&format!("/data/{BY_HAND}"), page),
        add("/immutable", true),
    ];
    let stored = match tenant.patch(&place(tenant, &name), &patch).await {
        // Another replica may have frozen its own.
        Err(error) if matches!(error.answer(), Some(Answer::Invalid | Answer::Conflict)) => {
            let stored = tenant.get(&place(tenant, &name)).await?;
            if !is_armed(&stored) {
                return Err(error.into());
            }
            stored
        }
        other => other?,
    };
    let unreadable = |source| LedgerError::NoPlan { name, source };
    serde_json::from_str(text(&stored, &["data", PREIMAGES])).map_err(unreadable)
}

/// What arming froze; none before.
pub(super) async fn frozen(tenant: &Tenant, plan: &Plan) -> Result<Option<Preimages>, LedgerError> {
    let name = LedgerNames::of(&plan.name, &plan.uid).plan;
    let stored = look(tenant, &name).await?.ok_or(LedgerError::PlanGone { name })?;
    Ok(captured(&stored).0)
}

/// The night is over: the two ConfigMaps may be deleted, by whoever wants to.
///
/// # Errors
/// When a call fails. What is gone is fine.
pub async fn finish(tenant: &Tenant, name: &str, uid: &str) -> Result<(), CallError> {
    let names = LedgerNames::of(name, uid);
    for name in [names.plan, names.ledger] {
        let Some(object) = look(tenant, &name).await? else { continue };
        let Some(patch) = release_patch(&object, marks::KEEP_LEDGER) else { continue };
        match tenant.patch(&place(tenant, &name), &patch).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Takes one finalizer off an object; none when it is not there.
pub(super) fn release_patch(object: &Value, finalizer: &str) -> Option<Vec<Value>> {
    let all = at(object, &["metadata", "finalizers"])?.as_array()?;
    let position = all.iter().position(|one| one == finalizer)?;
    let pointer = format!("/metadata/finalizers/{position}");
    let uid = test("/metadata/uid", text(object, &["metadata", "uid"]));
    Some(vec![uid, test(&pointer, finalizer), super::operations::remove(&pointer)])
}

/// When the last of these entries was decided.
fn decided_at(entries: &[Entry]) -> Timestamp {
    entries.last().map_or(Timestamp::UNIX_EPOCH, |entry| entry.at)
}
