//! What goes on in an invented world: it does what it is told, in its own time, and shows what there is.
//!
//! In: a world, commands of the engine, moments. Out: facts, and when something next happens by itself. Invariants: it decides nothing;
//! what is asked twice happens once; what was burned does not happen. Not here: when it is asked ([`super::play`]).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::engine::facts::{
    Arming, Burned, ChangeFact, CheckFact, ClosingFact, JobEnd, JobFact, Pods, Probes, SwitchFact, TokenFact, jobs,
};
use crate::engine::state::{ServiceState, State};
use crate::engine::{BurnTo, Command, Facts, JobKey};
use crate::model::epoch::Epoch;
use crate::model::plan::{Plan, ServiceIndex, StepIndex};
use crate::model::span::{Span, after};

use super::switch::{Made, Switch, seen};
use super::world::{Death, Run, World};

/// Something that happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    JobEnds(JobKey),
    PodsEnd(JobKey),
    Closed(ServiceIndex, StepIndex),
    Changed(StepIndex),
    Checked(StepIndex),
    Restored(StepIndex),
    /// Only something to look at again.
    Seen,
}

/// What goes on in a world, and what is seen of it.
#[derive(Debug)]
pub(super) struct Doing<'a> {
    plan: &'a Plan,
    world: &'a World,
    pub(super) facts: Facts,
    ahead: BTreeSet<(Timestamp, Happening)>,
    /// Jobs that were let run, and whether they were stopped since.
    running: BTreeMap<JobKey, bool>,
    opening: BTreeMap<ServiceIndex, Timestamp>,
    closing: BTreeSet<ServiceIndex>,
    changing: BTreeSet<StepIndex>,
    checking: BTreeSet<StepIndex>,
    restoring: BTreeSet<StepIndex>,
    switch: Made,
}

impl<'a> Doing<'a> {
    /// The world before anything was asked of it.
    pub(super) fn new(plan: &'a Plan, world: &'a World, now: Timestamp) -> Self {
        let facts = Facts { orders: world.orders.clone(), ..Facts::default() };
        let mut ahead: BTreeSet<(Timestamp, Happening)> = world.orders.iter().map(|order| (order.at, Happening::Seen)).collect();
        ahead.extend(world.switch.iter().flat_map(Switch::edges).map(|at| (at, Happening::Seen)));
        if let Some(Death::At { dies_at, returns_at, .. }) = &world.death {
            ahead.extend([Some(*dies_at), *returns_at].into_iter().flatten().map(|at| (at, Happening::Seen)));
        }
        let mut doing = Self {
            plan,
            world,
            facts,
            ahead,
            running: BTreeMap::new(),
            opening: BTreeMap::new(),
            closing: BTreeSet::new(),
            changing: BTreeSet::new(),
            checking: BTreeSet::new(),
            restoring: BTreeSet::new(),
            switch: Made::NotYet,
        };
        doing.look(now);
        doing
    }

