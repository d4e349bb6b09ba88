//! What the operator does to the world, through the real `kube::Client`, on the embedded API, under Tokio's paused clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod addresses;
mod answers;
mod applied;
mod arming;
mod by_hand;
mod capture;
mod half_done;
mod jobs;
mod ledger;
mod made;
#[allow(dead_code, reason = "the operator's tests use the rest")]
mod pasted;
mod pod_security;
mod sample;
mod scene;
mod sentinel;
mod step_scene;
mod steps;
mod targets;
mod tenants;
mod work;
