//! The API server and what runs behind it: targets, Jobs with their Pods, writes in flight.
//!
//! Out: [`World`], the whole state of the model. Everything in it is small and in one form, so that equal worlds are equal values. A write
//! carries the tests of its JSON Patch and is applied or refused as a whole, when it lands.

use crate::ledger::Ledger;
use crate::night::{J, clock};
use crate::rules::Rules;

/// A token: night, epoch and way (src/operator/effects/token.rs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Token {
    #[default]
    None,
    Own(u8, Way),
    /// Of the next night.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    Forward,
    Back,
    Reopen,
    Expired,
}

impl Token {
    /// This one stands where the other one never will again.
    fn is_after(self, other: Self) -> bool {
        let rank = |way| match way {
            Way::Forward => 0,
            Way::Back | Way::Reopen => 1,
            Way::Expired => 2,
        };
        match (self, other) {
            (Self::Own(epoch, way), Self::Own(tested, test)) => (epoch, rank(way)) > (tested, rank(test)),
            (Self::Foreign, Self::Own(..)) => true,
            (Self::Foreign | Self::None | Self::Own(..), _) => false,
        }
    }
}

/// By day everything bears this.
pub const FORWARD: Token = Token::Own(1, Way::Forward);

/// What closing a service changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    pub token: Token,
    pub is_closed: bool,
    /// The mark that this night gave it its pre-image again.
    pub is_restored: bool,
    /// Its right to be closed was taken once.
    pub was_burned: bool,
}

/// The Pod of a Job, and the controller that makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pod {
    #[default]
    None,
    /// The controller saw the Job let run and is about to create it; since this tick, or the one before.
    Coming(bool),
    /// Since this tick, or longer.
    Runs(bool),
    /// It was told to stop in this tick, or in the one before.
    Stops(bool),
    /// It never will end.
    Hangs,
    /// It ended and was seen to: our finalizer keeps it (src/operator/effects/jobs.rs).
    Ended,
}

impl Pod {
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Runs(_) | Self::Stops(_) | Self::Hangs)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Burn {
    NeverStarted,
    /// With what the clock of whoever burned it showed.
    Started(i16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    Complete,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    pub token: Token,
    pub is_suspended: bool,
    pub was_released: bool,
    pub burned: Option<Burn>,
    pub end: Option<End>,
    pub pod: Pod,
    /// Pods that were created, two at most.
    pub starts: u8,
    pub was_burned: bool,
}

impl Default for Job {
    fn default() -> Self {
        let (is_suspended, was_released, burned, end, pod) = (true, false, None, None, Pod::None);
        Self { token: FORWARD, is_suspended, was_released, burned, end, pod, starts: 0, was_burned: false }
    }
}

/// What a write does when its tests hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    Stamp(usize),
    Close(usize),
    BurnTarget(usize, Token),
    /// With the token that it burns to, where it has to.
    Restore(usize, Option<Token>),
    /// The token is taken off.
    Disarm(usize),
    Release(usize),
    /// The undo may be released from now on; whether it tests that it is suspended, or that it is not.
    TurnJob(usize, Token, bool),
    /// Stopped and burned by one patch; whether it tests that it never started; the clock of the burn.
    StopJob(usize, Token, bool, i16),
    /// A stop that burns nothing (only where that rule is left out).
    Suspend(usize, i16),
}

/// What a write tests beside the object's UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Test {
    Token(Token),
    /// The revision; the same content counts as the same.
    Revision(Target),
    Nothing,
}

/// A write in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    pub change: Change,
    pub test: Test,
    /// Ticks since it was sent.
    pub age: u8,
}

/// A replica of the operator, or the sentinel that is obliged to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Actor {
    /// The ledger as it was read or written last.
    pub view: Ledger,
    /// What it decided on and has not left behind; only where old looks are in the bounds.
    pub asked: Option<Asked>,
    pub is_ahead: bool,
}

/// The base of a decision: which ledger, what was seen, in which tick, and whether a person's order was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asked {
    pub ledger: Ledger,
    pub seen: Option<Objects>,
    pub tick: u8,
    pub turn_back: bool,
}

