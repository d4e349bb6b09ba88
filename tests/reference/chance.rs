//! Random nights from a seed: runbooks of any shape, services that call each other, worlds that do not keep to budgets.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use notturno::engine::facts::{Ask, Order, Pods};
use notturno::model::action::*;
use notturno::model::plan::Plan;
use notturno::model::reference::Target;
use notturno::model::runbook::*;
use notturno::model::service::*;
use notturno::model::span::Span;

use crate::nights::{Night, Switch, World, at, job, opens, opens_in_part, rome, service, sogei, step};

/// `SplitMix64`: the same seed gives the same night everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub fn percent(&mut self, of: usize) -> bool {
        self.below(100) < of
    }

    fn minutes(&mut self, from: usize, until: usize) -> Span {
        Span::minutes(u32::try_from(from + self.below(until - from)).unwrap())
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn reference(name: &str) -> notturno::model::reference::Reference {
    name.parse().unwrap()
}

/// A night that the planner may accept or refuse.
pub fn night(chance: &mut Chance) -> Night {
    let names: Vec<String> = (0..=chance.below(5)).map(|index| format!("s{index}")).collect();
    let mut night = sogei();
    night.services = names.iter().enumerate().map(|(index, name)| any_service(chance, name, &names[..index])).collect();
    let hour = 6 + chance.below(4);
    let hours = format!("Mo-Sa {hour:02}:15-18:00");
    night.calendars =
        [("mattina", hours.as_str()), ("sempre", "24/7")].iter().map(|(n, h)| ((*n).to_owned(), rome(n, h))).collect();
    let evening = at("2023-02-09T22:00:00+01:00");
    night.intervention.start_at = evening + SignedDuration::from_mins(i64::try_from(chance.below(420)).unwrap());
    night.runbook.reserve = chance.minutes(0, 40);
    night.runbook.reopening.budget = chance.minutes(5, 40);
    night.runbook.smoke = chance.percent(60).then(|| Smoke { budget: chance.minutes(1, 20), job: job("prova") });
    night.runbook.reopening.waves = if chance.percent(40) { vec![] } else { waves(chance, &night.services) };
    night.runbook.steps = steps(chance, &names);
    night
}

fn any_service(chance: &mut Chance, name: &str, earlier: &[String]) -> Service {
    let sites: &[(&str, Option<u32>)] =
        if chance.percent(20) { &[("mattina", None), ("sempre", Some(9))] } else { &[("mattina", None)] };
    let calls: Vec<&str> = earlier.iter().filter(|_| chance.percent(30)).map(String::as_str).collect();
    let mut service = service(name, sites, &calls);
    service.reopen_budget = chance.minutes(1, 15);
    service.when_red = chance.one(&[WhenRed::CallPerson, WhenRed::OpenDegraded, WhenRed::CloseAgain]);
    service.when_dirty = match chance.below(10) {
        0..=4 => WhenDirty::StayClosed,
        5..=7 => opens(),
        _ => opens_in_part(name),
    };
    service
}

/// Any waves in which nothing opens before what it calls.
fn waves(chance: &mut Chance, services: &[Service]) -> Vec<Vec<notturno::model::reference::Reference>> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for service in services {
        let after = service.depends_on.iter().map(|called| places[called.service.name.as_str()] + 1).max().unwrap_or(0);
        places.insert(&service.id.name, after + chance.below(3));
    }
    let mut waves = vec![vec![]; 1 + places.values().max().unwrap()];
    for (name, place) in &places {
        waves[*place].push(reference(name));
    }
    waves
}

fn steps(chance: &mut Chance, names: &[String]) -> Vec<Step> {
    let mut open: Vec<&String> = names.iter().collect();
    let mut steps: Vec<Step> = Vec::new();
    for index in 0..=chance.below(8) {
        let needs: Vec<String> = steps.iter().filter(|_| chance.percent(35)).map(|step| step.name.clone()).collect();
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let must_close = index == 0 || chance.percent(20);
        let made = if must_close && !open.is_empty() {
            let count = 1 + chance.below(open.len());
            let services = open.drain(..count).map(|name| reference(name)).collect();
            step(&format!("p{index}"), &needs, 5, Action::Close { services }, Undo::Reopening)
        } else {
            any_step(chance, &format!("p{index}"), &needs, &steps, names)
        };
        steps.push(Step {
            budget: chance.minutes(2, 60),
            on_futile: chance.one(&[OnFutile::TurnBack, OnFutile::Continue]),
            ..made
        });
    }
    for step in &mut steps {
        let hold = matches!(step.action, Action::Hold(_));
        let longer = Span::from(step.budget.get() * i32::try_from(1 + chance.below(3)).unwrap());
        step.hard_cap = (!hold && chance.percent(50)).then_some(longer);
        step.on_overrun = chance.one(&[OnOverrun::TurnBack, OnOverrun::Ask, OnOverrun::Continue]);
    }
    steps
}

