//! What the API server's own account says of one night: one end, nothing twice, nothing by who was deposed.
//!
//! In: a night that is over, the audit log. Out: its [`Course`], with every problem in words. Invariants: writes are told apart by the
//! versions that they made, so that one that changed nothing is no effect, and their order is the store's, not the clock's.
//! Not here: which problems are borne (none).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::nights::{Kind, Night};
use crate::audit::{Result, Write, starts};
use crate::ledger::Ledger;
use crate::small::{SENTINEL, TENANT};

const TOKEN: &str = "notturno.dev/token";

/// What became of one night.
pub struct Course {
    pub kind: Kind,
    pub outcome: String,
    /// When a sentinel took it over.
    pub taken_over_at: Option<Timestamp>,
    pub opened_by_sentinels: bool,
    /// How close a write of the operator and one of a sentinel came to each other, before the end.
    pub closest: Option<SignedDuration>,
    /// Writes that were refused: the operator's, the sentinels'.
    pub refused_count: (usize, usize),
    /// Writes that were taken and changed nothing.
    pub idle_count: usize,
    pub problems: Vec<String>,
}

impl Course {
    pub fn raced_within(&self, span: SignedDuration) -> bool {
        self.closest.is_some_and(|closest| closest <= span)
    }
}

/// Everything about the night, in the order of the store.
struct Account<'a> {
    night: &'a Night,
    /// Also those that were refused.
    writes: Vec<&'a Write>,
    problems: Vec<String>,
}

/// Holds the night against the log.
pub fn judge(night: &Night, writes: &[Write]) -> Course {
    let ledger = night.ledger.as_ref().unwrap_or_else(|| panic!("night {} has no ledger", night.number));
    let mut account = Account::of(night, writes);
    let (taken, finished) = account.appends(ledger);
    let opened_by = account.opened();
    account.counter();
    account.ran_once(writes);
    account.deposed(finished);
    if night.status["outcome"].as_str() != ledger.outcome() {
        account.problem(format!("the operator reports {}, the ledger has {:?}", night.status["outcome"], ledger.outcome()));
    }
    let before_end: Vec<&Write> = account.by_hand().filter(|write| finished.is_none_or(|end| write.at < end.at)).collect();
    let refused = |user: &str| before_end.iter().filter(|write| write.user == user && is_refused(write)).count();
    Course {
        kind: night.kind,
        outcome: ledger.outcome().unwrap_or_default().to_owned(),
        taken_over_at: taken.map(|write| write.at),
        opened_by_sentinels: opened_by.is_some_and(|user| user == SENTINEL),
        closest: closest(&before_end),
        refused_count: (refused(TENANT), refused(SENTINEL)),
        idle_count: account.idle_count(),
        problems: account.problems,
    }
}

fn is_refused(write: &Write) -> bool {
    matches!(write.result, Result::Refused(_))
}

/// The smallest gap between a write of one side and one of the other.
fn closest(writes: &[&Write]) -> Option<SignedDuration> {
    let mut writes = writes.to_vec();
    writes.sort_by_key(|write| write.at);
    let other = writes.windows(2).filter(|pair| pair[0].user != pair[1].user);
    other.map(|pair| pair[1].at.duration_since(pair[0].at)).min()
}

impl<'a> Account<'a> {
    fn of(night: &'a Night, writes: &'a [Write]) -> Self {
        let own = [format!("sportello-{}", night.number), format!("banco-{}", night.number), night.ledger_name()];
        let is_own = |write: &&Write| {
            let config_map = write.resource == "configmaps" && own.contains(&write.name);
            let job = write.resource.split('/').next() == Some("jobs") && write.name.starts_with(&night.job(""));
            write.namespace == "molti" && write.result != Result::Tried && (config_map || job)
        };
        Self { night, writes: writes.iter().filter(is_own).collect(), problems: vec![] }
    }

    fn problem(&mut self, text: impl std::fmt::Display) {
        self.problems.push(format!("night {}: {text}", self.night.number));
    }

