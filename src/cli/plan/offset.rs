//! Whether a moment's offset is that of the place where the night is.
//!
//! In: a moment as it is written, a plan. Out: a warning. Invariant: what is written in UTC is meant so. Not here: moments without an
//! offset, which are refused ([`crate::api::validate`]).

use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};

use crate::engine::words::rfc3339;
use crate::model::plan::Plan;
use crate::model::refusal::Warning;

/// The warning, when the night starts at another hour of the place than the text shows.
pub(super) fn other(text: &str, plan: &Plan) -> Option<Warning> {
    let written = Pieces::parse(text).ok()?.to_numeric_offset()?;
    let there = plan.start_at.to_zoned(TimeZone::get(&plan.time_zone).ok()?);
    if written == Offset::UTC || written == there.offset() {
        return None;
    }
    let message = format!(
        "{} is not {}'s offset then, which is {}: this is {} there; write {} if that is meant",
        plan.start_at.to_zoned(TimeZone::fixed(written)).strftime("%:z"),
        plan.time_zone,
        there.strftime("%:z"),
        there.strftime("%H:%M"),
        rfc3339(plan, plan.start_at)
    );
    Some(Warning { reason: "OtherOffset".to_owned(), path: "spec.startTime".to_owned(), message })
}
