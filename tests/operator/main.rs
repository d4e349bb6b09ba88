//! The operator's own code on the embedded API, under paused time, through the real client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod actions;
mod addresses;
mod by_hand;
mod captured;
mod clock;
mod crashes;
mod deleted_jobs;
mod endpoints;
mod half_done;
mod heartbeat;
mod hostile;
mod isolation;
mod killed;
mod kstatus;
mod lease;
mod many;
mod nights;
mod numbers;
mod outage;
#[path = "../effects/pasted.rs"]
#[allow(dead_code, reason = "the tests of effects use the rest")]
mod pasted;
mod pings;
#[path = "../processes/mod.rs"]
mod processes;
mod rehearsal;
mod rehearsal_beside;
mod same_second;
mod sentinel;
mod server_time;
mod standing_watch;
mod switch;
mod told;
mod untold;
mod waiting;
mod waits;
mod world;
