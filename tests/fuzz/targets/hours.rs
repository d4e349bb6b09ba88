//! Opening hours. What is expected of them: `bodies/hours.rs`.
#![no_main]

#[macro_use]
#[path = "../target.rs"]
mod target;

/// What such an input is made of.
const WORDS: &[&str] = &[
    "Europe/Rome",
    "Europe/London",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "UTC",
    "Mo-Fr",
    "Sa",
    "Su",
    "PH",
    "PH off",
    "SH",
    "off",
    "open",
    "unknown",
    "closed",
    "24/7",
    "08:00-12:00",
    "20:00-08:00",
    "22:00-26:00",
    "00:00-24:00",
    "00:00-00:00",
    "23:59-24:01",
    "24:00-25:00",
    "; ",
    ", ",
    " || ",
    "week 1-53",
    "week 53",
    "Jan-Dec",
    "Feb 29",
    "2026",
    "2026-2030/2",
    "easter",
    "easter -2 days",
    "Mo[1]",
    "Mo[-1]",
    "Su[1-2,-1]",
    "+1 day",
    "sunrise-sunset",
    "17:00+",
    "10:00-16:00/00:30",
    "\"comment\"",
    "IT",
    "DE",
    "12-25",
    "2026-12-07",
    "ferie 2026-12-24 2027-01-06",
];

target!(hours, of_text, WORDS);
