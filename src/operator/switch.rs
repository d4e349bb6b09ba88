//! The dead man's switch of one night, as its operator knows it.
//!
//! In: what a look found, the operator's flags. Out: the fact for the engine, the report and the notices for people. Invariants: what could
//! not be looked at is not known, and never counts as lost; a loss is counted from when it was first seen; nothing here has to outlive the
//! process. Not here: how it is made ([`super::effects::sentinel`]), what follows from its loss (the engine).

use std::sync::Arc;

use jiff::Timestamp;

use super::book::Book;
use super::context::Context;
use super::effects::call::{Answer, CallError, LIMIT};
use super::effects::ledger::{self, PlanIdentity};
use super::effects::sentinel::{self, Found};
use super::effects::{Done, PerformError, Switch, Tenant};
use super::events::Notice;
use super::night::Night;
use super::night_watch::{Kinds, Watched};
use super::story::story;
use super::wave::Hands;
use crate::api::status::SwitchReport;
use crate::engine::State;
use crate::engine::facts::SwitchFact;
use crate::engine::switch::{SENTINEL_COUNT, armed_from};
use crate::engine::words::{clock, rfc3339};
use crate::model::plan::Plan;

/// Said wherever people look.
const WITHOUT: &str = "this operator works without a dead man's switch (--without-sentinel): if it dies, what is closed stays closed until \
                       a person comes";

/// What a look at the switch gave.
#[derive(Debug)]
pub(super) struct Look {
    /// The plan's `ConfigMap`, which it is made for.
    pub(super) identity: Option<PlanIdentity>,
    found: Result<Found, String>,
}

impl Look {
    /// Nothing came back in time.
    pub(super) fn late() -> Self {
        Self { identity: None, found: Err("it does not answer soon".to_owned()) }
    }

    /// Why nothing is known.
    pub(super) fn blind(&self) -> Option<&str> {
        self.found.as_ref().err().map(String::as_str)
    }
}

/// Looks at the Deployment, and at the plan when nobody has yet.
pub(super) async fn look(tenant: &Tenant, plan: &Plan, identity: Option<PlanIdentity>) -> Look {
    let identity = match identity {
        Some(identity) => identity,
        None => match ledger::identity(tenant, plan).await {
            Ok(identity) => identity,
            Err(error) => return Look { identity: None, found: Err(story(&error)) },
        },
    };
    let found = match sentinel::look(tenant, plan, &identity).await {
        Ok(found) => Ok(found),
        // It may be there: whoever may not see it does not know, and will not.
        Err(error) if is_an_answer(&error) => Ok(Found::Other { reason: error.story() }),
        Err(error) => Err(error.story()),
    };
    Look { identity: Some(identity), found }
}

fn is_an_answer(error: &CallError) -> bool {
    match error.answer() {
        None | Some(Answer::Busy | Answer::Unauthorized) => false,
        Some(
            Answer::NotFound
            | Answer::AlreadyExists
            | Answer::Conflict
            | Answer::Invalid
            | Answer::Forbidden
            | Answer::Gone
            | Answer::TooLarge
            | Answer::Other,
        ) => true,
    }
}

/// Makes or mends it.
pub(super) async fn stand(hands: &Hands) -> Result<Done, PerformError> {
    let what = || format!("Deployment {}", sentinel::place(&hands.plan));
    let refused = |reason: &str| PerformError::Refused { what: what(), reason: reason.to_owned() };
    let image = match &hands.switch {
        Switch::Image(image) => image,
        Switch::Missing => return Err(refused(sentinel::NO_IMAGE)),
        Switch::Without => return Err(refused(WITHOUT)),
    };
    let late = || CallError::Timeout { what: "reading the plan".to_owned(), limit: LIMIT };
    let identity = hands.identity.as_ref().ok_or_else(|| PerformError::Unreached { what: what(), source: late() })?;
    Ok(Done { write_count: sentinel::stand(&hands.tenant, &hands.plan, identity, image).await?, overwritten: Vec::new() })
}

/// What is remembered of it from look to look.
#[derive(Debug, Default)]
pub(super) struct SwitchBook {
    fact: SwitchFact,
    since: Option<Timestamp>,
    /// Why it could not be made or mended.
    trouble: Option<String>,
    was_ready: bool,
    is_gone: bool,
    /// What is new of it and has not been told yet.
    untold: Option<Notice>,
}

impl SwitchBook {
    /// Takes in what was found: the fact; what is new is kept for people.
    pub(super) fn hear(
        &mut self,
        look: Option<Look>,
        book: &Book,
        state: &State,
        context: &Context,
        now: Timestamp,
    ) -> SwitchFact {
        let fact = self.known(look, book, state, context, now);
        if matches!(fact, SwitchFact::NotYet { .. }) {
            // What is not known says nothing of what was.
            return fact;
        }
        self.untold = self.news(&fact, &sentinel::place(&book.plan), now).or(self.untold.take());
        if std::mem::discriminant(&self.fact) != std::mem::discriminant(&fact) {
            self.since = Some(now);
        }
        if is_ready(&fact) {
            (self.trouble, self.was_ready) = (None, true);
        }
        self.fact = fact.clone();
        fact
    }

