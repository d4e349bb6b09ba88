//! What goes wrong in a drawn night.
//!
//! In: chance, a draft. Out: its faults. Invariants: a fault that is drawn can strike; what disturbs for long ends before the way back has
//! to begin, and what comes later is short, so that the promises have to hold; every program is never dead at once. Not here: what faults do.

use jiff::{SignedDuration, Timestamp};

use crate::chance::Chance;
use crate::draft::{Closing, Draft, Step, Undo, Work, minutes};
use crate::stage::{Fault, Kind, Object, Of, To, Way};

/// Writes that somebody has to send again.
const WRITES: [To; 9] = [To::Ledger, To::Ledger, To::Jobs, To::Targets, To::Targets, To::Plan, To::Night, To::Switch, To::Writes];
const ALL: [To; 12] = [
    To::Anything,
    To::Ledger,
    To::Ledger,
    To::Jobs,
    To::Targets,
    To::Targets,
    To::Plan,
    To::Night,
    To::Events,
    To::Switch,
    To::Writes,
    To::Reads,
];

fn object(kind: &str, namespace: &str, name: &str) -> Object {
    let [kind, namespace, name] = [kind, namespace, name].map(str::to_owned);
    Object { kind, namespace, name }
}

/// What closings change.
fn closed(draft: &Draft, probed_only: bool) -> Vec<Object> {
    let kind = |closing: Closing| match closing {
        Closing::Scale => "Deployment",
        Closing::Courtesy => "Service",
        Closing::Suspend => "CronJob",
        Closing::Merge | Closing::Json => "ConfigMap",
    };
    let all = draft.services.iter().filter(|service| !probed_only || service.closing.is_probed());
    all.map(|service| object(kind(service.closing), "sanita", &service.name)).collect()
}

fn targets(draft: &Draft, probed_only: bool) -> Vec<Object> {
    closed(draft, probed_only).into_iter().chain(draft.steps.iter().filter_map(Step::target)).collect()
}

fn jobs(draft: &Draft) -> Vec<String> {
    let is_job = |step: &&Step| matches!(step.work, Work::Job { .. });
    draft.steps.iter().filter(is_job).map(|step| step.name.clone()).collect()
}

fn undos(draft: &Draft) -> Vec<String> {
    let by_job = |step: &&Step| matches!(step.work, Work::Job { undo: Undo::Job { .. }, .. });
    draft.steps.iter().filter(by_job).map(|step| step.name.clone()).collect()
}

/// The faults of the night: none of it, some, or many.
pub fn draw(chance: &mut Chance, draft: &Draft) -> Vec<Fault> {
    let count = *chance.one_of(&[0, 1, 1, 2, 2, 3, 4]);
    let mut all: Vec<Fault> = vec![];
    for _ in 0..count {
        let kind = *chance.one_of(Kind::ALL);
        if let Some(fault) = fault(chance, draft, kind).filter(|fault| fits(&all, fault)) {
            let turn = turn(chance, draft, &fault).filter(|turn| fits(&all, turn));
            all.push(fault);
            all.extend(turn);
        }
    }
    all
}

/// They strike only where work is stopped, or undone.
const AFTER_A_TURN: [Kind; 6] =
    [Kind::NodeLost, Kind::StopsWithSuccess, Kind::CompletesWhenStopped, Kind::UndoFails, Kind::UndoFailsOnce, Kind::UndoHangs];

/// An order to turn back around the time at which the work runs that the fault is about.
fn turn(chance: &mut Chance, draft: &Draft, fault: &Fault) -> Option<Fault> {
    if !AFTER_A_TURN.contains(&fault.kind) {
        return None;
    }
    let name = fault.object().name.get(2..)?;
    let step = draft.steps.iter().find(|step| step.name == name)?;
    let latest = (draft.start() + minutes(draft.starts_at(step) + step.budget)).min(draft.must_serve_by() - minutes(3));
    let seconds = latest.duration_since(draft.start()).as_secs().max(2);
    let at = draft.start() + SignedDuration::from_secs(chance.between(1, seconds));
    Some(Fault { at: Some(at), ..Fault::new(Kind::OrderTurnBack) })
}

/// Two of them together would leave nobody.
const LEAVES_ONE: [Kind; 4] = [Kind::OperatorDies, Kind::SentinelsDown, Kind::SwitchDeleted, Kind::SentinelsSuspended];

