//! How a step is undone, as written → [`Undo`].
//!
//! In: a raw step. Out: its undo, or every problem of it. Invariants: a Job says how it is undone; a change is undone by what was captured
//! unless something else is written; what changes nothing has no undo. What is not here: whether an undo can cover another step
//! ([`crate::plan`]).

use super::Findings;
use super::inside::Inside;
use crate::api::runbook::{self as raw, NoUndoReason};
use crate::model::action::Undo;
use crate::model::runbook::OnOverrun;
use crate::model::span::Span;

/// What may be written about the way back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// A closing: the reopening is its undo.
    Closed,
    /// A Job: nobody but its author knows.
    Anything,
    /// A change of an object: its state before is captured.
    Captured,
    /// Nothing.
    Nothing,
}

fn leaves(raw: &raw::Step) -> Leaves {
    if raw.close.is_some() {
        Leaves::Closed
    } else if raw.job.is_some() {
        Leaves::Anything
    } else if raw.scale.is_some() || raw.patch.is_some() || raw.apply.is_some() || raw.suspend.is_some() || raw.cordon.is_some() {
        Leaves::Captured
    } else {
        Leaves::Nothing
    }
}

pub(super) fn undo(found: &mut Findings, inside: &Inside<'_>, path: &str, raw: &raw::Step, budget: Span) -> Undo {
    let leaves = leaves(raw);
    let words = match leaves {
        Leaves::Closed => Some(("closing is undone by reopening", "closing changes no data")),
        Leaves::Nothing => Some(("such a step leaves nothing to undo", "such a step changes no data")),
        Leaves::Anything | Leaves::Captured => None,
    };
    if let Some((undone, data)) = words {
        for (field, written) in [("undo", raw.undo.is_some()), ("noUndo", raw.no_undo.is_some())] {
            if written {
                found.refuse("NotAllowed", &format!("{path}.{field}"), format!("{undone}: remove {field}"));
            }
        }
        if raw.touches.is_some() {
            found.refuse("NotAllowed", &format!("{path}.touches"), format!("{data}: remove touches"));
        }
    }
    let own = raw.undo.as_ref().map(|undo| own(found, inside, &format!("{path}.undo"), undo, leaves));
    let none = raw.no_undo.as_ref().map(|none| no_undo(found, inside, raw, &format!("{path}.noUndo"), none));
    match (own, none) {
        (Some(undo), None) | (None, Some(undo)) => undo,
        (None, None) => match leaves {
            Leaves::Closed => Undo::Reopening,
            Leaves::Captured => Undo::Restore { budget },
            Leaves::Nothing => Undo::Nothing,
            Leaves::Anything => {
                found.refuse("NotExactlyOne", path, "a job says how it is undone: write either undo, or noUndo with its reason");
                Undo::Nothing
            }
        },
        (Some(_), Some(_)) => {
            if words.is_none() {
                found.refuse("NotExactlyOne", path, "write undo or noUndo, not both");
            }
            Undo::Nothing
        }
    }
}

fn own(found: &mut Findings, inside: &Inside<'_>, path: &str, raw: &raw::Undo, leaves: Leaves) -> Undo {
    let budget = found.budget(&format!("{path}.budget"), &raw.budget);
    let attempts = u32::try_from(raw.attempts).unwrap_or_default();
    if let Some(job) = &raw.job {
        return Undo::Job { budget, attempts, job: inside.job(found, &format!("{path}.job"), job) };
    }
    if leaves == Leaves::Anything {
        found.refuse("Missing", &format!("{path}.job"), "what a job did only a job can undo: write undo.job");
    }
    Undo::Restore { budget }
}

fn no_undo(found: &mut Findings, inside: &Inside<'_>, step: &raw::Step, path: &str, raw: &raw::NoUndo) -> Undo {
    let here = format!("{path}.step");
    match (raw.reason, &raw.step) {
        (NoUndoReason::CoveredBy, Some(covering)) => {
            inside.points_to_step(found, &step.name, covering, &here);
            Undo::CoveredBy { step: covering.clone() }
        }
        (NoUndoReason::CoveredBy, None) => {
            found.refuse("Missing", &here, "CoveredBy names the step whose undo covers this one: write step");
            Undo::Nothing
        }
        (NoUndoReason::NothingToUndo | NoUndoReason::Irreversible, Some(_)) => {
            found.refuse("NotAllowed", &here, "only CoveredBy names a step: remove it, or write reason: CoveredBy");
            Undo::Nothing
        }
        (NoUndoReason::NothingToUndo, None) => Undo::Nothing,
        (NoUndoReason::Irreversible, None) => {
            if step.on_overrun.is_none() {
                let policies = [OnOverrun::TurnBack, OnOverrun::Ask, OnOverrun::Continue].map(|policy| format!("{policy:?}"));
                let message = format!(
                    "past a point of no return the policy for an overrun is said in advance: write onOverrun, one of {}",
                    policies.join(", ")
                );
                found.refuse("Missing", &format!("{}.onOverrun", path.trim_end_matches(".noUndo")), message);
            }
            Undo::Irreversible
        }
    }
}
