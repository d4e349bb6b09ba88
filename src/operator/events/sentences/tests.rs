//! Every kind of entry with its sentence. Not here: Events as objects.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::engine::journal::Proof;
use crate::model::epoch::Epoch;

type Sample = (Event, &'static str);

/// Every kind, with a reason as the engine gives it.
fn samples() -> Vec<Sample> {
    [on_the_way(), with_people(), on_the_way_back(), at_the_doors()].concat()
}

fn service(name: &str) -> ServiceRef {
    ServiceRef::new("sanita", name)
}

fn step() -> String {
    "aggiorna".to_owned()
}

fn on_the_way() -> Vec<Sample> {
    vec![
        (
            Event::Accepted { plan_hash: "5f".into() },
            "the plan keeps the promise: open by 07:00, bound by sanita/zerocode at prelievi",
        ),
        (Event::Armed {}, "every Job exists and waits, every token stands, pre-images are durable"),
        (Event::WorkBegun {}, "it is 00:30"),
        (
            Event::StepIntended { step: step(), dirty: vec![service("cup")], preimages: BTreeMap::new() },
            "step aggiorna may start: by its budget it ends 03:30, going back from there would open 05:35, before 07:00",
        ),
        (Event::StepDone { step: step() }, "step aggiorna: its Job is complete"),
        (Event::StepFailed { step: step(), reason: "BackoffLimitExceeded".into() }, "step aggiorna failed: BackoffLimitExceeded"),
        (
            Event::Overrun { step: step() },
            "step aggiorna: its budget of 1h30m was gone at 03:30; people are asked; silence means to go on until 04:00",
        ),
    ]
}

fn with_people() -> Vec<Sample> {
    vec![
        (
            Event::Extended {
                step: step(),
                until: Timestamp::UNIX_EPOCH,
                order: "proroga-1".into(),
                by: "due responsabili".into(),
            },
            "due responsabili gave step aggiorna until 04:30",
        ),
        (Event::Confirmed { step: "conferma".into(), order: "si-1".into(), by: "anna".into() }, "anna confirmed conferma"),
        (Event::Held { order: "ferma-1".into(), by: "anna".into() }, "anna said to start no further step; the clock goes on"),
        (Event::Resumed { order: "riprendi-1".into(), by: "anna".into() }, "anna said that steps may start again"),
        (
            Event::OrderRefused { order: "proroga-2".into(), by: "due responsabili".into(), sum: Vec::new() },
            "due responsabili asked for 05:10, past the turn-back moment 04:55",
        ),
    ]
}

fn on_the_way_back() -> Vec<Sample> {
    vec![
        (
            Event::TakenOver { epoch: Epoch::SENTINELS },
            "turning back was due by 04:55 and nothing came within 1m more: the night is taken over",
        ),
        (Event::GoingBack { cause: Cause::HardCap { step: step() } }, "step aggiorna outlived its hard cap, 04:00"),
        (Event::GoingBack { cause: Cause::Deleted }, "the intervention was deleted: going back"),
        (Event::GoingBack { cause: Cause::LedgerChanged }, "plan or ledger were deleted or changed by another hand: going back"),
        (
            Event::StepStopped { step: step(), proof: Proof::Dead },
            "step aggiorna: its Job is stopped and all its Pods were seen to end",
        ),
        (Event::UndoReleased { step: step(), attempt: 1 }, "undo of aggiorna starts, attempt 1"),
        (Event::UndoDone { step: step(), attempt: 1 }, "undo of aggiorna, attempt 1, is complete"),
        (Event::UndoFailed { step: step(), attempt: 1, reason: "exit 1".into() }, "undo of aggiorna, attempt 1, failed: exit 1"),
        (Event::UndoOverrun { step: step(), attempt: 1 }, "undo of aggiorna, attempt 1, used up its budget of 1h; it goes on"),
        (Event::SmokeReleased {}, "verification behind closed doors starts"),
        (Event::SmokeDone {}, "verification behind closed doors passed"),
        (
            Event::SmokeFailed { reason: "exit 1".into() },
            "verification behind closed doors failed: exit 1; what was undone stays dirty",
        ),
    ]
}

fn at_the_doors() -> Vec<Sample> {
    vec![
        (Event::Committed {}, "the last step is done: undos expire, services come back"),
        (Event::ReopeningBegun {}, "nothing is left to undo or to verify"),
        (Event::Opening { services: vec![service("cup"), service("zerocode")] }, "it is the turn of sanita/cup, sanita/zerocode"),
        (Event::Opened { service: service("cup") }, "sanita/cup answers its probes"),
        (
            Event::Degraded { service: service("cup"), because: vec![service("anagrafe-assistiti")] },
            "sanita/cup works only in part while sanita/anagrafe-assistiti stays closed; instead: Prenotazione su carta",
        ),
        (
            Event::HeldClosed { service: service("cup"), through: vec![step()] },
            "sanita/cup stays closed, as it declares: work on its data is half done through aggiorna",
        ),
        (
            Event::UndosExpired { service: service("cup"), steps: vec![step()] },
            "work on the data of sanita/cup is half done through aggiorna; it declared to open all the same: meglio che niente; before it \
             opens, what would undo the work is stopped for good",
        ),
        (
            Event::OpeningLate { service: service("cup"), reason: "503".into(), shut: false },
            "sanita/cup does not answer within its reopening budget: 503; it holds nobody else",
        ),
        (
            Event::ClosedAgain { service: service("cup"), reason: "503".into() },
            "sanita/cup does not answer and declared to be closed again then: 503",
        ),
        (Event::DeadlineMissed { services: vec![service("cup")] }, "it is 07:00 and not open: sanita/cup"),
        (Event::Finished { outcome: Outcome::RolledBack }, "the work is undone and every service answers"),
        (Event::Finished { outcome: Outcome::Completed }, "the work is done and every service answers"),
    ]
}

/// One name for each kind; a new one fails to compile here, so that it gets its sample.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::Accepted { .. } => "accepted",
        Event::Armed {} => "armed",
        Event::WorkBegun {} => "workBegun",
        Event::StepIntended { .. } => "stepIntended",
        Event::StepDone { .. } => "stepDone",
        Event::StepFailed { .. } => "stepFailed",
        Event::Overrun { .. } => "overrun",
        Event::Extended { .. } => "extended",
        Event::Confirmed { .. } => "confirmed",
        Event::Held { .. } => "held",
        Event::Resumed { .. } => "resumed",
        Event::OrderRefused { .. } => "orderRefused",
        Event::TakenOver { .. } => "takenOver",
        Event::GoingBack { .. } => "goingBack",
        Event::StepStopped { .. } => "stepStopped",
        Event::UndoReleased { .. } => "undoReleased",
        Event::UndoDone { .. } => "undoDone",
        Event::UndoFailed { .. } => "undoFailed",
        Event::UndoOverrun { .. } => "undoOverrun",
        Event::SmokeReleased {} => "smokeReleased",
        Event::SmokeDone {} => "smokeDone",
        Event::SmokeFailed { .. } => "smokeFailed",
        Event::Committed {} => "committed",
        Event::ReopeningBegun {} => "reopeningBegun",
        Event::UndosExpired { .. } => "undosExpired",
        Event::Opening { .. } => "opening",
        Event::Opened { .. } => "opened",
        Event::Degraded { .. } => "degraded",
        Event::HeldClosed { .. } => "heldClosed",
        Event::OpeningLate { .. } => "openingLate",
        Event::ClosedAgain { .. } => "closedAgain",
        Event::DeadlineMissed { .. } => "deadlineMissed",
        Event::Finished { .. } => "finished",
    }
}

