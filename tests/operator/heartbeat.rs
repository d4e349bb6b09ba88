//! The proof of life: given by who leads and can act, by nobody else, and carried outside by pings that harm nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use notturno::embedded::{Fault, FaultFn, RequestInfo, Stage, Verb};
use notturno::operator::Getter;
use notturno::operator::heart::FRESH_FOR;
use notturno::operator::heartbeat::{self, Ping, PingError};
use notturno::operator::metrics::Metrics;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lease::{Replica, is_a_lease, led, two};
use crate::world::{NIGHT, World};

const PROOF: &str = "notturno_heartbeat_timestamp_seconds";

/// The value of a series in these metrics; none while it has none.
fn number(world: &World, replica: &Replica, series: &str) -> Option<f64> {
    number_in(&replica.context.metrics, world, series)
}

fn number_in(metrics: &Metrics, world: &World, series: &str) -> Option<f64> {
    let text = metrics.text(world.clock.now()).unwrap();
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next().unwrap().parse().ok()
}

/// How old the last proof is, in seconds.
fn age(world: &World, replica: &Replica) -> f64 {
    let at = number(world, replica, PROOF).expect("it has given one");
    world.clock.now().as_duration().as_secs_f64() - at
}

fn one(world: &World) -> Replica {
    Replica::start(world, "uno", "notturno", SignedDuration::ZERO)
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn who_leads_gives_a_proof_with_each_renewal_and_who_follows_gives_none() {
    let world = World::new(false);
    world.declare(|_| {});
    let both = two(&world);
    seconds(60).await;
    let (leader, other) = led(both);
    assert!(age(&world, &leader) < 4.0);
    assert!(leader.context.heart.proof().now_or_never().is_some());
    assert_eq!(number(&world, &other, PROOF), None, "it is healthy, which proves nothing");
    assert!(other.context.heart.proof().now_or_never().is_none());
    let (metrics, heart) = (leader.context.metrics.clone(), leader.context.heart.clone());
    leader.stopped().await;
    assert!(heart.proof().now_or_never().is_none(), "its last proof is good for nobody");
    let last = number_in(&metrics, &world, PROOF);
    seconds(60).await;
    assert_eq!(number_in(&metrics, &world, PROOF), last, "it stands still");
    assert!(age(&world, &other) < 4.0);
}

/// The fault begins when a proof was just given and ends after `for_seconds`; the age of the last proof then, and a minute later.
async fn ages(world: &World, replica: &Replica, fault: FaultFn, for_seconds: u64) -> [f64; 2] {
    seconds(30).await;
    assert!(age(world, replica) < 4.0, "it lives");
    world.embedded.set_fault(Some(fault));
    seconds(for_seconds).await;
    let during = age(world, replica);
    world.embedded.set_fault(None);
    seconds(60).await;
    [during, age(world, replica)]
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_is_silence_also_where_each_replica_goes_on_for_itself() {
    let world = World::new(false);
    let only = one(&world);
    let refused: FaultFn = Arc::new(|request: &RequestInfo, stage: Stage| {
        let write = is_a_lease(request) && request.verb != Verb::Get && stage == Stage::Before;
        if write { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    });
    let [during, after] = ages(&world, &only, refused, 120).await;
    assert!(during >= 117.0, "{during}");
    assert!(after < 4.0, "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_nobody_answers_is_silence_and_news_are_none() {
    let world = World::new(false);
    let only = one(&world);
    let refused: FaultFn = Arc::new(|request: &RequestInfo, stage: Stage| {
        let watch = request.verb == Verb::Watch && request.resource == "interventions" && stage == Stage::Before;
        if watch { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    });
    let [during, after] = ages(&world, &only, refused, 300).await;
    assert!(during >= 120.0 && only.leads(), "{during}");
    assert!(after < 4.0, "{after}: nothing has happened, and the watch is there again");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_takes_long_to_arm_is_no_silence_while_each_call_is_answered() {
    let world = World::new(false);
    let only = one(&world);
    seconds(30).await;
    // Each answer comes just before its limit, so that nothing fails and nothing moves on.
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let slow = request.user.contains("lavori") && stage == Stage::Before;
        if slow { Fault::Delay(Duration::from_secs(9)) } else { Fault::None }
    })));
    world.declare(|_| {});
    for _ in 0..42 {
        seconds(10).await;
        assert!(age(&world, &only) < 4.0, "it may take its time");
    }
    assert_ne!(world.status(NIGHT)["phase"], "Armed", "its first round has not ended yet");
    world.embedded.set_fault(None);
    seconds(60).await;
    assert_eq!(world.status(NIGHT)["phase"], "Armed");
}

/// An operator whose probes are answered so, and the night as a rehearsal, which asks one after another.
async fn rehearsing(world: &World, getter: Getter) -> Replica {
    let only = Replica::start_with(world, "uno", "notturno", SignedDuration::ZERO, |context| context.getter = getter);
    seconds(30).await;
    world.declare(|object| {
        if object["kind"] == "Intervention" {
            object["spec"]["mode"] = json!("Rehearse");
        }
    });
    only
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_with_many_slow_probes_is_no_silence_while_each_is_answered() {
    let world = World::new(false);
    let slow = |_| {
        async {
            seconds(100).await;
            Ok(200)
        }
        .boxed()
    };
    let only = rehearsing(&world, Arc::new(slow)).await;
    for _ in 0..45 {
        seconds(10).await;
        assert!(age(&world, &only) < 4.0, "it may take its time");
    }
    assert_ne!(world.status(NIGHT)["phase"], "Finished", "its first round has not ended yet");
}

#[tokio::test(start_paused = true)]
async fn a_round_that_hangs_is_silence_until_it_ends() {
    let world = World::new(false);
    let (answers, answer) = watch::channel(false);
    let hangs: Getter = Arc::new(move |_| {
        let mut answer = answer.clone();
        async move {
            let _ = answer.wait_for(|answers| *answers).await.map(drop);
            Ok(200)
        }
        .boxed()
    });
    let only = rehearsing(&world, hangs).await;
    seconds(290).await;
    assert!(age(&world, &only) < 4.0, "it may take its time");
    seconds(130).await;
    assert!(age(&world, &only) > 100.0 && only.leads(), "{}", age(&world, &only));
    answers.send_replace(true);
    seconds(60).await;
    assert!(age(&world, &only) < 4.0);
    assert_eq!(world.status(NIGHT)["phase"], "Finished");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_silence_until_the_night_goes_on_and_a_tenants_own_mistake_is_none() {
    let world = World::new(false);
    let only = one(&world);
    world.declare(|_| {});
    let mut poison = world.intervention(NIGHT).unwrap();
    poison["metadata"] = json!({"name": "veleno", "namespace": "altrove"});
    poison["spec"]["runbook"] = json!("veleno");
    let panics: FaultFn = Arc::new(|request: &RequestInfo, _: Stage| {
        assert!(request.namespace != "altrove" || request.resource != "runbooks", "poison");
        Fault::None
    });
    seconds(30).await;
    world.embedded.set_fault(Some(panics));
    world.create(poison);
    seconds(120).await;
    assert!(age(&world, &only) > 115.0, "{}", age(&world, &only));
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, _: Stage| {
        let refused = request.subresource == "token";
        if refused { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    })));
    // It is tried again after minutes.
    seconds(900).await;
    assert!(age(&world, &only) < 4.0, "{}", age(&world, &only));
}

/// What was logged while it lives, on this thread.
fn listening() -> (tracing::subscriber::DefaultGuard, Arc<Mutex<Vec<u8>>>) {
    struct Into(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Into {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let logged = Arc::new(Mutex::new(vec![]));
    let own = Arc::clone(&logged);
    let logs = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Into(Arc::clone(&own)));
    (tracing::subscriber::set_default(logs.finish()), logged)
}

#[derive(Clone, Copy)]
enum Answers {
    Good,
    Bad,
    Never,
}

/// When pings came.
type Heard = Arc<Mutex<Vec<Timestamp>>>;

/// An outside that is told by these pings when, and answers as it stands.
fn outside(world: &World) -> (Ping, Heard, watch::Sender<Answers>) {
    let (answers, answer) = watch::channel(Answers::Good);
    let heard = Arc::new(Mutex::new(vec![]));
    let (own, clock) = (Arc::clone(&heard), world.clock);
    let ping: Ping = Box::new(move || {
        own.lock().unwrap().push(clock.now());
        let answer = *answer.borrow();
        async move {
            match answer {
                Answers::Good => Ok(()),
                Answers::Never => std::future::pending().await,
                Answers::Bad => Err(PingError::Answered(503)),
            }
        }
        .boxed()
    });
    (ping, heard, answers)
}

fn beating(replica: &Replica, ping: Ping, every: u64) -> JoinSet<()> {
    let (heart, metrics) = (replica.context.heart.clone(), replica.context.metrics.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(heartbeat::beat(ping, Duration::from_secs(every), heart, metrics));
    tasks
}

#[tokio::test(start_paused = true)]
async fn each_reason_for_silence_is_logged_when_it_begins() {
    let world = World::new(false);
    let _only = one(&world);
    let (_listening, logged) = listening();
    let told = |what: &str| String::from_utf8(logged.lock().unwrap().clone()).unwrap().matches(what).count();
    let reasons = || (told("ended in a panic"), told("watch of Interventions is not answered"), told("given again"));
    let watch_stands = Arc::new(AtomicBool::new(true));
    let stands = Arc::clone(&watch_stands);
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, _: Stage| {
        assert!(request.resource != "runbooks", "poison");
        let watch = request.verb == Verb::Watch && request.resource == "interventions";
        if watch && !stands.load(Ordering::SeqCst) { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    })));
    seconds(30).await;
    let before = reasons();
    world.declare(|_| {});
    seconds(60).await;
    assert_eq!(reasons(), (before.0 + 1, before.1, before.2));
    watch_stands.store(false, Ordering::SeqCst);
    seconds(200).await;
    assert_eq!(reasons(), (before.0 + 1, before.1 + 1, before.2), "another one, and once");
    world.embedded.set_fault(None);
    seconds(900).await;
    assert_eq!(reasons().2, before.2 + 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_cannot_be_used_counts_as_failed_once_a_span() {
    let world = World::new(false);
    let metrics = Metrics::new().unwrap();
    let mut unheard = JoinSet::new();
    unheard.spawn(heartbeat::unheard(Duration::from_secs(60), metrics.clone()));
    for count in [1.0, 2.0, 3.0] {
        seconds(59).await;
        assert_eq!(number_in(&metrics, &world, "notturno_heartbeat_pings_total{result=\"failed\"}"), Some(count));
        seconds(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_or_is_silent_is_told_once_and_counted_each_time_and_harms_no_night() {
    let world = World::new(false);
    world.declare(|_| {});
    let only = one(&world);
    let (ping, heard, answers) = outside(&world);
    let (_listening, logged) = listening();
    let _beating = beating(&only, ping, 60);
    let told = |what: &str| String::from_utf8(logged.lock().unwrap().clone()).unwrap().matches(what).count();
    let count = |result: &str| number(&world, &only, &format!("notturno_heartbeat_pings_total{{result=\"{result}\"}}"));
    seconds(300).await;
    assert_eq!((heard.lock().unwrap().len(), count("ok"), count("failed")), (5, Some(5.0), None));
    answers.send_replace(Answers::Bad);
    seconds(300).await;
    answers.send_replace(Answers::Never);
    seconds(300).await;
    assert_eq!((count("ok"), count("failed")), (Some(5.0), Some(10.0)));
    assert_eq!((told("not heard outside"), told("heard outside again")), (1, 0));
    answers.send_replace(Answers::Good);
    seconds(300).await;
    assert_eq!((count("ok"), count("failed")), (Some(10.0), Some(10.0)));
    assert_eq!((told("not heard outside"), told("heard outside again")), (1, 1));
    answers.send_replace(Answers::Never);
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert_eq!(told("not heard outside"), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_fresh_proof_nothing_pings_and_with_the_next_one_it_pings_at_once() {
    let world = World::new(false);
    let only = one(&world);
    let (ping, heard, _answers) = outside(&world);
    let _beating = beating(&only, ping, 10);
    seconds(60).await;
    let out = |request: &RequestInfo, _: Stage| if is_a_lease(request) { Fault::Hang } else { Fault::None };
    world.embedded.set_fault(Some(Arc::new(out)));
    let last_proof_at = number(&world, &only, PROOF).unwrap();
    seconds(90).await;
    let last = heard.lock().unwrap().last().unwrap().as_duration().as_secs_f64();
    assert!(last <= last_proof_at + FRESH_FOR.as_secs_f64(), "{last} {last_proof_at}");
    world.embedded.set_fault(None);
    let before = heard.lock().unwrap().len();
    let since = world.clock.now();
    seconds(30).await;
    let heard = heard.lock().unwrap();
    let pause = heard[before].duration_since(since).as_secs_f64();
    assert!(pause < 20.0 && heard.len() <= before + 4, "{pause} {heard:?}");
}
