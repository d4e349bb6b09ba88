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
    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": world.stamp()});
    let conditions = [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")];
    let names = super::fields::at(&definition, &["spec", "names"]).cloned();
    world.write_status(key, json!({"conditions": conditions, "acceptedNames": names}));
}
