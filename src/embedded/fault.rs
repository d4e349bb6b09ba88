//! Faults for crash tests: what may go wrong with one request, before or after it is done.
//!
//! In: each request. Out: whether to fail, hang or delay it.
//! Invariants: a request that fails or hangs before was never done; one that fails or hangs after was done.
//! Not here: faults of the workloads themselves (`annotations`).

use std::sync::Arc;
use std::time::Duration;

use super::log::RequestInfo;

/// Where in the life of a request a fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing has been done.
    Before,
    /// All has been done, the answer has not been sent.
    After,
}

/// What goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The answer is a failure with this HTTP status and reason.
    Status(u16, String),
    /// There is never an answer.
    Hang,
    /// It takes this long.
    Delay(Duration),
}

/// Decides about each request, at both stages. Called without any lock held.
pub type FaultFn = Arc<dyn Fn(&RequestInfo, Stage) -> Fault + Send + Sync>;
