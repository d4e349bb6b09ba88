//! Killed at any write, before it or after it, and again while it recovers: the night ends as one that nobody killed.
//!
//! In: the nights. Out: the same end, and no promise broken. Invariants: plans follow from the night alone, and a fixed share of them is
//! played; what differs names the deaths that it takes to see it. Not here: what else goes wrong.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use notturno::embedded::Stage;
use serde_json::Value;

use crate::oracle::{Key, judge};
use crate::scene::{Kill, Played, Scene};

const STAGES: [Stage; 2] = [Stage::Before, Stage::After];
/// One in so many deaths, and in so many pairs of them; more with `--features bench`. Odd, so that both stages
/// come up.
const SINGLES_ONE_IN: usize = if cfg!(feature = "bench") { 1 } else { 5 };
const PAIRS_ONE_IN: usize = if cfg!(feature = "bench") { 11 } else { 2003 };
const THREADS: usize = 2;
/// Problems shown.
const SHOWN_MAX: usize = 12;

/// What is broken, in words; nothing when nothing is.
fn told(scene: &Scene, played: &Played, kills: &[Kill]) -> Option<String> {
    let broken = judge(&played.declared, &played.evidence);
    let mut problems: Vec<String> = broken.iter().map(|broken| format!("  {}: {}", broken.promise, broken.what)).collect();
    // A night that waits for a person has no end.
    if played.outcome != scene.ends() && !(played.outcome.is_empty() && scene.ends() == "NeedsHuman") {
        problems.push(format!("  it ends {:?}, not {:?}", played.outcome, scene.ends()));
    }
    (!problems.is_empty()).then(|| format!("{} {kills:?}:\n{}", scene.name, problems.join("\n")))
}

fn differs(end: &BTreeMap<Key, Value>, other: &BTreeMap<Key, Value>) -> Option<String> {
    let key = end.keys().chain(other.keys()).find(|key| end.get(key) != other.get(key))?;
    Some(format!("  {key} is {:?}, not {:?}", other.get(key), end.get(key)))
}

/// A night, and what a person finds after it when nobody was killed.
struct Reference {
    scene: Scene,
    end: BTreeMap<Key, Value>,
    /// The numbers of its writes.
    writes: Vec<u64>,
}

impl Reference {
    fn of(scene: Scene) -> Self {
        let played = scene.play(&[]);
        assert_eq!(told(&scene, &played, &[]), None);
        let writes = played.writes.iter().map(|(number, _)| *number).collect();
        Self { scene, end: played.end, writes }
    }

    fn singles(&self) -> Vec<Vec<Kill>> {
        self.writes.iter().flat_map(|number| STAGES.map(|stage| vec![Kill { number: *number, stage }])).collect()
    }

    /// Who is killed once is killed again, at any write up to one for each that the whole night has.
    fn pairs(&self) -> Vec<Vec<Kill>> {
        let last = self.writes.last().copied().unwrap_or_default();
        let then = |first: Vec<Kill>| {
            let from = first[0].number + 1;
            let second = (from..=last).flat_map(|number| STAGES.map(|stage| Kill { number, stage }));
            second.map(|second| vec![first[0], second]).collect::<Vec<_>>()
        };
        self.singles().into_iter().flat_map(then).collect()
    }

    /// Whether all the deaths came, and then what differs from a night that nobody killed.
    fn problem(&self, kills: &[Kill]) -> (bool, Option<String>) {
        let played = self.scene.play(kills);
        if played.killed < kills.len() {
            return (false, None);
        }
        let broken = told(&self.scene, &played, kills);
        let end = differs(&self.end, &played.end).map(|text| format!("{} {kills:?}:\n{text}", self.scene.name));
        (true, broken.or(end))
    }
}

/// Plays every plan, on all threads; how many deaths came as planned.
fn sweep(references: &[Reference], plans: &[(usize, Vec<Kill>)]) -> usize {
    let (next, count, problems) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(vec![]));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((night, kills)) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (came, problem) = references[*night].problem(kills);
                    count.fetch_add(usize::from(came), Ordering::Relaxed);
                    problems.lock().unwrap().extend(problem);
                }
            });
        }
    });
    let mut problems = problems.into_inner().unwrap();
    problems.sort();
    let shown = problems.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(problems.is_empty(), "{} of {} plans:\n{shown}", problems.len(), plans.len());
    count.into_inner()
}

fn references() -> Vec<Reference> {
    Scene::all().into_iter().map(Reference::of).collect()
}

fn plans(references: &[Reference], of: impl Fn(&Reference) -> Vec<Vec<Kill>>) -> Vec<(usize, Vec<Kill>)> {
    references.iter().enumerate().flat_map(|(night, one)| of(one).into_iter().map(move |kills| (night, kills))).collect()
}

#[test]
fn whoever_is_killed_at_any_write_of_any_night_the_end_is_the_same() {
    let references = references();
    let plans: Vec<_> = plans(&references, Reference::singles).into_iter().step_by(SINGLES_ONE_IN).collect();
    let count = sweep(&references, &plans);
    println!("{} nights, {count} deaths at {} places", references.len(), plans.len());
    assert!(references.len() >= 12 && count == plans.len(), "{} nights, {count} of {}", references.len(), plans.len());
}

#[test]
fn whoever_is_killed_again_while_the_night_recovers_the_end_is_the_same() {
    let references = references();
    let all = plans(&references, Reference::pairs);
    let share: Vec<(usize, Vec<Kill>)> = all.into_iter().step_by(PAIRS_ONE_IN).collect();
    let count = sweep(&references, &share);
    println!("{count} of {} pairs of deaths came as planned", share.len());
    assert!(count * 2 > share.len(), "{count} of {}", share.len());
}
