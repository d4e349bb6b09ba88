//! What is supposed of a night: how long things take, what hangs, what fails, what people say, when the operator dies.
//!
//! In: whoever reads a scenario's file, in the positions of one plan. Out: [`Scenario`]. Invariant: one entry for each step and each
//! service of its plan. Not here: the file's words (the command line), what becomes of it in one night ([`super::draw`]).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::engine::facts::Order;
use crate::model::plan::Plan;
use crate::model::span::Span;

use super::length::Length;

/// A whole supposition.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// One for each planned step.
    pub steps: Vec<Going>,
    /// One for the undo of each planned step, whether it has one or not.
    pub undos: Vec<Going>,
    /// The verification after undos.
    pub smoke: Going,
    /// One for each planned service: its reopening. One that hangs never answers.
    pub services: Vec<Going>,
    /// Orders of people.
    pub orders: Vec<Order>,
    /// The operator's death, when it dies.
    pub operator: Option<Operator>,
}

/// How something goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Going {
    /// How long it takes.
    pub takes: Length,
    /// How often it never ends.
    pub hangs: Often,
    /// How often it fails.
    pub fails: Often,
    /// After how long it fails; as long as it would take otherwise where nothing is said.
    pub fails_after: Option<Length>,
    /// How long its Pods live on when it is stopped.
    pub stops: Length,
}

/// How often something happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Often {
    /// Not at all.
    #[default]
    Never,
    /// Every time.
    Always,
    /// With this probability.
    Chance(f64),
    /// At these attempts, from 1.
    Attempts(BTreeSet<u32>),
}

/// The operator's death.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// When.
    pub dies_at: Timestamp,
    /// How often.
    pub dies: Often,
    /// When it is back; none when it stays away.
    pub returns_at: Option<Timestamp>,
    /// Whether the dead man's switch stands, and asks in its place.
    pub has_sentinel: bool,
}

impl Going {
    /// It takes as long as this, and nothing goes wrong.
    #[must_use]
    pub fn well(takes: Span) -> Self {
        Self {
            takes: Length::Fixed(takes),
            hangs: Often::Never,
            fails: Often::Never,
            fails_after: None,
            stops: Length::Fixed(Span::ZERO),
        }
    }

    /// Whether it goes the same way every night.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        let spans = self.takes.is_fixed() && self.stops.is_fixed() && self.fails_after.as_ref().is_none_or(Length::is_fixed);
        spans && self.hangs.is_fixed() && self.fails.is_fixed()
    }
}

impl Often {
    /// Whether it is known beforehand.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        match self {
            Self::Never | Self::Always | Self::Attempts(_) => true,
            Self::Chance(chance) => *chance <= 0.0 || *chance >= 1.0,
        }
    }
}

impl Scenario {
    /// Nothing is said: everything takes the budget that it declared, Pods that are stopped end at once, nothing fails, nobody speaks.
    #[must_use]
    pub fn as_declared(plan: &Plan) -> Self {
        let smoke = plan.smoke.as_ref().map(|smoke| smoke.budget).unwrap_or_default();
        Self {
            steps: plan.steps.iter().map(|step| Going::well(step.budget)).collect(),
            undos: plan.steps.iter().map(|step| Going::well(step.undo_budget())).collect(),
            smoke: Going::well(smoke),
            services: plan.services.iter().map(|service| Going::well(service.reopen_budget)).collect(),
            orders: Vec::new(),
            operator: None,
        }
    }

    /// Whether every night goes the same way.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        let all = self.steps.iter().chain(&self.undos).chain([&self.smoke]).chain(&self.services);
        all.into_iter().all(Going::is_fixed) && self.operator.as_ref().is_none_or(|operator| operator.dies.is_fixed())
    }
}
