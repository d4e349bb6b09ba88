//! What people are told of a night while it goes on: its status and its numbers, and whose work it wrote over.
//!
//! In: a night, its book, a decision. Out: one status where it says something new, numbers, Events. Invariants: nothing here changes the
//! night; a report that fails is tried again after a pause. Not here: the words ([`super::report`], [`super::events`]).

use super::book::Book;
use super::context::Context;
use super::effects::call::Answer;
use super::events::Notice;
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
    match night.reporter.write(&object, status, context).await {
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
        night.herald.tell(context, &night.regarding(), told);
    }
}
