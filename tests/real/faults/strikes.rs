//! The faults themselves.
//!
//! In: five nights under way. Out: something is broken, and seen to be so. Invariants: a stroke returns when it has worked. Not here: what
//! has to be mended at the end ([`super::damage`]).

use serde_json::{Value, json};

use super::damage::{Damage, Hog, Thief};
use crate::city::{CITY, TENANTS};
use crate::cluster::{Cluster, wait};
use crate::components::{Away, away};
use crate::five::Five;
use crate::operator::{self, NAMESPACE, RBAC};

/// Nothing is broken.
pub fn nothing(_: &Five) -> Damage {
    vec![]
}

/// Nothing is to be mended.
pub fn leave(_: &Five) {}

/// The Deployment goes, and its Pods.
pub fn delete_operator(five: &Five) -> Damage {
    operator::delete(&five.cluster);
    vec![]
}

/// Somebody installs it again over whatever is left.
pub fn operator_comes_back(five: &Five) {
    operator::come_back(&five.cluster);
}

/// The namespace goes, with everything in it.
pub fn delete_namespace(five: &Five) -> Damage {
    five.cluster.delete(NAMESPACE);
    wait(60, "an operator that is gone", || five.cluster.get(NAMESPACE).is_none().then_some(()));
    vec![]
}

/// The kinds go, and with them every object of theirs, whatever still held it.
pub fn delete_definitions(five: &Five) -> Damage {
    let kinds = ["interventions", "runbooks", "publicservices", "officecalendars"];
    let definition = |kind: &str| format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.notturno.dev");
    // Those of earlier tests too, or the kinds would stay.
    let interventions = || {
        for night in five.cluster.list("/apis/notturno.dev/v1alpha1/interventions") {
            let text = |field: &str| night["metadata"][field].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            five.cluster.free(&format!("/apis/notturno.dev/v1alpha1/namespaces/{namespace}/interventions/{name}"));
        }
    };
    interventions();
    for kind in kinds {
        five.cluster.delete(&definition(kind));
    }
    wait(60, "kinds that are gone", || {
        interventions();
        kinds.iter().all(|kind| five.cluster.get(&definition(kind)).is_none()).then_some(())
    });
    vec![]
}

/// The same, with nobody there to take it for an order to turn back.
pub fn delete_operator_and_definitions(five: &Five) -> Damage {
    operator::delete(&five.cluster);
    delete_definitions(five)
}

/// Everything that the operator may do, granted by the administrator or by tenants.
pub fn delete_rights(five: &Five) -> Damage {
    for kind in
        ["clusterrolebindings", "clusterroles", "namespaces/notturno-system/rolebindings", "namespaces/notturno-system/roles"]
    {
        five.cluster.delete(&format!("{RBAC}/{kind}/notturno"));
    }
    for tenant in &TENANTS {
        let bindings = format!("{RBAC}/namespaces/{}/rolebindings", tenant.name);
        for binding in five.cluster.list(&bindings) {
            if binding["subjects"][0]["namespace"] == "notturno-system" {
                five.cluster.delete(&format!("{bindings}/{}", binding["metadata"]["name"].as_str().unwrap()));
            }
        }
    }
    vec![]
}

/// The rights come back, the operator with them.
pub fn grant_rights_again(five: &Five) {
    five.cluster.apply(&TENANTS.iter().map(|tenant| tenant.rights(&five.cluster)).collect::<Vec<_>>().join("\n---\n"));
    operator_comes_back(five);
}

/// Somebody else holds the Lease from now on.
pub fn steal_lease(five: &Five) -> Damage {
    let thief = Thief::steal();
    wait(10, "a stolen lease", || (operator::leader(&five.cluster) == "ladro").then_some(()));
    vec![Box::new(thief)]
}

/// For twenty seconds.
pub fn stop_kubelet(five: &Five) -> Damage {
    away(&five.cluster, "kubelet", 20);
    vec![]
}

/// For thirty.
pub fn stop_api_server(five: &Five) -> Damage {
    let (gone_at, back_at) = away(&five.cluster, "kube-apiserver", 30);
    let over = |moment| gone_at < moment && moment < back_at;
    let rewriting = five.nights.iter().filter(|night| night.tenant.work == crate::city::Work::Rewrites);
    rewriting.for_each(|night| assert!(over(five.turn_back_at(night)), "{}: away over the moment", night.tenant.name));
    vec![]
}

/// Until it is mended.
pub fn stop_controller_manager(five: &Five) -> Damage {
    vec![Box::new(Away::put(&five.cluster, "kube-controller-manager"))]
}

