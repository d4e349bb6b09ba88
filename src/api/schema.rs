//! The small schemas from which the words on the wire are made: names, references, durations, moments, texts.
//!
//! In: nothing. Out: schemas for `#[schemars(schema_with)]`. Invariants: every string, list and map is bounded, so that the API
//! server accepts the cost of the CEL rules over them; no schema is `nullable`, so that an explicit `null` is pruned like an
//! absent field. What is not here: the sentences that explain a refusal ([`super::validate`] has them), whole objects.
#![allow(clippy::must_use_candidate, reason = "called by derived code")]

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::runbook::ParameterType;
use super::service::WhenDirty;
use crate::model::action::OnSilence;
use crate::model::phase::{Outcome, Phase};
use crate::model::runbook::{Mode, OnFutile, OnOverrun};
use crate::model::service::{DependencyMode, WhenRed};

/// Steps in a runbook.
pub const STEPS_MAX: usize = 256;
/// Services in any list of services.
const SERVICES_MAX: usize = 64;
/// Characters of a text for the public or for colleagues.
pub const TEXT_MAX: usize = 1024;
/// Characters of a parameter's or a variable's value.
const VALUE_MAX: usize = 1024;
/// Characters of what a status explains: with the lists below, a status stays well under what etcd takes.
pub const WHY_MAX: usize = 4096;
/// Entries of a status list other than steps and services.
pub const REPORTED_MAX: usize = 256;

/// RFC 1123 label: a namespace, a step, a closing.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// RFC 1123 subdomain: the name of an object.
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// `name` or `namespace/name`.
const REFERENCE: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// What Go's `time.ParseDuration` reads, without a minus sign.
const DURATION: &str = r"^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(h|m|s|ms|us|µs|μs|ns))+)$";
/// RFC 3339 with seconds and an explicit offset.
const MOMENT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$";
/// A civil day.
const DAY: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";
/// A day of every year, or one civil day.
const HOLIDAY: &str = "^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$";
/// A percentage above zero.
const PERCENTAGE: &str = "^([1-9][0-9]?|100)%$";
/// The name of an environment variable, as Kubernetes takes it.
const VARIABLE: &str = "^[-._a-zA-Z][-._a-zA-Z0-9]*$";
/// The name of a runbook's parameter.
const PARAMETER: &str = "^[a-zA-Z][a-zA-Z0-9_-]*$";
/// An address inside the cluster.
const ADDRESS: &str = r"^http://[^\s@#]+$";

/// A JSON pointer.
const POINTER: &str = r"^(/([^~/]|~0|~1)*)+$";
/// The version of an API.
const API_VERSION: &str = r"^([a-z0-9.-]+/)?v[0-9][a-z0-9]*$";
/// The kind of an object.
const KIND: &str = "^[A-Z][A-Za-z0-9]*$";
/// A country.
const COUNTRY: &str = "^[A-Z]{2}$";

/// What each pattern asks for, in words.
const FORMS: [(&str, &str); 15] = [
    (POINTER, "a JSON pointer such as /spec/replicas"),
    (LABEL, "small letters, digits and inner '-', at most 63 of them"),
    (SUBDOMAIN, "small letters, digits, inner '-' and '.', at most 253 of them"),
    (REFERENCE, "name or namespace/name, in small letters, digits, '-' and '.'"),
    (DURATION, "a duration such as 1h30m, 45m or 90s"),
    (MOMENT, "date, time with seconds, and offset, as 2023-02-10T00:30:00+01:00"),
    (DAY, "a day as 2027-02-09"),
    (HOLIDAY, "a day as 12-01 for every year, or 2027-02-09 for one"),
    (PERCENTAGE, "a share from 1% to 100%"),
    (VARIABLE, "letters, digits, '_', '-' and '.', no digit first"),
    (PARAMETER, "letters, digits, '_' and '-', a letter first"),
    (ADDRESS, "http://name.namespace:port/path"),
    (API_VERSION, "a group and a version such as apps/v1, or v1"),
    (KIND, "a kind such as Deployment"),
    (COUNTRY, "two capital letters such as IT"),
];

/// What a pattern asks for, in words.
#[must_use]
pub fn form_of(pattern: &str) -> Option<&'static str> {
    FORMS.iter().find(|(known, _)| *known == pattern).map(|(_, form)| *form)
}

fn string(length_max: usize, pattern: &str) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": length_max, "pattern": pattern})
}

fn list_of(length_max: usize, list_type: &str, items: &Schema) -> Schema {
    json_schema!({"type": "array", "maxItems": length_max, "x-kubernetes-list-type": list_type, "items": items})
}

fn words<T: Serialize>(words: &[T]) -> Schema {
    let words: Vec<Value> = words.iter().filter_map(|word| serde_json::to_value(word).ok()).collect();
    json_schema!({"type": "string", "enum": words})
}

/// A label.
pub fn label(_: &mut SchemaGenerator) -> Schema {
    string(63, LABEL)
}

/// An object's name.
pub fn name(_: &mut SchemaGenerator) -> Schema {
    string(253, SUBDOMAIN)
}

/// A reference to a service.
pub fn reference(_: &mut SchemaGenerator) -> Schema {
    string(317, REFERENCE)
}

/// Distinct references to services.
pub fn references(_: &mut SchemaGenerator) -> Schema {
    list_of(SERVICES_MAX, "set", &string(317, REFERENCE))
}

/// At least one reference to a service.
pub fn some_references(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = references(generator);
    schema.insert("minItems".to_owned(), 1.into());
    schema
}

/// Lists of references, in order.
pub fn waves(_: &mut SchemaGenerator) -> Schema {
    list_of(SERVICES_MAX, "atomic", &list_of(SERVICES_MAX, "atomic", &string(317, REFERENCE)))
}

