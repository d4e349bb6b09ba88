//! What a cluster needs before its first night: the CRDs, and the operator with its rights.
//!
//! In: the types of [`super`]. Out: `manifests/crds.yaml` and `manifests/install.yaml`, byte for byte; `tests/manifests.rs`
//! compares them with the files (`UPDATE=1` rewrites). Invariants: the operator may read our objects, report in their status, hold
//! them by a finalizer and write events, and nothing else: what a night does to a tenant's objects it does with a token of
//! the tenant's own `ServiceAccount`, which the tenant grants by name in its own namespace. What is not here: that grant,
//! applying anything.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{GROUP, Intervention, OfficeCalendar, PublicService, Runbook};

/// The namespace that the operator runs in.
pub const NAMESPACE: &str = "notturno-system";
/// The operator's `ServiceAccount`, `Deployment` and `ClusterRole`.
pub const OPERATOR: &str = "notturno";
/// The lease by which one of its replicas works.
pub const LEASE: &str = "notturno";
/// The image in the manifests; replace it by yours.
pub const IMAGE: &str = "notturno.test/notturno:dev";
/// Where the address of pings may stand instead of among the arguments, which others may read.
pub const HEARTBEAT_URL: &str = "NOTTURNO_HEARTBEAT_URL";
/// The Secret that may hold it, under the key `url`. Without it nights run all the same.
pub const HEARTBEAT_SECRET: &str = "notturno-heartbeat";
/// Where `/healthz`, `/readyz` and `/metrics` answer.
pub const HTTP_PORT: u16 = 8080;

const HEADER: &str = "# Generated from src/api; rewrite with UPDATE=1 cargo test --test manifests.\n";

/// The four CRDs.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![OfficeCalendar::crd(), PublicService::crd(), Runbook::crd(), Intervention::crd()].into_iter().map(lean).collect()
}

/// Everything that is installed, in the order of applying.
///
/// # Errors
/// Never for the types of this crate; `serde_json` cannot promise it.
pub fn install() -> Result<Vec<Value>, serde_json::Error> {
    let mut objects = crds().iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    objects.extend([
        namespace(),
        service_account(),
        cluster_role(),
        cluster_role_binding(),
        lease_role(),
        lease_role_binding(),
        deployment(),
    ]);
    Ok(objects)
}

/// `manifests/crds.yaml`.
///
/// # Errors
/// As [`yaml`].
pub fn crds_yaml() -> Result<String, String> {
    let objects = crds().iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    yaml(&objects.map_err(|error| error.to_string())?)
}

/// `manifests/install.yaml`.
///
/// # Errors
/// As [`yaml`].
pub fn install_yaml() -> Result<String, String> {
    yaml(&install().map_err(|error| error.to_string())?)
}

/// Documents as YAML that every reader takes alike.
///
/// # Errors
/// The emitter's, in words.
pub fn yaml(objects: &[Value]) -> Result<String, String> {
    let mut text = HEADER.to_owned();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(object).map_err(|error| error.to_string())?);
    }
    Ok(text)
}

/// The same without `nullable` (an API server then drops an explicit null, as everywhere in Kubernetes), without defaults in list
/// items, and with descriptions in one line of plain text. Defaults outside lists are written by the API server and seen in
/// `kubectl get -o yaml`; in list items they would make every `kubectl apply` and every tool that compares see a difference that is none,
/// so there they are ours to fill in when an object is read.
fn lean(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            lean_schema(schema, false);
        }
    }
    crd
}

fn lean_schema(schema: &mut JSONSchemaProps, in_list: bool) {
    schema.nullable = None;
    if in_list {
        schema.default = None;
    }
    schema.description =
        schema.description.take().map(|text| text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" "));
    schema.properties.iter_mut().flat_map(|fields| fields.values_mut()).for_each(|field| lean_schema(field, in_list));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        lean_schema(items, true);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        lean_schema(values, in_list);
    }
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "notturno", "app.kubernetes.io/component": "operator"})
}

fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    })
}

fn service_account() -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": labels()}})
}

fn cluster_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": OPERATOR, "labels": labels()},
        "rules": [
            {"apiGroups": [GROUP], "resources": ["officecalendars", "publicservices", "runbooks", "interventions"],
             "verbs": ["get", "list", "watch"]},
            {"apiGroups": [GROUP], "resources": ["interventions"], "verbs": ["patch"]},
            {"apiGroups": [GROUP], "resources": ["interventions/status"], "verbs": ["get", "patch", "update"]},
            {"apiGroups": [GROUP], "resources": ["interventions/finalizers"], "verbs": ["update"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        ],
    })
}

fn cluster_role_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": OPERATOR, "labels": labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": OPERATOR},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    })
}

/// Which replica works: a lease in its own namespace. Creation cannot be granted by name.
fn lease_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": labels()},
        "rules": [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [LEASE], "verbs": ["get", "update"]},
        ],
    })
}

fn lease_role_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OPERATOR},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    })
}

/// On two nodes, where there are two.
fn apart() -> Value {
    let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels()}});
    let preferred = json!([{"weight": 100, "podAffinityTerm": term}]);
    json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": labels()},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels()},
            "template": {
                "metadata": {"labels": labels()},
                "spec": {
                    "serviceAccountName": OPERATOR,
                    "affinity": apart(),
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [operator_container()],
                },
            },
        },
    })
}

fn operator_container() -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10});
    json!({
        "name": "operator",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["operator", format!("--lease-namespace={NAMESPACE}"), format!("--sentinel-image={IMAGE}"),
            "--sentinel-pull-policy=IfNotPresent", "--heartbeat-every=60s"],
        "env": [{"name": HEARTBEAT_URL,
            "valueFrom": {"secretKeyRef": {"name": HEARTBEAT_SECRET, "key": "url", "optional": true}}}],
        "ports": [{"name": "http", "containerPort": HTTP_PORT}],
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    })
}