    /// When something next happens by itself.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.ahead.first().map(|(at, _)| *at)
    }

    /// What has come to be until now.
    pub(super) fn observe(&mut self, state: &State, now: Timestamp) {
        while let Some((at, happening)) = self.ahead.first().copied().filter(|(at, _)| *at <= now) {
            self.ahead.remove(&(at, happening));
            self.happen(happening);
        }
        self.look(now);
        self.probe(state, now);
    }

    fn look(&mut self, now: Timestamp) {
        let unbounded = self.world.clock_unbounded.as_ref().filter(|when| when.contains(&now));
        self.facts.clock_unbounded = unbounded.map(|_| "nobody says the time".to_owned());
        self.facts.switch = seen(self.world.switch.as_ref(), self.switch, self.plan.start_at, now);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::JobEnds(job) => {
                let stopped = self.running.get(&job).copied().unwrap_or(true);
                if let Some(fact) = self.facts.jobs.get_mut(&job).filter(|_| !stopped) {
                    fact.end = Some(self.world.job(self.plan, job).job_end());
                    fact.pods = Pods::Terminal;
                }
            }
            Happening::PodsEnd(job) => {
                if let Some(fact) = self.facts.jobs.get_mut(&job) {
                    fact.pods = Pods::Terminal;
                }
            }
            Happening::Closed(service, step) => {
                self.facts.services.entry(service).or_default().closing = self.world.step(self.plan, step).closing();
            }
            Happening::Changed(step) => {
                let fact = self.facts.changes.entry(step).or_default();
                if !fact.burned {
                    fact.change = self.world.step(self.plan, step).closing();
                }
            }
            Happening::Checked(step) => {
                let seen = match self.world.step(self.plan, step) {
                    Run::Fails { reason, .. } => CheckFact::Failed { reason },
                    Run::Ends { .. } | Run::Hangs => CheckFact::Passed,
                };
                self.facts.checks.insert(step, seen);
            }
            Happening::Restored(step) => {
                let fact = self.facts.changes.entry(step).or_default();
                if fact.expired {
                    return;
                }
                match self.world.job(self.plan, JobKey::Undo(step, 1)) {
                    Run::Fails { reason, .. } => fact.cannot_restore = Some(reason),
                    Run::Ends { .. } | Run::Hangs => fact.restored = true,
                }
            }
            Happening::Seen => {}
        }
    }

    /// A service answers once its time is over and all that it calls is open.
    fn probe(&mut self, state: &State, now: Timestamp) {
        for (&service, &since) in &self.opening {
            let is_open = |upstream: &ServiceIndex| {
                matches!(state.services.get(*upstream), Some(ServiceState::Opened { .. } | ServiceState::Open))
            };
            let upstreams = self.plan.services.get(service).map(|planned| &planned.upstreams);
            let answers = match self.world.services.get(service).cloned().unwrap_or_default() {
                Run::Ends { after: takes } => after(since, takes) <= now,
                Run::Fails { .. } | Run::Hangs => false,
            };
            let is_green = answers && upstreams.into_iter().flatten().all(is_open);
            self.facts.services.entry(service).or_default().probes = if is_green {
                Probes::Green
            } else {
                Probes::Red { reason: "503".to_owned(), asked_for: Span::between(since, now) }
            };
        }
    }

    /// Whether services are asked whether they answer: what is seen of them follows what is recorded of others.
    pub(super) fn is_opening(&self) -> bool {
        !self.opening.is_empty()
    }

    /// Whether the command asks for something that was not asked before.
    pub(super) fn is_new(&self, command: &Command) -> bool {
        match command {
            Command::Probe { service } => !self.opening.contains_key(service),
            Command::Check { step } => !self.checking.contains(step),
            Command::Restore { step } => !self.restoring.contains(step),
            Command::ArmSwitch => self.switch == Made::NotYet,
            Command::Arm
            | Command::Close { .. }
            | Command::Change { .. }
            | Command::Release { .. }
            | Command::BurnJob { .. }
            | Command::BurnTargets { .. }
            | Command::BurnChange { .. }
            | Command::ExpireChange { .. }
            | Command::CloseAgain { .. }
            | Command::Reopen { .. }
            | Command::Degrade { .. }
            | Command::LetGo { .. }
            | Command::Disarm
            | Command::DisarmSwitch => true,
        }
    }

    fn later(&mut self, now: Timestamp, lasts: Option<Span>, happening: Happening) {
        self.ahead.extend(lasts.map(|lasts| (after(now, lasts), happening)));
    }

    /// Does what is asked.
    pub(super) fn obey(&mut self, command: &Command, now: Timestamp) {
        let (plan, world) = (self.plan, self.world);
        match command {
            Command::Arm => {
                self.facts.arming = Arming::Armed;
                self.facts.jobs = jobs(plan).into_iter().map(|job| (job, prepared())).collect();
            }
            Command::Close { service, .. } => self.close(*service, now),
            Command::Release { job, .. } => self.release(*job, now),
            Command::BurnJob { job, to } => self.burn(*job, *to, now),
            Command::Change { step, .. } => {
                if self.changing.insert(*step) {
                    self.later(now, world.step(plan, *step).lasts(), Happening::Changed(*step));
                }
                self.facts.changes.insert(*step, ChangeFact { change: ClosingFact::Draining, ..ChangeFact::default() });
            }
            Command::BurnChange { step } => {
                let untouched = !self.changing.contains(step);
                let fact = self.facts.changes.entry(*step).or_default();
                (fact.burned, fact.restored) = (true, fact.restored || untouched);
            }
            Command::ExpireChange { step } => self.facts.changes.entry(*step).or_default().expired = true,
            Command::Degrade { service } => {
                self.facts.services.entry(*service).or_default().degraded = ClosingFact::Closed;
            }
            Command::Restore { step } => {
                if self.restoring.insert(*step) {
                    self.later(now, world.job(plan, JobKey::Undo(*step, 1)).lasts(), Happening::Restored(*step));
                }
            }
            Command::Check { step } => {
                if self.checking.insert(*step) {
                    self.later(now, world.step(plan, *step).lasts(), Happening::Checked(*step));
                }
            }
            Command::CloseAgain { service } => {
                let fact = self.facts.services.entry(*service).or_default();
                (fact.closing, fact.restored) = (ClosingFact::Closed, false);
            }
            Command::BurnTargets { service } => self.facts.services.entry(*service).or_default().burned = true,
            Command::Reopen { service } => self.facts.services.entry(*service).or_default().restored = true,
            Command::Probe { service } => {
                if !self.opening.contains_key(service) {
                    self.opening.insert(*service, now);
                    self.later(now, world.services.get(*service).map_or(Some(Span::ZERO), Run::lasts), Happening::Seen);
                }
            }
            Command::LetGo { job } => {
                if let Some(fact) = self.facts.jobs.get_mut(job) {
                    fact.held = false;
                }
            }
            Command::Disarm => self.facts.disarmed = true,
            Command::ArmSwitch => self.switch = Made::Standing,
            Command::DisarmSwitch => (self.facts.switch, self.switch) = (SwitchFact::Gone, Made::Fallen),
        }
    }

    /// Closing takes as long as its step.
    fn close(&mut self, service: ServiceIndex, now: Timestamp) {
        let step = self.plan.steps.iter().position(|step| step.closes().contains(&service)).unwrap_or(self.plan.steps.len());
        if self.closing.insert(service) {
            self.later(now, self.world.step(self.plan, step).lasts(), Happening::Closed(service, step));
        }
        self.facts.services.entry(service).or_default().closing = ClosingFact::Draining;
    }

    fn release(&mut self, job: JobKey, now: Timestamp) {
        let Some(fact) = self.facts.jobs.get_mut(&job) else { return };
        (fact.suspended, fact.pods) = (false, Pods::Alive);
        self.running.insert(job, false);
        self.later(now, self.world.job(self.plan, job).lasts(), Happening::JobEnds(job));
    }

    /// One that runs is stopped by the same write, unless it has ended.
    fn burn(&mut self, job: JobKey, to: BurnTo, now: Timestamp) {
        let Some(fact) = self.facts.jobs.get_mut(&job) else { return };
        if to == BurnTo::Back {
            fact.token = TokenFact::Back;
            return;
        }
        let running = self.running.get_mut(&job);
        fact.token = TokenFact::Expired;
        fact.burned = Some(match &running {
            None => Burned::NeverStarted,
            Some(stopped) if !**stopped && fact.end == Some(JobEnd::Complete) => Burned::Completed,
            Some(_) => Burned::Started,
        });
        (fact.burned_at, fact.suspended) = (Some(now), true);
        let Some(stopped) = running.filter(|stopped| !**stopped) else { return };
        *stopped = true;
        if fact.end.is_none() {
            fact.pods = Pods::Terminal;
            if let Some((left, pods)) = self.world.left.get(&job) {
                fact.pods = pods.clone();
                self.later(now, Some(*left), Happening::PodsEnd(job));
            }
        }
    }

    /// Who looks from now on. With the operator dead, people's orders reach nobody.
    pub(super) fn asked_by(&mut self, epoch: Epoch) {
        if self.facts.epoch == epoch {
            return;
        }
        self.facts.epoch = epoch;
        if matches!(self.world.death, Some(Death::At { .. })) {
            self.facts.orders = if epoch == Epoch::OPERATOR { self.world.orders.clone() } else { Vec::new() };
        }
    }

    /// What the operator burned is to be burned again, by whoever took the night over.
    pub(super) fn age_tokens(&mut self) {
        for fact in self.facts.jobs.values_mut().filter(|fact| fact.token != TokenFact::Expired) {
            fact.token = TokenFact::Older;
        }
        self.facts.services.values_mut().for_each(|fact| fact.burned = false);
        self.facts.changes.values_mut().for_each(|fact| fact.burned = false);
    }
}

fn prepared() -> JobFact {
    JobFact {
        token: TokenFact::Forward,
        burned: None,
        burned_at: None,
        suspended: true,
        end: None,
        pods: Pods::NoneSeen,
        held: false,
    }
}
