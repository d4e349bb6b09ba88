//! Looking at Jobs and targets, each object by itself.
//!
//! In: what is of interest. Out: [`Seen`], all of what answered. Invariants: going forward all is awaited, so that an intention has a fresh
//! pre-image; on the way back an object that does not answer soon is left to itself, and its answer counts in the round after it came;
//! looks at one object come one after the other, so that none is older than what was seen before it; Jobs are awaited always, since what
//! proves one dead must not be old. Not here: how an object is looked at ([`super::effects::observe`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::book::Book;
use super::context::Context;
use super::effects::{self, Preimages, Seen, Tenant};
use super::night::Night;
use super::story::story;
use super::switch;
use super::under_way::{LEFT_AFTER, UnderWay};
use crate::engine::state::Direction;
use crate::engine::{Interest, State};
use crate::model::need::{reopen_by, turn_back_at};
use crate::model::plan::{Plan, ServiceIndex};
use crate::model::reference::Target;

/// Looks at targets that are under way.
pub(crate) type Looks = UnderWay<Object, Seen>;

/// What one look is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    Service(ServiceIndex),
    Step(Target),
}

/// What a look needs; its own copy, since it may outlive the round.
pub(crate) struct Eyes {
    pub(crate) tenant: Tenant,
    pub(crate) plan: Arc<Plan>,
    pub(crate) preimages: Arc<Preimages>,
    pub(crate) now: Timestamp,
}

/// What a look gave.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) seen: Seen,
    /// Objects that were left to themselves.
    pub(super) left: Vec<String>,
    /// The dead man's switch, when it was to be looked at.
    pub(super) switch: Option<switch::Look>,
}

/// Looks at Jobs, targets and, if `guarded`, the dead man's switch; a look that hangs keeps neither people nor the clock waiting.
pub(super) async fn look(
    night: &mut Night,
    book: &Book,
    state: &State,
    interest: &Interest,
    guarded: bool,
    context: &Context,
) -> Result<Looked, String> {
    let mut looks = std::mem::take(&mut night.looks);
    let going_back = matches!(state.direction, Direction::Back { .. } | Direction::Committed { .. });
    let looking = async {
        let tenant = book.tenant(context).await.map_err(|error| story(&error))?;
        let preimages = Arc::new(book.current_preimages());
        let eyes = Eyes { tenant, plan: Arc::clone(&book.plan), preimages, now: context.time.now() };
        let guard = async {
            if !guarded {
                return None;
            }
            let looking = switch::look(&eyes.tenant, &eyes.plan, book.identity.clone());
            // The way back does not wait for it.
            Some(
                timeout(if going_back { LEFT_AFTER } else { effects::LIMIT }, looking)
                    .await
                    .unwrap_or_else(|_| switch::Look::late()),
            )
        };
        let ((seen, left), switch) = tokio::join!(look_with(&mut looks, &eyes, interest, going_back), guard);
        Ok(Looked { seen, left, switch })
    };
    let id = night.id();
    let at = clock_calls_at(book, state).min(night.outage.first_burns_at().unwrap_or(Timestamp::MAX));
    let seen = night.called_at(at, &id, context).or_soon(looking.boxed()).await;
    night.looks = looks;
    seen.unwrap_or_else(|| Err("the look took too long: the way back may be due".to_owned()))
}

/// The moment that no look and no forward call may overrun.
pub(super) fn clock_calls_at(book: &Book, state: &State) -> Timestamp {
    let begun = state.begun(&book.plan);
    match state.direction {
        Direction::Still | Direction::Forward => turn_back_at(&book.plan, &begun),
        Direction::Back { .. } | Direction::Committed { .. } => reopen_by(&book.plan, &begun.closed),
    }
}

/// Looks; what is left to itself is named.
pub(crate) async fn look_with(looks: &mut Looks, eyes: &Eyes, interest: &Interest, going_back: bool) -> (Seen, Vec<String>) {
    if !going_back {
        *looks = Looks::default();
    }
    let wanted = objects(&eyes.plan, interest);
    for (object, part) in &wanted {
        let (tenant, plan, preimages, now) = (eyes.tenant.clone(), Arc::clone(&eyes.plan), Arc::clone(&eyes.preimages), eyes.now);
        let part = part.clone();
        looks.begin(object.clone(), async move { effects::observe(&tenant, &plan, &preimages, now, &part).await });
    }
    let jobs = Interest { jobs: interest.jobs, ..Interest::default() };
    let jobs = effects::observe(&eyes.tenant, &eyes.plan, &eyes.preimages, eyes.now, &jobs);
    let ended = async { if going_back { looks.ended_by(Instant::now() + LEFT_AFTER).await } else { looks.all_ended().await } };
    let (mut seen, ended) = tokio::join!(jobs, ended);
    for (_, Seen { jobs: _, services, changes, blind }) in ended {
        seen.services.extend(services.into_iter().filter(|(index, _)| interest.targets.contains(index)));
        seen.changes.extend(changes.into_iter().filter(|(index, _)| interest.changes.contains(index)));
        seen.blind.extend(blind);
    }
    let left = wanted.keys().filter(|object| looks.has(object));
    (seen, left.map(|object| format!("{object:?} does not answer soon")).collect())
}

/// Each object once, whatever steps change it.
fn objects(plan: &Plan, interest: &Interest) -> BTreeMap<Object, Interest> {
    let service = |index: &ServiceIndex| {
        let degraded = interest.degraded.get(index).copied().into_iter().collect();
        (Object::Service(*index), Interest { targets: BTreeSet::from([*index]), degraded, ..Interest::default() })
    };
    let mut all: BTreeMap<Object, Interest> = interest.targets.iter().map(service).collect();
    for &index in &interest.changes {
        if let Some(target) = plan.steps.get(index).and_then(|planned| planned.target()) {
            all.entry(Object::Step(target.clone())).or_default().changes.insert(index);
        }
    }
    all
}
