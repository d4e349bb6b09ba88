//! A decision's commands, carried out: burns first, services side by side, each service in order.
//!
//! In: commands whose intention was seen in the ledger. Out: what became of each. Invariants: a burn that hangs gets a head start and no
//! more, so that it holds nobody else (PROTOCOL rule 6); forward lanes are few, and are left when the night is called; backward ones are
//! as many as there are services and steps; one that hangs is left to itself, and until it has ended nothing else is begun about its
//! service, nor the same command again, and it is not due at once; nothing outlives the tokens; within a lane a failure ends the lane for
//! this time. Not here: how long it pauses ([`super::tries`]), arming and probes.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::call_back::CallBack;
use super::effects::ledger::PlanIdentity;
use super::effects::{Done, PerformError, Preimages, Switch, Tenant, perform};
use super::server_time::ServerTime;
use super::switch;
use super::tries::{EFFECT_PAUSE_MAX, Tries};
use super::under_way::{LEFT_AFTER, UnderWay};
use crate::engine::Command;
use crate::model::plan::{Plan, ServiceIndex};

const FORWARD_LANES_MAX: usize = 8;
/// How long everything else waits for the burns of the same decision.
const BURNS_FIRST_FOR: Duration = Duration::from_secs(1);

/// What a lane works with; its own copy, since it may outlive the round.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) tenant: Tenant,
    pub(crate) plan: Arc<Plan>,
    pub(crate) preimages: Arc<Preimages>,
    pub(crate) time: ServerTime,
    /// What the dead man's switch is made from.
    pub(crate) switch: Switch,
    /// The plan that it guards, once it was asked for.
    pub(crate) identity: Option<PlanIdentity>,
}

/// What became of a command.
pub(crate) type Tried = (Command, Result<Done, PerformError>);

/// Lanes of the way back that are under way, by the name of what each is about.
pub(crate) type Lanes = UnderWay<String, Vec<Tried>>;

/// Those of the commands that may be tried now.
pub(crate) fn due(tries: &Tries, commands: Vec<Command>, now: Timestamp) -> Vec<Command> {
    commands.into_iter().filter(|command| tries.may(&name(command), now)).collect()
}

/// Carries out what is due, forward commands until the night is called. What hangs on the way back is left to itself; what had ended since
/// the last time is told too.
pub(super) async fn carry_out(
    (lanes, tries): (&mut Lanes, &mut Tries),
    hands: &Hands,
    due: Vec<Command>,
    call: &CallBack<'_>,
) -> Vec<Tried> {
    let (forward, back): (Vec<Command>, Vec<Command>) = due.into_iter().partition(is_forward);
    let mut tried = begin_back(lanes, hands, back.clone()).await;
    let (ended, forward) = futures::join!(ended(lanes, LEFT_AFTER), until_called(hands, forward, call));
    tried.extend(ended);
    tried.extend(forward);
    pause_those_under_way(lanes, tries, &back, hands.time.now());
    tried
}

/// The same for whoever only goes back: no forward command is carried out.
pub(crate) async fn go_back((lanes, tries): (&mut Lanes, &mut Tries), hands: &Hands, due: Vec<Command>) -> Vec<Tried> {
    let back: Vec<Command> = due.into_iter().filter(|command| !is_forward(command)).collect();
    let mut tried = begin_back(lanes, hands, back.clone()).await;
    tried.extend(ended(lanes, LEFT_AFTER).await);
    pause_those_under_way(lanes, tries, &back, hands.time.now());
    tried
}

/// What is under way is not due again at once: whoever rests until something may be tried would not rest at all.
fn pause_those_under_way(lanes: &Lanes, tries: &mut Tries, due: &[Command], now: Timestamp) {
    for command in due.iter().filter(|command| lanes.has(&about(command))) {
        tries.tried(&name(command), now, EFFECT_PAUSE_MAX);
    }
}

/// Burns, then everything else; what had ended by then.
async fn begin_back(lanes: &mut Lanes, hands: &Hands, commands: Vec<Command>) -> Vec<Tried> {
    let (burns, back): (Vec<Command>, Vec<Command>) = commands.into_iter().partition(is_burn);
    begin(lanes, hands, burns);
    let mut tried = ended(lanes, BURNS_FIRST_FOR).await;
    if back.contains(&Command::Disarm) {
        // Once tokens are gone a write that was left to itself would not know that its night is over.
        tried.extend(lanes.all_ended().await.into_iter().flat_map(|(_, tried)| tried));
    }
    begin(lanes, hands, back);
    tried
}

/// Begins each lane that is not under way.
fn begin(under_way: &mut Lanes, hands: &Hands, commands: Vec<Command>) {
    for lane in lanes(commands) {
        let Some(first) = lane.first() else { continue };
        under_way.begin(about(first), in_order(hands.clone(), lane));
    }
}

