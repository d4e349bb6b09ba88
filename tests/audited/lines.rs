//! What each kind of line of an audit log says: who asked, and what became of which object.
//!
//! In: single lines. Out: changes and requests. Not here: nights (`altered`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::oracle::Key;
use crate::oracle::audit_log::{Hands, Told, read};

const OPERATOR: &str = "system:serviceaccount:notturno-system:notturno";
const LENT: &str = "system:serviceaccount:comune:lavori";

fn hands() -> Hands {
    let runbook =
        json!({"kind": "Runbook", "metadata": {"name": "r", "namespace": "comune"}, "spec": {"serviceAccountName": "lavori"}});
    Hands::of(OPERATOR, &[runbook])
}

/// A line about ConfigMap `a` that was answered 200.
fn line(user: &str, verb: &str, answer: &Value) -> Value {
    json!({"stage": "ResponseComplete", "verb": verb, "user": {"username": user}, "requestURI": "/x", "responseStatus": {"code": 200},
        "stageTimestamp": "2023-02-10T00:00:00.123456Z",
        "objectRef": {"resource": "configmaps", "namespace": "comune", "name": "a"}, "responseObject": answer})
}

fn version(number: u64, value: &str) -> Value {
    let metadata = json!({"name": "a", "namespace": "comune", "uid": "1", "resourceVersion": number.to_string()});
    json!({"kind": "ConfigMap", "metadata": metadata, "data": {"v": value}})
}

fn told(lines: &[Value], by_day: Option<Value>) -> Told {
    let by_day: BTreeMap<Key, Arc<Value>> = by_day.into_iter().map(|object| (a(), Arc::new(object))).collect();
    read(lines, &hands(), &by_day)
}

fn a() -> Key {
    Key::new("configmaps", "comune", "a")
}

/// Each change as (before, after).
fn values(told: &Told) -> Vec<(String, String)> {
    let value = |object: &Option<Arc<Value>>| match object {
        Some(object) => object["data"]["v"].as_str().unwrap_or("?").to_owned(),
        None => "-".to_owned(),
    };
    told.changes.iter().map(|change| (value(&change.before), value(&change.after))).collect()
}

fn pairs<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    all.into_iter().map(|(before, after)| (before.to_owned(), after.to_owned())).collect()
}

#[test]
fn the_operator_its_tokens_and_the_sentinels_are_us_and_nobody_else_is() {
    let in_pod = |user: &str| {
        let mut one = line(user, "patch", &version(5, "x"));
        one["user"]["extra"] = json!({"authentication.kubernetes.io/pod-name": ["istantanea-x7"]});
        one
    };
    let impersonated = |user: &str, shown: &str| {
        let mut one = line(user, "patch", &version(5, "x"));
        one["impersonatedUser"] = json!({"username": shown});
        one
    };
    let plain = |user: &str| line(user, "patch", &version(5, "x"));
    let sentinel = format!("{LENT}-sentinel");
    for (ours, user) in
        [(plain(OPERATOR), OPERATOR), (in_pod(OPERATOR), OPERATOR), (plain(LENT), LENT), (in_pod(&sentinel), &sentinel)]
    {
        let told = told(&[ours], None);
        assert_eq!((told.changes[0].user.as_deref(), told.others.len(), told.requests.len()), (Some(user), 0, 1));
    }
    let other = format!("{LENT} in Pod istantanea-x7");
    let theirs = [
        (in_pod(LENT), other.as_str()),
        (plain("anna"), "anna"),
        (impersonated("anna", LENT), "anna"),
        (plain("system:serviceaccount:altri:lavori"), "system:serviceaccount:altri:lavori"),
        (plain("system:serviceaccount:comune:lavori2"), "system:serviceaccount:comune:lavori2"),
    ];
    for (line, user) in theirs {
        let told = told(&[line], None);
        assert_eq!((told.changes[0].user.as_deref(), &told.others[..]), (Some(user), &[user.to_owned()][..]));
    }
    for controller in
        ["system:node:night", "system:kube-scheduler", "system:apiserver", "system:serviceaccount:kube-system:job-controller"]
    {
        let told = told(&[plain(controller)], None);
        assert_eq!((told.changes[0].user.as_deref(), told.others.len(), told.requests.len()), (None, 0, 0), "{controller}");
    }
}

#[test]
fn what_is_before_a_change_is_what_the_change_before_it_left_in_the_order_of_the_store() {
    let lines = [line(LENT, "patch", &version(9, "c")), line(LENT, "update", &version(7, "b"))];
    assert_eq!(values(&told(&lines, Some(version(5, "a")))), pairs([("a", "b"), ("b", "c")]));
    assert_eq!(values(&told(&lines, Some(version(7, "b")))), pairs([("b", "c")]), "by day is later than the first line");
    let same = [line(LENT, "patch", &version(5, "a"))];
    let told_same = told(&same, Some(version(5, "a")));
    assert_eq!((values(&told_same), told_same.requests.len()), (vec![], 1), "a write that changes nothing is asked all the same");
    assert_eq!(values(&told(&lines[..1], None)), pairs([("-", "c")]), "a patch that makes an object");
}

