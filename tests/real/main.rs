//! The night on a real Kubernetes: real Pods behind real Services, real Jobs on a real file, the operator in a Pod of its own.
//!
//! Runs on what `tests/cluster/up` left running; `tests/run` does all of it. Open is what an HTTP client outside of everything sees,
//! restored is what dumps and checksums say, done is what the API server's audit log holds: never Notturno's own status.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![allow(clippy::disallowed_methods, reason = "the world outside has clocks and an environment")]
#![cfg_attr(not(feature = "faults"), allow(dead_code, reason = "the table of faults needs the rest"))]

mod allowance;
mod audit;
mod city;
mod cluster;
mod components;
mod database;
mod doors;
mod dump;
mod five;
mod judged;
mod ledger;
mod night;
mod operator;
#[path = "../oracle/mod.rs"]
mod oracle;
mod process;
mod small;
mod stage;
mod tenant;

mod by_hand;
mod chart;
mod death;
mod differential;
mod faults;
mod gitops;
mod goes_back;
mod goes_well;
#[cfg(feature = "faults")]
mod half_done;
mod killed;
mod late;
mod many;
mod outage;
#[cfg(feature = "faults")]
mod recreated;
mod replicas;
mod rights;
mod same_second;
mod stale;
#[cfg(feature = "faults")]
mod unreachable;
