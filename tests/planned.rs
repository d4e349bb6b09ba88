//! What some nights come to by day, in full: plans, refusals with their sums, and the rights that they need.
//!
//! Each has its text in `tests/golden/planned/NAME.txt`; `UPDATE=1` rewrites them, and a reviewer reads the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "reference/chance.rs"]
#[allow(dead_code, reason = "worlds are not drawn here")]
mod chance;
mod golden;
mod nights;

use chance::Chance;
use golden::compare;
use nights::{Night, job, sogei, t};
use notturno::model::action::Undo;
use notturno::model::span::Span;
use notturno::plan::named;
use notturno::plan::rights::{Needs, Whose};

/// Nights that are drawn.
const DRAWN: u64 = 20;

fn told(night: &Night) -> String {
    let verdict = night.verdict();
    let mut text: String = verdict.warnings.iter().map(|warning| format!("warning {warning:?}\n")).collect();
    text += &verdict.refusals.iter().map(|refusal| format!("refused {refusal:?}\n")).collect::<String>();
    let Some(mut plan) = verdict.accepted() else { return text };
    let needs = [
        ("plan", Needs::of_plan(&plan)),
        ("plan without a switch", Needs::of_plan(&plan).without_switch()),
        ("runbook", Needs::of_runbook(&night.runbook, &night.services).expect("it was accepted")),
    ];
    for (of, needs) in needs {
        for whose in [Whose::Work, Whose::Sentinel] {
            for right in needs.rights(whose) {
                text += &format!("{of}, {whose:?}: {right:?}\n");
            }
        }
    }
    text += &std::mem::take(&mut plan.steps).iter().map(|step| format!("{step:?}\n")).collect::<String>();
    text += &std::mem::take(&mut plan.services).iter().map(|service| format!("{service:?}\n")).collect::<String>();
    text + &format!("{plan:?}\n")
}

#[test]
fn the_night_of_2023_comes_to_the_same_as_ever() {
    compare("planned/night-of-2023", &told(&sogei()));
}

#[test]
fn drawn_nights_come_to_the_same_as_ever() {
    let nights = (0..DRAWN).map(|seed| format!("# {seed}\n{}", told(&chance::night(&mut Chance(seed)))));
    compare("planned/drawn", &nights.collect::<String>());
}

#[test]
fn nights_that_do_not_fit_are_refused_with_the_same_sums_as_ever() {
    let mut found = String::new();
    let mut refused = |what: &str, change: fn(&mut Night)| {
        let mut night = sogei();
        change(&mut night);
        assert_ne!(night.verdict().refusals, [], "{what}");
        found += &format!("# {what}\n{}", told(&night));
        let named = named(&night.runbook, &night.services, &night.calendars);
        found += &named
            .refusals
            .iter()
            .map(|refusal| format!("whatever the night: {} {}\n", refusal.path, refusal.message))
            .collect::<String>();
    };
    refused("begins late", |night| night.intervention.start_at = t("03:00"));
    refused("keeps back more than there is", |night| night.runbook.reserve = Span::minutes(240));
    refused("an undo takes too long", |night| {
        night.step("aggiorna").undo = Undo::Job { budget: Span::minutes(300), attempts: 2, job: job("ripristina") };
    });
    refused("reopening takes too long", |night| night.services.iter_mut().for_each(|one| one.reopen_budget = Span::minutes(200)));
    refused("a hard cap is short", |night| night.step("aggiorna").hard_cap = Some(Span::minutes(10)));
    refused("needs what is not there", |night| night.step("aggiorna").needs.push("mai".to_owned()));
    refused("needs itself", |night| night.step("preflight").needs.push("prova".to_owned()));
    refused("closes what does not allow it", |night| night.services.iter_mut().for_each(|one| one.allowed_from.clear()));
    refused("a calendar is not there", |night| drop(night.calendars.remove("cup")));
    compare("planned/refused", &found);
}
