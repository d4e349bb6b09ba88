//! Plan, pre-images and journal as somebody left them in the cluster: read, believed, decided on, told.
//!
//! The input is an object in JSON: `plan` what is put at pointers of the sample night's plan, `preimages` (either may be a text, which then
//! stands there as it is), `records` each a list of entries that is chained as it should be, `over` what then stands under keys of the
//! ledger instead, `hash` the plan's hash in the first entry when it is not the right one, `now`.

use jiff::Timestamp;
use notturno::cli::explain::moments::moments;
use notturno::cli::status::show;
use notturno::cli::status::view::View;
use notturno::engine::{Entry, Facts, State, decide, due, interest};
use notturno::model::plan::Plan;
use notturno::operator::by_hand;
use notturno::operator::effects::ledger::{BY_HAND, Head, LedgerRead, PLAN, PREIMAGES, read, thaw};
use notturno::operator::effects::names::{LedgerNames, sha256};
use notturno::operator::effects::{Preimages, names::job_names, observe, perform};
use serde_json::{Map, Value, json};

use super::{assert_in_proportion, sample, server::Server};

/// A page has a dozen commands for each thing that it names.
const TIMES_MAX: usize = 128;
/// Enough of them to meet each kind.
const COMMANDS_MAX: usize = 16;

/// Takes the bytes for what stands in the two ConfigMaps.
pub fn take(bytes: &[u8]) {
    let Ok(left) = serde_json::from_slice::<Value>(bytes) else { return };
    let plan = as_it_is(left.get("plan")).unwrap_or_else(|| plan_text(&left));
    let preimages = left.get("preimages").map(|there| as_it_is(Some(there)).unwrap_or_else(|| there.to_string()));
    let data = journal(&left, &plan);
    let mut stored = Map::from_iter([(PLAN.to_owned(), json!(plan))]);
    stored.extend(preimages.iter().map(|text| (PREIMAGES.to_owned(), json!(text))));
    let names = LedgerNames::of("notte", sample::UID);
    let map = |name: &str, data: Map<String, Value>| format!("/{name} 200 {}", json!({"metadata": {"name": name}, "data": data}));
    let (stored, ledger) = (map(&names.plan, stored), map(&names.ledger, data));
    let server = Server::new([stored.as_str(), ledger.as_str()].into_iter());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let frozen = thaw(&plan, preimages.as_deref().unwrap_or_default(), &sha256(&plan));
    match runtime.block_on(async { read(&server.tenant(), "notte", sample::UID).await }) {
        Ok(found) => {
            let found = found.unwrap();
            assert_eq!(frozen.is_ok(), found.preimages.is_some(), "what thaws is what is read: {frozen:?}");
            let now = left.get("now").and_then(|now| now.as_str()?.parse().ok()).unwrap_or(found.plan.deadline.must_serve_by);
            assert_written_again(&found);
            assert_decided(&found, now);
            runtime.block_on(acted(&server, &found, now));
            told(&found, now, bytes.len() + plan.len());
        }
        Err(error) => {
            assert!(error.to_string().contains(&names.plan), "which ConfigMap: {error}");
            assert!(frozen.is_err_and(|why| why.contains(PLAN)), "which of its keys");
        }
    }
}

fn as_it_is(there: Option<&Value>) -> Option<String> {
    there.and_then(Value::as_str).map(str::to_owned)
}