    /// What the two sides wrote, or tried to.
    fn by_hand(&self) -> impl Iterator<Item = &'a Write> {
        self.writes.iter().copied().filter(|write| [TENANT, SENTINEL].contains(&write.user.as_str()))
    }

    /// The writes that changed the object, in the order of the store: of those that show one version the first made it.
    fn versions(&self, resource: &str, name: &str) -> Vec<&'a Write> {
        let mut versions: BTreeMap<u64, &Write> = BTreeMap::new();
        for &write in &self.writes {
            let of_object = write.name == name && write.resource.split('/').next() == Some(resource);
            let Some(revision) = write.revision().filter(|_| of_object && write.result == Result::Stored) else { continue };
            let made = versions.entry(revision).or_insert(write);
            if write.at < made.at {
                *made = write;
            }
        }
        versions.into_values().collect()
    }

    fn idle_count(&self) -> usize {
        let stored = self.by_hand().filter(|write| write.result == Result::Stored && write.revision().is_some());
        let versions = |write: &Write| self.versions(write.resource.split('/').next().unwrap_or_default(), &write.name);
        stored.filter(|write| versions(write).iter().all(|made| !std::ptr::eq(*made, *write))).count()
    }

    /// One record each, by the side whose night it is; the takeover and the end.
    fn appends(&mut self, ledger: &Ledger) -> (Option<&'a Write>, Option<&'a Write>) {
        let versions = self.versions("configmaps", &self.night.ledger_name());
        let appends: Vec<&Write> = versions.into_iter().filter(|write| write.appends()).collect();
        let seq = |write: &&Write| write.body[1]["value"].as_str().and_then(|head| head.split(':').next()?.parse::<usize>().ok());
        let numbers: Vec<Option<usize>> = appends.iter().map(seq).collect();
        if numbers != (2..=ledger.record_count).map(Some).collect::<Vec<_>>() {
            self.problem(format!("{} records came of the appends {numbers:?}", ledger.record_count));
        }
        for kind in ["goingBack", "finished"] {
            self.happened(ledger, kind, 1..=1);
        }
        self.happened(ledger, "takenOver", 0..=1);
        let of =
            |kind: &str| appends.iter().position(|write| write.body[2]["value"].as_str().is_some_and(|text| text.contains(kind)));
        let taken = of("\"takenOver\"");
        for (place, write) in appends.iter().enumerate() {
            let whose = if taken.is_some_and(|taken| place >= taken) { SENTINEL } else { TENANT };
            if write.user != whose {
                self.problem(format!("record {} is by {}", place + 2, write.user));
            }
        }
        (taken.map(|place| appends[place]), of("\"finished\"").map(|place| appends[place]))
    }

    fn happened(&mut self, ledger: &Ledger, kind: &str, times: std::ops::RangeInclusive<usize>) {
        let count = ledger.events.iter().filter(|(found, ..)| found == kind).count();
        if !times.contains(&count) {
            self.problem(format!("{kind} happened {count} times"));
        }
    }

    /// The values that the field had, one after the other, and the write that brought the last.
    fn values(&self, name: &str) -> (Vec<String>, Option<&'a Write>) {
        let (mut values, mut last): (Vec<String>, _) = (vec![], None);
        for write in self.versions("configmaps", name) {
            let value = write.stored["data"]["stato"].as_str().unwrap_or_default().to_owned();
            if values.last() != Some(&value) {
                values.push(value);
                last = Some(write);
            }
        }
        (values, last)
    }

    /// Closed once and opened once, in time, and no mark is left; who opened it.
    fn opened(&mut self) -> Option<String> {
        let name = format!("sportello-{}", self.night.number);
        let (values, last) = self.values(&name);
        if values != ["aperto", "chiuso", "aperto"] {
            self.problem(format!("the door was {values:?}"));
        }
        let opened = last?;
        if opened.at > self.night.must_serve_by {
            self.problem(format!("it opened at {}, after {}", opened.at, self.night.must_serve_by));
        }
        let left = self.versions("configmaps", &name).last().and_then(|write| token(&write.stored).map(str::to_owned));
        if let Some(token) = left {
            self.problem(format!("the token {token} is left on its door"));
        }
        Some(opened.user.clone())
    }

    /// What a step changed was changed once and given back once.
    fn counter(&mut self) {
        let (values, _) = self.values(&format!("banco-{}", self.night.number));
        let expected: &[&str] = if self.night.kind == Kind::Returns { &["vecchio", "nuovo", "vecchio"] } else { &["vecchio"] };
        if values != expected {
            self.problem(format!("what the step changed was {values:?}"));
        }
    }

    /// The work and its undo: let run once, one Pod each.
    fn ran_once(&mut self, writes: &[Write]) {
        let prefix = self.night.job("");
        let ran: BTreeMap<String, (usize, usize)> =
            starts(writes, "molti").into_iter().filter(|(job, _)| job.starts_with(&prefix)).collect();
        let jobs: &[&str] = if self.night.kind == Kind::Returns { &[] } else { &["lavoro", "lavoro-undo-1"] };
        let expected = jobs.iter().map(|job| (self.night.job(job), (1, 1))).collect();
        if ran != expected {
            self.problem(format!("releases and Pods of its Jobs: {ran:?}"));
        }
    }

    /// Once an object shows the sentinels' token, nobody of an older epoch changes it before the night is over.
    fn deposed(&mut self, finished: Option<&Write>) {
        let end = finished.and_then(Write::revision).unwrap_or(u64::MAX);
        let object = |write: &&'a Write| (write.resource.split('/').next().unwrap_or_default(), write.name.as_str());
        let objects: BTreeSet<(&str, &str)> = self.writes.iter().map(object).collect();
        for (resource, name) in objects {
            let mut taken = false;
            for write in self.versions(resource, name) {
                if taken && write.user == TENANT && write.revision().is_some_and(|revision| revision < end) {
                    self.problem(format!("{resource} {name} was changed by the deposed operator: {}", write.body));
                }
                taken |= token(&write.stored).is_some_and(|token| token.split('.').nth(1) == Some("2"));
            }
        }
    }
}

fn token(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][TOKEN].as_str()
}
