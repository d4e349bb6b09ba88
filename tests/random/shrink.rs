//! A night that breaks a promise, made as small as it can be while it still does.
//!
//! In: a draft, and whether a draft still fails. Out: the smallest that was found. Invariants: what is dropped is dropped with whatever
//! speaks of it; the number of tries is bounded; moments of faults stay where they are in the night. Not here: what a failure is.

use jiff::SignedDuration;

use crate::draft::{Draft, Night, Step, Undo, Work};

/// Nights played at most.
const TRIES_MAX: usize = 600;

/// The smallest draft that still fails.
pub fn shrink(draft: &Draft, fails: impl Fn(&Draft) -> bool) -> Draft {
    let (mut smallest, mut tries) = (draft.clone(), 0);
    'again: loop {
        for smaller in candidates(&smallest).into_iter().filter(|one| *one != smallest) {
            if tries == TRIES_MAX {
                return smallest;
            }
            tries += 1;
            if fails(&smaller) {
                smallest = smaller;
                continue 'again;
            }
        }
        return smallest;
    }
}

/// Smaller nights, the boldest first.
fn candidates(draft: &Draft) -> Vec<Draft> {
    let mut all: Vec<Draft> = (0..draft.faults.len()).map(|place| changed(draft, |one| drop(one.faults.remove(place)))).collect();
    all.extend((0..draft.steps.len()).rev().filter_map(|place| without_step(draft, place)));
    all.extend((0..draft.services.len()).rev().filter_map(|place| without_service(draft, place)));
    all.push(plain_night(draft));
    all.extend(plainer(draft));
    all.extend((0..draft.steps.len()).flat_map(|place| plainer_step(draft, place)));
    all.extend((0..draft.services.len()).flat_map(|place| plainer_service(draft, place)));
    all.extend((0..draft.faults.len()).flat_map(|place| plainer_fault(draft, place)));
    all
}

fn changed(draft: &Draft, change: impl FnOnce(&mut Draft)) -> Draft {
    let mut smaller = draft.clone();
    change(&mut smaller);
    smaller
}

/// Without the step, and whatever speaks of it; a closing that leaves nothing to close stays.
fn without_step(draft: &Draft, place: usize) -> Option<Draft> {
    let gone = draft.steps[place].clone();
    let is_closing = |step: &Step| matches!(step.work, Work::Close(_));
    if is_closing(&gone) && draft.steps.iter().filter(|step| is_closing(step)).count() == 1 {
        return None;
    }
    let mut smaller = changed(draft, |one| drop(one.steps.remove(place)));
    for step in &mut smaller.steps {
        if step.needs.contains(&gone.name) {
            step.needs.retain(|name| *name != gone.name);
            let missing: Vec<String> = gone.needs.iter().filter(|name| !step.needs.contains(name)).cloned().collect();
            step.needs.extend(missing);
        }
        if let Work::Job { undo, .. } = &mut step.work
            && *undo == Undo::CoveredBy(gone.name.clone())
        {
            *undo = Undo::Nothing;
        }
    }
    let names = ["", "j-", "u-", "o-"].map(|letter| format!("{letter}{}", gone.name));
    smaller.faults.retain(|fault| fault.object.as_ref().is_none_or(|object| !names.contains(&object.name)));
    if let Work::Close(services) = &gone.work {
        smaller.services.retain(|service| !services.contains(&service.name));
        for name in services {
            forget(&mut smaller, name);
        }
    }
    Some(smaller)
}

/// Whatever speaks of the service.
fn forget(draft: &mut Draft, name: &str) {
    for service in draft.services.iter_mut().filter(|service| service.needs.as_deref() == Some(name)) {
        service.needs = None;
    }
    for step in &mut draft.steps {
        if let Work::Close(services) = &mut step.work {
            services.retain(|one| one != name);
        }
        if let Some(touches) = &mut step.touches {
            touches.retain(|one| one != name);
        }
    }
    draft.faults.retain(|fault| fault.object.as_ref().is_none_or(|object| object.name != name));
}

fn without_service(draft: &Draft, place: usize) -> Option<Draft> {
    let name = draft.services[place].name.clone();
    let alone = draft.steps.iter().any(|step| step.work == Work::Close(vec![name.clone()]));
    (!alone).then(|| {
        let mut smaller = changed(draft, |one| drop(one.services.remove(place)));
        forget(&mut smaller, &name);
        smaller
    })
}

/// A night on which clocks stay as they are.
fn plain_night(draft: &Draft) -> Draft {
    let mut smaller = changed(draft, |one| one.night = Night::Ordinary);
    let earlier = draft.start().duration_since(smaller.start());
    for fault in &mut smaller.faults {
        fault.at = fault.at.map(|at| at - earlier);
    }
    smaller
}

fn plainer(draft: &Draft) -> Vec<Draft> {
    vec![
        changed(draft, |one| one.smoke = None),
        changed(draft, |one| one.slack = 0),
        changed(draft, |one| one.reopening = 5),
        changed(draft, |one| one.reserve = 10),
    ]
}

fn plainer_step(draft: &Draft, place: usize) -> Vec<Draft> {
    let with = |change: fn(&mut Step)| changed(draft, |one| change(&mut one.steps[place]));
    vec![
        with(|step| step.hard_cap = None),
        with(|step| {
            if !matches!(step.work, Work::Job { undo: Undo::Irreversible, .. }) {
                step.on_overrun = None;
            }
        }),
        with(|step| step.goes_on_when_futile = false),
        with(|step| step.touches = None),
        with(|step| step.undo = step.undo.filter(|_| step.touches.is_some())),
        with(|step| {
            if let Work::Job { undo, .. } = &mut step.work {
                *undo = Undo::Job { budget: 5, takes: 1, attempts: 1 };
            }
        }),
        with(|step| {
            if let Work::Job { takes, .. } = &mut step.work {
                (*takes, step.budget, step.hard_cap) = (1, 5, None);
            }
        }),
    ]
}

fn plainer_service(draft: &Draft, place: usize) -> Vec<Draft> {
    let with = |change: fn(&mut crate::draft::Service)| changed(draft, |one| change(&mut one.services[place]));
    vec![
        with(|service| service.when_dirty = "StayClosed"),
        with(|service| service.when_red = "CallPerson"),
        with(|service| service.needs = None),
        with(|service| service.tolerates = false),
        with(|service| service.reopen = 5),
    ]
}

fn plainer_fault(draft: &Draft, place: usize) -> Vec<Draft> {
    let with = |change: &dyn Fn(&mut crate::stage::Fault)| changed(draft, |one| change(&mut one.faults[place]));
    let to_minute = |fault: &mut crate::stage::Fault| {
        fault.at = fault.at.map(|at| at - SignedDuration::from_secs(at.as_second() % 60));
    };
    vec![
        with(&|fault| fault.times = fault.times.map(|_| 1)),
        with(&|fault| fault.of = crate::stage::Of::Anybody),
        with(&|fault| fault.lasts = fault.lasts.map(|lasts| SignedDuration::from_mins((lasts.as_mins() / 2).max(1)))),
        with(&to_minute),
    ]
}
