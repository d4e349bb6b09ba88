//! What `notturno status` says, as a value.
//!
//! In: what was found, now. Out: [`View`]. Invariants: with a ledger the report is computed from it by the operator's own code, so that it
//! holds when nobody has written a status; what would be due by the clock alone and was not recorded is said. Pure: no clock, no calls.
//! Not here: text, JSON ([`super::show`]), where things are found ([`super::find`]).

use jiff::{SignedDuration, Timestamp};

use super::guard::Guard;
use crate::api::status::{InterventionStatus, SwitchReport};
use crate::engine::state::{Running, Work};
use crate::engine::words::rfc3339;
use crate::engine::{Believed, Decision, Entry, Facts, State, decide};
use crate::model::action::OnSilence;
use crate::model::phase::{Outcome, Phase};
use crate::model::plan::{Plan, PlannedAction};
use crate::model::span::after;
use crate::operator::effects::LedgerRead;
use crate::operator::report;

/// Entries of the journal that are shown.
const LAST_MAX: usize = 6;
/// How long an operator may take to record what the clock says.
const RECORDED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// A night, for people.
#[derive(Clone, Debug)]
pub struct View {
    /// `namespace/name`.
    pub night: String,
    /// The API server's time.
    pub now: Timestamp,
    /// Where the report comes from.
    pub source: Source,
    /// The report.
    pub status: InterventionStatus,
    /// What runs.
    pub running: Vec<UnderWay>,
    /// What becomes due next; the moment is the report's `wakeAt`.
    pub next: Option<String>,
    /// The dead man's switch, while the night may need it.
    pub guard: Option<Guard>,
    /// The last entries of the journal, oldest first.
    pub last: Vec<Told>,
    /// What should have been recorded and was not.
    pub silent: Option<String>,
    /// What to know besides.
    pub notes: Vec<String>,
}

/// Where a report comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Computed from plan and ledger: the truth.
    Ledger,
    /// The Intervention's status: the night has no ledger, or it may not be read.
    Report,
}

/// A step, an undo or the verification that runs. Moments are RFC 3339 in the plan's zone.
#[derive(Clone, Debug, PartialEq)]
pub struct UnderWay {
    /// `aggiorna`, `undo of aggiorna`, `smoke`.
    pub name: String,
    /// Since when.
    pub since: String,
    /// When its budget is gone.
    pub budget_until: String,
    /// When it is turned back, for a step.
    pub hard_cap_at: Option<String>,
    /// What it waits for people to say.
    pub asks: Option<String>,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When, RFC 3339.
    pub at: String,
    /// `stepDone`.
    pub what: String,
    /// The step, when it is about one.
    pub step: Option<String>,
    /// Why.
    pub why: String,
}

impl View {
    /// From plan and ledger; `report` is what the Intervention says, when there is one.
    #[must_use]
    pub fn of_ledger(
        night: &str,
        read: &LedgerRead,
        report: Option<&InterventionStatus>,
        notes: Vec<String>,
        now: Timestamp,
    ) -> Self {
        let (plan, believed) = (&read.plan, read.believed(now));
        let Believed { entries, read_count: _, is_torn } = &believed;
        let decision = decide(plan, entries, &Facts { unrecorded: *is_torn, ..Facts::default() }, now);
        let state = state(plan, &believed, &decision);
        let next = decision.wake.as_ref().map(|wake| wake.why.clone());
        let decision = Decision { phase: state.phase(plan), ..decision };
        // Before the night the operator knows more than the ledger: what keeps it from being armed.
        let known = report.filter(|report| decision.phase == Phase::Pending && report.phase == Some(Phase::Pending));
        let why = known.and_then(|report| report.why.clone()).unwrap_or_else(|| decision.why.clone());
        let mut view = Self {
            night: night.to_owned(),
            now,
            source: Source::Ledger,
            status: report::status(plan, entries, &state, &decision, &why),
            running: under_way(plan, &state),
            next,
            guard: None,
            last: last(plan, entries),
            silent: silent(plan, &believed, now),
            notes,
        };
        view.notes.extend(read.broken.as_ref().map(|why| format!("the ledger is not to be believed: {why}")));
        view.notes.extend(read.deleting.then(|| "somebody deletes plan or ledger: the night goes back".to_owned()));
        view.notes.extend(report.and_then(|report| behind(report, &view.status)));
        view.with_slack()
    }

    /// From the Intervention's status alone.
    #[must_use]
    pub fn of_report(night: &str, status: InterventionStatus, notes: Vec<String>, now: Timestamp) -> Self {
        let (source, night) = (Source::Report, night.to_owned());
        let (running, last) = (Vec::new(), Vec::new());
        Self { night, now, source, status, running, next: None, guard: None, last, silent: None, notes }.with_slack()
    }

