//! One call, done on the store.
//!
//! In: a decoded [`Call`]. Out: the HTTP status and the body of the answer.
//! Invariants: a failed call leaves the store as it was.
//! Not here: watches (`watch`), transport, faults, the request log (`serve`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::apply::{self, Applier};
use super::call::{Call, Target, Verb};
use super::change::{self, Origin, Part};
use super::create;
use super::delete::{self, Deleted, Dependents, Wish};
use super::failure::{Cause, Failure};
use super::fields;
use super::kinds::ResourceKind;
use super::patch::{self, PatchType};
use super::selector::Selector;
use super::token;
use super::typed;
use super::validate;
use super::world::{Key, Scope, World, uid};

/// HTTP status and body.
pub(super) type Answer = (u16, Value);

/// Does what `call` asks; a watch is answered elsewhere.
///
/// # Errors
/// The failure to answer.
pub(super) fn execute(world: &mut World, call: &Call) -> Result<Answer, Failure> {
    let kind = match &call.target {
        Target::Document(document) => return Ok((200, document.clone())),
        // Answered by `serve`, which knows who asks.
        Target::Review(_) => return Err(Failure::method_not_allowed()),
        Target::Objects(kind) => Arc::clone(kind),
    };
    let key = Key::of(&kind, call.namespace.as_deref().unwrap_or_default(), &call.name);
    let part = match call.subresource.as_str() {
        "" => Part::Main,
        "status" if kind.status_subresource => Part::Status,
        "token" if kind.is("", "serviceaccounts") && call.verb == Verb::Create => {
            return token::issue(world, &kind, &key, call.body.clone(), call.is_dry_run()).map(|answer| (201, answer));
        }
        _ => return Err(Failure::no_such_path()),
    };
    let dry_run = call.is_dry_run();
    if call.verb == Verb::Update {
        validate::decodable(&kind, &call.body)?;
        typed::decode(&kind, &call.body)?;
        change::same_place(&key, &call.body)?;
    }
    match call.verb {
        Verb::Get => world.get(&key).map(|object| (200, (*object).clone())).ok_or_else(|| Failure::not_found(&kind, &key.name)),
        Verb::List => list(world, &kind, call),
        Verb::Create if part == Part::Main && call.name.is_empty() => {
            create::create(world, &kind, &key.namespace, call.body.clone(), dry_run).map(|object| (201, (*object).clone()))
        }
        Verb::Update if part == Part::Main && kind.created_by_updates() && world.get(&key).is_none() => {
            create::create_at(world, &kind, &key, call.body.clone(), dry_run).map(|object| (201, (*object).clone()))
        }
        Verb::Update => {
            let wanted = (call.body.clone(), part, Origin::Put);
            change::change(world, &kind, &key, wanted, dry_run).map(|object| (200, (*object).clone()))
        }
        Verb::Patch => patch(world, &kind, &key, part, call),
        Verb::Delete if part == Part::Main => delete_one(world, &kind, &key, call),
        Verb::DeleteCollection => delete_many(world, &kind, call),
        Verb::Create | Verb::Delete | Verb::Watch => Err(Failure::method_not_allowed()),
    }
}

fn patch(world: &mut World, kind: &ResourceKind, key: &Key, part: Part, call: &Call) -> Result<Answer, Failure> {
    let Some(patch_type) = call.patch_type else { return Err(Failure::unsupported_media("none")) };
    let Some(stored) = world.get(key) else {
        return match patch_type {
            PatchType::Apply if part == Part::Main => apply_anew(world, kind, key, call),
            PatchType::Json | PatchType::Merge | PatchType::Apply => Err(Failure::not_found(kind, &key.name)),
        };
    };
    let (wanted, origin) = if patch_type == PatchType::Apply && part == Part::Main {
        (apply::apply(kind, &key.name, Some(&stored), &call.body, &applier(world, call))?, Origin::Apply)
    } else {
        (patch::apply(&stored, patch_type, &call.body)?, Origin::Patch)
    };
    change::change(world, kind, key, (wanted, part, origin), call.is_dry_run()).map(|object| (200, (*object).clone()))
}

fn apply_anew(world: &mut World, kind: &ResourceKind, key: &Key, call: &Call) -> Result<Answer, Failure> {
    if !fields::text(&call.body, &["metadata", "uid"]).is_empty() {
        return Err(Failure::conflict(
            kind,
            &key.name,
            "uid mismatch: the provided object specified uid, and no existing object was found",
        ));
    }
    let mut object = apply::apply(kind, &key.name, None, &call.body, &applier(world, call))?;
    fields::set(&mut object, &["metadata", "name"], key.name.as_str());
    if !call.is_dry_run() {
        fields::unset(&mut object, &["metadata", "resourceVersion"]);
    }
    create::create_applied(world, kind, &key.namespace, object, call.is_dry_run()).map(|object| (201, (*object).clone()))
}

fn applier<'a>(world: &World, call: &'a Call) -> Applier<'a> {
    Applier { manager: call.parameter("fieldManager"), force: call.parameter("force") == "true", time: world.stamp() }
}

