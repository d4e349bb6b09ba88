//! Old news and late writes: nothing that is seen late, twice, in another order or never, and nothing that lands late, breaks a promise.
//!
//! In: the nights. Out: no promise broken, and the same end where nothing but order and repetition differ. Invariants: as for deaths.
//! Not here: deaths alone (`crashes`), leases (`tests/operator/lease.rs`).

use std::time::Duration;

use jiff::SignedDuration;
use notturno::embedded::{Stage, WatchFault};

use crate::stage::trouble::{Cut, Kill, Trouble};
use crate::sweep::{Reference, Same, share, sweep};

/// One in so many; all with `--features bench`. Primes, so that everything comes up in turn.
const EVENTS_ONE_IN: usize = if cfg!(feature = "bench") { 1 } else { 97 };
const LATE_ONE_IN: usize = if cfg!(feature = "bench") { 1 } else { 43 };
const OLD_ONE_IN: usize = if cfg!(feature = "bench") { 1 } else { 71 };
const CUTS_ONE_IN: usize = if cfg!(feature = "bench") { 1 } else { 61 };

/// Longer than anybody waits for an answer, shorter than a step.
const LATE_FOR: Duration = Duration::from_secs(90);

/// What an event may suffer, and what has to be the same: whoever never hears that work has ended goes back in time, though it need not.
const EVENT_FAULTS: [(WatchFault, Same); 7] = [
    (WatchFault::Lost, Same::Promises),
    (WatchFault::Late(LATE_FOR), Same::End),
    (WatchFault::Twice, Same::End),
    (WatchFault::AfterNext, Same::Promises),
    (WatchFault::Compacted, Same::End),
    (WatchFault::Ended, Same::End),
    (WatchFault::Silent, Same::End),
];

#[test]
fn an_event_that_is_lost_late_twice_out_of_order_or_forgotten_breaks_no_promise() {
    let nights = Reference::all();
    let plans = share(&nights, EVENTS_ONE_IN, |night| {
        let of =
            |number| EVENT_FAULTS.map(|(fault, same)| (Trouble { event: Some((number, fault)), ..Trouble::default() }, same));
        (1..=night.events).flat_map(of).collect()
    });
    println!("{} plays", sweep(&nights, &plans));
}

/// Before the one that takes its place is at work, and in the middle of that.
const LANDS_AFTER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(25)];

#[test]
fn a_write_of_one_who_is_dead_lands_late_and_the_end_is_the_same() {
    let nights = Reference::all();
    let plans = share(&nights, LATE_ONE_IN, |night| {
        let of = |number: &u64| {
            let kill = Kill { number: *number, stage: Stage::Before };
            LANDS_AFTER.map(|after| (Trouble { lands_after: Some(after), ..Trouble::of(&[kill]) }, Same::End))
        };
        night.writes.iter().flat_map(of).collect()
    });
    let count = sweep(&nights, &plans);
    println!("{count} late writes");
    assert_eq!(count, plans.len());
}

/// What has happened in the last seconds, and since the night was armed.
const OLDER_BY: [u64; 2] = [3, 60];

#[test]
fn whoever_starts_again_on_an_older_list_ends_the_night_as_it_would_have() {
    let nights = Reference::all();
    let plans = share(&nights, OLD_ONE_IN, |night| {
        let of = |number: &u64| {
            let kill = Kill { number: *number, stage: Stage::After };
            OLDER_BY.map(|count| (Trouble { older: Some(count), ..Trouble::of(&[kill]) }, Same::End))
        };
        night.writes.iter().flat_map(of).collect()
    });
    let count = sweep(&nights, &plans);
    println!("{count} returns to older lists");
    assert_eq!(count, plans.len());
}

/// As long as a lease, and far beyond it.
const CUT_FOR: [SignedDuration; 2] = [SignedDuration::from_secs(40), SignedDuration::from_mins(20)];

#[test]
fn an_operator_that_was_cut_off_comes_back_with_its_writes_in_flight_beside_another_and_breaks_no_promise() {
    let nights = Reference::all();
    let plans = share(&nights, CUTS_ONE_IN, |night| {
        let of = |number| {
            let cuts = [true, false].into_iter().flat_map(move |before| CUT_FOR.map(|lasts| Cut { number, before, lasts }));
            cuts.map(|cut| (Trouble { cut: Some(cut), ..Trouble::default() }, Same::Promises))
        };
        (1..=night.orders).flat_map(of).collect()
    });
    println!("{} operators cut off", sweep(&nights, &plans));
}
