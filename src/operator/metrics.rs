//! Numbers for `/metrics`, in a registry of our own.
//!
//! In: what nights report. Out: the text that Prometheus reads. Invariants: every label has a bounded set of values, or as many as there
//! are unfinished nights; slack is computed when it is asked for, so that no timer is needed to keep it true. Not here: the endpoint.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::{Encoder, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::model::phase::Phase;

/// The operator's numbers. Clones count the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    nights: IntGaugeVec,
    slack_seconds: GaugeVec,
    ledger_appends: IntCounterVec,
    effects: IntCounterVec,
    deadlines_missed: IntCounter,
    passes: IntCounterVec,
    status_writes: IntCounterVec,
    leads: IntGauge,
    lease_transitions: IntGauge,
    clock_offset_seconds: Gauge,
    clock_width_seconds: Gauge,
    known: Mutex<BTreeMap<String, Standing>>,
}

#[derive(Clone, Copy)]
struct Standing {
    phase: Phase,
    turn_back_at: Option<Timestamp>,
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// When two numbers have the same name: a fault in this file.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let help = "Seconds until the turn-back moment of a night that is armed or working";
        let slack_seconds = GaugeVec::new(Opts::new("notturno_slack_seconds", help), &["night"])?;
        registry.register(Box::new(slack_seconds.clone()))?;
        let help = "Nights whose must-serve-by passed with something closed";
        let deadlines_missed = IntCounter::new("notturno_must_serve_by_missed_total", help)?;
        registry.register(Box::new(deadlines_missed.clone()))?;
        let number = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let leads = number("notturno_leader", "Whether this replica leads: 1 or 0")?;
        let lease_transitions = number("notturno_lease_transitions", "How often the lease has changed hands, as last held here")?;
        let fraction = |name: &str, help: &str| {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let help = "How far the API server's clock is ahead of this machine's, in seconds, at the latest";
        let clock_offset_seconds = fraction("notturno_clock_offset_seconds", help)?;
        let help = "Within how many seconds the API server's clock is known; above 5, or infinite, no night starts";
        let clock_width_seconds = fraction("notturno_clock_width_seconds", help)?;
        Ok(Self(Arc::new(Inner {
            nights: gauge("notturno_nights", "Unsettled nights, by phase", &["phase"])?,
            ledger_appends: counter("notturno_ledger_appends_total", "Appends to ledgers, by result", &["result"])?,
            effects: counter("notturno_effects_total", "Commands carried out, by kind and result", &["kind", "result"])?,
            passes: counter("notturno_passes_total", "Passes of a night's loop, by result", &["result"])?,
            status_writes: counter("notturno_status_writes_total", "Writes of interventions/status, by result", &["result"])?,
            leads,
            lease_transitions,
            clock_offset_seconds,
            clock_width_seconds,
            slack_seconds,
            deadlines_missed,
            registry,
            known: Mutex::default(),
        })))
    }

    pub(super) fn appended(&self, ok: bool) {
        self.0.ledger_appends.with_label_values(&[result(ok)]).inc();
    }

    pub(super) fn effect(&self, kind: &str, ok: bool) {
        self.0.effects.with_label_values(&[kind, result(ok)]).inc();
    }

    pub(super) fn pass(&self, result: &str) {
        self.0.passes.with_label_values(&[result]).inc();
    }

    pub(super) fn status_written(&self, ok: bool) {
        self.0.status_writes.with_label_values(&[result(ok)]).inc();
    }

    pub(super) fn deadline_missed(&self) {
        self.0.deadlines_missed.inc();
    }

    /// Where a night stands; `turn_back_at` while going back is still a choice.
    pub(super) fn stands(&self, night: &str, phase: Phase, turn_back_at: Option<Timestamp>) {
        self.known().insert(night.to_owned(), Standing { phase, turn_back_at });
    }

    pub(super) fn settled(&self, night: &str) {
        self.known().remove(night);
    }

    pub(super) fn leads(&self, leads: bool) {
        self.0.leads.set(i64::from(leads));
    }

    pub(super) fn lease_transitions(&self, count: i32) {
        self.0.lease_transitions.set(i64::from(count));
    }

    /// This replica has no nights any more.
    pub(super) fn nobody_stands(&self) {
        self.known().clear();
    }

    /// What is known of the API server's clock; a width is infinite while it is not bounded at all.
    pub(super) fn clock(&self, offset_seconds: f64, width_seconds: f64) {
        self.0.clock_offset_seconds.set(offset_seconds);
        self.0.clock_width_seconds.set(width_seconds);
    }

    /// Everything as text.
    ///
    /// # Errors
    /// When a number cannot be written as text.
    pub fn text(&self, now: Timestamp) -> prometheus::Result<String> {
        let known = self.known().clone();
        for phase in Phase::ALL {
            let count = known.values().filter(|standing| standing.phase == phase).count();
            self.0.nights.with_label_values(&[phase.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.0.slack_seconds.reset();
        for (night, standing) in known {
            if let Some(at) = standing.turn_back_at {
                self.0.slack_seconds.with_label_values(&[&night]).set(at.duration_since(now).as_secs_f64());
            }
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
