//! Kinds of Kubernetes that are known without a cluster.
//!
//! In: an apiVersion and a kind, as people write them. Out: whether the kind is known, and what was probably meant by one that there
//! cannot be. Invariants: only groups that belong to Kubernetes itself, to which nobody can add a kind, are judged by letters; in other
//! groups only by capitals, because no group has two kinds that differ by those alone. Not here: how a kind is served
//! ([`crate::plan`]), whether a cluster has it.

use super::near::closest;

/// Kinds of one group.
struct Group {
    /// Empty for the core.
    name: &'static str,
    /// The version that is usually written.
    version: &'static str,
    /// Whether these are all that can be named as an object: the group is Kubernetes' own.
    is_whole: bool,
    kinds: &'static [&'static str],
}

/// Source: the API reference of Kubernetes 1.34, without what is only a subresource or a question.
const KNOWN: [Group; 8] = [
    Group {
        name: "",
        version: "v1",
        is_whole: true,
        kinds: &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    },
    Group {
        name: "apps",
        version: "v1",
        is_whole: true,
        kinds: &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
    },
    Group { name: "autoscaling", version: "v2", is_whole: true, kinds: &["HorizontalPodAutoscaler"] },
    Group { name: "batch", version: "v1", is_whole: true, kinds: &["CronJob", "Job"] },
    Group {
        name: "networking.k8s.io",
        version: "v1",
        is_whole: true,
        kinds: &["IPAddress", "Ingress", "IngressClass", "NetworkPolicy", "ServiceCIDR"],
    },
    Group { name: "policy", version: "v1", is_whole: true, kinds: &["PodDisruptionBudget"] },
    Group {
        name: "gateway.networking.k8s.io",
        version: "v1",
        is_whole: false,
        kinds: &["Gateway", "GRPCRoute", "HTTPRoute", "TLSRoute"],
    },
    Group {
        name: "notturno.dev",
        version: "v1alpha1",
        is_whole: false,
        kinds: &["Intervention", "OfficeCalendar", "PublicService", "Runbook"],
    },
];

/// What has to be written otherwise, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misnamed {
    /// `apiVersion` or `kind`.
    pub field: &'static str,
    /// What is wrong, and what was probably meant.
    pub message: String,
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether a group is known to have the kind.
#[must_use]
pub fn is_known(group: &str, kind: &str) -> bool {
    KNOWN.iter().any(|known| known.name == group && known.kinds.contains(&kind))
}

/// Why there cannot be such a kind; none where it is there, or only a cluster could say.
#[must_use]
pub fn misnamed(api_version: &str, kind: &str) -> Option<Misnamed> {
    let own = KNOWN.iter().find(|known| !api_version.is_empty() && known.name == group_of(api_version))?;
    if own.kinds.contains(&kind) {
        return None;
    }
    let none = format!("{api_version} has no kind {kind:?}");
    let in_capitals = own.kinds.iter().find(|known| known.eq_ignore_ascii_case(kind)).copied();
    if let Some(meant) = in_capitals {
        return Some(Misnamed { field: "kind", message: format!("{none}; did you mean {meant}?") });
    }
    if !own.is_whole {
        return None;
    }
    let elsewhere = KNOWN.iter().filter(|known| known.is_whole).find(|known| known.kinds.contains(&kind));
    if let Some(Group { name, version, .. }) = elsewhere {
        let separator = if name.is_empty() { "" } else { "/" };
        let message = format!("{none}; did you mean apiVersion: {name}{separator}{version}?");
        return Some(Misnamed { field: "apiVersion", message });
    }
    let meant = closest(kind, own.kinds.iter().copied())?;
    Some(Misnamed { field: "kind", message: format!("{none}; did you mean {meant}?") })
}

#[cfg(test)]
mod tests {
    use super::misnamed;

    fn meant(api_version: &str, kind: &str) -> Option<(&'static str, String)> {
        let found = misnamed(api_version, kind)?;
        let word = found.message.split_once("did you mean ").map(|(_, rest)| rest.trim_end_matches('?').to_owned());
        Some((found.field, word.unwrap_or_default()))
    }

    #[test]
    fn what_cannot_be_there_is_named_and_what_only_a_cluster_knows_is_not() {
        let kind = |word: &str| Some(("kind", word.to_owned()));
        assert_eq!(meant("v1", "Configmap"), kind("ConfigMap"));
        assert_eq!(meant("apps/v1", "Statefullset"), kind("StatefulSet"));
        assert_eq!(meant("batch/v1", "Cronjob"), kind("CronJob"));
        assert_eq!(meant("gateway.networking.k8s.io/v1", "HttpRoute"), kind("HTTPRoute"));
        assert_eq!(meant("v1", "Deployment"), Some(("apiVersion", "apiVersion: apps/v1".to_owned())));
        assert_eq!(meant("apps/v1", "Service"), Some(("apiVersion", "apiVersion: v1".to_owned())));
        let silent = [
            ("v1", "ConfigMap"),
            ("apps/v1", "Deployment"),
            // A route that the table does not have, two letters from one that it has.
            ("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
            ("argoproj.io/v1alpha1", "Aplication"),
            ("example.org/v1", "Configmap"),
            ("apps/v1", "Something"),
            // What is not written is said to be missing, and nothing more.
            ("", "Deployment"),
        ];
        for (api_version, kind) in silent {
            assert_eq!(meant(api_version, kind), None, "{api_version} {kind}");
        }
    }
}
