//! What steps wait for: looked at for as long as the engine wants to know.
//!
//! In: the steps that a decision commands to check. Out: [`CheckFact`] per step, and a ring when one turns. Invariants: what is no longer
//! commanded is no longer looked at; an object is watched, never polled, unless the tenant may not watch it: then it is read in bounded
//! pauses; an expression is evaluated away from everything else, one at a time, and one that takes too long is given up for good; what
//! is not there is not so yet. Not here: what passing means (the engine), sockets ([`super::http_get`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::book::Whose;
use super::context::Context;
use super::effects::call::{Answer, CallError};
use super::effects::{Tenant, watch};
use super::probe::Prober;
use super::story::story;
use super::tries::{EFFECT_PAUSE_MAX, pause};
use crate::api::expression::Expression;
use crate::engine::facts::{CheckFact, Probes};
use crate::model::action::Check;
use crate::model::plan::{Plan, PlannedAction, StepIndex};
use crate::model::reference::Target;

/// How long one evaluation may take.
const EVALUATES_FOR_MAX: Duration = Duration::from_secs(2);
/// The server ends a watch before that; one that is silent for longer is dead.
const SILENT_FOR_MAX: Duration = Duration::from_secs(300);

/// The checks of one night that are under way; dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Checkers(BTreeMap<StepIndex, Checker>);

#[derive(Debug)]
enum Checker {
    Asking(Prober),
    Watching { seen: Arc<Mutex<CheckFact>>, _watching: JoinSet<()> },
}

impl Checkers {
    /// Looks after these steps, and no others.
    pub(super) fn set(
        &mut self,
        wanted: &BTreeSet<StepIndex>,
        plan: &Plan,
        whose: &Whose,
        context: &Context,
        bell: &Arc<Notify>,
    ) {
        self.0.retain(|step, _| wanted.contains(step));
        for &step in wanted {
            let Some(PlannedAction::Check(check)) = plan.steps.get(step).map(|planned| &planned.action) else { continue };
            self.0.entry(step).or_insert_with(|| Checker::start(check, whose, context, bell));
        }
    }

    /// What is known of each.
    pub(super) fn facts(&self) -> BTreeMap<StepIndex, CheckFact> {
        self.0.iter().map(|(step, checker)| (*step, checker.fact())).collect()
    }
}

impl Checker {
    fn start(check: &Check, whose: &Whose, context: &Context, bell: &Arc<Notify>) -> Self {
        match check {
            Check::Http(probe) => Self::Asking(Prober::start(std::slice::from_ref(probe), &context.getter, bell)),
            Check::Wait { target, until } => {
                let seen: Arc<Mutex<CheckFact>> = Arc::default();
                let board = Board { seen: Arc::clone(&seen), bell: Arc::clone(bell) };
                let mut watching = JoinSet::new();
                watching.spawn(wait(target.clone(), until.clone(), board, whose.clone(), context.clone()));
                Self::Watching { seen, _watching: watching }
            }
        }
    }

    fn fact(&self) -> CheckFact {
        match self {
            Self::Asking(prober) => match prober.fact() {
                Probes::NotAsked => CheckFact::NotAsked,
                Probes::Red { reason, .. } => CheckFact::Pending { reason },
                Probes::Green => CheckFact::Passed,
            },
            Self::Watching { seen, .. } => seen.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Where a waiting step says what it has seen.
struct Board {
    seen: Arc<Mutex<CheckFact>>,
    bell: Arc<Notify>,
}

impl Board {
    /// Says it; true when nothing more is to be waited for.
    fn say(&self, fact: CheckFact) -> bool {
        let is_over = matches!(fact, CheckFact::Passed | CheckFact::Failed { .. });
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *seen == CheckFact::NotAsked;
        *seen = fact;
        if is_over || first {
            self.bell.notify_one();
        }
        is_over
    }

    fn pending(&self, reason: String) {
        self.say(CheckFact::Pending { reason });
    }
}

/// Waits until the expression holds.
async fn wait(target: Target, until: String, board: Board, whose: Whose, context: Context) {
    let expression = match Expression::parse(&until) {
        Ok(expression) => expression,
        Err(reason) => {
            board.say(CheckFact::Failed { reason });
            return;
        }
    };
    let mut failed_count = 0_u32;
    loop {
        let tenant = context.tenants.of(&whose.namespace, &whose.service_account).await;
        let told = match tenant {
            Ok(tenant) => {
                follow(&tenant, &target, &expression, &board).await.map_err(|error| (story(&error), error.is_refusal()))
            }
            Err(error) => Err((story(&error), false)),
        };
        match told {
            Ok(true) => return,
            Ok(false) => failed_count = 0,
            // Whoever may not watch is answered by reading, in bounded pauses; what was read last stands.
            Err((_, true)) => {}
            Err((reason, false)) => board.pending(format!("{target} is out of sight: {reason}")),
        }
        failed_count = failed_count.saturating_add(1);
        tokio::time::sleep(Duration::try_from(pause(failed_count, EFFECT_PAUSE_MAX)).unwrap_or_default()).await;
    }
}

/// Why an object cannot be followed.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Read(CallError),
    #[error("it may not be watched")]
    Watch(#[source] CallError),
    #[error("the watch broke")]
    Broke(#[source] kube::Error),
}

impl Lost {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Watch(error) => error.answer().is_some_and(|answer| answer != Answer::Busy),
            Self::Read(_) | Self::Broke(_) => false,
        }
    }
}

/// Reads the object and follows it until the watch ends; true when nothing more is to be waited for.
async fn follow(tenant: &Tenant, target: &Target, expression: &Expression, board: &Board) -> Result<bool, Lost> {
    let live = watch::read(tenant, target).await.map_err(Lost::Read)?;
    if judge(live.clone(), target, expression, board).await {
        return Ok(true);
    }
    let changes = watch::changes(tenant, target, live.as_ref()).await.map_err(Lost::Watch)?;
    let mut changes = std::pin::pin!(changes);
    while let Ok(Some(change)) = tokio::time::timeout(SILENT_FOR_MAX, changes.next()).await {
        if judge(change.map_err(Lost::Broke)?, target, expression, board).await {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn judge(live: Option<Value>, target: &Target, expression: &Expression, board: &Board) -> bool {
    let Some(live) = live else {
        return board.say(CheckFact::Pending { reason: format!("{target} is not there") });
    };
    let own = expression.clone();
    let evaluated = tokio::time::timeout(EVALUATES_FOR_MAX, tokio::task::spawn_blocking(move || own.holds(&live))).await;
    board.say(match evaluated {
        Ok(Ok(Ok(true))) => CheckFact::Passed,
        Ok(Ok(Ok(false))) => CheckFact::Pending { reason: format!("of {target} it is not true yet") },
        Ok(Ok(Err(reason))) => CheckFact::Pending { reason: format!("of {target} it cannot be told: {reason}") },
        Ok(Err(_)) => CheckFact::Failed { reason: "the interpreter itself failed on the expression".to_owned() },
        Err(_) => CheckFact::Failed { reason: format!("the expression takes longer than {EVALUATES_FOR_MAX:?} to evaluate") },
    })
}
