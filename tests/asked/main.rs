//! `notturno status` and `notturno explain`, asked of the binary, against the embedded API behind a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod by_hand;
mod explain;
#[path = "../processes/mod.rs"]
mod processes;
mod served;
mod status;
#[path = "../operator/world.rs"]
#[allow(dead_code, reason = "the operator's tests use the rest")]
mod world;
