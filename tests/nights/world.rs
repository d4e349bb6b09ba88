//! A pure world: plays a plan against invented durations, moment by moment, without any shell.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use notturno::engine::facts::{
    Arming, Burned, ChangeFact, CheckFact, ClosingFact, JobEnd, JobFact, Order, Pods, Probes, SwitchFact, TokenFact, jobs,
};
use notturno::engine::state::ServiceState;
use notturno::engine::{BurnTo, Command, Decision, Entry, Event, Facts, JobKey, State, decide};
use notturno::model::epoch::Epoch;
use notturno::model::plan::{Plan, ServiceIndex, StepIndex};
use notturno::model::span::Span;

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

/// When it is not as it should be, once it was made.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    /// Not ready.
    pub lost: Vec<Range<Timestamp>>,
    /// Out of sight.
    pub unseen: Vec<Range<Timestamp>>,
    /// With one sentinel only.
    pub half: Vec<Range<Timestamp>>,
    /// As it was made, and with no sentinel ready.
    pub empty: Vec<Range<Timestamp>>,
    /// Not there, as after the end.
    pub gone: Vec<Range<Timestamp>>,
}

/// What goes on in the world.
#[derive(Default)]
struct Doing {
    running: BTreeMap<JobKey, RunningJob>,
    opening: BTreeMap<ServiceIndex, Timestamp>,
    closing: BTreeMap<ServiceIndex, Timestamp>,
    changing: BTreeMap<StepIndex, Timestamp>,
    checking: BTreeMap<StepIndex, Timestamp>,
    restoring: BTreeMap<StepIndex, Timestamp>,
    switch: Made,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Made {
    #[default]
    NotYet,
    Standing,
    Fallen,
}

struct RunningJob {
    since: Timestamp,
    stopped: Option<Timestamp>,
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
    let mut facts = Facts { arming: Arming::NotYet, orders: world.orders.clone(), ..Facts::default() };
    let mut doing = Doing::default();
    let mut journal =
        vec![Entry { at: plan.start_at, event: Event::Accepted { plan_hash: "h".to_owned() }, why: "accepted".to_owned() }];
    let mut decisions = vec![];
    let mut now = plan.start_at - SignedDuration::from_hours(1);
    (facts.clock_unbounded, facts.switch) = (clock_unbounded(world, now), switch(world, Made::NotYet, plan.start_at, now));
    for _ in 0..20_000 {
        if world.dies_after.is_some_and(|count| journal.len() >= count) {
            facts.epoch = Epoch::SENTINELS;
        }
        let decision = decide(plan, &journal, &facts, now);
        if decision.events.iter().any(|entry| matches!(entry.event, Event::TakenOver { .. })) {
            age_tokens(&mut facts);
        }
        see(&journal, &facts, now, &decision);
        journal.extend(decision.events.iter().cloned());
        let quiet = decision.events.is_empty();
        let is_new = |command: &Command| match command {
            Command::Probe { service } => !doing.opening.contains_key(service),
            Command::Check { step } => !doing.checking.contains_key(step),
            Command::Restore { step } => !doing.restoring.contains_key(step),
            Command::ArmSwitch => doing.switch == Made::NotYet,
            _ => true,
        };
        let more = decision.commands.iter().any(is_new);
        for command in &decision.commands {
            obey(plan, command, &mut facts, &mut doing, now);
        }
        let wake = decision.wake.clone();
        let finished = State::fold(plan, &journal).outcome.is_some() && !more;
        decisions.push((now, decision));
        if finished {
            break;
        }
        if !quiet || more {
            observe(plan, world, &journal, &mut facts, &doing, now);
            continue;
        }
        let next = events_of_world(plan, world, &doing, now);
        let order = world.orders.iter().map(|order| order.at).filter(|at| *at > now).min();
        let Some(step) = next.into_iter().chain(order).chain(wake.map(|wake| wake.at)).min().filter(|at| *at <= until) else {
            break;
        };
        now = step;
        observe(plan, world, &journal, &mut facts, &doing, now);
    }
    Played { plan: plan.clone(), journal, decisions }
}

fn obey(plan: &Plan, command: &Command, facts: &mut Facts, doing: &mut Doing, now: Timestamp) {
    match command {
        Command::Arm => {
            facts.arming = Arming::Armed;
            facts.jobs = jobs(plan).into_iter().map(|job| (job, prepared())).collect();
        }
        Command::Close { service, .. } => {
            doing.closing.entry(*service).or_insert(now);
            facts.services.entry(*service).or_default().closing = ClosingFact::Draining;
        }
        Command::Release { job, .. } => {
            doing.running.insert(*job, RunningJob { since: now, stopped: None });
            let fact = facts.jobs.get_mut(job).expect("a job");
            fact.suspended = false;
            fact.pods = Pods::Alive;
        }
        Command::BurnJob { job, to } => {
            let fact = facts.jobs.get_mut(job).expect("a job");
            fact.token = match to {
                BurnTo::Back => TokenFact::Back,
                BurnTo::Expired => TokenFact::Expired,
            };
            if *to == BurnTo::Expired {
                fact.burned = Some(if doing.running.contains_key(job) { Burned::Started } else { Burned::NeverStarted });
                fact.burned_at = Some(now);
                fact.suspended = true;
                if let Some(job) = doing.running.get_mut(job) {
                    job.stopped.get_or_insert(now);
                }
            }
        }
        Command::Change { step, .. } => {
            doing.changing.entry(*step).or_insert(now);
            facts.changes.insert(*step, ChangeFact { change: ClosingFact::Draining, ..ChangeFact::default() });
        }
        Command::BurnChange { step } => {
            let untouched = !doing.changing.contains_key(step);
            let fact = facts.changes.entry(*step).or_default();
            fact.burned = true;
            fact.restored = untouched;
        }
        Command::ExpireChange { step } => facts.changes.entry(*step).or_default().expired = true,
        Command::Degrade { service } => facts.services.entry(*service).or_default().degraded = ClosingFact::Closed,
        Command::Restore { step } => drop(doing.restoring.entry(*step).or_insert(now)),
        Command::Check { step } => drop(doing.checking.entry(*step).or_insert(now)),
        Command::CloseAgain { service } => {
            let fact = facts.services.entry(*service).or_default();
            (fact.closing, fact.restored) = (ClosingFact::Closed, false);
        }
        Command::BurnTargets { service } => facts.services.entry(*service).or_default().burned = true,
        Command::Reopen { service } => facts.services.entry(*service).or_default().restored = true,
        Command::Probe { service } => {
            doing.opening.entry(*service).or_insert(now);
        }
        Command::LetGo { job } => facts.jobs.get_mut(job).expect("a job").held = false,
        Command::Disarm => facts.disarmed = true,
        Command::ArmSwitch => doing.switch = Made::Standing,
        Command::DisarmSwitch => (facts.switch, doing.switch) = (SwitchFact::Gone, Made::Fallen),
    }
}

/// What the operator burned is to be burned again, by whoever took the night over.
fn age_tokens(facts: &mut Facts) {
    for fact in facts.jobs.values_mut().filter(|fact| fact.token != TokenFact::Expired) {
        fact.token = TokenFact::Older;
    }
    facts.services.values_mut().for_each(|fact| fact.burned = false);
    facts.changes.values_mut().for_each(|fact| fact.burned = false);
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

fn name_of(plan: &Plan, key: JobKey) -> String {
    match key {
        JobKey::Step(step) => plan.steps[step].name.clone(),
        JobKey::Undo(step, _) => format!("undo-{}", plan.steps[step].name),
        JobKey::Smoke => "smoke".to_owned(),
    }
}

fn job_end(plan: &Plan, world: &World, key: JobKey, since: Timestamp) -> Option<(Timestamp, JobEnd)> {
    let name = name_of(plan, key);
    let attempt = if let JobKey::Undo(_, attempt) = key { attempt } else { 0 };
    if let Some(after) = world.fails.get(&(name.clone(), attempt)) {
        return Some((since + after.get(), JobEnd::Failed { reason: "exit code 1".to_owned() }));
    }
    let declared = match key {
        JobKey::Step(step) => plan.steps[step].budget,
        JobKey::Undo(step, _) => plan.steps[step].undo_budget(),
        JobKey::Smoke => plan.smoke.as_ref().map(|smoke| smoke.budget).unwrap_or_default(),
    };
    let takes = world.takes.get(&name).copied().unwrap_or(Some(declared))?;
    Some((since + takes.get(), JobEnd::Complete))
}

fn answers_at(plan: &Plan, world: &World, service: ServiceIndex, since: Timestamp) -> Timestamp {
    let takes = world.reopening.get(&plan.services[service].id.name).copied().unwrap_or_default();
    since + takes.get()
}

/// Closing takes the whole budget of its step.
fn closed_at(plan: &Plan, service: ServiceIndex, since: Timestamp) -> Timestamp {
    let step = plan.steps.iter().find(|step| step.closes().contains(&service)).expect("a closing step");
    since + step.budget.get()
}

fn step_takes(plan: &Plan, world: &World, step: StepIndex) -> Option<Span> {
    let planned = &plan.steps[step];
    world.takes.get(&planned.name).copied().unwrap_or(Some(planned.budget))
}

fn restore_takes(plan: &Plan, world: &World, step: StepIndex) -> Option<Span> {
    let planned = &plan.steps[step];
    world.takes.get(&format!("undo-{}", planned.name)).copied().unwrap_or(Some(planned.undo_budget()))
}

fn events_of_world(plan: &Plan, world: &World, doing: &Doing, now: Timestamp) -> Option<Timestamp> {
    let jobs = doing
        .running
        .iter()
        .filter(|(_, job)| job.stopped.is_none())
        .filter_map(|(key, job)| job_end(plan, world, *key, job.since));
    let pods = doing.running.iter().filter_map(|(key, job)| Some(job.stopped? + world.left.get(&name_of(plan, *key))?.0.get()));
    let services = doing.opening.iter().map(|(service, since)| answers_at(plan, world, *service, *since));
    let closings = doing.closing.iter().map(|(service, since)| closed_at(plan, *service, *since));
    let changes = doing.changing.iter().filter_map(|(step, since)| Some(*since + step_takes(plan, world, *step)?.get()));
    let checks = doing.checking.iter().filter_map(|(step, since)| Some(*since + step_takes(plan, world, *step)?.get()));
    let restores = doing.restoring.iter().filter_map(|(step, since)| Some(*since + restore_takes(plan, world, *step)?.get()));
    let all = jobs.map(|(at, _)| at).chain(services).chain(closings).chain(changes).chain(checks).chain(restores).chain(pods);
    let spells = world.switch.iter().flat_map(|switch| [&switch.lost, &switch.unseen, &switch.half, &switch.empty, &switch.gone]);
    let rings = spells.flatten();
    all.chain(rings.flat_map(|when| [when.start, when.end])).filter(|at| *at > now).min()
}

/// By day nobody looks; then it is not there until it is made.
fn switch(world: &World, made: Made, start_at: Timestamp, now: Timestamp) -> SwitchFact {
    let Some(switch) = &world.switch else { return SwitchFact::NotAsked };
    let is_in = |all: &[Range<Timestamp>]| all.iter().find(|when| when.contains(&now)).cloned();
    let reason = "told by the world".to_owned();
    match made {
        Made::Fallen => SwitchFact::Gone,
        Made::NotYet if now < start_at - SignedDuration::from_mins(15) => SwitchFact::NotYet { reason },
        Made::NotYet => SwitchFact::NotReady { reason, since: now },
        Made::Standing if is_in(&switch.unseen).is_some() => SwitchFact::NotYet { reason },
        Made::Standing if is_in(&switch.gone).is_some() => SwitchFact::Gone,
        Made::Standing if is_in(&switch.empty).is_some() => SwitchFact::Ready { count: 0 },
        Made::Standing => match is_in(&switch.lost) {
            Some(when) => SwitchFact::NotReady { reason, since: when.start },
            None => SwitchFact::Ready { count: if is_in(&switch.half).is_some() { 1 } else { 2 } },
        },
    }
}

fn clock_unbounded(world: &World, now: Timestamp) -> Option<String> {
    world.clock_unbounded.as_ref().filter(|when| when.contains(&now)).map(|_| "nobody says the time".to_owned())
}

fn observe(plan: &Plan, world: &World, journal: &[Entry], facts: &mut Facts, doing: &Doing, now: Timestamp) {
    facts.clock_unbounded = clock_unbounded(world, now);
    facts.switch = switch(world, doing.switch, plan.start_at, now);
    for (key, job) in &doing.running {
        if let (Some(stopped), Some(fact)) = (job.stopped, facts.jobs.get_mut(key))
            && fact.end.is_none()
        {
            let left = world.left.get(&name_of(plan, *key)).filter(|(span, _)| now < stopped + span.get());
            fact.pods = left.map_or(Pods::Terminal, |(_, pods)| pods.clone());
        }
        let end = job_end(plan, world, *key, job.since).filter(|(at, _)| *at <= now && job.stopped.is_none());
        if let (Some((_, end)), Some(fact)) = (end, facts.jobs.get_mut(key)) {
            fact.end = Some(end);
            fact.pods = Pods::Terminal;
        }
    }
    let state = State::fold(plan, journal);
    for (service, since) in &doing.opening {
        let upstreams_open = plan.services[*service]
            .upstreams
            .iter()
            .all(|upstream| matches!(state.services[*upstream], ServiceState::Opened { .. } | ServiceState::Open));
        let fact = facts.services.entry(*service).or_default();
        let red = world.red.contains(&plan.services[*service].id.name);
        let green = !red && answers_at(plan, world, *service, *since) <= now && upstreams_open;
        fact.probes =
            if green { Probes::Green } else { Probes::Red { reason: "503".to_owned(), asked_for: Span::between(*since, now) } };
    }
    let over = |since: &Timestamp, takes: Option<Span>| takes.is_some_and(|takes| *since + takes.get() <= now);
    for (step, since) in &doing.changing {
        if over(since, step_takes(plan, world, *step)) && !facts.changes[step].burned {
            facts.changes.entry(*step).or_default().change = ClosingFact::Closed;
        }
    }
    for (step, since) in &doing.checking {
        let passed = over(since, step_takes(plan, world, *step));
        facts.checks.insert(*step, if passed { CheckFact::Passed } else { CheckFact::NotAsked });
    }
    for (step, since) in &doing.restoring {
        if over(since, restore_takes(plan, world, *step)) && !facts.changes[step].expired {
            facts.changes.entry(*step).or_default().restored = true;
        }
    }
    for (service, since) in &doing.closing {
        if closed_at(plan, *service, *since) <= now {
            facts.services.entry(*service).or_default().closing = ClosingFact::Closed;
        }
    }
}
