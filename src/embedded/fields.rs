//! Reading and writing fields of JSON objects without ever panicking.
//!
//! In: a JSON value and a path of object keys. Out: the field, or a neutral value when it is absent or of another type.
//! Invariants: reading never fails; writing builds the objects on its way.
//! Not here: arrays by index, JSON pointers, typed objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The value at `path`, unless a key is missing on the way.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |inner, key| inner.get(key))
}

/// The string at `path`, empty when there is none.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at `path`, or `otherwise`.
pub(super) fn int(value: &Value, path: &[&str], otherwise: i64) -> i64 {
    at(value, path).and_then(Value::as_i64).unwrap_or(otherwise)
}

/// Whether `path` holds `true`.
pub(super) fn flag(value: &Value, path: &[&str]) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or_default()
}

/// The array at `path`, empty when there is none.
pub(super) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The object at `path`, when there is one.
pub(super) fn object<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Map<String, Value>> {
    at(value, path).and_then(Value::as_object)
}

/// The map of strings at `path` (labels, annotations, selectors); entries that are no strings are left out.
pub(super) fn strings(value: &Value, path: &[&str]) -> BTreeMap<String, String> {
    let entries = object(value, path).into_iter().flatten();
    entries.filter_map(|(key, inner)| inner.as_str().map(|text| (key.clone(), text.to_owned()))).collect()
}

/// Puts `new` at `path`, making objects on the way; anything on the way that is no object is replaced.
pub(super) fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if let Some(inner) = reach(value, path) {
        *inner = new.into();
    }
}

fn reach<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    let Some((key, rest)) = path.split_first() else { return Some(value) };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let inner = value.as_object_mut()?.entry((*key).to_owned()).or_insert(Value::Null);
    reach(inner, rest)
}

/// Removes the field at `path`, when there is one.
pub(super) fn unset(value: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(value, |inner, key| inner.get_mut(*key));
    if let Some(fields) = parent.and_then(Value::as_object_mut) {
        fields.remove(*last);
    }
}

/// Puts the field at `path` of `from` into `into`, or removes it there when `from` has none.
pub(super) fn carry(from: &Value, into: &mut Value, path: &[&str]) {
    match at(from, path) {
        Some(kept) => set(into, path, kept.clone()),
        None => unset(into, path),
    }
}

/// Adds `item` to the array of strings at `path`, unless it is there.
pub(super) fn include(value: &mut Value, path: &[&str], item: &str) {
    let mut items = list(value, path).to_vec();
    if !items.iter().any(|held| held.as_str() == Some(item)) {
        items.push(item.into());
        set(value, path, items);
    }
}

/// Takes `item` out of the array of strings at `path`; an array left empty is removed, as the API server leaves none.
pub(super) fn exclude(value: &mut Value, path: &[&str], item: &str) {
    let kept: Vec<Value> = list(value, path).iter().filter(|held| held.as_str() != Some(item)).cloned().collect();
    if kept.is_empty() {
        unset(value, path);
    } else {
        set(value, path, kept);
    }
}

/// Whether the array of strings at `path` holds `item`.
pub(super) fn includes(value: &Value, path: &[&str], item: &str) -> bool {
    list(value, path).iter().any(|held| held.as_str() == Some(item))
}

/// Removes every null member of every object, as decoding into a typed object does.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, inner| !inner.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Removes the field at `path` when it is an empty object or array.
pub(super) fn drop_empty(value: &mut Value, path: &[&str]) {
    let empty = at(value, path)
        .is_some_and(|inner| inner.as_object().is_some_and(Map::is_empty) || inner.as_array().is_some_and(Vec::is_empty));
    if empty {
        unset(value, path);
    }
}
