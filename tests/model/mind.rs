//! What an actor thinks: the project's own `decide` over a ledger, what was seen, and a clock; each question is asked once.
//!
//! In: a ledger's number, objects as looked at, whose eyes, what the clock shows. Out: [`Thought`]: the ledger as it becomes, and commands.
//! Objects become facts as src/operator/effects/observe.rs, work.rs, look.rs, pods.rs and token.rs (`Standing::fact`) make them; only what
//! `interest` asks for is looked at. Rules of `decide` are left out here by facts that are not so ([`Mind::falsify`]).

#![allow(clippy::disallowed_types, reason = "it is asked by key and never gone through")]

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use notturno::engine::facts::{
    Arming, Ask, Burned, ClosingFact, Facts, JobEnd, JobFact, JobKey, Order, Pods, Probes, ServiceFact, TokenFact,
};
use notturno::engine::journal::Event;
use notturno::engine::state::Running;
use notturno::engine::{Command, Entry, decide};
use notturno::model::epoch::Epoch;
use notturno::model::plan::Plan;
use notturno::model::span::Span;

use crate::ledger::{Ledger, Page, Shelf, Turned};
use crate::night::{J, U, UPGRADE, moment, plan};
use crate::rules::{Rules, Stamp};
use crate::world::{Burn, End, Job, Objects, Pod, Target, Token, Way};

const SHARDS: usize = 64;

/// Whose token an object bears, for whoever has this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Missing,
    Own(Way),
    Older(Way),
    Newer(Way),
    Foreign,
}

impl Standing {
    pub fn of(token: Token, epoch: u8) -> Self {
        match token {
            Token::None => Self::Missing,
            Token::Foreign => Self::Foreign,
            Token::Own(other, way) if other < epoch => Self::Older(way),
            Token::Own(other, way) if other > epoch => Self::Newer(way),
            Token::Own(_, way) => Self::Own(way),
        }
    }

    fn fact(self) -> TokenFact {
        match self {
            Self::Missing | Self::Foreign => TokenFact::Missing,
            Self::Newer(_) => TokenFact::Deposed,
            Self::Own(Way::Forward) => TokenFact::Forward,
            Self::Own(Way::Back) => TokenFact::Back,
            Self::Own(Way::Reopen) => TokenFact::Reopen,
            Self::Own(Way::Expired) | Self::Older(Way::Expired) => TokenFact::Expired,
            Self::Older(_) => TokenFact::Older,
        }
    }
}

/// What follows from a question.
#[derive(Debug)]
pub struct Thought {
    /// The ledger with the events, where there are any.
    pub next: Option<Ledger>,
    pub commands: Vec<Command>,
    pub takes_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Question {
    ledger: Ledger,
    seen: Option<Objects>,
    epoch: u8,
    clock: i64,
    turn_back: bool,
}

type Answers = Mutex<HashMap<Question, Arc<Thought>>>;

/// The engine, and all that it was asked.
#[derive(Debug)]
pub struct Mind {
    pub plan: Plan,
    pub shelf: Shelf,
    rules: Rules,
    answers: Vec<Answers>,
}

impl Mind {
    pub fn new(rules: Rules) -> Self {
        let answers = (0..SHARDS).map(|_| Answers::default()).collect();
        Self { plan: plan(rules.numbers, rules.opens_dirty, rules.tolerates_red), shelf: Shelf::default(), rules, answers }
    }

    /// The ledger of a night that was accepted.
    pub fn accepted(&self) -> Ledger {
        let event = Event::Accepted { plan_hash: "h".to_owned() };
        self.shelf.begin(&self.plan, vec![Entry { at: moment(0), event, why: String::new() }])
    }

    /// How many questions had an answer of their own.
    pub fn question_count(&self) -> usize {
        self.answers.iter().map(|answers| answers.lock().expect("nobody panics with it").len()).sum()
    }

