//! Numbers for `/metrics`, in a registry of our own.
//!
//! In: what nights report. Out: the text that Prometheus reads, and the table of the README ([`catalogue`]). Invariants: every number
//! is in the catalogue, which registers it; every label has a bounded set of values, or as many as there are unsettled nights; slack is
//! computed when it is asked for, so that no timer is needed to keep it true. Not here: the endpoint.

pub mod catalogue;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::{Encoder, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};

use crate::engine::Event;
use crate::engine::journal::Cause;
use crate::model::phase::{Outcome, Phase};
use catalogue::{CATALOGUE, Kind, Name};

/// The operator's numbers. Clones count the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    gauges: BTreeMap<Name, GaugeVec>,
    counters: BTreeMap<Name, IntCounterVec>,
    known: Mutex<BTreeMap<String, Standing>>,
}

/// Where an unsettled night stands, for numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) phase: Phase,
    /// While going back is still a choice.
    pub(super) turn_back_at: Option<Timestamp>,
    /// None before there is a plan.
    pub(super) must_serve_by: Option<Timestamp>,
    pub(super) needs_human: bool,
    /// Services whose data is half done: closed, open changed as they declared, open.
    pub(super) half_done: [u32; 3],
    /// Whether somebody would take over; none while nobody has to.
    pub(super) switch_ready: Option<bool>,
}

