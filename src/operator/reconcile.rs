//! One pass over a night: observe → decide → record → perform → report.
//!
//! In: a night and its book. Out: when to look again. Invariants: one append per decision; nothing is sent before it was seen in the
//! ledger, and the clock is looked at again then; a command that fails holds no other; the number of rounds is bounded.
//! Not here: acceptance, rest, how anything is done to the world.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::book::Book;
use super::context::Context;
use super::effects;
use super::effects::call::Answer;
use super::events;
use super::introduce;
use super::night::{Night, Rest, Trouble};
use super::report;
use super::start;
use super::story::story;
use super::tries::{Attempt, EFFECT_PAUSE_MAX, PEOPLE_PAUSE_MAX, STATUS_PAUSE_MAX};
use super::wave::{self, Hands, Tried};
use crate::engine::facts::{Arming, ClosingFact, ServiceFact};
use crate::engine::journal::Event;
use crate::engine::{self, Command, Decision, Facts, State};
use crate::model::need::turn_back_at;
use crate::model::phase::Phase;
use crate::model::plan::ServiceIndex;

/// Rounds in one pass; a night needs two or three.
const ROUNDS_MAX: usize = 16;
/// How long the ledger may be out of reach before rights are taken back without it (PROTOCOL rule 22).
const LEDGER_OUT_FOR_MAX: SignedDuration = SignedDuration::from_secs(60);

/// One pass: rounds until nothing new is decided and nothing was changed.
pub(super) async fn reconcile(night: &mut Night, book: &mut Book, context: &Context) -> Result<Rest, Trouble> {
    for _ in 0..ROUNDS_MAX {
        let facts = observe(night, book, context).await;
        let decision = start::held(decide(book, &facts, context), night, context);
        record(night, book, &decision, context).await?;
        let write_count = perform(night, book, &decision, context).await?;
        report(night, book, &decision, context).await;
        if decision.events.is_empty() && write_count == 0 {
            return rest(night, book, &decision, context).await;
        }
    }
    Ok(Rest::AtOnce)
}

/// What is known just now. What cannot be seen is left out: the clock's rules work without it.
async fn observe(night: &mut Night, book: &mut Book, context: &Context) -> Facts {
    read_again(night, book, context).await;
    let interest = engine::interest(&book.plan, &State::fold(&book.plan, &book.entries));
    night.job_watch.set(interest.jobs, &night.whose, context, &night.mailbox.bell());
    let going = |object: &std::sync::Arc<kube::core::DynamicObject>| object.metadata.deletion_timestamp.is_some();
    let mut facts = Facts {
        arming: night.arming.clone(),
        orders: context.orders.of(&night.id()),
        deleted: book.deleting || night.object.as_ref().is_none_or(going),
        disarmed: night.disarmed,
        ..Facts::default()
    };
    if !interest.jobs && interest.targets.is_empty() {
        night.looks = Attempt::default();
        return facts;
    }
    let blind = match book.tenant(context).await {
        Ok(tenant) => {
            let seen = effects::observe(&tenant, &book.plan, &book.current_preimages(), &interest).await;
            let effects::Seen { jobs, services, blind } = seen;
            facts.jobs = jobs;
            facts.services = services;
            blind.iter().map(|error| story(error)).collect()
        }
        Err(error) => vec![story(&error)],
    };
    if !blind.is_empty() {
        tracing::warn!(?blind, "not everything could be seen");
    }
    // Nothing rings when the last Pod behind a closed target has ended: the tenant grants no watch of its targets.
    let draining = facts.services.values().any(|fact| fact.closing == ClosingFact::Draining);
    if blind.is_empty() && !draining {
        night.looks = Attempt::default();
    } else {
        night.looks.tried(context.time.now(), EFFECT_PAUSE_MAX);
    }
    add_own(night, book, &mut facts);
    facts
}

/// After an append that may not have landed the ledger is read again. Out of reach, what is known has to do: an append is by
/// compare-and-set, and nothing else is sent without one but burns.
async fn read_again(night: &mut Night, book: &mut Book, context: &Context) {
    if night.stale_since.is_none() {
        return;
    }
    match Book::open(context, &night.whose).await {
        Ok(Some(read)) => {
            *book = read;
            night.stale_since = None;
        }
        Ok(None) => tracing::error!("plan and ledger are gone"),
        Err(error) => tracing::warn!(error = story(&error), "the ledger is out of reach"),
    }
}

/// What only this shell knows: probes, and closings that a target refused for good.
fn add_own(night: &Night, book: &Book, facts: &mut Facts) {
    for (service, probes) in night.probers.facts() {
        let has_targets = book.plan.services.get(service).is_some_and(|planned| planned.close_at.is_some());
        let unseen = ServiceFact { burned: !has_targets, restored: !has_targets, ..ServiceFact::default() };
        facts.services.entry(service).or_insert(unseen).probes = probes;
    }
    for (service, reason) in &night.refused_closings {
        facts.services.entry(*service).or_default().closing = ClosingFact::Refused { reason: reason.clone() };
    }
}

fn decide(book: &Book, facts: &Facts, context: &Context) -> Decision {
    let decision = engine::decide(&book.plan, &book.entries, facts, context.time.now());
    tracing::debug!(phase = %decision.phase, why = decision.why, commands = decision.commands.len(), "decided");
    decision
}

