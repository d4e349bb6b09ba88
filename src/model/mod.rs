//! The words: validated values of the night and the arithmetic between them.
//!
//! In: what [`crate::api`] has checked. Out: values that the planner, the engine and the shells share.
//! Invariants: no IO, no clock, no randomness; every collection is ordered. Not here: any decision.

#![warn(clippy::wildcard_enum_match_arm, reason = "a new word has to be thought of wherever one is looked at")]

pub mod action;
pub mod calendar;
pub mod duration;
pub mod epoch;
pub mod kind;
pub mod near;
pub mod need;
pub mod parameter;
pub mod phase;
pub mod plan;
pub mod reference;
pub mod refusal;
pub mod runbook;
pub mod schedule;
pub mod service;
pub mod span;
pub mod way_back;
