//! What goes wrong on the way to the API server and back.
//!
//! In: the faults of a night, a request or an event of a watch. Out: what becomes of it. Invariants: the first fault of the list that is due strikes; each is
//! counted as often as it struck. Not here: what others do to objects (`deeds`).

use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use notturno::embedded::{self, EventInfo, RequestInfo, Stage, Verb, WatchFault};

use super::cast::Who;
use super::fault::{Fault, Kind, Of, To, Way};

/// How many writes a machine that sleeps has decided on, and sends when it wakes.
const DECIDED_MAX: usize = 2;
/// How long a slow webhook takes; whoever asks waits a second longer.
const WEBHOOK_FOR: Duration = Duration::from_secs(9);
/// What a page of a proxy says.
const PAGE: &str = "<html><body><h1>welcome</h1></body></html>";

/// The faults of requests of one night.
pub struct Strikes {
    faults: Vec<Fault>,
    struck: Mutex<Vec<usize>>,
}

fn is_due(fault: &Fault, struck: usize, now: Timestamp) -> bool {
    fault.from() <= now && now < fault.until() && fault.times.is_none_or(|times| struck < times)
}

fn of(fault: &Fault, who: Who) -> bool {
    match (fault.of, who) {
        (Of::Anybody, _) | (Of::Operator, Who::Operator) | (Of::Sentinels, Who::Sentinel(_)) => true,
        (Of::Operator, Who::Sentinel(_)) | (Of::Sentinels, Who::Operator) => false,
    }
}

/// Whether the request is about something of ours, by its name.
fn is_own(request: &RequestInfo) -> bool {
    let own = ["jobs", "pods", "events", "leases", "interventions"];
    own.contains(&request.resource.as_str()) || request.name.starts_with("notturno-")
}

fn to(fault: &Fault, request: &RequestInfo) -> bool {
    let writes = request.write_number.is_some();
    let is = |resource: &str, end: &str| writes && request.resource == resource && request.name.ends_with(end);
    let by_name = fault
        .object
        .as_ref()
        .is_none_or(|object| request.resource == format!("{}s", object.kind.to_lowercase()) && request.name == object.name);
    by_name
        && match fault.to {
            To::Anything => true,
            To::Ledger => is("configmaps", "-ledger"),
            To::Plan => is("configmaps", "-plan"),
            To::Jobs => is("jobs", "") || is("pods", ""),
            To::Targets => writes && !is_own(request),
            To::Night => is("interventions", ""),
            To::Events => is("events", ""),
            To::Switch => is("deployments", "-sentinel"),
            To::Writes => writes,
            To::Reads => matches!(request.verb, Verb::Get | Verb::List),
            To::Watches => request.verb == Verb::Watch,
        }
}

impl Strikes {
    pub fn new(faults: &[Fault]) -> Self {
        Self { faults: faults.to_vec(), struck: Mutex::new(vec![0; faults.len()]) }
    }

    /// How often each fault struck, by its place.
    pub fn struck(&self) -> Vec<usize> {
        self.struck.lock().unwrap().clone()
    }

    /// What becomes of the request at this stage.
    pub fn decide(&self, who: Who, request: &RequestInfo, stage: Stage, now: Timestamp) -> embedded::Fault {
        let mut struck = self.struck.lock().unwrap();
        for (place, fault) in self.faults.iter().enumerate().filter(|(_, fault)| fault.kind.way() == Way::Request) {
            if !is_due(fault, struck[place], now) || stage != stage_of(fault.kind) || !of(fault, who) || !to(fault, request) {
                continue;
            }
            let becomes = becomes(fault, request, struck[place], now);
            if becomes != embedded::Fault::None {
                struck[place] += 1;
                return becomes;
            }
        }
        embedded::Fault::None
    }
}

impl Strikes {
    /// What becomes of a change that a watch is to be told of.
    pub fn tell(&self, who: Who, event: &EventInfo, now: Timestamp) -> WatchFault {
        let mut struck = self.struck.lock().unwrap();
        for (place, fault) in self.faults.iter().enumerate().filter(|(_, fault)| fault.kind.way() == Way::Event) {
            if is_due(fault, struck[place], now) && of(fault, who) && about(fault, event) {
                struck[place] += 1;
                return told(fault);
            }
        }
        WatchFault::None
    }
}

