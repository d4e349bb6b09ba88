//! One turn of a sentinel, and what it keeps between turns.
//!
//! In: a post. Out: a rest. Invariants: one append for each decision; a command that fails holds no other and is tried again after a
//! pause; whoever wrote last goes on, the other lets it for some seconds; the way back is rehearsed until the night turns, and nothing is
//! rehearsed after: then whoever reads the ledger and knows the time is ready. Not here: what is decided, what is done.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::health::Readiness;
use super::known::Known;
use super::post::Post;
use crate::engine::state::Direction;
use crate::engine::{self, Command, Decision, Entry, Event, Facts, Interest, NIGHT_FOR_MAX, State, decide};
use crate::model::need::grace;
use crate::model::phase::Phase;
use crate::model::span::after;
use crate::operator::effects::ledger::{self, AppendError};
use crate::operator::effects::{Head, Preimages, Switch, prove};
use crate::operator::looks::{Eyes, Looks, look_with};
use crate::operator::night_watch::{Kinds, LedgerEye, NightWatch, Watched};
use crate::operator::probe::{Probers, to_probe};
use crate::operator::story::story;
use crate::operator::tries::{EFFECT_PAUSE_MAX, RECORD_PAUSE_MAX, Tries, pause};
use crate::operator::watching::WATCH_FOR_SECONDS;
use crate::operator::wave::{self, Hands, Lanes};

/// How often the way back is rehearsed again.
const REHEARSED_EVERY: Duration = Duration::from_secs(900);
/// How soon after a rehearsal that found something: often in the minute that a night lasts without a ready sentinel, seldom what waits for
/// people.
const REHEARSED_AGAIN_AFTER: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(60);
/// The longest that a rehearsal may take; nearer than twice that to a takeover nothing is rehearsed again.
const REHEARSAL_FOR_MAX: Duration = Duration::from_secs(60);
/// What others change just then may spoil a rehearsal.
const RESTLESS_FOR: Duration = Duration::from_secs(1);
/// The longest pause between two looks while the night is taken back: what no watch tells, as the other sentinel's writes.
const LOOKS_PAUSE_MAX: SignedDuration = SignedDuration::from_secs(32);
/// The longest rest: a clock that a machine's sleep has stopped is measured again.
const REST_MAX: Duration = Duration::from_secs(300);

/// What one sentinel keeps. Nothing here is needed to go on elsewhere: the ledger is the truth.
pub(super) struct Watch {
    post: Post,
    readiness: Readiness,
    known: Known,
    lanes: Lanes,
    looks: Looks,
    probers: Probers,
    tries: Tries,
    work: NightWatch,
    bell: Arc<Notify>,
    /// Pre-images as intentions renewed them, by the head of the ledger that they follow from.
    intended: Option<(Option<Head>, Arc<Preimages>)>,
    /// When the way back is to be rehearsed again; at once, at first.
    rehearsal_at: Option<Instant>,
    /// Since when rehearsals find something.
    unproven_since: Option<Instant>,
    /// Turns in a row in which nothing happened.
    quiet_count: u32,
    disarmed: bool,
}

/// When the next turn comes, at the latest.
pub(super) type Rest = Duration;

impl Watch {
    pub(super) fn new(post: Post, readiness: Readiness) -> Self {
        Self {
            post,
            readiness,
            known: Known::default(),
            lanes: Lanes::default(),
            looks: Looks::default(),
            probers: Probers::default(),
            tries: Tries::default(),
            work: NightWatch::default(),
            bell: Arc::default(),
            intended: None,
            rehearsal_at: None,
            unproven_since: None,
            quiet_count: 0,
            disarmed: false,
        }
    }

    /// Waits until then, or until something rings.
    pub(super) async fn rest(&mut self, rest: Rest) {
        self.readiness.turns_by(Instant::now() + rest);
        let now = self.post.time.now();
        let moment = now.checked_add(SignedDuration::try_from(rest).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX);
        tokio::select! {
            biased;
            () = self.bell.notified() => {}
            () = self.looks.one_ends() => {}
            () = self.lanes.one_ends() => {}
            () = self.post.time.rest_until(moment) => {}
        }
    }

