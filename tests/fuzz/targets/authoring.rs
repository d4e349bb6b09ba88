//! Files as people write them. What is expected of them: `bodies/authoring.rs`.
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
    "---",
    "apiVersion: notturno.dev/v1alpha1",
    "kind: Runbook",
    "kind: PublicService",
    "kind: OfficeCalendar",
    "kind: Intervention",
    "kind: List",
    "metadata:",
    "spec:",
    "steps:",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "!!binary ",
    "|",
    "|-",
    ">",
    "? ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "#",
    "%YAML 1.1",
    "...",
    "~",
    "null",
    ".nan",
    "0x1f",
    "1_000",
    "1e999",
    "\t",
    "\r",
    "\u{2028}",
    "\u{feff}",
    "\u{202e}",
    "{{ x }}",
    "30m",
    "-1h",
    "99999h",
    "2026-03-29T02:30:00",
    "Europe/Rome",
    "needs: [",
    "close:",
    "job:",
    "undo:",
    "check:",
    "patch:",
    "hold:",
];

fuzz_target!(init: tolerance::set(), |data: &[u8]| bodies::authoring::take(data));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::of_text(data, size, max_size, seed, WORDS)
});
