//! One night's loop: turn, rest, be woken.
//!
//! In: a mailbox, the shared context. Out: a night that goes on until it is settled. Invariants: there is one task per night, so a night
//! never turns twice at once; it wakes when its bell rings or its moment comes and asks nothing meanwhile; whatever a turn fails at, the
//! next one comes after a bounded pause; a panic hurts only its own night. Not here: what a turn does ([`super::reconcile`]).

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::core::DynamicObject;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use super::book::{Book, BookError, Whose};
use super::call_back::{CallBack, Heeded};
use super::check::Checkers;
use super::context::Context;
use super::effects::call::{CallError, LIMIT, heard_by};
use super::heart::Rounds;
use super::herald::Herald;
use super::introduce::{self, Introduced};
use super::looks::Looks;
use super::mailbox::Mailbox;
use super::night_watch::{LedgerEye, NightWatch};
use super::outage::Outage;
use super::probe::Probers;
use super::reconcile::reconcile;
use super::rehearse::rehearse;
use super::report::{self, Reporter};
use super::story::story;
use super::switch::SwitchBook;
use super::telling;
use super::tries::{Attempt, EFFECT_PAUSE_MAX, PEOPLE_PAUSE_MAX, RECORD_PAUSE_MAX, Tries};
use super::wave::Lanes;
use crate::engine::Entry;
use crate::engine::facts::Arming;
use crate::model::phase::Outcome;
use crate::model::plan::{ServiceIndex, StepIndex};

/// A night that only waits, for so long at least, keeps no book, and is introduced after others: a thousand are not held in memory.
const WAITS_LONG_FROM: SignedDuration = SignedDuration::from_mins(15);

/// What one night keeps between its turns. Nothing here is needed to go on elsewhere: the ledger is the truth.
pub(super) struct Night {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) whose: Whose,
    /// The Intervention as last seen; none when it is not there any more, and while the night rests.
    pub(super) object: Option<Arc<DynamicObject>>,
    pub(super) book: Option<Book>,
    /// Since when the book may not be the whole ledger any more.
    pub(super) outage: Outage,
    /// Looks and lanes that outlive their round.
    pub(super) looks: Looks,
    pub(super) lanes: Lanes,
    pub(super) arming: Arming,
    pub(super) arming_tries: Attempt,
    pub(super) disarmed: bool,
    pub(super) refused_closings: std::collections::BTreeMap<ServiceIndex, String>,
    pub(super) refused_changes: std::collections::BTreeMap<StepIndex, String>,
    /// What was decided last and could not be recorded.
    pub(super) unrecorded: Vec<Entry>,
    pub(super) refused_degraded: std::collections::BTreeMap<ServiceIndex, String>,
    pub(super) tries: Tries,
    pub(super) probers: Probers,
    pub(super) checkers: Checkers,
    pub(super) work_watch: NightWatch,
    pub(super) guard_watch: NightWatch,
    pub(super) ledger_eye: Arc<LedgerEye>,
    pub(super) switch: SwitchBook,
    pub(super) herald: Herald,
    pub(super) reporter: Reporter,
    /// Statuses that could not be written.
    pub(super) report_tries: Attempt,
    /// Looks that did not see everything.
    pub(super) look_tries: Attempt,
    /// What the last facts told of orders and deletion, and when.
    pub(super) heeded: Heeded,
    pub(super) heeded_at: Timestamp,
    /// When it has to show that it lives.
    rounds: Rounds,
    failures: Attempt,
}

/// What a turn says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There is more to do.
    AtOnce,
    /// At this moment, if one is given, or when the bell rings.
    Until(Option<Timestamp>),
    /// Never: the night is over and settled.
    Settled,
}

impl Rest {
    fn is_later_than(self, now: Timestamp, span: SignedDuration) -> bool {
        match self {
            Self::Until(Some(moment)) => moment.duration_since(now) >= span,
            Self::Until(None) | Self::AtOnce | Self::Settled => false,
        }
    }
}

/// What an introduction gave.
enum Introduction {
    Book(Box<Book>),
    Rest(Rest),
}

