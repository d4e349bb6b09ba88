//! Label and field selectors, as lists and watches take them.
//!
//! In: the texts of `labelSelector` and `fieldSelector`. Out: whether an object is selected.
//! Invariants: an absent label satisfies `!=` and `notin`, as in Kubernetes.
//! Not here: fields beyond name, namespace and the few of Pods and Events.

use std::collections::BTreeMap;

use serde_json::Value;

use super::failure::Failure;
use super::fields;
use super::kinds::ResourceKind;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    path: Vec<String>,
    value: String,
    equal: bool,
}

/// What to select; nothing said selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<Label>,
    fields: Vec<Field>,
}

impl Selector {
    /// # Errors
    /// 400 for a selector that cannot be read, or a field that cannot be selected on.
    pub(super) fn parse(kind: &ResourceKind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = split(labels).into_iter().map(label).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(|text| field(kind, text)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = fields::strings(object, &["metadata", "labels"]);
        self.labels.iter().all(|label| label.holds(&labels)) && self.fields.iter().all(|field| field.holds(object))
    }
}

impl Label {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
        }
    }
}

impl Field {
    fn holds(&self, object: &Value) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        (fields::text(object, &path) == self.value) == self.equal
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = text.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn label(text: &str) -> Result<Label, Failure> {
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(Label::NotIn(key.trim().to_owned(), one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Label::In(key.trim().to_owned(), one(value)));
    }
    let Some((head, values)) = text.split_once('(') else {
        let absent = text.strip_prefix('!').map(|key| Label::Absent(key.trim().to_owned()));
        let label = absent.unwrap_or_else(|| Label::Exists(text.to_owned()));
        return if text.contains(' ') { Err(unreadable(text)) } else { Ok(label) };
    };
    let values = values.trim_end_matches(')').split(',').map(|value| value.trim().to_owned()).collect();
    match head.split_whitespace().collect::<Vec<_>>().as_slice() {
        [key, "in"] => Ok(Label::In((*key).to_owned(), values)),
        [key, "notin"] => Ok(Label::NotIn((*key).to_owned(), values)),
        _ => Err(unreadable(text)),
    }
}

fn field(kind: &ResourceKind, text: &str) -> Result<Field, Failure> {
    let (path, value, equal) = if let Some((path, value)) = text.split_once("!=") {
        (path, value, false)
    } else {
        let (path, value) = text.split_once("==").or_else(|| text.split_once('=')).ok_or_else(|| unreadable(text))?;
        (path, value, true)
    };
    let more: &[&str] = match kind.plural.as_str() {
        "pods" => &["status.phase", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName"],
        "events" => {
            &["reason", "type", "involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.uid"]
        }
        _ => &[],
    };
    if !["metadata.name", "metadata.namespace"].iter().chain(more).any(|known| *known == path) {
        return Err(Failure::bad_request(format!("field label not supported: {path}")));
    }
    Ok(Field { path: path.split('.').map(str::to_owned).collect(), value: value.to_owned(), equal })
}

fn unreadable(text: &str) -> Failure {
    Failure::bad_request(format!("unable to parse requirement: {text:?}"))
}
