//! What is promised of a night, held against what was written to the API when its programs die at any moment of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod cast;
mod crashes;
#[path = "../oracle/mod.rs"]
mod oracle;
#[path = "../processes/mod.rs"]
mod processes;
mod scene;
mod stale;
mod sweep;
mod trouble;
