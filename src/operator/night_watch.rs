//! What happens to a night's objects in the runbook's namespace, as rings of its bell.
//!
//! In: the tenant's rights, the night's UID. Out: a ring whenever something that facts are made of changed, and for plan and ledger the
//! doubt whether they still are what they were. Invariants: a watch lives only while the night needs it; while it fails, the bell rings in
//! pauses instead. Our own burns, releases and appends change no fact and ring nobody. Not here: the facts themselves: they are read live.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{Event, watcher};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::book::Whose;
use super::context::Context;
use super::effects::{Tenant, ledger, marks};
use super::story::story;
use super::watching::{self, Failures};

/// What is watched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Jobs and their Pods, while there is work.
    Work,
    /// The dead man's switch, plan and ledger, from the making of the switch to the end.
    Guard,
}

/// Who watches which night.
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

/// Watches of one night; dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct NightWatch(JoinSet<()>);

/// Plan and ledger as far as their watch has to know them.
#[derive(Debug, Default)]
pub(crate) struct LedgerEye {
    /// The last record that this operator has read or sent.
    own_seq: AtomicU32,
    /// They may not be what was read.
    doubt: AtomicBool,
}

impl LedgerEye {
    /// This record, and those before it, are known.
    pub(super) fn knows(&self, seq: u32) {
        self.own_seq.fetch_max(seq, Ordering::Relaxed);
    }

    /// They have to be read again.
    pub(super) fn doubt(&self) {
        self.doubt.store(true, Ordering::Relaxed);
    }

    /// Whether they have to be read again; asked once, it is forgotten.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::Relaxed)
    }
}

/// Who is told.
#[derive(Clone)]
struct Told {
    bell: Arc<Notify>,
    eye: Arc<LedgerEye>,
}

impl NightWatch {
    /// Watches, or not any more.
    pub(crate) fn set(
        &mut self,
        kinds: Kinds,
        wanted: bool,
        watched: impl FnOnce() -> Watched,
        (bell, eye): (&Arc<Notify>, &Arc<LedgerEye>),
    ) {
        if !wanted {
            self.0.abort_all();
            self.0 = JoinSet::new();
        } else if self.0.is_empty() {
            let told = Told { bell: Arc::clone(bell), eye: Arc::clone(eye) };
            let watched = watched();
            for kind in kinds.all() {
                self.0.spawn(watch(kind, watched.clone(), told.clone()));
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Job,
    Pod,
    Deployment,
    ConfigMap,
}

impl Kinds {
    fn all(self) -> [Kind; 2] {
        match self {
            Self::Work => [Kind::Job, Kind::Pod],
            Self::Guard => [Kind::Deployment, Kind::ConfigMap],
        }
    }
}

impl Kind {
    fn resource(self) -> ApiResource {
        let (group, kind) = match self {
            Self::Job => ("batch", "Job"),
            Self::Pod => ("", "Pod"),
            Self::Deployment => ("apps", "Deployment"),
            Self::ConfigMap => ("", "ConfigMap"),
        };
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
    }

    /// What facts are made of.
    fn essence(self, object: &DynamicObject, eye: &LedgerEye) -> Value {
        let status = object.data.get("status").cloned().unwrap_or_default();
        let deleted = object.metadata.deletion_timestamp.is_some();
        match self {
            Self::Job | Self::Pod => json!({"status": status, "deleted": deleted}),
            Self::Deployment => {
                let counts =
                    ["replicas", "readyReplicas", "updatedReplicas", "observedGeneration"].map(|field| status.get(field));
                json!({"generation": object.metadata.generation, "counts": counts, "deleted": deleted})
            }
            Self::ConfigMap => json!({"deleted": deleted, "unsound": unsound(&object.data, eye)}),
        }
    }

    /// What is no news when it is seen first.
    fn calm(self) -> Option<Value> {
        match self {
            Self::Job | Self::Pod | Self::Deployment => None,
            Self::ConfigMap => Some(json!({"deleted": false, "unsound": null})),
        }
    }
}

/// In which respect it is neither a plan nor a ledger with a record for each place, all of them known.
fn unsound(object: &Value, eye: &LedgerEye) -> Option<String> {
    let nothing = Map::new();
    let data = object.get("data").and_then(Value::as_object).unwrap_or(&nothing);
    let Some(head) = data.get("head").and_then(Value::as_str) else {
        return (!ledger::holds_plan(data)).then(|| "neither plan nor ledger".to_owned());
    };
    let is_known = ledger::Head::parse(head).is_some_and(|head| {
        let count = usize::try_from(head.seq).unwrap_or(usize::MAX).saturating_add(1);
        head.seq <= eye.own_seq.load(Ordering::Relaxed) && data.len() == count
    });
    (!is_known).then(|| format!("{} records up to {head}", data.len()))
}

async fn watch(kind: Kind, watched: Watched, told: Told) {
    let mut failures = Failures::default();
    loop {
        let mut was_listed = false;
        if let Some(tenant) = (watched.hands)().await {
            let api: Api<DynamicObject> = Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &kind.resource());
            let label = format!("{}={}", marks::NIGHT, watched.night);
            let mut news = watcher(api, watching::config(watched.for_seconds, Some(&label))).boxed();
            let mut known = Known::default();
            let error = loop {
                match news.try_next().await {
                    Ok(Some(event)) => {
                        was_listed |= matches!(event, Event::InitDone);
                        if matches!(event, Event::Apply(_) | Event::Delete(_)) {
                            failures.forget();
                        }
                        if known.is_news(kind, event, &told.eye) {
                            told.tell(kind);
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
            tracing::warn!(?kind, error, "the watch ended; until it is back the night looks by itself");
        }
        tokio::time::sleep(failures.pause()).await;
        // Whoever may not watch still has to look: what cannot be told is asked for, in the same pauses. Where it could be listed, the
        // next list shows what is new of plan and ledger.
        if was_listed && kind == Kind::ConfigMap {
            told.bell.notify_one();
        } else {
            told.tell(kind);
        }
    }
}

impl Told {
    fn tell(&self, kind: Kind) {
        match kind {
            Kind::Job | Kind::Pod | Kind::Deployment => {}
            Kind::ConfigMap => self.eye.doubt(),
        }
        self.bell.notify_one();
    }
}

/// What facts were made of when it was seen last, by name and UID.
#[derive(Default)]
struct Known {
    essences: BTreeMap<(String, String), Value>,
    /// The listing under way has shown something new.
    listed_news: bool,
}

/// Plan and ledger.
const CONFIG_MAP_COUNT: usize = 2;

impl Known {
    /// Whether facts may have changed.
    fn is_news(&mut self, kind: Kind, event: Event<DynamicObject>, eye: &LedgerEye) -> bool {
        match event {
            Event::Init => {
                *self = Self::default();
                false
            }
            Event::InitApply(object) => {
                let essence = kind.essence(&object, eye);
                self.listed_news |= kind.calm().is_some_and(|calm| calm != essence);
                self.essences.insert(key(&object), essence);
                false
            }
            // Whatever was missed while the watch was not there.
            Event::InitDone => kind.calm().is_none() || self.listed_news || self.essences.len() != CONFIG_MAP_COUNT,
            Event::Apply(object) => {
                let essence = kind.essence(&object, eye);
                self.essences.insert(key(&object), essence.clone()).as_ref() != Some(&essence)
            }
            Event::Delete(object) => self.essences.remove(&key(&object)).is_some(),
        }
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.name_any(), object.metadata.uid.clone().unwrap_or_default())
}
