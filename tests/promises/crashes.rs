//! Killed at any write, before it or after it, and again while it recovers: the night ends as one that nobody killed.
//!
//! In: the nights. Out: the same end, and no promise broken. Invariants: plans follow from the night alone, and a fixed share of them is
//! played; what differs names the deaths that it takes to see it. Not here: what else goes wrong (`stale`).

use notturno::embedded::Stage;

use crate::stage::trouble::{Kill, Trouble};
use crate::sweep::{Reference, Same, share, sweep};

pub const STAGES: [Stage; 2] = [Stage::Before, Stage::After];
/// One in so many deaths, and in so many pairs of them; more with `--features bench`. Odd, so that both stages
/// come up.
const SINGLES_ONE_IN: usize = if cfg!(feature = "bench") { 1 } else { 5 };
const PAIRS_ONE_IN: usize = if cfg!(feature = "bench") { 11 } else { 2003 };

fn singles(night: &Reference) -> Vec<Kill> {
    night.writes.iter().flat_map(|number| STAGES.map(|stage| Kill { number: *number, stage })).collect()
}

/// Who is killed once is killed again, at any write up to one for each that the whole night has.
fn pairs(night: &Reference) -> Vec<(Trouble, Same)> {
    let last = night.writes.last().copied().unwrap_or_default();
    let then = |first: Kill| {
        let second = (first.number + 1..=last).flat_map(|number| STAGES.map(|stage| Kill { number, stage }));
        second.map(move |second| (Trouble::of(&[first, second]), Same::End))
    };
    singles(night).into_iter().flat_map(then).collect()
}

#[test]
fn a_night_in_which_nothing_goes_wrong_keeps_every_promise() {
    assert!(Reference::all().len() >= 12, "each is judged as it is read");
}

#[test]
fn whoever_is_killed_at_any_write_of_any_night_the_end_is_the_same() {
    let nights = Reference::all();
    let plans = share(&nights, SINGLES_ONE_IN, |night| {
        singles(night).into_iter().map(|kill| (Trouble::of(&[kill]), Same::End)).collect()
    });
    let count = sweep(&nights, &plans);
    println!("{} nights, {count} deaths at {} places", nights.len(), plans.len());
    assert!(nights.len() >= 12 && count == plans.len(), "{} nights, {count} of {}", nights.len(), plans.len());
}

#[test]
fn whoever_is_killed_again_while_the_night_recovers_the_end_is_the_same() {
    let nights = Reference::all();
    let plans = share(&nights, PAIRS_ONE_IN, pairs);
    let count = sweep(&nights, &plans);
    println!("{count} of {} pairs of deaths came as planned", plans.len());
    assert!(count * 2 > plans.len(), "{count} of {}", plans.len());
}
