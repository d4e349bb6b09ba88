//! Other people's mutating webhooks, as far as a scene needs them: whatever is written through the API may be altered on its way.
//!
//! In: an object about to be stored, and where. Out: the object as it is stored. Invariants: dry runs are altered alike; what the scene
//! creates directly and what controllers write is not. Not here: webhooks that refuse or hang (`fault`), validation.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::world::Key;

/// What is about to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'a> {
    /// Plural name of the kind.
    pub resource: &'a str,
    /// Namespace, empty when cluster-wide.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
}

/// Alters an object. Called while the world is locked: it must not ask it anything.
pub type AdmissionFn = Arc<dyn Fn(Admitted<'_>, &mut Value) + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Admission(pub(super) Option<AdmissionFn>);

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admission").field(&self.0.is_some()).finish()
    }
}

impl Admission {
    /// Lets it alter what is to be stored at `key`, and says whether there is one that may have.
    pub(super) fn admit(&self, key: &Key, object: &mut Value) -> bool {
        let Some(alter) = &self.0 else { return false };
        alter(Admitted { resource: &key.plural, namespace: &key.namespace, name: &key.name }, object);
        true
    }
}
