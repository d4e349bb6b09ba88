//! What becomes of half-done work, a second time and the slow way: read from the journal and the facts alone.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use notturno::engine::facts::{Burned, Facts, JobEnd, JobFact, JobKey, Pods, TokenFact};
use notturno::engine::journal::Proof;
use notturno::engine::{Command, Decision, Entry, Event};
use notturno::model::plan::{Plan, PlannedAction, PlannedUndo};
use notturno::model::service::WhenDirty;

use crate::chance::Seen;
use crate::naive;

/// How long a controller may still create a Pod after a burn.
const STALE: SignedDuration = SignedDuration::from_secs(75);

/// A journal as the questions below need it.
struct Story<'a> {
    plan: &'a Plan,
    journal: Vec<Entry>,
}

impl Story<'_> {
    fn any(&self, is: impl Fn(&Event) -> bool) -> bool {
        self.journal.iter().any(|entry| is(&entry.event))
    }

    fn begun(&self) -> BTreeSet<usize> {
        (0..self.plan.steps.len())
            .filter(|&index| self.any(|e| matches!(e, Event::StepIntended { step, .. } if *step == self.plan.steps[index].name)))
            .collect()
    }

    fn is_done(&self, index: usize) -> bool {
        self.any(|event| matches!(event, Event::StepDone { step } if *step == self.plan.steps[index].name))
    }

    fn proof(&self, index: usize) -> Option<Proof> {
        self.journal.iter().find_map(|entry| match &entry.event {
            Event::StepStopped { step, proof } if *step == self.plan.steps[index].name => Some(*proof),
            _ => None,
        })
    }

    fn is_undone(&self, index: usize) -> bool {
        let undone = self.any(|event| matches!(event, Event::UndoDone { step, .. } if *step == self.plan.steps[index].name));
        undone && (self.plan.smoke.is_none() || self.any(|event| matches!(event, Event::SmokeDone {})))
    }

    fn ran(&self) -> BTreeSet<usize> {
        self.begun().into_iter().filter(|&index| self.proof(index) != Some(Proof::NeverStarted)).collect()
    }

    fn is_half_done(&self, index: usize) -> bool {
        if !self.ran().contains(&index) || self.any(|event| matches!(event, Event::Committed {})) {
            return false;
        }
        if naive::left_alone(self.plan, &self.ran()).contains(&index) {
            return !self.is_complete(index);
        }
        match self.plan.steps[index].undo {
            PlannedUndo::Job { .. } | PlannedUndo::Restore { .. } => !self.is_undone(index),
            PlannedUndo::CoveredBy { step } => !self.is_undone(step) || (!self.is_done(index) && self.proof(index).is_none()),
            PlannedUndo::Nothing | PlannedUndo::Reopening | PlannedUndo::Irreversible => !self.is_complete(index),
        }
    }

    /// It did what it was for, be it that the night had turned by then.
    fn is_complete(&self, index: usize) -> bool {
        self.is_done(index) || self.proof(index) == Some(Proof::Completed)
    }

    fn is_closed(&self, service: usize) -> bool {
        self.begun().iter().any(|&index| self.plan.steps[index].closes().contains(&service))
    }

    fn dirty(&self, service: usize) -> BTreeSet<usize> {
        let touching = (0..self.plan.steps.len()).filter(|&index| self.plan.steps[index].touches.contains(&service));
        if self.is_closed(service) { touching.filter(|&index| self.is_half_done(index)).collect() } else { BTreeSet::new() }
    }

    /// Undos that could still change data of the service, or an object that such an undo restores.
    fn undos(&self, service: usize) -> BTreeSet<usize> {
        let steps = &self.plan.steps;
        let open = |&index: &usize| {
            let own = matches!(steps[index].undo, PlannedUndo::Job { .. } | PlannedUndo::Restore { .. });
            own && !self.any(|event| matches!(event, Event::UndoDone { step, .. } if *step == steps[index].name))
        };
        let all: Vec<usize> = self.ran().into_iter().filter(open).collect();
        let covers = |index: usize| {
            self.begun()
                .iter()
                .any(|&one| steps[one].undo == PlannedUndo::CoveredBy { step: index } && steps[one].touches.contains(&service))
        };
        let reaching: Vec<usize> =
            all.iter().copied().filter(|&index| steps[index].touches.contains(&service) || covers(index)).collect();
        let object = |index: usize| match &steps[index].action {
            PlannedAction::Change(closing) => Some(closing.target.clone()),
            _ => None,
        };
        let beside = |index: usize| object(index).is_some() && reaching.iter().any(|&one| object(one) == object(index));
        all.iter().copied().filter(|&index| reaching.contains(&index) || beside(index)).collect()
    }

    fn has_expired(&self, index: usize) -> bool {
        self.any(|event| matches!(event, Event::UndosExpired { steps, .. } if steps.contains(&self.plan.steps[index].name)))
    }

    fn expired_for(&self, service: usize) -> bool {
        self.any(|event| matches!(event, Event::UndosExpired { service: one, .. } if *one == self.plan.services[service].id))
    }

    fn names(&self, steps: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
        steps.into_iter().map(|index| self.plan.steps[index].name.clone()).collect()
    }

    fn opens(&self, service: usize) -> bool {
        self.plan.services[service].when_dirty != WhenDirty::StayClosed
    }

    fn number(&self, id: &notturno::model::reference::ServiceRef) -> usize {
        self.plan.services.iter().position(|service| service.id == *id).unwrap()
    }

    fn was_released(&self, index: usize, attempt: u32) -> bool {
        let name = &self.plan.steps[index].name;
        self.any(|event| matches!(event, Event::UndoReleased { step, attempt: one } if step == name && *one == attempt))
    }

    /// Nothing works on the data of the service and nothing can.
    fn is_at_rest(&self, facts: &Facts, service: usize, now: Timestamp) -> bool {
        let still = |&index: &usize| {
            let acts = matches!(self.plan.steps[index].action, PlannedAction::Job(_) | PlannedAction::Change(_));
            !acts || self.is_done(index) || self.proof(index).is_some()
        };
        let gone = |&index: &usize| {
            let jobs = match self.plan.steps[index].undo {
                PlannedUndo::Job { attempts, .. } => {
                    (1..=attempts).all(|attempt| match facts.jobs.get(&JobKey::Undo(index, attempt)) {
                        Some(job) if job.end == Some(JobEnd::Vanished) && job.pods == Pods::NoneSeen => {
                            !self.was_released(index, attempt) || is_dead(job, now)
                        }
                        Some(job) => is_dead(job, now),
                        None => false,
                    })
                }
                _ => facts.changes.get(&index).is_some_and(|fact| fact.expired),
            };
            self.has_expired(index) && jobs
        };
        self.dirty(service).iter().all(still) && self.undos(service).iter().all(gone)
    }
}

