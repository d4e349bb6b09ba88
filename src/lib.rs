//! Night work that is always back before the doors open.
//!
//! The map: **facts → decision → record → effects → report**, and nothing flows back except as new facts.
//!
//! | module | what it does | never |
//! |---|---|---|
//! | [`model`] | the words: validated values and the arithmetic between them | reads a clock |
//! | [`plan`] | before the night: words → a frozen plan, or every refusal at once | sees the night |
//! | [`engine`] | during the night: plan, journal, facts, now → events, commands, wake, why | fails, or waits without a reason |
//! | [`sim`] | by day: plays a night, or thousands, against an invented world in virtual time | is the operator's own code |
//! | [`api`] | custom resources: raw → model with every problem; state → conditions | decides |
//! | [`operator`] | the shell: observe → decide → record → tell → perform → report | acts before its intention is seen in the ledger |
//! | [`sentinel`] | the dead man's switch: a second shell round the same engine, backward only | knows our custom resources |
//! | [`embedded`] | an in-memory Kubernetes for demos and crash tests | is used in a real night |
//! | [`clock`] | civil time on the monotonic clock, which tests may stop | is seen by model, plan or engine |
//! | [`cli`] | one file per verb | prints what was not computed elsewhere |
#![forbid(unsafe_code)]

#[cfg(feature = "shell")]
pub mod api;
#[cfg(feature = "shell")]
pub mod cli;
#[cfg(feature = "shell")]
pub mod clock;
#[cfg(feature = "shell")]
pub mod embedded;
pub mod engine;
pub mod model;
#[cfg(feature = "shell")]
pub mod operator;
pub mod plan;
#[cfg(feature = "shell")]
pub mod sentinel;
pub mod sim;
