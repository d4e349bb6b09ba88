//! The dead man's switch of an invented world: made at once, and at times not as it should be.
//!
//! In: when it is not, and now. Out: what is seen of it. Not here: what the engine makes of that ([`crate::engine::switch`]).

use std::ops::Range;

use jiff::Timestamp;

use crate::engine::facts::SwitchFact;
use crate::engine::switch::SENTINEL_COUNT;
use crate::model::span::{Span, before};

/// By day nobody looks at it.
const LOOKED_AT_BEFORE: Span = Span::minutes(15);

/// When it is not as it should be, once it was made.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    /// Not ready.
    pub lost: Vec<Range<Timestamp>>,
    /// Out of sight.
    pub unseen: Vec<Range<Timestamp>>,
    /// With one sentinel only.
    pub half: Vec<Range<Timestamp>>,
    /// As it was made, and with no sentinel ready.
    pub empty: Vec<Range<Timestamp>>,
    /// Not there, as after the end.
    pub gone: Vec<Range<Timestamp>>,
}

/// How far it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Made {
    #[default]
    NotYet,
    Standing,
    Fallen,
}

impl Switch {
    /// When it begins or ceases to be otherwise.
    pub(super) fn edges(&self) -> impl Iterator<Item = Timestamp> {
        let spells = [&self.lost, &self.unseen, &self.half, &self.empty, &self.gone];
        spells.into_iter().flatten().flat_map(|when| [when.start, when.end])
    }
}

/// What is seen of it: by day nobody looks; then it is not there until it is made.
pub(super) fn seen(switch: Option<&Switch>, made: Made, start_at: Timestamp, now: Timestamp) -> SwitchFact {
    let Some(switch) = switch else { return SwitchFact::NotAsked };
    let is_in = |all: &[Range<Timestamp>]| all.iter().find(|when| when.contains(&now)).cloned();
    let reason = "told by the world".to_owned();
    match made {
        Made::Fallen => SwitchFact::Gone,
        Made::NotYet if now < before(start_at, LOOKED_AT_BEFORE) => SwitchFact::NotYet { reason },
        Made::NotYet => SwitchFact::NotReady { reason, since: now },
        Made::Standing if is_in(&switch.unseen).is_some() => SwitchFact::NotYet { reason },
        Made::Standing if is_in(&switch.gone).is_some() => SwitchFact::Gone,
        Made::Standing if is_in(&switch.empty).is_some() => SwitchFact::Ready { count: 0 },
        Made::Standing => match is_in(&switch.lost) {
            Some(when) => SwitchFact::NotReady { reason, since: when.start },
            None => SwitchFact::Ready { count: if is_in(&switch.half).is_some() { 1 } else { SENTINEL_COUNT } },
        },
    }
}