fn fits(all: &[Fault], fault: &Fault) -> bool {
    let leaves = |one: &Fault| LEAVES_ONE.contains(&one.kind) || one.of == Of::Sentinels;
    let is_dead = |one: &Fault| one.kind == Kind::OperatorDies;
    let nobody = all.iter().any(|one| leaves(one) && leaves(fault) && (is_dead(one) || is_dead(fault)));
    let same = all
        .iter()
        .any(|one| one.kind == fault.kind && (!matches!(one.kind.way(), Way::Request | Way::Event) || one.to == fault.to));
    let same_job =
        all.iter().any(|one| one.kind.way() == Way::Work && fault.kind.way() == Way::Work && one.object == fault.object);
    !nobody && !same && !same_job
}

/// A moment of the night, or the second before something is planned to end.
fn moment(chance: &mut Chance, draft: &Draft, until: Timestamp) -> Timestamp {
    let edges: Vec<Timestamp> = draft.edges().into_iter().filter(|at| *at < until).collect();
    if !edges.is_empty() && chance.one_in(3) {
        return *chance.one_of(&edges) - SignedDuration::from_secs(1);
    }
    let from = draft.from() + minutes(1);
    from + SignedDuration::from_secs(chance.between(0, until.duration_since(from).as_secs().max(1)))
}

/// A window that is over before the way back has to begin, or a short one at any time.
fn window(chance: &mut Chance, draft: &Draft, fault: &mut Fault, longest: i64) {
    let last = draft.must_serve_by() - minutes(3);
    if chance.one_in(2) {
        let at = moment(chance, draft, draft.calm_by());
        let room = draft.calm_by().duration_since(at).as_mins().min(longest);
        fault.at = Some(at);
        fault.lasts = Some(minutes(chance.between(1, room.max(1))));
    } else {
        fault.at = Some(moment(chance, draft, last));
        fault.lasts = Some(minutes(chance.between(1, 2)));
    }
}

fn fault(chance: &mut Chance, draft: &Draft, kind: Kind) -> Option<Fault> {
    match kind.way() {
        Way::Request => Some(request(chance, draft, kind)),
        Way::Event => Some(event(chance, draft, kind)),
        Way::Program => Some(program(chance, draft, kind)),
        Way::Work => work(chance, draft, kind),
        Way::Hand => hand(chance, draft, kind),
    }
}

fn request(chance: &mut Chance, draft: &Draft, kind: Kind) -> Fault {
    let mut fault = Fault::new(kind);
    fault.of = *chance.one_of(&[Of::Operator, Of::Operator, Of::Anybody, Of::Sentinels]);
    match kind {
        Kind::BlackHole => window(chance, draft, &mut fault, 20),
        Kind::OperatorSuspended | Kind::SentinelsSuspended => {
            fault.of = if kind == Kind::OperatorSuspended { Of::Operator } else { Of::Sentinels };
            window(chance, draft, &mut fault, 30);
        }
        Kind::WatchRefused | Kind::WatchUnanswered => {
            fault.to = To::Watches;
            window(chance, draft, &mut fault, 15);
        }
        Kind::Quota => {
            // Whatever is created is created before the night begins.
            (fault.to, fault.of, fault.at) = (To::Jobs, Of::Operator, Some(draft.from()));
            fault.lasts = Some(minutes(chance.between(1, 15)));
        }
        Kind::WebhookRefuses | Kind::WebhookSlow => {
            fault.object = Some(chance.one_of(&targets(draft, false)).clone());
            fault.to = To::Targets;
            fault.of = Of::Anybody;
            window(chance, draft, &mut fault, 20);
        }
        _ => {
            let to: &[To] = if matches!(kind, Kind::LateRequest | Kind::Conflict | Kind::Invalid) { &WRITES } else { &ALL };
            fault.to = *chance.one_of(to);
            if matches!(kind, Kind::LateReply | Kind::LateRequest) {
                fault.takes = Some(SignedDuration::from_secs(chance.between(1, 30)));
            }
            if chance.one_in(3) {
                window(chance, draft, &mut fault, 15);
            } else {
                fault.at = Some(moment(chance, draft, draft.must_serve_by() - minutes(3)));
            }
            fault.times = Some(usize::try_from(chance.between(1, 4)).unwrap());
        }
    }
    fault
}

/// What watches of the night are about.
const TOLD: [To; 5] = [To::Anything, To::Jobs, To::Jobs, To::Ledger, To::Night];