fn is_dead(job: &JobFact, now: Timestamp) -> bool {
    let at_rest = match (job.burned, &job.pods) {
        (Some(Burned::NeverStarted), _)
        | (Some(Burned::Started), Pods::Terminal)
        | (Some(Burned::Completed), Pods::Terminal | Pods::NoneSeen) => true,
        (Some(Burned::Started), Pods::NoneSeen) => job.burned_at.is_some_and(|at| now >= at + STALE),
        _ => false,
    };
    job.token == TokenFact::Expired && at_rest
}

/// Every event about half-done work in a decision is the one that the naive reading gives, and none is missing.
pub fn compare(plan: &Plan, journal: &[Entry], facts: &Facts, now: Timestamp, decision: &Decision, seen: &mut Seen, seed: u64) {
    let turned = |entry: &Entry| matches!(entry.event, Event::GoingBack { .. });
    if !journal.iter().chain(&decision.events).any(turned) {
        return;
    }
    let mut story = Story { plan, journal: journal.to_vec() };
    for entry in &decision.events {
        judge(&story, entry, facts, now, seen, seed);
        story.journal.push(entry.clone());
    }
    if !story.any(|event| matches!(event, Event::ReopeningBegun {})) || story.any(|event| matches!(event, Event::Finished { .. }))
    {
        return;
    }
    for service in 0..plan.services.len() {
        complete(&story, service, facts, now, seed);
    }
    let releases = decision.commands.iter().filter_map(|command| match command {
        Command::Release { job: JobKey::Undo(index, _), .. } | Command::Restore { step: index } => Some(*index),
        _ => None,
    });
    for index in releases {
        assert!(!story.has_expired(index), "seed {seed}, at {now}: an expired undo is let run: {decision:#?}");
    }
}