/// Nothing can be created in the tenants' namespaces any more, but Pods.
pub fn fill_quota(five: &Five) -> Damage {
    quota(
        &five.cluster,
        &json!({"count/configmaps": "0", "count/jobs.batch": "0", "count/deployments.apps": "0", "count/replicasets.apps": "0"}),
    );
    delete_operator(five)
}

/// No Pod can be created in them.
pub fn fill_quota_of_pods(five: &Five) -> Damage {
    quota(&five.cluster, &json!({"pods": "0"}));
    delete_operator(five)
}

fn quota(cluster: &Cluster, hard: &Value) {
    for tenant in &TENANTS {
        ask_for_quota(cluster, tenant.name, hard);
    }
    for tenant in &TENANTS {
        until_quota(cluster, tenant.name, hard);
    }
}

fn ask_for_quota(cluster: &Cluster, namespace: &str, hard: &Value) {
    let metadata = json!({"name": "pieno", "namespace": namespace});
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}).to_string());
}

fn until_quota(cluster: &Cluster, namespace: &str, hard: &Value) {
    let quota = || cluster.get(&quota_of(namespace)).filter(|quota| quota["status"]["hard"] == *hard);
    wait(20, "a quota that is in force", || quota().map(drop));
}

fn quota_of(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/resourcequotas/pieno")
}

/// The nights go on until their work is committed and doors have to open, while the accounts of the work may open none; then the operator
/// goes. The sentinels have rights of their own.
pub fn delete_operator_once_committed(five: &Five) -> Damage {
    let bindings = five.cluster.list(&format!("{RBAC}/namespaces/{CITY}/rolebindings"));
    let of_work = bindings.iter().filter(|binding| binding["subjects"][0]["name"] == "lavori");
    let roles: Vec<&str> = of_work.map(|binding| binding["roleRef"]["name"].as_str().unwrap()).collect();
    assert_eq!(roles.len(), TENANTS.len(), "{roles:?}");
    for role in roles {
        may_only_read(&five.cluster, role);
    }
    five.let_go();
    wait(60, "nights that are committed", || {
        five.nights.iter().all(|night| five.ledger(night).is_some_and(|ledger| ledger.has("opening", ""))).then_some(())
    });
    delete_operator(five)
}

/// A role in the city changes nothing any more.
fn may_only_read(cluster: &Cluster, name: &str) {
    let path = format!("{RBAC}/namespaces/{CITY}/roles/{name}");
    let mut role = cluster.get(&path).unwrap();
    for rule in role["rules"].as_array_mut().unwrap() {
        rule["verbs"].as_array_mut().unwrap().retain(|verb| verb != "patch");
    }
    cluster.delete(&path);
    let metadata = json!({"name": name, "namespace": CITY});
    let read_only = json!({"apiVersion": role["apiVersion"], "kind": "Role", "metadata": metadata, "rules": role["rules"]});
    cluster.apply(&read_only.to_string());
}

/// There is room again, and the operator is back.
pub fn make_room(five: &Five) {
    for tenant in &TENANTS {
        five.cluster.delete(&quota_of(tenant.name));
    }
    operator_comes_back(five);
}

/// Two processes that take both CPUs.
pub fn hog_cpus(_: &Five) -> Damage {
    vec![Box::new(Hog::start()), Box::new(Hog::start())]
}

/// One of the two of every night, with the operator alive.
pub fn delete_one_sentinel(five: &Five) -> Damage {
    delete_sentinels(five, 1);
    vec![]
}

/// All of them, with the operator alive.
pub fn delete_both_sentinels(five: &Five) -> Damage {
    delete_sentinels(five, 2);
    vec![]
}

/// One of the two of every night; nobody mends.
pub fn delete_operator_and_one_sentinel(five: &Five) -> Damage {
    operator::delete(&five.cluster);
    delete_one_sentinel(five)
}

/// All of them; nobody of ours mends.
pub fn delete_operator_and_both_sentinels(five: &Five) -> Damage {
    operator::delete(&five.cluster);
    delete_both_sentinels(five)
}

fn delete_sentinels(five: &Five, count: usize) {
    let mut deleted = vec![];
    for night in &five.nights {
        let pods = five.sentinels(night);
        assert_eq!(pods.len(), 2, "{}: {pods:?}", night.tenant.name);
        deleted.extend(pods.into_iter().take(count).map(|pod| format!("/api/v1/namespaces/{}/pods/{pod}", night.tenant.name)));
    }
    for pod in &deleted {
        five.cluster.delete(pod);
    }
    wait(60, "sentinels that are gone", || deleted.iter().all(|pod| five.cluster.get(pod).is_none()).then_some(()));
}