    /// `seen` is none for a sentinel that only watches: it looks at nothing (src/sentinel/watch.rs, `no_facts`).
    pub fn think(&self, ledger: Ledger, seen: Option<&Objects>, epoch: u8, clock: i64, turn_back: bool) -> Arc<Thought> {
        let page = self.shelf.page(ledger);
        let seen = seen.map(|seen| visible(&page, seen));
        let question = Question { ledger, seen, epoch, clock, turn_back };
        let mut hasher = DefaultHasher::new();
        question.hash(&mut hasher);
        let shard = &self.answers[usize::try_from(hasher.finish() % SHARDS as u64).expect("a small number")];
        if let Some(known) = shard.lock().expect("nobody panics with it").get(&question) {
            return Arc::clone(known);
        }
        let thought = Arc::new(self.answer(&page, question));
        shard.lock().expect("nobody panics with it").insert(question, Arc::clone(&thought));
        thought
    }

    fn answer(&self, page: &Page, question: Question) -> Thought {
        let Question { ledger, seen, epoch, clock, turn_back } = question;
        let mut facts = Facts { epoch: Epoch(u32::from(epoch)), arming: Arming::Armed, ..Facts::default() };
        if turn_back {
            let at = moment(clock);
            facts.orders = vec![Order { name: "indietro".to_owned(), by: "turno".to_owned(), at, ask: Ask::TurnBack }];
        }
        if let Some(seen) = seen {
            self.look(page, &seen, epoch, &mut facts);
        }
        let decision = decide(&self.plan, &page.entries, &facts, moment(clock));
        let events = decision.events;
        let next = (!events.is_empty()).then(|| self.shelf.append(&self.plan, ledger, &events));
        let takes_over = events.iter().any(|entry| matches!(entry.event, Event::TakenOver { .. }));
        // Asking services, and letting Pods go whose end is recorded, changes nothing that is modelled.
        let writes = |command: &Command| !matches!(command, Command::Probe { .. } | Command::LetGo { .. } | Command::Arm);
        Thought { next, takes_over, commands: decision.commands.into_iter().filter(writes).collect() }
    }

    fn look(&self, page: &Page, seen: &Objects, epoch: u8, facts: &mut Facts) {
        let disarmed = |target: &Target| !matches!(target.token, Token::Own(..)) && !target.is_restored;
        facts.disarmed = page.is_over() && seen.targets.iter().all(disarmed);
        if page.interest.jobs {
            facts.jobs.insert(JobKey::Step(UPGRADE), job_fact(seen.jobs[J], epoch));
            facts.jobs.insert(JobKey::Undo(UPGRADE, 1), job_fact(seen.jobs[U], epoch));
        }
        for &index in &page.interest.targets {
            facts.services.insert(index, service_fact(seen.targets[index], epoch));
        }
        self.falsify(page, seen, epoch, facts);
    }

