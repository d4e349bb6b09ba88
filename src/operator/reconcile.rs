//! One pass over a night: observe → decide → record → tell → perform → report.
//!
//! In: a night and its book. Out: when to look again. Invariants: one append per decision; nothing is sent before it was seen in the
//! ledger, but for what needs no record (PROTOCOL rule 22), and the clock is looked at again then; a command that fails holds no other;
//! the number of rounds is bounded. Not here: acceptance, how anything is done to the world.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;

use super::book::{Book, BookError};
use super::call_back::Heeded;
use super::context::Context;
use super::effects::call::Answer;
use super::effects::{self, PerformError, Seen, Switch};
use super::introduce;
use super::looks::{self, Looked, clock_calls_at};
use super::night::{Night, Rest, Trouble};
use super::outage;
use super::own_facts;
use super::probe::to_probe;
use super::server_time::WIDTH_MAX;
use super::story::story;
use super::switch;
use super::telling::{is_all_told, report, tell, tell_overwritten};
use super::tries::{Attempt, EFFECT_PAUSE_MAX, PEOPLE_PAUSE_MAX};
use super::wave::{self, Hands, Tried};
use crate::engine::facts::{Arming, CalledOff, ClosingFact};
use crate::engine::{self, Command, Decision, Facts, State};
use crate::model::phase::Phase;
use crate::model::plan::StepIndex;

/// Rounds in one pass; a night needs two or three.
const ROUNDS_MAX: usize = 16;

/// One pass: rounds until nothing new is decided and nothing was changed.
pub(super) async fn reconcile(night: &mut Night, book: &mut Book, context: &Context) -> Result<Rest, Trouble> {
    for _ in 0..ROUNDS_MAX {
        let facts = observe(night, book, context).await;
        let decision = decide(book, &facts, context);
        let recorded = record(night, book, &decision, &facts, context).await;
        // What stands in the ledger is told, also while nothing more can be recorded.
        tell(night, book, context);
        recorded?;
        let write_count = perform(night, book, &decision, context).await?;
        let quiet = (decision.events.is_empty() || book.is_torn) && write_count == 0;
        // On the way back people are told once there is nothing to do at once: a status that hangs delays nothing.
        if quiet || !is_going_back(&decision) {
            report(night, book, &decision, context).await;
        }
        if quiet {
            return rest(night, book, &decision, context).await;
        }
    }
    Ok(Rest::AtOnce)
}

/// What is known just now. What cannot be seen is left out: the clock's rules work without it.
async fn observe(night: &mut Night, book: &mut Book, context: &Context) -> Facts {
    outage::read_again(night, book, context).await;
    let state = outage::expected(night, book);
    let interest = engine::interest(&book.plan, &state);
    let guarded = context.switch != Switch::Without && engine::switch::is_wanted(&book.plan, &state, context.time.now());
    switch::watch(night, book, interest.jobs_change, guarded, context);
    let idle = !interest.jobs && !guarded && interest.targets.is_empty() && interest.changes.is_empty();
    let looked = if idle { Ok(Looked::default()) } else { looks::look(night, book, &state, &interest, guarded, context).await };
    let (seen, switch, blind) = match looked {
        Ok(Looked { seen, left, switch }) => {
            let unseen = switch.as_ref().and_then(|look| look.blind()).map(|why| format!("the dead man's switch: {why}"));
            let blind: Vec<String> = seen.blind.iter().map(|error| story(error)).chain(left).chain(unseen).collect();
            (seen, switch, blind)
        }
        Err(why) => (Seen::default(), None, vec![why]),
    };
    if !blind.is_empty() {
        tracing::warn!(?blind, "not everything could be seen");
    }
    // Nothing rings when the last Pod behind a closed target has ended: the tenant grants no watch of its targets.
    let draining = seen.services.values().any(|fact| fact.closing == ClosingFact::Draining)
        || seen.changes.values().any(|fact| fact.change == ClosingFact::Draining);
    let now = context.time.now();
    night.outage.heed(now);
    if blind.is_empty() && !draining {
        night.look_tries = Attempt::default();
    } else if night.look_tries.may(now) {
        // However often the bell rings meanwhile, the pause grows with time alone.
        night.look_tries.tried(now, EFFECT_PAUSE_MAX);
    }
    let switch = switch::hear(night, book, &state, switch, context);
    let Seen { jobs, services, changes, blind: _ } = seen;
    let mut facts = Facts { jobs, services, changes, switch, ..heed(night, book, context) };
    if !idle {
        own_facts::add(night, book, &mut facts);
    }
    facts
}

/// What people want: as late as can be, just before the decision.
fn heed(night: &mut Night, book: &Book, context: &Context) -> Facts {
    night.object = night.mailbox.object();
    night.heeded = Heeded::now(&night.mailbox, context, &night.id());
    night.heeded_at = context.time.now();
    let within_seconds = WIDTH_MAX.as_secs();
    let unbounded = context.time.unbounded();
    let clock_unbounded =
        unbounded.map(|why| format!("the clock of the API server is not known within {within_seconds} s: {why}"));
    Facts {
        arming: night.arming.clone(),
        orders: context.orders.of(&night.id()),
        clock_unbounded,
        called_off: called_off(night, book),
        unrecorded: book.is_torn,
        disarmed: night.disarmed,
        ..Facts::default()
    }
}

