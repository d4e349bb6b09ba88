//! The kinds of objects that are served: a fixed table and what tests or `CustomResourceDefinitions` register.
//!
//! In: kinds. Out: look-ups by plural or by kind, and the discovery documents.
//! Invariants: a kind is stored under group and plural, so all its versions show the same object, as it was written.
//! Not here: schemas, defaulting, pruning or conversion of custom kinds; aggregated discovery.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use super::fields;

/// One served kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceKind {
    /// API group, empty for the core.
    pub group: String,
    /// Version, such as `v1alpha1`.
    pub version: String,
    /// Kind, such as `Intervention`.
    pub kind: String,
    /// Plural name in paths, such as `interventions`.
    pub plural: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` exists, so that the main resource ignores `status`.
    pub status_subresource: bool,
}

impl ResourceKind {
    /// `plural.group`, as error texts name a resource.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `group/version`, or only the version in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(super) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(super) fn built_in(&self) -> bool {
        BUILT_IN.iter().any(|row| row.group == self.group && row.plural == self.plural)
    }

    /// Whether the API server keeps `metadata.generation` for it.
    pub(super) fn has_generation(&self) -> bool {
        let counted = [("apps", "deployments"), ("batch", "jobs"), ("batch", "cronjobs"), ("", "pods")];
        !self.built_in() || self.group == CRD_GROUP || counted.contains(&(&self.group, &self.plural))
    }

    /// Whether the answer to its deletion shows the object.
    pub(super) fn is_shown_once_more(&self) -> bool {
        ["pods", "services", "serviceaccounts"].iter().any(|plural| self.is("", plural))
    }

    /// Whether an update of what is not there creates it.
    pub(super) fn created_by_updates(&self) -> bool {
        self.is("coordination.k8s.io", "leases") || self.is("", "services") || (self.built_in() && self.plural == "events")
    }

    /// Whether an update must name the resourceVersion it was made from.
    pub(super) fn needs_resource_version(&self) -> bool {
        !self.built_in() || self.is("coordination.k8s.io", "leases") || self.group == CRD_GROUP
    }
}

pub(super) const CRD_GROUP: &str = "apiextensions.k8s.io";

struct Row {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
    status: bool,
}

const fn row(group: &'static str, kind: &'static str, plural: &'static str, namespaced: bool, status: bool) -> Row {
    Row { group, kind, plural, namespaced, status }
}

impl Row {
    fn kind(&self) -> ResourceKind {
        ResourceKind {
            group: self.group.to_owned(),
            version: "v1".to_owned(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
            namespaced: self.namespaced,
            status_subresource: self.status,
        }
    }
}

const DEFINITIONS: Row = row(CRD_GROUP, "CustomResourceDefinition", "customresourcedefinitions", false, true);

const BUILT_IN: &[Row] = &[
    row("", "ConfigMap", "configmaps", true, false),
    row("", "Pod", "pods", true, true),
    row("", "Service", "services", true, true),
    row("", "ServiceAccount", "serviceaccounts", true, false),
    row("", "Namespace", "namespaces", false, true),
    row("", "Node", "nodes", false, true),
    row("", "Secret", "secrets", true, false),
    row("", "Event", "events", true, false),
    row("apps", "Deployment", "deployments", true, true),
    row("batch", "Job", "jobs", true, true),
    row("batch", "CronJob", "cronjobs", true, true),
    row("events.k8s.io", "Event", "events", true, false),
    row("coordination.k8s.io", "Lease", "leases", true, false),
    DEFINITIONS,
];

/// Kinds that are answered and never stored.
pub(super) const REVIEWS: &[(&str, &str)] = &[
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
];

/// Every kind that is served, by group, version and plural.
#[derive(Clone, Debug)]
pub(super) struct Kinds(BTreeMap<(String, String, String), Arc<ResourceKind>>);

impl Kinds {
    pub(super) fn built_in() -> Self {
        let mut kinds = Self(BTreeMap::new());
        for row in BUILT_IN {
            kinds.register(row.kind());
        }
        kinds
    }

    pub(super) fn register(&mut self, kind: ResourceKind) {
        self.0.insert((kind.group.clone(), kind.version.clone(), kind.plural.clone()), Arc::new(kind));
    }

    pub(super) fn by_plural(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceKind>> {
        self.0.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    pub(super) fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<ResourceKind>> {
        self.0.values().find(|known| known.kind == kind && known.api_version() == api_version).cloned()
    }

    fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (group, version, _) in self.0.keys().filter(|(group, ..)| !group.is_empty()) {
            let versions = groups.entry(group).or_default();
            if !versions.contains(&version.as_str()) {
                versions.push(version);
            }
        }
        groups.entry("authorization.k8s.io").or_default().push("v1");
        groups
    }

    /// The discovery document at `segments` of a path (`["apis", "batch", "v1"]`), if there is one.
    pub(super) fn discovery(&self, segments: &[&str]) -> Option<Value> {
        match segments {
            ["version"] => Some(json!({"major": "1", "minor": "35", "gitVersion": "v1.35.4", "gitCommit": "embedded",
                "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "none",
                "platform": "linux/amd64"})),
            ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
            ["apis"] => {
                let groups: Vec<Value> = self.groups().into_iter().map(|(group, versions)| api_group(group, &versions)).collect();
                Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
            ["apis", group] => self.groups().get(group).map(|versions| api_group(group, versions)),
            ["api", version] => self.resource_list("", version),
            ["apis", group, version] => self.resource_list(group, version),
            _ => None,
        }
    }

    fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let here = self.0.values().filter(|kind| kind.group == group && kind.version == version);
        let mut resources: Vec<Value> = here.flat_map(|kind| api_resources(kind)).collect();
        for (_, plural) in REVIEWS.iter().filter(|(known, _)| *known == group && version == "v1") {
            let kind = review_kind(plural);
            resources
                .push(json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": plural.starts_with("local"),
                "kind": kind, "verbs": ["create"]}));
        }
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        (!resources.is_empty()).then(
            || json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}),
        )
    }
}

pub(super) fn review_kind(plural: &str) -> &'static str {
    match plural {
        "subjectaccessreviews" => "SubjectAccessReview",
        "localsubjectaccessreviews" => "LocalSubjectAccessReview",
        _ => "SelfSubjectAccessReview",
    }
}

fn api_group(group: &str, versions: &[&str]) -> Value {
    let all: Vec<Value> =
        versions.iter().map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version})).collect();
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": all, "preferredVersion": all.first()})
}

fn api_resources(kind: &ResourceKind) -> Vec<Value> {
    let one = |name: String, of: &str, verbs: Value| {
        let singular = of.to_lowercase();
        json!({"name": name, "singularName": singular, "namespaced": kind.namespaced, "kind": of, "verbs": verbs})
    };
    let verbs = json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    let mut all = vec![one(kind.plural.clone(), &kind.kind, verbs)];
    if kind.status_subresource {
        all.push(one(format!("{}/status", kind.plural), &kind.kind, json!(["get", "patch", "update"])));
    }
    if kind.is("", "serviceaccounts") {
        all.push(one("serviceaccounts/token".to_owned(), "TokenRequest", json!(["create"])));
    }
    all
}

/// The kinds that a `CustomResourceDefinition` `definition` serves.
///
/// # Errors
/// 422 when group, names or versions are missing.
pub(super) fn from_definition(definition: &Value) -> Result<Vec<ResourceKind>, Failure> {
    let spec = |path: &[&str]| fields::text(definition, path).to_owned();
    let group = spec(&["spec", "group"]);
    let (kind, plural) = (spec(&["spec", "names", "kind"]), spec(&["spec", "names", "plural"]));
    let versions = fields::list(definition, &["spec", "versions"]);
    let named = [("spec.group", &group), ("spec.names.kind", &kind), ("spec.names.plural", &plural)];
    let mut causes: Vec<Cause> =
        named.iter().filter(|(_, text)| text.is_empty()).map(|(field, _)| Cause::required(field, "")).collect();
    if versions.is_empty() {
        causes.push(Cause::required("spec.versions", "at least one version"));
    }
    let name = fields::text(definition, &["metadata", "name"]);
    if name != format!("{plural}.{group}") {
        causes.push(Cause::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    if !causes.is_empty() {
        return Err(Failure::invalid(&DEFINITIONS.kind(), name, &causes));
    }
    let served = versions.iter().filter(|version| fields::flag(version, &["served"]));
    let kinds = served.map(|version| ResourceKind {
        group: group.clone(),
        version: fields::text(version, &["name"]).to_owned(),
        kind: kind.clone(),
        plural: plural.clone(),
        namespaced: fields::text(definition, &["spec", "scope"]) != "Cluster",
        status_subresource: fields::at(version, &["subresources", "status"]).is_some(),
    });
    Ok(kinds.collect())
}
