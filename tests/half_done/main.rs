//! Services whose data is half done when doors open: what they declared, and that nothing works beneath the people who are let in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[path = "../nights/mod.rs"]
mod nights;
mod objects;
mod opening;
mod scene;
