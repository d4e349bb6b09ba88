//! The server's time as it is measured: how far it may be off, when it is measured again, what replaces it.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use notturno::clock::Clock;
use notturno::operator::ServerTime;
use tokio::time::{Instant, sleep};

use crate::world::at;

/// A server that says the time when it is asked, and whose answer travels.
#[derive(Clone)]
struct Server {
    real: Clock,
    ahead: Arc<Mutex<SignedDuration>>,
    travels_for: Arc<Mutex<Duration>>,
    asked: Arc<Mutex<u32>>,
}

impl Server {
    fn new(travels_for: Duration) -> Self {
        let real = Clock::starting_at(at("2023-02-10T00:00:00.999+01:00"));
        Self { real, ahead: Arc::default(), travels_for: Arc::new(Mutex::new(travels_for)), asked: Arc::default() }
    }

    fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&server.now()).expect("a date");
            *server.asked.lock().unwrap() += 1;
            let travels_for = *server.travels_for.lock().unwrap();
            async move {
                sleep(travels_for).await;
                Ok::<_, kube::Error>(http::Response::builder().header("date", date).body(Body::empty()).expect("an answer"))
            }
        });
        kube::Client::new(service, "default")
    }

    fn now(&self) -> Timestamp {
        self.real.now() + *self.ahead.lock().unwrap()
    }

    fn is(&self, ahead: SignedDuration, travels_for: Duration) {
        (*self.ahead.lock().unwrap(), *self.travels_for.lock().unwrap()) = (ahead, travels_for);
    }
}

/// Seven hours behind.
fn local() -> Timestamp {
    at("2023-02-09T17:00:00+01:00")
}

const STALE: Duration = Duration::from_secs(601);

#[tokio::test(start_paused = true)]
async fn the_time_is_never_taken_for_earlier_than_it_is_and_for_later_only_by_what_asking_took() {
    for millis in [0, 900, 3_900, 4_100] {
        let travels_for = Duration::from_millis(millis);
        let server = Server::new(travels_for);
        let time = ServerTime::measured(&server.client(), local).await;
        let width = travels_for + Duration::from_secs(1);
        let late = time.now().duration_since(server.now());
        assert!(!late.is_negative() && late <= SignedDuration::try_from(width).unwrap(), "{millis} ms: {late:?} late");
        let hours = time.offset().as_secs_f64() / 3600.0;
        assert!((7.0..7.01).contains(&hours), "{millis} ms: {hours} h ahead of ours");
        // Five seconds are known well enough, a tick more is not; a timer has the grain of a millisecond.
        let known = time.width().map(|known| known.abs_diff(width) <= Duration::from_millis(2));
        assert_eq!(known, (millis <= 3_900).then_some(true), "{millis} ms: {:?} {:?}", time.width(), time.unbounded());
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_stood_still_takes_the_servers_time_when_it_measures_again_and_never_goes_back() {
    let server = Server::new(Duration::ZERO);
    let client = server.client();
    let time = ServerTime::measured(&client, local).await;
    sleep(STALE).await;
    server.is(SignedDuration::from_hours(1), Duration::ZERO);
    assert!(time.now() < server.now() && time.unbounded().is_some(), "measured too long ago");
    time.refresh(&client).await;
    assert!(time.now() >= server.now() && time.unbounded().is_none(), "{:?}", time.unbounded());
    // A server that is behind, well known.
    sleep(STALE).await;
    server.is(SignedDuration::ZERO, Duration::ZERO);
    let before = time.now();
    time.refresh(&client).await;
    assert!(time.now() >= before && time.unbounded().is_none(), "back from {before} to {}", time.now());
    // One that is ahead, and slow: what is known badly replaces nothing.
    sleep(STALE).await;
    server.is(SignedDuration::from_hours(3), Duration::from_secs(6));
    let (before, began_at) = (time.now(), Instant::now());
    time.refresh(&client).await;
    assert!(began_at.elapsed() <= Duration::from_millis(1_010), "a pass waited {:?}", began_at.elapsed());
    sleep(Duration::from_secs(10)).await;
    let gone = time.now().duration_since(before);
    assert!(gone <= SignedDuration::from_secs(12), "{gone:?} later after eleven seconds");
    assert!(time.unbounded().is_some_and(|why| why.contains("took 7 s")), "{:?}", time.unbounded());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_the_time_well_is_not_asked_for_it_more_than_every_ten_seconds() {
    let server = Server::new(Duration::from_secs(5));
    let client = server.client();
    let time = ServerTime::measured(&client, local).await;
    let end = Instant::now() + Duration::from_secs(300);
    while Instant::now() < end {
        time.refresh(&client).await;
        sleep(Duration::from_millis(100)).await;
    }
    let asked = *server.asked.lock().unwrap();
    assert!((15..=31).contains(&asked), "asked {asked} times in five minutes");
}

thread_local! {
    static SLEPT_FOR: Cell<SignedDuration> = const { Cell::new(SignedDuration::ZERO) };
}

/// This machine's clock, which goes on while the machine sleeps.
fn wall() -> Timestamp {
    thread_local!(static AWAKE: Clock = Clock::starting_at(at("2023-02-09T17:00:00+01:00")));
    AWAKE.with(Clock::now) + SLEPT_FOR.get()
}

#[tokio::test(start_paused = true)]
async fn a_rest_ends_soon_after_a_machine_slept_through_it_and_the_servers_time_is_asked_for() {
    let server = Server::new(Duration::ZERO);
    let client = server.client();
    let time = ServerTime::measured(&client, wall).await;
    let (moment, began_at) = (time.now() + SignedDuration::from_mins(9), Instant::now());
    time.rest_until(moment).await;
    assert_eq!((began_at.elapsed().as_secs(), time.unbounded()), (540, None), "nobody slept");
    let (moment, began_at) = (time.now() + SignedDuration::from_hours(1), Instant::now());
    let sleeps = async {
        sleep(Duration::from_secs(20)).await;
        let slept_for = SignedDuration::from_mins(20);
        SLEPT_FOR.set(slept_for);
        server.is(slept_for, Duration::from_secs(30));
    };
    futures::join!(time.rest_until(moment), sleeps);
    assert!(began_at.elapsed() <= Duration::from_secs(31), "it rested {:?}", began_at.elapsed());
    assert!(time.unbounded().is_some_and(|why| why.contains("slept")), "{:?}", time.unbounded());
    // While nobody says the time it is tried again in pauses.
    time.refresh(&client).await;
    let began_at = Instant::now();
    time.rest_until(moment).await;
    assert_eq!(began_at.elapsed().as_secs(), 10);
    server.is(SignedDuration::from_mins(20), Duration::ZERO);
    sleep(Duration::from_secs(11)).await;
    time.refresh(&client).await;
    assert!(time.now() >= server.now() && time.unbounded().is_none(), "{:?}", time.unbounded());
}
