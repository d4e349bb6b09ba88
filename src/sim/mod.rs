//! Plays a night against an invented world, in virtual time: by day, before anybody loses sleep over it.
//!
//! In: a frozen plan, and a [`Scenario`]: how long things take, what hangs, what fails, what people say. Out: one night ([`play`]),
//! told by its journal, or what many nights drawn from it come to ([`nights`]). Invariants: it is [`crate::engine`] that decides; the
//! world only does what it is told and shows what there is; the same plan, scenario, seed and number give the same night everywhere;
//! no clock and no chance but the seed. Not here: files and text (the command line), the operator's own code (`embedded` plays that).

#![warn(clippy::wildcard_enum_match_arm, reason = "a new event or state has to be thought of wherever one is looked at")]

mod decisive;
mod doing;
mod draw;
mod length;
pub mod nights;
mod play;
pub mod scenario;
mod switch;
mod world;

pub use length::{BadLength, Length};
pub use nights::{Nights, nights};
pub use play::{Played, play, play_before};
pub use scenario::{Going, Often, Operator, Scenario};
pub use switch::Switch;
pub use world::{Death, Run, World};