    /// What is new of it.
    fn news(&self, fact: &SwitchFact, place: &str, now: Timestamp) -> Option<Notice> {
        let before = is_ready(&self.fact);
        let (reason, warning, note) = match fact {
            SwitchFact::Ready { count } if !self.was_ready => {
                ("SwitchArmed", false, format!("Deployment {place}: {count} of {SENTINEL_COUNT} sentinels are ready"))
            }
            SwitchFact::Ready { .. } if !before => ("SwitchMended", false, format!("Deployment {place} is ready again")),
            SwitchFact::NotReady { reason, .. } if before => ("SwitchLost", true, format!("it is mended now: {reason}")),
            SwitchFact::Ready { .. }
            | SwitchFact::NotReady { .. }
            | SwitchFact::NotAsked
            | SwitchFact::NotYet { .. }
            | SwitchFact::Gone => return None,
        };
        // It is armed once, whoever sees it; lost and mended it may be often.
        let when = if self.was_ready { format!(".{}", now.as_second()) } else { String::new() };
        let place = format!("{}{when}", reason.to_lowercase());
        Some(Notice { place, at: now, reason: reason.to_owned(), action: "Guard".to_owned(), note, warning })
    }

    fn known(&self, look: Option<Look>, book: &Book, state: &State, context: &Context, now: Timestamp) -> SwitchFact {
        if context.switch == Switch::Without {
            return SwitchFact::NotAsked;
        }
        if state.outcome.is_some() {
            let is_gone = self.is_gone || !state.armed;
            return if is_gone { SwitchFact::Gone } else { SwitchFact::NotYet { reason: "the night is over".to_owned() } };
        }
        let not_yet = |reason: String| SwitchFact::NotYet { reason };
        let Some(look) = look else {
            let at = clock(&book.plan, armed_from(&book.plan));
            return not_yet(format!("it is made from {at} on, and nobody has looked at it"));
        };
        let reason = match look.found {
            Err(reason) => return not_yet(reason),
            Ok(Found::Made { ready_count, .. }) if ready_count > 0 => return SwitchFact::Ready { count: ready_count },
            Ok(Found::Made { reason, .. }) => format!("no sentinel is ready: {reason}"),
            Ok(Found::Missing) => "it is not there".to_owned(),
            Ok(Found::Going) => "it is being deleted".to_owned(),
            Ok(Found::Foreign) => "a Deployment of that name is there and is not this night's: delete it".to_owned(),
            Ok(Found::Other { reason }) => reason,
        };
        let trouble = self.trouble.as_ref().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        let since = match &self.fact {
            SwitchFact::NotReady { since, .. } => *since,
            SwitchFact::NotAsked | SwitchFact::NotYet { .. } | SwitchFact::Ready { .. } | SwitchFact::Gone => now,
        };
        SwitchFact::NotReady { reason: format!("Deployment {}: {reason}{trouble}", sentinel::place(&book.plan)), since }
    }

    /// What people were not told yet.
    pub(super) fn take_untold(&mut self) -> Option<Notice> {
        self.untold.take()
    }

    /// It could not be made or mended, or could.
    pub(super) fn tried(&mut self, result: &Result<Done, PerformError>) {
        self.trouble = result.as_ref().err().map(|error| story(error));
    }

    /// It was taken down.
    pub(super) fn fell(&mut self) {
        self.is_gone = true;
    }

    /// Whether somebody would take over; none while nobody has to.
    pub(super) fn is_ready(&self, context: &Context) -> Option<bool> {
        match (&context.switch, &self.fact) {
            (Switch::Without, _) => Some(false),
            (Switch::Missing | Switch::Image(_), SwitchFact::NotYet { .. } | SwitchFact::NotAsked | SwitchFact::Gone) => None,
            (Switch::Missing | Switch::Image(_), fact @ (SwitchFact::Ready { .. } | SwitchFact::NotReady { .. })) => {
                Some(is_ready(fact))
            }
        }
    }

    /// What people see of it.
    pub(super) fn report(&self, plan: &Plan, context: &Context) -> SwitchReport {
        let deployment = Some(sentinel::place(plan));
        let since = self.since.map(|at| rfc3339(plan, at));
        let why = match (&context.switch, &self.fact) {
            (Switch::Without, _) => return SwitchReport { why: Some(WITHOUT.to_owned()), ..SwitchReport::default() },
            (Switch::Missing | Switch::Image(_), SwitchFact::NotAsked | SwitchFact::NotYet { .. }) => {
                let at = clock(plan, armed_from(plan));
                return SwitchReport { why: Some(format!("it is made from {at} on")), ..SwitchReport::default() };
            }
            (Switch::Missing | Switch::Image(_), SwitchFact::Gone) => {
                return SwitchReport { why: Some("the night is over, it was taken down".to_owned()), ..SwitchReport::default() };
            }
            (Switch::Missing | Switch::Image(_), SwitchFact::Ready { count }) => {
                (*count < SENTINEL_COUNT).then(|| format!("{count} of {SENTINEL_COUNT} sentinels are ready"))
            }
            (Switch::Missing | Switch::Image(_), SwitchFact::NotReady { reason, .. }) => Some(reason.clone()),
        };
        SwitchReport { armed: is_ready(&self.fact), since, deployment, why }
    }
}

/// Watches what the night is made of, while it needs it.
pub(super) fn watch(night: &mut Night, book: &Book, works: bool, guarded: bool, context: &Context) {
    let (bell, eye) = (night.mailbox.bell(), Arc::clone(&night.ledger_eye));
    eye.knows(book.seq());
    night.work_watch.set(Kinds::Work, works, || Watched::of(&night.whose, context), (&bell, &eye));
    night.guard_watch.set(Kinds::Guard, guarded, || Watched::of(&night.whose, context), (&bell, &eye));
}

/// Takes in what a look gave: the fact, which the engine gets.
pub(super) fn hear(night: &mut Night, book: &mut Book, state: &State, look: Option<Look>, context: &Context) -> SwitchFact {
    if let Some(identity) = look.as_ref().and_then(|look| look.identity.clone()) {
        book.identity = Some(identity);
    }
    night.switch.hear(look, book, state, context, context.time.now())
}

fn is_ready(fact: &SwitchFact) -> bool {
    matches!(fact, SwitchFact::Ready { .. })
}
