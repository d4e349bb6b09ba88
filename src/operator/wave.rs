//! A decision's commands, carried out: burns first, services side by side, each service in order.
//!
//! In: commands whose intention was seen in the ledger. Out: what became of each. Invariants: a burn that hangs gets a head start and no
//! more, so that it holds nobody else (PROTOCOL rule 6); forward lanes are few and backward ones many, neither counts against the
//! other, and forward ones are left when the night is called; within a lane a failure ends the lane for this time.
//! Not here: when something is tried again ([`super::tries`]), arming and probes.

use std::time::Duration;

use futures::stream::{self, Stream};
use futures::{FutureExt, StreamExt};

use super::call_back::CallBack;
use super::effects::{Done, PerformError, Preimages, Tenant, perform};
use super::server_time::ServerTime;
use crate::engine::Command;
use crate::model::plan::{Plan, ServiceIndex};

const FORWARD_LANES_MAX: usize = 8;
/// As many as a night has services: one that hangs holds no other.
const BACKWARD_LANES_MAX: usize = 64;
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

/// Carries out the commands, forward ones until the night is called.
pub(super) async fn carry_out(hands: Hands<'_>, commands: Vec<Command>, call: &CallBack<'_>) -> Vec<Tried> {
    let (burns, others): (Vec<Command>, Vec<Command>) = commands.into_iter().partition(is_burn);
    let (forward, back): (Vec<Command>, Vec<Command>) = others.into_iter().partition(is_forward);
    let others = async { futures::join!(run(hands, back, BACKWARD_LANES_MAX), until_called(hands, forward, call)) };
    let mut burning = std::pin::pin!(run(hands, burns, BACKWARD_LANES_MAX));
    let first = tokio::time::timeout(BURNS_FIRST_FOR, &mut burning).await;
    let (mut tried, (back, forward)) =
        if let Ok(tried) = first { (tried, others.await) } else { futures::join!(burning, others) };
    tried.extend(back);
    tried.extend(forward);
    tried
}

async fn run(hands: Hands<'_>, commands: Vec<Command>, lanes_max: usize) -> Vec<Tried> {
    running(hands, commands, lanes_max).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// What became of those that had ended by then.
async fn until_called(hands: Hands<'_>, commands: Vec<Command>, call: &CallBack<'_>) -> Vec<Tried> {
    let mut tried = Vec::new();
    let work = running(hands, commands, FORWARD_LANES_MAX).for_each(|lane| {
        tried.extend(lane);
        std::future::ready(())
    });
    if call.or(work.boxed()).await.is_none() {
        tracing::info!("the night is called: forward work is left");
    }
    tried
}

fn running(hands: Hands<'_>, commands: Vec<Command>, lanes_max: usize) -> impl Stream<Item = Vec<Tried>> {
    let lanes = lanes(commands).into_iter().map(|lane| in_order(hands, lane).boxed()).collect::<Vec<_>>();
    stream::iter(lanes).buffer_unordered(lanes_max)
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

/// Whether it is work of the night, which the way back need not wait for.
fn is_forward(command: &Command) -> bool {
    match command {
        Command::Arm | Command::Close { .. } | Command::Change { .. } => true,
        Command::Release { not_after, .. } => not_after.is_some(),
        Command::BurnJob { .. }
        | Command::BurnTargets { .. }
        | Command::BurnChange { .. }
        | Command::Restore { .. }
        | Command::CloseAgain { .. }
        | Command::Check { .. }
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
