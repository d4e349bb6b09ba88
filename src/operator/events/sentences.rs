//! What each kind of entry says to people who read Events.
//!
//! In: entries. Out: a sentence, what it is about, whether it warns. Invariants: every kind has its sentence, by an exhaustive match, so
//! that a new kind has to be thought of; the reason that the engine gave is in it, and nothing is said twice. Not here: sending.

use crate::engine::journal::Cause;
use crate::engine::{Entry, Event};
use crate::model::phase::Outcome;
use crate::model::reference::ServiceRef;

/// What happened and why, as one sentence.
pub(super) fn sentence(entry: &Entry) -> String {
    let what = what(&entry.event);
    let why = entry.why.trim();
    let text = if why.is_empty() {
        what
    } else if why.to_lowercase().starts_with(&what.to_lowercase()) {
        capitalised(why)
    } else {
        let subject = subject(&entry.event).unwrap_or_default();
        format!("{what}: {}", without_subject(why, &subject))
    };
    let closed = text.ends_with(['.', '!', '?', '…']);
    if closed { text } else { format!("{text}.") }
}

/// The reason without the step or service that the sentence has named already.
fn without_subject(why: &str, subject: &str) -> String {
    let of_step = |verb: &str| why.strip_prefix(&format!("step {subject}{verb}: "));
    let of_service = || why.strip_prefix(&format!("{subject} ")).filter(|_| !subject.is_empty());
    match (of_step("").or_else(|| of_step(" may start")), of_service()) {
        (Some(rest), _) => rest.to_owned(),
        (None, Some(rest)) => format!("it {rest}"),
        (None, None) => why.to_owned(),
    }
}

fn capitalised(text: &str) -> String {
    let is_word = text.split_whitespace().next().is_some_and(|first| first.chars().all(char::is_alphabetic));
    let mut letters = text.chars();
    match letters.next().filter(|_| is_word) {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text.to_owned(),
    }
}

/// What happened.
fn what(event: &Event) -> String {
    match event {
        Event::Accepted { .. } => "The night is accepted".to_owned(),
        Event::Armed {} => "The night is armed".to_owned(),
        Event::WorkBegun {} => "Work begins".to_owned(),
        Event::StepIntended { step, .. } => format!("Step {step} starts"),
        Event::StepDone { step } => format!("Step {step} is done"),
        Event::StepFailed { step, .. } => format!("Step {step} failed"),
        Event::Overrun { step } => format!("Step {step} overruns"),
        Event::Extended { step, .. } => format!("Step {step} has more time"),
        Event::Confirmed { step, .. } => format!("Step {step} is confirmed"),
        Event::Held { .. } => "The night is held".to_owned(),
        Event::Resumed { .. } => "The night is resumed".to_owned(),
        Event::OrderRefused { order, .. } => format!("Order {order} is not obeyed"),
        Event::TakenOver { .. } => "The night is taken over".to_owned(),
        Event::GoingBack { .. } => "The night goes back".to_owned(),
        Event::StepStopped { step, .. } => format!("Step {step} has ended for good"),
        Event::UndoReleased { step, .. } => format!("Undo of {step} starts"),
        Event::UndoDone { step, attempt } => format!("Undo of {step}, attempt {attempt}, is complete"),
        Event::UndoFailed { step, attempt, .. } => format!("Undo of {step}, attempt {attempt}, failed"),
        Event::UndoOverrun { step, attempt } => format!("Undo of {step}, attempt {attempt}, used up its budget"),
        Event::SmokeReleased {} => "Verification behind closed doors starts".to_owned(),
        Event::SmokeDone {} => "Verification behind closed doors passed".to_owned(),
        Event::SmokeFailed { .. } => "Verification behind closed doors failed".to_owned(),
        Event::Committed {} => "The work is committed".to_owned(),
        Event::ReopeningBegun {} => "Reopening begins".to_owned(),
        Event::UndosExpired { service, .. } => format!("Nothing of {service} is undone any more"),
        Event::Opening { services } => format!("It is the turn of {}", names(services)),
        Event::Opened { service } => format!("{service} is open"),
        Event::Degraded { service, .. } => format!("{service} works only in part"),
        Event::HeldClosed { service, .. } => format!("{service} stays closed"),
        Event::OpeningLate { service, .. } => format!("{service} does not answer"),
        Event::ClosedAgain { service, .. } => format!("{service} is closed again"),
        Event::DeadlineMissed { .. } => "The deadline is missed".to_owned(),
        Event::Finished { outcome } => format!("The night is over, {outcome}"),
    }
}