#[test]
fn what_is_refused_tried_or_only_asked_changes_nothing_and_is_asked_all_the_same() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut one = line(LENT, "patch", &version(9, "b"));
        change(&mut one);
        one
    };
    let asked = [
        with(&|one| one["responseStatus"]["code"] = json!(409)),
        with(&|one| one["requestURI"] = json!("/x?fieldManager=y&dryRun=All")),
        with(&|one| one["requestObject"] = json!({"dryRun": ["All"]})),
        with(&|one| one["objectRef"]["apiGroup"] = json!("authorization.k8s.io")),
        with(&|one| {
            one["objectRef"] = json!({"resource": "serviceaccounts", "subresource": "token", "namespace": "comune", "name": "a"});
        }),
        with(&|one| one["verb"] = json!("get")),
    ];
    for one in asked {
        let told = told(std::slice::from_ref(&one), Some(version(5, "a")));
        assert_eq!((values(&told), told.requests.len()), (vec![], 1), "{one}");
        assert_eq!(told.requests[0].writes, one["verb"] != "get");
    }
    let watch = |stage: &str| with(&|one| (one["verb"], one["stage"]) = (json!("watch"), json!(stage)));
    assert_eq!(told(&[watch("ResponseStarted"), watch("ResponseComplete")], None).requests.len(), 1, "a watch is asked once");
}

#[test]
fn what_is_deleted_is_gone_unless_something_holds_it() {
    let day = || Some(version(5, "a"));
    let status = |uid: &str| json!({"kind": "Status", "details": {"uid": uid}});
    let deletes = |answer: &Value| line(LENT, "delete", answer);
    assert_eq!(values(&told(&[deletes(&status("1"))], day())), pairs([("a", "-")]));
    assert_eq!(values(&told(&[deletes(&version(5, "a"))], day())), pairs([("a", "-")]), "some kinds are answered as they were");
    assert_eq!(values(&told(&[deletes(&status("0"))], day())), [], "it was an earlier one of that name");
    assert_eq!(
        values(&told(&[deletes(&status("1"))], None)),
        pairs([("?", "-")]),
        "what the log does not show is deleted all the same"
    );
    let going = |number: u64, metadata: Value| {
        let mut object = version(number, "going");
        let own = object["metadata"].as_object_mut().unwrap();
        own.insert("deletionTimestamp".to_owned(), json!("2023-02-10T00:00:00Z"));
        own.extend(metadata.as_object().unwrap().clone());
        object
    };
    let held = going(6, json!({"finalizers": ["notturno.dev/night"], "deletionGracePeriodSeconds": 0}));
    let let_go = going(8, json!({"deletionGracePeriodSeconds": 0}));
    let course = [deletes(&held), line(LENT, "patch", &let_go)];
    assert_eq!(values(&told(&course, day())), pairs([("a", "going"), ("going", "-")]));
    let same = going(6, json!({"deletionGracePeriodSeconds": 0}));
    let course = [deletes(&held), line(LENT, "patch", &same)];
    assert_eq!(values(&told(&course, day())), pairs([("a", "going"), ("going", "-")]), "its end makes no version of it");
    let graceful = going(6, json!({"deletionGracePeriodSeconds": 30}));
    let course = [line("anna", "delete", &graceful), line("system:node:night", "delete", &let_go)];
    assert_eq!(values(&told(&course, day())), pairs([("a", "going"), ("going", "-")]));
    let all = json!({"kind": "ConfigMapList", "items": [version(5, "a")]});
    assert_eq!(values(&told(&[line("anna", "deletecollection", &all)], day())), pairs([("a", "-")]));
}

#[test]
fn a_scale_changes_the_number_of_replicas_and_what_the_log_does_not_show_is_a_change_of_that_object() {
    let mut scale = line(
        LENT,
        "patch",
        &json!({"kind": "Scale", "metadata": {"name": "a", "resourceVersion": "6"}, "spec": {"replicas": 0}}),
    );
    scale["objectRef"]["subresource"] = json!("scale");
    let mut day = version(5, "a");
    day["spec"] = json!({"replicas": 2, "selector": "s"});
    let scaled = told(&[scale.clone(), scale], Some(day));
    assert_eq!(scaled.changes.len(), 1);
    assert_eq!(scaled.changes[0].after.as_ref().unwrap()["spec"], json!({"replicas": 0, "selector": "s"}));
    let mut unseen = line(LENT, "create", &Value::Null);
    unseen["objectRef"] = json!({"resource": "pods", "subresource": "exec", "namespace": "comune", "name": "p"});
    let told = told(&[unseen], None);
    assert_eq!((&told.changes[0].key, told.changes[0].after.is_some()), (&Key::new("pods", "comune", "p"), true));
}
