//! The clock of the API server: hours away from ours, slow to tell, not told at all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use notturno::operator::effects::Tenants;
use notturno::operator::{Context, Getter, ServerTime, health, run};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{NIGHT, World, at};

/// What becomes of the answer to the question for the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Well,
    Slowly,
    Never,
    NotAtAll,
    Garbled,
}

/// Hours behind the server's, and standing still: nobody may go by it.
fn wrong() -> Timestamp {
    at("2023-02-09T11:00:00+01:00")
}

fn asked(inner: kube::Client, told: Arc<Mutex<Told>>) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (inner, told) = (inner.clone(), Arc::clone(&told));
        async move {
            let for_time = request.uri().path() == "/version";
            let mut answer = inner.send(request).await?;
            let told = if for_time { *told.lock().unwrap() } else { Told::Well };
            match told {
                Told::Well => {}
                Told::Slowly => tokio::time::sleep(Duration::from_secs(6)).await,
                Told::Never => std::future::pending().await,
                Told::NotAtAll => drop(answer.headers_mut().remove("date")),
                Told::Garbled => drop(answer.headers_mut().insert("date", "yesterday".parse().unwrap())),
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    kube::Client::new(service, "default")
}

struct Measuring {
    told: Arc<Mutex<Told>>,
    context: Context,
    _stop: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Measuring {
    async fn start(world: &World, told: Told) -> Self {
        let told = Arc::new(Mutex::new(told));
        let own = asked(world.embedded.client("notturno"), Arc::clone(&told));
        let tokens = world.embedded.clone();
        let tenants = Tenants::new(own.clone(), Arc::new(move |token| Ok(tokens.client_for_token(token))));
        let probed = world.embedded.clone();
        let getter: Getter = Arc::new(move |url: String| std::future::ready(probed.http_get(&url)).boxed());
        let time = ServerTime::measured(&own, wrong).await;
        let mut context = Context::new(own, tenants, time.clone(), getter).expect("numbers");
        context.switch = notturno::operator::effects::Switch::Without;
        let (_, pulse) = health::health(context.metrics.clone(), time);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let whole = context.clone();
        tasks.spawn(async move { run(whole, pulse, stopped).await.expect("it goes on") });
        Self { told, context, _stop: stop, _tasks: tasks }
    }

    fn tell(&self, told: Told) {
        *self.told.lock().unwrap() = told;
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_clock_is_hours_wrong_goes_by_the_servers() {
    let world = World::new(true);
    world.declare(|_| {});
    let measuring = Measuring::start(&world, Told::Well).await;
    assert_eq!((measuring.context.time.offset().as_hours(), measuring.context.time.unbounded()), (7, None));
    world.until("2023-02-10T03:30:00+01:00").await;
    assert_eq!(world.status(NIGHT)["phase"], "Working");
    world.until("2023-02-10T04:00:04+01:00").await;
    assert_eq!(world.status(NIGHT)["phase"], "TurningBack", "its hard cap, by the server's clock");
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_not_bounded_starts_no_night_says_so_once_and_starts_it_as_soon_as_it_is() {
    for told in [Told::Slowly, Told::Never, Told::NotAtAll, Told::Garbled] {
        let world = World::new(false);
        world.declare(|_| {});
        let measuring = Measuring::start(&world, Told::Well).await;
        world.until("2023-02-10T00:15:00+01:00").await;
        measuring.tell(told);
        world.until("2023-02-10T00:31:00+01:00").await;
        let status = world.status(NIGHT);
        assert_eq!(
            (&status["phase"], &status["refusals"][0]["reason"]),
            (&"Armed".into(), &"ClockNotBounded".into()),
            "{told:?}"
        );
        let why = status["why"].as_str().unwrap();
        assert!(why.contains("it does not start: the clock of the API server is not known within 5 s"), "{told:?}: {why}");
        let version = world.intervention(NIGHT).unwrap()["metadata"]["resourceVersion"].clone();
        world.until("2023-02-10T00:35:00+01:00").await;
        assert_eq!(world.intervention(NIGHT).unwrap()["metadata"]["resourceVersion"], version, "{told:?}: said once");
        measuring.tell(Told::Well);
        world.until("2023-02-10T00:35:40+01:00").await;
        let status = world.status(NIGHT);
        assert_eq!((&status["phase"], &status["refusals"]), (&"Working".into(), &serde_json::Value::Null), "{told:?}: {status}");
        assert_eq!(world.outcome(NIGHT).await, "Completed", "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_not_bounded_until_the_latest_start_cancels_the_night_and_says_why() {
    let world = World::new(false);
    world.declare(|_| {});
    let _measuring = Measuring::start(&world, Told::Slowly).await;
    assert_eq!(world.outcome(NIGHT).await, "Cancelled");
    let why = world.ledger().await.entries.last().unwrap().why.clone();
    assert!(why.contains("took 7 s to say the time"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_night_under_way_goes_on_and_goes_back_in_time_whatever_the_clock_tells() {
    for told in [Told::Slowly, Told::Never, Told::NotAtAll, Told::Garbled] {
        let world = World::new(true);
        let by_day = world.restored();
        world.declare(|_| {});
        let measuring = Measuring::start(&world, Told::Well).await;
        world.until("2023-02-10T02:00:00+01:00").await;
        measuring.tell(told);
        world.until("2023-02-10T04:00:04+01:00").await;
        assert_eq!(world.status(NIGHT)["phase"], "TurningBack", "{told:?}");
        assert_eq!(world.outcome(NIGHT).await, "RolledBack", "{told:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.restored(), by_day, "{told:?}");
    }
}
