//! One round of nights that have to turn back at chosen moments.
//!
//! In: a cluster with one operator. Out: nights, and the moment at which the operator is to wake. Invariants: every night has work that hangs,
//! so that nothing but its turn-back moment ends it; moments differ by the margins alone. Not here: what the operator does meanwhile.

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::Value;

use crate::cluster::{Cluster, say, wait};
use crate::ledger::Ledger;
use crate::operator;
use crate::small::{INTERVENTIONS, Small};
use crate::tenant::fill;

/// Until then all are armed, each with two sentinels.
const STARTS_IN: SignedDuration = SignedDuration::from_secs(90);
/// From the start to the moment at which the operator wakes.
const RACE_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// What every night needs to go back, and the most that is reserved beside it.
const NEED: SignedDuration = SignedDuration::from_secs(80);
const RESERVE_MAX: SignedDuration = SignedDuration::from_secs(8);

/// What the operator has made of a night when it falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the turn-back moment comes later.
    Works,
    /// It went back, and the Job ends only while it sleeps.
    Stops,
    /// It is giving everything back: whatever it was about to write is held.
    Returns,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Works, Self::Stops, Self::Returns];

    /// How many of a round.
    const fn count(self) -> usize {
        match self {
            Self::Works => 15,
            Self::Stops | Self::Returns => 5,
        }
    }

    /// The first and the last turn-back moment before the race, in milliseconds: on either side of the moment from which the takeover
    /// comes as the operator wakes. It comes one grace after the turn-back moment while a night works, half a reserve and a grace after
    /// it while a step stops, and one grace after the budget of what was being given back.
    const fn turns_before_ms(self) -> (i64, i64) {
        match self {
            Self::Works => (2300, 1300),
            Self::Stops => (6200, 5400),
            Self::Returns => (3550, 3300),
        }
    }

    /// A quarter of it is the grace.
    const fn reserve(self) -> SignedDuration {
        match self {
            Self::Works | Self::Stops => RESERVE_MAX,
            Self::Returns => SignedDuration::from_secs(6),
        }
    }

    /// How long its service may take to come back, and what is reserved for that: with the undo's budget they make up what it needs.
    const fn reopening(self) -> (&'static str, &'static str) {
        match self {
            Self::Works | Self::Stops => ("20s", "20s"),
            Self::Returns => ("2s", "78s"),
        }
    }

    fn need(self) -> SignedDuration {
        NEED + self.reserve()
    }

    fn steps(self) -> String {
        match self {
            Self::Works => fill(include_str!("../oggetti/secondo/passi-lavoro.yaml"), &[("JOB", "subito")]),
            Self::Stops => fill(include_str!("../oggetti/secondo/passi-lavoro.yaml"), &[("JOB", "tardi")]),
            Self::Returns => include_str!("../oggetti/secondo/passi-attesa.yaml").to_owned(),
        }
    }
}

/// One night.
pub struct Night {
    pub kind: Kind,
    /// Two digits.
    pub number: String,
    pub uid: String,
    pub must_serve_by: Timestamp,
    /// Once it is over.
    pub ledger: Option<Ledger>,
    pub status: Value,
}

impl Night {
    /// The name of one of its Jobs.
    pub fn job(&self, what: &str) -> String {
        format!("notte-{}-{}-{what}", self.number, &self.uid[..8])
    }

    pub fn ledger_name(&self) -> String {
        format!("notturno-notte-{}-{}-ledger", self.number, &self.uid[..8])
    }
}

/// All of a round.
pub struct Nights<'a> {
    small: Small<'a>,
    planned: Vec<(Kind, String, Timestamp)>,
    start_at: Timestamp,
    pub race_at: Timestamp,
}

impl<'a> Nights<'a> {
    pub fn declare(cluster: &'a Cluster) -> Self {
        let start_at = (Timestamp::now() + STARTS_IN).round(Unit::Second).unwrap();
        let race_at = start_at + RACE_AFTER;
        let small = Small::settle(cluster, race_at + NEED + RESERVE_MAX);
        for (name, borne) in [("subito", "1"), ("tardi", "5")] {
            cluster.apply(&fill(include_str!("../oggetti/secondo/lavori.yaml"), &[("NAME", name), ("BORNE", borne)]));
        }
        let mut planned = vec![];
        for kind in Kind::ALL {
            let (first, last) = kind.turns_before_ms();
            for place in 0..kind.count() {
                let share = i64::try_from(place).unwrap() * (first - last) / i64::try_from(kind.count() - 1).unwrap();
                let turns_at = race_at - SignedDuration::from_millis(first - share);
                planned.push((kind, format!("{:02}", planned.len() + 1), turns_at + kind.need()));
            }
        }
        let one = |(kind, number, must_serve_by): &(Kind, String, Timestamp)| {
            let (start, margin) = (start_at.to_string(), small.margin(*must_serve_by));
            let (steps, reserve) = (kind.steps(), format!("{}ms", kind.reserve().as_millis()));
            let (opens, reopening) = kind.reopening();
            let fields = [
                ("STEPS", steps.trim_end()),
                ("RESERVE", &reserve),
                ("OPENS", opens),
                ("REOPENING", reopening),
                ("N", number),
                ("START", &start),
                ("MARGIN", &margin),
            ];
            fill(include_str!("../oggetti/secondo/notte.yaml"), &fields)
        };
        cluster.apply(&planned.iter().map(one).collect::<Vec<_>>().join("\n---\n"));
        Self { small, planned, start_at, race_at }
    }

    /// All as they are now.
    pub fn all(&self) -> Vec<Night> {
        let one = |(kind, number, must_serve_by): &(Kind, String, Timestamp)| {
            let name = format!("notte-{number}");
            let object = self.small.cluster.get(&format!("{INTERVENTIONS}/{name}")).unwrap();
            let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
            let ledger = Ledger::read(self.small.cluster, "molti", &name, &uid);
            let (number, status) = (number.clone(), object["status"].clone());
            Night { kind: *kind, number, uid, must_serve_by: *must_serve_by, ledger, status }
        };
        self.planned.iter().map(one).collect()
    }

    /// Every night hangs in its last step, and turns back when it was planned to.
    pub fn all_work(&self) {
        for night in self.all() {
            let ledger = night.ledger.unwrap_or_else(|| panic!("night {} has no ledger", night.number));
            let works = ledger.has("stepIntended", "\"lavoro\"") && !ledger.has("goingBack", "");
            assert!(works, "night {}: {}", night.number, ledger.course(self.start_at));
            let turns_at: Timestamp = night.status["turnBackAt"].as_str().unwrap().parse().unwrap();
            let off = turns_at.duration_since(night.must_serve_by - night.kind.need()).abs();
            assert!(off < SignedDuration::from_secs(1), "night {} turns back at {turns_at}", night.number);
        }
    }

    /// Waits until every night is over and its objects are let go.
    pub fn until_settled(&self) {
        let free = |night: &Value| night["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        let left = (self.race_at + NEED + RESERVE_MAX).duration_since(Timestamp::now()).as_secs().max(0).unsigned_abs();
        wait(left + 60, "nights that are settled", || {
            let settled =
                self.small.interventions().iter().filter(|night| night["status"]["outcome"].is_string() && free(night)).count();
            (settled == self.planned.len()).then_some(())
        });
    }
}

impl Drop for Nights<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(operator::logs(self.small.cluster));
        }
    }
}
