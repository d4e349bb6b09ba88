//! The proof of life that people outside wait for: its silence says that nobody here can be counted on.
//!
//! In: each renewal of the lease, each good answer to the list or watch of Interventions, each round of a night and each answer to its
//! calls. Out: the moment of the last proof, by the API server's clock, in [`Metrics`] and for whoever pings. Invariants: a proof is
//! given by a renewal alone, in the task that hands out news, so that without a lease, without the API server, or in a replica that
//! follows, there is none; and by none that finds a reason in [`Silence`]. It asks nothing of anybody and sets no timer. A round may take
//! as long as its plan is large, while its calls are answered: what it does is bounded by the plan. What a tenant has to mend (a round
//! that fails in time and is tried again) is no silence of the operator's. Not here: how the lease is held ([`super::lease`]), the ping
//! ([`super::heartbeat`]), how soon silence is an alarm: whoever listens says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::Instant;

use super::effects::call::Listener;
use super::lease::LEADS_FOR_MAX;
use super::metrics::Metrics;

/// A round in which no call is answered for longer hangs. Each call in it has its own limit, and looks and effects are called back by the
/// night's moments.
pub const ROUND_FOR_MAX: Duration = Duration::from_secs(300);
/// How much later than its moment a round may begin.
pub const LATE_FOR_MAX: Duration = Duration::from_secs(60);
/// How long one proof is good for: as long as one may lead by the renewal that gave it.
pub const FRESH_FOR: Duration = LEADS_FOR_MAX;
/// For how many spans of a watch of Interventions no good answer to it, or to the list before it, may come.
const UNANSWERED_MAX: u32 = 2;
/// Rounds that may follow each other without a rest. One that asks for the next at once has recorded or written something many times, and
/// no plan has so much to do.
const UNRESTED_MAX: u32 = 256;

/// Clones are the same heart.
#[derive(Clone)]
pub struct Heart(Arc<Inner>);

struct Inner {
    life: Mutex<Life>,
    beats: watch::Sender<Option<Instant>>,
}

#[derive(Default)]
struct Life {
    rounds: BTreeMap<u64, Due>,
    round_count: u64,
    answered_at: Option<Instant>,
    task_lost: bool,
    /// Why the last renewal was no proof; told when it changes.
    silent: Option<Silence>,
}

/// Why a renewal is no proof of life. A person has to look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Silence {
    #[error("a night's task ended by itself")]
    TaskLost,
    #[error("the watch of Interventions is not answered")]
    WatchUnanswered,
    #[error("night {0}: its last round ended in a panic")]
    Panicked(String),
    #[error("night {0}: its round is overdue")]
    Overdue(String),
    #[error("night {0}: its rounds follow each other without end")]
    Restless(String),
}

/// When a night has to show that it lives.
struct Due {
    night: String,
    /// None while it rests until something rings, or waits for its turn.
    by: Option<Instant>,
    in_round: bool,
    /// Rounds since it rested or waited last.
    unrested_count: u32,
    panicked: bool,
}

/// The rounds of one night; dropped, nothing is expected of it any more.
pub(super) struct Rounds {
    heart: Heart,
    number: u64,
}

impl Default for Heart {
    fn default() -> Self {
        Self(Arc::new(Inner { life: Mutex::default(), beats: watch::Sender::new(None) }))
    }
}

impl Heart {
    /// This replica leads from now on; what was before counts no more.
    pub(super) fn begins(&self) {
        self.life(|life| {
            life.answered_at = None;
            life.task_lost = false;
            life.silent = None;
        });
    }

    /// It leads no more: its last proof is good for nobody.
    pub(super) fn ends(&self) {
        self.0.beats.send_replace(None);
    }

    /// The lease was renewed just now: a proof of life, unless something hangs.
    pub(super) fn beats(&self, watch_for_seconds: u32, metrics: &Metrics, now: Timestamp) {
        let unanswered_for_max = UNANSWERED_MAX * Duration::from_secs(watch_for_seconds.into());
        let why_not = self.life(|life| {
            let why_not = life.why_not(unanswered_for_max);
            match (&life.silent, &why_not) {
                (before, Some(why)) if before.as_ref() != Some(why) => tracing::error!(%why, "no proof of life is given"),
                (Some(_), None) => tracing::info!("proofs of life are given again"),
                (None, None) | (_, Some(_)) => {}
            }
            life.silent.clone_from(&why_not);
            why_not
        });
        if why_not.is_none() {
            metrics.heartbeat(now);
            self.0.beats.send_replace(Some(Instant::now()));
        }
    }

