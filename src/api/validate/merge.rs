//! What a closing's merge patch may say.
//!
//! In: the patch. Out: reasons why it may not be applied. Invariants: a patch cannot move an object, forge the marks that the
//! program itself keeps on it, or write what only controllers write. What is not here: applying it.

use serde_json::{Map, Value};

use crate::api::GROUP;

/// The longest patch, in bytes of JSON.
const BYTES_MAX: usize = 16_384;

/// Problems of a patch: path below the patch, and the sentence.
pub(super) fn problems(merge: &Map<String, Value>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let bytes = serde_json::to_string(merge).map_or(0, |text| text.len());
    if bytes > BYTES_MAX {
        found.push((String::new(), format!("the patch has {bytes} bytes, at most {BYTES_MAX}")));
    }
    for field in ["apiVersion", "kind", "status"].into_iter().filter(|field| merge.contains_key(*field)) {
        found.push((format!(".{field}"), format!("a closing does not change {field}: remove it")));
    }
    let metadata = match merge.get("metadata") {
        None => return found,
        Some(Value::Object(metadata)) => metadata,
        Some(_) => {
            found.push((".metadata".to_owned(), "of the metadata a closing changes labels and annotations only".to_owned()));
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
            _ => found.push((path, "of the metadata a closing changes labels and annotations only, each by its key".to_owned())),
        }
    }
    found
}

fn is_ours(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| prefix == GROUP || prefix.ends_with(&format!(".{GROUP}")))
}