/// The values of its label.
const HALF_DONE: [&str; 3] = ["closed", "degraded", "open"];

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// When two numbers have the same name: a fault in the catalogue.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let (mut gauges, mut counters) = (BTreeMap::new(), BTreeMap::new());
        for row in CATALOGUE {
            let options = Opts::new(row.name.as_str(), row.meaning);
            let labels: Vec<&str> = row.labels.iter().map(|label| label.name).collect();
            match row.kind() {
                Kind::Gauge => {
                    let gauge = GaugeVec::new(options, &labels)?;
                    registry.register(Box::new(gauge.clone()))?;
                    gauges.insert(row.name, gauge);
                }
                Kind::Counter => {
                    let counter = IntCounterVec::new(options, &labels)?;
                    registry.register(Box::new(counter.clone()))?;
                    counters.insert(row.name, counter);
                }
            }
        }
        let metrics = Self(Arc::new(Inner { registry, gauges, counters, known: Mutex::default() }));
        // Known from the start, so that a rate over it has a zero to begin with.
        metrics.add(Name::MustServeByMissed, &[], 0);
        metrics.set(Name::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1.0);
        Ok(metrics)
    }

    fn add(&self, name: Name, labels: &[&str], count: u64) {
        if let Some(counter) = self.0.counters.get(&name).and_then(|counter| counter.get_metric_with_label_values(labels).ok()) {
            counter.inc_by(count);
        }
    }

    fn set(&self, name: Name, labels: &[&str], value: f64) {
        if let Some(gauge) = self.0.gauges.get(&name).and_then(|gauge| gauge.get_metric_with_label_values(labels).ok()) {
            gauge.set(value);
        }
    }

    pub(super) fn appended(&self, ok: bool) {
        self.add(Name::LedgerAppends, &[result(ok)], 1);
    }

    /// An entry was seen in the ledger.
    pub(super) fn recorded(&self, event: &Event) {
        match event {
            Event::GoingBack { cause } => self.add(Name::TurnBacks, &[word(cause)], 1),
            Event::DeadlineMissed { .. } => self.add(Name::MustServeByMissed, &[], 1),
            Event::Finished { outcome } => self.over(*outcome),
            Event::Accepted { .. }
            | Event::Armed {}
            | Event::WorkBegun {}
            | Event::StepIntended { .. }
            | Event::StepDone { .. }
            | Event::StepFailed { .. }
            | Event::Overrun { .. }
            | Event::Extended { .. }
            | Event::Confirmed { .. }
            | Event::Held { .. }
            | Event::Resumed { .. }
            | Event::OrderRefused { .. }
            | Event::TakenOver { .. }
            | Event::StepStopped { .. }
            | Event::UndoReleased { .. }
            | Event::UndoDone { .. }
            | Event::UndoFailed { .. }
            | Event::UndoOverrun { .. }
            | Event::SmokeReleased {}
            | Event::SmokeDone {}
            | Event::SmokeFailed { .. }
            | Event::Committed {}
            | Event::ReopeningBegun {}
            | Event::UndosExpired { .. }
            | Event::Opening { .. }
            | Event::Opened { .. }
            | Event::Degraded { .. }
            | Event::HeldClosed { .. }
            | Event::OpeningLate { .. }
            | Event::ClosedAgain { .. } => {}
        }
    }

    /// A night has its outcome.
    pub(super) fn over(&self, outcome: Outcome) {
        self.add(Name::Outcomes, &[outcome.as_str()], 1);
    }

    pub(super) fn effect(&self, kind: &str, ok: bool) {
        self.add(Name::Effects, &[kind, result(ok)], 1);
    }

    pub(super) fn pass(&self, result: &str) {
        self.add(Name::Passes, &[result], 1);
    }

    pub(super) fn status_written(&self, ok: bool) {
        self.add(Name::StatusWrites, &[result(ok)], 1);
    }

    /// Events for people: `told`, `known` already, or `lost`.
    pub(super) fn told(&self, result: &str, count: u64) {
        self.add(Name::Events, &[result], count);
    }

    /// Where a night stands.
    pub(super) fn stands(&self, night: &str, standing: Standing) {
        self.known().insert(night.to_owned(), standing);
    }

    pub(super) fn settled(&self, night: &str) {
        self.known().remove(night);
    }

    pub(super) fn leads(&self, leads: bool) {
        self.set(Name::Leader, &[], f64::from(u8::from(leads)));
    }

    /// The last proof of life.
    pub(super) fn heartbeat(&self, at: Timestamp) {
        self.set(Name::Heartbeat, &[], at.as_duration().as_secs_f64());
    }

    /// A ping got its answer, or none.
    pub(super) fn pinged(&self, ok: bool) {
        self.add(Name::HeartbeatPings, &[result(ok)], 1);
    }

    pub(super) fn lease_transitions(&self, count: i32) {
        self.set(Name::LeaseTransitions, &[], f64::from(count));
    }

    /// This replica has no nights any more.
    pub(super) fn nobody_stands(&self) {
        self.known().clear();
    }

    /// What is known of the API server's clock; a width is infinite while it is not bounded at all.
    pub(super) fn clock(&self, offset_seconds: f64, width_seconds: f64) {
        self.set(Name::ClockOffset, &[], offset_seconds);
        self.set(Name::ClockWidth, &[], width_seconds);
    }

    /// Everything as text.
    ///
    /// # Errors
    /// When a number cannot be written as text.
    pub fn text(&self, now: Timestamp) -> prometheus::Result<String> {
        let known = self.known().clone();
        let count = |is: &dyn Fn(&Standing) -> bool| {
            f64::from(u32::try_from(known.values().filter(|standing| is(standing)).count()).unwrap_or(u32::MAX))
        };
        for phase in Phase::ALL {
            self.set(Name::Nights, &[phase.as_str()], count(&|standing| standing.phase == phase));
        }
        self.set(Name::NeedHuman, &[], count(&|standing| standing.needs_human));
        for (place, state) in HALF_DONE.iter().enumerate() {
            let of = |standing: &Standing| standing.half_done.get(place).copied().unwrap_or_default();
            let all = known.values().map(of).fold(0, u32::saturating_add);
            self.set(Name::HalfDone, &[state], f64::from(all));
        }
        for name in [Name::Slack, Name::TurnBackAt, Name::MustServeBy, Name::SwitchReady] {
            self.0.gauges.get(&name).into_iter().for_each(prometheus::core::MetricVec::reset);
        }
        for (night, standing) in &known {
            if let Some(at) = standing.turn_back_at {
                self.set(Name::Slack, &[night], at.duration_since(now).as_secs_f64());
                self.set(Name::TurnBackAt, &[night], at.as_duration().as_secs_f64());
            }
            if let Some(at) = standing.must_serve_by {
                self.set(Name::MustServeBy, &[night], at.as_duration().as_secs_f64());
            }
        }
        for (night, ready) in known.iter().filter_map(|(night, standing)| Some((night, standing.switch_ready?))) {
            self.set(Name::SwitchReady, &[night], f64::from(u8::from(ready)));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Standing>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn result(ok: bool) -> &'static str {
    if ok { "ok" } else { "failed" }
}

fn word(cause: &Cause) -> &'static str {
    match cause {
        Cause::TurnBackMoment => "turn-back-moment",
        Cause::HardCap { .. } => "hard-cap",
        Cause::Overrun { .. } => "overrun",
        Cause::StepFailed { .. } => "step-failed",
        Cause::Silence { .. } => "silence",
        Cause::Futile => "futile",
        Cause::Ordered { .. } => "ordered",
        Cause::Deleted => "deleted",
        Cause::LedgerChanged => "ledger-changed",
        Cause::SwitchLost => "switch-lost",
        Cause::Nonsense => "nonsense",
        Cause::TakenOver => "taken-over",
    }
}
