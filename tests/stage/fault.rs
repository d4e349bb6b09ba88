//! What may go wrong in a night, as a file says it: a kind, what it strikes, when, and how often.
//!
//! In: an entry of `faults` in the head of a night. Out: [`Fault`]. Invariants: each kind is one line of a file, and says by itself what it
//! does; where it strikes follows from the night alone. Not here: how it is done (`strikes`, `deeds`), what it excuses (`excuse`).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident: $way:ident,)*) => {
        /// What goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind { $($(#[doc = $doc])* $name,)* }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Where it comes from.
            pub fn way(self) -> Way {
                match self { $(Self::$name => Way::$way,)* }
            }
        }
    };
}

/// Where a fault comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// On the way to the API server, or back: `of`, `to`, `at`, `lasts`, `times`.
    Request,
    /// One change that a watch is to be told of: the same.
    Event,
    /// A program, at a moment.
    Program,
    /// What a Job does: `object` is the CronJob that it is made from.
    Work,
    /// Somebody else's hand, or a person's order, at a moment.
    Hand,
}

kinds! {
    /// It never arrives.
    LostRequest: Request,
    /// It is done, and the answer never arrives.
    LostReply: Request,
    /// It is done, and answered after `takes`.
    LateReply: Request,
    /// It arrives after `takes`, whoever sent it has given up by then.
    LateRequest: Request,
    /// 409, not done.
    Conflict: Request,
    /// 422, not done.
    Invalid: Request,
    /// 429 without advice, not done.
    Busy: Request,
    /// 429 that asks to come back in eleven days.
    RetryAfterHuge: Request,
    /// 429 that asks to come back an hour ago.
    RetryAfterNegative: Request,
    /// 429 that asks to come back later, in words.
    RetryAfterText: Request,
    /// 429 that asks to come back at a date.
    RetryAfterDate: Request,
    /// 500, not done.
    Error500: Request,
    /// 500, done all the same.
    Error500Done: Request,
    /// 503, not done.
    Unavailable503: Request,
    /// 503, done all the same.
    Unavailable503Done: Request,
    /// 504, not done.
    Timeout504: Request,
    /// 504, done all the same.
    Timeout504Done: Request,
    /// 401 in the middle of a run.
    Unauthorized: Request,
    /// 403 in the middle of a run.
    Forbidden: Request,
    /// Whatever a program asks for a while is swallowed.
    BlackHole: Request,
    /// A proxy answers with a page of its own, 502.
    ProxyPage: Request,
    /// A proxy answers with a page of its own, 200.
    ProxyWelcome: Request,
    /// It is done, and the answer breaks off.
    CutAnswer: Request,
    /// A watch is answered 410.
    WatchRefused: Request,
    /// A watch is never answered.
    WatchUnanswered: Request,
    /// A watch is never told.
    EventLost: Event,
    /// A watch is told after `takes`.
    EventLate: Event,
    /// A watch is told twice.
    EventTwice: Event,
    /// A watch is told after what follows.
    EventAfterNext: Event,
    /// A watch ends with 410 where it was to be told.
    EventCompacted: Event,
    /// A watch ends where it was to be told.
    WatchEnded: Event,
    /// A watch is half-open from there on: it shows nothing and does not end.
    WatchSilent: Event,
    /// 403: a quota is exceeded, nothing is created.
    Quota: Request,
    /// Somebody's webhook refuses every change of an object.
    WebhookRefuses: Request,
    /// Somebody's webhook takes nine seconds for every change of an object.
    WebhookSlow: Request,
    /// Somebody's webhook writes something of its own on an object whenever it changes.
    WebhookAlters: Hand,
    /// The API server forgets what has changed so far: who watches from before is told 410.
    Compacted: Hand,
    /// The operator is killed, and is back twenty seconds later.
    OperatorKilled: Program,
    /// The operator dies for good.
    OperatorDies: Program,
    /// A sentinel is killed, and is back twenty seconds later.
    SentinelKilled: Program,
    /// Both sentinels are down.
    SentinelsDown: Program,
    /// The operator's machine sleeps: what it had decided to write is sent when it wakes.
    OperatorSuspended: Request,
    /// The sentinels' machine sleeps: what they had decided to write is sent when it wakes.
    SentinelsSuspended: Request,
    /// The operator's machine is hours ahead.
    WallClockAhead: Program,
    /// The operator's machine is hours behind.
    WallClockBehind: Program,
    /// The sentinels' machines are hours ahead.
    SentinelsAhead: Program,
    /// The sentinels' machines are hours behind.
    SentinelsBehind: Program,
    /// The API server's clock steps forward, and back after a while.
    DateAhead: Program,
    /// The API server's clock steps back by seconds, and forward after a while.
    DateBehind: Program,
    /// Somebody writes another name on the operator's lease.
    LeaseStolen: Hand,
    /// A Job takes longer than its budget.
    JobSlow: Work,
    /// A Job never ends.
    JobHangs: Work,
    /// A Job fails.
    JobFails: Work,
    /// A Job's Pod finds no node.
    PodUnscheduled: Work,
    /// A Job's Pod waits for a node for some minutes.
    PodScheduledLate: Work,
    /// A Job's Pod never says that it has stopped.
    NodeLost: Work,
    /// A Job's Pod says that all is well when it is stopped.
    StopsWithSuccess: Work,
    /// A Job that is stopped becomes complete.
    CompletesWhenStopped: Work,
    /// An undo fails at every attempt.
    UndoFails: Work,
    /// An undo fails at its first attempt.
    UndoFailsOnce: Work,
    /// An undo never ends.
    UndoHangs: Work,
    /// Somebody deletes a target.
    TargetDeleted: Hand,
    /// Somebody deletes a target and makes it anew as it was by day.
    TargetRecreated: Hand,
    /// Somebody writes something of their own on a target.
    TargetEdited: Hand,
    /// A controller sets a target back to what it was by day, again and again.
    TargetFoughtOver: Hand,
    /// Somebody takes our token off a target.
    TokenTaken: Hand,
    /// Somebody deletes a Job of the night.
    JobDeleted: Hand,
    /// Somebody deletes the Pods of a Job of the night.
    PodDeleted: Hand,
    /// A controller labels the ledger.
    LedgerLabelled: Hand,
    /// Somebody writes a key of their own into the ledger.
    LedgerForeignKey: Hand,
    /// Somebody edits the Runbook.
    RunbookEdited: Hand,
    /// Somebody deletes a `PublicService`.
    ServiceDeleted: Hand,
    /// Somebody edits the `OfficeCalendar`.
    CalendarEdited: Hand,
    /// Somebody deletes the dead man's switch.
    SwitchDeleted: Hand,
    /// Somebody deletes the night.
    NightDeleted: Hand,
    /// A person orders to turn back.
    OrderTurnBack: Hand,
    /// A person orders to hold, and to resume after a while.
    OrderHold: Hand,
    /// A person extends a step, `object`, by `lasts`.
    OrderExtend: Hand,
    /// What every service needs is down for a while.
    ProbesRed: Hand,
}

