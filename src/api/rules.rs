//! The CRDs' own CEL rules, run without an API server.
//!
//! In: a kind, a spec that its schema accepts ([`super::structure`] first: it bounds every size, and with it the cost of the rules; the
//! rules themselves are ours), and the spec before, for rules about a change. Out: every rule that was judged and where, or the refusals
//! only. Invariants: a rule that cannot be evaluated refuses, as on an API server. What is not here: words that are better than the
//! rule's own ([`super::validate`] mostly has some), and other people's expressions.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, Program, Value as Cel};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value;

use super::expression::words;
use super::structure::spec_schema;
use crate::model::refusal::Refusal;

/// One rule, judged at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The field that the rule speaks of.
    pub path: String,
    /// The expression.
    pub rule: &'static str,
    /// What it says when it does not hold.
    pub message: &'static str,
    /// Whether it holds, or why nobody can say.
    pub holds: Result<bool, String>,
}

/// Judges every rule of a kind over a spec, and over its change when there is a spec before.
#[must_use]
pub fn judged(kind: &str, spec: &Value, before: Option<&Value>) -> Vec<Judged> {
    let mut found = Vec::new();
    if let Some(schema) = spec_schema(kind) {
        walk(schema, spec, before, "spec", &mut found);
    }
    found
}

/// What the rules refuse in a spec that is written for the first time.
#[must_use]
pub fn refusals(kind: &str, object: &str, spec: &Value) -> Vec<Refusal> {
    let broken = judged(kind, spec, None).into_iter().filter(|judged| judged.holds != Ok(true));
    let refusal = |judged: Judged| {
        let message = match &judged.holds {
            Ok(_) => format!("{}; an API server refuses it by its rule {}", judged.message, judged.rule),
            Err(error) => format!("{}; the rule {} cannot be judged: {error}", judged.message, judged.rule),
        };
        Refusal::new("BreaksRule", object, &judged.path, message)
    };
    broken.map(refusal).collect()
}

/// Every rule of a kind with the place of its schema, `[]` standing for an item.
#[must_use]
pub fn rules(kind: &str) -> Vec<(String, &'static str)> {
    fn collect(schema: &'static JSONSchemaProps, path: &str, found: &mut Vec<(String, &'static str)>) {
        found.extend(schema.x_kubernetes_validations.iter().flatten().map(|rule| (path.to_owned(), rule.rule.as_str())));
        for (name, schema) in schema.properties.iter().flatten() {
            collect(schema, &format!("{path}.{name}"), found);
        }
        if let Some(schema) = items(schema).or_else(|| values(schema)) {
            collect(schema, &format!("{path}[]"), found);
        }
    }
    let mut found = Vec::new();
    if let Some(schema) = spec_schema(kind) {
        collect(schema, "spec", &mut found);
    }
    found
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(items),
        Some(JSONSchemaPropsOrArray::Schemas(_)) | None => None,
    }
}

fn values(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(values),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
    }
}

