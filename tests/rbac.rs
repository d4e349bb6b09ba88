//! `notturno rbac` as a tenant uses it: what is printed for each runbook of `runbooks/` stands in `tests/golden/rbac-NAME.yaml`
//! (`UPDATE=1 cargo test --test rbac` rewrites; a reviewer reads the difference).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![allow(clippy::disallowed_methods, reason = "how a person asks for a rewrite")]

mod binary;

use std::collections::BTreeSet;
use std::fs;

use binary::{Ran, run};
use notturno::api::manifests;
use serde_json::Value;

const RUNBOOKS: [&str; 4] = ["sogei-2023", "zerocode-release", "prenota-spid", "archivio-730"];

/// One night of a small namespace: a service `sportello`, closed by name, and a step of each kind that needs a right of its own.
const SMALL: &str = r#"
apiVersion: notturno.dev/v1alpha1
kind: PublicService
metadata: {name: sportello, namespace: comune}
spec:
  title: {it: Sportello, en: Counter}
  sites: [{name: sportello, calendar: sportello}]
  close:
    - name: backend
      scale: {target: {apiVersion: apps/v1, kind: Deployment, name: backend}, replicas: 0}
  reopen: {budget: 5m}
  allowedFrom: [{namespace: lavori}]
---
apiVersion: notturno.dev/v1alpha1
kind: Runbook
metadata: {name: piccolo, namespace: lavori}
spec:
  serviceAccountName: notte
  reserve: 5m
  reopening: {budget: 10m}
  steps:
    - {name: chiudi, budget: 5m, close: {services: [comune/sportello]}}
    - {name: nodo, budget: 5m, cordon: {node: nodo-1}}
    - name: applica
      budget: 5m
      apply: {manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: avviso, namespace: comune}, data: {a: b}}}
    - {name: aspetta, budget: 5m, wait: {target: {apiVersion: example.org/v1, kind: Proxy, namespace: comune, name: ingresso}, until: "true"}}
"#;

fn printed(name: &str) -> Ran {
    run(&["rbac", &format!("runbooks/{name}.yaml")], b"")
}

fn documents(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_saphyr::from_multiple(&ran.out).expect("reads")
}

fn small(changes: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let text = changes.iter().fold(SMALL.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?}");
        text.replace(from, to)
    });
    run(&[&["rbac", "-"], arguments].concat(), text.as_bytes())
}

/// Every rule of every role, as `namespace: resource/name: verbs`.
fn rights(documents: &[Value], account: &str) -> BTreeSet<String> {
    let roles = documents.iter().filter(|one| one["kind"].as_str().unwrap().ends_with("Role"));
    let bound = |role: &&Value| {
        let same = |one: &&Value| one["roleRef"]["name"] == role["metadata"]["name"] && one["roleRef"]["kind"] == role["kind"];
        documents.iter().filter(same).any(|binding| binding["subjects"][0]["name"] == account)
    };
    let mut found = BTreeSet::new();
    for role in roles.filter(bound) {
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or("-");
        for rule in role["rules"].as_array().unwrap() {
            let verbs: Vec<&str> = rule["verbs"].as_array().unwrap().iter().map(|verb| verb.as_str().unwrap()).collect();
            let resource = rule["resources"][0].as_str().unwrap();
            match rule["resourceNames"].as_array() {
                None => drop(found.insert(format!("{namespace}: {resource}: {}", verbs.join(" ")))),
                Some(names) => found.extend(
                    names.iter().map(|name| format!("{namespace}: {resource}/{}: {}", name.as_str().unwrap(), verbs.join(" "))),
                ),
            }
        }
    }
    found
}

#[test]
fn what_is_printed_for_each_runbook_is_what_was_reviewed() {
    for name in RUNBOOKS {
        let ran = printed(name);
        documents(&ran);
        let path = format!("{}/tests/golden/rbac-{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &ran.out).unwrap();
        }
        let reviewed = fs::read_to_string(&path).unwrap_or_default();
        assert!(reviewed == ran.out, "{path} is not what is printed: UPDATE=1 cargo test --test rbac\n{}", ran.out);
        assert_eq!(printed(name).out, ran.out, "the same bytes each time");
    }
}

