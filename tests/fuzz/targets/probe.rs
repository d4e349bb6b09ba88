//! What a service says to a probe. What is expected of them: `bodies/probe.rs`.
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
    "HTTP/1.1 200 OK\r",
    "HTTP/1.0 503 no\r",
    "HTTP/1.1 100 Continue\r",
    "HTTP/1.1 101 Switching Protocols\r",
    "HTTP/1.1 301 Moved\r",
    "HTTP/2 200\r",
    "Content-Length: 0\r",
    "Content-Length: 18446744073709551615\r",
    "Content-Length: 5, 5\r",
    "Transfer-Encoding: chunked\r",
    "Connection: upgrade\r",
    "Upgrade: h2c\r",
    "Location: http://127.0.0.1/\r",
    "ffffffffffffffff\r",
    "0\r",
    "\r",
    "999",
    "099",
    "1000",
];

fuzz_target!(init: tolerance::set(), |data: &[u8]| bodies::probe::take(data));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::of_text(data, size, max_size, seed, WORDS)
});
