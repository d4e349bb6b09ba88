//! A JSON document → one of our raw objects, strictly: what is not known is refused, never dropped.
//!
//! In: one document that a person wrote, already parsed. Out: [`Document`], or every problem at once, those of
//! [`super::validate`] included as far as the document can be read. Invariants: a `status` in the document is ignored (it is never
//! read back). What is not here: files, YAML, line numbers ([`crate::cli`]).

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::structure::{self, any_of, unknown};
use super::{GROUP, Intervention, OfficeCalendar, PublicService, Runbook, VERSION};
use super::{repair, validate};
use crate::model::near::letters_apart;
use crate::model::reference::{is_label, is_subdomain};
use crate::model::refusal::Refusal;

/// The kinds of the group.
const KINDS: [&str; 4] = ["OfficeCalendar", "PublicService", "Runbook", "Intervention"];

/// One object of ours, raw.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// When doors are open.
    Calendar(Box<OfficeCalendar>),
    /// A service people use.
    Service(Box<PublicService>),
    /// The work of a night.
    Runbook(Box<Runbook>),
    /// One night.
    Intervention(Box<Intervention>),
}

/// Whether the document says that it belongs to our group, in whatever version.
#[must_use]
pub fn is_ours(document: &Value) -> bool {
    let group = document.get("apiVersion").and_then(Value::as_str).and_then(|text| text.split_once('/'));
    group.is_some_and(|(group, _)| group == GROUP)
}

/// A document of another group, or of none, that was probably meant to be ours: by its group, or by a kind of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// Its group is ours but for a few letters, or but for its ending; or it has no group and a kind of ours.
    ByGroup,
    /// Only its kind is ours: another program may have one of that name.
    ByKind,
}

/// Whether a document that is not of our group was probably meant to be.
#[must_use]
pub fn is_meant_for_us(api_version: &str, kind: &str) -> Option<Meant> {
    let (group, is_bare) = api_version.split_once('/').map_or((api_version, true), |(group, _)| (group, false));
    let group: String = group.to_lowercase().chars().take(GROUP.len() * 2).collect();
    let is_near = letters_apart(&group, GROUP) <= 2 || group.split('.').next() == GROUP.split('.').next();
    let is_kind_of_ours = KINDS.contains(&kind);
    match (is_near, is_kind_of_ours) {
        (true, _) => Some(Meant::ByGroup),
        (false, true) if is_bare => Some(Meant::ByGroup),
        (false, true) => Some(Meant::ByKind),
        (false, false) => None,
    }
}

/// Why nothing of such a document is read.
#[must_use]
pub fn not_ours(api_version: &str, kind: &str) -> String {
    let shown: String = api_version.chars().take(80).collect();
    format!("{shown:?} is not {GROUP}/{VERSION}, so nothing of this {kind} is read: write apiVersion: {GROUP}/{VERSION}")
}

/// Reads one document of our group.
///
/// # Errors
/// Every problem of the document: its kind and version, fields that nobody knows, wrong types, what is missing or too much, and,
/// where the rest can be read, what [`super::validate`] finds.
pub fn from_value(document: Value) -> Result<Document, Vec<Refusal>> {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let object = object_of(&kind, &document);
    let mut found = head(&kind, &object, &document);
    if !found.is_empty() {
        return Err(found);
    }
    found.extend(metadata(&kind, &object, document.get("metadata")));
    found.extend(top_level(&object, &document));
    let structure = structure::check_spec(&kind, &object, document.get("spec").unwrap_or(&Value::Null));
    found.extend(structure.refusals);
    if found.is_empty() {
        return typed(&kind, &object, document).map_err(|unreadable| vec![unreadable]);
    }
    // The rest of a document that is refused anyway, for people who want to mend it in one go.
    let readable = typed(&kind, &object, stand_in(&kind, document));
    let more = readable.as_ref().map(semantic).unwrap_or_default();
    Err(validate::merged(found, more, structure.mismatches))
}

/// A document that is refused, as far as it can be read: what cannot is replaced. Only ever used to find more problems.
#[must_use]
pub fn in_part(document: Value) -> Option<Document> {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let object = object_of(&kind, &document);
    if !head(&kind, &object, &document).is_empty() {
        return None;
    }
    typed(&kind, &object, stand_in(&kind, document)).ok()
}

fn stand_in(kind: &str, mut document: Value) -> Value {
    let spec = document.get("spec").cloned().unwrap_or_default();
    if let (Some(schema), Some(fields)) = (structure::spec_schema(kind), document.as_object_mut()) {
        fields.insert("spec".to_owned(), repair::repaired(schema, &spec));
    }
    document
}