/// Burns of a service and its opening go side by side; everything else about it, one after the other.
fn about(command: &Command) -> String {
    match service(command) {
        Some(service) if is_burn(command) => format!("burn of service {service}"),
        Some(service) => format!("service {service}"),
        None => name(command),
    }
}

async fn ended(lanes: &mut Lanes, within: Duration) -> Vec<Tried> {
    lanes.ended_by(Instant::now() + within).await.into_iter().flat_map(|(_, tried)| tried).collect()
}

/// What became of those that had ended by then.
async fn until_called(hands: &Hands, commands: Vec<Command>, call: &CallBack<'_>) -> Vec<Tried> {
    let mut tried = Vec::new();
    let lanes = lanes(commands).into_iter().map(|lane| in_order(hands.clone(), lane).boxed()).collect::<Vec<_>>();
    let work = stream::iter(lanes).buffer_unordered(FORWARD_LANES_MAX).for_each(|lane| {
        tried.extend(lane);
        std::future::ready(())
    });
    if call.or(work.boxed()).await.is_none() {
        tracing::info!("the night is called: forward work is left");
    }
    tried
}

async fn in_order(hands: Hands, lane: Vec<Command>) -> Vec<Tried> {
    let mut tried = Vec::new();
    for command in lane {
        let result = match &command {
            Command::ArmSwitch => switch::stand(&hands).await,
            _ => perform(&hands.tenant, &hands.plan, &hands.preimages, hands.time.now(), &command).await,
        };
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
        | Command::Degrade { service }
        | Command::Probe { service } => Some(*service),
        Command::Change { .. }
        | Command::BurnChange { .. }
        | Command::ExpireChange { .. }
        | Command::Restore { .. }
        | Command::Check { .. }
        | Command::Arm
        | Command::Release { .. }
        | Command::BurnJob { .. }
        | Command::LetGo { .. }
        | Command::Disarm
        | Command::ArmSwitch
        | Command::DisarmSwitch => None,
    }
}

/// Whether it takes a right away.
pub(crate) fn is_burn(command: &Command) -> bool {
    match command {
        Command::BurnJob { .. } | Command::BurnTargets { .. } | Command::BurnChange { .. } | Command::ExpireChange { .. } => true,
        Command::Arm
        | Command::Close { .. }
        | Command::CloseAgain { .. }
        | Command::Degrade { .. }
        | Command::Change { .. }
        | Command::Restore { .. }
        | Command::Check { .. }
        | Command::Release { .. }
        | Command::Reopen { .. }
        | Command::Probe { .. }
        | Command::LetGo { .. }
        | Command::Disarm
        | Command::ArmSwitch
        | Command::DisarmSwitch => false,
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
        | Command::ExpireChange { .. }
        | Command::Restore { .. }
        | Command::CloseAgain { .. }
        | Command::Degrade { .. }
        | Command::Check { .. }
        | Command::Reopen { .. }
        | Command::Probe { .. }
        | Command::LetGo { .. }
        | Command::Disarm
        | Command::ArmSwitch
        | Command::DisarmSwitch => false,
    }
}

/// The kind of a command, for numbers.
pub(crate) fn kind(command: &Command) -> &'static str {
    match command {
        Command::Arm => "arm",
        Command::Close { .. } => "close",
        Command::Release { .. } => "release",
        Command::BurnJob { .. } => "burn-job",
        Command::BurnTargets { .. } => "burn-targets",
        Command::Change { .. } => "change",
        Command::BurnChange { .. } => "burn-change",
        Command::ExpireChange { .. } => "expire-change",
        Command::Restore { .. } => "restore",
        Command::Check { .. } => "check",
        Command::CloseAgain { .. } => "close-again",
        Command::Degrade { .. } => "degrade",
        Command::Reopen { .. } => "reopen",
        Command::Probe { .. } => "probe",
        Command::LetGo { .. } => "let-go",
        Command::Disarm => "disarm",
        Command::ArmSwitch => "arm-switch",
        Command::DisarmSwitch => "disarm-switch",
    }
}

/// What it is and what it is about: the same command later has the same name, whatever its fence.
pub(crate) fn name(command: &Command) -> String {
    let about = match command {
        Command::Arm | Command::Disarm | Command::ArmSwitch | Command::DisarmSwitch => String::new(),
        Command::Close { service, .. }
        | Command::BurnTargets { service }
        | Command::Reopen { service }
        | Command::CloseAgain { service }
        | Command::Degrade { service }
        | Command::Probe { service } => {
            format!(" service {service}")
        }
        Command::Change { step, .. }
        | Command::BurnChange { step }
        | Command::ExpireChange { step }
        | Command::Restore { step }
        | Command::Check { step } => {
            format!(" step {step}")
        }
        Command::BurnJob { job, to } => format!(" {job} to {to:?}"),
        Command::Release { job, .. } | Command::LetGo { job } => format!(" {job}"),
    };
    format!("{}{about}", kind(command))
}
