//! A document against the schema of its kind: what an API server would refuse or silently drop, with its place.
//!
//! In: the schema that the CRD carries, and a value. Out: [`Structure`]: refusals, and strings that miss their pattern kept
//! apart, because [`super::validate`] can mostly say better what is wrong with them. Invariants: stricter than an API server
//! only in that unknown fields are refused and not dropped; recursion ends with the schema's depth. What is not here: CEL rules
//! (their meaning is in [`super::validate`], each with the same words).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::{Map, Value};

use super::{manifests, schema};
pub use crate::model::near::closest;
use crate::model::refusal::Refusal;

/// What the schema says of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Structure {
    /// What stands in the wrong place, has the wrong type, is missing, or is too much.
    pub refusals: Vec<Refusal>,
    /// Strings that do not match their pattern.
    pub mismatches: Vec<Refusal>,
}

/// Longest text that is a code.
const CODE_LENGTH_MAX: i64 = 3;
static SCHEMAS: LazyLock<BTreeMap<String, JSONSchemaProps>> = LazyLock::new(|| {
    let schema_of = |crd: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let version = crd.spec.versions.into_iter().next()?;
        Some((crd.spec.names.kind, version.schema?.open_api_v3_schema?))
    };
    manifests::crds().into_iter().filter_map(schema_of).collect()
});

static PATTERNS: LazyLock<BTreeMap<&str, Regex>> = LazyLock::new(|| {
    let mut patterns = BTreeMap::new();
    SCHEMAS.values().for_each(|schema| collect_patterns(schema, &mut patterns));
    patterns
});

fn collect_patterns<'a>(schema: &'a JSONSchemaProps, patterns: &mut BTreeMap<&'a str, Regex>) {
    if let Some(pattern) = schema.pattern.as_deref().filter(|pattern| !patterns.contains_key(pattern)) {
        patterns.extend(Regex::new(pattern).ok().map(|compiled| (pattern, compiled)));
    }
    children(schema).for_each(|child| collect_patterns(child, patterns));
}

/// The schemas of fields, items and values.
fn children(schema: &JSONSchemaProps) -> impl Iterator<Item = &JSONSchemaProps> {
    let items = match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(&**items),
        Some(JSONSchemaPropsOrArray::Schemas(_)) | None => None,
    };
    let values = match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(&**values),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
    };
    schema.properties.iter().flat_map(BTreeMap::values).chain(items).chain(values)
}

/// The schema of a kind of ours.
#[must_use]
pub fn schema_of(kind: &str) -> Option<&'static JSONSchemaProps> {
    SCHEMAS.get(kind)
}

/// The schema of its spec.
#[must_use]
pub fn spec_schema(kind: &str) -> Option<&'static JSONSchemaProps> {
    schema_of(kind)?.properties.as_ref()?.get("spec")
}

/// Holds `spec` against the schema of `kind`; paths begin with `spec`.
#[must_use]
pub fn check_spec(kind: &str, object: &str, spec: &Value) -> Structure {
    let mut walk = Walk { object, found: Structure::default() };
    match spec_schema(kind) {
        Some(_) if spec.is_null() => walk.refuse("Missing", "spec", "spec is missing".to_owned()),
        Some(schema) => walk.value(schema, spec, "spec"),
        None => {}
    }
    walk.found
}

/// Whether the schema leaves what stands at `path` to whoever writes it, as in a patch.
#[must_use]
pub fn is_free(kind: &str, path: &str) -> bool {
    let mut here = schema_of(kind);
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        let Some(schema) = here else { return false };
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            return true;
        }
        let field = schema.properties.as_ref().and_then(|fields| fields.get(step));
        here = field.or_else(|| children(schema).last().filter(|_| schema.properties.is_none()));
    }
    here.is_some_and(|schema| schema.x_kubernetes_preserve_unknown_fields == Some(true))
}

