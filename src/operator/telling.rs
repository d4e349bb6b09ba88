//! What people are told of a night while it goes on: its status and its numbers, and whose work it wrote over.
//!
//! In: a night, its book, a decision. Out: one status where it says something new, numbers, Events. Invariants: nothing here changes the
//! night; a report that fails is tried again after a pause. There is one way to tell what was recorded, whoever wrote it and whether or
//! not its writer saw the answer: from the ledger, after the last record that was told. How far stands in the status (`toldUpTo`), which
//! says it after the Events are there; a night is let go when all is told. An operator that dies before tells again what its status did
//! not say: under the same names, which the API server refuses while the Events are there, but its numbers count anew. So it does with
//! all of a night that began under an operator whose status did not say how far. What stands in no record (the switch, what was written
//! over) is told by whoever saw it or by nobody. Not here: the words ([`super::report`], [`super::events`]), who sends Events
//! ([`super::herald`]).

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use jiff::Timestamp;

use super::book::Book;
use super::context::Context;
use super::effects::call::Answer;
use super::events::{self, Notice};
use super::metrics::Standing;
use super::night::Night;
use super::report;
use super::story::story;
use super::tries::{Attempt, STATUS_PAUSE_MAX};
use crate::api::status::InterventionStatus;
use crate::engine::facts::Arming;
use crate::engine::{Decision, State};
use crate::model::need::turn_back_at;
use crate::model::phase::Phase;
use crate::model::refusal::Refusal;

/// The most refusals that become Events; the status has them all.
const REFUSALS_TOLD_MAX: usize = 16;

/// Where the one Event about a torn ledger has its name from.
const LEDGER_TORN: &str = "ledger-torn";

/// What stands in the ledger and was not told yet, whoever wrote it, and what is new of the dead man's switch. Nobody waits for it.
pub(super) fn tell(night: &mut Night, book: &Book, context: &Context) {
    for (seq, entries) in book.records_after(night.herald.taken_up_to()) {
        if !night.herald.has_room() {
            // The rest stays in the ledger until those are sent.
            night.herald.wakes_when_sent();
            break;
        }
        for entry in entries {
            tracing::info!(seq, event = ?entry.event, why = entry.why, "recorded");
            context.metrics.recorded(&entry.event);
        }
        night.herald.take(seq, events::of_record(seq, entries));
    }
    if book.is_torn && night.herald.is_first(LEDGER_TORN) {
        let (reason, action) = ("LedgerTorn".to_owned(), "Record".to_owned());
        let note =
            "part of the ledger is lost: rights are taken back and what is clean opens; a person has to do the rest".to_owned();
        let notice = Notice { place: LEDGER_TORN.to_owned(), at: context.time.now(), reason, action, note, warning: true };
        night.herald.tell(context, vec![notice]);
    }
    let switch = night.switch.take_untold();
    if let Some(notice) = &switch {
        tracing::info!(reason = notice.reason, note = notice.note, "the dead man's switch");
    }
    night.herald.tell(context, switch.into_iter().collect());
}

/// Nothing stands in the ledger that people were not told.
pub(super) fn is_all_told(night: &Night, book: &Book) -> bool {
    book.records_after(night.herald.told_up_to()).next().is_none()
}

