//! Who acts: replicas of the operator and a sentinel that are obliged to nothing, and a sentinel that does its work within the tick.
//!
//! The first act on the ledger as they read it last, whenever that was (src/operator/book.rs keeps it until an append fails), and send
//! writes that land later, twice or never: that covers crashes, pauses, returns and stale views. The healthy one takes a turn as
//! src/sentinel/watch.rs does: read live, look, decide, record, perform. What comes out of `decide` is not obeyed here, or acted on before it
//! is recorded, where such a rule is left out.

use std::sync::Arc;

use notturno::engine::state::Running;
use notturno::engine::{Entry, Event};
use notturno::model::epoch::Epoch;
use notturno::model::need::{reopen_by, turn_back_at};
use notturno::model::span::after;

use crate::ledger::{Ledger, Page, Turned};
use crate::mind::{Mind, Thought, visible};
use crate::night::{A, B, TICK, UPGRADE, clock, moment};
use crate::rules::{Owners, Promise, Rules};
use crate::shell::Hands;
use crate::world::{Asked, Objects, Token, World, Write};

/// Which of the two sentinels, where each has epochs of its own.
const FAULTY: usize = 0;
const HEALTHY: usize = 1;
/// Where the faulty one stands among the actors.
pub const SENTINEL: usize = 2;

/// The actors of a model.
pub struct Actors<'a> {
    pub rules: &'a Rules,
    pub mind: &'a Mind,
}

