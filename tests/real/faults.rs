//! The table: each fault on five nights at once, placed before, during and after the work on data, and what became of every service.
//!
//! In: a [`Fault`]. Out: its rows, told to people and kept beside the build for `tests/real/table`. Invariants: what is asserted is what
//! [`verdict`] says; three of them are played in every run and judged by the oracle too, all of them (more than an hour) with the feature `faults`. Not here: the nights.

#[cfg(feature = "faults")]
mod all;
mod damage;
mod strikes;
mod verdict;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::city::{CITY, Service, TENANTS};
use super::cluster::{say, until};
use super::five::{Five, RESERVE};
use super::judged::{During, Excuse};
use damage::Damage;

/// When the world breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Struck {
    /// Once every night is where the test holds it.
    Placed,
    /// Then, so many seconds before the first moment at which a night has to turn back.
    BeforeTurningBack(i64),
}

/// When it is whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mended {
    /// At the end of the stroke.
    AtOnce,
    /// So many seconds before all has to be open.
    BeforeDoors(i64),
    /// After all had to be open.
    AfterDoors,
}

/// Which nights the sentinels take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakenOver {
    /// All, and nobody but they reopened anything.
    All,
    /// Any, or none: an operator that lives may be late.
    Any,
    /// None: nobody deposes a healthy operator.
    None,
}

/// One fault.
struct Fault {
    /// The name of its rows.
    name: &'static str,
    struck: Struck,
    strike: fn(&Five) -> Damage,
    mended: Mended,
    /// What is done then, beside dropping the damage.
    mend: fn(&Five),
    /// The nights are let go on when it is mended; else they are held until they turn back.
    goes_on: bool,
    taken_over: TakenOver,
    /// What the runbooks reserve.
    reserve: SignedDuration,
    /// Tenants whose dirty services may stay closed past the moment.
    may_stay_closed: &'static [&'static str],
    /// The nights are settled when the operator is back; without their Interventions nobody reports them.
    settles: bool,
}

/// What most faults have in common: placed, mended when doors had to be open, by whomever, all open.
const FAULT: Fault = Fault {
    name: "",
    struck: Struck::Placed,
    strike: strikes::nothing,
    mended: Mended::AfterDoors,
    mend: strikes::leave,
    goes_on: false,
    taken_over: TakenOver::Any,
    reserve: RESERVE,
    may_stay_closed: &[],
    settles: true,
};

const OPERATOR_DELETED: Fault = Fault {
    name: "operator's Deployment deleted",
    strike: strikes::delete_operator,
    mend: strikes::operator_comes_back,
    taken_over: TakenOver::All,
    ..FAULT
};
const API_SERVER_AWAY: Fault = Fault {
    name: "API server stopped 30 s over the turn-back moment",
    struck: Struck::BeforeTurningBack(5),
    strike: strikes::stop_api_server,
    mended: Mended::AtOnce,
    // The controllers ask for it in pauses of up to a minute, and only then stop or start anything.
    reserve: SignedDuration::from_secs(120),
    ..FAULT
};
const BOTH_SENTINELS_DELETED: Fault = Fault {
    name: "both sentinel Pods deleted, operator dead",
    strike: strikes::delete_operator_and_both_sentinels,
    mend: strikes::operator_comes_back,
    taken_over: TakenOver::All,
    ..FAULT
};

/// Plays the five nights with it, and holds every service against what was promised.
fn played_with(fault: &Fault) -> Five {
    let five = Five::declare(fault.reserve, |_| {});
    five.until_placed();
    if let Struck::BeforeTurningBack(seconds) = fault.struck {
        until(five.first_turn_back_at() - SignedDuration::from_secs(seconds));
    }
    let struck_at = Timestamp::now();
    assert!(struck_at < five.first_turn_back_at(), "it strikes while every night still works");
    let damage = (fault.strike)(&five);
    let seconds = |moment: Timestamp| moment.duration_since(five.start_at).as_secs_f64();
    say(format!("{}: from {:.1} to {:.1} s after the start", fault.name, seconds(struck_at), seconds(Timestamp::now())));
    if let Mended::BeforeDoors(seconds) = fault.mended {
        until(five.must_serve_by - SignedDuration::from_secs(seconds));
    }
    let mend = |damage: Damage| {
        drop(damage);
        (fault.mend)(&five);
        if fault.goes_on {
            five.let_go();
        }
    };
    let mut open_wound = Some(damage);
    if fault.mended != Mended::AfterDoors {
        open_wound.take().into_iter().for_each(mend);
    }
    until(five.must_serve_by + SignedDuration::from_secs(2));
    verdict::at_the_doors(&five, fault);
    open_wound.into_iter().for_each(mend);
    if fault.settles {
        five.until_settled();
    }
    let rows = verdict::rows(&five, fault);
    verdict::keep(fault, &rows);
    verdict::at_the_end(&five, fault);
    five
}

#[test]
fn with_the_operator_deleted_while_data_is_half_rewritten_the_sentinels_reopen_everything() {
    played_with(&OPERATOR_DELETED).keep_every_promise(&BTreeMap::new());
}

#[test]
fn with_the_api_server_away_for_half_a_minute_when_five_nights_have_to_turn_back_everything_is_open_in_time() {
    let excuse = |service: &Service| Excuse {
        promise: "open from then on",
        about: format!("{CITY}/{}", service.name),
        during: During::Unready,
        why: "without an API server the node was thought lost, and what ran on it not ready: controllers take it back when they ask again",
    };
    let excuses = TENANTS.iter().map(|tenant| (tenant.name, tenant.services.iter().map(excuse).collect()));
    played_with(&API_SERVER_AWAY).keep_every_promise(&excuses.collect());
}

#[test]
fn with_the_operator_dead_and_both_sentinels_deleted_those_that_come_after_them_reopen_everything() {
    played_with(&BOTH_SENTINELS_DELETED).keep_every_promise(&BTreeMap::new());
}
