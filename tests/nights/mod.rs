//! The night of 9 February 2023 in validated words, and a way to play a plan against an invented world, without any shell.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use notturno::engine::facts::{Arming, Burned, ClosingFact, JobEnd, JobFact, Order, Pods, Probes, TokenFact};
use notturno::engine::state::{ServiceState, jobs};
use notturno::engine::{BurnTo, Command, Decision, Entry, Event, Facts, JobKey, State, decide};
use notturno::model::calendar::{Calendar, Holidays};
use notturno::model::plan::{Plan, ServiceIndex};
use notturno::model::reference::{ServiceRef, Target};
use notturno::model::runbook::*;
use notturno::model::service::*;
use notturno::model::span::Span;
use notturno::plan::{Question, Verdict, plan};

pub struct Night {
    pub intervention: Intervention,
    pub runbook: Runbook,
    pub services: Vec<Service>,
    pub calendars: BTreeMap<String, Calendar>,
}

impl Night {
    pub fn verdict(&self) -> Verdict {
        plan(Question {
            intervention: &self.intervention,
            runbook: &self.runbook,
            services: &self.services,
            calendars: &self.calendars,
        })
    }

    pub fn plan(&self) -> Plan {
        let verdict = self.verdict();
        assert_eq!(verdict.refusals, []);
        verdict.accepted().expect("a plan")
    }

    pub fn step(&mut self, name: &str) -> &mut Step {
        self.runbook.steps.iter_mut().find(|step| step.name == name).expect("a step")
    }

    pub fn hours(&mut self, calendar: &str, hours: &str) {
        self.calendars.insert(calendar.to_owned(), rome(calendar, hours));
    }
}

