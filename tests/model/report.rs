//! Plays a search to its end and says what it found: states, depth, seconds, the promise that broke and the shortest way there.

use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::night_model::NightModel;
use crate::variants::Variant;

/// Longer than any search may take; one that was cut is no proof.
const SEARCH_FOR_MAX: Duration = Duration::from_secs(3600);
/// Threads of a search.
const THREADS: usize = 2;

/// What each variable of a state is for.
pub const VARIABLES: &str = "\
tick            the true time, in minutes
ledger          which journal stands in the ledger; stands for epoch, direction, steps, services, due moments
objects.targets of each service: token, closed or not, the mark of the restoring, whether it was ever burned
objects.jobs    of the Job and its undo: token, suspended, released, what its burn proved and when, its end, its Pod, starts
flight          writes on their way, each with what it tests and its age
actors          of each replica and of the faulty sentinel: the ledger it knows, what it decided on and when, its clock
is_ahead        the clock of the healthy sentinel
is_half_done    the data of the touched service is half changed
people_write    people are at the touched service since the night opened it
next_night      another night has closed the touched service
late            a ghost: something forward landed after its burn
undone_beneath  a ghost: an undo ran under people
promise, last_moment  only where a rule of the takeover is left out";

/// What a search found.
pub struct Found {
    pub name: &'static str,
    /// The promises that broke, by number, each with the way there.
    pub broken: Vec<(&'static str, String)>,
    /// What should have been seen and was not.
    pub unseen: Vec<&'static str>,
    pub state_count: usize,
    pub depth: usize,
    pub seconds: f32,
    pub ledger_count: usize,
    pub question_count: usize,
    pub is_cut: bool,
}

impl Found {
    /// One row of the table.
    pub fn row(&self) -> String {
        let broken = self.broken.iter().map(|(name, _)| number(name)).collect::<Vec<_>>().join(", ");
        let verdict = if broken.is_empty() { "holds".to_owned() } else { format!("breaks {broken}") };
        let (states, depth, seconds, ledgers) = (self.state_count, self.depth, self.seconds, self.ledger_count);
        format!("| {} | {verdict} | {states} | {depth} | {seconds:.1} | {ledgers} | {} |", self.name, self.question_count)
    }
}

/// The table's head.
pub fn head() -> &'static str {
    "| search | verdict | states | depth | seconds | ledgers | questions to `decide` |\n|---|---|---|---|---|---|---|"
}

/// The number of a promise: what stands before the first space.
pub fn number(name: &str) -> &str {
    name.split(' ').next().unwrap_or_default()
}

/// Breadth first, to the end or to the first promise that breaks.
#[allow(clippy::disallowed_methods, reason = "how long it takes is part of what is told")]
pub fn search(variant: &Variant) -> Found {
    let began = Instant::now();
    let until = HasDiscoveries::AnyFailures;
    let checker = NightModel::new(variant.rules).checker().threads(THREADS).finish_when(until).timeout(SEARCH_FOR_MAX);
    let checker = checker.spawn_bfs().join();
    let model = checker.model();
    let (mut broken, mut unseen) = (Vec::new(), Vec::new());
    for property in model.properties() {
        match (property.expectation, checker.discovery(property.name)) {
            (Expectation::Always, Some(path)) => {
                let way =
                    path.into_vec().into_iter().filter_map(|(world, act)| Some(format!("    minute {}: {:?}", world.tick, act?)));
                broken.push((property.name, way.collect::<Vec<_>>().join("\n")));
            }
            (Expectation::Sometimes, None) => unseen.push(property.name),
            (Expectation::Always, None) | (Expectation::Sometimes, Some(_)) | (Expectation::Eventually, _) => {}
        }
    }
    Found {
        name: variant.name,
        broken,
        unseen,
        state_count: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: began.elapsed().as_secs_f32(),
        ledger_count: model.mind.shelf.len(),
        question_count: model.mind.question_count(),
        is_cut: began.elapsed() >= SEARCH_FOR_MAX,
    }
}
