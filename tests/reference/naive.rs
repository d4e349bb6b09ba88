//! DESIGN §1 a second time, the slow way: every question is answered from the journal itself, the way back is played second by second
//! from event to event, and nothing of `model::need`, `model::schedule` or the engine's state is used.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use notturno::engine::facts::{Arming, Ask, CheckFact, ClosingFact, Facts, JobEnd, JobKey, Order, SwitchFact};
use notturno::model::action::OnSilence;
use notturno::model::plan::{Plan, PlannedAction, PlannedStep, PlannedUndo};
use notturno::model::runbook::{OnFutile, OnOverrun};

use crate::told::Told;

fn same_object(one: &PlannedStep, other: &PlannedStep) -> bool {
    let object = |step: &PlannedStep| match &step.action {
        PlannedAction::Change(closing) => Some(closing.target.clone()),
        _ => None,
    };
    object(one).is_some() && object(one) == object(other)
}

fn share(one: &PlannedStep, other: &PlannedStep) -> bool {
    let of = |step: &PlannedStep| -> BTreeSet<usize> {
        let mut all = step.touches.clone();
        if let PlannedAction::Close { services } = &step.action {
            all.extend(services);
        }
        all
    };
    of(one).intersection(&of(other)).next().is_some() || same_object(one, other)
}

/// The services whose data the undo of a step gives back: also those of the steps that it covers.
pub fn undo_reach(plan: &Plan, index: usize) -> BTreeSet<usize> {
    let covered = |step: usize| step == index || plan.steps[step].undo == PlannedUndo::CoveredBy { step: index };
    (0..plan.steps.len()).filter(|&step| covered(step)).flat_map(|step| plan.steps[step].touches.clone()).collect()
}

fn undo_takes(step: &PlannedStep) -> i64 {
    match &step.undo {
        PlannedUndo::Job { budget, .. } | PlannedUndo::Restore { budget } => budget.get().as_secs(),
        _ => 0,
    }
}

/// Whether `later` needs `earlier`, through however many others.
fn rests_on(plan: &Plan, later: usize, earlier: usize) -> bool {
    plan.steps[later].needs.iter().any(|&need| need == earlier || rests_on(plan, need, earlier))
}

/// Steps that are left as they are because something that cannot be undone came after them.
pub fn left_alone(plan: &Plan, begun: &BTreeSet<usize>) -> BTreeSet<usize> {
    let final_ones: Vec<usize> =
        begun.iter().copied().filter(|&index| plan.steps[index].undo == PlannedUndo::Irreversible).collect();
    (0..plan.steps.len()).filter(|&index| final_ones.iter().any(|&one| one == index || rests_on(plan, one, index))).collect()
}

/// Plays all undos from event to event.
pub fn undo_for(plan: &Plan, begun: &BTreeSet<usize>) -> i64 {
    let alone = left_alone(plan, begun);
    let mut waiting: BTreeSet<usize> = begun.difference(&alone).copied().collect();
    let mut running: BTreeMap<usize, i64> = BTreeMap::new();
    let mut clock = 0;
    loop {
        running.retain(|_, end| *end > clock);
        let in_the_way = |index: usize, other: usize| {
            let both_undo = undo_takes(&plan.steps[index]) > 0 && undo_takes(&plan.steps[other]) > 0;
            let meet = !undo_reach(plan, index).is_disjoint(&undo_reach(plan, other))
                || same_object(&plan.steps[index], &plan.steps[other]);
            rests_on(plan, other, index) || (other > index && both_undo && meet)
        };
        let open: Vec<usize> = waiting.iter().chain(running.keys()).copied().collect();
        let free: Vec<usize> = waiting
            .iter()
            .copied()
            .filter(|&index| !open.iter().any(|&other| other != index && in_the_way(index, other)))
            .collect();
        for &index in &free {
            waiting.remove(&index);
            running.insert(index, clock + undo_takes(&plan.steps[index]));
        }
        if free.iter().any(|index| running[index] == clock) {
            continue;
        }
        match running.values().min() {
            Some(&end) => clock = end,
            None => return clock,
        }
    }
}