/// What a look shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Objects {
    pub targets: [Target; 2],
    pub jobs: [Job; 2],
}

/// The most writes in flight that a search may ask for.
const FLIGHT_MAX: usize = 3;
/// The clock of a burn that was long ago.
const LONG_AGO: i16 = -1000;
/// How long after a burn a Pod may still be created, as `decide` counts it (src/engine/back.rs, `STALE_CONTROLLER`).
const STALE_CONTROLLER: i64 = 75;

/// The state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct World {
    /// The true time.
    pub tick: u8,
    pub ledger: Ledger,
    pub objects: Objects,
    /// Writes that were sent and have neither landed nor been lost, sorted.
    pub flight: [Option<Write>; FLIGHT_MAX],
    /// Two replicas, then the faulty sentinel; some are not there in a search.
    pub actors: [Actor; 3],
    /// The clock of the healthy sentinel.
    pub is_ahead: bool,
    /// The data of the first service is half changed.
    pub is_half_done: bool,
    /// People have written to the first service since the night opened it.
    pub people_write: bool,
    /// The next night has closed the first service.
    pub next_night: bool,
    /// Something forward landed after its burn: with the night taken over, or not.
    pub late: Option<bool>,
    /// An undo ran under people.
    pub undone_beneath: bool,
    /// The promise that the operator renews, as its clock showed it; the takeovers at the last moment, by owner. Only where a rule is left out.
    pub promise: i16,
    pub last_moment: [bool; 2],
}

impl World {
    /// Sends a write, which lands later, is lost or lands twice; false when no more fit.
    pub fn send(&mut self, rules: &Rules, write: Write) -> bool {
        let same = |one: &Write| (one.change, one.test) == (write.change, write.test);
        if self.flight.iter().flatten().count() >= rules.flight_max || self.flight.iter().flatten().any(same) {
            return false;
        }
        // What is free stands first.
        self.flight[0] = Some(write);
        self.flight.sort_unstable();
        true
    }

    /// A write is not in flight any more.
    pub fn forget(&mut self, write: Write) {
        for one in self.flight.iter_mut().filter(|one| **one == Some(write)) {
            *one = None;
        }
        self.flight.sort_unstable();
    }

    /// A write lands; nothing happens when a test does not hold.
    pub fn land(&mut self, rules: &Rules, write: Write, is_taken: bool) {
        if !self.holds(write) {
            return;
        }
        let targets = &mut self.objects.targets;
        match write.change {
            Change::Stamp(k) => targets[k].token = FORWARD,
            Change::Close(k) => {
                if targets[k].was_burned {
                    self.late = Some(is_taken);
                }
                targets[k].is_closed = true;
            }
            Change::BurnTarget(k, to) => {
                targets[k].token = if rules.leaves_tombstone { to } else { Token::None };
                targets[k].was_burned = true;
            }
            Change::Restore(k, burn) => {
                self.people_write |= k == 0 && targets[k].is_closed;
                targets[k].is_closed = false;
                targets[k].is_restored = true;
                if let Some(to) = burn {
                    targets[k].token = if rules.leaves_tombstone { to } else { Token::None };
                    targets[k].was_burned = true;
                }
            }
            Change::Disarm(k) => (targets[k].token, targets[k].is_restored) = (Token::None, false),
            Change::Release(j) => self.release(j, is_taken),
            Change::TurnJob(j, to, _) => self.objects.jobs[j].token = to,
            Change::StopJob(j, to, never, at) => {
                let job = &mut self.objects.jobs[j];
                job.token = to;
                job.burned = Some(if never { Burn::NeverStarted } else { Burn::Started(at) });
                job.was_burned = true;
                suspend(job);
            }
            Change::Suspend(j, at) => {
                let job = &mut self.objects.jobs[j];
                job.burned = Some(if job.was_released { Burn::Started(at) } else { Burn::NeverStarted });
                job.was_burned = true;
                suspend(job);
            }
        }
    }

