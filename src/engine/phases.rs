//! The phase table, in one place.
//!
//! Out: for each phase what it means and which may follow. The README shows this table; tests hold every played night against it.
//! Invariant: no phase is left because time passed without a reason in the journal. Not here: the decisions themselves.

use crate::model::phase::Phase;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The phase.
    pub phase: Phase,
    /// What happens in it.
    pub does: &'static str,
    /// What ends it.
    pub until: &'static str,
    /// The phases that may follow.
    pub then: &'static [Phase],
}

/// The whole table.
pub const TABLE: [Row; 7] = [
    Row {
        phase: Phase::Pending,
        does: "the plan is frozen; pre-images, Jobs and tokens are being put in place",
        until: "all of it was read back, or the latest start has passed",
        then: &[Phase::Armed, Phase::Finished],
    },
    Row {
        phase: Phase::Armed,
        does: "everything stands and nothing can run",
        until: "the start, or the latest start has passed, or a deletion",
        then: &[Phase::Working, Phase::Finished],
    },
    Row {
        phase: Phase::Working,
        does: "steps run, each behind its gate",
        until: "the last step is done (commit), or the first reason to go back",
        then: &[Phase::TurningBack, Phase::Reopening, Phase::Verifying],
    },
    Row {
        phase: Phase::TurningBack,
        does: "tokens are burned, Jobs stopped and proven dead, steps undone in reverse, smoke tested",
        until: "undone and verified, or nothing can still succeed, or reopen-by",
        then: &[Phase::Reopening, Phase::Verifying, Phase::Finished],
    },
    Row {
        phase: Phase::Reopening,
        does: "services open in waves; dirty ones stay as they declared",
        until: "every service was opened",
        then: &[Phase::Verifying, Phase::Finished],
    },
    Row {
        phase: Phase::Verifying,
        does: "probes are asked until every service answers",
        until: "every service answers and nothing is left to undo",
        then: &[Phase::Reopening, Phase::Finished],
    },
    Row { phase: Phase::Finished, does: "the outcome stands", until: "never", then: &[] },
];

/// The table as Markdown, for the README.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| phase | what happens | until | then |\n|---|---|---|---|\n");
    for row in TABLE {
        let then = row.then.iter().map(|phase| phase.as_str()).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("| {} | {} | {} | {} |\n", row.phase, row.does, row.until, then));
    }
    text
}
