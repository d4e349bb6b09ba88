//! What a night hears: its Intervention as last seen, and a bell.
//!
//! In: what the watch shows, and whoever has news. Out: the latest object, and one ring for any number of news.
//! Invariants: only news that concern the night ring, so that its own status writes never wake it; no ring is lost.
//! Not here: what the news mean.

use std::sync::{Arc, Mutex, PoisonError};

use kube::core::DynamicObject;
use tokio::sync::Notify;

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
        Self { seen: Mutex::new(Seen::There(Arc::new(object))), bell: Arc::default() }
    }

    /// Keeps the newer object; rings when its spec or its deletion changed.
    pub(super) fn put(&self, object: DynamicObject) {
        let concerns = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let concerns = match &*seen {
                Seen::There(known) => what_concerns(known) != what_concerns(&object),
                Seen::Gone => true,
            };
            *seen = Seen::There(Arc::new(object));
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

fn what_concerns(object: &DynamicObject) -> (Option<i64>, bool) {
    (object.metadata.generation, object.metadata.deletion_timestamp.is_some())
}
