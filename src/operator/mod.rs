//! The shell round the engine: the only place that acts, on Kubernetes, over sockets, by the clock.
//!
//! In: `Intervention`s. Out: their nights, played: ledger, effects, statuses, events. One task per night turns one loop,
//! **observe → decide → record → tell → perform → report** ([`reconcile`]), and rests until something rings or a moment comes.
//! Invariants: nothing is sent before its intention was seen in the ledger; nothing flows back but as new facts; what one night
//! does, or fails at, hurts only itself; an idle night asks the API nothing; every call has its own deadline.
//! Not here: any decision ([`crate::engine`]), any arithmetic of the night ([`crate::model`], [`crate::plan`]).
//!
//! | file | what it does |
//! |---|---|
//! | [`run`] | watches Interventions, gives each its task, stops them all gracefully |
//! | [`lead`], [`lease`] | which of several replicas does so |
//! | `night` | one night's loop: who wakes it, how it rests, what a panic does to it |
//! | `reconcile` | one pass, in six steps |
//! | `mailbox`, [`context`] | what a night hears of its Intervention; what all nights share |
//! | `introductions` | which nights may be introduced now, when there are very many |
//! | `introduce`, `declared`, `book` | a new Intervention: its ledger, or a plan, or refusals |
//! | `call_back` | what a night leaves everything for: an order, a deletion, the turn-back moment |
//! | `rehearse` | a night that is only rehearsed: every effect as a dry run, a report, no ledger |
//! | `wave`, `tries` | a decision's commands: burns first, services side by side, each tried again only after a pause |
//! | `looks`, `under_way`, `outage` | what is seen; what hangs and is left to itself; a ledger out of reach |
//! | [`effects`] | how each command is carried out, with the tenant's rights |
//! | [`connect`] | clients: one stack, with a limit for every call |
//! | `jobs`, [`watching`], `probe`, `check`, [`orders`] | what wakes a night besides the clock |
//! | `telling`, `report`, `events`, `herald`, `story` | status, conditions, Events, who sends them, and errors, for people |
//! | [`server_time`], [`metrics`], [`health`] | clock, numbers, endpoints |
//! | [`heart`], [`heartbeat`] | the proof of life, and the ping that carries it outside |
//! | [`http_get`], [`http_allow`] | how probes and checks ask, and whom they may |

mod book;
pub mod by_hand;
mod call_back;
mod check;
pub mod connect;
pub mod context;
mod declared;
pub mod effects;
mod events;
pub mod health;
pub mod heart;
pub mod heartbeat;
mod herald;
pub mod http_allow;
pub mod http_get;
mod introduce;
mod introductions;
pub mod lead;
pub mod lease;
pub(crate) mod looks;
mod mailbox;
pub mod metrics;
mod night;
pub(crate) mod night_watch;
pub mod orders;
mod outage;
mod own_facts;
pub(crate) mod probe;
mod reconcile;
mod rehearse;
pub(crate) mod report;
pub mod run;
pub mod server_time;
pub(crate) mod story;
mod switch;
mod telling;
pub(crate) mod tries;
pub(crate) mod under_way;
pub mod watching;
pub(crate) mod wave;

pub use context::{Context, Getter, Network};
pub use orders::Orders;
pub use run::run;
pub use server_time::ServerTime;