/// Another hand in the ledger is told before a deletion that somebody may have meant.
fn called_off(night: &Night, book: &Book) -> Option<CalledOff> {
    let deleted = night.heeded.deleted.then_some(CalledOff::Deleted);
    book.is_changed.then_some(CalledOff::LedgerChanged).or(deleted)
}

fn decide(book: &Book, facts: &Facts, context: &Context) -> Decision {
    let decision = engine::decide(&book.plan, &book.entries, facts, context.time.now());
    tracing::debug!(phase = %decision.phase, why = decision.why, commands = decision.commands.len(), "decided");
    decision
}

/// One append for all events of the decision.
async fn record(
    night: &mut Night,
    book: &mut Book,
    decision: &Decision,
    facts: &Facts,
    context: &Context,
) -> Result<(), Trouble> {
    if decision.events.is_empty() {
        night.outage.ends_if_sure();
        return Ok(());
    }
    if book.is_torn {
        // Nobody would believe a record behind what is lost.
        night.unrecorded.clone_from(&decision.events);
        return Ok(());
    }
    let began_at = context.time.now();
    night.ledger_eye.knows(book.seq().saturating_add(1));
    let burns_at = night.outage.burns_from().filter(|_| is_going_back(decision));
    let hands = if burns_at.is_some() { hands(book, context).await.ok() } else { None };
    let known = book.entries.clone();
    let appended = {
        let mut appending = std::pin::pin!(book.append(context, &decision.events));
        match burns_at.zip(hands) {
            Some((at, hands)) => tokio::select! {
                biased;
                appended = &mut appending => appended,
                () = context.time.sleep_until(at) => {
                    let facts = Facts { unrecorded: true, ..facts.clone() };
                    let allowed = engine::decide(&hands.plan, &known, &facts, context.time.now()).commands;
                    without_record(night, &hands, &allowed, context).await;
                    appending.await
                }
            },
            None => appending.await,
        }
    };
    context.metrics.appended(appended.is_ok());
    if let Err(error) = appended {
        night.outage.begins(began_at);
        night.unrecorded.clone_from(&decision.events);
        return Err(error.into());
    }
    night.outage.ends();
    night.unrecorded.clear();
    Ok(())
}

/// What may be done without a record: rights are taken back, and what is clean gets its objects again.
async fn without_record(night: &mut Night, hands: &Hands, allowed: &[Command], context: &Context) {
    let now = context.time.now();
    night.outage.heed(now);
    let due = wave::due(&night.tries, allowed.to_vec(), now);
    for tried in wave::go_back((&mut night.lanes, &mut night.tries), hands, due).await {
        note(night, tried, context);
    }
}

async fn hands(book: &Book, context: &Context) -> Result<Hands, BookError> {
    let (tenant, preimages) = (book.tenant(context).await?, Arc::new(book.current_preimages()));
    let (switch, identity) = (context.switch.clone(), book.identity.clone());
    Ok(Hands { tenant, plan: Arc::clone(&book.plan), preimages, time: context.time.clone(), switch, identity })
}

fn is_going_back(decision: &Decision) -> bool {
    match decision.phase {
        Phase::TurningBack | Phase::Reopening | Phase::Verifying => true,
        Phase::Pending | Phase::Armed | Phase::Working | Phase::Finished => false,
    }
}

/// Everything that is to be done and may be tried now; the number of writes it took.
async fn perform(night: &mut Night, book: &mut Book, decision: &Decision, context: &Context) -> Result<u32, Trouble> {
    let asked: BTreeSet<String> = decision.commands.iter().map(wave::name).collect();
    night.tries.keep(&asked);
    night.probers.set(&to_probe(&decision.commands), &book.plan, &context.getter, &night.mailbox.bell());
    night.checkers.set(&to_check(decision), &book.plan, &night.whose, context, &night.mailbox.bell());
    if decision.commands.contains(&Command::Arm) {
        return arm(night, book, context).await;
    }
    let only_asks = |command: &&Command| matches!(command, Command::Probe { .. } | Command::Check { .. });
    let commands = decision.commands.iter().filter(|command| !only_asks(command)).cloned();
    carry_out(night, book, commands.collect(), context).await
}

/// Steps that wait for something.
fn to_check(decision: &Decision) -> BTreeSet<StepIndex> {
    let mut wanted = BTreeSet::new();
    for command in &decision.commands {
        if let Command::Check { step } = command {
            wanted.insert(*step);
        }
    }
    wanted
}

