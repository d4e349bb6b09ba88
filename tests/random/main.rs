//! Random nights: a seed draws runbook, services, calendar and what goes wrong; the oracle judges what comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod chance;
mod draft;
mod draw;
#[path = "../oracle/mod.rs"]
mod oracle;
#[path = "../processes/mod.rs"]
mod processes;
mod same;
mod shrink;
mod shrunk;
#[path = "../stage/mod.rs"]
mod stage;
mod sweep;
mod things;
mod wrong;