/// One append for all events of the decision.
async fn record(night: &mut Night, book: &mut Book, decision: &Decision, context: &Context) -> Result<(), Trouble> {
    if decision.events.is_empty() {
        return Ok(());
    }
    let appended = book.append(context, &decision.events).await;
    context.metrics.appended(appended.is_ok());
    if let Err(error) = appended {
        let now = context.time.now();
        let since = *night.stale_since.get_or_insert(now);
        if now.duration_since(since) >= LEDGER_OUT_FOR_MAX && is_going_back(decision) {
            let burns = decision.commands.iter().filter(|command| wave::is_burn(command)).cloned().collect();
            carry_out(night, book, burns, context).await?;
        }
        return Err(error.into());
    }
    night.stale_since = None;
    for entry in &decision.events {
        tracing::info!(phase = %decision.phase, event = ?entry.event, why = entry.why, "recorded");
        if matches!(entry.event, Event::DeadlineMissed { .. }) {
            context.metrics.deadline_missed();
        }
    }
    night.herald.tell(context, &night.regarding(), events::of_record(book.seq(), &decision.events));
    Ok(())
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
    night.probers.set(&to_probe(decision), &book.plan, &context.getter, &night.mailbox.bell());
    if decision.commands.contains(&Command::Arm) {
        return arm(night, book, context).await;
    }
    let commands = decision.commands.iter().filter(|command| !matches!(command, Command::Probe { .. })).cloned();
    carry_out(night, book, commands.collect(), context).await
}

/// Services whose objects are as they were: what answers before that is not the service.
fn to_probe(decision: &Decision) -> BTreeSet<ServiceIndex> {
    let mut wanted = BTreeSet::new();
    for command in &decision.commands {
        if let Command::Probe { service } = command {
            wanted.insert(*service);
        }
    }
    wanted.retain(|service| !decision.commands.contains(&Command::Reopen { service: *service }));
    wanted
}

async fn arm(night: &mut Night, book: &mut Book, context: &Context) -> Result<u32, Trouble> {
    if !night.arming_tries.may(context.time.now()) {
        return Ok(0);
    }
    let tenant = book.tenant(context).await.map_err(super::book::BookError::from)?;
    let armed = effects::arm(&tenant, &book.plan).await;
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
    let now = context.time.now();
    let due: Vec<Command> = commands.into_iter().filter(|command| night.tries.may(&wave::name(command), now)).collect();
    if due.is_empty() {
        return Ok(0);
    }
    let tenant = book.tenant(context).await.map_err(super::book::BookError::from)?;
    let preimages = book.current_preimages();
    let hands = Hands { tenant: &tenant, plan: &book.plan, preimages: &preimages, time: &context.time };
    let mut write_count = 0;
    for tried in wave::carry_out(hands, due).await {
        write_count += note(night, tried, context);
    }
    Ok(write_count)
}

fn note(night: &mut Night, (command, result): Tried, context: &Context) -> u32 {
    let name = wave::name(&command);
    context.metrics.effect(wave::kind(&command), result.is_ok());
    let pause_max = if command == Command::Disarm { PEOPLE_PAUSE_MAX } else { EFFECT_PAUSE_MAX };
    night.tries.tried(&name, context.time.now(), pause_max);
    match result {
        Ok(done) => {
            tracing::info!(command = name, writes = done.write_count, "done");
            night.disarmed |= command == Command::Disarm;
            // Its own token is gone: that is a change, even where there was none to take.
            done.write_count + u32::from(command == Command::Disarm)
        }
        Err(error) => {
            tracing::warn!(command = name, error = story(&error), "not done");
            if let Command::Close { service, .. } = command
                && error.is_for_good()
            {
                night.refused_closings.insert(service, story(&error));
                return 1;
            }
            0
        }
    }
}

/// The status, when it says something new; a failure is tried again later.
async fn report(night: &mut Night, book: &Book, decision: &Decision, context: &Context) {
    let state = State::fold(&book.plan, &book.entries);
    let still_a_choice = matches!(decision.phase, Phase::Armed | Phase::Working);
    let turn_back = still_a_choice.then(|| turn_back_at(&book.plan, &state.begun(&book.plan)));
    context.metrics.stands(&night.id(), decision.phase, turn_back);
    let Some(object) = night.object.clone() else {
        night.reports = Attempt::default();
        return;
    };
    let now = context.time.now();
    if !night.reports.may(now) {
        return;
    }
    let why = match &night.arming {
        Arming::Impossible { reason } if !state.armed => format!("{}: {reason}", decision.why),
        Arming::Impossible { .. } | Arming::NotYet | Arming::Armed => decision.why.clone(),
    };
    let status = start::told(report::status(&book.plan, &book.entries, &state, decision, &why), night.start_held.as_deref());
    match night.reporter.write(&object, status, context).await {
        Ok(()) => night.reports = Attempt::default(),
        Err(error) if error.answer() == Some(Answer::NotFound) => night.reports = Attempt::default(),
        Err(error) => {
            tracing::warn!(error = story(&error), "the status could not be written");
            night.reports.tried(now, STATUS_PAUSE_MAX);
        }
    }
}

/// The next moment at which anything becomes due; or the end.
async fn rest(night: &mut Night, book: &Book, decision: &Decision, context: &Context) -> Result<Rest, Trouble> {
    let over = decision.phase == Phase::Finished && decision.commands.is_empty() && night.reports.next_at().is_none();
    if over {
        return settle(night, book, context).await;
    }
    let arming = decision.commands.contains(&Command::Arm).then(|| night.arming_tries.next_at()).flatten();
    let moments: [Option<Timestamp>; 6] = [
        decision.wake.as_ref().map(|wake| wake.at),
        night.tries.next_at(),
        arming,
        night.reports.next_at(),
        night.looks.next_at(),
        night.start_tries.next_at(),
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
