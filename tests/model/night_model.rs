//! The model: `stateright` over the states of [`World`], with what must always hold and what must be seen to happen.

use std::sync::atomic::{AtomicBool, Ordering};

use notturno::model::phase::Phase;
use stateright::{Model, Property};

use crate::actors::Actors;
use crate::ledger::Turned;
use crate::mind::Mind;
use crate::night::{A, B, J, U};
use crate::pods::{self, Happens};
use crate::rules::{Owners, Promise, Rules};
use crate::world::{Actor, Burn, End, FORWARD, Objects, Target, Token, World, Write};

/// One step of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Tick,
    /// Reads the ledger.
    Read(usize),
    /// Looks at the objects, an order of a person being there or not.
    Look(usize, bool),
    /// Records what it decided.
    Append(usize, bool),
    /// Acts on a commit that is not recorded.
    Pretend(usize),
    Renew(usize),
    TakeAtTheLastMoment(usize),
    Send(usize, Write),
    /// Lands, and may land again.
    Land(Write, bool),
    /// A turn of the healthy sentinel.
    Watch,
    Happen(usize, Happens),
    NextNight,
}

/// One search.
pub struct NightModel {
    pub rules: Rules,
    pub mind: Mind,
    /// A write was found dead in flight: the states themselves keep none.
    was_refused: AtomicBool,
}

impl NightModel {
    pub fn new(rules: Rules) -> Self {
        Self { rules, mind: Mind::new(rules), was_refused: AtomicBool::new(false) }
    }

    fn actors(&self) -> Actors<'_> {
        Actors { rules: &self.rules, mind: &self.mind }
    }

    fn first(&self, clocks: [bool; 3]) -> World {
        let ledger = self.mind.accepted();
        let mut objects = Objects::default();
        for target in &mut objects.targets {
            *target = Target::default();
            target.token = if self.rules.stamps == crate::rules::Stamp::ByDay { FORWARD } else { Token::None };
        }
        let actor = |is_ahead| Actor { view: ledger, asked: None, is_ahead };
        World {
            tick: 0,
            ledger,
            objects,
            flight: [None; 3],
            actors: [actor(clocks[0]), actor(clocks[0]), actor(clocks[1])],
            is_ahead: clocks[2],
            is_half_done: false,
            people_write: false,
            next_night: false,
            late: None,
            undone_beneath: false,
            promise: 0,
            last_moment: [false; 2],
        }
    }

    fn is_last(&self, world: &World) -> bool {
        world.tick > self.rules.numbers.last() + 1
    }

    fn next_night(&self, world: &mut World) -> bool {
        let is_over = self.mind.shelf.page(world.ledger).is_over();
        let target = &mut world.objects.targets[A];
        // A token of another night refuses arming (src/operator/effects/survey.rs).
        if !is_over || world.next_night || target.token != Token::None || target.is_closed {
            return false;
        }
        *target = Target { token: Token::Foreign, is_closed: true, ..*target };
        world.next_night = true;
        true
    }

    fn step(&self, world: &mut World, act: &Act) -> bool {
        let actors = self.actors();
        match act {
            Act::Tick => pods::tick(world, &self.rules),
            Act::Read(who) => {
                let ledger = world.ledger;
                let actor = &mut world.actors[*who];
                (actor.view, actor.asked) = (ledger, None);
                true
            }
            Act::Look(who, turn_back) => actors.look(world, *who, *turn_back),
            Act::Append(who, turn_back) => actors.append(world, *who, *turn_back),
            Act::Pretend(who) => actors.pretend(world, *who),
            Act::Renew(who) => actors.renew(world, *who),
            Act::TakeAtTheLastMoment(who) => replace(world, actors.take_at_the_last_moment(world, *who).as_ref()),
            Act::Send(_, write) => world.send(&self.rules, *write),
            Act::Land(write, again) => {
                if !again {
                    world.forget(*write);
                }
                actors.land(world, *write);
                true
            }
            Act::Watch => replace(world, actors.watch(world).as_ref()),
            Act::Happen(job, what) => {
                pods::happen(world, *job, *what);
                true
            }
            Act::NextNight => self.next_night(world),
        }
    }
}

fn replace(world: &mut World, next: Option<&World>) -> bool {
    next.map(|next| *world = *next).is_some()
}

