//! The same seed in two processes: the same night, byte for byte.
//!
//! In: seeds. Out: equal traces. Invariant: what is compared is every request, change and sighting, not a summary. Not here: nights with a step
//! that waits for a state of an object: the operator evaluates that in a thread of its own, and how fast it is is not the night's.

use std::process::Command;

use crate::draft::Draft;
use crate::draw::draw;

/// Seeds that the two processes play.
const SEEDS: std::ops::Range<u64> = 0..25;

/// Nights in which nothing is left to a thread of its own.
fn nights() -> Vec<(u64, Draft)> {
    SEEDS.map(|seed| (seed, draw(seed))).filter(|(_, draft)| !draft.waits()).collect()
}
const MARK: &str = "trace of ";

/// Prints the traces; what the two processes of the other test are asked to do.
#[test]
fn a_night_leaves_a_trace() {
    for (seed, draft) in nights() {
        let played = draft.scene(&seed.to_string()).play(&[]);
        let trace = played.trace();
        assert!(trace.lines().count() > 50, "{trace}");
        println!("{MARK}{seed}: {}\n{trace}", played.fingerprint());
    }
}

fn printed() -> String {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).args(["--exact", "same::a_night_leaves_a_trace", "--nocapture", "--test-threads=1"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.split_once(MARK).map(|(_, rest)| rest.rsplit_once("\ntest ").map_or(rest, |(rest, _)| rest).to_owned()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_trace_in_two_processes() {
    let [one, other] = std::thread::scope(|scope| {
        let both = [scope.spawn(printed), scope.spawn(printed)];
        both.map(|one| one.join().unwrap())
    });
    let of = |text: &str| -> Vec<String> {
        text.split(MARK)
            .map(|one| one.split("\ntest ").next().unwrap_or_default().split("\nok\n").next().unwrap_or_default().to_owned())
            .collect()
    };
    let (one, other) = (of(&one), of(&other));
    assert_eq!((one.len(), other.len()), (nights().len(), nights().len()), "every night has a trace");
    assert!(one.len() >= 15, "{} nights", one.len());
    for (one, other) in one.iter().zip(&other) {
        let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert!(one == other, "{}: {differs:?}", one.lines().next().unwrap_or_default());
    }
}
