//! What happens to a night's Jobs and Pods, as rings of its bell.
//!
//! In: the tenant's rights, the night's UID. Out: a ring whenever something that facts are made of changed. Invariants: the watch lives
//! only while the night is active; while it fails, the bell rings in pauses instead. Our own burns and releases change no status and
//! ring nobody. Not here: the facts themselves: they are read live.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{Event, watcher};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::book::Whose;
use super::context::Context;
use super::effects::{Tenant, marks};
use super::story::story;
use super::watching::{self, Failures};

/// Watches of one night; dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct JobWatch(JoinSet<()>);

/// Who watches what.
#[derive(Clone)]
pub(crate) struct Watched {
    /// Gives hands that are good for now; none when there are none.
    pub(crate) hands: Arc<dyn Fn() -> BoxFuture<'static, Option<Tenant>> + Send + Sync>,
    /// The night's UID.
    pub(crate) night: String,
    /// How long one watch lasts.
    pub(crate) for_seconds: u32,
}

impl Watched {
    /// A night of the operator's.
    pub(super) fn of(whose: &Whose, context: &Context) -> Self {
        let (tenants, owned) = (Arc::clone(&context.tenants), whose.clone());
        let hands = move || {
            let (tenants, whose) = (Arc::clone(&tenants), owned.clone());
            async move { tenants.of(&whose.namespace, &whose.service_account).await.ok() }.boxed()
        };
        Self { hands: Arc::new(hands), night: whose.night_uid.clone(), for_seconds: context.watch_for_seconds }
    }
}

impl JobWatch {
    /// Watches, or not any more.
    pub(crate) fn set(&mut self, wanted: bool, watched: impl FnOnce() -> Watched, bell: &Arc<Notify>) {
        if !wanted {
            self.0.abort_all();
            self.0 = JoinSet::new();
        } else if self.0.is_empty() {
            let watched = watched();
            for gvk in [GroupVersionKind::gvk("batch", "v1", "Job"), GroupVersionKind::gvk("", "v1", "Pod")] {
                self.0.spawn(watch(ApiResource::from_gvk(&gvk), watched.clone(), Arc::clone(bell)));
            }
        }
    }
}

async fn watch(kind: ApiResource, watched: Watched, bell: Arc<Notify>) {
    let mut failures = Failures::default();
    loop {
        if let Some(tenant) = (watched.hands)().await {
            let api: Api<DynamicObject> = Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &kind);
            let label = format!("{}={}", marks::NIGHT, watched.night);
            let mut news = watcher(api, watching::config(watched.for_seconds, Some(&label))).boxed();
            let mut known = BTreeMap::new();
            let error = loop {
                match news.try_next().await {
                    Ok(Some(event)) => {
                        if matches!(event, Event::Apply(_) | Event::Delete(_)) {
                            failures.forget();
                        }
                        if is_news(event, &mut known) {
                            bell.notify_one();
                        }
                    }
                    Ok(None) => break String::new(),
                    Err(error) => {
                        if watching::is_unauthorized(&error) {
                            tenant.refuse();
                        }
                        break story(&error);
                    }
                }
            };
            tracing::warn!(kind = kind.kind, error, "the watch ended; until it is back the night looks by itself");
        }
        tokio::time::sleep(failures.pause()).await;
        // Whoever may not watch still has to look: what cannot be told is asked for, in the same pauses.
        bell.notify_one();
    }
}

/// Whether facts may have changed; `known` has what they were made of.
fn is_news(event: Event<DynamicObject>, known: &mut BTreeMap<String, Value>) -> bool {
    match event {
        Event::Init => false,
        // Whatever was missed while the watch was not there.
        Event::InitDone => true,
        Event::InitApply(object) => {
            known.insert(object.metadata.uid.clone().unwrap_or_default(), essence(&object));
            false
        }
        Event::Apply(object) => {
            let essence = essence(&object);
            known.insert(object.metadata.uid.unwrap_or_default(), essence.clone()).as_ref() != Some(&essence)
        }
        Event::Delete(object) => known.remove(&object.metadata.uid.unwrap_or_default()).is_some(),
    }
}

fn essence(object: &DynamicObject) -> Value {
    let status = object.data.get("status").cloned().unwrap_or_default();
    let deleted = object.metadata.deletion_timestamp.is_some();
    serde_json::json!({"status": status, "deleted": deleted})
}