    /// Read → look → decide → record → perform.
    pub(super) async fn turn(&mut self) -> Rest {
        self.post.time.refresh(&self.post.tenant.client).await;
        self.read().await;
        let entries = self.known.journal(&self.post.plan, &self.post.plan_hash);
        let state = State::fold(&self.post.plan, &entries);
        let acts = state.epoch == self.post.tenant.epoch;
        if acts || has_turned(&state) {
            self.readiness.say(joined(&self.troubles()));
        } else {
            self.rehearse(&state).await;
        }
        if acts && let Some(rest) = self.lets_the_other_act() {
            return rest;
        }
        let facts = if acts { self.look(&engine::interest(&self.post.plan, &state)).await } else { self.no_facts() };
        let decision = decide(&self.post.plan, &entries, &facts, self.post.time.now());
        tracing::debug!(phase = %decision.phase, why = decision.why, acts, "decided");
        if self.is_left_without_ledger(acts, &decision) {
            let rest = self.without_ledger(&entries, &decision).await;
            // It may be back by now.
            let recorded = !decision.events.is_empty() && self.record(&decision.events).await;
            return if recorded { Duration::ZERO } else { rest };
        }
        if !decision.events.is_empty() && !self.record(&decision.events).await {
            return self.soon(RECORD_PAUSE_MAX);
        }
        let write_count = self.perform(&decision).await;
        let rest = self.rest_after(&decision, acts, write_count > 0 || !decision.events.is_empty());
        self.is_ready_in(&state).map_or(rest, |soon| rest.min(soon))
    }

    fn rest_after(&mut self, decision: &Decision, acts: bool, moved: bool) -> Rest {
        if moved {
            self.quiet_count = 0;
            return Duration::ZERO;
        }
        if decision.phase == Phase::Finished && decision.commands.is_empty() {
            self.work = NightWatch::default();
            // It has rung by what it saw first: heard, that would begin the next turn at once, and it again, for ever.
            self.bell = Arc::default();
            return REST_MAX;
        }
        let looks = if acts { self.soon(LOOKS_PAUSE_MAX) } else { REST_MAX };
        let tried = self.tries.next_at().filter(|_| acts);
        let moments = decision.wake.as_ref().map(|wake| wake.at).into_iter().chain(tried);
        moments.map(|at| self.until(at)).min().unwrap_or(REST_MAX).min(looks)
    }

    fn soon(&mut self, max: SignedDuration) -> Rest {
        self.quiet_count = self.quiet_count.saturating_add(1);
        pause(self.quiet_count, max).try_into().unwrap_or(Duration::from_secs(1))
    }

    fn until(&self, at: Timestamp) -> Rest {
        at.duration_since(self.post.time.now()).try_into().unwrap_or_default()
    }

    async fn read(&mut self) {
        match ledger::journal(&self.post.tenant, &self.post.plan, &self.post.plan_hash).await {
            Ok(chain) => self.known.take(chain),
            Err(error) => self.known.lost(error.story()),
        }
        if let Some((_, why)) = self.known.out() {
            tracing::warn!(why, "the ledger is out of reach");
        }
    }

    /// How soon it may be ready, or has to show that it still is; none while there is nothing to be shown.
    fn is_ready_in(&self, state: &State) -> Option<Duration> {
        if has_turned(state) {
            return self.readiness.why_not().is_some().then_some(*REHEARSED_AGAIN_AFTER.start());
        }
        self.rehearses_in(state)
    }

