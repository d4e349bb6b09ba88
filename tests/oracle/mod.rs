//! The oracle: what Notturno promises of a night, held against what was written to the API and what somebody outside saw.
//!
//! In: the night as its files declare it ([`Declared`]), and [`Evidence`]. Out: every promise that was broken, in words ([`Broken`]).
//! Invariants: nothing here knows plan, engine, operator or sentinel, and our own status is never read: a mistake of theirs is not repeated
//! here. The ledger is read as what it is, a `ConfigMap` that was written. Not here: how a night is played, and what goes wrong in it.
#![allow(dead_code, reason = "each test uses its part")]

pub mod audit_log;
pub mod calm;
mod declared;
mod doors;
mod evidence;
mod objects;
pub mod recording;
mod records;
mod undos;

#[allow(unused_imports, reason = "each test uses its part")]
pub use declared::{Declared, Service};
#[allow(unused_imports, reason = "each test uses its part")]
pub use evidence::{Change, Evidence, Key, Request, Sighting, essence};

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// The promise.
    pub promise: &'static str,
    /// Where and how.
    pub what: String,
}

impl Broken {
    fn new(promise: &'static str, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

/// Every promise that the night broke.
pub fn judge(declared: &Declared, evidence: &Evidence) -> Vec<Broken> {
    let mut broken = Vec::new();
    broken.extend(doors::opened(declared, evidence));
    broken.extend(doors::stayed_open(declared, evidence));
    broken.extend(objects::only_what_is_ours(declared, evidence));
    broken.extend(objects::nothing_of_others_is_deleted(declared, evidence));
    broken.extend(objects::given_back(declared, evidence));
    broken.extend(objects::once(declared, evidence));
    broken.extend(objects::captured_before(declared, evidence));
    broken.extend(records::one_history(declared, evidence));
    broken.extend(records::forward_ends_at_the_turn(declared, evidence));
    broken.extend(records::recorded_before_done(declared, evidence));
    broken.extend(undos::jobs_run_once(declared, evidence));
    broken.extend(undos::in_reverse(declared, evidence));
    broken.extend(undos::never_beside_their_step(declared, evidence));
    broken.extend(undos::none_is_held_up(declared, evidence));
    broken.extend(calm::bounded(declared, evidence));
    broken.extend(calm::quiet(declared, evidence));
    broken.extend(calm::every_pause_has_a_reason(declared, evidence));
    broken.sort();
    broken
}
