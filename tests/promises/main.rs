//! What is promised of a night, held against what was written to the API when its programs die at any moment of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod crashes;
mod faults;
#[path = "../oracle/mod.rs"]
mod oracle;
#[path = "../processes/mod.rs"]
mod processes;
#[path = "../stage/mod.rs"]
mod stage;
mod stale;
mod sweep;