    /// How soon the way back is to be rehearsed; none once the night has turned or is over, or may be taken over just then.
    fn rehearses_in(&self, state: &State) -> Option<Duration> {
        let Post { plan, time, .. } = &self.post;
        let soon = |at: Timestamp| Duration::try_from(at.duration_since(time.now())).unwrap_or_default() < 2 * REHEARSAL_FOR_MAX;
        let is_needed = has_turned(state) || engine::due(plan, state).is_some_and(|due| soon(due.at));
        (!is_needed && state.outcome.is_none())
            .then(|| self.rehearsal_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now())))
    }

    fn rehearses_again_after(&mut self, is_proven: bool) -> Duration {
        if is_proven {
            self.unproven_since = None;
            return REHEARSED_EVERY;
        }
        let unproven_for = self.unproven_since.get_or_insert_with(Instant::now).elapsed();
        (unproven_for / 4).clamp(*REHEARSED_AGAIN_AFTER.start(), *REHEARSED_AGAIN_AFTER.end())
    }

    /// Until the night turns; afterwards what was rehearsed is needed.
    async fn rehearse(&mut self, state: &State) {
        if self.rehearses_in(state) != Some(Duration::ZERO) {
            return;
        }
        let Post { tenant, plan, preimages, time, .. } = &self.post;
        let rehearsal = async {
            let problems = prove(tenant, plan, preimages, time.now()).await;
            if problems.is_empty() {
                return problems;
            }
            tokio::time::sleep(RESTLESS_FOR).await;
            prove(tenant, plan, preimages, time.now()).await
        };
        let took_too_long = || vec![format!("the rehearsal took longer than {} s", REHEARSAL_FOR_MAX.as_secs())];
        let mut problems = tokio::time::timeout(REHEARSAL_FOR_MAX, rehearsal).await.unwrap_or_else(|_| took_too_long());
        problems.extend(self.troubles());
        self.rehearsal_at = Some(Instant::now() + self.rehearses_again_after(problems.is_empty()));
        match &joined(&problems) {
            None => tracing::info!(offset = %self.post.time.offset(), "the way back was rehearsed"),
            Some(why) => tracing::warn!(why, "the way back does not hold"),
        }
        self.readiness.say(joined(&problems));
    }

    /// What it needs whether or not there is anything left to rehearse.
    fn troubles(&self) -> Vec<String> {
        let clock = self.post.time.unbounded().map(|why| format!("the clock of the API server is not known: {why}"));
        clock.into_iter().chain(self.known.out().map(|(_, why)| format!("the ledger: {why}"))).collect()
    }

    fn lets_the_other_act(&self) -> Option<Rest> {
        self.known.other_acts_until(&self.post.by, self.post.time.now()).map(|until| self.until(until))
    }

    fn no_facts(&self) -> Facts {
        Facts { epoch: self.post.tenant.epoch, disarmed: self.disarmed, ..Facts::default() }
    }

    /// Anew only when the ledger has moved on.
    fn preimages(&mut self) -> Arc<Preimages> {
        let head = &self.known.head;
        if let Some((_, intended)) = self.intended.as_ref().filter(|(of, _)| of == head) {
            return Arc::clone(intended);
        }
        let intended = Arc::new(self.post.preimages.clone().as_intended(&self.known.entries));
        self.intended = Some((head.clone(), Arc::clone(&intended)));
        intended
    }

    async fn look(&mut self, interest: &Interest) -> Facts {
        let preimages = self.preimages();
        let Post { tenant, plan, time, .. } = &self.post;
        let watched = || {
            let hands = tenant.clone();
            let hands = Arc::new(move || std::future::ready(Some(hands.clone())).boxed());
            Watched { hands, night: plan.uid.clone(), for_seconds: WATCH_FOR_SECONDS }
        };
        self.work.set(Kinds::Work, interest.jobs_change, watched, (&self.bell, &Arc::new(LedgerEye::default())));
        let eyes = Eyes { tenant: tenant.clone(), plan: Arc::clone(plan), preimages, now: time.now() };
        let (seen, left) = look_with(&mut self.looks, &eyes, interest, true).await;
        let blind: Vec<String> = seen.blind.iter().map(|error| story(error)).chain(left).collect();
        if !blind.is_empty() {
            tracing::warn!(?blind, "not everything could be seen");
        }
        let mut facts = Facts { jobs: seen.jobs, services: seen.services, changes: seen.changes, ..self.no_facts() };
        self.probers.add_to(&self.post.plan, &mut facts);
        facts
    }

    /// One append for all events of the decision; whether it was seen in the ledger.
    async fn record(&mut self, events: &[Entry]) -> bool {
        let Post { tenant, plan, by, .. } = &self.post;
        let Some(head) = self.known.head.clone() else {
            self.known.refused("there is no head to append to".to_owned());
            return false;
        };
        match ledger::append(tenant, plan, &head, by, events.to_vec()).await {
            Ok(head) => {
                for entry in events {
                    tracing::info!(event = ?entry.event, why = entry.why, "recorded");
                }
                let by = by.clone();
                self.known.appended(head, &by, events);
                true
            }
            Err(AppendError::Moved) => {
                // Somebody else records: it is read at once, and decided anew.
                self.quiet_count = 0;
                false
            }
            Err(error) => {
                tracing::warn!(error = story(&error), "not recorded");
                self.known.refused(story(&error));
                false
            }
        }
    }

    async fn perform(&mut self, decision: &Decision) -> u32 {
        let asked: BTreeSet<String> = decision.commands.iter().map(wave::name).collect();
        self.tries.keep(&asked);
        self.probers.set(&to_probe(&decision.commands), &self.post.plan, &self.post.getter, &self.bell);
        let asks = |command: &Command| matches!(command, Command::Probe { .. } | Command::Check { .. });
        self.carry_out(decision.commands.iter().filter(|command| !asks(command)).cloned().collect()).await
    }

    async fn carry_out(&mut self, commands: Vec<Command>) -> u32 {
        let due = wave::due(&self.tries, commands, self.post.time.now());
        if due.is_empty() && self.lanes.is_idle() {
            return 0;
        }
        let preimages = self.preimages();
        let Post { tenant, plan, time, .. } = &self.post;
        let (tenant, plan, time) = (tenant.clone(), Arc::clone(plan), time.clone());
        let hands = Hands { tenant, plan, preimages, time, switch: Switch::Without, identity: None };
        let mut write_count = 0;
        for (command, result) in wave::go_back((&mut self.lanes, &mut self.tries), &hands, due).await {
            let name = wave::name(&command);
            self.tries.tried(&name, self.post.time.now(), EFFECT_PAUSE_MAX);
            match result {
                Ok(done) => {
                    tracing::info!(command = name, writes = done.write_count, "done");
                    write_count += done.write_count;
                    self.disarmed |= command == Command::Disarm;
                }
                Err(error) => tracing::warn!(command = name, error = story(&error), "not done"),
            }
        }
        write_count
    }

    /// Progress was due, and for a grace nobody could read the ledger or write it.
    fn is_left_without_ledger(&self, acts: bool, decision: &Decision) -> bool {
        let takes_over = decision.events.iter().any(|entry| matches!(entry.event, Event::TakenOver { .. }));
        let for_max: Duration = grace(&self.post.plan).get().try_into().unwrap_or_default();
        let out = self.known.out().is_some_and(|(since, _)| since.elapsed() >= for_max);
        // Long after the doors, a ledger that was never read was cleared away: what stands there now is not this night's.
        let is_over = self.known.head.is_none() && self.post.time.now() > after(self.must_serve_by(), NIGHT_FOR_MAX);
        out && (acts || takes_over) && !is_over && decision.phase != Phase::Finished
    }

    fn must_serve_by(&self) -> Timestamp {
        self.post.plan.deadline.must_serve_by
    }

    /// PROTOCOL rule 22: what needs no record.
    async fn without_ledger(&mut self, entries: &[Entry], decision: &Decision) -> Rest {
        let mut expected = State::fold(&self.post.plan, entries);
        decision.events.iter().for_each(|entry| expected.apply(&self.post.plan, entry));
        let facts = self.look(&engine::interest(&self.post.plan, &expected)).await;
        let facts = Facts { unrecorded: true, ..facts };
        let allowed = decide(&self.post.plan, entries, &facts, self.post.time.now()).commands;
        tracing::error!(
            commands = allowed.len(),
            "the ledger is out of reach: the night is taken back without it, as far as may be"
        );
        let write_count = self.carry_out(allowed).await;
        if write_count > 0 { Duration::ZERO } else { self.soon(EFFECT_PAUSE_MAX) }
    }
}

fn has_turned(state: &State) -> bool {
    match state.direction {
        Direction::Still | Direction::Forward => false,
        Direction::Back { .. } | Direction::Committed { .. } => true,
    }
}

fn joined(troubles: &[String]) -> Option<String> {
    (!troubles.is_empty()).then(|| troubles.join("; "))
}
