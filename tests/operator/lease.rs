//! Two replicas: killed, cut off and back with writes in flight, both leading at once, with wrong clocks, without a lease.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use notturno::clock::Clock;
use notturno::embedded::{Fault, RequestInfo, Stage, Verb};
use notturno::operator::effects::Tenants;
use notturno::operator::lead::lead;
use notturno::operator::lease::Elector;
use notturno::operator::{Context, Getter, ServerTime, health};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{NIGHT, World, at};

/// One of several operators; dropped, it is dead at once.
pub struct Replica {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    /// While true nothing that it sends arrives; all of it does afterwards, whatever became of whoever sent it.
    cut: watch::Sender<bool>,
    pub context: Context,
    ready: watch::Receiver<bool>,
}

impl Replica {
    /// Its clock for the lease is wrong by `wrong_by`; `lease` is the name of the lease it believes in.
    pub fn start(world: &World, name: &str, lease: &str, wrong_by: SignedDuration) -> Self {
        Self::start_with(world, name, lease, wrong_by, |_| {})
    }

    /// The same, with something else in what its nights share.
    pub fn start_with(
        world: &World,
        name: &str,
        lease: &str,
        wrong_by: SignedDuration,
        change: impl FnOnce(&mut Context),
    ) -> Self {
        let (cut, line) = watch::channel(false);
        let own = through(world.embedded.client("notturno"), line.clone());
        let tokens = world.embedded.clone();
        let tenants = Tenants::new(own.clone(), Arc::new(move |token| Ok(through(tokens.client_for_token(token), line.clone()))));
        let asked = world.embedded.clone();
        let getter: Getter = Arc::new(move |url: String| std::future::ready(asked.http_get(&url)).boxed());
        let time = ServerTime::of(world.clock);
        let mut context = Context::new(own.clone(), tenants, time.clone(), getter).expect("numbers");
        context.switch = notturno::operator::effects::Switch::Without;
        change(&mut context);
        let wrong = ServerTime::of(Clock::starting_at(world.clock.now() + wrong_by));
        let elector = Elector::new(own, "notturno-system", lease, name, wrong, context.metrics.clone());
        let (health, pulse) = health::health(context.metrics.clone(), time);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let whole = context.clone();
        tasks.spawn(async move { lead(whole, elector, pulse, stopped).await.expect("it goes on") });
        Self { tasks, stop, cut, context, ready: health.synced }
    }

    pub async fn stopped(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("the replica ends well");
        }
    }

    pub fn leads(&self) -> bool {
        self.context.metrics.text(at("2023-02-10T00:00:00Z")).expect("numbers").contains("notturno_leader 1")
    }
}

fn through(inner: kube::Client, line: watch::Receiver<bool>) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (inner, mut line) = (inner.clone(), line.clone());
        let sent = tokio::spawn(async move {
            // A line that is gone is as good as one that is cut no more.
            let _ = line.wait_for(|cut| !cut).await.map(drop);
            inner.send(request).await
        });
        async move { sent.await.expect("the line holds") }
    });
    kube::Client::new(service, "default")
}

pub fn two(world: &World) -> [Replica; 2] {
    ["uno", "due"].map(|name| Replica::start(world, name, "notturno", SignedDuration::ZERO))
}

/// Which of them leads, and the other.
pub fn led([first, second]: [Replica; 2]) -> (Replica, Replica) {
    assert!(first.leads() != second.leads(), "one of them");
    if first.leads() { (first, second) } else { (second, first) }
}

