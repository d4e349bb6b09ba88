//! What a fault excuses: the one promise that it makes impossible, for the one service or object, until a moment, and why.
//!
//! In: a fault that struck. Out: [`Excuse`]. Invariants: a fault that did not strike excuses nothing; an excuse names one promise and one
//! thing, and where it can, the moments for which it holds. Not here: what is promised (the oracle).

use jiff::{SignedDuration, Timestamp};

use super::cast::Who;
use super::deeds::WEBHOOK_MARK;
use super::fault::{Fault, Kind, Object};
use super::play::Played;
use super::scene::Scene;
use crate::oracle::calm::looks_max;
use crate::oracle::{Broken, Declared, Key, judge};

pub const OPEN: &str = "open before doors";
pub const STAYS_OPEN: &str = "open from then on";
pub const QUIET: &str = "quiet";
pub const HELD_UP: &str = "no undo is held up";
pub const GIVEN_BACK: &str = "given back exactly";

/// Each minute four watches anew, and a look of four requests.
const LOOKS_AN_HOUR_MAX: usize = 480;
/// A Deployment that somebody makes anew has Pods that are ready within this.
const MADE_ANEW_WITHIN: SignedDuration = SignedDuration::from_mins(5);
const TENANT: &str = "system:serviceaccount:centro-dati:lavori";

/// When a promise need not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// Until a person does something.
    Ever,
    /// As long as it happens no more often than this in an hour.
    AtMost(usize),
    /// What was seen between these moments counts for nothing; what was seen otherwise does.
    Unseen(Timestamp, Timestamp),
}

/// One promise about one thing that need not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excuse {
    pub promise: &'static str,
    /// A service or an object, as the oracle names it.
    pub about: String,
    /// When it need not be.
    pub during: During,
    pub why: &'static str,
}

fn key(object: &Object) -> Key {
    Key::new(&format!("{}s", object.kind.to_lowercase()), &object.namespace, &object.name)
}

/// The services whose closing changes the object.
fn closed_by<'a>(declared: &'a Declared, object: &Object) -> impl Iterator<Item = &'a str> {
    let key = key(object);
    declared.services.values().filter(move |one| one.closing.contains(&key)).map(|one| one.id.as_str())
}

/// Whoever acts in the tenant's name asks on, so often in an hour at most.
fn asks(count_max: usize, why: &'static str) -> impl Iterator<Item = Excuse> {
    let actors = Who::SENTINELS.into_iter().chain([TENANT]);
    let of = move |who: &str| Excuse { promise: QUIET, about: who.to_owned(), during: During::AtMost(count_max), why };
    actors.map(of)
}

/// What was closed is not there any more, and nobody makes what others delete: its doors stay shut, and whoever is to open them goes on
/// trying, at most every few seconds.
fn deleted(played: &Played, fault: &Fault) -> Vec<Excuse> {
    let declared = &played.declared;
    let why = "what was closed is not there any more: somebody deleted it";
    let mut all = vec![];
    for id in closed_by(declared, fault.object()) {
        let about = id.to_owned();
        all.push(Excuse { promise: OPEN, about: about.clone(), during: During::Ever, why });
        all.push(Excuse { promise: STAYS_OPEN, about, during: During::Unseen(fault.from(), Timestamp::MAX), why });
        let why = "whoever has to give it back looks for it until a person says otherwise";
        all.extend(asks(looks_max(declared), why));
        all.extend(waiting(played));
    }
    all
}

/// A night that waits for a person keeps its tokens.
fn waiting(played: &Played) -> Vec<Excuse> {
    if played.journal().contains("\"finished\"") {
        return vec![];
    }
    still_borne(&played.declared, "the night waits for a person, and keeps its tokens")
}

fn still_borne(declared: &Declared, why: &'static str) -> Vec<Excuse> {
    let of = |key: &Key| Excuse { promise: GIVEN_BACK, about: format!("{key} still bears"), during: During::Ever, why };
    declared.targets().into_keys().map(of).collect()
}

/// A step whose Job is gone and of which no Pod was seen to end may still have worked: its service waits for a person.
fn job_deleted(played: &Played, fault: &Fault) -> Vec<Excuse> {
    if played.journal().contains("\"finished\"") {
        return vec![];
    }
    let why = "a person is needed: nobody can prove that the work has stopped of which the Job was deleted";
    let undo = Excuse { promise: HELD_UP, about: format!("nobody undid {}", fault.object().name), during: During::Ever, why };
    asks(looks_max(&played.declared), why).chain([undo]).collect()
}

/// A Pod that never says that it has stopped may work on: nothing is undone beneath it, and a service on whose data it worked stays
/// closed, whatever it declares.
fn node_lost(played: &Played, fault: &Fault) -> Vec<Excuse> {
    let declared = &played.declared;
    let name = fault.object().name.get(2..).unwrap_or_default();
    let Some(step) = declared.steps.iter().find(|step| step.name == name) else { return vec![] };
    if played.journal().contains("\"finished\"") {
        return vec![];
    }
    let why = "a person is needed: nobody can prove that the work of a lost node has stopped";
    let shut = step.touches.iter().map(|id| (OPEN, format!("{id} is half done and declared open, and closed")));
    let beneath = declared.upstream(step).into_iter().chain([name]).map(|step| (HELD_UP, format!("nobody undid {step}")));
    shut.chain(beneath).map(|(promise, about)| Excuse { promise, about, during: During::Ever, why }).collect()
}