impl Actors<'_> {
    /// Who is there.
    pub fn all(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.rules.replicas).chain(self.rules.faulty.then_some(SENTINEL))
    }

    /// The form of their views that equal worlds share. Who may read the ledger at any moment, and can do nothing with an older one, has
    /// read it: a sentinel that waits, since it only appends; and who records nothing on an old ledger, once every object has a newer epoch.
    pub fn settle(&self, world: &mut World) {
        if self.rules.old_looks || !self.rules.compares_head {
            return;
        }
        let page = self.mind.shelf.page(world.ledger);
        let Objects { targets, jobs } = &world.objects;
        let tokens = targets.iter().map(|target| target.token).chain(jobs.iter().map(|job| job.token));
        let oldest = tokens.map(|token| if let Token::Own(epoch, _) = token { epoch } else { 0 }).min().unwrap_or(0);
        for who in self.all() {
            let view = world.actors[who].view;
            if view == world.ledger {
                continue;
            }
            let seen = self.mind.shelf.page(view);
            let epoch = self.epoch_of(&seen, who);
            let waits = !Self::is_operator(who) && page.epoch < epoch;
            let is_late = seen.turned == Turned::Forward
                && moment(Self::clock_of(world, who)) >= turn_back_at(&self.mind.plan, &seen.state.begun(&self.mind.plan));
            let is_deposed = epoch < oldest && self.rules.tests_token && self.rules.tests_back_token;
            if waits || is_late || is_deposed || seen.turned == Turned::Still {
                world.actors[who].view = world.ledger;
            }
        }
    }

    fn is_operator(who: usize) -> bool {
        who < SENTINEL
    }

    fn epoch_of(&self, page: &Page, who: usize) -> u8 {
        if Self::is_operator(who) { 1 } else { self.sentinel_epoch(page, FAULTY) }
    }

    /// The epoch that a sentinel has, or would have.
    fn sentinel_epoch(&self, page: &Page, which: usize) -> u8 {
        if self.rules.owners == Owners::Both {
            return 2;
        }
        let next = page.epoch.max(2);
        if usize::from(next % 2) == which { next } else { next + 1 }
    }

    fn clock_of(world: &World, who: usize) -> i64 {
        clock(world.tick, world.actors[who].is_ahead)
    }

    /// What it would decide now, or decided when it looked.
    pub fn thought(&self, world: &World, who: usize, turn_back: bool) -> Option<Arc<Thought>> {
        let actor = &world.actors[who];
        if self.rules.old_looks {
            let asked = actor.asked.filter(|_| !turn_back)?;
            let page = self.mind.shelf.page(asked.ledger);
            let clock = clock(asked.tick, actor.is_ahead);
            return Some(self.mind.think(asked.ledger, asked.seen.as_ref(), self.epoch_of(&page, who), clock, asked.turn_back));
        }
        let page = self.mind.shelf.page(actor.view);
        let epoch = self.epoch_of(&page, who);
        let seen = (Self::is_operator(who) || page.epoch == epoch).then_some(&world.objects);
        Some(self.mind.think(actor.view, seen, epoch, Self::clock_of(world, who), turn_back))
    }

    /// It looks, and keeps what it saw as long as it likes.
    pub fn look(&self, world: &mut World, who: usize, turn_back: bool) -> bool {
        let (view, old) = (world.actors[who].view, world.actors[who].asked);
        let page = self.mind.shelf.page(view);
        let acts = Self::is_operator(who) || page.epoch == self.epoch_of(&page, who);
        let seen = acts.then(|| visible(&page, &world.objects));
        let asked = Asked { ledger: view, seen, tick: world.tick, turn_back };
        world.actors[who].asked = Some(asked);
        let is_idle = self.thought(world, who, false).is_none_or(|thought| thought.next.is_none() && thought.commands.is_empty());
        world.actors[who].asked = Some(asked).filter(|_| !is_idle);
        world.actors[who].asked != old && !is_idle
    }

    /// A person's order reaches the operator while it goes forward.
    pub fn may_be_ordered(&self, world: &World, who: usize) -> bool {
        self.rules.early && Self::is_operator(who) && self.mind.shelf.page(world.actors[who].view).turned == Turned::Forward
    }

    /// Records what it decided, if the ledger is as it was read: compare-and-set on its head. What it is seen to hold becomes its view.
    pub fn append(&self, world: &mut World, who: usize, turn_back: bool) -> bool {
        let Some(thought) = self.thought(world, who, turn_back) else { return false };
        let Some(next) = thought.next else { return false };
        let (view, asked) = (world.actors[who].view, world.actors[who].asked);
        let is_recorded = asked.is_some_and(|asked| asked.ledger != view);
        let may = !thought.takes_over || self.may_take_over(world, view, Self::clock_of(world, who));
        if is_recorded || !may || (self.rules.compares_head && world.ledger != view) {
            return false;
        }
        self.promise(world, Self::clock_of(world, who));
        (world.ledger, world.actors[who].view) = (next, next);
        true
    }

    /// Acts on a commit, and on what follows it, as if it were recorded (only where that rule is left out).
    pub fn pretend(&self, world: &mut World, who: usize) -> bool {
        let next = self.thought(world, who, false).and_then(|thought| thought.next);
        let commits = next.filter(|&next| !self.rules.commits_first && self.mind.shelf.page(next).turned == Turned::Committed);
        let Some(next) = commits.filter(|_| Self::is_operator(who)) else { return false };
        world.actors[who].view = next;
        true
    }

    /// What it may send: the writes of its commands, as the objects are now; nothing before what it decided is in the ledger it knows.
    pub fn writes(&self, world: &World, who: usize) -> Vec<Write> {
        let Some(thought) = self.thought(world, who, false) else { return Vec::new() };
        let actor = &world.actors[who];
        if thought.next.is_some_and(|next| actor.view != next) {
            return Vec::new();
        }
        let epoch = self.epoch_of(&self.mind.shelf.page(actor.view), who);
        let hands = Hands { rules: self.rules, objects: &world.objects, epoch, clock: Self::clock_of(world, who) };
        let mut writes: Vec<Write> = thought.commands.iter().flat_map(|command| hands.writes(command)).collect();
        writes.sort_unstable();
        writes.dedup();
        writes
    }

    /// A turn of the healthy sentinel; none when there is nothing for it to do.
    pub fn watch(&self, world: &World) -> Option<World> {
        let page = self.mind.shelf.page(world.ledger);
        let epoch = self.sentinel_epoch(&page, HEALTHY);
        let clock = clock(world.tick, world.is_ahead);
        let acts = page.epoch == epoch;
        let thought = self.mind.think(world.ledger, acts.then_some(&world.objects), epoch, clock, false);
        let mut next = *world;
        if thought.takes_over && !self.may_take_over(world, world.ledger, clock) {
            return self.at_the_last_moment(world, &page, HEALTHY, clock);
        }
        if let Some(ledger) = thought.next {
            next.ledger = ledger;
            self.promise(&mut next, clock);
        }
        for command in &thought.commands {
            let hands = Hands { rules: self.rules, objects: &{ next.objects }, epoch, clock };
            for write in hands.writes(command) {
                self.land(&mut next, write);
            }
        }
        let changed = next != *world;
        if changed { Some(next) } else { self.at_the_last_moment(world, &page, HEALTHY, clock) }
    }

    /// A write lands.
    pub fn land(&self, world: &mut World, write: Write) {
        let is_taken = self.mind.shelf.page(world.ledger).epoch > 1;
        world.land(self.rules, write, is_taken);
    }

    /// Promises that the operator, or who has the night, renews while it can write the ledger (only where that rule is left out).
    pub fn renew(&self, world: &mut World, who: usize) -> bool {
        let page = self.mind.shelf.page(world.actors[who].view);
        let goes = matches!(page.turned, Turned::Back | Turned::Committed) && !page.is_over();
        let has_it = page.epoch == self.epoch_of(&page, who) && world.actors[who].view == world.ledger;
        let old = world.promise;
        if self.rules.promise == Promise::Renewable && goes && has_it {
            self.promise(world, Self::clock_of(world, who));
        }
        world.promise != old
    }

    fn promise(&self, world: &mut World, clock: i64) {
        if self.rules.promise == Promise::Renewable {
            world.promise = i16::try_from(clock + TICK).expect("a night of minutes");
        }
    }

    /// The same trigger for the sentinel that is obliged to nothing.
    pub fn take_at_the_last_moment(&self, world: &World, who: usize) -> Option<World> {
        if Self::is_operator(who) || world.actors[who].view != world.ledger {
            return None;
        }
        let page = self.mind.shelf.page(world.ledger);
        let mut next = self.at_the_last_moment(world, &page, FAULTY, Self::clock_of(world, who))?;
        next.actors[who].view = next.ledger;
        Some(next)
    }

    /// From reopen-by on, whoever of the sentinels has not the night takes it while something is closed (only where each has its epochs).
    fn at_the_last_moment(&self, world: &World, page: &Page, which: usize, clock: i64) -> Option<World> {
        let once = match self.rules.owners {
            Owners::Both | Owners::OneEach => return None,
            Owners::OneEachOnceMore => true,
            Owners::OneEachAlways => false,
        };
        let epoch = self.sentinel_epoch(page, which);
        let goes = matches!(page.turned, Turned::Back | Turned::Committed) && !page.is_over() && page.epoch != epoch;
        let is_late = moment(clock) >= reopen_by(&self.mind.plan, &[A, B].into());
        let is_closed = world.objects.targets.iter().any(|target| target.is_closed);
        if !goes || !is_late || !is_closed || (once && world.last_moment[which]) {
            return None;
        }
        let event = Event::TakenOver { epoch: Epoch(u32::from(epoch)) };
        let entry = Entry { at: moment(clock), event, why: String::new() };
        let mut next = *world;
        next.ledger = self.mind.shelf.append(&self.mind.plan, world.ledger, &[entry]);
        next.last_moment[which] |= once;
        self.promise(&mut next, clock);
        Some(next)
    }

    /// Whether `decide` is obeyed when it says to take the night over.
    fn may_take_over(&self, world: &World, ledger: Ledger, clock: i64) -> bool {
        let page = self.mind.shelf.page(ledger);
        if page.turned == Turned::Committed && !self.rules.takes_committed {
            return false;
        }
        // Where each sentinel has its epochs, only they renew promises.
        let is_derived = self.rules.owners != Owners::Both && page.epoch == 1;
        if page.turned == Turned::Forward || is_derived {
            return true;
        }
        match self.rules.promise {
            Promise::Derived => true,
            Promise::Renewable => clock >= i64::from(world.promise) + TICK,
            Promise::Unscheduled => {
                let soon = page.state.progress_at.map(|at| after(at, notturno::model::need::grace(&self.mind.plan)));
                let due = match page.state.steps[UPGRADE].undo {
                    Running::Since { at, .. } => Some(after(at, self.mind.plan.steps[UPGRADE].undo_budget())),
                    Running::Waiting | Running::Done { .. } | Running::Failed { .. } | Running::Expired { .. } => soon,
                };
                due.is_some_and(|due| moment(clock) >= after(due, notturno::model::need::grace(&self.mind.plan)))
            }
        }
    }
}
