//! Every number that the operator shows: name, labels, unit, meaning.
//!
//! Out: [`CATALOGUE`], from which the numbers are registered, and its table for the README. Invariants: names as Prometheus has them:
//! base units, counters end in `_total`; what bounds each label stands beside it. Not here: values.

use std::fmt::Write;

/// Which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the catalogue says what each means")]
pub enum Name {
    Nights,
    NeedHuman,
    HalfDone,
    Slack,
    TurnBackAt,
    MustServeBy,
    SwitchReady,
    Outcomes,
    TurnBacks,
    MustServeByMissed,
    LedgerAppends,
    Effects,
    Passes,
    StatusWrites,
    Events,
    Heartbeat,
    HeartbeatPings,
    Leader,
    LeaseTransitions,
    ClockOffset,
    ClockWidth,
    BuildInfo,
}

impl Name {
    /// As Prometheus knows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nights => "notturno_nights",
            Self::NeedHuman => "notturno_nights_needing_a_human",
            Self::HalfDone => "notturno_half_done_services",
            Self::Slack => "notturno_slack_seconds",
            Self::TurnBackAt => "notturno_turn_back_timestamp_seconds",
            Self::MustServeBy => "notturno_must_serve_by_timestamp_seconds",
            Self::SwitchReady => "notturno_switch_ready",
            Self::Outcomes => "notturno_outcomes_total",
            Self::TurnBacks => "notturno_turn_backs_total",
            Self::MustServeByMissed => "notturno_must_serve_by_missed_total",
            Self::LedgerAppends => "notturno_ledger_appends_total",
            Self::Effects => "notturno_effects_total",
            Self::Passes => "notturno_passes_total",
            Self::StatusWrites => "notturno_status_writes_total",
            Self::Events => "notturno_events_total",
            Self::Heartbeat => "notturno_heartbeat_timestamp_seconds",
            Self::HeartbeatPings => "notturno_heartbeat_pings_total",
            Self::Leader => "notturno_leader",
            Self::LeaseTransitions => "notturno_lease_transitions",
            Self::ClockOffset => "notturno_clock_offset_seconds",
            Self::ClockWidth => "notturno_clock_width_seconds",
            Self::BuildInfo => "notturno_build_info",
        }
    }
}

/// How a number moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Only up.
    Counter,
}

/// A label, and what bounds its values.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub values: &'static str,
}

/// One number.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which.
    pub name: Name,
    /// Its labels, in order.
    pub labels: &'static [Label],
    /// What it counts in.
    pub unit: &'static str,
    /// What it means; Prometheus shows it too.
    pub meaning: &'static str,
}

impl Row {
    /// How it moves: by its name, as Prometheus has it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.name.as_str().ends_with("_total") { Kind::Counter } else { Kind::Gauge }
    }
}

const NIGHT: Label = Label { name: "night", values: "namespace/name of each unsettled night" };
const RESULT: Label = Label { name: "result", values: "ok, failed" };

const PINGS: &str = "Pings to the heartbeat's address, by result; an address that cannot be used counts as failed, once a span";

