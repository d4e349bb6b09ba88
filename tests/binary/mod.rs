//! The binary as a person or a pipeline runs it: arguments and stdin in; exit code, stdout and stderr out.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::io::Write;
use std::process::{Command, Stdio};

pub const BINARY: &str = env!("CARGO_BIN_EXE_notturno");

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str], stdin: &[u8]) -> Ran {
    ran(Command::new(BINARY).args(arguments), stdin)
}

/// Runs a command in the root of the repository to its end.
pub fn ran(command: &mut Command, stdin: &[u8]) -> Ran {
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // Beside the reading, since a command may answer before it has read all; one that refuses its arguments does not read.
    let writer = std::thread::spawn(move || drop(input.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    let code = output.status.code().unwrap_or_else(|| panic!("{command:?}: {}: {err}", output.status));
    Ran { code, out, err }
}
