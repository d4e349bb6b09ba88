//! Fields that two closings of one service change.
//!
//! In: closings in order. Out: of each that changes what an earlier one changes, the field and the earlier one. Invariant: a field is
//! put back to what was captured before, so two captures of one field would undo each other. What is not here: JSON patches and
//! applied objects, whose fields only the object itself tells.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::service::{Change, Closing};

/// `(position of the later closing, its field, position of the earlier one)`, one for each later closing.
pub(super) fn overlaps(closings: &[&Closing]) -> Vec<(usize, String, usize)> {
    let mut leaves: BTreeMap<String, usize> = BTreeMap::new();
    let mut inner: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (position, closing) in closings.iter().enumerate() {
        let fields = fields(closing);
        let on = |path: &[String]| format!("{} of {}", path.join("."), closing.target);
        let above = |path: &[String]| (1..path.len()).filter_map(|length| path.get(..length)).map(on).collect::<Vec<_>>();
        let earlier = fields.iter().find_map(|path| {
            let known = |name: &String| leaves.get(name).copied();
            let first =
                known(&on(path)).or_else(|| inner.get(&on(path)).copied()).or_else(|| above(path).iter().find_map(known))?;
            Some((position, on(path), first))
        });
        found.extend(earlier);
        for path in &fields {
            leaves.entry(on(path)).or_insert(position);
            for name in above(path) {
                inner.entry(name).or_insert(position);
            }
        }
    }
    found
}

fn fields(closing: &Closing) -> Vec<Vec<String>> {
    let field = |name: &str| vec![vec!["spec".to_owned(), name.to_owned()]];
    match &closing.change {
        Change::Scale { .. } => field("replicas"),
        Change::Suspend {} => field("suspend"),
        Change::Merge { merge } => {
            let mut found = Vec::new();
            let merge = serde_json::to_value(merge).unwrap_or_default();
            collect(&merge, &mut Vec::new(), &mut found);
            found
        }
        Change::Json { .. } | Change::Apply { .. } | Change::Restart {} | Change::Cordon {} => Vec::new(),
    }
}

/// As deep as the patch, which is bounded where it was read.
fn collect(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(name.clone());
                collect(value, path, found);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => found.push(path.clone()),
    }
}