/// What it is about: a step, a service, an outcome.
pub(super) fn subject(event: &Event) -> Option<String> {
    match event {
        Event::UndosExpired { service, .. }
        | Event::Opened { service }
        | Event::Degraded { service, .. }
        | Event::HeldClosed { service, .. }
        | Event::OpeningLate { service, .. }
        | Event::ClosedAgain { service, .. } => Some(service.to_string()),
        Event::Finished { outcome } => Some(outcome.to_string()),
        Event::OrderRefused { order, .. } | Event::Held { order, .. } | Event::Resumed { order, .. } => Some(order.clone()),
        Event::Opening { services } | Event::DeadlineMissed { services } => services.first().map(ToString::to_string),
        Event::GoingBack { cause } => match cause {
            Cause::HardCap { step } | Cause::Overrun { step } | Cause::StepFailed { step } | Cause::Silence { step } => {
                Some(step.clone())
            }
            Cause::TurnBackMoment
            | Cause::Futile
            | Cause::Ordered { .. }
            | Cause::Deleted
            | Cause::LedgerChanged
            | Cause::SwitchLost
            | Cause::Nonsense
            | Cause::TakenOver => None,
        },
        Event::Accepted { .. }
        | Event::Armed {}
        | Event::WorkBegun {}
        | Event::StepIntended { .. }
        | Event::StepDone { .. }
        | Event::StepFailed { .. }
        | Event::Overrun { .. }
        | Event::Extended { .. }
        | Event::Confirmed { .. }
        | Event::TakenOver { .. }
        | Event::StepStopped { .. }
        | Event::UndoReleased { .. }
        | Event::UndoDone { .. }
        | Event::UndoFailed { .. }
        | Event::UndoOverrun { .. }
        | Event::SmokeReleased {}
        | Event::SmokeDone {}
        | Event::SmokeFailed { .. }
        | Event::Committed {}
        | Event::ReopeningBegun {} => event.step().map(str::to_owned),
    }
}

/// Whether something is not as planned and nobody asked for it.
pub(super) fn is_warning(event: &Event) -> bool {
    match event {
        Event::StepFailed { .. }
        | Event::Overrun { .. }
        | Event::OrderRefused { .. }
        | Event::UndoFailed { .. }
        | Event::UndoOverrun { .. }
        | Event::SmokeFailed { .. }
        | Event::UndosExpired { .. }
        | Event::Degraded { .. }
        | Event::HeldClosed { .. }
        | Event::OpeningLate { .. }
        | Event::ClosedAgain { .. }
        | Event::Held { .. }
        | Event::TakenOver { .. }
        | Event::DeadlineMissed { .. } => true,
        Event::GoingBack { cause } => match cause {
            Cause::TurnBackMoment
            | Cause::HardCap { .. }
            | Cause::Overrun { .. }
            | Cause::StepFailed { .. }
            | Cause::Silence { .. }
            | Cause::Futile
            | Cause::LedgerChanged
            | Cause::SwitchLost
            | Cause::Nonsense
            | Cause::TakenOver => true,
            Cause::Ordered { .. } | Cause::Deleted => false,
        },
        Event::Finished { outcome } => match outcome {
            Outcome::RolledBack | Outcome::ReopenedLate | Outcome::Refused => true,
            Outcome::Completed | Outcome::Cancelled => false,
        },
        Event::Accepted { .. }
        | Event::Armed {}
        | Event::WorkBegun {}
        | Event::StepIntended { .. }
        | Event::StepDone { .. }
        | Event::Extended { .. }
        | Event::Confirmed { .. }
        | Event::Resumed { .. }
        | Event::StepStopped { .. }
        | Event::UndoReleased { .. }
        | Event::UndoDone { .. }
        | Event::SmokeReleased {}
        | Event::SmokeDone {}
        | Event::Committed {}
        | Event::ReopeningBegun {}
        | Event::Opening { .. }
        | Event::Opened { .. } => false,
    }
}

fn names(services: &[ServiceRef]) -> String {
    services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
