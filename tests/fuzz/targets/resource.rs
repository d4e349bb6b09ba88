//! Objects as an API server hands them over. What is expected of them: `bodies/resource.rs`.
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
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "status",
    "name",
    "namespace",
    "steps",
    "budget",
    "hardCap",
    "onOverrun",
    "undo",
    "job",
    "close",
    "services",
    "needs",
    "patch",
    "scale",
    "check",
    "hold",
    "notify",
    "from",
    "cronJob",
    "template",
    "env",
    "parameter",
    "pattern",
    "default",
    "probes",
    "url",
    "sites",
    "calendar",
    "closedFor",
    "whenDirty",
    "dependsOn",
    "target",
    "merge",
    "json",
    "apply",
    "restart",
    "cordon",
    "suspend",
    "allowedFrom",
    "closing",
    "reopening",
    "waves",
    "smoke",
    "hours",
    "timeZone",
    "holidays",
    "country",
    "local",
    "freezes",
    "runbook",
    "startTime",
    "startBy",
    "requester",
    "mode",
    "Run",
    "Rehearse",
    "30m",
    "1h30m",
    "-5m",
    "0",
    "1.5h",
    "99999h",
    "2026-03-29T02:30:00+01:00",
    "9999-12-31T23:59:59Z",
    "Europe/Rome",
    "Mo-Fr 08:00-12:00; PH off",
    "24/7",
    "^(a+)+$",
    "(",
    "http://a.b.svc/",
    "https://x/",
    "a/b",
    "a-b",
    "A",
    "../x",
    "/spec/replicas",
    "/metadata/annotations/notturno.dev~1token",
    "OpenDegraded",
    "StayClosed",
];

fuzz_target!(init: tolerance::set(), |data: &[u8]| bodies::resource::take(data));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::of_json(data, size, max_size, seed, WORDS)
});