/// What a fault that struck excuses.
pub fn excuses(played: &Played, fault: &Fault) -> Vec<Excuse> {
    let declared = &played.declared;
    match fault.kind {
        Kind::TargetDeleted => deleted(played, fault),
        Kind::TargetRecreated => {
            let why = "somebody makes anew what serves it, which takes a while";
            let until = fault.from() + MADE_ANEW_WITHIN;
            let during = During::Unseen(fault.from(), until);
            let of = |id: &str| Excuse { promise: STAYS_OPEN, about: id.to_owned(), during, why };
            closed_by(declared, fault.object()).map(of).collect()
        }
        Kind::JobDeleted => job_deleted(played, fault),
        Kind::NodeLost => node_lost(played, fault),
        Kind::OperatorDies if !played.journal().contains("workBegun") => {
            let why = "the operator died for good before anything was closed: nothing is to be given back, and tokens wait for an operator";
            still_borne(declared, why)
        }
        Kind::OperatorDies => {
            let why = "whoever would tell is dead, and that it is dead is told by its silence";
            let about = |id: &str| format!("{id} is not open at {}, and nobody was told", declared.must_serve_by);
            let of = |id: &str| Excuse { promise: OPEN, about: about(id), during: During::Ever, why };
            declared.closed().map(|service| of(&service.id)).collect()
        }
        Kind::ProbesRed => {
            let probed = declared.services.values().filter(|service| !service.probes.is_empty());
            let unseen = |id: &str| Excuse {
                promise: STAYS_OPEN,
                about: id.to_owned(),
                during: During::Unseen(fault.from(), fault.until()),
                why: "what it needs is down, by another hand",
            };
            let again = |id: &str| Excuse {
                promise: OPEN,
                about: id.to_owned(),
                during: During::Ever,
                why: "it declares to be closed again when it does not answer, and what it needs was down",
            };
            let looks = || Excuse {
                promise: QUIET,
                about: TENANT.to_owned(),
                during: During::AtMost(LOOKS_AN_HOUR_MAX),
                why: "a service that was closed again is looked at each minute, since nothing rings when a person opens it",
            };
            let of = |one: &crate::oracle::Service| {
                if one.closes_again { vec![unseen(&one.id), again(&one.id), looks()] } else { vec![unseen(&one.id)] }
            };
            let closed_again = declared.services.values().any(|service| service.closes_again);
            probed.flat_map(of).chain(if closed_again { waiting(played) } else { vec![] }).collect()
        }
        _ => vec![],
    }
}

/// Every promise that the night broke and that nothing excuses. What somebody's webhook writes with every change of an object, ours too, is
/// nobody's change.
pub fn judged(scene: &Scene, played: &Played) -> Vec<Broken> {
    let struck = scene.faults.iter().zip(&played.struck).filter(|(_, count)| **count > 0).map(|(fault, _)| fault);
    let struck: Vec<&Fault> = struck.collect();
    let excuses: Vec<Excuse> = struck.iter().flat_map(|fault| excuses(played, fault)).collect();
    let excuses_of = |broken: &Broken| -> Vec<&Excuse> {
        let is_about = |about: &str| broken.what == about || broken.what.starts_with(&format!("{about} "));
        excuses.iter().filter(|excuse| excuse.promise == broken.promise && is_about(&excuse.about)).collect()
    };
    let mut evidence = played.evidence.clone();
    if struck.iter().any(|fault| fault.kind == Kind::WebhookAlters) {
        evidence.without_annotation(WEBHOOK_MARK);
    }
    let mut left = vec![];
    for broken in judge(&played.declared, &evidence) {
        let own = excuses_of(&broken);
        let said = broken.what.split_whitespace().find_map(|word| word.parse::<usize>().ok());
        let holds = |excuse: &&Excuse| match excuse.during {
            During::Ever => true,
            During::AtMost(count) => said.is_some_and(|said| said <= count),
            During::Unseen(..) => false,
        };
        if own.iter().any(holds) {
            continue;
        }
        let mut seen = evidence.clone();
        for excuse in &own {
            if let During::Unseen(from, until) = excuse.during {
                seen.sightings.retain(|one| one.service != excuse.about || one.at < from || one.at > until);
            }
        }
        if seen.sightings.len() == evidence.sightings.len() {
            left.push(broken);
            continue;
        }
        let is_about = |one: &Broken| own.iter().any(|excuse| one.what.starts_with(&format!("{} ", excuse.about)));
        let still = judge(&played.declared, &seen).into_iter();
        left.extend(still.filter(|one| one.promise == broken.promise && is_about(one)));
    }
    left
}
