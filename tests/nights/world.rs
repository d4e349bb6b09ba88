//! The invented world of [`notturno::sim`], written with names instead of positions, and a check on the way: whoever keeps a state and
//! whoever folds the journal anew decide alike.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use notturno::engine::facts::{Ask, Order, Pods, jobs};
use notturno::engine::{Decision, Entry, Event, Facts, JobKey, State, decide};
use notturno::model::plan::{Plan, PlannedUndo};
use notturno::model::span::Span;
use notturno::sim::{self, Death, Run};

pub use notturno::sim::Switch;

use super::t;

/// How long Jobs take in the invented world; none: they hang.
#[derive(Default)]
pub struct World {
    pub takes: BTreeMap<String, Option<Span>>,
    pub fails: BTreeMap<(String, u32), Span>,
    pub reopening: BTreeMap<String, Span>,
    pub orders: Vec<Order>,
    /// How long the Pods of a Job that was stopped are seen like this, before they have ended.
    pub left: BTreeMap<String, (Span, Pods)>,
    /// Services that never answer.
    pub red: BTreeSet<String>,
    /// While the server's clock is not bounded.
    pub clock_unbounded: Option<Range<Timestamp>>,
    /// The operator is dead once the journal has so many entries: from then on a sentinel asks.
    pub dies_after: Option<usize>,
    /// The dead man's switch; none where nobody asks for one.
    pub switch: Option<Switch>,
}

impl World {
    /// The same in the positions of a plan.
    pub fn of(&self, plan: &Plan) -> sim::World {
        let undos = plan.steps.iter().map(|step| {
            let attempts = if let PlannedUndo::Job { attempts, .. } = step.undo { attempts } else { 1 };
            (1..=attempts).map(|attempt| self.run(&format!("undo-{}", step.name), attempt, step.undo_budget())).collect()
        });
        let services = plan.services.iter().map(|service| {
            let after = self.reopening.get(&service.id.name).copied().unwrap_or_default();
            if self.red.contains(&service.id.name) { Run::Hangs } else { Run::Ends { after } }
        });
        let left = jobs(plan).into_iter().filter_map(|job| Some((job, self.left.get(&name_of(plan, job))?.clone())));
        sim::World {
            steps: plan.steps.iter().map(|step| self.run(&step.name, 0, step.budget)).collect(),
            undos: undos.collect(),
            smoke: self.run("smoke", 0, plan.smoke.as_ref().map(|smoke| smoke.budget).unwrap_or_default()),
            services: services.collect(),
            orders: self.orders.clone(),
            left: left.collect(),
            clock_unbounded: self.clock_unbounded.clone(),
            death: self.dies_after.map(Death::After),
            switch: self.switch.clone(),
        }
    }

    fn run(&self, name: &str, attempt: u32, budget: Span) -> Run {
        if let Some(after) = self.fails.get(&(name.to_owned(), attempt)) {
            return Run::Fails { after: *after, reason: "exit code 1".to_owned() };
        }
        self.takes.get(name).copied().unwrap_or(Some(budget)).map_or(Run::Hangs, |after| Run::Ends { after })
    }
}

fn name_of(plan: &Plan, key: JobKey) -> String {
    match key {
        JobKey::Step(step) => plan.steps[step].name.clone(),
        JobKey::Undo(step, _) => format!("undo-{}", plan.steps[step].name),
        JobKey::Smoke => "smoke".to_owned(),
    }
}

/// A whole night against the world, moment by moment; returns the journal.
pub struct Played {
    pub plan: Plan,
    pub journal: Vec<Entry>,
    pub decisions: Vec<(Timestamp, Decision)>,
}

impl Played {
    pub fn at(&self, is: impl Fn(&Event) -> bool) -> Option<String> {
        let entry = self.journal.iter().find(|entry| is(&entry.event))?;
        Some(notturno::engine::words::clock(&self.plan, entry.at))
    }

    pub fn state(&self) -> State {
        State::fold(&self.plan, &self.journal)
    }

    pub fn opened(&self, name: &str) -> Option<String> {
        self.at(|event| matches!(event, Event::Opened { service } if service.name == name))
    }

    pub fn text(&self) -> String {
        self.journal.iter().map(|e| format!("{} {}\n", notturno::engine::words::clock(&self.plan, e.at), e.why)).collect()
    }
}

pub fn play(plan: &Plan, world: &World, until: Timestamp) -> Played {
    play_before(plan, world, until, &mut |_, _, _, _| {})
}

/// The same, before the eyes of `see`: journal, facts, now, and what was decided on them.
pub fn play_before(
    plan: &Plan,
    world: &World,
    until: Timestamp,
    see: &mut impl FnMut(&[Entry], &Facts, Timestamp, &Decision),
) -> Played {
    let mut decisions = vec![];
    let mut both = |journal: &[Entry], facts: &Facts, now: Timestamp, decision: &Decision| {
        assert_eq!(&decide(plan, journal, facts, now), decision, "the journal folded anew leads elsewhere, at {now}");
        see(journal, facts, now, decision);
        decisions.push((now, decision.clone()));
    };
    let played = sim::play_before(plan, &world.of(plan), until, &mut both);
    assert_eq!(State::fold(plan, &played.journal), played.state);
    Played { plan: plan.clone(), journal: played.journal, decisions }
}

/// What people ask, when and who.
pub fn orders(asked: &[(&str, &str, Ask)]) -> Vec<Order> {
    let order = |(index, (at, by, ask)): (usize, &(&str, &str, Ask))| Order {
        name: format!("o{index}"),
        by: (*by).to_owned(),
        at: t(at),
        ask: ask.clone(),
    };
    asked.iter().enumerate().map(order).collect()
}
