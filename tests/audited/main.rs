//! A night as a real cluster's audit log tells it: kept as it was it is judged well, and of each line that is altered the oracle says what
//! it breaks.
//!
//! The recording is of `goes_back` (`tests/real`), written by it where `NOTTURNO_RECORD` names a file: an upgrade hangs, is stopped, and undone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod altered;
mod lines;
#[path = "../oracle/mod.rs"]
mod oracle;
