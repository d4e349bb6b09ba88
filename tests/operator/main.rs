//! The operator's own code on the embedded API, under paused time, through the real client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod clock;
mod crashes;
mod endpoints;
mod isolation;
mod lease;
mod many;
mod nights;
mod outage;
mod waiting;
mod world;
