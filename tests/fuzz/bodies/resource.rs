//! An object as an API server hands it over: decoded, judged by schema, rules and meaning.

use notturno::api::document::{in_part, is_meant_for_us};
use notturno::api::{Document, from_value, rules, structure, validate};
use notturno::model::refusal::Refusal;
use serde_json::Value;

use super::{assert_in_proportion, assert_useful};

const TIMES_MAX: usize = 512;

/// Takes the bytes for an object in JSON; what is no JSON never gets so far.
pub fn take(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let of = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let _ = is_meant_for_us(of("apiVersion"), of("kind"));
    match from_value(value.clone()) {
        Ok(document) => {
            assert_eq!(from_value(encoded(&document)), Ok(document.clone()), "what was read is written and read again");
            if let Err(refusals) = meaning(&document) {
                assert_all(&refusals, bytes.len());
            }
            rules_hold_where_the_schema_does(of("kind"), &value);
        }
        Err(refusals) => assert_all(&refusals, bytes.len()),
    }
    if let Some(document) = in_part(value.clone())
        && let Err(refusals) = meaning(&document)
    {
        assert_all(&refusals, bytes.len());
    }
}

fn encoded(document: &Document) -> Value {
    match document {
        Document::Calendar(raw) => serde_json::to_value(raw),
        Document::Service(raw) => serde_json::to_value(raw),
        Document::Runbook(raw) => serde_json::to_value(raw),
        Document::Intervention(raw) => serde_json::to_value(raw),
    }
    .unwrap()
}

/// What an object means; warnings say something.
fn meaning(document: &Document) -> Result<(), Vec<Refusal>> {
    let warnings = match document {
        Document::Calendar(raw) => validate::calendar(raw)?.warnings,
        Document::Service(raw) => validate::service(raw)?.warnings,
        Document::Runbook(raw) => validate::runbook(raw)?.warnings,
        Document::Intervention(raw) => validate::intervention(raw)?.warnings,
    };
    for warning in warnings {
        assert!(!warning.path.is_empty() && !warning.message.trim().is_empty(), "{warning:?}");
    }
    Ok(())
}

fn assert_all(refusals: &[Refusal], given: usize) {
    assert!(!refusals.is_empty(), "refused without a reason");
    refusals.iter().for_each(assert_useful);
    let said = refusals.iter().map(|refusal| refusal.to_string().len()).sum();
    assert_in_proportion("refusals", said, given, TIMES_MAX);
}

/// A rule that cannot be judged is a fault of the rule, once the schema is content.
fn rules_hold_where_the_schema_does(kind: &str, value: &Value) {
    let spec = value.get("spec").cloned().unwrap_or_default();
    let found = structure::check_spec(kind, kind, &spec);
    if !found.refusals.is_empty() || !found.mismatches.is_empty() {
        return;
    }
    for judged in rules::judged(kind, &spec, Some(&spec)) {
        assert!(!judged.path.is_empty() && !judged.message.is_empty(), "{judged:?}");
    }
    let mut pruned = spec;
    structure::prune_nulls(kind, &mut pruned);
    let once = pruned.clone();
    structure::prune_nulls(kind, &mut pruned);
    assert_eq!(pruned, once, "nothing is left to be taken away");
}
