//! Hostile bytes again: every input that the fuzzer kept (`tests/fuzz/corpus`) or once fell over (`tests/fuzz/findings`), by its target,
//! through the functions that the fuzzer runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(feature = "shell")]

#[path = "fuzz/bodies/mod.rs"]
mod bodies;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bodies::BODIES;

/// What is kept of a target's corpus: few and small, so that people can read it.
const FILES_MAX: usize = 80;
const BYTES_MAX: u64 = 4096;
const FILES_MIN: usize = 10;
/// No few bytes take longer, whatever else the machine does. The fuzzer itself bounds time and memory.
const TAKES_MAX: Duration = Duration::from_secs(20);

fn folder(what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(what)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What an input does that it must not; on a thread of its own, since it may never end.
fn fault(take: fn(&[u8]), bytes: Vec<u8>) -> Option<String> {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(catch_unwind(|| take(&bytes)).is_err()));
    match ended.recv_timeout(TAKES_MAX) {
        Ok(false) => None,
        Ok(true) => Some("falls, as it is said above".to_owned()),
        Err(_) => Some(format!("goes on after {TAKES_MAX:?}")),
    }
}

/// All of a target's inputs are played, whatever the first ones say.
fn replay(target: &str) {
    let (_, take) = BODIES.iter().find(|(name, _)| *name == target).expect("a target of that name");
    let mut faults = Vec::new();
    for kept in [folder("corpus").join(target), folder("findings").join(target)] {
        for name in names(&kept) {
            let path = kept.join(name);
            faults.extend(fault(*take, fs::read(&path).unwrap()).map(|fault| format!("{}: {fault}", path.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_api_server_may_answer_anything() {
    replay("answer");
}

#[test]
fn a_file_may_hold_anything() {
    replay("authoring");
}

#[test]
fn an_expression_may_be_anything() {
    replay("expression");
}

#[test]
fn opening_hours_may_be_anything() {
    replay("hours");
}

#[test]
fn a_ledger_may_hold_anything() {
    replay("ledger");
}

#[test]
fn a_service_may_say_anything_to_a_probe() {
    replay("probe");
}

#[test]
fn an_object_may_be_anything() {
    replay("resource");
}

#[test]
fn every_target_is_replayed_and_keeps_few_small_inputs() {
    let targets: BTreeSet<String> = BODIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("corpus")), targets, "a corpus for each target, and none for others");
    assert!(names(&folder("findings")).is_subset(&targets), "findings that nobody replays");
    let files = targets.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(names(&folder("targets")), files, "a program for each target");
    let own = include_str!("corpora.rs");
    for target in &targets {
        assert!(own.contains(&format!("replay(\"{target}\")")), "{target} is not replayed");
        let corpus = folder("corpus").join(target);
        let files = names(&corpus);
        assert!((FILES_MIN..=FILES_MAX).contains(&files.len()), "{target}: {} files", files.len());
        for name in files {
            let bytes = fs::metadata(corpus.join(&name)).unwrap().len();
            assert!(bytes <= BYTES_MAX, "{target}/{name}: {bytes} bytes");
        }
    }
}