impl Model for NightModel {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        if self.rules.all_clocks {
            let bits = |number: u8| [number & 1 > 0, number & 2 > 0, number & 4 > 0];
            return (0..8).map(|number| self.first(bits(number))).collect();
        }
        vec![self.first([false, true, true]), self.first([true, true, false])]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        if self.is_last(world) {
            return;
        }
        let actors = self.actors();
        // The healthy sentinel lets no tick pass before it has done what there is to do.
        acts.push(if actors.watch(world).is_some() { Act::Watch } else { Act::Tick });
        for who in actors.all() {
            if world.actors[who].view != world.ledger {
                acts.push(Act::Read(who));
            }
            let ordered = actors.may_be_ordered(world, who);
            if self.rules.old_looks {
                acts.push(Act::Look(who, false));
                acts.extend(ordered.then_some(Act::Look(who, true)));
                acts.push(Act::Append(who, false));
            } else {
                acts.push(Act::Append(who, false));
                acts.extend(ordered.then_some(Act::Append(who, true)));
            }
            if !self.rules.commits_first {
                acts.push(Act::Pretend(who));
            }
            if self.rules.promise == Promise::Renewable {
                acts.push(Act::Renew(who));
            }
            if matches!(self.rules.owners, Owners::OneEachOnceMore | Owners::OneEachAlways) {
                acts.push(Act::TakeAtTheLastMoment(who));
            }
            acts.extend(actors.writes(world, who).into_iter().map(|write| Act::Send(who, write)));
        }
        acts.extend(world.flight.iter().flatten().flat_map(|write| [Act::Land(*write, false), Act::Land(*write, true)]));
        for job in [J, U] {
            acts.extend(pods::chances(world, &self.rules, job).into_iter().map(|what| Act::Happen(job, what)));
        }
        if self.rules.next_night {
            acts.push(Act::NextNight);
        }
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = *world;
        if !self.step(&mut next, &act) {
            return None;
        }
        next.undone_beneath = pods::is_undone_beneath(&next);
        self.actors().settle(&mut next);
        if next.settle(&self.rules) {
            self.was_refused.store(true, Ordering::Relaxed);
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = promises();
        all.extend(witnesses(&self.rules));
        all
    }
}

fn doors(model: &NightModel, world: &World) -> bool {
    world.tick > model.rules.numbers.last()
}

/// The promises of PROTOCOL §3, and that the journal makes sense. Liveness is said as safety against the clock.
fn promises() -> Vec<Property<NightModel>> {
    vec![
        Property::always("1 an untouched service is open at the doors", |m: &NightModel, w: &World| {
            !doors(m, w) || !w.objects.targets[B].is_closed
        }),
        Property::always(
            "2 a touched service is open at the doors, unless a Pod or the undo hangs or fails",
            |m: &NightModel, w: &World| !doors(m, w) || w.next_night || w.may_be_dirty() || !w.objects.targets[A].is_closed,
        ),
        Property::always("3a nothing forward lands after a takeover's burn", |_, w: &World| w.late != Some(true)),
        Property::always("3b nothing forward lands after the operator's own burn", |_, w: &World| w.late != Some(false)),
        Property::always("4 no undo beside Pods of the work", |_, w: &World| {
            !(w.objects.jobs[U].pod.is_alive() && w.objects.jobs[J].pod.is_alive())
        }),
        Property::always("5 no undo once people write", |_, w: &World| !w.undone_beneath),
        Property::always("6 never open on half-done data, or while work on it runs", |m: &NightModel, w: &World| {
            w.next_night || !pods::is_open_on_half_done(w, m.rules.opens_dirty)
        }),
        Property::always("7 the work starts once", |_, w: &World| w.objects.jobs[J].starts < 2),
        Property::always("8 the next night's closure holds", |_, w: &World| !w.next_night || w.objects.targets[A].is_closed),
        Property::always("9 takeovers are few", |m: &NightModel, w: &World| {
            let few = if m.rules.owners == Owners::Both { 1 } else { 4 };
            m.mind.shelf.page(w.ledger).takeovers <= few
        }),
        Property::always("10 the journal makes sense", |m: &NightModel, w: &World| {
            m.mind.shelf.page(w.ledger).state.nonsense.is_empty()
        }),
    ]
}

fn phase(model: &NightModel, world: &World) -> Phase {
    model.mind.shelf.page(world.ledger).phase
}

fn is_over(model: &NightModel, world: &World) -> bool {
    model.mind.shelf.page(world.ledger).is_over()
}

fn epoch(model: &NightModel, world: &World) -> u8 {
    model.mind.shelf.page(world.ledger).epoch
}