pub fn reopen_for(plan: &Plan, begun: &BTreeSet<usize>) -> i64 {
    let mut closed = BTreeSet::new();
    for &index in begun {
        if let PlannedAction::Close { services } = &plan.steps[index].action {
            closed.extend(services.iter().copied());
        }
    }
    let longest = |wave: &Vec<usize>| {
        wave.iter()
            .filter(|service| closed.contains(service))
            .map(|&service| plan.services[service].reopen_budget.get().as_secs())
            .max()
    };
    let sum: i64 = plan.waves.iter().filter_map(longest).sum();
    sum.max(plan.reopening_budget.get().as_secs())
}

pub fn need_for(plan: &Plan, begun: &BTreeSet<usize>) -> SignedDuration {
    let smoke = plan.smoke.as_ref().map_or(0, |smoke| smoke.budget.get().as_secs());
    SignedDuration::from_secs(undo_for(plan, begun) + smoke + reopen_for(plan, begun) + plan.reserve.get().as_secs())
}

pub fn turn_back_at(plan: &Plan, begun: &BTreeSet<usize>) -> Timestamp {
    plan.deadline.must_serve_by - need_for(plan, begun)
}

pub fn reopen_by(plan: &Plan, begun: &BTreeSet<usize>) -> Timestamp {
    let reopening = SignedDuration::from_secs(reopen_for(plan, begun));
    plan.deadline.must_serve_by - plan.reserve.get() - reopening
}

fn waits_for(plan: &Plan, index: usize) -> Vec<usize> {
    (0..index)
        .filter(|&other| plan.steps[index].needs.contains(&other) || share(&plan.steps[index], &plan.steps[other]))
        .collect()
}

/// The ends of all steps if everything from `now` on takes its budget, and the starts of those that have not begun.
fn rest(told: &Told<'_>, now: Timestamp) -> (BTreeMap<usize, Timestamp>, Vec<(Timestamp, usize)>) {
    let plan = told.plan;
    let mut ends: BTreeMap<usize, Timestamp> = told.begun().into_iter().map(|index| (index, told.end_of(index, now))).collect();
    let mut starts = Vec::new();
    for index in 0..plan.steps.len() {
        if told.steps[index].begun.is_some() {
            continue;
        }
        let mut start = now.max(plan.steps[index].not_before.unwrap_or(now));
        for other in waits_for(plan, index) {
            start = start.max(ends[&other]);
        }
        ends.insert(index, start + plan.steps[index].budget.get());
        starts.push((start, index));
    }
    starts.sort();
    (ends, starts)
}

/// May `index` start at `now`, with `ends` of what has begun?
fn gate(told: &Told<'_>, begun: &BTreeSet<usize>, ends: &BTreeMap<usize, Timestamp>, index: usize, now: Timestamp) -> bool {
    let plan = told.plan;
    let mut with = begun.clone();
    with.insert(index);
    let mut last = now + plan.steps[index].budget.get();
    for one in begun {
        last = last.max(ends[one]);
    }
    let back = last + need_for(plan, &with) <= plan.deadline.must_serve_by;
    if plan.steps[index].undo != PlannedUndo::Irreversible {
        return back;
    }
    // Everything that remains, then opening, then the reserve.
    let mut pretended = told.clone();
    for &one in begun {
        if pretended.steps[one].begun.is_none() {
            (pretended.steps[one].begun, pretended.steps[one].done) = (Some(now), Some(ends[&one]));
        }
    }
    let (all_ends, _) = rest(&pretended, now);
    let all: BTreeSet<usize> = (0..plan.steps.len()).collect();
    let open = *all_ends.values().max().unwrap() + SignedDuration::from_secs(reopen_for(plan, &all)) + plan.reserve.get();
    back && open <= plan.deadline.must_serve_by
}

fn first_that_does_not_fit(told: &Told<'_>, now: Timestamp) -> Option<usize> {
    let (ends, starts) = rest(told, now);
    let mut begun = told.begun();
    for (start, index) in starts {
        if !gate(told, &begun, &ends, index, start) {
            return Some(index);
        }
        begun.insert(index);
    }
    None
}