/// Ten minutes to midnight of the night whose upgrade hangs, and what it was like by day.
async fn before_midnight() -> (World, Vec<Value>) {
    let world = World::new(true);
    let by_day = world.restored();
    world.declare(|_| {});
    world.until("2023-02-09T23:50:00+01:00").await;
    (world, by_day)
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn lease(world: &World) -> Value {
    world.embedded.object("coordination.k8s.io", "leases", "notturno-system", "notturno").expect("a lease")
}

pub fn is_a_lease(request: &RequestInfo) -> bool {
    request.resource == "leases"
}

/// The end of the night that hangs: everything as by day, nothing twice, the ledger whole.
async fn ends_well(world: &World, by_day: &[Value], what: &str) {
    assert_eq!(world.outcome(NIGHT).await, "RolledBack", "{what}");
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!(world.ledger().await.broken, None, "{what}");
    assert!(world.starts().iter().all(|(_, starts)| *starts <= 1), "{what}: {:?}", world.starts());
    assert_eq!(world.restored(), by_day, "{what}");
}

#[tokio::test(start_paused = true)]
async fn one_of_two_works_the_other_is_ready_and_asks_for_nothing_but_the_lease() {
    let world = World::new(false);
    world.declare(|_| {});
    let both = two(&world);
    world.until("2023-02-09T19:00:00+01:00").await;
    let (leader, other) = led(both);
    assert!(*leader.ready.borrow() && *other.ready.borrow());
    let before = world.embedded.log().len();
    world.until("2023-02-09T19:10:00+01:00").await;
    let asked: Vec<RequestInfo> = world.embedded.log().split_off(before).into_iter().map(|logged| logged.request).collect();
    let watches = asked.iter().filter(|one| one.verb == Verb::Watch).count();
    let writes = asked.iter().filter(|one| is_a_lease(one) && one.write_number.is_some()).count();
    let looks = asked.iter().filter(|one| is_a_lease(one) && one.verb == Verb::Get).count();
    assert_eq!(watches + writes + looks, asked.len(), "{asked:?}");
    assert!(watches <= 11 && writes <= 201 && looks <= 201, "{watches} {writes} {looks}");
    // Stopped, it gives the lease back, and the other begins at once.
    let epoch = lease(&world)["spec"]["leaseTransitions"].as_i64().unwrap();
    leader.stopped().await;
    assert_eq!(lease(&world)["spec"]["holderIdentity"], Value::Null);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(other.leads());
    assert_eq!(lease(&world)["spec"]["leaseTransitions"], epoch + 1);
}

/// Kills the leader at the `number`th write that is none of the lease's; false when there is no such write.
fn killed_at(number: u64, stage: Stage) -> bool {
    paused().block_on(async {
        let (world, by_day) = before_midnight().await;
        let both = two(&world);
        let (count, happened) = (AtomicU64::new(0), Arc::new(tokio::sync::Notify::new()));
        let bell = Arc::clone(&happened);
        world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, now: Stage| {
            let counts = request.write_number.is_some() && !is_a_lease(request) && request.resource != "events" && now == stage;
            if counts && count.fetch_add(1, Ordering::Relaxed) + 1 == number {
                bell.notify_one();
                return Fault::Hang;
            }
            Fault::None
        })));
        tokio::select! {
            biased;
            () = happened.notified() => {}
            _ = world.outcome(NIGHT) => return false,
        }
        let (dead, survivor) = led(both);
        drop(dead);
        ends_well(&world, &by_day, &format!("write {number}, {stage:?}")).await;
        assert!(survivor.leads());
        true
    })
}

#[test]
fn the_leader_is_killed_at_a_write_of_the_night_and_the_other_brings_it_to_the_same_end() {
    let nights = (0..30).map(|n| (1 + 9 * n, if n % 2 == 0 { Stage::Before } else { Stage::After }));
    let count = nights.take_while(|(number, stage)| killed_at(*number, *stage)).count();
    println!("{count} nights whose leader was killed");
    assert!(count > 6, "the night has more writes than {count} times nine");
}

/// At each of these moments the leader is cut off for three minutes, in the middle of what it does; then all it had sent arrives.
#[test]
fn a_leader_that_wakes_after_minutes_with_writes_in_flight_changes_nothing() {
    let mut late = 0;
    for moment in ["00:30:00", "01:00:00.5", "04:00:00", "04:00:20", "04:56:00"] {
        paused().block_on(async {
            let (world, by_day) = before_midnight().await;
            let both = two(&world);
            world.until(&format!("2023-02-10T{moment}+01:00")).await;
            let (leader, other) = led(both);
            leader.cut.send_replace(true);
            tokio::time::sleep(Duration::from_secs(180)).await;
            assert!(other.leads(), "{moment}");
            let before = world.embedded.log().len();
            leader.cut.send_replace(false);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let arrived = world.embedded.log().split_off(before);
            late += arrived.iter().filter(|one| one.request.write_number.is_some()).count();
            ends_well(&world, &by_day, moment).await;
        });
    }
    assert!(late > 0, "no write was in flight");
}

#[tokio::test(start_paused = true)]
async fn two_that_both_believe_to_lead_bring_the_night_to_the_same_end() {
    let (world, by_day) = before_midnight().await;
    let both = ["uno", "due"].map(|name| Replica::start(&world, name, name, SignedDuration::ZERO));
    world.until("2023-02-10T00:10:00+01:00").await;
    assert!(both.iter().all(Replica::leads));
    ends_well(&world, &by_day, "both").await;
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_replica_is_hours_wrong_and_nothing_comes_of_it() {
    let world = World::new(false);
    world.declare(|_| {});
    let wrong = [("uno", SignedDuration::from_hours(5)), ("due", SignedDuration::from_hours(-7))];
    let both = wrong.map(|(name, by)| Replica::start(&world, name, "notturno", by));
    world.until("2023-02-09T20:30:00+01:00").await;
    let (leader, other) = led(both);
    assert_eq!(lease(&world)["spec"]["leaseTransitions"], 1, "nobody took it from anybody");
    drop(leader);
    // Its last sign of life was three seconds ago at most.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!other.leads(), "not before it was seen not to change for ten seconds");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(other.leads());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_refused_causes_no_storm_and_keeps_nobody_from_working() {
    for code in [403, 409, 500] {
        let (world, by_day) = before_midnight().await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (times, clock) = (Arc::clone(&asked), world.clock);
        world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
            if is_a_lease(request) && stage == Stage::Before {
                times.lock().unwrap().push(clock.now());
                return if request.verb == Verb::Get { Fault::None } else { Fault::Status(code, "Conflict".into()) };
            }
            Fault::None
        })));
        let both = two(&world);
        world.until("2023-02-09T23:50:50+01:00").await;
        assert!(!both.iter().any(Replica::leads), "{code}: not so fast");
        world.until("2023-02-09T23:52:00+01:00").await;
        assert!(both.iter().all(Replica::leads), "{code}: each for itself");
        let count = asked.lock().unwrap().len();
        world.until("2023-02-10T00:22:00+01:00").await;
        let more = asked.lock().unwrap().len() - count;
        assert!(more <= 2 * 2 * 30 * 4 + 8, "{code}: a pause of 15 s: {more}");
        // It works again: one of them leads on.
        world.embedded.set_fault(None);
        world.until("2023-02-10T00:24:00+01:00").await;
        assert_eq!(both.iter().filter(|one| one.leads()).count(), 1, "{code}");
        ends_well(&world, &by_day, "refused for half an hour").await;
    }
}

