//! An operator that nothing stalls: the shipped client stack, over loopback TCP, against an API server that misbehaves.
//!
//! Deadlines are arguments, so that a test takes seconds; everything waits for conditions, with an end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod front;
mod world;

mod calls;
mod expiry;
mod poison;
mod quiet;
mod sockets;
mod starving;
mod targets;
mod tokens;
mod unsure;
mod watches;
