//! Who plays: the programs that ship, each of which may be killed, and a person.
//!
//! In: an embedded API, who dies and returns when. Out: what runs. Invariants: sentinels run while their Deployment stands; an hour after the
//! end nobody does. Not here: when what happens (the scene).

use std::sync::Arc;

use jiff::Timestamp;
use notturno::embedded::Embedded;
use notturno::operator::effects::tenants::ClientForToken;
use notturno::sentinel::Readiness;
use tokio::task::JoinSet;

use crate::processes::line::Line;
use crate::processes::{self, Running};
use crate::scene::{PERSON, WATCHED_FOR, WHOSE};

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Operator,
    Sentinel(usize),
}

impl Who {
    const SENTINELS: [&str; 2] = ["sentinel-a", "sentinel-b"];

    pub fn of(user: &str) -> Option<Self> {
        if [PERSON, "test"].contains(&user) {
            return None;
        }
        Some(Self::SENTINELS.iter().position(|name| *name == user).map_or(Self::Operator, Self::Sentinel))
    }
}

pub struct Victim {
    pub who: Who,
    pub for_good: bool,
}

pub enum Turn {
    /// Whoever was killed is back.
    Return(Who),
    /// The operator is dead for good.
    Bury,
    /// A person deletes the night.
    Delete,
    /// Another operator starts.
    Second,
    /// What the line held goes through.
    Mend,
    /// Whoever was cut off sees that another leads.
    Depose,
}

/// Who plays.
pub struct Cast {
    embedded: Embedded,
    operator: Option<Running>,
    sentinels: [Option<JoinSet<()>>; 2],
    is_buried: bool,
    /// The dead man's switch is there.
    stands: bool,
    /// How the names of what is ours begin.
    stem: String,
    /// When it was seen that the night is over.
    pub over_at: Option<Timestamp>,
    /// What the operator's orders pass through.
    line: Option<Line>,
    /// Another operator, that believes itself alone too.
    second: Option<Running>,
    /// When the line was mended.
    pub mended_at: Option<Timestamp>,
}

impl Cast {
    pub fn new(embedded: &Embedded, line: Option<Line>) -> Self {
        let night = embedded.object("notturno.dev", "interventions", WHOSE.namespace, WHOSE.name);
        let uid = night.and_then(|night| Some(night["metadata"]["uid"].as_str()?.get(..8)?.to_owned()));
        let stem = format!("notturno-{}-{}-", WHOSE.name, uid.unwrap_or_default());
        let embedded = embedded.clone();
        let mut cast = Self {
            embedded,
            operator: None,
            sentinels: [None, None],
            is_buried: false,
            stands: false,
            stem,
            over_at: None,
            line,
            second: None,
            mended_at: None,
        };
        cast.start(Who::Operator);
        cast
    }

    /// Sentinels are there while their Deployment is.
    pub fn look(&mut self) {
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
                if stands { self.start(Who::Sentinel(index)) } else { self.kill(Who::Sentinel(index)) }
            }
        }
    }

    fn start(&mut self, who: Who) {
        match who {
            Who::Operator if self.is_buried => {}
            Who::Operator => {
                let tokens = self.embedded.clone();
                let clients: ClientForToken = match self.line.clone() {
                    Some(line) => Arc::new(move |token| Ok(line.client(tokens.client_for_token(token)))),
                    None => processes::directly(&tokens),
                };
                self.operator = Some(self.begun(clients));
            }
            Who::Sentinel(_) if !self.stands => {}
            Who::Sentinel(index) => {
                let name = Who::SENTINELS[index];
                self.sentinels[index] =
                    Some(processes::sentinel(&self.embedded, &WHOSE, name, self.embedded.client(name), Readiness::default()));
            }
        }
    }

    fn begun(&self, clients: ClientForToken) -> Running {
        processes::operator(&self.embedded, clients, |context| context.switch = processes::image())
    }

    pub fn kill(&mut self, who: Who) {
        match who {
            Who::Operator => self.operator = None,
            Who::Sentinel(index) => self.sentinels[index] = None,
        }
    }

    pub async fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Return(who) => self.start(who),
            Turn::Bury => {
                self.is_buried = true;
                (self.operator, self.second) = (None, None);
            }
            Turn::Second if self.is_buried => {}
            Turn::Second => self.second = Some(self.begun(processes::directly(&self.embedded))),
            Turn::Mend => {
                if let Some(line) = &self.line {
                    line.mend();
                }
                self.mended_at = Some(self.embedded.clock().now());
            }
            Turn::Depose => self.operator = self.second.take(),
            Turn::Delete => {
                let kind = kube::api::ApiResource::erase::<notturno::api::Intervention>(&());
                let client = self.embedded.client(PERSON);
                let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(client, WHOSE.namespace, &kind);
                api.delete(WHOSE.name, &kube::api::DeleteParams::default()).await.unwrap();
            }
        }
    }
}