    /// Facts that are not so, for every rule that is left out.
    fn falsify(&self, page: &Page, seen: &Objects, epoch: u8, facts: &mut Facts) {
        let rules = &self.rules;
        let [work, undo] = seen.jobs;
        let own_way = epoch == 1 && !rules.operator_burns;
        for (index, fact) in &mut facts.services {
            let target = seen.targets[*index];
            let nothing_found = !rules.burns_all && !target.is_closed;
            fact.burned |= nothing_found || own_way || (!rules.leaves_tombstone && target.token == Token::None);
            if rules.stamps != Stamp::ByDay && target.token == Token::None && !target.is_closed {
                fact.closing = ClosingFact::Open;
            }
        }
        let turned = matches!(page.turned, Turned::Back | Turned::Committed);
        if let Some(fact) = facts.jobs.get_mut(&JobKey::Step(UPGRADE)) {
            let stopped_is_enough = !rules.burns_all || own_way || !rules.stop_burns;
            if turned && stopped_is_enough && work.is_suspended && fact.burned.is_none() {
                fact.token = TokenFact::Expired;
                fact.burned = Some(if work.was_released { Burned::Started } else { Burned::NeverStarted });
                if let Some(Burn::Started(at)) = work.burned {
                    fact.burned_at = Some(moment(i64::from(at)));
                }
            }
            if !rules.proves_pods && fact.burned.is_some() && fact.pods == Pods::NoneSeen {
                fact.pods = Pods::Terminal;
            }
        }
        if let Some(fact) = facts.jobs.get_mut(&JobKey::Undo(UPGRADE, 1)) {
            if turned && own_way && undo.token == crate::world::FORWARD {
                fact.token = if page.turned == Turned::Back { TokenFact::Back } else { TokenFact::Expired };
            }
            if !rules.expires_undos && matches!(page.state.steps[UPGRADE].undo, Running::Expired { .. }) {
                (fact.token, fact.burned) = (TokenFact::Expired, Some(Burned::NeverStarted));
            }
        }
    }
}

/// What `interest` makes one look at; the rest is not part of the question.
pub fn visible(page: &Page, seen: &Objects) -> Objects {
    let mut objects = *seen;
    for (index, target) in objects.targets.iter_mut().enumerate() {
        target.was_burned = false;
        if !page.interest.targets.contains(&index) && !page.is_over() {
            *target = Target::default();
        }
    }
    for job in &mut objects.jobs {
        if !page.interest.jobs || page.is_over() {
            *job = Job::default();
        }
        (job.starts, job.was_burned) = (0, false);
        job.pod = match job.pod {
            Pod::None | Pod::Coming(_) => Pod::None,
            Pod::Runs(_) | Pod::Stops(_) | Pod::Hangs => Pod::Hangs,
            Pod::Ended => Pod::Ended,
        };
    }
    objects
}

/// src/operator/effects/observe.rs, `job_fact`, and pods.rs.
fn job_fact(job: Job, epoch: u8) -> JobFact {
    let token = Standing::of(job.token, epoch).fact();
    let burned = match job.burned {
        Some(Burn::NeverStarted) => Burned::NeverStarted,
        Some(Burn::Started(_)) | None => Burned::Started,
    };
    let burned_at = match job.burned {
        Some(Burn::Started(at)) => Some(moment(i64::from(at))),
        Some(Burn::NeverStarted) | None => None,
    };
    JobFact {
        token,
        burned: (token == TokenFact::Expired).then_some(burned),
        burned_at,
        suspended: job.is_suspended,
        end: job.end.map(|end| match end {
            End::Complete => JobEnd::Complete,
            End::Failed => JobEnd::Failed { reason: "exit code 1".to_owned() },
        }),
        pods: match job.pod {
            Pod::None | Pod::Coming(_) => Pods::NoneSeen,
            Pod::Runs(_) | Pod::Stops(_) | Pod::Hangs => Pods::Alive,
            Pod::Ended => Pods::Terminal,
        },
        held: false,
    }
}

/// src/operator/effects/look.rs, `look` and `fresh`; restore.rs, `is_restored`; probes of what is open are green.
fn service_fact(target: Target, epoch: u8) -> ServiceFact {
    let standing = Standing::of(target.token, epoch);
    let refused = || ClosingFact::Refused { reason: "it may not be closed".to_owned() };
    let closing = match standing {
        _ if target.is_closed => ClosingFact::Closed,
        Standing::Own(_) | Standing::Newer(_) => ClosingFact::Open,
        Standing::Missing | Standing::Older(_) | Standing::Foreign => refused(),
    };
    let green =
        if target.is_closed { Probes::Red { reason: "no answer".to_owned(), asked_for: Span::ZERO } } else { Probes::Green };
    ServiceFact {
        closing,
        burned: matches!(standing, Standing::Own(Way::Reopen | Way::Expired) | Standing::Newer(Way::Reopen | Way::Expired)),
        restored: target.is_restored || !target.is_closed,
        probes: green,
        ..ServiceFact::default()
    }
}
