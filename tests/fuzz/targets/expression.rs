//! CEL, and objects that it is asked about. What is expected of them: `bodies/expression.rs`.
#![no_main]

#[macro_use]
#[path = "../target.rs"]
mod target;

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

target!(expression, of_text, WORDS);