pub fn rome(name: &str, hours: &str) -> Calendar {
    let holidays = Holidays { country: Some("IT".to_owned()), local: vec![] };
    Calendar::new(name, "Europe/Rome", hours, holidays, vec![]).expect("a calendar")
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// A moment of the night: `t("04:55")` on 10 February, evenings on the 9th.
pub fn t(clock: &str) -> Timestamp {
    let day = if clock >= "20:00" { "09" } else { "10" };
    at(&format!("2023-02-{day}T{clock}:00+01:00"))
}

fn job(cron_job: &str) -> JobSource {
    JobSource { cron_job: cron_job.to_owned(), env: vec![] }
}

fn refs(names: &[&str]) -> Vec<notturno::model::reference::Reference> {
    names.iter().map(|name| name.parse().expect("a reference")).collect()
}

fn step(name: &str, needs: &[&str], minutes: u32, action: Action, undo: Undo) -> Step {
    let touches = match action {
        Action::Job(_) => Some(vec![]),
        Action::Close { .. } => None,
    };
    Step {
        name: name.to_owned(),
        needs: needs.iter().map(|name| (*name).to_owned()).collect(),
        budget: Span::minutes(minutes),
        hard_cap: None,
        on_overrun: OnOverrun::Ask,
        on_futile: OnFutile::TurnBack,
        action,
        touches,
        undo,
    }
}

pub fn service(name: &str, sites: &[(&str, Option<u32>)], calls: &[&str]) -> Service {
    let site = |(calendar, hours): &(&str, Option<u32>)| Site {
        name: format!("sede-{calendar}"),
        calendar: (*calendar).to_owned(),
        tolerates: hours.map(|hours| Tolerance {
            closed_for: Span::minutes(hours * 60),
            fallback: Text { it: "promemoria stampato".to_owned(), en: "printed memo".to_owned() },
        }),
    };
    let dependency = |name: &&str| Dependency {
        service: name.parse().expect("a reference"),
        mode: DependencyMode::Sync,
        fallback: Text { it: "carta".to_owned(), en: "paper".to_owned() },
    };
    Service {
        id: ServiceRef::new("sanita", name),
        title: Text { it: name.to_owned(), en: name.to_owned() },
        sites: sites.iter().map(site).collect(),
        depends_on: calls.iter().map(dependency).collect(),
        close: vec![Closing {
            name: "backend".to_owned(),
            target: Target {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                namespace: "sanita".to_owned(),
                name: name.to_owned(),
            },
            change: Change::Scale { replicas: 0 },
        }],
        reopen_budget: Span::minutes(10),
        probes: vec![],
        when_dirty: WhenDirty::StayClosed,
        allowed_from: vec!["centro-dati".to_owned()],
        contacts: vec![],
    }
}

pub fn sogei() -> Night {
    let close = |names: &[&str]| Action::Close { services: refs(names) };
    let core = ["ricetta-elettronica", "anagrafe-assistiti", "accesso-ts"];
    let mut steps = vec![
        step("preflight", &[], 30, Action::Job(job("verifica")), Undo::Nothing),
        step("chiudi-portali", &["preflight"], 15, close(&["portale-ts", "archivio-730"]), Undo::Reopening),
        step("istantanea", &["chiudi-portali"], 40, Action::Job(job("istantanea")), Undo::Nothing),
        step("chiudi-nucleo", &["istantanea"], 5, close(&core), Undo::Reopening),
        step(
            "aggiorna",
            &["chiudi-nucleo"],
            90,
            Action::Job(job("aggiorna")),
            Undo::Job { budget: Span::minutes(60), attempts: 2, job: job("ripristina") },
        ),
        step("indici", &["aggiorna"], 45, Action::Job(job("indici")), Undo::CoveredBy { step: "aggiorna".to_owned() }),
        step("prova", &["indici"], 15, Action::Job(job("prova")), Undo::Nothing),
    ];
    steps[4].hard_cap = Some(Span::minutes(120));
    steps[4].touches = Some(refs(&core));
    steps[5].touches = Some(refs(&core));
    let waves = [vec!["anagrafe-assistiti", "accesso-ts"], vec!["ricetta-elettronica"], vec!["cup", "zerocode"], vec!["archivio-730", "portale-ts"]];
    Night {
        intervention: Intervention {
            namespace: "centro-dati".to_owned(),
            name: "notte-9-febbraio".to_owned(),
            runbook: "aggiornamento-motore".to_owned(),
            parameters: BTreeMap::new(),
            mode: Mode::Run,
            start_at: t("00:30"),
            start_tolerance: Span::minutes(30),
            margin: Span::minutes(15),
            tell_before: Span::minutes(75),
            requester: "turno@centro-dati".to_owned(),
        },
        runbook: Runbook {
            namespace: "centro-dati".to_owned(),
            name: "aggiornamento-motore".to_owned(),
            description: String::new(),
            service_account: "lavori-notturni".to_owned(),
            parameters: vec![],
            reserve: Span::minutes(20),
            smoke: Some(Smoke { budget: Span::minutes(15), job: job("prova") }),
            reopening: Reopening { budget: Span::minutes(30), waves: waves.iter().map(|wave| refs(wave)).collect() },
            steps,
            approvals: None,
        },
        services: vec![
            service("anagrafe-assistiti", &[("cup", None)], &[]),
            service("accesso-ts", &[("cup", None)], &[]),
            service("ricetta-elettronica", &[("cup", None), ("sempre", Some(7))], &["anagrafe-assistiti"]),
            service("cup", &[("cup", None)], &["ricetta-elettronica"]),
            service("zerocode", &[("prelievi", None)], &["ricetta-elettronica"]),
            service("archivio-730", &[("cup", None)], &[]),
            service("portale-ts", &[("cup", None)], &[]),
        ],
        calendars: [("prelievi", "Mo-Sa 07:15-11:00; PH off"), ("cup", "Mo-Fr 07:30-16:30"), ("sempre", "24/7")]
            .iter()
            .map(|(name, hours)| ((*name).to_owned(), rome(name, hours)))
            .collect(),
    }
}

/// How long Jobs take in the invented world; none: they hang.
pub struct World {
    pub takes: BTreeMap<String, Option<Span>>,
    pub fails: BTreeMap<(String, u32), Span>,
    pub reopening: BTreeMap<String, Span>,
    pub orders: Vec<Order>,
}

impl Default for World {
    fn default() -> Self {
        Self { takes: BTreeMap::new(), fails: BTreeMap::new(), reopening: BTreeMap::new(), orders: vec![] }
    }
}

/// What goes on in the world.
#[derive(Default)]
struct Doing {
    running: BTreeMap<JobKey, RunningJob>,
    opening: BTreeMap<ServiceIndex, Timestamp>,
    closing: BTreeMap<ServiceIndex, Timestamp>,
}

struct RunningJob {
    since: Timestamp,
    stopped: bool,
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
    let mut facts = Facts { arming: Arming::NotYet, orders: world.orders.clone(), ..Facts::default() };
    let mut doing = Doing::default();
    let mut journal =
        vec![Entry { at: plan.start_at, event: Event::Accepted { plan_hash: "h".to_owned() }, why: "accepted".to_owned() }];
    let mut decisions = vec![];
    let mut now = plan.start_at - SignedDuration::from_hours(1);
    for _ in 0..20_000 {
        let decision = decide(plan, &journal, &facts, now);
        journal.extend(decision.events.iter().cloned());
        let quiet = decision.events.is_empty();
        for command in &decision.commands {
            obey(plan, command, &mut facts, &mut doing, now);
        }
        let more = decision.commands.iter().any(|command| !matches!(command, Command::Probe { .. }));
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
        let Some(step) = next.into_iter().chain(order).chain(wake.map(|wake| wake.at)).min().filter(|at| *at <= until) else { break };
        now = step;
        observe(plan, world, &journal, &mut facts, &doing, now);
    }
    Played { plan: plan.clone(), journal, decisions }
}

fn obey(
    plan: &Plan,
    command: &Command,
    facts: &mut Facts,
    doing: &mut Doing,
    now: Timestamp,
) {
    match command {
        Command::Arm => {
            facts.arming = Arming::Armed;
            let fresh = JobFact {
                token: TokenFact::Forward,
                burned: None,
                burned_at: None,
                suspended: true,
                end: None,
                pods: Pods::NoneSeen,
                held: false,
            };
            facts.jobs = jobs(plan).into_iter().map(|job| (job, fresh.clone())).collect();
        }
        Command::Close { service, .. } => {
            doing.closing.entry(*service).or_insert(now);
            facts.services.entry(*service).or_default().closing = ClosingFact::Draining;
        }
        Command::Release { job, .. } => {
            doing.running.insert(*job, RunningJob { since: now, stopped: false });
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
                    job.stopped = true;
                }
                if fact.pods == Pods::Alive {
                    fact.pods = Pods::Terminal;
                }
            }
        }
        Command::BurnTargets { service } => facts.services.entry(*service).or_default().burned = true,
        Command::Reopen { service } => facts.services.entry(*service).or_default().restored = true,
        Command::Probe { service } => {
            doing.opening.entry(*service).or_insert(now);
        }
        Command::LetGo { job } => facts.jobs.get_mut(job).expect("a job").held = false,
        Command::Disarm => facts.disarmed = true,
    }
}