fn judge(story: &Story<'_>, entry: &Entry, facts: &Facts, now: Timestamp, seen: &mut Seen, seed: u64) {
    let at = || format!("seed {seed}, at {now}: {entry:#?}\n{:#?}", story.journal);
    match &entry.event {
        Event::HeldClosed { service, through } if !through.is_empty() => {
            let index = story.number(service);
            assert_eq!(through.iter().cloned().collect::<BTreeSet<_>>(), story.names(story.dirty(index)), "{}", at());
            let allowed = !story.opens(index) || (story.expired_for(index) && !story.is_at_rest(facts, index, now));
            assert!(allowed, "{}", at());
            seen.count(if story.opens(index) { "held without proof" } else { "held closed" });
        }
        Event::UndosExpired { service, steps } => {
            let index = story.number(service);
            let expected = story.undos(index).into_iter().filter(|&one| !story.has_expired(one));
            assert_eq!(steps.iter().cloned().collect::<BTreeSet<_>>(), story.names(expected), "{}", at());
            let let_in = story.any(|event| matches!(event, Event::Opening { services } if services.contains(service)));
            assert!(!story.dirty(index).is_empty() && (let_in || story.opens(index)), "{}", at());
            seen.count(if steps.is_empty() { "nothing to expire" } else { "undosExpired" });
        }
        Event::Opening { services } => {
            for index in services.iter().map(|service| story.number(service)) {
                let asked_again = story
                    .any(|event| matches!(event, Event::Degraded { service, .. } if *service == story.plan.services[index].id));
                let good = story.dirty(index).is_empty()
                    || asked_again
                    || (story.opens(index) && story.expired_for(index) && story.is_at_rest(facts, index, now));
                assert!(good, "{}", at());
                seen.count(if story.dirty(index).is_empty() { "opening clean" } else { "opening on half-done work" });
            }
        }
        Event::UndoReleased { step, .. } | Event::UndoDone { step, .. } => {
            let index = story.plan.steps.iter().position(|one| one.name == *step).unwrap();
            assert!(!story.has_expired(index), "{}", at());
        }
        _ => {}
    }
}

/// What should have been decided was.
fn complete(story: &Story<'_>, service: usize, facts: &Facts, now: Timestamp, seed: u64) {
    let id = &story.plan.services[service].id;
    let is_ours = |event: &Event| match event {
        Event::HeldClosed { service, .. } | Event::UndosExpired { service, .. } => service == id,
        Event::Opening { services } => services.contains(id),
        _ => false,
    };
    let last = story.journal.iter().rev().find(|entry| is_ours(&entry.event)).map(|entry| &entry.event);
    let dirty = !story.dirty(service).is_empty();
    let burned = facts.services.get(&service).is_some_and(|fact| fact.burned);
    let waits = match last {
        None => dirty && !story.opens(service),
        Some(Event::UndosExpired { .. } | Event::HeldClosed { .. }) => {
            dirty && story.opens(service) && burned && story.is_at_rest(facts, service, now)
        }
        Some(_) => false,
    };
    let in_a_wave = story.plan.waves.iter().flatten().any(|&one| one == service);
    // Those of an earlier wave that are open on time keep its turn from coming.
    let may_wait = last.is_some() && story.plan.waves.iter().position(|wave| wave.contains(&service)) != Some(0);
    assert!(!waits || !in_a_wave || may_wait, "seed {seed}, at {now}: {id} is forgotten after {last:?}: {:#?}", story.journal);
}
