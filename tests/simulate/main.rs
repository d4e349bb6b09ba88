//! `notturno simulate`: one night told, thousands counted, and what is said of a scenario that cannot be read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[path = "../nights/mod.rs"]
mod nights;

mod counted;
mod refused;
mod scene;
mod told;
