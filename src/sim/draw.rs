//! From a supposition to one night's world.
//!
//! In: plan, scenario, seed, the night's number. Out: a [`World`] in which nothing is left to chance. Invariants: a night depends on
//! its seed and its number alone, whatever other nights are drawn; what is drawn for one thing does not depend on how another goes.
//! Not here: how the world behaves ([`super::world`]).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::engine::facts::{JobKey, Pods, jobs};
use crate::model::plan::{Plan, PlannedUndo};

use super::length::Length;
use super::scenario::{Going, Often, Scenario};
use super::world::{Death, Run, World};

/// What a failing Job of the invented world says.
const FAILED: &str = "failed in this scenario";

/// The world of one night.
#[must_use]
pub fn draw(plan: &Plan, scenario: &Scenario, seed: u64, night: u64) -> World {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    chance.set_stream(night);
    let steps = scenario.steps.iter().map(|going| run(going, 1, &mut chance)).collect();
    let undos = plan.steps.iter().zip(&scenario.undos).map(|(step, going)| {
        let attempts = match step.undo {
            PlannedUndo::Job { attempts, .. } => attempts,
            PlannedUndo::Restore { .. } => 1,
            PlannedUndo::Reopening | PlannedUndo::Nothing | PlannedUndo::CoveredBy { .. } | PlannedUndo::Irreversible => 0,
        };
        (1..=attempts).map(|attempt| run(going, attempt, &mut chance)).collect()
    });
    let undos = undos.collect();
    let smoke = run(&scenario.smoke, 1, &mut chance);
    let services = scenario.services.iter().map(|going| run(going, 1, &mut chance)).collect();
    let mut left = Vec::new();
    for job in jobs(plan) {
        let stops = stops(scenario, job).draw(&mut chance);
        left.extend((!stops.is_zero()).then_some((job, (stops, Pods::Alive))));
    }
    let operator = scenario.operator.as_ref().filter(|operator| happens(&operator.dies, 1, &mut chance));
    let death = operator.map(|operator| Death::At {
        dies_at: operator.dies_at,
        returns_at: operator.returns_at,
        has_sentinel: operator.has_sentinel,
    });
    let orders = scenario.orders.clone();
    World { steps, undos, smoke, services, orders, left: left.into_iter().collect(), death, ..World::default() }
}

fn stops(scenario: &Scenario, job: JobKey) -> &Length {
    let going = match job {
        JobKey::Step(step) => scenario.steps.get(step),
        JobKey::Undo(step, _) => scenario.undos.get(step),
        JobKey::Smoke => None,
    };
    &going.unwrap_or(&scenario.smoke).stops
}

/// Everything is drawn whether it is needed or not: how one thing goes moves nothing that is drawn after it.
fn run(going: &Going, attempt: u32, chance: &mut ChaCha8Rng) -> Run {
    let takes = going.takes.draw(chance);
    let fails_after = going.fails_after.as_ref().map_or(takes, |after| after.draw(chance));
    let (hangs, fails) = (happens(&going.hangs, attempt, chance), happens(&going.fails, attempt, chance));
    match (hangs, fails) {
        (true, _) => Run::Hangs,
        (false, true) => Run::Fails { after: fails_after, reason: FAILED.to_owned() },
        (false, false) => Run::Ends { after: takes },
    }
}

fn happens(often: &Often, attempt: u32, chance: &mut ChaCha8Rng) -> bool {
    match often {
        Often::Never => false,
        Often::Always => true,
        Often::Attempts(attempts) => attempts.contains(&attempt),
        Often::Chance(probability) => unit(chance.next_u64()) < *probability,
    }
}

/// A number from 0 to below 1, from the upper 53 bits.
#[allow(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
