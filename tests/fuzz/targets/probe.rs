//! What a service says to a probe. What is expected of them: `bodies/probe.rs`.
#![no_main]

#[macro_use]
#[path = "../target.rs"]
mod target;

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

target!(probe, of_text, WORDS);
