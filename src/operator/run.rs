//! The operator: one watch of all Interventions, one task for each night.
//!
//! In: the shared context, a signal to stop. Out: nights, until it stops. Invariants: no night runs in two tasks at once, told apart by
//! UID; an Intervention that cannot be decoded is a night of its own that is refused; a night that is settled has no task; dropping the
//! future ends every task at once, stopping lets each finish its turn. Not here: what a night does; which replica works ([`super::lead`]);
//! sockets and signals ([`crate::cli`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{Event, watcher};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::context::Context;
use super::health::{Ping, Pulse};
use super::mailbox::Mailbox;
use super::night::{Night, live};
use super::story::story;
use super::watching::{self, Failures};
use crate::api::Intervention;

/// How long the first list may stay silent before it is asked anew.
const SYNC_FOR_MAX: Duration = Duration::from_secs(30);
/// News of the watch that wait for the loop.
const NEWS_MAX: usize = 1024;
/// How long nights may take to finish their turn when the operator stops.
const STOP_FOR_MAX: Duration = Duration::from_secs(25);

/// Why the operator ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A fault of ours. Retry later: a new process begins from the ledgers.
    #[error("the watch of Interventions ended")]
    WatchEnded,
}

/// Runs the operator until `stop` turns true.
///
/// # Errors
/// When it cannot see Interventions any more.
pub async fn run(context: Context, mut pulse: Pulse, stop: watch::Receiver<bool>) -> Result<(), RunError> {
    serve(context, &mut pulse, stop).await
}

/// The same, with a pulse that outlives it.
pub(super) async fn serve(context: Context, pulse: &mut Pulse, mut stop: watch::Receiver<bool>) -> Result<(), RunError> {
    let (tell, mut news) = mpsc::channel(NEWS_MAX);
    let mut watching = JoinSet::new();
    watching.spawn(watch_interventions(context.clone(), tell));
    let mut nights = Nights { context, stop: stop.clone(), known: BTreeMap::new(), listed: None, tasks: JoinSet::new() };
    while !*stop.borrow() {
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            Some(ping) = pulse.turns.recv() => answer(ping),
            event = news.recv() => {
                if nights.hear(event.ok_or(RunError::WatchEnded)?) {
                    pulse.synced.send_replace(true);
                }
            }
            Some(ended) = nights.tasks.join_next() => nights.ended(ended),
        }
    }
    drop(watching);
    if timeout(STOP_FOR_MAX, async { while nights.tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("a night did not finish its turn in time; it can be resumed anywhere");
    }
    Ok(())
}

pub(super) fn answer(ping: Ping) {
    // Who asked may have gone: nothing is lost.
    let _ = ping.send(());
}

/// One watch; after an error it goes on after a pause that doubles.
async fn watch_interventions(context: Context, tell: mpsc::Sender<Event<DynamicObject>>) {
    let mut failures = Failures::default();
    loop {
        let api: Api<DynamicObject> =
            Api::all_with(context.heart.listens(&context.client), &ApiResource::erase::<Intervention>(&()));
        let mut news = watcher(api, watching::config(context.watch_for_seconds, None)).boxed();
        let mut synced = false;
        loop {
            let next = if synced { Ok(news.next().await) } else { timeout(SYNC_FOR_MAX, news.next()).await };
            match next {
                Ok(Some(Ok(event))) => {
                    if matches!(event, Event::Apply(_) | Event::Delete(_)) {
                        failures.forget();
                    }
                    synced = matches!(event, Event::InitDone) || (synced && !matches!(event, Event::Init));
                    if tell.send(event).await.is_err() {
                        return;
                    }
                }
                Ok(Some(Err(error))) => {
                    tracing::warn!(error = story(&error), "the watch of Interventions failed");
                    tokio::time::sleep(failures.pause()).await;
                    if watching::is_expired(&error) {
                        break;
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
    }
}

/// All nights, by the UID of their Intervention.
struct Nights {
    context: Context,
    stop: watch::Receiver<bool>,
    known: BTreeMap<String, Known>,
    /// What a listing under way has shown so far.
    listed: Option<BTreeSet<String>>,
    tasks: JoinSet<String>,
}

enum Known {
    Living(Arc<Mailbox>),
    Settled,
}

impl Nights {
    /// Hands out one piece of news; true when all Interventions were seen.
    fn hear(&mut self, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => self.listed = Some(BTreeSet::new()),
            Event::InitApply(object) => {
                self.listed.get_or_insert_default().extend(object.uid());
                self.there(object);
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<String> = self.known.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                for uid in gone {
                    self.gone(&uid);
                }
                return true;
            }
            Event::Apply(object) => self.there(object),
            Event::Delete(object) => self.gone(&object.uid().unwrap_or_default()),
        }
        false
    }

    fn there(&mut self, object: DynamicObject) {
        let Some(uid) = object.uid() else { return };
        match self.known.get(&uid) {
            Some(Known::Living(mailbox)) => mailbox.put(object),
            Some(Known::Settled) => {}
            None => {
                let night = Box::new(Night::new(object, &self.context));
                self.known.insert(uid.clone(), Known::Living(Arc::clone(&night.mailbox)));
                let (context, stop) = (self.context.clone(), self.stop.clone());
                self.tasks.spawn(async move {
                    live(night, context, stop).await;
                    uid
                });
            }
        }
    }

    fn gone(&mut self, uid: &str) {
        match self.known.get(uid) {
            Some(Known::Living(mailbox)) => mailbox.gone(),
            Some(Known::Settled) => drop(self.known.remove(uid)),
            None => {}
        }
    }

    fn ended(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            // Its object is forgotten when it goes; until then it is not taken for a new night.
            Ok(uid) => match self.known.get(&uid) {
                Some(Known::Living(mailbox)) if mailbox.is_gone() => drop(self.known.remove(&uid)),
                Some(Known::Living(_) | Known::Settled) | None => drop(self.known.insert(uid, Known::Settled)),
            },
            Err(error) => {
                tracing::error!(%error, "a night's task ended by itself");
                self.context.heart.lost_a_task();
            }
        }
    }
}
