//! What a journal says, read entry by entry.

use std::collections::BTreeSet;

use jiff::Timestamp;
use notturno::engine::{Entry, Event};
use notturno::model::plan::Plan;

/// What a journal says of one step.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    pub begun: Option<Timestamp>,
    pub cap: Option<Timestamp>,
    pub done: Option<Timestamp>,
    pub failed: Option<Timestamp>,
    pub overrun: bool,
    pub extended: bool,
    pub yes: BTreeSet<String>,
}

/// What a journal says.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "the naive way")]
pub struct Told<'a> {
    pub plan: &'a Plan,
    pub steps: Vec<Lived>,
    pub armed: bool,
    pub forward: bool,
    pub turned: bool,
    pub reopening: bool,
    pub over: bool,
    pub held: bool,
    pub answered: BTreeSet<String>,
}

impl<'a> Told<'a> {
    pub fn of(plan: &'a Plan, journal: &[Entry]) -> Self {
        let steps = vec![Lived::default(); plan.steps.len()];
        let mut told = Self {
            plan,
            steps,
            armed: false,
            forward: false,
            turned: false,
            reopening: false,
            over: false,
            held: false,
            answered: BTreeSet::new(),
        };
        for entry in journal {
            told.hear(entry);
        }
        told
    }

    fn index(&self, name: &str) -> usize {
        self.plan.steps.iter().position(|step| step.name == name).unwrap()
    }

    pub fn hear(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.event {
            Event::Armed {} => self.armed = true,
            Event::WorkBegun {} => self.forward = true,
            Event::GoingBack { .. } | Event::Committed {} => (self.forward, self.turned) = (false, true),
            Event::Finished { .. } => (self.forward, self.over) = (false, true),
            Event::ReopeningBegun {} => self.reopening = true,
            Event::StepIntended { step, .. } => {
                let index = self.index(step);
                self.steps[index].begun = Some(at);
                self.steps[index].cap = Some(at + self.plan.steps[index].hard_cap.get());
            }
            Event::StepDone { step } => {
                let index = self.index(step);
                self.steps[index].done = Some(at);
            }
            Event::StepFailed { step, .. } => {
                let index = self.index(step);
                self.steps[index].failed = Some(at);
            }
            Event::Overrun { step } => {
                let index = self.index(step);
                self.steps[index].overrun = true;
            }
            Event::Extended { step, until, order, .. } => {
                let index = self.index(step);
                (self.steps[index].cap, self.steps[index].extended) = (Some(*until), true);
                self.answered.insert(order.clone());
            }
            Event::Confirmed { step, order, by } => {
                let index = self.index(step);
                self.steps[index].yes.insert(by.clone());
                self.answered.insert(order.clone());
            }
            Event::Held { order, .. } => {
                self.held = true;
                self.answered.insert(order.clone());
            }
            Event::Resumed { order, .. } => {
                self.held = false;
                self.answered.insert(order.clone());
            }
            Event::OrderRefused { order, .. } => drop(self.answered.insert(order.clone())),
            _ => {}
        }
    }

    /// Nothing has begun, and it may.
    pub fn is_still(&self) -> bool {
        !(self.forward || self.turned || self.over)
    }

    pub fn is_running(&self, index: usize) -> bool {
        let lived = &self.steps[index];
        lived.begun.is_some() && lived.done.is_none() && lived.failed.is_none()
    }

    pub fn running(&self) -> Vec<usize> {
        (0..self.steps.len()).filter(|&index| self.is_running(index)).collect()
    }

    pub fn begun(&self) -> BTreeSet<usize> {
        (0..self.steps.len()).filter(|&index| self.steps[index].begun.is_some()).collect()
    }

    pub fn end_of(&self, index: usize, now: Timestamp) -> Timestamp {
        let lived = &self.steps[index];
        match (lived.done.or(lived.failed), lived.begun) {
            (Some(ended), _) => ended,
            (None, Some(begun)) => (begun + self.plan.steps[index].budget.get()).max(now),
            (None, None) => now,
        }
    }
}
