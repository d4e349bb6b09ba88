//! What a night hears: its Intervention as last seen, and a bell.
//!
//! In: what the watch shows, and whoever has news. Out: the latest object, and one ring for any number of news.
//! Invariants: only news that concern the night ring, so that its own status writes never wake it; no ring is lost; there is one object
//! in memory, without what no night looks at.
//! Not here: what the news mean.

use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::json;
use tokio::sync::Notify;

/// What `kubectl apply` writes: the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An Intervention as last seen.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// It is there.
    There(Arc<DynamicObject>),
    /// It is not there any more.
    Gone,
}

/// Where news of one night arrive.
#[derive(Debug)]
pub(super) struct Mailbox {
    seen: Mutex<Seen>,
    bell: Arc<Notify>,
}

impl Mailbox {
    pub(super) fn new(object: DynamicObject) -> Self {
        Self { seen: Mutex::new(Seen::There(Arc::new(slim(object)))), bell: Arc::default() }
    }

    /// Keeps the newer object; rings when its spec or its deletion changed.
    pub(super) fn put(&self, object: DynamicObject) {
        let concerns = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let concerns = match &*seen {
                Seen::There(known) => what_concerns(known) != what_concerns(&object),
                Seen::Gone => true,
            };
            *seen = Seen::There(Arc::new(slim(object)));
            concerns
        };
        if concerns {
            self.bell.notify_one();
        }
    }

    /// Notes that the object is not there any more.
    pub(super) fn gone(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::Gone;
        self.bell.notify_one();
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The object, if it is there.
    pub(super) fn object(&self) -> Option<Arc<DynamicObject>> {
        match self.seen() {
            Seen::There(object) => Some(object),
            Seen::Gone => None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.seen(), Seen::Gone)
    }

    /// The bell, for whoever else has news.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// Waits for news; returns at once when there were some since the last time.
    pub(super) async fn heard(&self) {
        self.bell.notified().await;
    }
}

/// Without what others keep in it. The status is the night's own report, of which an introduction asks for the outcome alone.
fn slim(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object.annotations_mut().remove(LAST_APPLIED);
    if let Some(fields) = object.data.as_object_mut() {
        let outcome = fields.remove("status").and_then(|status| status.get("outcome").cloned());
        fields.extend(outcome.map(|outcome| ("status".to_owned(), json!({"outcome": outcome}))));
    }
    object
}

fn what_concerns(object: &DynamicObject) -> (Option<i64>, bool) {
    (object.metadata.generation, object.metadata.deletion_timestamp.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_object_only_what_a_night_looks_at_is_kept() {
        let object = json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Intervention",
            "metadata": {"name": "notte", "generation": 3, "finalizers": ["notturno.dev/night"], "managedFields": [{"manager": "kubectl"}],
                "annotations": {LAST_APPLIED: "{}", "notturno.dev/service-account": "lavori"}},
            "spec": {"runbook": "notte"}, "status": {"outcome": "Refused", "why": "long", "conditions": []}});
        let object: Option<DynamicObject> = serde_json::from_value(object).ok();
        let kept = object.and_then(|object| Mailbox::new(object).object()).and_then(|kept| serde_json::to_value(&*kept).ok());
        let expected = json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Intervention",
            "metadata": {"name": "notte", "generation": 3, "finalizers": ["notturno.dev/night"],
                "annotations": {"notturno.dev/service-account": "lavori"}},
            "spec": {"runbook": "notte"}, "status": {"outcome": "Refused"}});
        assert_eq!(kept, Some(expected));
    }
}