/// `Kind/namespace/name`, as far as they are known.
fn object_of(kind: &str, document: &Value) -> String {
    let of = |field: &str| document.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
    let kind = if kind.is_empty() { "?" } else { kind };
    let namespace = of("namespace").filter(|namespace| !namespace.is_empty()).unwrap_or(validate::DEFAULT_NAMESPACE);
    validate::object_name(kind, (kind != "OfficeCalendar").then_some(namespace), of("name").unwrap_or("?"))
}

fn head(kind: &str, object: &str, document: &Value) -> Vec<Refusal> {
    let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let ours = format!("{GROUP}/{VERSION}");
    let mut found = Vec::new();
    if version != ours {
        let message = format!("{version:?} is not a version that this program knows: write {ours}");
        found.push(Refusal::new("UnknownVersion", object, "apiVersion", message));
    }
    if !KINDS.contains(&kind) {
        let hint = match structure::closest(kind, KINDS.into_iter()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("there are {}", any_of(&KINDS).replace(" or ", " and ")),
        };
        found.push(Refusal::new("UnknownKind", object, "kind", format!("{GROUP} has no kind {kind:?}; {hint}")));
    }
    found
}

const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "finalizers",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

fn metadata(kind: &str, object: &str, metadata: Option<&Value>) -> Vec<Refusal> {
    let Some(Value::Object(fields)) = metadata else {
        return vec![Refusal::new("Missing", object, "metadata.name", "the object has no name: write metadata.name".to_owned())];
    };
    let mut found: Vec<Refusal> = fields
        .keys()
        .filter(|name| !METADATA.contains(&name.as_str()))
        .map(|name| Refusal::new("UnknownField", object, &format!("metadata.{name}"), unknown(name, METADATA.into_iter())))
        .collect();
    let mut refuse = |reason: &str, field: &str, message: &str| {
        found.push(Refusal::new(reason, object, &format!("metadata.{field}"), message.to_owned()));
    };
    for field in ["name", "namespace"] {
        if fields.get(field).is_some_and(|value| !value.is_string() && !value.is_null()) {
            refuse("WrongType", field, "a text is expected here: put what is written in quotes");
        }
    }
    for field in ["labels", "annotations"] {
        match fields.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Object(marks)) => {
                for (key, _) in marks.iter().filter(|(_, value)| !value.is_string()) {
                    let here = structure::field_path(field, key);
                    refuse("WrongType", &here, "a text is expected here: put what is written in quotes");
                }
            }
            Some(_) => refuse("WrongType", field, "texts by name are expected here, as {app: sportello}"),
        }
    }
    match fields.get("name").and_then(Value::as_str) {
        None if fields.get("name").is_some_and(|name| !name.is_null()) => {}
        None => refuse("Missing", "name", "the object has no name: write metadata.name"),
        Some(name) if !is_subdomain(name) => {
            refuse("BadName", "name", "an object's name has small letters, digits, '-' and '.', at most 253 of them");
        }
        Some(_) => {}
    }
    match (kind, fields.get("namespace").and_then(Value::as_str)) {
        ("OfficeCalendar", Some(_)) => {
            refuse("UnknownField", "namespace", "an OfficeCalendar belongs to the whole cluster: remove it");
        }
        (_, Some(namespace)) if !is_label(namespace) => {
            refuse("BadName", "namespace", "a namespace has small letters, digits and '-', at most 63 of them");
        }
        (_, Some(_) | None) => {}
    }
    found
}

fn top_level(object: &str, document: &Value) -> Vec<Refusal> {
    const KNOWN: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    let fields = document.as_object().into_iter().flatten().map(|(name, _)| name);
    let strange = fields.filter(|name| !KNOWN.contains(&name.as_str()));
    strange.map(|name| Refusal::new("UnknownField", object, name, unknown(name, KNOWN.into_iter()))).collect()
}

fn typed(kind: &str, object: &str, mut document: Value) -> Result<Document, Refusal> {
    if let Some(fields) = document.as_object_mut() {
        fields.remove("status");
        if let Some(spec) = fields.get_mut("spec") {
            structure::prune_nulls(kind, spec);
        }
    }
    match kind {
        "OfficeCalendar" => read(object, document).map(Document::Calendar),
        "PublicService" => read(object, document).map(Document::Service),
        "Runbook" => read(object, document).map(Document::Runbook),
        _ => read(object, document).map(Document::Intervention),
    }
}

fn read<T: DeserializeOwned>(object: &str, document: Value) -> Result<Box<T>, Refusal> {
    serde_json::from_value(document).map(Box::new).map_err(|error| Refusal::new("Unreadable", object, "", error.to_string()))
}

fn semantic(document: &Document) -> Vec<Refusal> {
    match document {
        Document::Calendar(raw) => validate::calendar(raw).err(),
        Document::Service(raw) => validate::service(raw).err(),
        Document::Runbook(raw) => validate::runbook(raw).err(),
        Document::Intervention(raw) => validate::intervention(raw).err(),
    }
    .unwrap_or_default()
}