/// Distinct labels of steps.
pub fn labels(_: &mut SchemaGenerator) -> Schema {
    list_of(STEPS_MAX, "set", &string(63, LABEL))
}

/// An elapsed time in Go syntax.
pub fn duration(_: &mut SchemaGenerator) -> Schema {
    string(64, DURATION)
}

/// A moment with its offset.
pub fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64, "pattern": MOMENT})
}

/// A civil day.
pub fn day(_: &mut SchemaGenerator) -> Schema {
    string(10, DAY)
}

/// A yearly or a single holiday.
pub fn holiday(_: &mut SchemaGenerator) -> Schema {
    string(10, HOLIDAY)
}

/// Text for people, one paragraph.
pub fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": TEXT_MAX})
}

/// A short free name: a duty, a group, a person.
pub fn title(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 253})
}

/// An explanation in a status.
pub fn why(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": WHY_MAX})
}

/// A value; it may be empty.
pub fn value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": VALUE_MAX})
}

/// Values by parameter.
pub fn values(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 64, "additionalProperties": value(generator)})
}

/// A regular expression.
pub fn expression(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 256})
}

/// Opening hours.
pub fn hours(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 1024})
}

/// An IANA time zone.
pub fn zone(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 64})
}

/// A country by its two letters.
pub fn country(_: &mut SchemaGenerator) -> Schema {
    string(2, COUNTRY)
}

/// The name of a parameter.
pub fn parameter(_: &mut SchemaGenerator) -> Schema {
    string(63, PARAMETER)
}

/// The name of an environment variable.
pub fn variable(_: &mut SchemaGenerator) -> Schema {
    string(253, VARIABLE)
}

/// The steps in which traffic returns.
pub fn ramp(_: &mut SchemaGenerator) -> Schema {
    list_of(10, "atomic", &string(4, PERCENTAGE))
}

/// An address to ask.
pub fn address(_: &mut SchemaGenerator) -> Schema {
    string(512, ADDRESS)
}

/// HTTP status codes.
pub fn codes(_: &mut SchemaGenerator) -> Schema {
    let mut schema = list_of(16, "set", &json_schema!({"type": "integer", "format": "int32", "minimum": 100, "maximum": 599}));
    schema.insert("minItems".to_owned(), 1.into());
    schema
}

/// Groups of people.
pub fn groups(_: &mut SchemaGenerator) -> Schema {
    let mut schema = list_of(16, "set", &json_schema!({"type": "string", "minLength": 1, "maxLength": 253}));
    schema.insert("minItems".to_owned(), 1.into());
    schema
}

/// `v1`, `apps/v1`.
pub fn api_version(_: &mut SchemaGenerator) -> Schema {
    string(317, API_VERSION)
}

/// A kind of object.
pub fn kind(_: &mut SchemaGenerator) -> Schema {
    string(63, KIND)
}

/// An object as written: a patch, a template.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Sync or Async.
pub fn dependency_mode(_: &mut SchemaGenerator) -> Schema {
    words(&[DependencyMode::Sync, DependencyMode::Async])
}

/// What becomes of half-done work.
pub fn when_dirty(_: &mut SchemaGenerator) -> Schema {
    words(&[WhenDirty::StayClosed, WhenDirty::OpenDegraded, WhenDirty::Open])
}

/// Any value.
pub fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// A place in an object.
pub fn pointer(_: &mut SchemaGenerator) -> Schema {
    string(1024, POINTER)
}

/// An expression over an object.
pub fn cel(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 1024})
}

/// The values that a parameter may have.
pub fn allowed(generator: &mut SchemaGenerator) -> Schema {
    list_of(64, "set", &value(generator))
}

/// A whole number.
pub fn integer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64"})
}

/// The types of parameters.
pub fn parameter_type(_: &mut SchemaGenerator) -> Schema {
    words(&[ParameterType::String, ParameterType::Integer, ParameterType::Boolean, ParameterType::Duration])
}

/// What silence means.
pub fn on_silence(_: &mut SchemaGenerator) -> Schema {
    words(&[OnSilence::TurnBack, OnSilence::Continue])
}

/// What becomes of a service that does not answer.
pub fn when_red(_: &mut SchemaGenerator) -> Schema {
    words(&[WhenRed::CallPerson, WhenRed::OpenDegraded, WhenRed::CloseAgain])
}

/// Run or Rehearse.
pub fn mode(_: &mut SchemaGenerator) -> Schema {
    words(&[Mode::Run, Mode::Rehearse])
}

/// What to do when a budget is gone.
pub fn on_overrun(_: &mut SchemaGenerator) -> Schema {
    words(&[OnOverrun::TurnBack, OnOverrun::Ask, OnOverrun::Continue])
}

/// What to do when the rest cannot fit.
pub fn on_futile(_: &mut SchemaGenerator) -> Schema {
    words(&[OnFutile::TurnBack, OnFutile::Continue])
}

/// The phases of a night.
pub fn phase(_: &mut SchemaGenerator) -> Schema {
    words(&Phase::ALL)
}

/// The outcomes of a night.
pub fn outcome(_: &mut SchemaGenerator) -> Schema {
    words(&Outcome::ALL)
}

/// `metav1.Condition` with its own bounds, as `kubectl wait` and kstatus read it.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One condition, as everywhere in Kubernetes (metav1.Condition).",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "Ready, Reconciling, Stalled, Complete or Failed."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "The phase or the outcome, one CamelCase word."},
                "message": {"type": "string", "maxLength": WHY_MAX, "description": "The same for people."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "maxLength": 64,
                    "description": "When the condition last went from one status to another."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0,
                    "description": "The metadata.generation that this condition is about."}
            }
        }
    })
}