fn ended(told: &Told<'_>, facts: &Facts, now: Timestamp) -> Option<(usize, bool)> {
    told.running().into_iter().find_map(|index| {
        let planned = &told.plan.steps[index];
        let good = match &planned.action {
            PlannedAction::Notify { .. } => Some(true),
            PlannedAction::Job(_) => match facts.jobs.get(&JobKey::Step(index)) {
                Some(job) if job.burned.is_none() && job.end == Some(JobEnd::Complete) => Some(true),
                Some(job) if matches!(job.end, Some(JobEnd::Failed { .. } | JobEnd::Vanished)) => Some(false),
                _ => None,
            },
            PlannedAction::Close { services } => {
                let seen: Vec<_> = services.iter().map(|one| facts.services.get(one).map(|fact| fact.closing.clone())).collect();
                if seen.iter().any(|one| matches!(one, Some(ClosingFact::Refused { .. }))) {
                    Some(false)
                } else {
                    seen.iter().all(|one| *one == Some(ClosingFact::Closed)).then_some(true)
                }
            }
            PlannedAction::Change(_) => match facts.changes.get(&index).map(|fact| &fact.change) {
                Some(ClosingFact::Closed) => Some(true),
                Some(ClosingFact::Refused { .. }) => Some(false),
                _ => None,
            },
            PlannedAction::Check(_) => match facts.checks.get(&index) {
                Some(CheckFact::Passed) => Some(true),
                Some(CheckFact::Failed { .. }) => Some(false),
                _ => None,
            },
            PlannedAction::Hold(hold) => {
                let lived = &told.steps[index];
                let enough = lived.yes.len() >= hold.confirmations as usize;
                let silence = now >= lived.cap.unwrap() && hold.on_silence == OnSilence::Continue;
                (enough || silence).then_some(true)
            }
        };
        good.map(|good| (index, good))
    })
}

/// `name step` of what an order leads to.
fn answer(told: &Told<'_>, order: &Order) -> String {
    let plan = told.plan;
    let find = |name: &str| plan.steps.iter().position(|step| step.name == name);
    let asks = |name: &str| {
        find(name).filter(|&index| told.is_running(index) && matches!(plan.steps[index].action, PlannedAction::Hold(_)))
    };
    match &order.ask {
        Ask::TurnBack => "goingBack".to_owned(),
        Ask::Reject { step } if asks(step).is_some() => "goingBack".to_owned(),
        Ask::Confirm { step } if asks(step).is_some_and(|index| !told.steps[index].yes.contains(&order.by)) => {
            format!("confirmed {step}")
        }
        Ask::Hold if !told.held => "held".to_owned(),
        Ask::Resume if told.held => "resumed".to_owned(),
        Ask::Extend { step, until } => {
            let running = find(step).filter(|&index| told.is_running(index));
            let good = running
                .is_some_and(|index| *until <= turn_back_at(plan, &told.begun()) && *until > told.steps[index].cap.unwrap());
            if good { format!("extended {step}") } else { "orderRefused".to_owned() }
        }
        Ask::Reject { .. } | Ask::Confirm { .. } | Ask::Hold | Ask::Resume => "orderRefused".to_owned(),
    }
}

/// The night could begin now, and only a clock that is not bounded, or the want of sentinels, holds it.
pub fn is_held(told: &Told<'_>, facts: &Facts, now: Timestamp) -> bool {
    let known = Facts { clock_unbounded: None, switch: SwitchFact::NotAsked, ..facts.clone() };
    let held = facts.clock_unbounded.is_some() || sentinels(facts).is_some_and(|count| count < 2);
    told.is_still() && held && before(told, &known, now).as_deref() == Some("workBegun")
}

/// How many sentinels are known to watch; none where nobody asks for them.
fn sentinels(facts: &Facts) -> Option<u32> {
    match &facts.switch {
        SwitchFact::NotAsked => None,
        SwitchFact::Ready { count } => Some(*count),
        _ => Some(0),
    }
}

