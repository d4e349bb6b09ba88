//! The night of 9 February 2023 in validated words, and a way to play a plan against an invented world, without any shell.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod world;

use std::collections::BTreeMap;

use jiff::Timestamp;
use notturno::model::action::*;
use notturno::model::calendar::{Calendar, Holidays};
use notturno::model::plan::Plan;
use notturno::model::reference::{ServiceRef, Target};
use notturno::model::runbook::*;
use notturno::model::service::*;
use notturno::model::span::Span;
use notturno::plan::{Question, Verdict, plan};

#[allow(unused_imports, reason = "each test uses its part")]
pub use world::{Played, Switch, World, orders, play, play_before};

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

    pub fn when_dirty(&mut self, service: &str, when_dirty: WhenDirty) {
        self.services.iter_mut().find(|one| one.id.name == service).expect("a service").when_dirty = when_dirty;
    }

    pub fn hours(&mut self, calendar: &str, hours: &str) {
        self.calendars.insert(calendar.to_owned(), rome(calendar, hours));
    }
}

pub fn rome(name: &str, hours: &str) -> Calendar {
    let holidays = Holidays { country: Some("IT".to_owned()), local: vec![] };
    Calendar::new(name, "Europe/Rome", hours, &holidays, vec![]).expect("a calendar")
}

/// Open on half-done work, as it is.
pub fn opens() -> WhenDirty {
    WhenDirty::Open { reason: "meglio di una porta chiusa".to_owned() }
}

/// Open on half-done work, with its Deployment changed.
pub fn opens_in_part(service: &str) -> WhenDirty {
    let target = Target {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "sanita".to_owned(),
        name: service.to_owned(),
    };
    let change =
        Change::Merge { merge: serde_json::json!({"spec": {"template": {"metadata": {"labels": {"scrittura": "no"}}}}}) };
    WhenDirty::OpenDegraded { actions: vec![Closing { name: "sola-lettura".to_owned(), target, change }] }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// A moment of the night: `t("04:55")` on 10 February, evenings on the 9th.
pub fn t(clock: &str) -> Timestamp {
    let day = if clock >= "20:00" { "09" } else { "10" };
    at(&format!("2023-02-{day}T{clock}:00+01:00"))
}

pub fn job(cron_job: &str) -> JobSource {
    JobSource { template: Template::CronJob(cron_job.to_owned()), env: vec![] }
}

fn refs(names: &[&str]) -> Vec<notturno::model::reference::Reference> {
    names.iter().map(|name| name.parse().expect("a reference")).collect()
}

pub fn step(name: &str, needs: &[&str], minutes: u32, action: Action, undo: Undo) -> Step {
    let touches = match action {
        Action::Job(_) => Some(vec![]),
        Action::Close { .. } | Action::Change { .. } | Action::Check(_) | Action::Hold(_) | Action::Notify { .. } => None,
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
        when_red: WhenRed::CallPerson,
        allowed_from: vec!["centro-dati".to_owned()],
        contacts: vec![],
    }
}

const CORE: [&str; 3] = ["ricetta-elettronica", "anagrafe-assistiti", "accesso-ts"];

fn steps() -> Vec<Step> {
    let close = |names: &[&str]| Action::Close { services: refs(names) };
    let mut steps = vec![
        step("preflight", &[], 30, Action::Job(job("verifica")), Undo::Nothing),
        step("chiudi-portali", &["preflight"], 15, close(&["portale-ts", "archivio-730"]), Undo::Reopening),
        step("istantanea", &["chiudi-portali"], 40, Action::Job(job("istantanea")), Undo::Nothing),
        step("chiudi-nucleo", &["istantanea"], 5, close(&CORE), Undo::Reopening),
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
    steps[4].touches = Some(refs(&CORE));
    steps[5].touches = Some(refs(&CORE));
    steps
}

pub fn sogei() -> Night {
    let waves = [
        vec!["anagrafe-assistiti", "accesso-ts"],
        vec!["ricetta-elettronica"],
        vec!["cup", "zerocode"],
        vec!["archivio-730", "portale-ts"],
    ];
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
            sentinel_service_account: "lavori-notturni-sentinel".to_owned(),
            parameters: vec![],
            reserve: Span::minutes(20),
            smoke: Some(Smoke { budget: Span::minutes(15), job: job("prova") }),
            reopening: Reopening { budget: Span::minutes(30), waves: waves.iter().map(|wave| refs(wave)).collect() },
            steps: steps(),
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
