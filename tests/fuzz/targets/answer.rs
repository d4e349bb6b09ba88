//! Answers of an API server. What is expected of them: `bodies/answer.rs`.
#![no_main]

#[macro_use]
#[path = "../target.rs"]
mod target;

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

target!(answer, of_text, WORDS);
