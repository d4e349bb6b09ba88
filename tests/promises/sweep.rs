//! Many plays of the nights, each with its own trouble, held against the one without any.
//!
//! In: nights, trouble. Out: what differs, and what is broken. Invariants: each plan is played once, on all threads.
//! Not here: which trouble.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::oracle::{Key, judge};
use crate::stage::Scene;
use crate::stage::play::Played;
use crate::stage::trouble::Trouble;

const THREADS: usize = 2;
/// Problems shown.
const SHOWN_MAX: usize = 12;
/// Whoever runs all plans waits for an hour: after so many it is said how far they are.
const TOLD_EACH: usize = 1000;

/// How much has to be as in a night without any trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// No promise is broken, and everything ends as it does without trouble.
    End,
    /// No promise is broken.
    Promises,
}

/// A night, and what a person finds after it when nothing went wrong.
pub struct Reference {
    pub scene: Scene,
    end: BTreeMap<Key, Value>,
    /// The numbers of its writes.
    pub writes: Vec<u64>,
    /// How many events watches were told in it.
    pub events: u64,
    /// How many writes the operator made in tenants' names.
    pub orders: u64,
}

/// One play: the night's place, what goes wrong, what has to be the same.
pub type Plan = (usize, Trouble, Same);

fn differs(end: &BTreeMap<Key, Value>, other: &BTreeMap<Key, Value>) -> Option<String> {
    let key = end.keys().chain(other.keys()).find(|key| end.get(key) != other.get(key))?;
    Some(format!("  {key} is {:?}, not {:?}", other.get(key), end.get(key)))
}

impl Reference {
    fn of(scene: Scene) -> Self {
        let played = scene.play(&[]);
        let writes = played.writes.iter().map(|(number, _)| *number).collect();
        let reference = Self { scene, writes, events: played.events, orders: played.orders, end: played.end.clone() };
        assert_eq!(reference.problems(&played, Same::End), Vec::<String>::new(), "{}", reference.scene.name);
        reference
    }

    /// Of all nights of the folder in which nothing else goes wrong.
    pub fn all() -> Vec<Self> {
        Scene::all().into_iter().filter(|scene| scene.faults.is_empty()).map(Self::of).collect()
    }

    fn problems(&self, played: &Played, same: Same) -> Vec<String> {
        let broken = judge(&played.declared, &played.evidence);
        let mut problems: Vec<String> = broken.iter().map(|broken| format!("  {}: {}", broken.promise, broken.what)).collect();
        // A night that waits for a person has no end.
        let end = self.scene.ends().expect("a night that is played so says how it ends");
        let ends = played.outcome == end || (played.outcome.is_empty() && end == "NeedsHuman");
        if same == Same::End && !ends {
            problems.push(format!("  it ends {:?}, not {end:?}", played.outcome));
        }
        if same == Same::End && problems.is_empty() {
            problems.extend(differs(&self.end, &played.end));
        }
        problems
    }

    /// Whether all the trouble came, and then what is wrong.
    fn problem(&self, trouble: &Trouble, same: Same) -> (bool, Option<String>) {
        let played = self.scene.play_in(trouble);
        if played.killed < trouble.kills.len() {
            return (false, None);
        }
        let problems = self.problems(&played, same);
        (true, (!problems.is_empty()).then(|| format!("{} {trouble:?}:\n{}", self.scene.name, problems.join("\n"))))
    }
}

/// Plays every plan; in how many all the trouble came.
pub fn sweep(references: &[Reference], plans: &[Plan]) -> usize {
    let (next, count, problems) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(vec![]));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((night, trouble, same)) = plans.get(place) else { break };
                    let (came, problem) = references[*night].problem(trouble, *same);
                    count.fetch_add(usize::from(came), Ordering::Relaxed);
                    let mut problems = problems.lock().unwrap();
                    problems.extend(problem);
                    if place > 0 && place.is_multiple_of(TOLD_EACH) {
                        println!("{place} of {} plans, {} with a problem", plans.len(), problems.len());
                    }
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

/// One in so many of the plans of all nights.
pub fn share(references: &[Reference], one_in: usize, of: impl Fn(&Reference) -> Vec<(Trouble, Same)>) -> Vec<Plan> {
    let all = references.iter().enumerate();
    let all = all.flat_map(|(night, one)| of(one).into_iter().map(move |(trouble, same)| (night, trouble, same)));
    all.step_by(one_in).collect()
}
