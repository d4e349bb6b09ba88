//! The command line: `notturno VERB`.
fn main() {}