async fn arm(night: &mut Night, book: &mut Book, context: &Context) -> Result<u32, Trouble> {
    if !night.arming_tries.may(context.time.now()) {
        return Ok(0);
    }
    let tenant = book.tenant(context).await.map_err(BookError::from)?;
    let id = night.id();
    let call = night.called_at(clock_calls_at(book, &State::fold(&book.plan, &book.entries)), &id, context);
    let arming = effects::arm(&tenant, &book.plan, context.pod_security, &context.judge, &context.switch);
    let Some(armed) = call.or(arming.boxed()).await else { return Ok(0) };
    context.metrics.effect("arm", armed.is_ok());
    night.arming = match armed {
        Ok(preimages) => {
            book.preimages = Some(preimages);
            Arming::Armed
        }
        Err(error) => {
            night.arming_tries.tried(context.time.now(), PEOPLE_PAUSE_MAX);
            let reason = story(&error);
            tracing::warn!(reason, "not armed");
            Arming::Impossible { reason }
        }
    };
    Ok(u32::from(night.arming == Arming::Armed))
}

/// Carries out what is due and notes what became of it.
async fn carry_out(night: &mut Night, book: &Book, commands: Vec<Command>, context: &Context) -> Result<u32, Trouble> {
    let due = wave::due(&night.tries, commands, context.time.now());
    if due.is_empty() && night.lanes.is_idle() {
        return Ok(0);
    }
    let hands = hands(book, context).await?;
    let mut write_count = 0;
    let id = night.id();
    let (mut lanes, mut tries) = (std::mem::take(&mut night.lanes), std::mem::take(&mut night.tries));
    let call = night.called_at(clock_calls_at(book, &State::fold(&book.plan, &book.entries)), &id, context);
    let tried = wave::carry_out((&mut lanes, &mut tries), &hands, due, &call).await;
    (night.lanes, night.tries) = (lanes, tries);
    for tried in tried {
        write_count += note(night, tried, context);
    }
    Ok(write_count)
}

fn note(night: &mut Night, (command, result): Tried, context: &Context) -> u32 {
    let name = wave::name(&command);
    context.metrics.effect(wave::kind(&command), result.is_ok());
    let at_the_end = matches!(command, Command::Disarm | Command::DisarmSwitch);
    let pause_max = if at_the_end { PEOPLE_PAUSE_MAX } else { EFFECT_PAUSE_MAX };
    night.tries.tried(&name, context.time.now(), pause_max);
    if command == Command::ArmSwitch {
        night.switch.tried(&result);
    }
    match result {
        Ok(done) => {
            tracing::info!(command = name, writes = done.write_count, "done");
            night.disarmed |= command == Command::Disarm;
            if let Command::Degrade { service } = command {
                night.refused_degraded.remove(&service);
            }
            if command == Command::DisarmSwitch {
                night.switch.fell();
            }
            tell_overwritten(night, &name, &done.overwritten, context);
            // Its own token is gone: that is a change, even where there was none to take.
            done.write_count + u32::from(matches!(command, Command::Disarm | Command::DisarmSwitch))
        }
        Err(error) => {
            tracing::warn!(command = name, error = story(&error), "not done");
            if matches!(error, PerformError::Deposed { .. }) {
                night.outage.has_moved_on();
            }
            if error.is_for_good() { own_facts::refused(night, &command, story(&error)) } else { 0 }
        }
    }
}

/// The next moment at which anything becomes due; or the end.
async fn rest(night: &mut Night, book: &Book, decision: &Decision, context: &Context) -> Result<Rest, Trouble> {
    // What was lost may be more than the end: only a person ends a torn night.
    let ended = decision.phase == Phase::Finished && !book.is_torn;
    let over = ended && decision.commands.is_empty() && night.report_tries.next_at().is_none();
    if over && is_all_told(night, book) {
        return settle(night, book, context).await;
    }
    if over {
        // Whoever comes next would leave a night alone that was let go.
        night.herald.wakes_when_sent();
        return Ok(Rest::Until(None));
    }
    let arming = decision.commands.contains(&Command::Arm).then(|| night.arming_tries.next_at()).flatten();
    let moments: [Option<Timestamp>; 5] = [
        decision.wake.as_ref().map(|wake| wake.at),
        night.tries.next_at(),
        arming,
        night.report_tries.next_at(),
        night.look_tries.next_at(),
    ];
    Ok(Rest::Until(moments.into_iter().flatten().min()))
}

/// The ledger may be deleted, the Intervention may go.
async fn settle(night: &mut Night, book: &Book, context: &Context) -> Result<Rest, Trouble> {
    let held = night.object.as_ref().is_some_and(|object| introduce::is_marked(object));
    // Let go already: an operator that starts finds its old nights like this, and leaves them alone.
    if held || night.object.is_none() {
        book.close(context).await?;
    }
    if let Some(object) = &night.object {
        match introduce::unmark(object, context).await {
            Err(error) if error.answer() == Some(Answer::NotFound) => {}
            other => other?,
        }
    }
    tracing::info!("settled");
    Ok(night.settled(context))
}
