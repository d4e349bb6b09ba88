//! `CustomResourceDefinitions`: what they declare is served as soon as they are stored.
//!
//! In: a stored definition. Out: its kinds in the table, and the conditions that clients wait for.
//! Invariants: a kind once served stays served.
//! Not here: schemas, pruning, defaulting, CEL, conversion; unregistering when a definition is deleted.

use serde_json::json;

use super::kinds;
use super::world::{Key, World};

/// Serves the kinds of the definition at `key`.
pub(super) fn react(world: &mut World, key: &Key) {
    let Some(definition) = world.get(key) else { return };
    let Ok(kinds) = kinds::from_definition(&definition) else { return };
    for kind in kinds {
        world.kinds.register(kind);
    }
    if super::fields::at(&definition, &["status", "conditions"]).is_some() {
        return;
    }
    let now = world.stamp();
    let condition = |(kind, reason): (&str, &str)| {
        let mut condition = json!({"type": kind, "status": "True", "reason": reason, "message": ""});
        super::fields::set(&mut condition, &["lastTransitionTime"], now.clone());
        condition
    };
    let conditions = [("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted")].map(condition);
    let names = super::fields::at(&definition, &["spec", "names"]).cloned();
    world.write_status(key, json!({"conditions": conditions, "acceptedNames": names}));
}
