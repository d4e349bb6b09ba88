//! A decision's commands, carried out: burns first, services side by side, each service in order.
//!
//! In: commands whose intention was seen in the ledger. Out: what became of each. Invariants: a burn that hangs gets a head start and no
//! more, so that it holds nobody else (PROTOCOL rule 6); at most [`LANES_MAX`] lanes run at a time; within a lane a failure ends the lane
//! for this time. Not here: when something is tried again ([`super::tries`]), arming and probes.

use std::time::Duration;

use futures::stream;
use futures::{FutureExt, StreamExt};

use super::effects::{Done, PerformError, Preimages, Tenant, perform};
use super::server_time::ServerTime;
use crate::engine::Command;
use crate::model::plan::{Plan, ServiceIndex};

const LANES_MAX: usize = 8;
/// How long everything else waits for the burns of the same decision.
const BURNS_FIRST_FOR: Duration = Duration::from_secs(1);

/// With whose hands, on what.
#[derive(Clone, Copy)]
pub(super) struct Hands<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) plan: &'a Plan,
    pub(super) preimages: &'a Preimages,
    pub(super) time: &'a ServerTime,
}

/// What became of a command.
pub(super) type Tried = (Command, Result<Done, PerformError>);

/// Carries out the commands.
pub(super) async fn carry_out(hands: Hands<'_>, commands: Vec<Command>) -> Vec<Tried> {
    let (burns, others): (Vec<Command>, Vec<Command>) = commands.into_iter().partition(is_burn);
    let mut burning = std::pin::pin!(run(hands, burns));
    if let Ok(mut tried) = tokio::time::timeout(BURNS_FIRST_FOR, &mut burning).await {
        tried.extend(run(hands, others).await);
        tried
    } else {
        let (mut tried, others) = futures::join!(burning, run(hands, others));
        tried.extend(others);
        tried
    }
}

async fn run(hands: Hands<'_>, commands: Vec<Command>) -> Vec<Tried> {
    let lanes = stream::iter(lanes(commands).into_iter().map(|lane| in_order(hands, lane).boxed()).collect::<Vec<_>>());
    lanes.buffer_unordered(LANES_MAX).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

async fn in_order(hands: Hands<'_>, lane: Vec<Command>) -> Vec<Tried> {
    let mut tried = Vec::new();
    for command in lane {
        let result = perform(hands.tenant, hands.plan, hands.preimages, hands.time.now(), &command).await;
        let failed = result.is_err();
        tried.push((command, result));
        if failed {
            break;
        }
    }
    tried
}

/// One lane for each service, one for each command that is about none.
fn lanes(commands: Vec<Command>) -> Vec<Vec<Command>> {
    let mut lanes: Vec<(Option<ServiceIndex>, Vec<Command>)> = Vec::new();
    for command in commands {
        let about = service(&command);
        match lanes.iter_mut().find(|(lane, _)| about.is_some() && *lane == about) {
            Some((_, lane)) => lane.push(command),
            None => lanes.push((about, vec![command])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

fn service(command: &Command) -> Option<ServiceIndex> {
    match command {
        Command::Close { service, .. }
        | Command::BurnTargets { service }
        | Command::Reopen { service }
        | Command::CloseAgain { service }
        | Command::Probe { service } => Some(*service),
        Command::Change { .. }
        | Command::BurnChange { .. }
        | Command::Restore { .. }
        | Command::Check { .. }
        | Command::Arm
        | Command::Release { .. }
        | Command::BurnJob { .. }
        | Command::LetGo { .. }
        | Command::Disarm => None,
    }
}

/// Whether it takes a right away.
pub(super) fn is_burn(command: &Command) -> bool {
    match command {
        Command::BurnJob { .. } | Command::BurnTargets { .. } | Command::BurnChange { .. } => true,
        Command::Arm
        | Command::Close { .. }
        | Command::CloseAgain { .. }
        | Command::Change { .. }
        | Command::Restore { .. }
        | Command::Check { .. }
        | Command::Release { .. }
        | Command::Reopen { .. }
        | Command::Probe { .. }
        | Command::LetGo { .. }
        | Command::Disarm => false,
    }
}

/// The kind of a command, for numbers.
pub(super) fn kind(command: &Command) -> &'static str {
    match command {
        Command::Arm => "arm",
        Command::Close { .. } => "close",
        Command::Release { .. } => "release",
        Command::BurnJob { .. } => "burn-job",
        Command::BurnTargets { .. } => "burn-targets",
        Command::Change { .. } => "change",
        Command::BurnChange { .. } => "burn-change",
        Command::Restore { .. } => "restore",
        Command::Check { .. } => "check",
        Command::CloseAgain { .. } => "close-again",
        Command::Reopen { .. } => "reopen",
        Command::Probe { .. } => "probe",
        Command::LetGo { .. } => "let-go",
        Command::Disarm => "disarm",
    }
}

/// What it is and what it is about: the same command later has the same name, whatever its fence.
pub(super) fn name(command: &Command) -> String {
    let about = match command {
        Command::Arm | Command::Disarm => String::new(),
        Command::Close { service, .. }
        | Command::BurnTargets { service }
        | Command::Reopen { service }
        | Command::CloseAgain { service }
        | Command::Probe { service } => {
            format!(" service {service}")
        }
        Command::Change { step, .. } | Command::BurnChange { step } | Command::Restore { step } | Command::Check { step } => {
            format!(" step {step}")
        }
        Command::BurnJob { job, to } => format!(" {job} to {to:?}"),
        Command::Release { job, .. } | Command::LetGo { job } => format!(" {job}"),
    };
    format!("{}{about}", kind(command))
}