fn has_turned(model: &NightModel, world: &World, how: Turned) -> bool {
    model.mind.shelf.page(world.ledger).turned == how
}

/// What has to be seen, so that what holds does not hold for want of nights.
fn witnesses(rules: &Rules) -> Vec<Property<NightModel>> {
    let mut all: Vec<Property<NightModel>> = vec![
        Property::sometimes("phase Pending", |m: &NightModel, w: &World| phase(m, w) == Phase::Pending),
        Property::sometimes("phase Armed", |m: &NightModel, w: &World| phase(m, w) == Phase::Armed),
        Property::sometimes("phase Working", |m: &NightModel, w: &World| phase(m, w) == Phase::Working),
        Property::sometimes("phase TurningBack", |m: &NightModel, w: &World| phase(m, w) == Phase::TurningBack),
        Property::sometimes("phase Reopening", |m: &NightModel, w: &World| phase(m, w) == Phase::Reopening),
        Property::sometimes("phase Verifying", |m: &NightModel, w: &World| phase(m, w) == Phase::Verifying),
        Property::sometimes("phase Finished", |m: &NightModel, w: &World| phase(m, w) == Phase::Finished),
        Property::sometimes("the work is finished and people write, with no takeover", |m: &NightModel, w: &World| {
            is_over(m, w) && w.people_write && epoch(m, w) == 1 && has_turned(m, w, Turned::Committed)
        }),
        Property::sometimes("the operator alone goes back, undoes and ends the night", |m: &NightModel, w: &World| {
            is_over(m, w) && epoch(m, w) == 1 && w.objects.jobs[U].end == Some(End::Complete)
        }),
        Property::sometimes("a sentinel takes over, undoes, opens and ends the night", |m: &NightModel, w: &World| {
            is_over(m, w) && epoch(m, w) > 1 && w.objects.jobs[U].end == Some(End::Complete)
        }),
        Property::sometimes("a sentinel goes on with what the operator had turned", |m: &NightModel, w: &World| {
            epoch(m, w) > 1
                && w.objects.jobs[U].was_released
                && w.objects.targets[B].token == Token::Own(1, crate::world::Way::Reopen)
        }),
        Property::sometimes("a sentinel finishes a committed night", |m: &NightModel, w: &World| {
            is_over(m, w) && epoch(m, w) > 1 && has_turned(m, w, Turned::Committed)
        }),
        Property::sometimes("a burn proves that the work never started", |m: &NightModel, w: &World| {
            let job = w.objects.jobs[J];
            job.burned == Some(Burn::NeverStarted) && m.mind.shelf.page(w.ledger).state.begun(&m.mind.plan).steps.len() == 2
        }),
        Property::sometimes("a Pod comes after the burn", |_, w: &World| {
            w.objects.jobs[J].burned.is_some() && w.objects.jobs[J].pod.is_alive() && w.objects.jobs[J].is_suspended
        }),
        Property::sometimes("a late write is refused", |m: &NightModel, _: &World| m.was_refused.load(Ordering::Relaxed)),
        Property::sometimes("the takeover comes before anything was closed", |m: &NightModel, w: &World| {
            epoch(m, w) > 1 && w.objects.targets.iter().all(|target| !target.is_closed && !target.is_restored)
        }),
    ];
    all.extend(witnesses_of_bounds(rules));
    all
}

/// What is seen only where the bounds allow it.
fn witnesses_of_bounds(rules: &Rules) -> Vec<Property<NightModel>> {
    let mut all = Vec::new();
    if rules.faulty {
        all.push(Property::sometimes(
            "the healthy sentinel ends what the other one took and left",
            |m: &NightModel, w: &World| {
                let page = m.mind.shelf.page(w.actors[crate::actors::SENTINEL].view);
                is_over(m, w) && page.epoch > 1 && !page.is_over() && w.objects.jobs[U].end == Some(End::Complete)
            },
        ));
    }
    if rules.next_night {
        all.push(Property::sometimes("the next night closes", |_, w: &World| w.next_night));
    }
    if rules.hangs {
        all.push(Property::sometimes(
            "at the doors the dirty service is closed and the other one open",
            |m: &NightModel, w: &World| doors(m, w) && w.objects.targets[A].is_closed && !w.objects.targets[B].is_closed,
        ));
    }
    if rules.opens_dirty {
        all.push(Property::sometimes("a service opens on half-done work, with its undo expired", |_, w: &World| {
            w.is_half_done && w.people_write && w.objects.jobs[U].burned.is_some()
        }));
    }
    all
}
