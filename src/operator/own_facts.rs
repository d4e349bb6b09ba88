//! What only this shell knows and no look at the cluster shows: answers to probes and checks, and what objects refused for good.
//!
//! In: a night. Out: facts. Invariant: a refusal says nothing against what was seen done meanwhile. Not here: what is asked, and when.

use super::book::Book;
use super::night::Night;
use crate::engine::facts::ClosingFact;
use crate::engine::{Command, Facts};

/// What only this shell knows: probes, and closings that a target refused for good.
pub(super) fn add(night: &Night, book: &Book, facts: &mut Facts) {
    night.probers.add_to(&book.plan, facts);
    facts.checks = night.checkers.facts();
    for (service, reason) in &night.refused_closings {
        facts.services.entry(*service).or_default().closing = ClosingFact::Refused { reason: reason.clone() };
    }
    for (service, reason) in &night.refused_degraded {
        let fact = facts.services.entry(*service).or_default();
        if fact.degraded == ClosingFact::Open {
            fact.degraded = ClosingFact::Refused { reason: reason.clone() };
        }
    }
    for (step, reason) in &night.refused_changes {
        facts.changes.entry(*step).or_default().change = ClosingFact::Refused { reason: reason.clone() };
    }
}

/// Keeps what a command was refused for good; 1 when that is news to decide on at once.
pub(super) fn refused(night: &mut Night, command: &Command, reason: String) -> u32 {
    match command {
        Command::Close { service, .. } => drop(night.refused_closings.insert(*service, reason)),
        Command::Change { step, .. } => drop(night.refused_changes.insert(*step, reason)),
        // It is tried again, for a person may mend it; the reason is told when its time is over.
        Command::Degrade { service } => {
            night.refused_degraded.insert(*service, reason);
            return 0;
        }
        Command::Arm
        | Command::Check { .. }
        | Command::Release { .. }
        | Command::BurnJob { .. }
        | Command::BurnTargets { .. }
        | Command::BurnChange { .. }
        | Command::ExpireChange { .. }
        | Command::Restore { .. }
        | Command::CloseAgain { .. }
        | Command::Reopen { .. }
        | Command::Probe { .. }
        | Command::LetGo { .. }
        | Command::Disarm
        | Command::ArmSwitch
        | Command::DisarmSwitch => return 0,
    }
    1
}
