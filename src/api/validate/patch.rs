//! What a patch of a closing or of a step may say.
//!
//! In: the patch. Out: the change it is, or reasons why it may not be applied.
//! Invariants: a patch cannot move an object, forge the marks that the
//! program itself keeps on it, or write what only controllers write. What is not here: applying it.

use serde_json::{Map, Value};

use super::Findings;
use crate::api::GROUP;
use crate::api::action::{Operation, OperationKind};
use crate::model::service::Change;

/// The longest patch, in bytes of JSON.
const BYTES_MAX: usize = 16_384;

/// The change that a patch is: exactly one of its two forms, and nothing in it that may not be.
pub(super) fn change(found: &mut Findings, path: &str, merge: Option<&Map<String, Value>>, json: &[Operation]) -> Change {
    match (merge, json) {
        (Some(merge), []) => {
            for (field, message) in problems(merge) {
                found.refuse("BadPatch", &format!("{path}.merge{field}"), message);
            }
            if merge.is_empty() {
                found.warn("NoChange", &format!("{path}.merge"), "the patch is empty: it changes nothing");
            }
            Change::Merge { merge: merge.clone().into() }
        }
        (None, [_, ..]) => Change::Json {
            operations: json
                .iter()
                .enumerate()
                .map(|(index, operation)| one_operation(found, &format!("{path}.json[{index}]"), operation))
                .collect(),
        },
        (None, []) | (Some(_), [_, ..]) => {
            found.refuse("NotExactlyOne", path, "a patch has exactly one form: write merge or json");
            Change::Merge { merge: Map::new().into() }
        }
    }
}

fn one_operation(found: &mut Findings, path: &str, raw: &Operation) -> Value {
    let Operation { op, path: pointer, value } = raw;
    let (removes, has_value) = (*op == OperationKind::Remove, value.is_some());
    if removes && has_value {
        found.refuse("NotAllowed", &format!("{path}.value"), "remove has no value: remove it");
    }
    if !removes && !has_value {
        found.refuse("Missing", &format!("{path}.value"), "add, replace and test have a value: write it");
    }
    if let Some(message) = bad_pointer(pointer) {
        found.refuse("BadPatch", &format!("{path}.path"), message);
    }
    serde_json::to_value(raw).unwrap_or_default()
}

/// Why no operation may go there.
fn bad_pointer(pointer: &str) -> Option<String> {
    let unescaped = |key: &str| key.replace("~1", "/").replace("~0", "~");
    let keys: Vec<String> = pointer.split('/').skip(1).map(unescaped).collect();
    match keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [field @ ("apiVersion" | "kind" | "status"), ..] => {
            Some(format!("a patch does not change {field}: remove the operation"))
        }
        ["metadata", "labels" | "annotations", key, ..] => {
            is_ours(key).then(|| format!("marks of {GROUP} are not yours to change: remove the operation"))
        }
        ["metadata", ..] => Some("of the metadata a patch changes labels and annotations only, each by its key".to_owned()),
        _ => None,
    }
}

/// Problems of a merge patch: path below the patch, and the sentence.
pub(super) fn problems(merge: &Map<String, Value>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let bytes = serde_json::to_string(merge).map_or(0, |text| text.len());
    if bytes > BYTES_MAX {
        found.push((String::new(), format!("the patch has {bytes} bytes, at most {BYTES_MAX}")));
    }
    for field in ["apiVersion", "kind", "status"].into_iter().filter(|field| merge.contains_key(*field)) {
        found.push((format!(".{field}"), format!("a patch does not change {field}: remove it")));
    }
    let metadata = match merge.get("metadata") {
        None => return found,
        Some(Value::Object(metadata)) => metadata,
        Some(_) => {
            found.push((".metadata".to_owned(), "of the metadata a patch changes labels and annotations only".to_owned()));
            return found;
        }
    };
    for (field, value) in metadata {
        let path = format!(".metadata.{field}");
        match (field.as_str(), value) {
            ("labels" | "annotations", Value::Object(marks)) => {
                let ours = marks.keys().filter(|key| is_ours(key));
                found.extend(
                    ours.map(|key| (format!("{path}[{key:?}]"), format!("marks of {GROUP} are not yours to change: remove it"))),
                );
            }
            _ => found.push((path, "of the metadata a patch changes labels and annotations only, each by its key".to_owned())),
        }
    }
    found
}

fn is_ours(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| prefix == GROUP || prefix.ends_with(&format!(".{GROUP}")))
}