/// All of them.
pub const CATALOGUE: &[Row] = &[
    Row {
        name: Name::Nights,
        labels: &[Label { name: "phase", values: "the 7 phases" }],
        unit: "nights",
        meaning: "Unsettled nights, by phase",
    },
    Row { name: Name::NeedHuman, labels: &[], unit: "nights", meaning: "Unsettled nights for which a person has to act" },
    Row {
        name: Name::HalfDone,
        labels: &[Label { name: "state", values: "closed, degraded, open" }],
        unit: "services",
        meaning: "Services of unsettled nights whose data is half done, by what became of them",
    },
    Row {
        name: Name::Slack,
        labels: &[NIGHT],
        unit: "seconds",
        meaning: "Time until the turn-back moment, while going back is a choice; below zero nobody has turned it back in time",
    },
    Row {
        name: Name::TurnBackAt,
        labels: &[NIGHT],
        unit: "seconds since 1970",
        meaning: "The turn-back moment, while going back is a choice",
    },
    Row {
        name: Name::MustServeBy,
        labels: &[NIGHT],
        unit: "seconds since 1970",
        meaning: "The moment by which everything is open",
    },
    Row {
        name: Name::SwitchReady,
        labels: &[NIGHT],
        unit: "1",
        meaning: "Whether the night's dead man's switch is ready: 1 or 0; absent by day, 0 where the operator works without",
    },
    Row {
        name: Name::Outcomes,
        labels: &[Label { name: "outcome", values: "the 5 outcomes" }],
        unit: "nights",
        meaning: "Nights that ended, by outcome",
    },
    Row {
        name: Name::TurnBacks,
        labels: &[Label {
            name: "cause",
            values: "turn-back-moment, hard-cap, overrun, step-failed, silence, futile, ordered, deleted, ledger-changed, switch-lost, \
                     nonsense, taken-over",
        }],
        unit: "nights",
        meaning: "Nights that went back, by cause",
    },
    Row {
        name: Name::MustServeByMissed,
        labels: &[],
        unit: "nights",
        meaning: "Nights whose must-serve-by passed with something closed",
    },
    Row { name: Name::LedgerAppends, labels: &[RESULT], unit: "appends", meaning: "Appends to ledgers, by result" },
    Row {
        name: Name::Effects,
        labels: &[
            Label {
                name: "kind",
                values: "arm, close, close-again, change, release, burn-job, burn-targets, burn-change, expire-change, restore, reopen, \
                         degrade, let-go, disarm, arm-switch, disarm-switch",
            },
            RESULT,
        ],
        unit: "commands",
        meaning: "Commands carried out, by kind and result",
    },
    Row {
        name: Name::Passes,
        labels: &[Label { name: "result", values: "ok, failed, panicked" }],
        unit: "passes",
        meaning: "Passes of a night's loop, by result",
    },
    Row { name: Name::StatusWrites, labels: &[RESULT], unit: "writes", meaning: "Writes of interventions/status, by result" },
    Row {
        name: Name::Events,
        labels: &[Label { name: "result", values: "told, known, lost" }],
        unit: "Events",
        meaning: "Events for people: told, known already (told before a restart), or lost (given up after some minutes)",
    },
    Row {
        name: Name::Heartbeat,
        labels: &[],
        unit: "seconds since 1970",
        meaning: "The last proof of life of this replica; absent before its first one, and it stands still while the replica follows",
    },
    Row { name: Name::HeartbeatPings, labels: &[RESULT], unit: "pings", meaning: PINGS },
    Row { name: Name::Leader, labels: &[], unit: "1", meaning: "Whether this replica leads: 1 or 0" },
    Row {
        name: Name::LeaseTransitions,
        labels: &[],
        unit: "changes",
        meaning: "How often the lease has changed hands, as last held here",
    },
    Row {
        name: Name::ClockOffset,
        labels: &[],
        unit: "seconds",
        meaning: "How far the API server's clock is ahead of this machine's, at the latest",
    },
    Row {
        name: Name::ClockWidth,
        labels: &[],
        unit: "seconds",
        meaning: "Within how much the API server's clock is known; above 5, or infinite, no night starts",
    },
    Row {
        name: Name::BuildInfo,
        labels: &[Label { name: "version", values: "one" }],
        unit: "1",
        meaning: "The version that runs",
    },
];

/// The catalogue as Markdown, for the README.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n");
    for row in CATALOGUE {
        let kind = match row.kind() {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let labels = row.labels.iter().map(|label| format!("`{}`: {}", label.name, label.values)).collect::<Vec<_>>().join("; ");
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} | {} |", row.name.as_str(), row.unit, row.meaning);
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::engine::{BurnTo, Command, JobKey};
    use crate::operator::wave;

    /// One of every kind of command, after each other.
    fn after(command: &Command) -> Option<Command> {
        let (service, step, job, not_after) = (0, 0, JobKey::Smoke, Timestamp::UNIX_EPOCH);
        Some(match command {
            Command::Arm => Command::Close { service, not_after },
            Command::Close { .. } => Command::CloseAgain { service },
            Command::CloseAgain { .. } => Command::Change { step, not_after },
            Command::Change { .. } => Command::Check { step },
            Command::Check { .. } => Command::Release { job, not_after: None },
            Command::Release { .. } => Command::BurnJob { job, to: BurnTo::Expired },
            Command::BurnJob { .. } => Command::BurnTargets { service },
            Command::BurnTargets { .. } => Command::BurnChange { step },
            Command::BurnChange { .. } => Command::ExpireChange { step },
            Command::ExpireChange { .. } => Command::Restore { step },
            Command::Restore { .. } => Command::Reopen { service },
            Command::Reopen { .. } => Command::Degrade { service },
            Command::Degrade { .. } => Command::Probe { service },
            Command::Probe { .. } => Command::LetGo { job },
            Command::LetGo { .. } => Command::Disarm,
            Command::Disarm => Command::ArmSwitch,
            Command::ArmSwitch => Command::DisarmSwitch,
            Command::DisarmSwitch => return None,
        })
    }

    #[test]
    fn every_command_that_is_carried_out_stands_in_the_table_by_its_kind() {
        let asks = |command: &Command| matches!(command, Command::Probe { .. } | Command::Check { .. });
        let all = std::iter::successors(Some(Command::Arm), after).filter(|command| !asks(command));
        let kinds: Vec<&str> = all.map(|command| wave::kind(&command)).collect();
        let row = CATALOGUE.iter().find(|row| row.name.as_str() == Name::Effects.as_str());
        let said = row.and_then(|row| row.labels.first()).map(|label| label.values);
        assert_eq!(said, Some(kinds.join(", ").as_str()));
    }
}
