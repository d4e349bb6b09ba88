//! Which fields a manager owns, in the words of `metadata.managedFields`.
//!
//! In: an applied object, or an entry's `fieldsV1`. Out: [`Owned`], a set of paths to leaves. Invariants: a path is what the API server
//! writes (`f:field`, `k:{"key":"value"}`, `.` for a list's item itself); lists of maps of built-in kinds are taken apart by their keys
//! where the table says so, all other lists are leaves. Not here: who wins ([`super::apply`]).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::kinds::ResourceKind;

/// A key of a list's items, and what it means where an item leaves it out.
type ItemKey = (&'static str, Option<&'static str>);

/// Lists of maps, and the keys of their items; where an item may leave a key out, with what it then means.
const KEYED: [(&str, &[ItemKey]); 10] = [
    ("ownerReferences", &[("uid", None)]),
    ("containers", &[("name", None)]),
    ("initContainers", &[("name", None)]),
    ("env", &[("name", None)]),
    ("volumes", &[("name", None)]),
    ("volumeMounts", &[("mountPath", None)]),
    ("imagePullSecrets", &[("name", None)]),
    ("hostAliases", &[("ip", None)]),
    ("ports", &[("containerPort", None), ("protocol", Some("TCP"))]),
    ("ports", &[("port", None), ("protocol", Some("TCP"))]),
];

/// Paths to leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned(pub(super) BTreeSet<Vec<String>>);

/// How the items of the list in `field` are told apart: their paths, in order; none when the list is one leaf.
pub(super) fn items(kind: &ResourceKind, field: &str, list: &[Value]) -> Option<Vec<String>> {
    let keyed = KEYED.iter().filter(|(name, _)| (kind.built_in() || *name == "ownerReferences") && *name == field);
    keyed.into_iter().find_map(|(_, keys)| list.iter().map(|item| item_path(item, keys)).collect())
}

fn item_path(item: &Value, keys: &[ItemKey]) -> Option<String> {
    let mut named = Map::new();
    for (key, otherwise) in keys {
        let value = item.get(key).cloned().or_else(|| otherwise.map(Value::from))?;
        named.insert((*key).to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(named)))
}

impl Owned {
    /// Everything that an object names.
    pub(super) fn of(kind: &ResourceKind, applied: &Value) -> Self {
        let mut owned = Self::default();
        owned.take(kind, "", applied, &mut Vec::new());
        // An object that names nothing.
        owned.0.remove(&Vec::new());
        owned
    }

    fn take(&mut self, kind: &ResourceKind, field: &str, value: &Value, path: &mut Vec<String>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (key, inner) in members {
                    path.push(format!("f:{key}"));
                    self.take(kind, key, inner, path);
                    path.pop();
                }
            }
            Value::Array(list) if !list.is_empty() => match items(kind, field, list) {
                Some(names) => {
                    for (name, item) in names.into_iter().zip(list) {
                        path.push(name);
                        self.0.insert(path.iter().cloned().chain([".".to_owned()]).collect());
                        self.take(kind, "", item, path);
                        path.pop();
                    }
                }
                None => drop(self.0.insert(path.clone())),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                self.0.insert(path.clone());
            }
        }
    }

    /// As `fieldsV1` has it.
    pub(super) fn to_fields(&self) -> Value {
        let mut fields = json!({});
        for path in &self.0 {
            let mut place = &mut fields;
            for part in path {
                let Some(members) = place.as_object_mut() else { break };
                place = members.entry(part.clone()).or_insert_with(|| json!({}));
            }
        }
        fields
    }

    /// From `fieldsV1`.
    pub(super) fn from_fields(fields: &Value) -> Self {
        fn walk(fields: &Value, path: &mut Vec<String>, owned: &mut Owned) {
            match fields.as_object().filter(|members| !members.is_empty()) {
                None => drop(owned.0.insert(path.clone())),
                Some(members) => {
                    for (part, inner) in members {
                        path.push(part.clone());
                        walk(inner, path, owned);
                        path.pop();
                    }
                }
            }
        }
        let mut owned = Self::default();
        if fields.as_object().is_some_and(|members| !members.is_empty()) {
            walk(fields, &mut Vec::new(), &mut owned);
        }
        owned
    }
}

/// The value at the end of a path.
pub(super) fn at<'a>(kind: &ResourceKind, object: &'a Value, path: &[String]) -> Option<&'a Value> {
    let mut place = object;
    let mut field = "";
    for part in path {
        if let Some(key) = part.strip_prefix("f:") {
            place = place.get(key)?;
            field = key;
        } else if part.starts_with("k:") {
            let list = place.as_array()?;
            place = list.get(items(kind, field, list)?.iter().position(|name| name == part)?)?;
        }
    }
    Some(place)
}

/// Takes the value at the end of a path away; of a list's item, the item.
pub(super) fn remove(kind: &ResourceKind, object: &mut Value, path: &[String]) {
    remove_in(kind, "", object, path);
}

fn remove_in(kind: &ResourceKind, field: &str, place: &mut Value, path: &[String]) {
    let Some((part, rest)) = path.split_first() else { return };
    if let Some(key) = part.strip_prefix("f:") {
        let Some(members) = place.as_object_mut() else { return };
        if rest.is_empty() {
            members.remove(key);
        } else if let Some(inner) = members.get_mut(key) {
            remove_in(kind, key, inner, rest);
            if inner.as_array().is_some_and(Vec::is_empty) {
                members.remove(key);
            }
        }
        return;
    }
    let Some(list) = place.as_array_mut() else { return };
    let Some(index) = items(kind, field, list).and_then(|names| names.iter().position(|name| name == part)) else { return };
    if rest == ["."] {
        list.remove(index);
    } else if let Some(item) = list.get_mut(index) {
        remove_in(kind, "", item, rest);
    }
}