/// Removes every `null` from `spec` where the schema has a field for it, as an API server does before it stores an object.
pub fn prune_nulls(kind: &str, spec: &mut Value) {
    if let Some(schema) = spec_schema(kind) {
        prune(schema, spec);
    }
}

fn prune(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let known = schema.properties.as_ref();
            fields.retain(|name, value| !value.is_null() || known.is_none_or(|known| !known.contains_key(name)));
            for (name, value) in fields {
                if let Some(schema) = known.and_then(|known| known.get(name)) {
                    prune(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                for item in items {
                    prune(schema, item);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Walk<'a> {
    object: &'a str,
    found: Structure,
}

impl Walk<'_> {
    fn refuse(&mut self, reason: &str, path: &str, message: String) {
        self.found.refusals.push(Refusal::new(reason, self.object, path, message));
    }

    fn value(&mut self, schema: &JSONSchemaProps, value: &Value, path: &str) {
        let expected = schema.type_.as_deref().unwrap_or_default();
        match (expected, value) {
            ("object", Value::Object(fields)) => self.object(schema, fields, path),
            ("array", Value::Array(items)) => self.list(schema, items, path),
            ("string", Value::String(text)) => self.text(schema, text, path),
            ("integer", Value::Number(number)) if number.is_i64() => self.integer(schema, number.as_i64(), path),
            ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) | ("", _) => {}
            (_, found) => self.refuse("WrongType", path, wrong_type(schema, found)),
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, fields: &Map<String, Value>, path: &str) {
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            return;
        }
        let none = BTreeMap::new();
        let known = schema.properties.as_ref().unwrap_or(&none);
        let max = schema.max_properties.unwrap_or(i64::MAX);
        if count(fields.len()) > max {
            self.refuse("TooMany", path, format!("{} entries, at most {max}: remove some", fields.len()));
        }
        for (name, value) in fields {
            let here = field_path(path, name);
            match (known.get(name), &schema.additional_properties) {
                // A field's null is taken away, a map's is kept: there it stands for a value.
                (None, Some(JSONSchemaPropsOrBool::Schema(schema))) => self.value(schema, value, &here),
                _ if value.is_null() => {}
                (Some(schema), _) => self.value(schema, value, &here),
                (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
                (None, None | Some(JSONSchemaPropsOrBool::Bool(false))) => {
                    self.refuse("UnknownField", &here, unknown(name, known.keys().map(String::as_str)));
                }
            }
        }
        for name in schema.required.iter().flatten().filter(|&name| fields.get(name).is_none_or(Value::is_null)) {
            let says = known.get(name).and_then(|schema| schema.description.as_deref()).unwrap_or_default();
            self.refuse("Missing", &format!("{path}.{name}"), format!("{name} is missing. {}", first_sentence(says)));
        }
    }

    fn list(&mut self, schema: &JSONSchemaProps, items: &[Value], path: &str) {
        let (min, max) = (schema.min_items.unwrap_or(0), schema.max_items.unwrap_or(i64::MAX));
        if count(items.len()) > max {
            return self.refuse("TooMany", path, format!("{} entries, at most {max}: remove some", items.len()));
        }
        if count(items.len()) < min {
            self.refuse("TooFew", path, format!("{} entries, at least {min}: add what is missing", items.len()));
        }
        if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.value(schema, item, &format!("{path}[{index}]"));
            }
        }
        self.distinct(schema, items, path);
    }

    /// Keys of a `map`, values of a `set`.
    fn distinct(&mut self, schema: &JSONSchemaProps, items: &[Value], path: &str) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let key = schema.x_kubernetes_list_map_keys.as_ref().and_then(|keys| keys.first());
        for (index, item) in items.iter().enumerate() {
            let (value, here) = match (schema.x_kubernetes_list_type.as_deref(), key) {
                (Some("map"), Some(key)) => (item.get(key), format!("{path}[{index}].{key}")),
                (Some("set"), _) => (Some(item), format!("{path}[{index}]")),
                _ => continue,
            };
            let Some(value) = value.filter(|value| !value.is_object() && !value.is_null()) else { continue };
            match seen.get(&value.to_string()) {
                Some(first) => self.refuse(
                    "Duplicate",
                    &here,
                    format!("{value} stands already at {path}[{first}]: keep one, or choose another name"),
                ),
                None => drop(seen.insert(value.to_string(), index)),
            }
        }
    }

    fn text(&mut self, schema: &JSONSchemaProps, text: &str, path: &str) {
        let length = count(text.chars().count());
        let max = schema.max_length.unwrap_or(i64::MAX);
        let words: Vec<&str> = schema.enum_.iter().flatten().filter_map(|word| word.0.as_str()).collect();
        if length > max {
            // So few characters are a code, which nobody shortens.
            let form = schema.pattern.as_deref().and_then(schema::form_of).filter(|_| max <= CODE_LENGTH_MAX);
            let advice = form.map_or("shorten it".to_owned(), |form| format!("write {form}"));
            self.refuse("TooLong", path, format!("{length} characters, at most {max}: {advice}"));
        } else if length < schema.min_length.unwrap_or(0) {
            self.refuse("Empty", path, "is empty: write something, or remove it".to_owned());
        } else if !words.is_empty() && !words.contains(&text) {
            self.refuse("NotAllowed", path, format!("{text:?} is not possible here: write {}", any_of(&words)));
        } else if !schema.pattern.as_deref().is_none_or(|pattern| matches(pattern, text)) {
            let form = schema.pattern.as_deref().and_then(schema::form_of).unwrap_or("what its documentation says");
            let message = format!("{text:?} does not have the form that is expected: write {form}");
            self.found.mismatches.push(Refusal::new("BadForm", self.object, path, message));
        }
    }

    fn integer(&mut self, schema: &JSONSchemaProps, number: Option<i64>, path: &str) {
        let Some(number) = number else { return };
        let (min, max) = (schema.minimum.unwrap_or(f64::MIN), schema.maximum.unwrap_or(f64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "a schema's bounds are floats; its integers are small")]
        if (number as f64) < min || (number as f64) > max {
            self.refuse("OutOfRange", path, format!("{number} is out of range: write {min} to {max}"));
        }
    }
}

