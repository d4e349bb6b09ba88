//! What goes wrong in a night: who dies, whose view is old, whose writes are late.
//!
//! In: numbers of writes and events. Out: what that does to requests and watches. Invariants: the same night and the same trouble give the same
//! evidence. Not here: the night (the scene), what its file says goes wrong (`fault`).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use notturno::embedded::{Fault, RequestInfo, Stage, Verb, WatchFault};

use super::play::Turn;
use crate::processes::line::Line;

/// So long after the operator is cut off another one leads.
const SECOND_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// So long after it reaches the API again it goes on as if it led.
const OVERLAPS_FOR: SignedDuration = SignedDuration::from_secs(60);

/// Somebody dies at this write: before it is done, or after it and before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    pub number: u64,
    pub stage: Stage,
}

/// From one of its writes in tenants' names on, the operator reaches the API no more; another one starts, and later all that was sent
/// arrives, late and in any order, and both go on for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub number: u64,
    /// The write itself is held, or its answer alone.
    pub before: bool,
    pub lasts: SignedDuration,
}

/// All that goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    pub kills: Vec<Kill>,
    /// A write at which somebody dies before it is done is done so much later all the same.
    pub lands_after: Option<Duration>,
    /// Whoever starts again begins with lists from so many changes ago.
    pub older: Option<u64>,
    /// The number of an event, and what goes wrong with it.
    pub event: Option<(u64, WatchFault)>,
    pub cut: Option<Cut>,
}

impl Trouble {
    pub fn of(kills: &[Kill]) -> Self {
        Self { kills: kills.to_vec(), ..Self::default() }
    }

    /// What becomes of a request at which somebody dies.
    pub fn fatal(&self, request: &RequestInfo, stage: Stage) -> Option<Fault> {
        let dies = self.kills.iter().any(|kill| request.write_number == Some(kill.number) && kill.stage == stage);
        let late = self.lands_after.filter(|_| stage == Stage::Before);
        dies.then(|| late.map_or(Fault::Hang, Fault::Late))
    }

    /// What watches begin with; lists by which it is decided are the server's latest (PROTOCOL rule 13 asks for a quorum).
    pub fn old_list(&self, request: &RequestInfo, stage: Stage) -> Option<Fault> {
        let watched = ["interventions", "configmaps"].contains(&request.resource.as_str());
        let begins = watched && request.verb == Verb::List && stage == Stage::Before;
        self.older.filter(|_| begins).map(Fault::Older)
    }

    /// Never cut, unless it says so.
    pub fn line(&self) -> Line {
        let (number, before) = self.cut.map_or((0, true), |cut| (cut.number, cut.before));
        Line::new(number, before, number)
    }

    pub fn after_the_cut(&self, now: Timestamp) -> Vec<(Timestamp, Turn)> {
        let Some(cut) = self.cut else { return vec![] };
        let mended_at = now + cut.lasts;
        vec![(now + SECOND_AFTER, Turn::Second), (mended_at, Turn::Mend), (mended_at + OVERLAPS_FOR, Turn::Depose)]
    }
}
