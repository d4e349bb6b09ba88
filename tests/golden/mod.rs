//! Texts that were written down once: what is found is held against them, line by line, or rewritten with `UPDATE=1`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may")]
#![allow(clippy::disallowed_methods, reason = "what is to be rewritten is said by the environment")]

use std::path::Path;

/// Holds what was found against `tests/golden/NAME.txt`; the first difference is shown.
pub fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).expect("the file can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(found.lines()).enumerate().find(|(_, (one, other))| one != other);
    if let Some((number, (one, other))) = differs {
        panic!("{name}, line {}:\nwritten {one}\nfound   {other}", number + 1);
    }
    assert_eq!(written.lines().count(), found.lines().count(), "{name} is longer or shorter");
}
