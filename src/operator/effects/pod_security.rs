//! What the Pod Security Standards say of a Pod template that stands in a runbook.
//!
//! In: a Pod template and a level. Out: every violation at once. Invariants: pure; the rules are those of the standard in Kubernetes 1.35,
//! for Linux Pods. A template that says it is for Windows is judged by the same rules. Not here: templates of CronJobs, which the cluster
//! judges where they stand, and the Pods themselves, which admission judges once more.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::Value;

use super::operations::{at, text};

/// How much a Pod may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing that is known to let a Pod out of its box, and no more than it needs.
    #[default]
    Restricted,
    /// Nothing that is known to let a Pod out of its box.
    Baseline,
    /// Anything.
    Privileged,
}

impl Level {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
            Self::Privileged => "privileged",
        }
    }
}

impl FromStr for Level {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "restricted" => Ok(Self::Restricted),
            "baseline" => Ok(Self::Baseline),
            "privileged" => Ok(Self::Privileged),
            other => Err(format!("{other:?} is no level: write restricted, baseline or privileged")),
        }
    }
}

/// Capabilities that a container may add at the level `baseline`.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// System settings that reach no further than the Pod.
const SAFE_SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];
/// Volumes that a Pod may have at the level `restricted`.
const RESTRICTED_VOLUMES: [&str; 9] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// Every violation: the field below the template, and what to do about it.
#[must_use]
pub fn violations(template: &Value, level: Level) -> Vec<String> {
    match level {
        Level::Privileged => Vec::new(),
        Level::Baseline => baseline(template),
        Level::Restricted => {
            let mut found = baseline(template);
            found.extend(restricted(template));
            found
        }
    }
}

/// Every container with its place.
fn containers(template: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let all = at(template, &["spec", list]).and_then(Value::as_array).into_iter().flatten();
        found.extend(all.enumerate().map(|(index, container)| (format!("spec.{list}[{index}]"), container)));
    }
    found
}

/// The security contexts, the Pod's first, each with its place.
fn contexts(template: &Value) -> Vec<(String, &Value)> {
    let pod = at(template, &["spec", "securityContext"]).map(|context| ("spec.securityContext".to_owned(), context));
    let own = containers(template)
        .into_iter()
        .filter_map(|(place, container)| Some((format!("{place}.securityContext"), container.get("securityContext")?)));
    pod.into_iter().chain(own).collect()
}

fn is_true(value: Option<&Value>) -> bool {
    value == Some(&Value::Bool(true))
}

fn baseline(template: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if is_true(at(template, &["spec", field])) {
            found.push(format!("spec.{field}: the Pod may not share this of its node: remove it"));
        }
    }
    let volumes = at(template, &["spec", "volumes"]).and_then(Value::as_array).into_iter().flatten();
    for (index, _) in volumes.enumerate().filter(|(_, volume)| volume.get("hostPath").is_some()) {
        found.push(format!("spec.volumes[{index}].hostPath: the node's files are not the Pod's: use another volume"));
    }
    for (place, context) in contexts(template) {
        found.extend(of_context(&place, context));
    }
    let sysctls = at(template, &["spec", "securityContext", "sysctls"]).and_then(Value::as_array).into_iter().flatten();
    for (index, one) in sysctls.enumerate().filter(|(_, one)| !SAFE_SYSCTLS.contains(&text(one, &["name"]))) {
        found.push(format!("spec.securityContext.sysctls[{index}]: {} reaches beyond the Pod: remove it", text(one, &["name"])));
    }
    for (place, container) in containers(template) {
        let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        let of_host = |port: &&Value| port.get("hostPort").and_then(Value::as_i64).is_some_and(|port| port != 0);
        found.extend(
            ports.filter(of_host).map(|_| format!("{place}.ports: a port of the node is not the Pod's: remove hostPort")),
        );
        for handler in handlers(container) {
            found.push(format!("{place}.{handler}: its host is set: only the Pod itself may be asked"));
        }
    }
    found.extend(app_armor_annotations(template));
    found
}

/// Probes and hooks that ask another host.
fn handlers(container: &Value) -> Vec<String> {
    let paths: [&[&str]; 5] =
        [&["livenessProbe"], &["readinessProbe"], &["startupProbe"], &["lifecycle", "postStart"], &["lifecycle", "preStop"]];
    let mut found = Vec::new();
    for path in paths {
        for kind in ["httpGet", "tcpSocket"] {
            let place: Vec<&str> = path.iter().copied().chain([kind]).collect();
            if at(container, &place).is_some_and(|handler| !text(handler, &["host"]).is_empty()) {
                found.push(place.join("."));
            }
        }
    }
    found
}

