//! The embedded API, driven through the real `kube::Client` under Tokio's paused clock.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails may fail loudly")]

mod answers;
mod applies;
mod deployments;
mod faults;
mod garbage;
mod garbled;
mod jobs;
mod jobs_stopped;
mod network;
mod objects;
mod patches;
mod rules;
mod scene;
mod server;
mod watches;