    /// With the dead man's switch as it was seen; where there is none on purpose the report says so.
    #[must_use]
    pub fn with_guard(mut self, guard: Option<&Guard>, report: Option<&InterventionStatus>) -> Self {
        let reported = report.and_then(|report| report.switch.clone());
        let without =
            reported.as_ref().filter(|switch| !switch.armed && switch.deployment.is_none()).and_then(|switch| switch.why.clone());
        self.guard = guard.cloned().map(|seen| match without {
            Some(why) if !seen.armed => Guard { says: why, ..seen },
            Some(_) | None => seen,
        });
        self.status.switch = self.guard.as_ref().map(|seen| SwitchReport {
            armed: seen.armed,
            since: reported.filter(|switch| switch.armed == seen.armed).and_then(|switch| switch.since),
            deployment: seen.deployment.clone(),
            why: Some(seen.says.clone()),
        });
        self
    }

    /// Slack moves by itself: it is that of now.
    fn with_slack(mut self) -> Self {
        let turn_back = self.status.turn_back_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
        let left = turn_back.map(|at| at.duration_since(self.now));
        self.status.slack = left.map(|left| format!("{}{}", if left.is_negative() { "-" } else { "" }, super::when::span(left)));
        self
    }

    /// Whether somebody has to look: a person is needed, the night was refused or late, or its operator is silent.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        let bad = match self.status.outcome {
            Some(Outcome::Refused | Outcome::ReopenedLate) => true,
            Some(Outcome::Completed | Outcome::RolledBack | Outcome::Cancelled) | None => false,
        };
        bad || self.status.needs_human || self.silent.is_some()
    }
}

/// Where the night stands; behind a journal that is torn, as if what is decided could be recorded, as the operator counts it too.
fn state(plan: &Plan, believed: &Believed, decision: &Decision) -> State {
    let mut state = State::fold(plan, &believed.entries);
    if believed.is_torn {
        decision.events.iter().for_each(|entry| state.apply(plan, entry));
    }
    state
}

fn under_way(plan: &Plan, state: &State) -> Vec<UnderWay> {
    let mut all = Vec::new();
    for (planned, step) in plan.steps.iter().zip(&state.steps) {
        if let (Work::Running { since, hard_cap_at, .. }, None, Running::Waiting) = (&step.work, step.stopped, &step.undo) {
            all.push(UnderWay {
                name: planned.name.clone(),
                since: rfc3339(plan, *since),
                budget_until: rfc3339(plan, after(*since, planned.budget)),
                hard_cap_at: Some(rfc3339(plan, *hard_cap_at)),
                asks: asks(&planned.action, step.confirmed_by.len()),
            });
        }
        if let Running::Since { at, .. } = step.undo {
            all.push(of_way_back(plan, format!("undo of {}", planned.name), at, planned.undo_budget()));
        }
    }
    if let (Running::Since { at, .. }, Some(smoke)) = (&state.smoke, &plan.smoke) {
        all.push(of_way_back(plan, "smoke".to_owned(), *at, smoke.budget));
    }
    if state.outcome.is_some() { Vec::new() } else { all }
}

fn asks(action: &PlannedAction, confirmed_count: usize) -> Option<String> {
    match action {
        PlannedAction::Hold(hold) => {
            let silence = match hold.on_silence {
                OnSilence::TurnBack => "the night goes back",
                OnSilence::Continue => "it goes on",
            };
            Some(format!("{} ({confirmed_count} of {} confirmed; on silence {silence})", hold.message, hold.confirmations))
        }
        PlannedAction::Close { .. }
        | PlannedAction::Job(_)
        | PlannedAction::Change(_)
        | PlannedAction::Check(_)
        | PlannedAction::Notify { .. } => None,
    }
}

fn of_way_back(plan: &Plan, name: String, since: Timestamp, budget: crate::model::span::Span) -> UnderWay {
    UnderWay {
        name,
        since: rfc3339(plan, since),
        budget_until: rfc3339(plan, after(since, budget)),
        hard_cap_at: None,
        asks: None,
    }
}

fn last(plan: &Plan, entries: &[Entry]) -> Vec<Told> {
    let told = |entry: &Entry| Told {
        at: rfc3339(plan, entry.at),
        what: entry.event.name(),
        step: entry.event.step().map(str::to_owned),
        why: entry.why.clone(),
    };
    entries.iter().skip(entries.len().saturating_sub(LAST_MAX)).map(told).collect()
}

/// What the clock alone would have had recorded a minute ago: nobody knows more than the clock, and nobody has written it. Behind what is
/// lost of a journal nobody writes.
fn silent(plan: &Plan, believed: &Believed, now: Timestamp) -> Option<String> {
    let Believed { entries, read_count, is_torn } = believed;
    let then = now.checked_sub(RECORDED_WITHIN).ok()?;
    let last = entries.iter().take(*read_count).next_back().filter(|entry| !is_torn && entry.at < then)?;
    let due = decide(plan, entries, &Facts::default(), then).events.into_iter().next()?;
    Some(format!(
        "nothing was recorded since {}, and this is due: {}, {}; look whether the operator lives",
        crate::engine::words::clock(plan, last.at),
        due.event.name(),
        due.why
    ))
}

fn behind(report: &InterventionStatus, truth: &InterventionStatus) -> Option<String> {
    let said = (report.phase, report.outcome);
    (report.phase.is_some() && said != (truth.phase, truth.outcome)).then(|| {
        let phase = report.phase.map_or("nothing", Phase::as_str);
        format!("the Intervention's status still says {phase}: this is from the ledger")
    })
}