fn app_armor_annotations(template: &Value) -> Vec<String> {
    let annotations = at(template, &["metadata", "annotations"]).and_then(Value::as_object).into_iter().flatten();
    let of_app_armor = |(name, value): &(&String, &Value)| {
        let value = value.as_str().unwrap_or_default();
        name.starts_with("container.apparmor.security.beta.kubernetes.io/")
            && !(value.is_empty() || value == "runtime/default" || value.starts_with("localhost/"))
    };
    annotations
        .filter(of_app_armor)
        .map(|(name, _)| format!("metadata.annotations[{name:?}]: the profile may not be left out"))
        .collect()
}

/// What neither the Pod's nor a container's security context may say.
fn of_context(place: &str, context: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if is_true(context.get("privileged")) {
        found.push(format!("{place}.privileged: a Job of the night is not the node's master: remove it"));
    }
    let host_process = is_true(at(context, &["windowsOptions", "hostProcess"]));
    found.extend(host_process.then(|| format!("{place}.windowsOptions.hostProcess: remove it")));
    for (index, capability) in added(context).into_iter().enumerate() {
        if !BASELINE_CAPABILITIES.contains(&capability) {
            found.push(format!("{place}.capabilities.add[{index}]: {capability} may not be added: remove it"));
        }
    }
    for (kind, field) in [("seccompProfile", "seccompProfile"), ("appArmorProfile", "appArmorProfile")] {
        if text(context, &[field, "type"]) == "Unconfined" {
            found.push(format!("{place}.{kind}.type: Unconfined is no profile: write RuntimeDefault"));
        }
    }
    if !SELINUX_TYPES.contains(&text(context, &["seLinuxOptions", "type"])) {
        found.push(format!("{place}.seLinuxOptions.type: only the types of containers: remove it"));
    }
    for field in ["user", "role"] {
        if !text(context, &["seLinuxOptions", field]).is_empty() {
            found.push(format!("{place}.seLinuxOptions.{field}: remove it"));
        }
    }
    if !["", "Default"].contains(&text(context, &["procMount"])) {
        found.push(format!("{place}.procMount: write Default, or nothing"));
    }
    found
}

fn added(context: &Value) -> Vec<&str> {
    let list = at(context, &["capabilities", "add"]).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

fn restricted(template: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let volumes = at(template, &["spec", "volumes"]).and_then(Value::as_array).into_iter().flatten();
    for (index, volume) in volumes.enumerate() {
        let kinds: BTreeSet<&str> = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let other = kinds.iter().find(|kind| **kind != "name" && **kind != "hostPath" && !RESTRICTED_VOLUMES.contains(kind));
        found.extend(other.map(|kind| format!("spec.volumes[{index}].{kind}: such a volume may not be used")));
    }
    let pod = at(template, &["spec", "securityContext"]);
    let of_pod = |keys: &[&str]| pod.and_then(|pod| at(pod, keys));
    if of_pod(&["runAsNonRoot"]) == Some(&Value::Bool(false)) {
        found.push("spec.securityContext.runAsNonRoot: write true, or nothing".to_owned());
    }
    for (place, container) in containers(template) {
        let own = |keys: &[&str]| container.get("securityContext").and_then(|context| at(context, keys));
        let place = format!("{place}.securityContext");
        if own(&["allowPrivilegeEscalation"]) != Some(&Value::Bool(false)) {
            found.push(format!("{place}.allowPrivilegeEscalation: write false"));
        }
        if !is_true(own(&["runAsNonRoot"]).or_else(|| of_pod(&["runAsNonRoot"]))) {
            found.push(format!("{place}.runAsNonRoot: write true, here or for the whole Pod"));
        }
        let seccomp = own(&["seccompProfile", "type"]).or_else(|| of_pod(&["seccompProfile", "type"])).and_then(Value::as_str);
        if !matches!(seccomp, Some("RuntimeDefault" | "Localhost" | "Unconfined")) {
            found.push(format!("{place}.seccompProfile.type: write RuntimeDefault, here or for the whole Pod"));
        }
        let dropped = own(&["capabilities", "drop"]).and_then(Value::as_array);
        if !dropped.is_some_and(|all| all.iter().any(|one| one == "ALL")) {
            found.push(format!("{place}.capabilities.drop: write [ALL]"));
        }
        let context = container.get("securityContext").map(added).unwrap_or_default();
        let more =
            context.into_iter().enumerate().filter(|(_, one)| *one != "NET_BIND_SERVICE" && BASELINE_CAPABILITIES.contains(one));
        found.extend(more.map(|(index, one)| format!("{place}.capabilities.add[{index}]: {one} may not be added: remove it")));
    }
    for (place, context) in contexts(template) {
        if context.get("runAsUser").and_then(Value::as_i64) == Some(0) {
            found.push(format!("{place}.runAsUser: 0 is root: write another number, or nothing"));
        }
    }
    found
}
