//! A stand-in for a document that cannot be read, so that the rest of it can be judged too.
//!
//! In: a spec that [`super::structure`] refuses. Out: one that can be read: what is missing, of the wrong type or no known word is
//! replaced by something plain. Invariants: only ever used to find more problems, never as what somebody meant; whoever uses
//! it drops what is said about the replaced places. What is not here: the refusals themselves.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value};

/// The readable stand-in.
#[must_use]
pub fn repaired(schema: &JSONSchemaProps, value: &Value) -> Value {
    match (schema.type_.as_deref().unwrap_or_default(), value) {
        ("object", Value::Object(fields)) => Value::Object(object(schema, fields)),
        ("object", _) => Value::Object(object(schema, &Map::new())),
        ("array", Value::Array(items)) => Value::Array(items.iter().map(|item| of_item(schema, item)).collect()),
        ("array", _) => Value::Array(Vec::new()),
        ("string", Value::String(text)) => Value::String(word(schema, text)),
        ("string", Value::Number(_) | Value::Bool(_)) => Value::String(word(schema, &value.to_string())),
        ("string", _) => Value::String(word(schema, "")),
        ("integer", Value::Number(number)) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => {
            value.clone()
        }
        ("integer", _) => Value::from(1),
        ("boolean", Value::Bool(_)) => value.clone(),
        ("boolean", _) => Value::Bool(false),
        (_, _) => value.clone(),
    }
}

fn object(schema: &JSONSchemaProps, fields: &Map<String, Value>) -> Map<String, Value> {
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return fields.clone();
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return fields.iter().map(|(name, value)| (name.clone(), repaired(values, value))).collect();
    }
    let required: Vec<&String> = schema.required.iter().flatten().collect();
    let field = |(name, schema): (&String, &JSONSchemaProps)| match fields.get(name).filter(|value| !value.is_null()) {
        Some(value) => Some((name.clone(), repaired(schema, value))),
        None if required.contains(&name) => Some((name.clone(), repaired(schema, &Value::Null))),
        None => None,
    };
    schema.properties.iter().flatten().filter_map(field).collect()
}

fn of_item(schema: &JSONSchemaProps, item: &Value) -> Value {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(schema)) => repaired(schema, item),
        Some(JSONSchemaPropsOrArray::Schemas(_)) | None => item.clone(),
    }
}

/// The text, or the first of the words that are possible.
fn word(schema: &JSONSchemaProps, text: &str) -> String {
    let mut words = schema.enum_.iter().flatten().filter_map(|word| word.0.as_str()).peekable();
    let first = words.peek().copied();
    if first.is_none() || words.any(|word| word == text) { text.to_owned() } else { first.unwrap_or(text).to_owned() }
}
