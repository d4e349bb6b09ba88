//! Answers of an API server. What is expected of them: `bodies/answer.rs`.
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
    "404",
    "409",
    "410",
    "422",
    "429",
    "500",
    "401",
    "403",
    "200",
    "0",
    "1",
    "{\"items\":[]}",
    "\"kind\":\"Status\"",
    "\"metadata\":{",
    "\"name\":\"$NAME\"",
    "\"uid\":\"u\"",
    "\"$UID\"",
    "\"resourceVersion\":\"7\"",
    "\"annotations\":{",
    "\"notturno.dev/token\":\"$UID.1.forward\"",
    "$UID.1.back",
    "$UID.2.expired",
    "\"status\":{",
    "\"spec\":{",
    "\"data\":{",
    "\"plan.json\":$PLAN",
    "\"head\":\"1:h\"",
    "/pods ",
    "/jobs ",
    "/cup-api ",
    "/ricetta-api ",
    "/pagina ",
    "\"deletionTimestamp\":\"2026-11-25T00:00:00Z\"",
    "\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]",
    "\"phase\":\"Succeeded\"",
    "null",
    "[]",
    "observe",
    "perform",
    "arm",
    "read",
];

fuzz_target!(init: tolerance::set(), |data: &[u8]| bodies::answer::take(data));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::of_text(data, size, max_size, seed, WORDS)
});