/// A night that is armed and waits for half past midnight, ten minutes before; the upgrade goes well.
async fn before_the_start() -> World {
    let world = World::new(false);
    world.declare(|_| {});
    world.until("2023-02-10T00:20:00+01:00").await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_the_lease_drops_its_nights_and_begins_again_without_a_new_process() {
    let world = before_the_start().await;
    let only = Replica::start(&world, "uno", "notturno", SignedDuration::ZERO);
    world.until("2023-02-10T00:29:50+01:00").await;
    assert!(only.leads());
    let fault = |request: &RequestInfo, _: Stage| if is_a_lease(request) { Fault::Hang } else { Fault::None };
    world.embedded.set_fault(Some(Arc::new(fault)));
    world.until("2023-02-10T00:29:58+01:00").await;
    assert!(!only.leads(), "before anybody else may begin");
    let before = world.embedded.log().len();
    world.until("2023-02-10T00:30:40+01:00").await;
    let asked = world.embedded.log().split_off(before);
    assert!(asked.iter().all(|one| is_a_lease(&one.request)), "its nights go on: {asked:?}");
    let numbers = only.context.metrics.text(at("2023-02-10T00:00:00Z")).expect("numbers");
    assert!(numbers.contains("notturno_nights{phase=\"Armed\"} 0"), "{numbers}");
    world.embedded.set_fault(None);
    world.until("2023-02-10T00:31:20+01:00").await;
    assert!(only.leads());
    assert_eq!(world.status(NIGHT)["phase"], "Working");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_somebody_else_has_taken_leads_no_more_at_its_next_renewal() {
    let world = World::new(false);
    let only = Replica::start(&world, "uno", "notturno", SignedDuration::ZERO);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(only.leads());
    let leases: Api<Lease> = Api::namespaced(world.embedded.client("test"), "notturno-system");
    let taken = json!({"spec": {"holderIdentity": "due"}});
    leases.patch("notturno", &PatchParams::default(), &Patch::Merge(taken)).await.expect("a lease");
    // Renewed every three seconds, the next time at the twelfth.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(!only.leads());
    assert_eq!(lease(&world)["spec"]["holderIdentity"], "due", "it was written over");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_find_a_lease_expired_at_once_one_takes_it() {
    let world = World::new(false);
    let dead = Replica::start(&world, "uno", "notturno", SignedDuration::ZERO);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let both = ["due", "tre"].map(|name| Replica::start(&world, name, "notturno", SignedDuration::ZERO));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(dead.leads());
    drop(dead);
    // Both have read it before one has written it.
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let slow = is_a_lease(request) && request.verb != Verb::Get && stage == Stage::Before;
        if slow { Fault::Delay(Duration::from_secs(1)) } else { Fault::None }
    })));
    tokio::time::sleep(Duration::from_secs(13)).await;
    led(both);
    assert_eq!(lease(&world)["spec"]["leaseTransitions"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_stopped_keeps_the_lease_until_its_nights_have_finished_their_turn() {
    let world = before_the_start().await;
    let only = Replica::start(&world, "uno", "notturno", SignedDuration::ZERO);
    world.until("2023-02-10T00:29:59+01:00").await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let slow = !is_a_lease(request) && request.write_number.is_some() && stage == Stage::Before;
        if slow { Fault::Delay(Duration::from_secs(2)) } else { Fault::None }
    })));
    world.until("2023-02-10T00:30:01+01:00").await;
    only.stop.send_replace(true);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(lease(&world)["spec"]["holderIdentity"], "uno", "a write is in flight");
    only.stopped().await;
    assert_eq!(lease(&world)["spec"]["holderIdentity"], Value::Null);
}
