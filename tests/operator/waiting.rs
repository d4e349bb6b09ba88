//! Many nights that wait cost nothing: `tests/bench/thousand_nights.rs` measures a thousand in a process of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use notturno::embedded::{CountKey, Embedded, Fault, RequestInfo, Stage, Verb};

use crate::many;
use crate::world::World;

const NIGHT_COUNT: usize = 60;
/// The operator's one watch is opened again every minute.
const REOPENED_MAX: u64 = 11;
/// What is declared is read for many nights at a time.
const LISTS_MAX: u64 = 10;

fn news(embedded: &Embedded, before: &BTreeMap<CountKey, u64>) -> Vec<(CountKey, u64)> {
    let news = embedded.counts().into_iter().map(|(key, count)| {
        let known = before.get(&key).copied().unwrap_or(0);
        (key, count - known)
    });
    news.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(start_paused = true)]
async fn sixty_nights_that_wait_ask_for_nothing_but_the_one_watch_and_a_new_operator_reads_each_once() {
    let world = World::new(false);
    let embedded = &world.embedded;
    let start_at = world.clock.now() + SignedDuration::from_hours(8);
    many::declare(embedded, NIGHT_COUNT, start_at, "Mo-Su 10:00-18:00");
    // Lists take their time, so that nights wait for them together.
    embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let slow = stage == Stage::Before && request.verb == Verb::List && request.resource == "publicservices";
        if slow { Fault::Delay(Duration::from_secs(1)) } else { Fault::None }
    })));
    for process in ["the one that armed them", "one that finds them armed"] {
        let operator = world.operator();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(many::count_in(embedded, "Armed"), NIGHT_COUNT, "{process}");
        let before = embedded.counts();
        let lists: u64 =
            before.iter().filter(|((verb, _, what), _)| *verb == Verb::List && what == "publicservices").map(|(_, n)| n).sum();
        assert!(lists <= LISTS_MAX, "{process}: {lists} lists of services");
        tokio::time::sleep(Duration::from_secs(600)).await;
        let asked = news(embedded, &before);
        let is_watch = |(verb, _, plural): &CountKey| *verb == Verb::Watch && plural == "interventions";
        assert!(asked.iter().all(|(key, count)| is_watch(key) && *count <= REOPENED_MAX), "{process}, in ten minutes: {asked:?}");
        operator.stopped().await;
    }
}
