//! The stage on which nights are played: a night as a file, what goes wrong in it, the programs that ship, and what excuses a broken promise.
//!
//! In: files, or nights that were drawn. Out: evidence for the oracle. Invariant: everything that happens in a night is said by its file.
//! Not here: what is promised (the oracle), which nights are played.
#![allow(dead_code, reason = "each test uses its part")]

pub mod cast;
pub mod deeds;
pub mod excuse;
pub mod fault;
pub mod play;
pub mod scene;
pub mod strikes;
pub mod trace;
pub mod trouble;

#[allow(unused_imports, reason = "each test uses its part")]
pub use fault::{Fault, Kind, Object, Of, To, Way};
pub use scene::Scene;
