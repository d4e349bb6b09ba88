//! No night starts by a clock that is not bounded.
//!
//! In: a decision of the engine, the server's time. Out: the decision, or none of it for now, with the reason in the status.
//! Invariants: only the beginning of the work is held: a night under way goes on by the latest moment that it may be, and turning back
//! is never refused; a start that is held until its latest moment is cancelled by the engine, and says why. Not here: the clock
//! ([`super::server_time`]).

use super::context::Context;
use super::night::Night;
use super::tries::{Attempt, EFFECT_PAUSE_MAX};
use crate::api::status::{InterventionStatus, RefusalReport};
use crate::engine::{Decision, Event};
use crate::model::phase::{Outcome, Phase};

/// The decision as it may be carried out now.
pub(super) fn held(mut decision: Decision, night: &mut Night, context: &Context) -> Decision {
    let has = |is: fn(&Event) -> bool| decision.events.iter().any(|entry| is(&entry.event));
    let starts = has(|event| matches!(event, Event::WorkBegun {}));
    let cancelled = |event: &Event| matches!(event, Event::Finished { outcome: Outcome::Cancelled, .. });
    let unbounded = context.time.unbounded();
    if let (false, Some(why)) = (starts, &night.start_held) {
        for entry in decision.events.iter_mut().filter(|entry| cancelled(&entry.event)) {
            entry.why = format!("{}; {why}", entry.why);
        }
    }
    let Some(why) = unbounded.filter(|_| starts) else {
        (night.start_held, night.start_tries) = (None, Attempt::default());
        return decision;
    };
    let why = format!("it does not start: the clock of the API server is not known within 5 s: {why}");
    tracing::warn!(why, "start refused");
    night.start_tries.tried(context.time.now(), EFFECT_PAUSE_MAX);
    night.start_held = Some(why.clone());
    Decision { events: Vec::new(), commands: Vec::new(), phase: Phase::Armed, why, ..decision }
}

/// The status with the reason why the night does not start.
pub(super) fn told(mut status: InterventionStatus, held: Option<&str>) -> InterventionStatus {
    status.refusals.extend(held.map(|message| RefusalReport {
        reason: "ClockNotBounded".to_owned(),
        message: message.to_owned(),
        ..RefusalReport::default()
    }));
    status
}