/// The sample night's plan with what is put into it.
fn plan_text(left: &Value) -> String {
    let mut plan = serde_json::to_value(sample::plan()).unwrap();
    for (pointer, value) in left.get("plan").and_then(Value::as_object).into_iter().flatten() {
        if let Some(there) = plan.pointer_mut(pointer) {
            *there = value.clone();
        } else if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Some(Value::Object(fields)) = plan.pointer_mut(parent)
        {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    plan.to_string()
}

/// A chain of the records; with what stands there instead.
fn journal(left: &Value, plan: &str) -> Map<String, Value> {
    let hash = left.get("hash").and_then(Value::as_str).map_or_else(|| sha256(plan), str::to_owned);
    let mut data = Map::new();
    let mut head = Head { seq: 0, hash: String::new() };
    for entries in left.get("records").and_then(Value::as_array).into_iter().flatten() {
        head.seq += 1;
        let record =
            json!({"seq": head.seq, "prev": head.hash, "at": "2026-11-24T23:00:00Z", "by": "operator-0", "entries": entries});
        let text = record.to_string().replace("$HASH", &hash);
        head.hash = sha256(&text);
        data.insert(head.key(), json!(text));
    }
    data.insert("head".to_owned(), json!(head.to_string()));
    data.extend(left.get("over").and_then(Value::as_object).cloned().unwrap_or_default());
    data
}

/// Plan, pre-images, entries and head are written and read again as the same.
fn assert_written_again(found: &LedgerRead) {
    fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }
    assert_eq!(again::<Plan>(&found.plan), found.plan);
    assert_eq!(again::<Option<Preimages>>(&found.preimages), found.preimages);
    assert_eq!(again::<Vec<Entry>>(&found.entries), found.entries);
    assert_eq!(found.head.as_ref().and_then(|head| Head::parse(&head.to_string())), found.head);
    assert!(found.broken.as_ref().is_none_or(|why| !why.trim().is_empty()), "broken, and nobody says why");
    assert!(found.broken.is_some() || !found.is_torn, "torn, and nobody says so");
}

/// Every journal has a decision, with a reason; and one that is repeated is the same.
fn assert_decided(found: &LedgerRead, now: Timestamp) {
    let believed = found.believed(now);
    let state = State::fold(&found.plan, &believed.entries);
    for unrecorded in [false, true] {
        let facts = Facts { unrecorded, ..Facts::default() };
        let decision = decide(&found.plan, &believed.entries, &facts, now);
        assert!(!decision.why.trim().is_empty(), "{decision:?}");
        assert!(decision.events.iter().all(|entry| !entry.why.trim().is_empty()), "{decision:?}");
        assert!(decision.wake.as_ref().is_none_or(|wake| wake.at > now), "wakes in the past: {decision:?}");
        assert_eq!(decide(&found.plan, &believed.entries, &facts, now), decision);
    }
    let _ = due(&found.plan, &state);
    assert!(job_names(&found.plan).values().all(|name| name.len() <= 63), "the name of a Job is a label");
}

/// A plan that another hand wrote may name steps and services that it does not have: what there is of the rest is looked at and done.
async fn acted(server: &Server, found: &LedgerRead, now: Timestamp) {
    let (tenant, preimages) = (server.tenant(), found.preimages.clone().unwrap_or_default());
    let entries = found.believed(now).entries;
    let state = State::fold(&found.plan, &entries);
    let _ = observe(&tenant, &found.plan, &preimages, now, &interest(&found.plan, &state)).await;
    for command in decide(&found.plan, &entries, &Facts::default(), now).commands.iter().take(COMMANDS_MAX) {
        let _ = perform(&tenant, &found.plan, &preimages, now, command).await;
    }
}

/// What people are told of it.
fn told(found: &LedgerRead, now: Timestamp, given: usize) {
    let view = View::of_ledger("centro-dati/notte", found, None, Vec::new(), now);
    let entries = found.believed(now).entries;
    let state = State::fold(&found.plan, &entries);
    let moments: String = moments(&found.plan, &state).iter().map(|moment| moment.text(&found.plan, Some(now))).collect();
    let preimages = found.preimages.clone().unwrap_or_default().as_intended(&entries);
    let page = by_hand::page(&found.plan, &preimages, Some(&entries));
    let stored = by_hand::stored(&found.plan, &preimages, 0);
    for (what, said) in [
        ("text", show::text(&view)),
        ("json", show::json(&view).to_string()),
        ("moments", moments),
        (BY_HAND, page),
        (BY_HAND, stored),
    ] {
        assert_in_proportion(what, said.len(), given, TIMES_MAX);
    }
}