/// The status, when it says something new; a failure is tried again later.
pub(super) async fn report(night: &mut Night, book: &Book, decision: &Decision, context: &Context) {
    let state = State::fold(&book.plan, &book.entries);
    let still_a_choice = matches!(decision.phase, Phase::Armed | Phase::Working);
    let turn_back = still_a_choice.then(|| turn_back_at(&book.plan, &state.begun(&book.plan)));
    let switch_ready = night.switch.is_ready(context);
    let must_serve_by = Some(book.plan.deadline.must_serve_by);
    let standing = Standing {
        phase: decision.phase,
        turn_back_at: turn_back,
        must_serve_by,
        needs_human: state.needs_human(),
        half_done: report::half_done(&book.plan, &state),
        switch_ready,
    };
    context.metrics.stands(&night.id(), standing);
    let Some(object) = night.object.clone() else {
        night.report_tries = Attempt::default();
        return;
    };
    let now = context.time.now();
    if !night.report_tries.may(now) {
        return;
    }
    let why = match &night.arming {
        Arming::Impossible { reason } if !state.armed => format!("{}: {reason}", decision.why),
        Arming::Impossible { .. } | Arming::NotYet | Arming::Armed => decision.why.clone(),
    };
    let switch = Some(night.switch.report(&book.plan, context));
    let status = InterventionStatus { switch, ..report::status(&book.plan, &book.entries, &state, decision, &why) };
    match night.reporter.write(&object, status, &mut night.herald, context).await {
        Ok(()) => night.report_tries = Attempt::default(),
        Err(error) if error.answer() == Some(Answer::NotFound) => night.report_tries = Attempt::default(),
        Err(error) => {
            tracing::warn!(error = story(&error), "the status could not be written");
            night.report_tries.tried(now, STATUS_PAUSE_MAX);
        }
    }
}

/// The night promised what was before: whose work that wrote over is told.
pub(super) fn tell_overwritten(night: &mut Night, command: &str, overwritten: &[String], context: &Context) {
    let notice = |(index, words): (usize, &String)| Notice {
        place: format!("overwritten.{command}.{index}").replace(' ', "-"),
        at: context.time.now(),
        reason: "Overwritten".to_owned(),
        action: "Restore".to_owned(),
        note: words.clone(),
        warning: true,
    };
    let told: Vec<Notice> = overwritten.iter().enumerate().map(notice).collect();
    if !told.is_empty() {
        tracing::warn!(?overwritten, "what another hand had changed was written over");
        night.herald.tell(context, told);
    }
}

/// Why the night may not take place.
pub(super) fn refusals(night: &mut Night, refusals: &[Refusal], context: &Context) {
    let now = context.time.now();
    let notice = |(index, refusal): (usize, &Refusal)| Notice {
        place: format!("refused.{index}"),
        at: now,
        reason: "Refused".to_owned(),
        action: refusal.reason.clone(),
        note: refusal.to_string(),
        warning: true,
    };
    let told = refusals.iter().take(REFUSALS_TOLD_MAX).enumerate().map(notice).collect();
    night.herald.tell(context, told);
}

/// What people have to mend before it can be accepted.
pub(super) async fn waiting(night: &mut Night, why: &str, again_at: Timestamp, context: &Context) {
    let Some(object) = night.object.clone() else { return };
    let standing = Standing {
        phase: Phase::Pending,
        turn_back_at: None,
        must_serve_by: None,
        needs_human: false,
        half_done: [0; 3],
        switch_ready: None,
    };
    context.metrics.stands(&night.id(), standing);
    if let Err(error) = night.reporter.write(&object, report::pending(why, again_at), &mut night.herald, context).await {
        tracing::warn!(error = story(&error), "the status could not be written");
    }
}

/// A fault of ours: people are called, and the night is tried again; its clock rules may still work.
pub(super) async fn quarantine(night: &mut Night, panic: &str, context: &Context) {
    let why = format!("the operator itself failed on this night: {panic}; it is tried again, a person has to look");
    tracing::error!(why, "quarantine");
    let notice = Notice {
        place: "fault".to_owned(),
        at: context.time.now(),
        reason: "OperatorFault".to_owned(),
        action: "Quarantine".to_owned(),
        note: why.clone(),
        warning: true,
    };
    night.herald.tell(context, vec![notice]);
    if let Some(object) = night.object.clone() {
        let status = night.reporter.with_fault(why);
        if let Ok(Err(error)) =
            AssertUnwindSafe(night.reporter.write(&object, status, &mut night.herald, context)).catch_unwind().await
        {
            tracing::warn!(error = story(&error), "the status could not be written");
        }
    }
}