/// For how long a night does without them: a quarter of what it has in reserve, 10 s at least, a minute at most.
pub fn patience(plan: &Plan) -> SignedDuration {
    SignedDuration::from_secs((plan.reserve.get().as_secs() / 4).clamp(10, 60))
}

/// The same as [`next`] before the work begins.
fn before(told: &Told<'_>, facts: &Facts, now: Timestamp) -> Option<String> {
    let said_no = |order: &Order| order.at <= now && order.ask == Ask::TurnBack;
    if facts.called_off.is_some() || facts.orders.iter().any(said_no) || now > told.plan.start_by {
        return Some("finished".to_owned());
    }
    if !told.armed {
        return (facts.arming == Arming::Armed).then(|| "armed".to_owned());
    }
    if now < told.plan.start_at {
        return None;
    }
    let unfit = first_that_does_not_fit(told, now);
    if unfit.is_some_and(|index| told.plan.steps[index].on_futile == OnFutile::TurnBack) {
        return Some("finished".to_owned());
    }
    let may_begin = facts.clock_unbounded.is_none() && sentinels(facts).is_none_or(|count| count == 2);
    may_begin.then(|| "workBegun".to_owned())
}

/// `name` or `name step` of the next event until the work turns or ends; none when there is only waiting to do.
pub fn next(told: &Told<'_>, facts: &Facts, now: Timestamp) -> Option<String> {
    let plan = told.plan;
    if told.is_still() {
        return before(told, facts, now);
    }
    if let Some((index, good)) = ended(told, facts, now) {
        return Some(format!("{} {}", if good { "stepDone" } else { "stepFailed" }, plan.steps[index].name));
    }
    if told.steps.iter().any(|lived| lived.failed.is_some()) || facts.called_off.is_some() {
        return Some("goingBack".to_owned());
    }
    if let Some(order) = facts.orders.iter().find(|order| order.at <= now && !told.answered.contains(&order.name)) {
        return Some(answer(told, order));
    }
    if told.steps.iter().all(|lived| lived.done.is_some()) {
        return Some("committed".to_owned());
    }
    if now >= turn_back_at(plan, &told.begun()) || told.running().iter().any(|&index| now >= told.steps[index].cap.unwrap()) {
        return Some("goingBack".to_owned());
    }
    for index in told.running() {
        let (planned, lived) = (&plan.steps[index], &told.steps[index]);
        let gone = now >= lived.begun.unwrap() + planned.budget.get() && !matches!(planned.action, PlannedAction::Hold(_));
        if gone && !lived.overrun {
            return Some(format!("overrun {}", planned.name));
        }
        if gone && planned.on_overrun == OnOverrun::TurnBack && !lived.extended {
            return Some("goingBack".to_owned());
        }
    }
    let last =
        (0..plan.steps.len()).filter(|&index| told.steps[index].done.is_some()).max_by_key(|&index| told.steps[index].done);
    if let Some(last) =
        last.filter(|&last| told.steps[last].done == Some(now) && plan.steps[last].on_futile == OnFutile::TurnBack)
        && first_that_does_not_fit(told, now).is_some()
    {
        let _ = last;
        return Some("goingBack".to_owned());
    }
    match &facts.switch {
        SwitchFact::NotReady { since, .. } if now >= *since + patience(plan) => Some("goingBack".to_owned()),
        _ if sentinels(facts) == Some(0) => None,
        _ => starting(told, now),
    }
}

fn starting(told: &Told<'_>, now: Timestamp) -> Option<String> {
    if told.held {
        return None;
    }
    let ends: BTreeMap<usize, Timestamp> = told.begun().into_iter().map(|index| (index, told.end_of(index, now))).collect();
    let mut shut = false;
    for (index, planned) in told.plan.steps.iter().enumerate() {
        let ready = waits_for(told.plan, index).iter().all(|&other| told.steps[other].done.is_some());
        if told.steps[index].begun.is_some() || !ready || planned.not_before.is_some_and(|moment| now < moment) {
            continue;
        }
        if gate(told, &told.begun(), &ends, index, now) {
            return Some(format!("stepIntended {}", planned.name));
        }
        shut = true;
    }
    (shut && told.running().is_empty()).then(|| "goingBack".to_owned())
}
