//! Who sends a night's Events, one after the other, and knows up to which record people were told.
//!
//! In: records and other notices. Out: Events, their numbers, [`Herald::told_up_to`]. Invariants: best effort, beside the night and never
//! in its way. A record is told once each of its Events was created, or was there already (names are the same, whoever sends them), or
//! was given up: at once when the API server will never take it, after some tries when it may not be created now ([`tries_max`], six
//! minutes without usable answers); those behind one that was given up get one try each until one succeeds. What was given up is counted
//! as lost and stands in the ledger. At most [`NOTICES_MAX`] notices wait, as many may be under way: beyond that a record waits in the
//! ledger and is taken when the others are sent; any other notice is lost. Whoever drops this gives up nothing for the night: the next
//! operator tells what was not told. Not here: what an Event says ([`super::events`]), what is told when ([`super::telling`]).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use k8s_openapi::api::events::v1::Event as KubeEvent;
use kube::api::{Api, PostParams};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use super::book::Whose;
use super::context::Context;
use super::effects::call::{Answer, CallError, LIMIT, within};
use super::events::{Notice, Regarding, event};
use super::metrics::Metrics;
use super::story::story;
use super::tries::{STATUS_PAUSE_MAX, pause};

/// Notices of one night that may wait. The last record taken may exceed it by its own.
const NOTICES_MAX: usize = 256;
/// How long a status waits, once, for the Events that it is to count as told.
const SOON: Duration = Duration::from_secs(1);

/// The Events of one night that wait or are under way.
#[derive(Debug)]
pub(super) struct Herald {
    regarding: Regarding,
    waiting: VecDeque<Notice>,
    /// The last record among those that wait or are under way.
    taken_up_to: u32,
    told_up_to: u32,
    /// At most one: what was waiting when it set out, in order.
    errand: JoinSet<Errand>,
    /// What the last errand gave up.
    gave_up: bool,
    /// A status has waited for this errand already.
    is_slow: bool,
    /// The night rests until all is sent.
    wakes: bool,
    /// What stands in no record and was told once for the night.
    once: BTreeSet<&'static str>,
}

/// What an errand brings back.
#[derive(Clone, Copy, Debug)]
struct Errand {
    told_up_to: u32,
    gave_up: bool,
}

impl Herald {
    /// One that goes on after this record of the night.
    pub(super) fn after(told_up_to: u32, whose: &Whose) -> Self {
        let Whose { namespace, service_account: _, name, night_uid: uid } = whose.clone();
        let regarding = Regarding { namespace, name, uid };
        let (waiting, errand) = (VecDeque::new(), JoinSet::new());
        let (gave_up, is_slow, wakes, once) = (false, false, false, BTreeSet::new());
        Self { regarding, waiting, taken_up_to: told_up_to, told_up_to, errand, gave_up, is_slow, wakes, once }
    }

    /// The last record of which all is told or given up, as it is of all before it.
    pub(super) fn told_up_to(&self) -> u32 {
        self.told_up_to
    }

    /// The last record that was taken.
    pub(super) fn taken_up_to(&self) -> u32 {
        self.taken_up_to
    }

    /// Whether another record may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < NOTICES_MAX
    }

    /// Nothing waits or is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.errand.is_empty()
    }

    /// Takes the notices of the next record.
    pub(super) fn take(&mut self, seq: u32, notices: Vec<Notice>) {
        self.waiting.extend(notices);
        self.taken_up_to = seq;
    }

    /// Sends what stands in no record, and what waits, without anybody waiting for it.
    pub(super) fn tell(&mut self, context: &Context, notices: Vec<Notice>) {
        for notice in notices {
            if self.has_room() {
                self.waiting.push_back(notice);
            } else {
                context.metrics.told("lost", 1);
            }
        }
        self.set_out(context);
    }

    /// Whether this is the first time for what is told once for the night.
    pub(super) fn is_first(&mut self, place: &'static str) -> bool {
        self.once.insert(place)
    }

    /// The night is to be woken when all is sent.
    pub(super) fn wakes_when_sent(&mut self) {
        self.wakes = true;
    }

    /// Sends on while the night rests; ends only when all is sent, for a night that waits for that.
    pub(super) async fn goes_on(&mut self, context: &Context) {
        self.finish(context).await;
        if !std::mem::take(&mut self.wakes) {
            std::future::pending::<()>().await;
        }
    }

    /// Waits a moment for what is under way; Events that are slow are waited for once.
    pub(super) async fn soon(&mut self, context: &Context) {
        self.set_out(context);
        if !self.is_slow && timeout(SOON, self.finish(context)).await.is_err() {
            self.is_slow = true;
        }
    }

    /// Waits until all is sent. Safe to be dropped while it waits.
    pub(super) async fn finish(&mut self, context: &Context) {
        self.set_out(context);
        while let Some(ended) = self.errand.join_next().await {
            self.returned(ended.ok());
            self.set_out(context);
        }
    }

    /// None: the errand itself failed, a fault of ours; what it had is given up.
    fn returned(&mut self, errand: Option<Errand>) {
        let Errand { told_up_to, gave_up } = errand.unwrap_or(Errand { told_up_to: self.told_up_to, gave_up: true });
        (self.told_up_to, self.gave_up, self.is_slow) = (told_up_to, gave_up, false);
    }

    /// With all that waits, once the last errand is over.
    fn set_out(&mut self, context: &Context) {
        while let Some(ended) = self.errand.try_join_next() {
            self.returned(ended.ok());
        }
        if !self.errand.is_empty() {
            return;
        }
        if self.waiting.is_empty() {
            self.told_up_to = self.taken_up_to;
            return;
        }
        let (notices, regarding, told_up_to) = (std::mem::take(&mut self.waiting), self.regarding.clone(), self.taken_up_to);
        let api: Api<KubeEvent> = Api::namespaced(context.client.clone(), &regarding.namespace);
        let (metrics, mut gave_up) = (context.metrics.clone(), self.gave_up);
        // Boxed: a task that is over keeps its place until somebody asks for it.
        self.errand.spawn(Box::pin(
            async move {
                for notice in notices {
                    gave_up = send(&api, &event(&regarding, notice), gave_up, &metrics).await;
                }
                Errand { told_up_to, gave_up }
            }
            .in_current_span(),
        ));
    }
}

