//! `OfficeCalendar` on the wire: when doors are open.
//!
//! In: what people write. Out: the raw object, as the API server stores it. Invariants: the doc comments are what
//! `kubectl explain` shows. What is not here: reading hours and dates ([`super::validate`], [`crate::model::calendar`]).
#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "kubectl explain shows these docs: they are plain text")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Opening hours of a kind of office, with its holidays and the periods in which no work may start. Nothing in the
/// program knows a holiday that is not named here: countries come from a list of national holidays, patron saints from
/// `holidays.local`. A night that is already accepted keeps the calendar it was planned with.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "notturno.dev",
    version = "v1alpha1",
    kind = "OfficeCalendar",
    category = "notturno",
    derive = "PartialEq",
    doc = "When the doors of a kind of office are open: hours, holidays, and periods in which no work may start.",
    printcolumn = r#"{"name": "Time Zone", "type": "string", "jsonPath": ".spec.timeZone"}"#,
    printcolumn = r#"{"name": "Hours", "type": "string", "jsonPath": ".spec.hours"}"#,
    printcolumn = r#"{"name": "Holidays", "type": "string", "jsonPath": ".spec.holidays.country"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
pub struct OfficeCalendarSpec {
    /// The IANA time zone of the doors, as Europe/Rome. Hours and dates below are civil time in this zone, summer time
    /// included.
    #[schemars(schema_with = "schema::zone")]
    pub time_zone: String,
    /// Opening hours in the OpenStreetMap opening_hours syntax, as "Mo-Fr 07:30-16:30; Sa 07:30-12:30; PH off". PH are the
    /// days of `holidays`. "24/7" never closes: services used there must declare what the site tolerates.
    #[schemars(schema_with = "schema::hours")]
    pub hours: String,
    /// The days that PH in `hours` means. Without it PH is no day at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holidays: Option<Holidays>,
    /// Periods in which no work may start; a night that starts in one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 366), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub freezes: Vec<Freeze>,
}

/// Holidays: national ones by country, local ones as data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holidays {
    /// A country by its two letters (ISO 3166), as IT: its national holidays, movable ones and newly made ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::country")]
    pub country: Option<String>,
    /// Local days, such as the patron saint's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 366), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["date"]))]
    pub local: Vec<LocalDay>,
}

/// A local holiday.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalDay {
    /// The day: MM-DD for every year, YYYY-MM-DD for one year only. Quote it, so that no YAML reader takes it for
    /// something else.
    #[schemars(schema_with = "schema::holiday")]
    pub date: String,
    /// What the day is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::title")]
    pub name: Option<String>,
}

/// A period in which no work may start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Freeze {
    /// A name, unique in the calendar.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// The first day, YYYY-MM-DD, a civil day in `timeZone`.
    #[schemars(schema_with = "schema::day")]
    pub from: String,
    /// The last day, YYYY-MM-DD, included.
    #[schemars(schema_with = "schema::day")]
    pub until: String,
    /// Why no work may start, told to whoever is refused.
    #[schemars(schema_with = "schema::text")]
    pub reason: String,
    /// Who may override the freeze. Recorded, not yet acted on: until it is, nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridable_by: Option<Groups>,
}

/// People, by the groups that the API server knows them in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    /// The groups; being in one of them is enough.
    #[schemars(schema_with = "schema::groups")]
    pub groups: Vec<String>,
}
