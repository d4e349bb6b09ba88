//! The command line: one file per verb.
//!
//! In: arguments and files. Out: text or JSON on stdout, notes on stderr, an exit code. Not here: anything that is not about a person's
//! terminal or a pipeline's log.

pub mod read;
