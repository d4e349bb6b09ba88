//! The night that the model plays: two services, one Job with an undo, and a clock of minutes.
//!
//! A tick is a minute, and all that happens in it happens at its first instant. Every moment of the plan lies three seconds behind a tick, so
//! that a clock that runs [`SKEW`] ahead sees it one tick before a clock that is right. The constants of the product are what they are: a
//! grace of a minute (a quarter of the reserve), 75 seconds for a Pod that a stale controller may still create, 10 seconds for a call.

use std::collections::BTreeSet;

use jiff::Timestamp;
use notturno::model::action::{JobSource, Template};
use notturno::model::plan::{Because, Deadline, Plan, PlannedAction, PlannedService, PlannedStep, PlannedUndo};
use notturno::model::reference::{ServiceRef, Target};
use notturno::model::runbook::{Mode, OnFutile, OnOverrun};
use notturno::model::service::{Change, Closing, Text, WhenDirty, WhenRed};
use notturno::model::span::Span;

/// Seconds in a tick.
pub const TICK: i64 = 60;
/// How far ahead a clock may be: `WIDTH_MAX` of `src/operator/server_time.rs`. It is never behind.
pub const SKEW: i64 = 5;
/// The tick at which work may begin; before it everything stands armed.
pub const START: u8 = 1;
/// How far behind a tick the moments of the plan lie.
const BEHIND: i64 = 3;

/// The services: the Job touches the data of the first and not that of the second.
pub const A: usize = 0;
pub const B: usize = 1;
/// The Jobs: the forward one, and its undo.
pub const J: usize = 0;
pub const U: usize = 1;
/// The step that they belong to.
pub const UPGRADE: usize = 1;

/// The lengths of the night, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// From the start to the last moment to go back once the Job has begun.
    pub work: u8,
    /// The budget of the undo, stopping and its proof included.
    pub undo: u8,
    /// The budget of reopening.
    pub reopen: u8,
    /// What nobody may plan with.
    pub reserve: u8,
}

impl Numbers {
    /// The last tick of which the doors may find something closed.
    pub const fn last(self) -> u8 {
        START + self.work + self.undo + self.reopen + self.reserve
    }

    fn must_serve_by(self) -> Timestamp {
        moment(i64::from(self.last()) * TICK + BEHIND)
    }
}

/// So many seconds after tick 0.
pub fn moment(seconds: i64) -> Timestamp {
    const NIGHT: i64 = 1_676_000_400;
    Timestamp::from_second(NIGHT + seconds).expect("a moment of that night")
}

/// What a clock shows at a tick.
pub fn clock(tick: u8, is_ahead: bool) -> i64 {
    i64::from(tick) * TICK + if is_ahead { SKEW } else { 0 }
}

fn ticks(count: u8) -> Span {
    Span::minutes(u32::from(count))
}

fn service(name: &str, numbers: Numbers, when_dirty: WhenDirty) -> PlannedService {
    let target = Target {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "sanita".to_owned(),
        name: name.to_owned(),
    };
    PlannedService {
        id: ServiceRef::new("sanita", name),
        title: Text::default(),
        close_at: Some(moment(TICK)),
        deadline: None,
        close: vec![Closing { name: "backend".to_owned(), target, change: Change::Scale { replicas: 0 } }],
        reopen_budget: ticks(numbers.reopen),
        probes: Vec::new(),
        when_dirty,
        when_red: WhenRed::CallPerson,
        upstreams: BTreeSet::new(),
        fallback: Text::default(),
        could_stay_closed_by: BTreeSet::new(),
        contacts: Vec::new(),
    }
}

fn step(name: &str, seconds: u32, action: PlannedAction, undo: PlannedUndo, numbers: Numbers) -> PlannedStep {
    let end = moment(i64::from(START + numbers.work) * TICK);
    PlannedStep {
        name: name.to_owned(),
        needs: Vec::new(),
        budget: Span::seconds(seconds),
        hard_cap: ticks(60),
        on_overrun: OnOverrun::Continue,
        on_futile: OnFutile::TurnBack,
        action,
        touches: BTreeSet::new(),
        undo,
        undo_touches: BTreeSet::new(),
        start_at: moment(TICK),
        not_before: None,
        end_at: end,
        turn_back_at: end,
        finish_by: end,
    }
}

/// The frozen night; `opens` when the first service declares to open on half-done work, `tolerates_red` when both declare to count as open in
/// part if they do not answer after finished work.
pub fn plan(numbers: Numbers, opens: bool, tolerates_red: bool) -> Plan {
    let job = |name: &str| JobSource { template: Template::CronJob(name.to_owned()), env: Vec::new() };
    let undo = PlannedUndo::Job { budget: ticks(numbers.undo), attempts: 1, job: job("ripristina") };
    let close = PlannedAction::Close { services: [A, B].into() };
    let mut upgrade = step("aggiorna", 30, PlannedAction::Job(job("aggiorna")), undo, numbers);
    (upgrade.needs, upgrade.touches) = (vec![0], [A].into());
    let dirty = if opens { WhenDirty::Open { reason: "people wait".to_owned() } } else { WhenDirty::StayClosed };
    let deadline = Deadline {
        must_serve_by: numbers.must_serve_by(),
        service: ServiceRef::new("sanita", "cup"),
        site: "sportello".to_owned(),
        calendar: "sportelli".to_owned(),
        because: Because::Opens { at: numbers.must_serve_by(), margin: Span::ZERO },
    };
    let mut services = vec![service("anagrafe", numbers, dirty), service("cup", numbers, WhenDirty::StayClosed)];
    if tolerates_red {
        for service in &mut services {
            service.when_red = WhenRed::OpenDegraded;
        }
    }
    Plan {
        version: 1,
        namespace: "centro-dati".to_owned(),
        name: "notte".to_owned(),
        uid: "u-1".to_owned(),
        mode: Mode::Run,
        requester: "turno".to_owned(),
        service_account: "notte".to_owned(),
        sentinel_service_account: "sentinella".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        start_at: moment(i64::from(START) * TICK),
        start_by: moment(i64::from(START) * TICK + SKEW),
        deadline,
        first_opening_at: None,
        tell_people_by: None,
        planned_open_at: moment(i64::from(START + numbers.work) * TICK),
        reserve: ticks(numbers.reserve),
        reopening_budget: ticks(numbers.reopen),
        smoke: None,
        steps: vec![step("chiude", 10, close, PlannedUndo::Reopening, numbers), upgrade],
        services,
        waves: vec![vec![A, B]],
    }
}