/// Sends one Event until it is there, or is given up: then this is true.
async fn send(api: &Api<KubeEvent>, event: &KubeEvent, is_hasty: bool, metrics: &Metrics) -> bool {
    let mut count = 0_u32;
    loop {
        let error = match within(LIMIT, "creating an Event", api.create(&PostParams::default(), event)).await {
            Ok(_) => {
                metrics.told("told", 1);
                return false;
            }
            Err(error) if error.answer() == Some(Answer::AlreadyExists) => {
                // It may be there by a try of ours that was not answered.
                metrics.told(if count == 0 { "known" } else { "told" }, 1);
                return false;
            }
            Err(error) => error,
        };
        count = count.saturating_add(1);
        if is_hasty || count >= tries_max(&error) {
            metrics.told("lost", 1);
            tracing::warn!(error = story(&error), count, "an Event was lost");
            return true;
        }
        sleep(pause(count, STATUS_PAUSE_MAX).unsigned_abs()).await;
    }
}

/// How often an Event is tried that failed so.
fn tries_max(error: &CallError) -> u32 {
    match error.answer() {
        // With pauses that double to a minute: six minutes.
        None | Some(Answer::Busy | Answer::Unauthorized | Answer::Conflict) => 12,
        // An API server that is back after an outage forbids everything for some seconds; in a namespace that is being deleted it will not
        // end.
        Some(Answer::Forbidden) => 5,
        Some(Answer::NotFound | Answer::AlreadyExists | Answer::Invalid | Answer::Gone | Answer::TooLarge | Answer::Other) => 1,
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test may")]
mod tests {
    use jiff::Timestamp;
    use tokio::time::Instant;

    use super::super::context::tests::unanswered;
    use super::*;

    /// A night whose API server never answers.
    fn night() -> (Context, Herald) {
        let whose =
            Whose { namespace: "n".into(), service_account: String::new(), name: "notte".into(), night_uid: "0f0e0d0c".into() };
        (unanswered(), Herald::after(3, &whose))
    }

    fn notices(count: usize) -> Vec<Notice> {
        let text = String::new;
        let notice =
            Notice { place: text(), at: Timestamp::UNIX_EPOCH, reason: text(), action: text(), note: text(), warning: false };
        vec![notice; count]
    }

    fn lost(context: &Context) -> usize {
        let text = context.metrics.text(Timestamp::UNIX_EPOCH).expect("text");
        let count = text.lines().find_map(|line| line.strip_prefix(r#"notturno_events_total{result="lost"} "#));
        count.map_or(0, |count| count.parse().expect("a count"))
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_its_room_a_record_stays_in_the_ledger_and_any_other_notice_is_lost() {
        let (context, mut herald) = night();
        herald.take(4, notices(2));
        herald.tell(&context, Vec::new());
        herald.take(5, notices(NOTICES_MAX));
        herald.tell(&context, notices(3));
        assert_eq!((herald.has_room(), lost(&context)), (false, 3));
        assert_eq!((herald.taken_up_to(), herald.told_up_to()), (5, 3));
        herald.finish(&context).await;
        assert_eq!((herald.has_room(), herald.told_up_to()), (true, 5), "given up");
        assert_eq!(lost(&context), 3 + 2 + NOTICES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_waits_for_slow_events_a_moment_and_once() {
        let (context, mut herald) = night();
        let since = Instant::now();
        herald.soon(&context).await;
        assert_eq!(since.elapsed(), Duration::ZERO, "there is nothing to wait for");
        herald.take(4, notices(1));
        herald.soon(&context).await;
        herald.soon(&context).await;
        let waited = since.elapsed();
        assert!(SOON <= waited && waited < 2 * SOON, "{waited:?}");
        assert_eq!(herald.told_up_to(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_night_that_rests_is_woken_by_the_last_event_only_when_it_waits_for_that() {
        let (context, mut herald) = night();
        herald.take(4, notices(1));
        let an_hour = Duration::from_secs(3600);
        assert!(timeout(an_hour, herald.goes_on(&context)).await.is_err());
        assert_eq!(herald.told_up_to(), 4, "it was sent on all the same");
        herald.wakes_when_sent();
        assert!(timeout(an_hour, herald.goes_on(&context)).await.is_ok());
    }
}