fn event(chance: &mut Chance, draft: &Draft, kind: Kind) -> Fault {
    let mut fault = Fault::new(kind);
    fault.of = *chance.one_of(&[Of::Operator, Of::Operator, Of::Anybody, Of::Sentinels]);
    fault.to = *chance.one_of(&TOLD);
    if kind == Kind::EventLate {
        fault.takes = Some(SignedDuration::from_secs(chance.between(1, 90)));
    }
    fault.at = Some(moment(chance, draft, draft.must_serve_by() - minutes(3)));
    fault.times = Some(usize::try_from(chance.between(1, 4)).unwrap());
    fault
}

fn program(chance: &mut Chance, draft: &Draft, kind: Kind) -> Fault {
    let mut fault = Fault::new(kind);
    match kind {
        Kind::SentinelsDown => window(chance, draft, &mut fault, 30),
        Kind::DateAhead | Kind::DateBehind => {
            fault.at = Some(moment(chance, draft, draft.must_serve_by() - minutes(3)));
            fault.lasts = Some(minutes(chance.between(1, 60)));
        }
        Kind::WallClockAhead | Kind::WallClockBehind | Kind::SentinelsAhead | Kind::SentinelsBehind => {
            fault.at = Some(draft.from());
        }
        _ => fault.at = Some(moment(chance, draft, draft.must_serve_by() - minutes(3))),
    }
    fault
}

fn work(chance: &mut Chance, draft: &Draft, kind: Kind) -> Option<Fault> {
    let mut fault = Fault::new(kind);
    let undo = matches!(kind, Kind::UndoFails | Kind::UndoFailsOnce | Kind::UndoHangs);
    let names = if undo { undos(draft) } else { jobs(draft) };
    if names.is_empty() {
        return None;
    }
    let name = chance.one_of(&names).clone();
    let own = undo || !chance.one_in(5) || !undos(draft).contains(&name);
    let letter = if undo || !own { "u" } else { "j" };
    fault.object = Some(object("CronJob", "centro-dati", &format!("{letter}-{name}")));
    match kind {
        Kind::JobSlow => {
            let step = draft.steps.iter().find(|step| step.name == name)?;
            fault.takes = Some(minutes(step.budget + chance.between(1, 30)));
        }
        Kind::PodScheduledLate => fault.takes = Some(minutes(chance.between(1, 6))),
        _ => {}
    }
    Some(fault)
}

fn hand(chance: &mut Chance, draft: &Draft, kind: Kind) -> Option<Fault> {
    let mut fault = Fault::new(kind);
    fault.at = Some(moment(chance, draft, draft.must_serve_by() - minutes(3)));
    match kind {
        Kind::WebhookAlters => {
            fault.object =
                Some(chance.one_of(&targets(draft, true).into_iter().chain(closed(draft, false)).collect::<Vec<_>>()).clone());
            fault.lasts = Some(minutes(chance.between(10, 120)));
        }
        Kind::TargetEdited => {
            let all = targets(draft, true);
            if all.is_empty() {
                return None;
            }
            fault.object = Some(chance.one_of(&all).clone());
        }
        Kind::TargetDeleted | Kind::TargetRecreated | Kind::TokenTaken => {
            fault.object = Some(chance.one_of(&targets(draft, false)).clone());
        }
        Kind::TargetFoughtOver => {
            fault.object = Some(chance.one_of(&targets(draft, false)).clone());
            fault.times = Some(usize::try_from(chance.between(1, 5)).unwrap());
        }
        Kind::JobDeleted | Kind::PodDeleted | Kind::OrderExtend => {
            let names = jobs(draft);
            if names.is_empty() {
                return None;
            }
            let name: &String = chance.one_of(&names);
            fault.object = Some(object(if kind == Kind::OrderExtend { "Step" } else { "Job" }, "centro-dati", name));
            if kind == Kind::OrderExtend {
                fault.lasts = Some(minutes(chance.between(5, 60)));
            }
        }
        Kind::ServiceDeleted => fault.object = Some(object("PublicService", "sanita", &chance.one_of(&draft.services).name)),
        Kind::CalendarEdited => fault.object = Some(object("OfficeCalendar", "", "sportello")),
        Kind::OrderHold => fault.lasts = Some(minutes(chance.between(1, 40))),
        Kind::ProbesRed => {
            let latest = draft.must_serve_by() - minutes(draft.reserve / 2);
            let at = moment(chance, draft, latest);
            fault.at = Some(at);
            fault.lasts = Some(minutes(chance.between(1, latest.duration_since(at).as_mins().clamp(1, 30))));
        }
        _ => {}
    }
    Some(fault)
}
