//! What hostile bytes have to be taken for, one function for each target. The fuzzer (`targets/`) and the replay in CI
//! (`tests/corpora.rs`) run these same functions. Beyond that nothing panics: a refusal says what and where, what can be read is written
//! and read again as the same, and what is said stays in proportion to what was given.

pub mod answer;
pub mod authoring;
pub mod expression;
pub mod hours;
pub mod ledger;
pub mod probe;
pub mod resource;
#[allow(clippy::duplicate_mod, reason = "the night that the tests of the effects play")]
#[path = "../../effects/sample.rs"]
mod sample;
mod server;

use notturno::cli::check::RULES;
use notturno::model::refusal::Refusal;

/// The name of a target and what it does with an input.
pub type Body = (&'static str, fn(&[u8]));

/// Every target.
pub const BODIES: [Body; 7] = [
    ("answer", answer::take),
    ("authoring", authoring::take),
    ("expression", expression::take),
    ("hours", hours::take),
    ("ledger", ledger::take),
    ("probe", probe::take),
    ("resource", resource::take),
];

/// What is said of nothing at all.
const SAID_OF_NOTHING: usize = 64 * 1024;

/// What is said of an input is at most so many times as long.
fn assert_in_proportion(what: &str, said: usize, given: usize, times: usize) {
    assert!(said <= SAID_OF_NOTHING + times * given, "{what}: {said} bytes are said of {given}");
}

/// Says what is wrong, of which object, at which field; and is no fault of the program's own.
fn assert_useful(refusal: &Refusal) {
    let Refusal { reason, object, path, message, sum: _ } = refusal;
    assert!(RULES.iter().any(|rule| rule.id == reason), "a reason that no table knows: {refusal}");
    assert!(!["Unreadable", "NotProven"].contains(&reason.as_str()), "a fault of the program: {refusal}");
    assert!(!object.is_empty() && !path.is_empty() && !message.trim().is_empty(), "what, where, what to do: {refusal:?}");
}
