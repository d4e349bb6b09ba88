//! What a tenant grants by day: the documents that `notturno rbac` prints.
//!
//! In: a runbook and the rights that its work needs. Out: [`Grant`]s: `ServiceAccounts`, `Roles`, bindings, and the operator's right to ask
//! for the tokens of one account, as YAML. Invariants: the same runbook gives the same bytes; names carry the runbook's, so that applying
//! those of one runbook takes nothing from another; what the operator itself may do is never in a role of its own. Not here: which rights
//! are needed ([`crate::plan::rights`]).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::model::runbook::Runbook;
use crate::plan::rights::{Needs, Resource, Right, Whose};

/// One document, and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Sentences for people, one a line.
    pub comments: Vec<String>,
    /// The object.
    pub object: Value,
}

/// The group, plural and verbs of a rule; names are gathered behind it.
type RuleKey = (bool, String, String, Vec<&'static str>);

/// All documents of a runbook; the operator runs as `ServiceAccount` `operator`, as namespace and name.
#[must_use]
pub fn grants(runbook: &Runbook, needs: &Needs, operator: (&str, &str)) -> Vec<Grant> {
    let of = format!("Runbook {}/{}", runbook.namespace, runbook.name);
    let (work, sentinel) = (&runbook.service_account, &runbook.sentinel_service_account);
    let restores = needs.rights(Whose::Sentinel);
    let mut grants = vec![account(runbook, work, format!("The account that does the work of {of}."))];
    if sentinel != work && !restores.is_empty() {
        grants.push(account(
            runbook,
            sentinel,
            format!("The account of the sentinel of {of}: it restores, and creates nothing."),
        ));
    }
    let role = format!("notturno:{}:{}", runbook.namespace, runbook.name);
    let does = "what its work closes, changes, runs and puts back";
    grants.extend(granted(runbook, &needs.rights(Whose::Work), &role, work, &format!("{of}: {does}")));
    let does = "what its sentinel puts back when the operator is gone";
    grants.extend(granted(runbook, &restores, &format!("{role}:sentinel"), sentinel, &format!("{of}: {does}")));
    grants.extend(tokens(runbook, &format!("{role}:token"), operator));
    grants
}

/// The documents as YAML that every reader takes alike, each with its comments on top.
///
/// # Errors
/// The emitter's, in words.
pub fn yaml(grants: &[Grant]) -> Result<String, String> {
    let mut text = String::new();
    for Grant { comments, object } in grants {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        for comment in comments {
            text.push_str(&format!("# {comment}\n"));
        }
        text.push_str(&serde_saphyr::to_string(object).map_err(|error| error.to_string())?);
    }
    Ok(text)
}

fn account(runbook: &Runbook, name: &str, comment: String) -> Grant {
    let metadata = json!({"name": name, "namespace": runbook.namespace});
    Grant { comments: vec![comment], object: json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}) }
}

/// A role in each namespace and its binding; for what stands in none, a role of the cluster.
fn granted(runbook: &Runbook, rights: &[Right], role: &str, account: &str, purpose: &str) -> Vec<Grant> {
    let namespaces: BTreeSet<&str> = rights.iter().map(|right| right.namespace.as_str()).collect();
    // The runbook's own namespace first, the cluster last.
    let mut ordered: Vec<&str> = namespaces.into_iter().collect();
    ordered.sort_by_key(|namespace| (namespace.is_empty(), *namespace != runbook.namespace, namespace.to_owned()));
    let in_namespace = |namespace: &str| {
        let own: Vec<&Right> = rights.iter().filter(|right| right.namespace == namespace).collect();
        let place = if namespace.is_empty() { "outside namespaces".to_owned() } else { format!("in namespace {namespace}") };
        let mut comments = vec![format!("{purpose}, {place}.")];
        comments.extend(uncertain(&own));
        let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
        let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata(role, namespace),
            "rules": rules(&own)});
        let subject = json!({"kind": "ServiceAccount", "name": account, "namespace": runbook.namespace});
        [Grant { comments, object }, binding(kind, role, namespace, &subject)]
    };
    ordered.into_iter().flat_map(in_namespace).collect()
}

fn metadata(name: &str, namespace: &str) -> Value {
    if namespace.is_empty() { json!({"name": name}) } else { json!({"name": name, "namespace": namespace}) }
}

fn binding(kind: &str, role: &str, namespace: &str, subject: &Value) -> Grant {
    let [name, of] = ["name", "namespace"].map(|field| subject.get(field).and_then(Value::as_str).unwrap_or_default());
    let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"),
        "metadata": metadata(role, namespace),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": [subject]});
    Grant { comments: vec![format!("Gives the {kind} above to ServiceAccount {of}/{name}.")], object }
}

/// One rule for each resource and set of verbs: those without names first.
fn rules(rights: &[&Right]) -> Vec<Value> {
    let mut rules: BTreeMap<RuleKey, BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        let served = right.resource.served();
        let named = !right.name.is_empty();
        let names = rules.entry((named, served.group, served.plural, right.verbs.clone())).or_default();
        names.extend(named.then_some(right.name.as_str()));
    }
    let rule = |((_, group, plural, verbs), names): (RuleKey, BTreeSet<&str>)| {
        if names.is_empty() {
            return json!({"apiGroups": [group], "resources": [plural], "verbs": verbs});
        }
        json!({"apiGroups": [group], "resources": [plural], "resourceNames": names, "verbs": verbs})
    };
    rules.into_iter().map(rule).collect()
}

/// Plurals that only a cluster can confirm.
fn uncertain(rights: &[&Right]) -> Vec<String> {
    let doubt = |right: &&Right| {
        let served = right.resource.served();
        let Resource::Kind { api_version, kind } = &right.resource else { return None };
        let group = if served.group.is_empty() { String::new() } else { format!(" --api-group={}", served.group) };
        let words = format!(
            "Verify with `kubectl api-resources{group}`: {api_version} {kind} is taken to be served as {}, in a namespace.",
            served.plural
        );
        (!served.is_certain).then_some(words)
    };
    rights.iter().filter_map(doubt).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The operator asks for tokens of the one account, and does everything with them.
fn tokens(runbook: &Runbook, role: &str, (namespace, name): (&str, &str)) -> [Grant; 2] {
    let account = &runbook.service_account;
    let comment = format!(
        "Lets the operator, ServiceAccount {namespace}/{name}, ask for short-lived tokens of {}/{account}: it has no other rights here.",
        runbook.namespace
    );
    let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(role, &runbook.namespace),
        "rules": [{"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [account], "verbs": ["create"]}]});
    let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
    [Grant { comments: vec![comment], object }, binding("Role", role, &runbook.namespace, &subject)]
}
