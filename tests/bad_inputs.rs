//! Bad inputs, each with the words it gets: `tests/bad/NAME.yaml` and beside it `NAME.out` (`UPDATE=1` rewrites; a reviewer reads the
//! difference). None panics, hangs or takes memory without bound. Giants are made here rather than stored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may"
)]

mod binary;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use binary::Ran;

/// Each input is answered within a second (without optimisations, within ten) by a machine that has nothing else to do; a busy one is
/// asked again.
const WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
const ASKED_MAX: usize = 5;
/// Address space, in KiB.
const MEMORY_MAX: usize = 1024 * 1024;

/// The binary's answer, with bounded memory and in time.
fn ran(arguments: &str, stdin: &[u8]) -> Ran {
    let command = format!("ulimit -v {MEMORY_MAX}; exec \"{}\" {arguments}", binary::BINARY);
    for asked in 1.. {
        let begun = Instant::now();
        let ran = binary::ran(Command::new("sh").args(["-c", &command]), stdin);
        let took = begun.elapsed();
        if took < WITHIN {
            return ran;
        }
        assert!(asked < ASKED_MAX, "{arguments} took {took:?}, {asked} times over {WITHIN:?}");
    }
    unreachable!("the loop ends by answer or by panic")
}

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

#[test]
fn every_bad_input_gets_its_words() {
    let inputs = inputs();
    assert!(inputs.len() >= 60, "{}", inputs.len());
    let mut problems = Vec::new();
    for input in inputs {
        let name = input.file_name().unwrap().to_str().unwrap();
        let Ran { code, out, err } = ran(&format!("check tests/bad/{name}"), b"");
        assert!(matches!(code, 0..=2), "{name}: {code}: {err}");
        assert_eq!(err, "", "{name}: everything is said on stdout");
        let found = format!("exit code {code}\n\n{out}");
        let expected = input.with_extension("out");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            problems.push(format!("{name}: found\n{found}"));
        }
    }
    assert!(problems.is_empty(), "UPDATE=1 cargo test --test bad_inputs, and read the difference\n{}", problems.join("\n"));
}

#[test]
fn every_file_with_words_has_its_input() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("yaml").exists(), "{}", path.display());
    }
}

const RUNBOOK: &str = "apiVersion: notturno.dev/v1alpha1\nkind: Runbook\nmetadata: {name: gigante, namespace: ced}\nspec:\n  \
    serviceAccountName: lavori\n  reserve: 20m\n  reopening: {budget: 20m}\n";

fn steps(count: usize) -> String {
    let step =
        |n: usize| format!("  - {{name: passo-{n}, budget: 1m, close: {{services: [s-{n}]}}, needs: [passo-{}]}}\n", n + 1);
    format!("{RUNBOOK}  steps:\n{}", (0..count).map(step).collect::<String>())
}

/// `(what it is, the input, the exit code, words that are said)`.
fn giants() -> Vec<(&'static str, Vec<u8>, i32, &'static str)> {
    let text = |length: usize| "à".repeat(length / 2);
    let deep = |open: &str, close: &str| format!("{RUNBOOK}  x: {}{}\n", open.repeat(100_000), close.repeat(100_000));
    let bomb: String = (1..30).map(|n| format!("  a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1)).collect();
    vec![
        ("10,000 steps", steps(10_000).into_bytes(), 1, "10000 entries, at most 256"),
        (
            "256 steps in a circle",
            steps(255).replace("[passo-255]", "[passo-0]").into_bytes(),
            1,
            "these steps wait for each other",
        ),
        (
            "a description of 1 MiB",
            format!("{RUNBOOK}  description: \"{}\"\n  steps: []\n", text(1 << 20)).into_bytes(),
            1,
            "524288 characters, at most 1024",
        ),
        (
            "a name of 1 MiB",
            RUNBOOK.replace("gigante", &"g".repeat(1 << 20)).into_bytes(),
            1,
            "an object's name has small letters",
        ),
        ("a field name of 1 MiB", format!("{RUNBOOK}  {}: x\n", "k".repeat(1 << 20)).into_bytes(), 2, "NotYaml"),
        ("a duration of 1 MiB", RUNBOOK.replace("20m\n", &format!("{}m\n", "2".repeat(1 << 20))).into_bytes(), 1, "at most 64"),
        ("lists 100,000 deep", deep("[", "]").into_bytes(), 2, "nested deeper than"),
        ("objects 100,000 deep", deep("{a: ", "}").into_bytes(), 2, "nested deeper than 100 levels"),
        (
            "100,000 indents",
            format!(
                "{RUNBOOK}  x:\n{}",
                (2..3_000)
                    .map(|n| format!("{}a:\n", " ".repeat(n * 2)))
                    .collect::<String>()
                    .chars()
                    .take(3 << 20)
                    .collect::<String>()
            )
            .into_bytes(),
            2,
            "nested deeper than 100 levels",
        ),
        ("a bomb of aliases", format!("{RUNBOOK}  a0: &a0 [x, x]\n{bomb}").into_bytes(), 2, "aliases repeat more than"),
        ("5 MiB", format!("# {}\n", "x".repeat(5 << 20)).into_bytes(), 2, "larger than 4 MiB"),
        ("100,000 documents", "---\na: b\n".repeat(100_000).into_bytes(), 2, "more than 1024 documents"),
        ("300,000 values", format!("x: [{}]\n", "1, ".repeat(300_000)).into_bytes(), 2, "more than 200000 values"),
        (
            "20,000 keys written twice",
            format!("{RUNBOOK}{}", "  reserve: 1m\n".repeat(20_000)).into_bytes(),
            1,
            "more findings are not shown",
        ),
        ("4 MiB of zeros", vec![0; 4 << 20], 2, "NUL character"),
        ("4 MiB of quotes", vec![b'"'; 4 << 20], 2, "NotYaml"),
        ("4 MiB of dashes", b"- ".repeat(2 << 20), 2, "nested deeper than 100 levels"),
    ]
}

#[test]
fn giants_are_answered_in_bounded_time_and_memory() {
    for (what, input, code, said) in giants() {
        for output in ["text", "sarif"] {
            eprintln!("{what}");
            let ran = ran(&format!("check - -o {output}"), &input);
            let shown: String = ran.out.chars().take(3_000).collect();
            assert_eq!(ran.code, code, "{what}: {shown} {}", ran.err);
            assert!(output == "sarif" || ran.out.contains(said), "{what}: {shown}");
            assert!(ran.out.len() < 2 << 20, "{what}: {} bytes are said", ran.out.len());
        }
    }
}