fn job_end(plan: &Plan, world: &World, key: JobKey, since: Timestamp) -> Option<(Timestamp, JobEnd)> {
    let (name, attempt) = match key {
        JobKey::Step(step) => (plan.steps[step].name.clone(), 0),
        JobKey::Undo(step, attempt) => (format!("undo-{}", plan.steps[step].name), attempt),
        JobKey::Smoke => ("smoke".to_owned(), 0),
    };
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

fn events_of_world(
    plan: &Plan,
    world: &World,
    doing: &Doing,
    now: Timestamp,
) -> Option<Timestamp> {
    let jobs = doing.running.iter().filter(|(_, job)| !job.stopped).filter_map(|(key, job)| job_end(plan, world, *key, job.since));
    let services = doing.opening.iter().map(|(service, since)| answers_at(plan, world, *service, *since));
    let closings = doing.closing.iter().map(|(service, since)| closed_at(plan, *service, *since));
    jobs.map(|(at, _)| at).chain(services).chain(closings).filter(|at| *at > now).min()
}

fn observe(
    plan: &Plan,
    world: &World,
    journal: &[Entry],
    facts: &mut Facts,
    doing: &Doing,
    now: Timestamp,
) {
    for (key, job) in &doing.running {
        let end = job_end(plan, world, *key, job.since).filter(|(at, _)| *at <= now && !job.stopped);
        if let (Some((_, end)), Some(fact)) = (end, facts.jobs.get_mut(key)) {
            fact.end = Some(end);
            fact.pods = Pods::Terminal;
        }
    }
    let state = State::fold(plan, journal);
    for (service, since) in &doing.opening {
        let upstreams_open = plan.services[*service].upstreams.iter().all(|upstream| {
            matches!(state.services[*upstream], ServiceState::Opened { .. } | ServiceState::Open)
        });
        let fact = facts.services.entry(*service).or_default();
        let green = answers_at(plan, world, *service, *since) <= now && upstreams_open;
        fact.probes = if green { Probes::Green } else { Probes::Red { reason: "503".to_owned() } };
    }
    for (service, since) in &doing.closing {
        if closed_at(plan, *service, *since) <= now {
            facts.services.entry(*service).or_default().closing = ClosingFact::Closed;
        }
    }
}
