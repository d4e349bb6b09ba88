//! No two undos work on one service at the same time, whatever else their steps are about: read from the journal alone.

use notturno::engine::{Entry, Event};

use crate::chance::Seen;
use crate::naive::undo_reach;
use crate::nights::Played;

/// From which entry on an undo ran, and up to which.
struct Run {
    step: usize,
    from: usize,
    until: usize,
}

fn runs(played: &Played) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let index = |name: &str| played.plan.steps.iter().position(|step| step.name == name).unwrap();
    for (place, Entry { event, .. }) in played.journal.iter().enumerate() {
        match event {
            Event::UndoReleased { step, .. } => runs.push(Run { step: index(step), from: place, until: played.journal.len() }),
            Event::UndoDone { step, .. } | Event::UndoFailed { step, .. } => {
                runs.iter_mut().rfind(|run| run.step == index(step)).unwrap().until = place;
            }
            // What expires is stopped, and what comes after it waits for the proof.
            Event::UndosExpired { steps, .. } => {
                let expired = |run: &&mut Run| steps.contains(&played.plan.steps[run.step].name) && run.until > place;
                runs.iter_mut().filter(expired).for_each(|run| run.until = place);
            }
            _ => {}
        }
    }
    runs
}

pub fn run_apart(played: &Played, seed: u64, seen: &mut Seen) {
    let runs = runs(played);
    for (place, one) in runs.iter().enumerate() {
        let meets = |other: &&Run| {
            other.step != one.step && !undo_reach(&played.plan, one.step).is_disjoint(&undo_reach(&played.plan, other.step))
        };
        for other in runs[..place].iter().filter(meets) {
            let names = [one, other].map(|run| played.plan.steps[run.step].name.as_str());
            assert!(one.from > other.until, "seed {seed}: {names:?} undo one service side by side\n{}", played.text());
            assert!(one.step < other.step, "seed {seed}: {names:?} undo one service in the order of the work\n{}", played.text());
            seen.count("undos that reach one service");
        }
    }
}
