//! During the night: what to do now.
//!
//! In: the frozen plan, the journal, facts, now. Out: a [`Decision`]: events to record, commands to perform after that, when to ask
//! again, and why. Invariants: pure and total (DESIGN §3, law 1): every input has a decision, there is no error type and no panic;
//! facts up to now are folded before the clock rules. Not here: anything that knows Kubernetes, sockets or clocks.

pub mod command;
pub mod facts;
mod fold;
pub mod journal;
pub mod state;

pub use command::{BurnTo, Command, Decision, Wake};
pub use facts::{Facts, JobKey};
pub use journal::{Entry, Event};
pub use state::State;
