//! Many seeds, judged.
//!
//! In: seeds. Out: no promise broken. Invariants: a night that panics is broken; what is broken names its seed, so that it can be played
//! again. Not here: how a broken night is made smaller.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::draft::Draft;
use crate::draw::draw;
use crate::shrink::shrink;
use crate::stage::Kind;
use crate::stage::excuse::judged;

/// Nights that are played in every run.
pub const SEEDS: u64 = 10_000;
/// So often each kind of fault strikes in them, at least.
const STRUCK_MIN: u64 = 20;
const THREADS: usize = 2;
/// Problems shown.
const SHOWN_MAX: usize = 5;

/// What came of many nights.
#[derive(Debug, Default)]
pub struct Tally {
    pub nights: u64,
    pub outcomes: BTreeMap<String, u64>,
    pub struck: BTreeMap<Kind, u64>,
    pub problems: BTreeMap<u64, Vec<String>>,
}

/// Every promise that the night broke, in words, with its outcome and what struck.
pub fn told(draft: &Draft, name: &str) -> (Vec<String>, String, Vec<Kind>) {
    let play = || {
        let scene = draft.scene(name);
        let played = scene.play(&[]);
        let broken = judged(&scene, &played).into_iter().map(|one| format!("{}: {}", one.promise, one.what)).collect();
        let struck = scene.faults.iter().zip(&played.struck).filter(|(_, count)| **count > 0);
        (broken, played.outcome, struck.map(|(fault, _)| fault.kind).collect())
    };
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        let text = panic.downcast_ref::<&str>().map_or(text, |text| (*text).to_owned());
        (vec![format!("panics: {text}")], "panics".to_owned(), vec![])
    })
}

/// The promise that is broken, of words that say what is.
fn promise(words: &str) -> &str {
    words.split(':').next().unwrap_or_default()
}

/// Makes the night smaller while it breaks the same promise, and writes it down, with everything that was asked in it beside; where.
pub fn written(draft: &Draft, name: &str, broken: &[String]) -> PathBuf {
    let same = promise(&broken[0]).to_owned();
    let fails = |smaller: &Draft| told(smaller, name).0.iter().any(|words| promise(words) == same);
    let smallest = shrink(draft, fails);
    let (broken, played) = (told(&smallest, name).0.join("\n"), smallest.scene(name).play(&[]));
    let (journal, says) = (played.journal(), played.says());
    let words = format!(
        "Drawn from seed {name}, and made smaller. It breaks a promise:\n{broken}\n\nWhat was recorded:\n{journal}\nWhat the night says in the end:\n{says}"
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("night-{name}.yaml"));
    fs::write(path.with_extension("trace"), played.trace()).unwrap();
    fs::write(&path, smallest.scene(name).text(&words)).unwrap();
    path
}

/// The seeds that somebody asks for, as `from..to`; those of CI when nobody does.
#[allow(clippy::disallowed_methods, reason = "how a person asks for more seeds")]
fn asked() -> Range<u64> {
    let Ok(text) = std::env::var("NOTTURNO_SEEDS") else { return 0..SEEDS };
    let seeds = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    seeds.unwrap_or_else(|| panic!("NOTTURNO_SEEDS={text}: write it as 0..1000000"))
}

/// Plays the seeds, on all threads.
pub fn sweep(seeds: Range<u64>) -> Tally {
    let (next, tally) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let (broken, outcome, struck) = told(&draw(seed), &seed.to_string());
                    let mut tally = tally.lock().unwrap();
                    tally.nights += 1;
                    *tally.outcomes.entry(outcome).or_default() += 1;
                    for kind in struck {
                        *tally.struck.entry(kind).or_default() += 1;
                    }
                    if !broken.is_empty() {
                        tally.problems.insert(seed, broken);
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

#[test]
fn whatever_goes_wrong_in_a_drawn_night_its_promises_are_kept() {
    let tally = sweep(asked());
    println!("{} nights: {:?}\n{:?}", tally.nights, tally.outcomes, tally.struck);
    let shown = tally.problems.iter().take(SHOWN_MAX).map(|(seed, broken)| {
        let path = written(&draw(*seed), &seed.to_string(), broken);
        format!("{seed}, written to {}:\n  {}", path.display(), broken.join("\n  "))
    });
    let shown = shown.collect::<Vec<_>>().join("\n");
    let seeds: Vec<&u64> = tally.problems.keys().collect();
    assert!(tally.problems.is_empty(), "{} of {} nights: {seeds:?}\n{shown}", tally.problems.len(), tally.nights);
    let struck_count = |kind: &&Kind| tally.struck.get(kind).copied().unwrap_or_default();
    let rare: Vec<&Kind> = Kind::ALL.iter().filter(|kind| struck_count(kind) < STRUCK_MIN).collect();
    assert!(tally.nights < SEEDS || rare.is_empty(), "these strike too rarely: {rare:?}");
}