#[test]
fn the_work_gets_each_object_by_name_and_the_sentinel_only_what_it_puts_back() {
    let documents = documents(&small(&[], &[]));
    let work = rights(&documents, "notte");
    let of = |place: &str| work.iter().filter(|right| !right.starts_with(place)).cloned().collect::<Vec<_>>();
    assert_eq!(
        of("lavori"),
        [
            "-: nodes/nodo-1: get patch",
            "comune: configmaps/avviso: get patch delete",
            "comune: configmaps: create",
            "comune: deployments/backend: get patch",
            "comune: proxies/ingresso: get watch",
        ]
    );
    let own = [
        "lavori: configmaps: get list watch create patch",
        "lavori: jobs: get list watch create patch",
        "lavori: pods: list watch create patch",
    ];
    assert!(own.iter().all(|right| work.contains(*right)), "{work:?}");
    let sentinel = rights(&documents, "notte-sentinel");
    assert_eq!(
        sentinel.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "-: nodes/nodo-1: get patch",
            "comune: configmaps/avviso: get patch delete",
            "comune: deployments/backend: get patch",
            "lavori: configmaps: get patch",
            "lavori: jobs: get list watch patch",
            "lavori: pods: list watch patch",
        ]
    );
}

#[test]
fn what_is_declared_for_half_done_work_is_granted_too() {
    let action = "{name: avviso, patch: {target: {apiVersion: v1, kind: ConfigMap, name: avvisi}, merge: {data: {a: b}}}}";
    let more = format!("\n  whenDirty: OpenDegraded\n  degraded: [{action}]\n  allowedFrom: [{{namespace: lavori}}]");
    let documents = documents(&small(&[("\n  allowedFrom: [{namespace: lavori}]", &more)], &[]));
    for account in ["notte", "notte-sentinel"] {
        let found = rights(&documents, account);
        assert!(found.contains("comune: configmaps/avvisi: get patch"), "{account}: {found:?}");
    }
}

#[test]
fn for_an_operator_without_a_switch_nothing_is_granted_that_only_the_switch_uses() {
    let [whole, less] = [&[][..], &["--without-sentinel"]].map(|arguments| documents(&small(&[], arguments)));
    let (whole_rights, less_rights) = (rights(&whole, "notte"), rights(&less, "notte"));
    let only: Vec<_> = whole_rights.difference(&less_rights).map(String::as_str).collect();
    let switch = [
        "lavori: configmaps: get list watch create patch",
        "lavori: deployments: get list watch create patch delete",
        "lavori: pods: list watch create patch",
    ];
    assert_eq!(only, switch);
    let instead: Vec<_> = less_rights.difference(&whole_rights).map(String::as_str).collect();
    assert_eq!(instead, ["lavori: configmaps: get create patch", "lavori: pods: list watch patch"]);
    assert!(!rights(&whole, "notte-sentinel").is_empty() && rights(&less, "notte-sentinel").is_empty());
    let accounts = less.iter().filter(|one| one["kind"] == "ServiceAccount").count();
    assert_eq!(accounts, 1, "nobody runs as a sentinel");
}

#[test]
fn the_accounts_and_the_operator_are_those_that_were_named() {
    let named = [("serviceAccountName: notte", "serviceAccountName: notte\n  sentinelServiceAccountName: guardia")];
    let documents = documents(&small(&named, &["--operator", "operatori/turno"]));
    let accounts = documents.iter().filter(|one| one["kind"] == "ServiceAccount").map(|one| one["metadata"]["name"].clone());
    assert_eq!(accounts.collect::<Vec<_>>(), ["notte", "guardia"]);
    assert!(!rights(&documents, "guardia").is_empty());
    assert_eq!(rights(&documents, "turno"), ["lavori: serviceaccounts/token/notte: create".to_owned()].into());
    let binding = documents.last().unwrap();
    assert_eq!(binding["subjects"][0]["namespace"], "operatori");
}

/// A YAML 1.1 reader takes such names for truth values and numbers when they stand there plain.
#[test]
fn names_that_other_readers_take_for_something_else_are_quoted() {
    for name in ["no", "on", "y", "true", "null", "123", "1e3", "0x1f", "0o17", "1.5", "2026-11-24"] {
        let ran = small(&[("name: backend}, replicas", &format!("name: \"{name}\"}}, replicas"))], &[]);
        assert!(
            rights(&documents(&ran), "notte").contains(&format!("comune: deployments/{name}: get patch")),
            "{name}: {}",
            ran.out
        );
        let quoted = [format!("- \"{name}\""), format!("- '{name}'")];
        assert!(ran.out.lines().any(|line| quoted.contains(&line.trim().to_owned())), "{name} stands there plain:\n{}", ran.out);
    }
}

