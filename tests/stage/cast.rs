//! Who plays: the operator, the sentinels while their Deployment is there, and when they die and return.
//!
//! In: an embedded API, the faults of programs. Out: programs that run. Invariants: whoever is dead for good does not return; nobody plays
//! on once the night was watched to its end. Not here: what happens when (`play`).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use notturno::embedded::Embedded;
use notturno::operator::connect::bounded;
use notturno::operator::effects::call::LIMIT;
use notturno::operator::effects::tenants::ClientForToken;
use notturno::operator::{Orders, ServerTime};
use notturno::sentinel::Readiness;
use tokio::task::JoinSet;

use super::fault::{Fault, Kind};
use super::scene::{OTHERS, WHOSE};
use crate::processes::line::Line;
use crate::processes::{self, Running, Wall};

/// So long after its end a night is watched.
pub const WATCHED_FOR: SignedDuration = SignedDuration::from_mins(60);

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Operator,
    Sentinel(usize),
}

impl Who {
    pub const SENTINELS: [&str; 2] = ["sentinel-a", "sentinel-b"];

    pub fn of(user: &str) -> Option<Self> {
        if OTHERS.contains(&user) {
            return None;
        }
        Some(Self::SENTINELS.iter().position(|name| *name == user).map_or(Self::Operator, Self::Sentinel))
    }
}

/// Wrong by hours, and standing still.
fn ahead() -> Timestamp {
    "2023-12-31T23:00:00Z".parse().unwrap()
}

fn behind() -> Timestamp {
    "2022-12-31T23:00:00Z".parse().unwrap()
}

/// Who plays.
#[allow(clippy::struct_excessive_bools, reason = "each says one thing of the stage, independent of the others")]
pub struct Cast {
    embedded: Embedded,
    operator: Option<Running>,
    sentinels: [Option<JoinSet<()>>; 2],
    is_buried: bool,
    /// The sentinels' machines are down.
    is_down: bool,
    /// The dead man's switch is there.
    stands: bool,
    /// How the names of what is ours begin.
    pub stem: String,
    /// When it was seen that the night is over.
    pub over_at: Option<Timestamp>,
    /// What the operator's machine takes for the time; none: it has the API server's.
    wall: Wall,
    /// What the sentinels' machines do.
    sentinels_wall: Wall,
    /// It takes part in an election.
    elects: bool,
    /// What the operator's orders pass through.
    line: Option<Line>,
    /// Another operator, that believes itself alone too.
    second: Option<Running>,
    /// When the line was mended.
    pub mended_at: Option<Timestamp>,
}

impl Cast {
    pub async fn new(embedded: &Embedded, faults: &[Fault], line: Option<Line>) -> Self {
        let night = embedded.object("notturno.dev", "interventions", WHOSE.namespace, WHOSE.name);
        let uid = night.and_then(|night| Some(night["metadata"]["uid"].as_str()?.get(..8)?.to_owned()));
        let stem = format!("notturno-{}-{}-", WHOSE.name, uid.unwrap_or_default());
        let has = |kinds: &[Kind]| faults.iter().any(|fault| kinds.contains(&fault.kind));
        let wall_of = |is_ahead: Kind, is_behind: Kind| -> Wall {
            match () {
                () if has(&[is_ahead]) => Some(ahead),
                () if has(&[is_behind, Kind::DateAhead, Kind::DateBehind]) => Some(behind),
                () => None,
            }
        };
        let wall = wall_of(Kind::WallClockAhead, Kind::WallClockBehind);
        let sentinels_wall = wall_of(Kind::SentinelsAhead, Kind::SentinelsBehind);
        let (embedded, elects) = (embedded.clone(), has(&[Kind::LeaseStolen]));
        let mut cast = Self {
            embedded,
            operator: None,
            sentinels: [None, None],
            is_buried: false,
            is_down: false,
            stands: false,
            stem,
            over_at: None,
            wall,
            sentinels_wall,
            elects,
            line,
            second: None,
            mended_at: None,
        };
        cast.start(Who::Operator).await;
        cast
    }

