//! What stands in the two ConfigMaps of a night. What is expected of them: `bodies/ledger.rs`.
#![no_main]

#[allow(dead_code, reason = "each target uses its part")]
#[path = "../bodies/mod.rs"]
mod bodies;
#[allow(dead_code, reason = "each target uses its part")]
#[path = "../mutation.rs"]
mod mutation;
#[path = "../tolerance.rs"]
mod tolerance;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// What such an input is made of.
const WORDS: &[&str] = &[
    "/reserve",
    "/reopeningBudget",
    "/steps/0/needs",
    "/steps/1/needs",
    "/steps/1/undo",
    "/steps/1/action",
    "/steps/1/touches",
    "/steps/1/budget",
    "/steps/1/hardCap",
    "/steps/1/turnBackAt",
    "/steps/0/action",
    "/steps",
    "/services",
    "/services/0/close",
    "/services/0/upstreams",
    "/services/0/probes",
    "/services/0/whenDirty",
    "/services/0/couldStayClosedBy",
    "/waves",
    "/startAt",
    "/startBy",
    "/deadline/mustServeBy",
    "/deadline/because",
    "/timeZone",
    "/smoke",
    "/uid",
    "/name",
    "accepted",
    "armed",
    "workBegun",
    "stepIntended",
    "stepDone",
    "stepFailed",
    "overrun",
    "extended",
    "confirmed",
    "held",
    "resumed",
    "takenOver",
    "goingBack",
    "stepStopped",
    "undoReleased",
    "undoDone",
    "undoFailed",
    "smokeReleased",
    "smokeDone",
    "committed",
    "reopeningBegun",
    "undosExpired",
    "opening",
    "opened",
    "degraded",
    "heldClosed",
    "openingLate",
    "closedAgain",
    "deadlineMissed",
    "finished",
    "turnBackMoment",
    "chiudi",
    "aggiorna",
    "prova",
    "sanita/ricetta",
    "sanita/cup",
    "2026-11-25T00:00:00Z",
    "-009999-01-02T01:59:59Z",
    "9999-12-30T22:00:00.999999999Z",
    "9999h",
    "0s",
    "1ns",
    "Europe/Rome",
    "$HASH",
    "irreversible",
    "reopening",
    "nothing",
    "coveredBy",
];

fuzz_target!(init: tolerance::set(), |data: &[u8]| bodies::ledger::take(data));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::of_json(data, size, max_size, seed, WORDS)
});
