//! What the kubelet and Prometheus ask.

use std::time::Duration;

use notturno::operator::{ServerTime, health, http_get, run};
use tokio::sync::watch;

use crate::world::World;

#[tokio::test]
async fn the_endpoints_say_that_the_loop_turns_that_all_was_seen_and_what_was_counted() {
    let world = World::new(false);
    let operator = world.operator();
    let context = operator.context.clone();
    drop(operator);
    let (health, pulse) = health::health(context.metrics.clone(), ServerTime::of(world.clock));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(health::serve(listener, health));
    let get = http_get::getter();
    let ask = |path: &str| get(format!("http://{address}/{path}"));
    assert_eq!(ask("healthz").await, Ok(503), "no loop turns yet");
    assert_eq!(ask("readyz").await, Ok(503));
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(context, pulse, stopped));
    for _ in 0..50 {
        if ask("readyz").await == Ok(200) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!([ask("readyz").await, ask("healthz").await, ask("metrics").await], [Ok(200), Ok(200), Ok(200)]);
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_the_api_servers_and_never_earlier() {
    let world = World::new(false);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let time = ServerTime::measured(&world.embedded.client("notturno"), || jiff::Timestamp::UNIX_EPOCH).await;
    let ahead = time.now().duration_since(world.clock.now());
    assert!(!ahead.is_negative() && ahead.as_millis() <= 1000, "{ahead:?}");
}