#[test]
fn every_kind_of_entry_has_its_sentence() {
    let line = |(event, why): &(Event, &str)| {
        let entry = Entry { at: Timestamp::UNIX_EPOCH, event: event.clone(), why: (*why).to_owned() };
        let mark = if is_warning(event) { "Warning" } else { "Normal" };
        let about = subject(event).unwrap_or_else(|| "-".to_owned());
        format!("{:<14} {mark:<7} {about:<14} {}\n", event.name(), sentence(&entry))
    };
    let told: String = samples().iter().map(line).collect();
    assert_eq!(told, include_str!("../../../../tests/golden/events.txt"), "\n{told}");
}

#[test]
fn every_kind_is_in_the_list() {
    let listed: std::collections::BTreeSet<&str> = samples().iter().map(|(event, _)| kind(event)).collect();
    assert!(samples().iter().all(|(event, _)| kind(event) == event.name()));
    // The arms of `kind`, counted where they stand.
    let arms = include_str!("tests.rs")
        .lines()
        .filter(|line| line.trim_start().starts_with("Event::") && line.contains("=> \""))
        .count();
    assert_eq!(listed.len(), arms);
}

#[test]
fn an_entry_without_a_reason_says_at_least_what_happened() {
    let entry = Entry { at: Timestamp::UNIX_EPOCH, event: Event::StepDone { step: "prova".into() }, why: String::new() };
    assert_eq!(sentence(&entry), "Step prova is done.");
}