    /// Whether it runs now.
    pub fn lives(&self, who: Who) -> bool {
        match who {
            Who::Operator => self.operator.is_some(),
            Who::Sentinel(index) => self.sentinels[index].is_some(),
        }
    }

    /// Orders reach the night while the operator lives.
    pub fn orders(&self) -> Option<Orders> {
        self.operator.as_ref().map(|running| running.context.orders.clone())
    }

    /// Sentinels are there while their Deployment is.
    pub async fn look(&mut self) {
        let found =
            |group, resource, what: &str| self.embedded.object(group, resource, WHOSE.namespace, &format!("{}{what}", self.stem));
        let ledger = found("", "configmaps", "ledger").unwrap_or_default();
        if self.over_at.is_none() && ledger["data"].to_string().contains(r#"\"finished\""#) {
            self.over_at = Some(self.embedded.clock().now());
        }
        if self.over_at.is_some_and(|at| self.embedded.clock().now() >= at + WATCHED_FOR) {
            (self.operator, self.second, self.sentinels, self.is_buried) = (None, None, [None, None], true);
            return;
        }
        let stands = found("apps", "deployments", "sentinel").is_some();
        if stands != self.stands {
            self.stands = stands;
            for index in 0..self.sentinels.len() {
                if stands { self.start(Who::Sentinel(index)).await } else { self.kill(Who::Sentinel(index)) }
            }
        }
    }

    pub async fn start(&mut self, who: Who) {
        match who {
            Who::Operator if self.is_buried => {}
            Who::Operator => {
                let client = processes::client(&self.embedded, processes::OPERATOR);
                let time = match self.wall {
                    Some(local) => Some(ServerTime::measured(&client, local).await),
                    None => None,
                };
                let changed = |context: &mut notturno::operator::Context| {
                    context.switch = processes::image();
                    if let Some(time) = time {
                        context.time = time;
                    }
                };
                let tokens = self.embedded.clone();
                let clients: ClientForToken = match self.line.clone() {
                    Some(line) => Arc::new(move |token| Ok(bounded(line.client(tokens.client_for_token(token)), LIMIT))),
                    None => processes::directly(&tokens),
                };
                self.operator = Some(if self.elects {
                    processes::leader(&self.embedded, clients, changed)
                } else {
                    processes::operator(&self.embedded, clients, changed)
                });
            }
            Who::Sentinel(_) if !self.stands || self.is_down => {}
            Who::Sentinel(index) => {
                let name = Who::SENTINELS[index];
                self.sentinels[index] = Some(processes::sentinel(
                    &self.embedded,
                    &WHOSE,
                    name,
                    processes::client(&self.embedded, name),
                    Readiness::default(),
                    self.sentinels_wall,
                ));
            }
        }
    }

    pub fn kill(&mut self, who: Who) {
        match who {
            Who::Operator => self.operator = None,
            Who::Sentinel(index) => self.sentinels[index] = None,
        }
    }

    /// The operator is dead for good.
    pub fn bury(&mut self) {
        self.is_buried = true;
        (self.operator, self.second) = (None, None);
    }

    /// Another operator starts.
    pub fn start_second(&mut self) {
        if !self.is_buried {
            let guarded = |context: &mut notturno::operator::Context| context.switch = processes::image();
            self.second = Some(processes::operator(&self.embedded, processes::directly(&self.embedded), guarded));
        }
    }

    /// What the line held goes through.
    pub fn mend(&mut self) {
        if let Some(line) = &self.line {
            line.mend();
        }
        self.mended_at = Some(self.embedded.clock().now());
    }

    /// Whoever was cut off sees that another leads.
    pub fn depose(&mut self) {
        self.operator = self.second.take();
    }

    /// The sentinels' machines go down, or come up again.
    pub async fn down(&mut self, is_down: bool) {
        self.is_down = is_down;
        for index in 0..self.sentinels.len() {
            if is_down { self.kill(Who::Sentinel(index)) } else { self.start(Who::Sentinel(index)).await }
        }
    }
}