    fn release(&mut self, j: usize, is_taken: bool) {
        let job = &mut self.objects.jobs[j];
        if j == J && job.was_burned {
            self.late = Some(is_taken);
        }
        (job.is_suspended, job.was_released) = (false, true);
        if job.end.is_none() && matches!(job.pod, Pod::None | Pod::Ended) {
            job.pod = Pod::Coming(false);
        }
    }

    /// Whether the tests of a write hold just now.
    pub fn holds(&self, write: Write) -> bool {
        let (token, target) = match write.change {
            Change::Stamp(k) | Change::Close(k) | Change::BurnTarget(k, _) | Change::Restore(k, _) | Change::Disarm(k) => {
                (self.objects.targets[k].token, Some(self.objects.targets[k]))
            }
            Change::Release(j) | Change::TurnJob(j, ..) | Change::StopJob(j, ..) | Change::Suspend(j, _) => {
                (self.objects.jobs[j].token, None)
            }
        };
        let tested = match write.test {
            Test::Token(expected) => token == expected,
            Test::Revision(seen) => target.is_some_and(|target| target == seen),
            Test::Nothing => token != Token::Foreign || !matches!(write.change, Change::Stamp(_)),
        };
        let untouched = match write.change {
            Change::Release(j) | Change::StopJob(j, _, true, _) => {
                self.objects.jobs[j].is_suspended && !self.objects.jobs[j].was_released
            }
            Change::TurnJob(j, _, is_suspended) => self.objects.jobs[j].is_suspended == is_suspended,
            _ => true,
        };
        tested && untouched
    }

    /// Its token was replaced for good, or its Job was released already: it will be refused whenever it lands.
    pub fn is_dead(&self, write: Write) -> bool {
        let Objects { targets, jobs } = &self.objects;
        let is_past = match write.change {
            Change::Release(j) | Change::StopJob(j, _, true, _) => jobs[j].was_released,
            _ => false,
        };
        let Test::Token(tested) = write.test else { return is_past };
        let token = match write.change {
            Change::Stamp(k) | Change::Close(k) | Change::BurnTarget(k, _) | Change::Restore(k, _) | Change::Disarm(k) => {
                targets[k].token
            }
            Change::Release(j) | Change::TurnJob(j, ..) | Change::StopJob(j, ..) | Change::Suspend(j, _) => jobs[j].token,
        };
        is_past || token.is_after(tested)
    }

    /// Something of the work hangs, or its undo failed: the first service may be dirty at the doors.
    pub fn may_be_dirty(&self) -> bool {
        let [work, undo] = &self.objects.jobs;
        [work, undo].iter().any(|job| job.pod == Pod::Hangs) || undo.end == Some(End::Failed)
    }

    /// The form of this world that equal worlds share; whether a write in it was found dead.
    pub fn settle(&mut self, rules: &Rules) -> bool {
        let tick = self.tick;
        for job in &mut self.objects.jobs {
            if let Some(Burn::Started(at)) = &mut job.burned {
                let is_seen = matches!(job.pod, Pod::Runs(_) | Pod::Stops(_) | Pod::Hangs | Pod::Ended);
                // A burn's moment is asked for only while no Pod was seen, and nobody could create one after so long.
                if is_seen || clock(tick, false) >= i64::from(*at) + STALE_CONTROLLER {
                    *at = LONG_AGO;
                }
            }
        }
        let dead: Vec<Write> = self.flight.iter().flatten().copied().filter(|write| self.is_dead(*write)).collect();
        for write in &dead {
            self.forget(*write);
        }
        // Replicas whose clocks are equal are interchangeable.
        if rules.replicas == 2 && self.actors[0].is_ahead == self.actors[1].is_ahead && self.actors[0] > self.actors[1] {
            self.actors.swap(0, 1);
        }
        !dead.is_empty()
    }
}

fn suspend(job: &mut Job) {
    job.is_suspended = true;
    // The request for a Pod that was sent just before lives a minute.
    if let Pod::Coming(is_old) = &mut job.pod {
        *is_old = false;
    }
}