#[test]
fn a_plural_that_only_a_cluster_knows_says_so_above_its_role() {
    let ran = small(&[], &[]);
    let doubt =
        "# Verify with `kubectl api-resources --api-group=example.org`: example.org/v1 Proxy is taken to be served as proxies";
    assert_eq!(ran.out.matches(doubt).count(), 1, "{}", ran.out);
    assert!(!ran.out.contains("Deployment is taken"));
    for (number, document) in ran.out.split("---\n").enumerate() {
        assert!(document.starts_with("# "), "document {number} says what it is for:\n{document}");
    }
}

#[test]
fn what_cannot_be_granted_is_refused_with_its_place_and_nothing_is_printed() {
    let forbidden = small(&[("  allowedFrom: [{namespace: lavori}]\n", "")], &[]);
    assert_eq!((forbidden.code, forbidden.out.as_str()), (1, ""));
    assert!(forbidden.err.contains("ClosingNotAllowed") && forbidden.err.starts_with("-:"), "{}", forbidden.err);
    let unknown = small(&[("[comune/sportello]", "[comune/sportelo]")], &[]);
    assert!(unknown.code == 1 && unknown.err.contains("UnknownService"), "{}", unknown.err);
    let refused = small(&[("  reopen: {budget: 5m}\n", "")], &[]);
    assert!(refused.code == 1 && refused.err.contains("reopen.budget"), "{}", refused.err);
    assert!(!refused.err.contains("UnknownService"), "what only follows from it is not told: {}", refused.err);
    let invalid = small(&[("serviceAccountName: notte", "serviceAccountName: Notte")], &[]);
    assert!(invalid.code == 1 && invalid.err.contains("spec.serviceAccountName"), "{}", invalid.err);
}

#[test]
fn what_is_unclear_or_unreadable_ends_with_two() {
    for (arguments, words) in [
        (&["rbac", "no-such-file.yaml"][..], "no-such-file.yaml"),
        (&["rbac", "runbooks/sogei-2023.yaml", "--runbook", "altro"][..], "there are: centro-dati/aggiornamento-motore"),
        (&["rbac", "runbooks/sogei-2023.yaml", "--operator", "notturno"][..], "NAMESPACE/NAME"),
    ] {
        let ran = run(arguments, b"");
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
    }
    let runbook = &SMALL[SMALL.rfind("---\n").unwrap()..];
    let two = format!("{SMALL}{}", runbook.replace("name: piccolo", "name: grande"));
    let unclear = run(&["rbac", "-"], two.as_bytes());
    assert_eq!((unclear.code, unclear.out.as_str()), (2, ""));
    assert!(unclear.err.contains("choose with --runbook from lavori/piccolo, lavori/grande"), "{}", unclear.err);
    assert_eq!(run(&["rbac", "-", "--runbook", "grande"], two.as_bytes()).code, 0);
}

/// The operator's own role grants none of what a tenant grants, not in part and not by a wildcard.
#[test]
fn the_operator_itself_has_none_of_these_rights() {
    let installed = manifests::install().unwrap();
    let chart = fs::read_to_string(format!("{}/charts/notturno/templates/rights.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let chart = chart.replace("{{ .Release.Namespace }}", "notturno-system");
    let chart: Vec<Value> = serde_saphyr::from_multiple(&chart).expect("the chart's roles are plain but for their namespace");
    let of = |rule: &Value, field: &str| -> BTreeSet<String> {
        rule[field].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let granted: Vec<Value> = RUNBOOKS.iter().flat_map(|name| documents(&printed(name))).collect();
    let rules = |documents: &[Value]| -> Vec<Value> {
        documents.iter().flat_map(|one| one["rules"].as_array().cloned().unwrap_or_default()).collect()
    };
    for (whose, own) in [("manifests", rules(&installed)), ("chart", rules(&chart))] {
        assert!(own.len() >= 7, "{whose}: {own:?}");
        for rule in &own {
            let (groups, resources) = (of(rule, "apiGroups"), of(rule, "resources"));
            assert!(!groups.contains("*") && !resources.contains("*"), "{whose}: {rule}");
            for right in rules(&granted) {
                let shared = !groups.is_disjoint(&of(&right, "apiGroups")) && !resources.is_disjoint(&of(&right, "resources"));
                assert!(!shared, "{whose} grants {rule}, and a tenant grants {right}");
            }
        }
    }
}
