//! CEL, and objects that it is asked about. What is expected of them: `bodies/expression.rs`.
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
    "self",
    "self.status",
    "self.spec.replicas",
    "has(self.a)",
    ".exists(c, ",
    ".all(c, ",
    ".map(x, ",
    ".filter(x, ",
    ".exists_one(x, ",
    "c.type == 'Available'",
    " && ",
    " || ",
    " ? ",
    " : ",
    " in ",
    "==",
    "!=",
    ">=",
    "size(",
    "string(",
    "int(",
    "double(",
    "uint(",
    "bytes(",
    "timestamp('2026-11-25T04:00:00Z')",
    "duration('1h')",
    "'x'.matches('(a+)+')",
    ".startsWith(",
    ".contains(",
    "[0]",
    "[-1]",
    "{",
    "}",
    "dyn(",
    "type(",
    "9223372036854775807",
    "-9223372036854775808",
    "1u",
    "1.0e308",
    "/ 0",
    "% 0",
    "- 1",
    "b'x'",
    "r'\\\\'",
    "'''",
    "max(",
    "optional.of(",
    "@turn(",
    "\n---\n",
    ".getHours()",
    ".getFullYear('Europe/Rome')",
];

fuzz_target!(init: tolerance::set(), |data: &[u8]| bodies::expression::take(data));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::of_text(data, size, max_size, seed, WORDS)
});
