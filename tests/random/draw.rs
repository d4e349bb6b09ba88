//! From a seed to a night.
//!
//! In: a seed. Out: a [`Draft`]. Invariants: every seed gives a night that fits; the two nights on which clocks change are among them.
//! Not here: what goes wrong (`wrong`).

use crate::chance::Chance;
use crate::draft::{Closing, Draft, Night, Service, Step, Undo, Work};
use crate::wrong;

const STEP_NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const CLOSINGS: [Closing; 5] = [Closing::Scale, Closing::Courtesy, Closing::Suspend, Closing::Merge, Closing::Json];

/// The night of this seed.
pub fn draw(seed: u64) -> Draft {
    let mut chance = Chance::of(seed);
    let night = *chance.one_of(&[Night::Ordinary, Night::Ordinary, Night::Spring, Night::Autumn]);
    let services = services(&mut chance);
    let steps = steps(&mut chance, &services);
    let smoke = chance.one_in(3).then(|| chance.between(3, 6));
    let reserve = chance.between(10, 20);
    let mut draft = Draft {
        night,
        services,
        steps,
        smoke,
        reserve,
        reopening: chance.between(5, 30),
        slack: *chance.one_of(&[0, 0, 5, 30]),
        faults: vec![],
    };
    draft.faults = wrong::draw(&mut chance, &draft);
    draft
}

fn services(chance: &mut Chance) -> Vec<Service> {
    let count = *chance.one_of(&[1, 1, 2, 2, 3, 4]);
    let mut all: Vec<Service> = vec![];
    for number in 1..=count {
        let needs = all.last().filter(|_| chance.one_in(4)).map(|one| one.name.clone());
        let closing = *chance.one_of(&CLOSINGS);
        all.push(Service {
            name: format!("s{number}"),
            closing,
            when_dirty: chance.word(&["StayClosed", "StayClosed", "OpenDegraded", "Open"]),
            when_red: chance.word(&["CallPerson", "CallPerson", "OpenDegraded", "CloseAgain"]),
            tolerates: needs.is_none() && chance.one_in(6),
            needs,
            reopen: chance.between(5, 10),
        });
    }
    all
}

fn steps(chance: &mut Chance, services: &[Service]) -> Vec<Step> {
    let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    let split = if names.len() > 1 && chance.one_in(4) { 1 } else { names.len() };
    let mut all = vec![plain("chiudi", vec![], Work::Close(names[..split].to_vec()))];
    if split < names.len() {
        all.push(plain("chiudi-altri", vec!["chiudi".to_owned()], Work::Close(names[split..].to_vec())));
    }
    let closed = all.len();
    let count = usize::try_from(*chance.one_of(&[0, 1, 1, 2, 2, 3, 4])).unwrap().min(6 - closed);
    for name in &STEP_NAMES[..count] {
        let step = drawn(chance, name, &all, closed, &names);
        all.push(step);
    }
    all
}

fn plain(name: &str, needs: Vec<String>, work: Work) -> Step {
    let name = name.to_owned();
    Step { name, needs, budget: 5, hard_cap: None, on_overrun: None, goes_on_when_futile: false, work, touches: None, undo: None }
}

fn drawn(chance: &mut Chance, name: &str, before: &[Step], closed: usize, services: &[String]) -> Step {
    let budget = chance.between(4, 20);
    let mut needs: Vec<String> = before[closed..].iter().filter(|_| chance.one_in(2)).map(|step| step.name.clone()).collect();
    needs.push(before[closed - 1].name.clone());
    needs.reverse();
    let some = |chance: &mut Chance| services.iter().filter(|_| chance.one_in(2)).cloned().collect::<Vec<String>>();
    let work = work(chance, budget, before);
    let is_change = matches!(work, Work::Scale | Work::Merge | Work::Json | Work::Apply | Work::Suspend | Work::Cordon);
    let is_job = matches!(work, Work::Job { .. });
    let is_hold = matches!(work, Work::Hold { .. });
    let is_last = matches!(work, Work::Job { undo: Undo::Irreversible, .. });
    let touches = match () {
        () if is_job && chance.one_in(2) => Some(some(chance)),
        // What touches data and is put back says so.
        () if is_change && chance.one_in(3) => Some(some(chance)),
        () => None,
    };
    Step {
        name: name.to_owned(),
        needs,
        budget,
        hard_cap: (!is_hold && chance.one_in(3)).then(|| budget + chance.between(1, 15)),
        on_overrun: (is_last || !is_hold && chance.one_in(3)).then(|| chance.word(&["TurnBack", "Ask", "Continue"])),
        goes_on_when_futile: chance.one_in(5),
        undo: (is_change && (touches.is_some() || chance.one_in(2))).then(|| chance.between(3, 10)),
        work,
        touches,
    }
}

fn work(chance: &mut Chance, budget: i64, before: &[Step]) -> Work {
    match chance.between(1, 20) {
        1..=9 => Work::Job { takes: chance.between(1, budget - 2), undo: undo(chance, before) },
        10 => Work::Scale,
        11 => Work::Merge,
        12 => Work::Json,
        13 => Work::Apply,
        14 => Work::Suspend,
        15 => Work::Restart,
        16 => Work::Wait { comes: !chance.one_in(3) },
        17 => Work::Http,
        18 => Work::Hold { goes_on: chance.one_in(2) },
        19 => Work::Cordon,
        _ => Work::Notify,
    }
}

fn undo(chance: &mut Chance, before: &[Step]) -> Undo {
    let by_job = |step: &&Step| matches!(step.work, Work::Job { undo: Undo::Job { .. }, .. });
    let covering = before.iter().rfind(by_job).map(|step| step.name.clone());
    match (chance.between(1, 12), covering) {
        (1, _) => Undo::Nothing,
        (2, Some(other)) => Undo::CoveredBy(other),
        (3, _) => Undo::Irreversible,
        _ => {
            let takes = chance.between(1, 8);
            Undo::Job { budget: takes * 2 + chance.between(2, 6), takes, attempts: chance.between(1, 3) }
        }
    }
}
