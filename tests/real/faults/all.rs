//! The rest of the table, too long for every run: `tests/real/table`.
//!
//! In: nothing. Out: one test for each fault, so that one of them can be asked for by name. Not here: the three that every run has.

use super::{BOTH_SENTINELS_DELETED, FAULT, Fault, Mended, TakenOver, played_with, strikes};

const BY_SENTINELS: Fault = Fault { mend: strikes::operator_comes_back, taken_over: TakenOver::All, ..FAULT };

#[test]
fn without_any_fault_five_nights_that_hang_turn_back_and_open_in_time() {
    played_with(&Fault { name: "none, held until they turn back", taken_over: TakenOver::None, ..FAULT });
}

#[test]
fn without_any_fault_five_nights_complete() {
    let fault = Fault { name: "none, let go on", mended: Mended::AtOnce, goes_on: true, taken_over: TakenOver::None, ..FAULT };
    played_with(&fault);
}

#[test]
fn with_the_operators_namespace_deleted_the_sentinels_reopen_everything() {
    played_with(&Fault { name: "operator's namespace deleted", strike: strikes::delete_namespace, ..BY_SENTINELS });
}

#[test]
fn with_our_kinds_deleted_and_the_operator_dead_the_sentinels_reopen_everything() {
    let fault = Fault {
        name: "our CRDs deleted, operator dead",
        strike: strikes::delete_operator_and_definitions,
        settles: false,
        ..BY_SENTINELS
    };
    played_with(&fault);
}

/// An operator that sees its Interventions deleted turns back at once: that is what deleting one means.
#[test]
fn with_our_kinds_deleted_everything_is_open_in_time() {
    let fault = Fault {
        name: "our CRDs deleted",
        strike: strikes::delete_definitions,
        mend: strikes::operator_comes_back,
        settles: false,
        ..FAULT
    };
    played_with(&fault);
}

#[test]
fn with_the_operators_rights_deleted_the_sentinels_reopen_everything() {
    let fault = Fault {
        name: "operator's RBAC deleted",
        strike: strikes::delete_rights,
        mend: strikes::grant_rights_again,
        ..BY_SENTINELS
    };
    played_with(&fault);
}

#[test]
fn with_the_lease_stolen_the_sentinels_reopen_everything() {
    played_with(&Fault { name: "Lease stolen", strike: strikes::steal_lease, taken_over: TakenOver::All, ..FAULT });
}

#[test]
fn with_the_kubelet_away_for_twenty_seconds_everything_is_open_in_time() {
    let fault =
        Fault { name: "kubelet stopped 20 s", strike: strikes::stop_kubelet, mended: Mended::AtOnce, goes_on: true, ..FAULT };
    played_with(&fault);
}

#[test]
fn with_the_controllers_away_from_mid_work_until_a_minute_before_the_doors_everything_is_open_in_time() {
    let fault = Fault {
        name: "controller manager stopped until 60 s before the doors",
        strike: strikes::stop_controller_manager,
        mended: Mended::BeforeDoors(60),
        ..FAULT
    };
    played_with(&fault);
}

#[test]
fn with_no_room_for_any_new_object_and_the_operator_dead_the_sentinels_reopen_everything() {
    let fault = Fault {
        name: "quota full of objects, operator dead",
        strike: strikes::fill_quota,
        mend: strikes::make_room,
        ..BY_SENTINELS
    };
    played_with(&fault);
}

#[test]
fn with_no_room_for_any_new_pod_and_the_operator_dead_what_is_dirty_stays_closed_and_the_rest_opens() {
    let fault = Fault {
        name: "quota full of Pods, operator dead",
        strike: strikes::fill_quota_of_pods,
        mend: strikes::make_room,
        may_stay_closed: &["tributi", "scuola"],
        ..BY_SENTINELS
    };
    played_with(&fault);
}

#[test]
fn with_both_cpus_taken_everything_is_open_in_time() {
    played_with(&Fault { name: "both CPUs hogged", strike: strikes::hog_cpus, ..FAULT });
}

#[test]
fn with_one_sentinel_of_each_night_deleted_and_the_operator_alive_everything_is_open_in_time() {
    played_with(&Fault { name: "one sentinel Pod deleted", strike: strikes::delete_one_sentinel, ..FAULT });
}

#[test]
fn with_both_sentinels_of_each_night_deleted_and_the_operator_alive_everything_is_open_in_time() {
    played_with(&Fault { name: "both sentinel Pods deleted", strike: strikes::delete_both_sentinels, ..FAULT });
}

#[test]
fn with_the_operator_dead_and_one_sentinel_of_each_night_deleted_the_other_reopens_everything() {
    let fault = Fault {
        name: "one sentinel Pod deleted, operator dead",
        strike: strikes::delete_operator_and_one_sentinel,
        ..BOTH_SENTINELS_DELETED
    };
    played_with(&fault);
}

#[test]
fn with_the_operator_deleted_right_after_the_work_was_committed_the_sentinels_finish_the_reopening() {
    let fault = Fault {
        name: "operator deleted once committed",
        strike: strikes::delete_operator_once_committed,
        mend: strikes::grant_rights_again,
        goes_on: true,
        taken_over: TakenOver::All,
        ..FAULT
    };
    played_with(&fault);
}
