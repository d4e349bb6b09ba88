//! What stands in the tenants' namespaces, dumped before the night and after it.
//!
//! In: a cluster. Out: objects as they are declared. Invariants: everything that a night may touch is in it, and everything of each
//! object but what the API server and controllers keep: a mark that Notturno left behind is a difference. Not here: Jobs and `ConfigMaps`
//! of the night itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster::Cluster;

const COLLECTIONS: [&str; 8] = [
    "/apis/apps/v1/namespaces/sanita/deployments",
    "/api/v1/namespaces/sanita/services",
    "/api/v1/namespaces/sanita/configmaps",
    "/apis/batch/v1/namespaces/sanita/cronjobs",
    "/apis/batch/v1/namespaces/sanita/jobs",
    "/apis/batch/v1/namespaces/centro-dati/cronjobs",
    "/api/v1/namespaces/centro-dati/serviceaccounts",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/centro-dati/roles",
];

/// Objects by path.
pub struct Dump(BTreeMap<String, Value>);

impl Dump {
    /// As it stands now.
    pub fn of(cluster: &Cluster) -> Self {
        let dump = Self::of_all(cluster, COLLECTIONS);
        assert!(dump.0.len() >= 20, "only {} objects were found to dump", dump.0.len());
        dump
    }

    /// The same of other collections.
    pub fn of_all<'a>(cluster: &Cluster, collections: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = BTreeMap::new();
        for collection in collections {
            for mut object in cluster.list(collection) {
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                object.as_object_mut().unwrap().remove("status");
                let metadata = object["metadata"].as_object_mut().unwrap();
                for kept_by_the_server in ["resourceVersion", "generation", "managedFields"] {
                    metadata.remove(kept_by_the_server);
                }
                all.insert(format!("{collection}/{name}"), object);
            }
        }
        Self(all)
    }

    /// Every object in which the two differ, in words.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let paths: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differ = |path: &&&String| self.0.get(**path) != other.0.get(**path);
        let tell = |path: &String| {
            let show = |dump: &Self| dump.0.get(path).map_or_else(|| "nothing".to_owned(), Value::to_string);
            format!("{path}\n      before {}\n      after  {}", show(self), show(other))
        };
        paths.iter().filter(differ).map(|path| tell(path)).collect()
    }
}

#[test]
fn a_mark_that_is_left_and_an_object_that_is_new_are_differences() {
    let object = |annotations: Value| serde_json::json!({"metadata": {"name": "a", "annotations": annotations}});
    let dump =
        |objects: &[(&str, Value)]| Dump(objects.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect());
    let before = dump(&[("a", object(Value::Null))]);
    assert_eq!(before.differences(&dump(&[("a", object(Value::Null))])).len(), 0);
    let marked = object(serde_json::json!({"notturno.dev/token": "0.1.reopen"}));
    assert_eq!(before.differences(&dump(&[("a", marked)])).len(), 1);
    assert_eq!(before.differences(&dump(&[("a", object(Value::Null)), ("b", object(Value::Null))])).len(), 1);
    assert_eq!(before.differences(&dump(&[])).len(), 1);
}