/// Whose request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Of {
    #[default]
    Anybody,
    Operator,
    Sentinels,
}

/// To what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum To {
    /// Everything.
    #[default]
    Anything,
    /// Writes of the ledger.
    Ledger,
    /// Writes of the plan.
    Plan,
    /// Writes of Jobs and Pods.
    Jobs,
    /// Writes of what the night changes.
    Targets,
    /// Writes of the night's own object.
    Night,
    /// Writes of Events.
    Events,
    /// Writes of the sentinels' Deployment.
    Switch,
    /// Every write.
    Writes,
    /// Every read.
    Reads,
    /// Watches.
    Watches,
}

/// An object by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object {
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "is_default")]
    pub of: Of,
    #[serde(default, skip_serializing_if = "is_default")]
    pub to: To,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// For how long.
    #[serde(default, with = "minutes", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<SignedDuration>,
    /// How often at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<usize>,
    /// How late.
    #[serde(default, with = "minutes", skip_serializing_if = "Option::is_none")]
    pub takes: Option<SignedDuration>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Fault {
    pub fn new(kind: Kind) -> Self {
        Self { kind, of: Of::Anybody, to: To::Anything, object: None, at: None, lasts: None, times: None, takes: None }
    }

    /// When it begins; a fault of a workload was there all along.
    pub fn from(&self) -> Timestamp {
        self.at.unwrap_or(Timestamp::MIN)
    }

    /// When it is over.
    pub fn until(&self) -> Timestamp {
        self.lasts.map_or(Timestamp::MAX, |lasts| self.from() + lasts)
    }

    pub fn object(&self) -> &Object {
        self.object.as_ref().unwrap_or_else(|| panic!("{:?} strikes an object", self.kind))
    }
}

/// Spans as people write them.
mod minutes {
    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "serde asks so")]
    pub fn serialize<S: Serializer>(span: &Option<SignedDuration>, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = span.map_or(0, |span| span.as_secs());
        let text = if seconds % 60 == 0 { format!("{}m", seconds / 60) } else { format!("{seconds}s") };
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignedDuration>, D::Error> {
        String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
    }
}