fn any_step(chance: &mut Chance, name: &str, needs: &[&str], earlier: &[Step], services: &[String]) -> Step {
    let undo_budget = chance.minutes(2, 45);
    let mut made = match chance.below(10) {
        0 => {
            let confirmations = u32::try_from(1 + chance.below(2)).unwrap();
            let on_silence = chance.one(&[OnSilence::TurnBack, OnSilence::Continue]);
            step(name, needs, 5, Action::Hold(Hold { message: "?".to_owned(), confirmations, on_silence }), Undo::Nothing)
        }
        1 => step(name, needs, 5, Action::Notify { message: "!".to_owned() }, Undo::Nothing),
        2 => {
            let check = Check::Wait { target: object(chance), until: "true".to_owned() };
            step(name, needs, 5, Action::Check(check), Undo::Nothing)
        }
        3 | 4 => {
            let change = Change::Merge { merge: serde_json::json!({"data": {name: "x"}}) };
            let target = object(chance);
            step(name, needs, 5, Action::Change { target, change }, Undo::Restore { budget: undo_budget })
        }
        _ => step(name, needs, 5, Action::Job(job("lavoro")), Undo::Nothing),
    };
    if let Action::Job(_) | Action::Change { .. } = made.action {
        made.touches = Some(services.iter().filter(|_| chance.percent(25)).map(|name| reference(name)).collect());
    }
    if let Action::Job(_) = made.action {
        let covering = earlier.iter().find(|step| needs.contains(&step.name.as_str()) && matches!(step.undo, Undo::Job { .. }));
        made.undo = match (chance.below(10), covering) {
            (0..=4, _) => {
                let attempts = u32::try_from(1 + chance.below(3)).unwrap();
                Undo::Job { budget: undo_budget, attempts, job: job("ripristina") }
            }
            (5, _) => Undo::Irreversible,
            (6 | 7, Some(step)) => Undo::CoveredBy { step: step.name.clone() },
            (_, _) => Undo::Nothing,
        };
    }
    made
}

fn object(chance: &mut Chance) -> Target {
    let name = chance.one(&["uno", "due"]);
    Target { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: "centro-dati".into(), name: name.into() }
}

/// What goes wrong tonight. On the way back everything keeps to its budget: the promise is made for such nights.
pub fn world(chance: &mut Chance, plan: &Plan) -> World {
    let mut world = World::default();
    for step in &plan.steps {
        let budget = step.budget.get();
        let takes = match chance.below(10) {
            0 => None,
            1 | 2 => Some(Span::from(budget * i32::try_from(2 + chance.below(2)).unwrap())),
            3 => Some(Span::from(budget + SignedDuration::from_mins(1))),
            _ => Some(Span::from(budget / i32::try_from(1 + chance.below(3)).unwrap())),
        };
        world.takes.insert(step.name.clone(), takes);
        if chance.percent(8) {
            world.fails.insert((step.name.clone(), 0), Span::from(budget / 2));
        }
        let undo = format!("undo-{}", step.name);
        // One that never ends, or fails: what it reaches is half done when doors open.
        let takes = (!chance.percent(6)).then(|| Span::from(step.undo_budget().get() / (1 + chance.below(2) as i32)));
        world.takes.insert(undo.clone(), takes);
        if chance.percent(6) {
            world.fails.insert((undo.clone(), 1), Span::minutes(1));
        }
        if chance.percent(50) {
            let pods = match chance.below(3) {
                0 => Pods::Alive,
                1 => Pods::Unknown { reason: "its node does not answer".to_owned() },
                _ => Pods::NoneSeen,
            };
            world.left.insert(undo, (chance.minutes(1, 20), pods));
        }
    }
    for service in &plan.services {
        let name = service.id.name.clone();
        world.reopening.insert(name.clone(), Span::from(service.reopen_budget.get() / (1 + chance.below(3) as i32)));
    }
    world.orders = orders(chance, plan);
    world.clock_unbounded = chance.percent(10).then(|| {
        let minutes = |minutes: usize| SignedDuration::from_mins(minutes as i64);
        let from = plan.start_at - minutes(30) + minutes(chance.below(45));
        from..from + minutes(chance.below(60))
    });
    world.switch = chance.percent(60).then(|| switch(chance, plan));
    world
}

fn switch(chance: &mut Chance, plan: &Plan) -> Switch {
    let some = |chance: &mut Chance| {
        let when = |chance: &mut Chance| {
            let from = plan.start_at - SignedDuration::from_mins(30) + SignedDuration::from_secs(chance.below(18_000) as i64);
            from..from + SignedDuration::from_secs(chance.below(150) as i64)
        };
        (0..chance.below(3)).map(|_| when(chance)).collect()
    };
    let mut switch = Switch { lost: some(chance), unseen: some(chance), half: some(chance), ..Switch::default() };
    if chance.percent(20) {
        let from = plan.start_at - SignedDuration::from_mins(10);
        switch.half.push(from..from + SignedDuration::from_mins(chance.below(40) as i64));
    }
    (switch.empty, switch.gone) = (some(chance), some(chance));
    switch
}

fn orders(chance: &mut Chance, plan: &Plan) -> Vec<Order> {
    let mut orders = Vec::new();
    for index in 0..chance.below(5) {
        let step = plan.steps[chance.below(plan.steps.len())].clone();
        let minute = |chance: &mut Chance| SignedDuration::from_mins(i64::try_from(chance.below(500)).unwrap());
        let at: Timestamp = plan.start_at + minute(chance);
        let ask = match chance.below(12) {
            0 => Ask::TurnBack,
            1 => Ask::Hold,
            2 => Ask::Resume,
            3 => Ask::Reject { step: step.name },
            4 => Ask::Extend { step: step.name, until: at + minute(chance) / 4 },
            5 | 6 => {
                let until = step.turn_back_at + SignedDuration::from_mins(chance.below(5) as i64 - 2);
                Ask::Extend { step: step.name, until }
            }
            _ => Ask::Confirm { step: step.name },
        };
        orders.push(Order { name: format!("o{index}"), by: format!("persona-{}", chance.below(3)), at, ask });
    }
    orders.sort_by_key(|order| order.at);
    orders
}

/// Of what a run consisted, to know that nothing was left out.
#[derive(Default, Debug)]
pub struct Seen(pub BTreeMap<String, usize>);

impl Seen {
    pub fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or_default()
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| *self.0.entry(what.clone()).or_default() += count);
    }

    pub fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }
}