/// Why a turn ended early. All are tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The tenant's ledger.
    #[error(transparent)]
    Book(#[from] BookError),
    /// Acceptance: people may have to mend something.
    #[error(transparent)]
    Introduce(#[from] introduce::IntroduceError),
    /// The operator's own calls.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Lives one night, until it is settled or the operator stops. A turn that has begun ends first; what outlives it is dropped, and whoever
/// goes on does it again.
pub(super) async fn live(mut night: Box<Night>, context: Context, mut stop: watch::Receiver<bool>) {
    let span = tracing::info_span!("night", night = %night.id());
    async move {
        while !*stop.borrow() {
            night.rounds.begins();
            match night.turn(&context).await {
                Rest::Settled => break,
                Rest::AtOnce => tokio::task::yield_now().await,
                Rest::Until(moment) => night.rest(moment, &context, &mut stop).await,
            }
        }
        // What people are still told may take its time, until the operator stops: then whoever comes next tells it.
        drop(night.rounds);
        tokio::select! {
            biased;
            () = night.herald.finish(&context) => {}
            () = stops_soon(&mut stop) => {}
        }
    }
    .instrument(span)
    .await;
}

/// A call's time after the operator was told to stop.
async fn stops_soon(stop: &mut watch::Receiver<bool>) {
    // Whoever would say so may be gone: that is a stop too.
    let _ = stop.wait_for(|stop| *stop).await.map(drop);
    sleep(LIMIT).await;
}

impl Night {
    /// One that was seen for the first time.
    pub(super) fn new(object: DynamicObject, context: &Context) -> Self {
        let whose = Whose {
            namespace: object.namespace().unwrap_or_default(),
            service_account: String::new(),
            name: object.name_any(),
            night_uid: object.uid().unwrap_or_default(),
        };
        let reporter = Reporter::of(&object);
        let herald = Herald::after(reporter.told_up_to(), &whose);
        let mailbox = Arc::new(Mailbox::new(object));
        let id = format!("{}/{}", whose.namespace, whose.name);
        context.orders.attach(&id, mailbox.bell());
        let rounds = context.heart.rounds(id);
        Self {
            mailbox,
            whose,
            object: None,
            book: None,
            outage: Outage::default(),
            looks: Looks::default(),
            lanes: Lanes::default(),
            arming: Arming::NotYet,
            arming_tries: Attempt::default(),
            disarmed: false,
            refused_closings: std::collections::BTreeMap::new(),
            refused_changes: std::collections::BTreeMap::new(),
            unrecorded: Vec::new(),
            refused_degraded: std::collections::BTreeMap::new(),
            tries: Tries::default(),
            probers: Probers::default(),
            checkers: Checkers::default(),
            work_watch: NightWatch::default(),
            guard_watch: NightWatch::default(),
            ledger_eye: Arc::default(),
            switch: SwitchBook::default(),
            herald,
            reporter,
            report_tries: Attempt::default(),
            look_tries: Attempt::default(),
            heeded: Heeded::default(),
            heeded_at: Timestamp::MIN,
            rounds,
            failures: Attempt::default(),
        }
    }

    /// `namespace/name`.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.whose.namespace, self.whose.name)
    }

    /// What calls the night away from its work: news that the last decision did not know, or this moment.
    pub(super) fn called_at<'a>(&'a self, at: Timestamp, id: &'a str, context: &'a Context) -> CallBack<'a> {
        let at = (at > self.heeded_at).then_some(at);
        CallBack { mailbox: &self.mailbox, context, night: id, heeded: self.heeded, at }
    }

    async fn rest(&mut self, moment: Option<Timestamp>, context: &Context, stop: &mut watch::Receiver<bool>) {
        self.object = None;
        self.rounds.rests(moment.map(|at| at.duration_since(context.time.now()).try_into().unwrap_or_default()));
        let moment = async {
            match moment {
                Some(moment) => context.time.rest_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = self.mailbox.heard() => {}
            () = self.looks.one_ends() => {}
            () = self.lanes.one_ends() => {}
            () = self.herald.goes_on(context) => {}
            () = moment => {}
        }
    }

    /// One turn; whatever goes wrong in it is said and tried again.
    async fn turn(&mut self, context: &Context) -> Rest {
        self.object = self.mailbox.object();
        let listener = self.rounds.listener();
        let turned = AssertUnwindSafe(heard_by(listener, self.pass(context).boxed())).catch_unwind().await;
        self.rounds.ends(turned.is_err());
        match turned {
            Ok(Ok(rest)) => {
                self.failures = Attempt::default();
                context.metrics.pass("ok");
                rest
            }
            Ok(Err(trouble)) => {
                context.metrics.pass("failed");
                let why = story(&trouble);
                tracing::warn!(why, "the night cannot go on now");
                let pause_max = match trouble {
                    Trouble::Introduce(_) => PEOPLE_PAUSE_MAX,
                    Trouble::Book(_) => RECORD_PAUSE_MAX,
                    Trouble::Call(_) => EFFECT_PAUSE_MAX,
                };
                let now = context.time.now();
                let again_at = self.failures.tried(now, pause_max);
                if matches!(trouble, Trouble::Introduce(_)) {
                    Box::pin(telling::waiting(self, &why, again_at, context)).await;
                }
                Rest::Until(Some(self.outage.first_burns_at().filter(|at| *at > now).map_or(again_at, |at| at.min(again_at))))
            }
            Err(panic) => {
                self.looks = Looks::default();
                self.lanes = Lanes::default();
                context.metrics.pass("panicked");
                Box::pin(telling::quarantine(self, &said(panic.as_ref()), context)).await;
                Rest::Until(Some(self.failures.tried(context.time.now(), PEOPLE_PAUSE_MAX)))
            }
        }
    }

    async fn pass(&mut self, context: &Context) -> Result<Rest, Trouble> {
        context.time.refresh(&context.client).await;
        // Boxed where a pass begins in earnest: a thousand nights that wait for their turn must not hold room for it.
        match self.opened(context).await? {
            Some(book) => Box::pin(self.go_on(book, context)).await,
            None => self.first_pass(context).await,
        }
    }

    /// The book is taken out for the pass: after a panic it is read anew.
    async fn go_on(&mut self, mut book: Book, context: &Context) -> Result<Rest, Trouble> {
        let rest = reconcile(self, &mut book, context).await;
        let waits_long = rest.as_ref().is_ok_and(|rest| rest.is_later_than(context.time.now(), WAITS_LONG_FROM));
        self.book = (!waits_long || !book.only_waits()).then_some(book);
        rest
    }

    /// The book at hand, or read again when it was put away; none before the night was introduced.
    async fn opened(&mut self, context: &Context) -> Result<Option<Book>, Trouble> {
        match self.book.take() {
            Some(book) => Ok(Some(book)),
            None if self.whose.service_account.is_empty() => Ok(None),
            None => Ok(Box::pin(Book::open(context, &self.whose)).await?),
        }
    }

    /// The first pass, from the introduction on, once it is its turn.
    async fn first_pass(&mut self, context: &Context) -> Result<Rest, Trouble> {
        let Some(object) = self.object.clone() else { return Ok(self.settled(context)) };
        let start_at = introduce::start_at(&object);
        let waits_long = start_at.is_some_and(|at| at.duration_since(context.time.now()) >= WAITS_LONG_FROM);
        self.rounds.waits();
        let turn = context.introductions.turn(&self.whose.namespace, introduce::runbook_name(&object), waits_long).await;
        self.rounds.begins();
        let mut passing = Box::pin(async {
            match self.introduce(&object, context).await? {
                Introduction::Book(book) => self.go_on(*book, context).await,
                Introduction::Rest(rest) => Ok(rest),
            }
        });
        let in_turn = timeout(turn.lasts, &mut passing).await;
        drop(turn);
        if let Ok(rest) = in_turn { rest } else { passing.await }
    }

    /// Gets a book; a rest when there is none to get.
    async fn introduce(&mut self, object: &DynamicObject, context: &Context) -> Result<Introduction, Trouble> {
        let introduced = introduce::introduce(object, context, context.time.now()).await?;
        match introduced {
            Introduced::Nothing => Ok(Introduction::Rest(self.settled(context))),
            Introduced::Refused { refusals, needs_human } => {
                telling::refusals(self, &refusals, context);
                self.reporter.write(object, report::refused(&refusals, needs_human), &mut self.herald, context).await?;
                introduce::unmark(object, context).await?;
                context.metrics.over(Outcome::Refused);
                Ok(Introduction::Rest(self.settled(context)))
            }
            Introduced::Rehearsal(plan) => {
                let rehearsed = Box::pin(rehearse(&plan, context)).await?;
                telling::refusals(self, &rehearsed.findings, context);
                self.herald.tell(context, vec![rehearsed.notice(context.time.now())]);
                self.reporter.write(object, rehearsed.status, &mut self.herald, context).await?;
                introduce::unmark(object, context).await?;
                Ok(Introduction::Rest(self.settled(context)))
            }
            Introduced::Night(book) => {
                self.whose.service_account.clone_from(&book.plan.service_account);
                Ok(Introduction::Book(book))
            }
        }
    }

    /// Nothing will have to be done for it any more.
    pub(super) fn settled(&mut self, context: &Context) -> Rest {
        context.orders.forget(&self.id());
        context.metrics.settled(&self.id());
        Rest::Settled
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned())
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test may")]
mod tests {
    use std::time::Duration;

    use kube::api::ApiResource;

    use super::super::context::tests::unanswered;
    use super::super::events::of_record;
    use super::super::heart::tests::is_alive;
    use super::*;
    use crate::api::Intervention;
    use crate::engine::Event;

    #[tokio::test(start_paused = true)]
    async fn a_settled_night_whose_last_events_are_long_in_coming_is_no_silence() {
        let context = unanswered();
        let mut night = Box::new(Night::new(DynamicObject::new("notte", &ApiResource::erase::<Intervention>(&())), &context));
        let entry = Entry { at: Timestamp::UNIX_EPOCH, event: Event::Armed {}, why: String::new() };
        night.herald.tell(&context, of_record(1, &vec![entry; 60]));
        night.mailbox.gone();
        let (_stop, stopped) = watch::channel(false);
        let living = tokio::spawn(live(night, context.clone(), stopped));
        tokio::time::sleep(Duration::from_secs(400)).await;
        assert!(!living.is_finished() && is_alive(&context.heart));
        living.await.expect("it ends");
    }
}