    /// Waits for a proof that is good now.
    pub async fn proof(&self) {
        let is_fresh = |beat: &Option<Instant>| beat.is_some_and(|at| at.elapsed() < FRESH_FOR);
        // The sender is in `self`: it is not gone.
        let _ = self.0.beats.subscribe().wait_for(is_fresh).await.map(drop);
    }

    /// The same client, by whose answers the heart knows that somebody is there.
    pub(super) fn listens(&self, client: &Client) -> Client {
        let (heart, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (heart, inner) = (heart.clone(), inner.clone());
            async move {
                let answer = inner.send(request).await?;
                if answer.status().is_success() {
                    heart.life(|life| life.answered_at = Some(Instant::now()));
                }
                Ok::<_, kube::Error>(answer)
            }
            .boxed()
        });
        Client::new(service, client.default_namespace())
    }

    /// A night's task ended by itself: until it begins anew nobody plays that night.
    pub(super) fn lost_a_task(&self) {
        self.life(|life| life.task_lost = true);
    }

    /// Of this night rounds are expected from now on.
    pub(super) fn rounds(&self, night: String) -> Rounds {
        let number = self.life(|life| {
            life.round_count += 1;
            let due = Due { night, by: None, in_round: false, unrested_count: 0, panicked: false };
            life.rounds.insert(life.round_count, due);
            life.round_count
        });
        Rounds { heart: self.clone(), number }
    }

    fn life<T>(&self, act: impl FnOnce(&mut Life) -> T) -> T {
        act(&mut self.0.life.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Life {
    fn why_not(&self, unanswered_for_max: Duration) -> Option<Silence> {
        if self.task_lost {
            return Some(Silence::TaskLost);
        }
        if self.answered_at.is_none_or(|at| at.elapsed() >= unanswered_for_max) {
            return Some(Silence::WatchUnanswered);
        }
        let now = Instant::now();
        self.rounds.values().find_map(|due| due.why_not(now))
    }
}

impl Due {
    fn why_not(&self, now: Instant) -> Option<Silence> {
        let night = || self.night.clone();
        if self.panicked {
            Some(Silence::Panicked(night()))
        } else if self.by.is_some_and(|by| by <= now) {
            Some(Silence::Overdue(night()))
        } else if self.unrested_count > UNRESTED_MAX {
            Some(Silence::Restless(night()))
        } else {
            None
        }
    }

    /// Beyond what an instant can say nothing is due.
    fn within(&mut self, within: Option<Duration>) {
        self.by = within.and_then(|within| Instant::now().checked_add(within));
    }
}

impl Rounds {
    /// One begins.
    pub(super) fn begins(&self) {
        self.change(|due| {
            due.in_round = true;
            due.unrested_count = due.unrested_count.saturating_add(1);
            due.within(Some(ROUND_FOR_MAX));
        });
    }

    /// Hears what goes on in a round. What outlives the round changes nothing.
    pub(super) fn listener(&self) -> Listener {
        let (heart, number) = (self.heart.clone(), self.number);
        Arc::new(move || {
            heart.life(|life| {
                let due = life.rounds.get_mut(&number).filter(|due| due.in_round);
                due.map(|due| due.within(Some(ROUND_FOR_MAX)))
            });
        })
    }

    /// The round that began waits until it is its turn; [`Self::begins`] says that it is.
    pub(super) fn waits(&self) {
        self.pauses(None);
    }

    /// How it ended.
    pub(super) fn ends(&self, panicked: bool) {
        self.change(|due| due.panicked = panicked);
    }

    /// The next one begins in so long, or when something rings.
    pub(super) fn rests(&self, rest_for: Option<Duration>) {
        self.pauses(rest_for.map(|rest_for| rest_for.saturating_add(LATE_FOR_MAX)));
    }

    fn pauses(&self, within: Option<Duration>) {
        self.change(|due| {
            due.in_round = false;
            due.unrested_count = 0;
            due.within(within);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Due)) {
        self.heart.life(|life| life.rounds.get_mut(&self.number).map(change));
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        self.heart.life(|life| life.rounds.remove(&self.number));
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may")]
pub(super) mod tests {
    use tokio::time::advance;

    use super::*;

    /// Whether a renewal now is a proof.
    pub(in crate::operator) fn is_alive(heart: &Heart) -> bool {
        heart.life(|life| life.answered_at = Some(Instant::now()));
        gives_proof(heart)
    }

    fn gives_proof(heart: &Heart) -> bool {
        let metrics = Metrics::new().expect("numbers");
        heart.beats(60, &metrics, Timestamp::UNIX_EPOCH);
        metrics.text(Timestamp::UNIX_EPOCH).expect("text").contains("\nnotturno_heartbeat_timestamp_seconds 0\n")
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_hangs_is_overdue_after_its_time_and_no_more_once_it_ends() {
        let heart = Heart::default();
        let rounds = heart.rounds("n/notte".to_owned());
        rounds.begins();
        advance(Duration::from_secs(299)).await;
        assert!(is_alive(&heart));
        advance(Duration::from_secs(1)).await;
        assert!(!is_alive(&heart));
        rounds.ends(false);
        rounds.rests(None);
        assert!(is_alive(&heart));
    }

    #[tokio::test(start_paused = true)]
    async fn a_night_that_sleeps_over_its_moment_is_overdue_and_one_that_waits_for_a_bell_or_its_turn_never_is() {
        let heart = Heart::default();
        let (sleeps, waits) = (heart.rounds("n/dorme".to_owned()), heart.rounds("n/aspetta".to_owned()));
        waits.begins();
        waits.waits();
        sleeps.rests(Some(Duration::from_secs(3600)));
        advance(Duration::from_secs(3659)).await;
        assert!(is_alive(&heart));
        advance(Duration::from_secs(1)).await;
        assert!(!is_alive(&heart));
        drop(sleeps);
        assert!(is_alive(&heart), "nothing is expected of a night that is settled");
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_whose_calls_are_answered_goes_on_and_what_outlives_it_changes_nothing() {
        let heart = Heart::default();
        let rounds = heart.rounds("n/notte".to_owned());
        rounds.begins();
        let listener = rounds.listener();
        for _ in 0..10 {
            advance(Duration::from_secs(299)).await;
            listener();
            assert!(is_alive(&heart));
        }
        rounds.rests(Some(Duration::from_secs(10)));
        advance(Duration::from_secs(69)).await;
        listener();
        assert!(is_alive(&heart));
        advance(Duration::from_secs(1)).await;
        assert!(!is_alive(&heart), "it sleeps over its moment");
    }

    #[tokio::test(start_paused = true)]
    async fn a_night_that_never_rests_is_silence_until_it_does() {
        let heart = Heart::default();
        let rounds = heart.rounds("n/notte".to_owned());
        for _ in 0..256 {
            rounds.begins();
            rounds.ends(false);
        }
        assert!(is_alive(&heart), "a long plan has many rounds");
        rounds.begins();
        assert!(!is_alive(&heart));
        rounds.rests(None);
        assert!(is_alive(&heart));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_silences_until_a_round_ends_well_and_a_lost_task_until_it_is_led_anew() {
        let heart = Heart::default();
        let rounds = heart.rounds("n/notte".to_owned());
        rounds.ends(true);
        rounds.rests(Some(Duration::from_secs(60)));
        rounds.begins();
        assert!(!is_alive(&heart));
        rounds.ends(false);
        assert!(is_alive(&heart));
        heart.lost_a_task();
        assert!(!is_alive(&heart));
        heart.begins();
        assert!(is_alive(&heart));
    }

    #[tokio::test(start_paused = true)]
    async fn without_answers_to_the_watch_there_is_no_proof() {
        let heart = Heart::default();
        assert!(!gives_proof(&heart), "nothing was seen yet");
        assert!(is_alive(&heart));
        advance(Duration::from_secs(119)).await;
        assert!(gives_proof(&heart));
        advance(Duration::from_secs(1)).await;
        assert!(!gives_proof(&heart));
    }

    #[tokio::test(start_paused = true)]
    async fn a_proof_is_good_for_a_while_and_for_nobody_once_this_replica_leads_no_more() {
        let heart = Heart::default();
        assert!(heart.proof().now_or_never().is_none());
        assert!(is_alive(&heart));
        advance(Duration::from_millis(6_999)).await;
        assert!(heart.proof().now_or_never().is_some());
        advance(Duration::from_millis(1)).await;
        assert!(heart.proof().now_or_never().is_none());
        assert!(is_alive(&heart));
        heart.ends();
        assert!(heart.proof().now_or_never().is_none());
    }
}
