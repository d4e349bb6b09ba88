//! An error and everything behind it, in one line, for people.
//!
//! In: an error. Out: text. Invariants: bounded; what a source repeats is not said twice. Not here: what to do about it.

use std::error::Error;

const SOURCES_MAX: usize = 8;

/// `what failed: why: why that`.
#[must_use]
pub(crate) fn story(error: &dyn Error) -> String {
    let mut told = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source.filter(|_| told.len() < SOURCES_MAX) {
        told.push(inner.to_string());
        source = inner.source();
    }
    told.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    told.join(": ")
}