fn wrong_type(schema: &JSONSchemaProps, found: &Value) -> String {
    let expected = schema.type_.as_deref().unwrap_or_default();
    let form = schema.pattern.as_deref().filter(|pattern| !matches(pattern, &found.to_string())).and_then(schema::form_of);
    let found_name = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    match (expected, found) {
        ("string", Value::Bool(_) | Value::Number(_)) => match form {
            Some(form) => format!("a text is expected here, not {found_name}: write {form}"),
            None => format!("a text is expected here, not {found_name}: put what is written in quotes"),
        },
        ("integer", Value::Number(_)) => "a whole number of at most 64 bits is expected here: write one".to_owned(),
        ("string", _) => format!("a text is expected here, not {found_name}"),
        ("object", _) => format!("an object is expected here, not {found_name}"),
        ("array", _) => format!("a list is expected here, not {found_name}"),
        ("integer", _) => format!("a whole number is expected here, not {found_name}"),
        _ => format!("{expected} is expected here, not {found_name}"),
    }
}

/// Why a field may not stand where it stands, with the word that was probably meant.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match closest(name, known.iter().copied()) {
        Some(meant) => format!("there is no field {name:?} here; did you mean {meant}?"),
        None => format!("there is no field {name:?} here; there may be {}", any_of(&known)),
    }
}

/// `a, b or c`.
pub(crate) fn any_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

fn matches(pattern: &str, text: &str) -> bool {
    PATTERNS.get(pattern).is_some_and(|pattern| pattern.is_match(text))
}

/// The path of a field of what stands at `path`: `spec.steps`, `metadata.labels["a.b/c"]`.
#[must_use]
pub fn field_path(path: &str, name: &str) -> String {
    match (path, is_plain(name)) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{name:?}]"),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
