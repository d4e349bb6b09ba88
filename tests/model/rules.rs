//! What the model may leave out: the bounds of a search, and one switch for every rule that is dropped to see what breaks.
//!
//! A rule that lives in an effect of the shell is left out in the model's copy of that effect (`shell.rs`). A rule that lives in `decide`
//! itself is left out around it: what goes in is falsified, or what comes out is not obeyed (`mind.rs`, `actors.rs`); src has no switches.

use crate::night::Numbers;

/// When tokens are stamped on targets (PROTOCOL rule 1; src/operator/effects/arm.rs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Before the night, and never again.
    ByDay,
    /// With the intention to close, whatever stands there.
    WithIntention,
    /// With the intention, for the very revision that was read.
    WithIntentionOfRevision,
}

/// When a sentinel may take the night over (rule 17; src/engine/due.rs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// When `due` says so.
    Derived,
    /// When a promise has passed that the operator may renew while it can write the ledger.
    Renewable,
    /// So long after the last progress, however late that was.
    Unscheduled,
}

/// Whose epochs are (rule 18; src/model/epoch.rs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// One epoch for both sentinels.
    Both,
    /// Each takeover makes an epoch of its own, and who has not the newest only watches.
    OneEach,
    /// The same, and at reopen-by each may take it once more.
    OneEachOnceMore,
    /// The same, and from reopen-by on whenever the other has it.
    OneEachAlways,
}

/// One search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Rules {
    // Bounds.
    pub numbers: Numbers,
    /// Operator replicas, one or two.
    pub replicas: usize,
    /// There is a sentinel that is not obliged to anything, beside the healthy one.
    pub faulty: bool,
    /// Writes in flight at once.
    pub flight_max: usize,
    /// For how many ticks after its own a write may land.
    pub write_lives_for: u8,
    /// Replicas and the faulty sentinel may decide and send on what they saw at any earlier moment.
    pub old_looks: bool,
    /// The last Pod of a Job that is stopped, or an undo, may hang for ever.
    pub hangs: bool,
    /// Job and undo may fail.
    pub fails: bool,
    /// People may order to turn back, and the operator goes back by itself when the Job fails.
    pub early: bool,
    /// Another night may close the first service once this one is over.
    pub next_night: bool,
    /// The first service declares to open on half-done work.
    pub opens_dirty: bool,
    /// Services that do not answer after finished work count as open in part.
    pub tolerates_red: bool,
    /// All combinations of clocks, not two.
    pub all_clocks: bool,
    // Rules of the effects.
    pub tests_token: bool,
    pub tests_back_token: bool,
    pub fences: bool,
    pub compares_head: bool,
    pub burns_all: bool,
    pub operator_burns: bool,
    pub stop_burns: bool,
    pub leaves_tombstone: bool,
    pub stamps: Stamp,
    // Rules of `decide`.
    pub proves_pods: bool,
    pub commits_first: bool,
    pub takes_committed: bool,
    pub promise: Promise,
    pub owners: Owners,
    pub expires_undos: bool,
}

/// The rules as they are, in small bounds.
pub const BASE: Rules = Rules {
    numbers: Numbers { work: 1, undo: 3, reopen: 1, reserve: 4 },
    replicas: 1,
    faulty: true,
    flight_max: 1,
    write_lives_for: 1,
    old_looks: false,
    hangs: false,
    fails: false,
    early: true,
    next_night: true,
    opens_dirty: false,
    tolerates_red: false,
    all_clocks: false,
    tests_token: true,
    tests_back_token: true,
    fences: true,
    compares_head: true,
    burns_all: true,
    operator_burns: true,
    stop_burns: true,
    leaves_tombstone: true,
    stamps: Stamp::ByDay,
    proves_pods: true,
    commits_first: true,
    takes_committed: true,
    promise: Promise::Derived,
    owners: Owners::Both,
    expires_undos: true,
};
