//! Faults for crash tests: what may go wrong with one request, before or after it is done.
//!
//! In: each request, each event of a watch. Out: what goes wrong with it.
//! Invariants: a request that fails, hangs or is garbled before was never done; one that is so after was done; one that is late is done
//! even if nobody waits for it any more. Faults are asked without any lock held.
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
    /// The answer is a failure with this HTTP status and reason, and asks in this header not to come back before.
    RetryAfter(u16, String, String),
    /// Something in between answers this page, with this HTTP status.
    Page(u16, String),
    /// The answer breaks off in its middle; at [`Stage::Before`] nothing but its head comes.
    Cut,
    /// There is never an answer.
    Hang,
    /// It takes this long.
    Delay(Duration),
    /// It is done only after this long, and then it is, whatever has become of whoever sent it. At [`Stage::Before`] only.
    Late(Duration),
    /// A list shows what there was so many changes ago, and the watch that follows tells the rest. At [`Stage::Before`] only.
    Older(u64),
}

/// Decides about each request, at both stages.
pub type FaultFn = Arc<dyn Fn(&RequestInfo, Stage) -> Fault + Send + Sync>;

/// One change that is about to be told to a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventInfo {
    /// Who watches.
    pub user: String,
    /// API group, empty for the core.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Namespace, empty when cluster-wide.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its number among the events of all watches, from 1; one that is told again takes a new one.
    pub number: u64,
}

/// What goes wrong with one event of a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchFault {
    /// Nothing.
    #[default]
    None,
    /// It is never told.
    Lost,
    /// It is told this much later, and so is what follows.
    Late(Duration),
    /// It is told twice.
    Twice,
    /// It is told after the one that follows it.
    AfterNext,
    /// It is forgotten: `ERROR` with code 410, and the end of the watch.
    Compacted,
    /// The watch ends before it.
    Ended,
    /// From here on the watch shows nothing and does not end.
    Silent,
}

/// Decides about each event of each watch.
pub type WatchFaultFn = Arc<dyn Fn(&EventInfo) -> WatchFault + Send + Sync>;

/// The events told so far, and who decides about the next.
#[derive(Default)]
pub(super) struct Telling {
    pub(super) decide: Option<WatchFaultFn>,
    pub(super) count: u64,
}