/// As deep as the schema.
fn walk(schema: &'static JSONSchemaProps, value: &Value, before: Option<&Value>, path: &str, found: &mut Vec<Judged>) {
    judge(schema, value, before, path, found);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                let known = schema.properties.as_ref().and_then(|known| known.get(name));
                let Some(schema) = known.or_else(|| values(schema)) else { continue };
                walk(schema, value, before.and_then(|before| before.get(name)), &format!("{path}.{name}"), found);
            }
        }
        Value::Array(list) => {
            let Some(schema) = items(schema) else { return };
            for (index, item) in list.iter().enumerate() {
                // Items of a map are the same item when their key is; ours are told apart by place, which no rule of a change looks at.
                walk(schema, item, before.and_then(|before| before.get(index)), &format!("{path}[{index}]"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn judge(schema: &'static JSONSchemaProps, value: &Value, before: Option<&Value>, path: &str, found: &mut Vec<Judged>) {
    let Some(rules) = schema.x_kubernetes_validations.as_ref().filter(|rules| !rules.is_empty()) else { return };
    let mut context = Context::default();
    context.add_function("duration", duration);
    context.add_variable_from_value("self", cel(value));
    if let Some(before) = before {
        context.add_variable_from_value("oldSelf", cel(before));
    }
    for rule in rules.iter().filter(|rule| before.is_some() || !rule.rule.contains("oldSelf")) {
        let path = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
        let message = rule.message.as_deref().unwrap_or_default();
        found.push(Judged { path, rule: &rule.rule, message, holds: holds(rule, &context) });
    }
}

static PROGRAMS: LazyLock<BTreeMap<String, Result<Program, String>>> = LazyLock::new(|| {
    let kinds = ["OfficeCalendar", "PublicService", "Runbook", "Intervention"];
    let all = kinds.iter().flat_map(|kind| rules(kind)).map(|(_, rule)| rule);
    all.map(|rule| (rule.to_owned(), Program::compile(rule).map_err(|error| error.to_string()))).collect()
});

fn holds(rule: &ValidationRule, context: &Context<'_>) -> Result<bool, String> {
    let program = match PROGRAMS.get(&rule.rule) {
        Some(Ok(program)) => program,
        Some(Err(error)) => return Err(error.clone()),
        None => return Err("it was not compiled".to_owned()),
    };
    match program.execute(context) {
        Ok(Cel::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("it gives a {}", other.type_of())),
        Err(error) => Err(words(&error)),
    }
}

/// JSON as an API server shows it to a rule: whole numbers are ints, fields with reserved names are escaped.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        Value::Number(number) => number.as_i64().map_or_else(|| Cel::Float(number.as_f64().unwrap_or(f64::NAN)), Cel::Int),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(cel).collect())),
        Value::Object(fields) => {
            let present = fields.iter().filter(|(_, value)| !value.is_null());
            let fields = present.map(|(name, value)| (Key::from(escaped(name)), cel(value)));
            Cel::Map(Map { map: Arc::new(fields.collect()) })
        }
    }
}

/// Names that CEL keeps for itself. Source: Kubernetes, "Validation rules", escaping.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

fn escaped(name: &str) -> String {
    if RESERVED.contains(&name) { format!("__{name}__") } else { name.to_owned() }
}

/// CEL's `duration` as an API server has it, which is Go's `time.ParseDuration`: the whole text, a sign, nanoseconds that fit 64 bits.
#[allow(clippy::needless_pass_by_value, reason = "the signature that a function of CEL has")]
fn duration(text: Arc<String>) -> Result<Cel, ExecutionError> {
    let fail = || ExecutionError::function_error("duration", format!("{text:?} is not a duration"));
    let nanos = go_duration(&text).ok_or_else(fail)?;
    Ok(Cel::Duration(chrono::TimeDelta::nanoseconds(nanos)))
}

fn go_duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i64 = if rest.is_empty() { return None } else { 0 };
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let part = number.parse::<f64>().ok()? * nanos;
        #[expect(clippy::cast_possible_truncation, reason = "bounded in this condition; below a nanosecond Go cuts too")]
        let part = if part < 9.2e18 { part as i64 } else { return None };
        total = total.checked_add(part)?;
        rest = after;
    }
    Some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::{escaped, go_duration};

    #[test]
    fn durations_are_gos() {
        for (text, nanos) in
            [("1h30m", Some(5_400_000_000_000)), ("+1.5s", Some(1_500_000_000)), ("-2µs", Some(-2000)), ("0", Some(0))]
        {
            assert_eq!(go_duration(text), nanos, "{text}");
        }
        for text in ["", "-", "1", "1h30", "1d", "1hx", ".h", "1..5s", "9999999999h", " 1h", "inf", "2562047h2562047h"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
        assert_eq!(escaped("namespace"), "__namespace__");
    }
}
