//! What a step does, as written → [`Action`].
//!
//! In: a raw step. Out: its one action, or every problem of it. Invariants: exactly one action; no Secret; an expression that is waited
//! for compiles and names nothing but `self`. What is not here: undos ([`super::undo`]).

use serde_json::{Map, Value};

use super::inside::{Inside, bounded, refuse_kind};
use super::service::{Asked, probe_of};
use super::{Findings, only, patch};
use crate::api::action as raw;
use crate::api::expression::Expression;
use crate::api::runbook::Step;
use crate::model::action::{Action, Check, Hold, OnSilence};
use crate::model::reference::{Target, is_label, is_subdomain};
use crate::model::service::Change;
use crate::model::span::Span;

const ACTIONS: &str = "job, close, scale, patch, apply, suspend, restart, wait, http, hold, cordon, notify";

pub(super) fn action(found: &mut Findings, inside: &Inside<'_>, path: &str, raw: &Step, budget: Span) -> Action {
    let Step { job, close, scale, patch, apply, suspend, restart, wait, http, hold, cordon, notify, .. } = raw;
    let at = |field: &str| format!("{path}.{field}");
    let written = only([
        job.as_ref().map(|raw| Action::Job(inside.job(found, &at("job"), raw))),
        close.as_ref().map(|raw| Action::Close { services: found.references(&at("close.services"), &raw.services) }),
        scale.as_ref().map(|raw| change(found, inside, &at("scale"), &raw.target, Change::Scale { replicas: raw.replicas })),
        patch.as_ref().map(|raw| {
            let patched = patch::change(found, &at("patch"), raw.merge.as_ref(), &raw.json);
            change(found, inside, &at("patch"), &raw.target, patched)
        }),
        apply.as_ref().map(|raw| applied(found, inside, &at("apply.manifest"), &raw.manifest)),
        suspend.as_ref().map(|raw| change(found, inside, &at("suspend"), &raw.target, Change::Suspend {})),
        restart.as_ref().map(|raw| change(found, inside, &at("restart"), &raw.target, Change::Restart {})),
        wait.as_ref().map(|raw| {
            let target = inside.object(found, &at("wait.target"), &raw.target);
            if let Err(reason) = Expression::parse(&raw.until) {
                found.refuse("BadExpression", &at("wait.until"), reason);
            }
            Action::Check(Check::Wait { target, until: raw.until.clone() })
        }),
        http.as_ref().map(|ask| asks(found, &at("http"), &raw.name, ask, budget)),
        hold.as_ref().map(|raw| Action::Hold(held(found, &at("hold"), raw))),
        cordon.as_ref().map(|raw| Action::Change { target: node(&raw.node), change: Change::Cordon {} }),
        notify.as_ref().map(|raw| Action::Notify { message: raw.message.clone() }),
    ]);
    if hold.is_some() {
        for (field, is_written) in [("hardCap", raw.hard_cap.is_some()), ("onOverrun", raw.on_overrun.is_some())] {
            if is_written {
                let message = format!("a hold ends with its budget, and onSilence says how: remove {field}");
                found.refuse("NotAllowed", &at(field), message);
            }
        }
    }
    written.unwrap_or_else(|| {
        found.refuse("NotExactlyOne", path, format!("a step does exactly one thing: write one of {ACTIONS}"));
        Action::Close { services: Vec::new() }
    })
}

fn change(found: &mut Findings, inside: &Inside<'_>, path: &str, target: &raw::Object, change: Change) -> Action {
    Action::Change { target: inside.object(found, &format!("{path}.target"), target), change }
}

fn node(name: &str) -> Target {
    Target { api_version: "v1".to_owned(), kind: "Node".to_owned(), namespace: String::new(), name: name.to_owned() }
}

fn asks(found: &mut Findings, path: &str, name: &str, raw: &raw::Http, budget: Span) -> Action {
    let raw::Http { url, status, consecutive, every } = raw;
    let asked = Asked { url, url_path: format!("{path}.url"), status, consecutive: *consecutive, every };
    Action::Check(Check::Http(probe_of(found, path, name, &asked, budget, "the budget")))
}

fn held(found: &mut Findings, path: &str, raw: &raw::Hold) -> Hold {
    let raw::Hold { message, confirmations, on_silence } = raw;
    let confirmations = u32::try_from(*confirmations).unwrap_or_default();
    if confirmations == 0 && !found.has(&format!("{path}.confirmations")) {
        found.refuse("BadValue", &format!("{path}.confirmations"), "somebody has to confirm: write 1 or more");
    }
    if *on_silence == OnSilence::TurnBack {
        let message =
            "nobody can confirm yet, so that the night turns back here: write onSilence: Continue, or leave the hold out";
        found.warn("NotActedOn", path, message);
    }
    Hold { message: message.clone(), confirmations, on_silence: *on_silence }
}

/// Server-side apply of an object that says what it is.
fn applied(found: &mut Findings, inside: &Inside<'_>, path: &str, manifest: &Map<String, Value>) -> Action {
    bounded(found, path, &Value::Object(manifest.clone()));
    let field = |pointer: &str| Value::Object(manifest.clone()).pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut required = |pointer: &str, name: &str| {
        let written = field(pointer);
        if written.is_none() {
            found.refuse("Missing", &format!("{path}.{name}"), format!("an applied object says what it is: write {name}"));
        }
        written.unwrap_or_default()
    };
    let api_version = required("/apiVersion", "apiVersion");
    let kind = required("/kind", "kind");
    let name = required("/metadata/name", "metadata.name");
    refuse_kind(found, path, &api_version, &kind);
    identity(found, path, manifest);
    let mut merge = manifest.clone();
    for identity in ["apiVersion", "kind"] {
        merge.remove(identity);
    }
    if let Some(metadata) = merge.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("name");
        metadata.remove("namespace");
        if metadata.is_empty() {
            merge.remove("metadata");
        }
    }
    for (field, message) in patch::problems(&merge) {
        found.refuse("BadPatch", &format!("{path}{field}"), message);
    }
    let namespace = field("/metadata/namespace").unwrap_or_else(|| inside.namespace.to_owned());
    let target = Target { api_version, kind, namespace, name };
    Action::Change { target, change: Change::Apply { manifest: manifest.clone().into() } }
}

/// What an applied object is called becomes an address: nothing but the form that names have.
fn identity(found: &mut Findings, path: &str, manifest: &Map<String, Value>) {
    let is_version = |text: &str| match text.split_once('/') {
        Some((group, version)) => is_subdomain(group) && is_label(version),
        None => is_label(text),
    };
    let is_kind = |text: &str| {
        text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let metadata = manifest.get("metadata").and_then(Value::as_object);
    let inner = |field: &str| metadata.and_then(|metadata| metadata.get(field));
    let mut form = |field: &str, value: Option<&Value>, is_good: &dyn Fn(&str) -> bool, form: &str| {
        let path = format!("{path}.{field}");
        if value.is_some_and(|value| !value.as_str().is_some_and(is_good)) && !found.has(&path) {
            found.refuse("BadForm", &path, format!("it does not have the form that is expected: write {form}"));
        }
    };
    form("apiVersion", manifest.get("apiVersion"), &is_version, "v1 or group/v1");
    form("kind", manifest.get("kind"), &is_kind, "a kind such as ConfigMap");
    form("metadata.name", inner("name"), &is_subdomain, "small letters, digits, inner '-' and '.'");
    form("metadata.namespace", inner("namespace"), &is_label, "small letters, digits and inner '-'");
}
