//! Nights that leave work half done, and facts to decide on.

use crate::nights::{Night, Played, World, opens, opens_in_part, sogei, t};
use notturno::engine::facts::{Burned, JobEnd, JobFact, Pods, ServiceFact, TokenFact, jobs};
use notturno::engine::{Decision, Entry, Event, Facts, JobKey};
use notturno::model::plan::Plan;

pub const UNDO: [JobKey; 2] = [JobKey::Undo(4, 1), JobKey::Undo(4, 2)];

/// The upgrade hangs, and so does its undo.
pub fn hanging() -> World {
    let mut world = World::default();
    world.takes.insert("aggiorna".to_owned(), None);
    world.takes.insert("undo-aggiorna".to_owned(), None);
    world
}

/// One service of the core stays closed, one opens in part, one opens.
pub fn mixed() -> Night {
    let mut night = sogei();
    night.when_dirty("accesso-ts", opens_in_part("accesso-ts"));
    night.when_dirty("ricetta-elettronica", opens());
    night
}

pub fn all_open() -> Night {
    let mut night = sogei();
    for name in ["anagrafe-assistiti", "accesso-ts", "ricetta-elettronica"] {
        night.when_dirty(name, opens());
    }
    night
}

pub fn number(plan: &Plan, service: &str) -> usize {
    plan.services.iter().position(|planned| planned.id.name == service).expect("a service")
}

pub fn expired(played: &Played, service: &str) -> Option<String> {
    played.at(|event| matches!(event, Event::UndosExpired { service: one, .. } if one.name == service))
}

pub fn until(played: &Played, is: impl Fn(&Event) -> bool) -> Vec<Entry> {
    let end = played.journal.iter().position(|entry| is(&entry.event)).unwrap_or_else(|| panic!("{}", played.text()));
    played.journal[..=end].to_vec()
}

pub fn has(decision: &Decision, is: impl Fn(&Event) -> bool) -> bool {
    decision.events.iter().any(|entry| is(&entry.event))
}

pub fn job_fact(burned: Option<Burned>, end: Option<JobEnd>, pods: Pods) -> JobFact {
    let token = if burned.is_some() { TokenFact::Expired } else { TokenFact::Back };
    JobFact { token, burned, burned_at: burned.map(|_| t("05:00")), suspended: true, end, pods, held: false }
}

/// Everything is burned, nothing runs.
pub fn at_rest(plan: &Plan) -> Facts {
    let dead = |key| (key, job_fact(Some(Burned::Started), None, Pods::Terminal));
    let burned = ServiceFact { burned: true, ..ServiceFact::default() };
    Facts {
        jobs: jobs(plan).into_iter().map(dead).collect(),
        services: (0..plan.services.len()).map(|index| (index, burned.clone())).collect(),
        ..Facts::default()
    }
}

pub fn opening_of(service: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Opening { services } if services.iter().any(|one| one.name == service))
}

pub fn held(service: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::HeldClosed { service: one, .. } if one.name == service)
}
