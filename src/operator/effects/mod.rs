//! What the operator does to the world, each effect with the hands of the tenant.
//!
//! In: a [`Tenant`] (a client with the rights of a `ServiceAccount` of the runbook's namespace), the frozen plan, the pre-images, and
//! what the engine asks. Out: facts, records, or errors that say what to do next. Invariants, all from PROTOCOL: every write of the night
//! is one JSON Patch on the object itself that tests its UID and an exact token; every call has its own deadline; nothing is retried
//! without a bound; an effect repeated is harmless. Not here: when anything is done (the engine), probes, reports, watches.
//!
//! | module | what it does |
//! |---|---|
//! | [`tenant`], [`tenants`], [`call`] | clients by tenant, and their tokens; one call, its deadline and its errors |
//! | [`ledger`] | the two ConfigMaps that are the truth of a night |
//! | [`token`], [`marks`], [`operations`] | the words on objects, and patches as values |
//! | [`capture`], [`found`], [`preimages`] | what a change changes, and how it is exactly taken back |
//! | [`spots`], [`change`], [`restore`], [`degrade`] | the objects of the night: changed, restored, opened on half-done work |
//! | [`targets`], [`look`], [`drain`] | the same, burned and seen |
//! | [`jobs`], [`pods`] | Jobs made safe; what is known of their Pods |
//! | [`pod_security`], [`watch`] | what a template may ask for; an object followed |
//! | [`arm`], [`rights`], [`survey`], [`addresses`] | everything that has to stand before the night |
//! | [`sentinel`] | the dead man's switch: made, mended, looked at, taken down |
//! | [`observe`] | facts |
//! | [`perform`] | commands |
//! | [`mod@rehearse`], [`mod@prove`] | all of it as dry runs, by day; the way back alone, by a sentinel |

mod addresses;
pub mod arm;
pub mod call;
pub mod capture;
mod change;
mod degrade;
pub mod drain;
mod found;
pub mod jobs;
pub mod ledger;
mod look;
pub mod marks;
pub mod names;
pub mod observe;
pub mod operations;
pub mod perform;
pub mod pod_security;
pub mod pods;
pub mod preimages;
mod prove;
pub mod rehearse;
mod restore;
pub mod rights;
pub mod sentinel;
mod spots;
mod survey;
mod targets;
pub mod tenant;
pub mod tenants;
pub mod token;
pub mod watch;
mod work;

pub use addresses::{Judge, Unasked};
pub use arm::{ArmError, arm};
pub use call::{Advice, CallError, LIMIT};
pub use ledger::{Head, LedgerRead};
pub use observe::{Seen, observe};
pub use perform::{Done, PerformError, perform};
pub use preimages::Preimages;
pub use prove::prove;
pub use rehearse::{Rehearsed, rehearse};
pub use sentinel::{Image, Switch};
pub use tenant::Tenant;
pub use tenants::Tenants;