/// What the request says about deleting, in its body or its query.
///
/// # Errors
/// 422 for what nobody can wish.
fn wish(call: &Call) -> Result<Wish, Failure> {
    let condition = |field: &str| fields::at(&call.body, &["preconditions", field]).and_then(Value::as_str).map(str::to_owned);
    let in_body = fields::text(&call.body, &["propagationPolicy"]);
    // What is said in the query is not looked at beside a body.
    let policy = if call.body.is_null() { call.parameter("propagationPolicy") } else { in_body };
    let dependents = match policy {
        "Orphan" => Dependents::Stay,
        "Foreground" => Dependents::First,
        "Background" => Dependents::Follow,
        "" => Dependents::AsUsual,
        odd => {
            let cause = Cause::invalid("propagationPolicy", odd, "must be Foreground, Background or Orphan");
            return Err(Failure::invalid_options("DeleteOptions", &[cause]));
        }
    };
    let in_query = || call.parameter("gracePeriodSeconds").parse().ok();
    let grace_seconds = fields::at(&call.body, &["gracePeriodSeconds"]).and_then(Value::as_i64).or_else(in_query);
    Ok(Wish {
        uid: condition("uid"),
        resource_version: condition("resourceVersion"),
        grace_seconds,
        dependents,
        dry_run: call.is_dry_run(),
    })
}

fn delete_one(world: &mut World, kind: &ResourceKind, key: &Key, call: &Call) -> Result<Answer, Failure> {
    let wish = wish(call)?;
    let object = world.get(key).ok_or_else(|| Failure::not_found(kind, &key.name))?;
    wish.check(kind, &object)?;
    match delete::delete(world, key, &wish) {
        Deleted::Going(object) => Ok((200, (*object).clone())),
        Deleted::Gone(object) if kind.is_shown_once_more() => Ok((200, (*object).clone())),
        Deleted::Gone(object) => {
            let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": key.name, "kind": kind.plural, "uid": uid(&object)}});
            if !kind.group.is_empty() {
                fields::set(&mut status, &["details", "group"], kind.group.as_str());
            }
            Ok((200, status))
        }
        Deleted::Absent => Err(Failure::not_found(kind, &key.name)),
    }
}

/// What a list or a deletion is about, as it was at `revision` or is now.
fn selected(world: &World, kind: &ResourceKind, call: &Call, revision: Option<u64>) -> Result<Vec<(Key, Arc<Value>)>, Failure> {
    let selector = Selector::parse(kind, call.parameter("labelSelector"), call.parameter("fieldSelector"))?;
    let scope = Scope::new(&kind.group, &kind.plural, call.namespace.as_deref());
    let mut found = revision.map_or_else(|| world.copies(&scope), |revision| world.copies_at(&scope, revision));
    found.retain(|(_, object)| selector.selects(object));
    Ok(found)
}

fn list_of(kind: &ResourceKind, revision: u64, more: Option<String>, items: &[(Key, Arc<Value>)]) -> Value {
    let item = |(_, object): &(Key, Arc<Value>)| {
        let mut item = (**object).clone();
        // The list says it once for all.
        if kind.built_in() {
            for field in ["apiVersion", "kind"] {
                fields::unset(&mut item, &[field]);
            }
        }
        item
    };
    let objects: Vec<Value> = items.iter().map(item).collect();
    let mut list = json!({"apiVersion": kind.api_version(), "kind": format!("{}List", kind.kind),
        "metadata": {"resourceVersion": revision.to_string()}, "items": objects});
    // Lists of custom kinds always say it.
    if let Some(more) = more.or_else(|| (!kind.built_in()).then(String::new)) {
        fields::set(&mut list, &["metadata", "continue"], more);
    }
    list
}

fn list(world: &World, kind: &ResourceKind, call: &Call) -> Result<Answer, Failure> {
    let further = call.parameter("continue");
    let unreadable = || Failure::bad_request("continue key is not valid");
    let (asked, after) = match further.split_once('~') {
        // Pages show what there was at the first.
        Some((from, after)) => (Some(from.parse().map_err(|_| unreadable())?), after),
        None if !further.is_empty() => return Err(unreadable()),
        None => ((call.older > 0).then(|| world.revision_ago(call.older)), ""),
    };
    if let Some(asked) = asked.filter(|asked| !further.is_empty() && *asked < world.forgotten()) {
        return Err(Failure::expired(asked, world.forgotten()));
    }
    let mut found = selected(world, kind, call, asked)?;
    let revision = asked.unwrap_or(world.revision());
    found.retain(|(key, _)| after.is_empty() || format!("{}/{}", key.namespace, key.name).as_str() > after);
    let limit: usize = call.parameter("limit").parse().unwrap_or(0);
    let left = found.len().saturating_sub(limit);
    let more = if limit > 0 && left > 0 {
        found.truncate(limit);
        found.last().map(|(key, _)| format!("{revision}~{}/{}", key.namespace, key.name))
    } else {
        None
    };
    let counted = more.is_some() && ["labelSelector", "fieldSelector"].iter().all(|selector| call.parameter(selector).is_empty());
    let mut list = list_of(kind, revision, more, &found);
    if counted {
        fields::set(&mut list, &["metadata", "remainingItemCount"], left);
    }
    Ok((200, list))
}

fn delete_many(world: &mut World, kind: &ResourceKind, call: &Call) -> Result<Answer, Failure> {
    let found = selected(world, kind, call, None)?;
    let wish = wish(call)?;
    for (key, _) in &found {
        delete::delete(world, key, &wish);
    }
    Ok((200, list_of(kind, world.revision(), None, &found)))
}
