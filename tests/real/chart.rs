//! The chart and the manifests install the same operator with the same rights.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster::Cluster;
use super::operator::{By, documents};

/// What is installed, by kind and name, as the API server would store it.
fn installed(cluster: &Cluster, by: By) -> BTreeMap<String, Value> {
    let text = cluster.run(
        "kubectl",
        &["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-"],
        &documents(cluster, by),
    );
    let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
    let objects = objects.flat_map(|object| object["items"].as_array().cloned().unwrap_or_else(|| vec![object.clone()]));
    objects
        .map(|object| (format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap()), object))
        .collect()
}

#[test]
fn the_chart_installs_what_the_manifests_install_with_the_same_rights() {
    let cluster = Cluster::connect();
    let (mut manifests, chart) = (installed(&cluster, By::Manifests), installed(&cluster, By::Chart));
    // The chart is installed into a namespace that is there already.
    manifests.remove("Namespace notturno-system").expect("a namespace");
    assert_eq!(manifests.keys().collect::<Vec<_>>(), chart.keys().collect::<Vec<_>>());
    assert!(manifests.contains_key("ClusterRole notturno") && manifests.contains_key("ClusterRoleBinding notturno"));
    for (name, object) in &manifests {
        assert_eq!(object, &chart[name], "{name}");
    }
}