fn about(fault: &Fault, event: &EventInfo) -> bool {
    let resource = event.resource.as_str();
    match fault.to {
        To::Ledger => resource == "configmaps" && event.name.ends_with("-ledger"),
        To::Jobs => ["jobs", "pods"].contains(&resource),
        To::Night => resource == "interventions",
        To::Switch => resource == "deployments",
        To::Anything | To::Plan | To::Targets | To::Events | To::Writes | To::Reads | To::Watches => true,
    }
}

fn told(fault: &Fault) -> WatchFault {
    match fault.kind {
        Kind::EventLost => WatchFault::Lost,
        Kind::EventLate => WatchFault::Late(late(fault)),
        Kind::EventTwice => WatchFault::Twice,
        Kind::EventAfterNext => WatchFault::AfterNext,
        Kind::EventCompacted => WatchFault::Compacted,
        Kind::WatchEnded => WatchFault::Ended,
        Kind::WatchSilent => WatchFault::Silent,
        other => unreachable!("{other:?} strikes no event"),
    }
}

/// Whether the request was done when it strikes.
fn stage_of(kind: Kind) -> Stage {
    let after =
        [Kind::LostReply, Kind::LateReply, Kind::Error500Done, Kind::Unavailable503Done, Kind::Timeout504Done, Kind::CutAnswer];
    if after.contains(&kind) { Stage::After } else { Stage::Before }
}

fn late(fault: &Fault) -> Duration {
    fault.takes.unwrap_or(SignedDuration::from_secs(15)).try_into().unwrap()
}

/// What the fault makes of a request that it strikes; nothing when it is not one of those that it is about.
fn becomes(fault: &Fault, request: &RequestInfo, struck: usize, now: Timestamp) -> embedded::Fault {
    let status = |code: u16, reason: &str| embedded::Fault::Status(code, reason.to_owned());
    let again = |after: &str| embedded::Fault::RetryAfter(429, "TooManyRequests".to_owned(), after.to_owned());
    let only = |is: bool, becomes: embedded::Fault| if is { becomes } else { embedded::Fault::None };
    match fault.kind {
        Kind::LostRequest | Kind::LostReply | Kind::BlackHole => embedded::Fault::Hang,
        Kind::LateReply => embedded::Fault::Delay(late(fault)),
        // What is not there yet has nothing that could be tested, and only time keeps it away: it is never this late.
        Kind::LateRequest => only(request.verb == Verb::Patch, embedded::Fault::Late(late(fault))),
        Kind::Conflict => status(409, "Conflict"),
        Kind::Invalid => status(422, "Invalid"),
        Kind::Busy => status(429, "TooManyRequests"),
        Kind::RetryAfterHuge => again("1000000"),
        Kind::RetryAfterNegative => again("-3600"),
        Kind::RetryAfterText => again("domani"),
        Kind::RetryAfterDate => again("Fri, 10 Feb 2023 23:59:59 GMT"),
        Kind::Error500 | Kind::Error500Done => status(500, "InternalError"),
        Kind::Unavailable503 | Kind::Unavailable503Done => status(503, "ServiceUnavailable"),
        Kind::Timeout504 | Kind::Timeout504Done => status(504, "Timeout"),
        Kind::Unauthorized => status(401, "Unauthorized"),
        Kind::Forbidden => status(403, "Forbidden"),
        Kind::ProxyPage => embedded::Fault::Page(502, PAGE.to_owned()),
        Kind::ProxyWelcome => embedded::Fault::Page(200, PAGE.to_owned()),
        Kind::CutAnswer => embedded::Fault::Cut,
        Kind::WatchRefused => only(request.verb == Verb::Watch, status(410, "Expired")),
        Kind::WatchUnanswered => only(request.verb == Verb::Watch, embedded::Fault::Hang),
        Kind::Quota => only(request.verb == Verb::Create, status(403, "exceeded quota")),
        Kind::WebhookRefuses => only(request.verb == Verb::Patch, status(400, "denied by webhook")),
        Kind::WebhookSlow => only(request.verb == Verb::Patch, embedded::Fault::Delay(WEBHOOK_FOR)),
        Kind::OperatorSuspended | Kind::SentinelsSuspended => {
            let wakes = fault.until().duration_since(now);
            let decided = request.verb == Verb::Patch && struck < DECIDED_MAX;
            if decided { embedded::Fault::Late(wakes.try_into().unwrap()) } else { embedded::Fault::Hang }
        }
        other => unreachable!("{other:?} strikes no request"),
    }
}
