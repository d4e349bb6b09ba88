//! Watches that go silent, expire, are refused or lose their server.

use std::sync::Mutex;
use std::time::Duration;

use crate::front::{Asked, Deed};
use crate::world::{LIMIT, NIGHT, QUICK, World};

fn nights_watch(asked: &Asked) -> bool {
    asked.is_watch() && asked.path.ends_with("/interventions")
}

fn nights_list(asked: &Asked) -> bool {
    !asked.is_watch() && asked.is("GET", "/interventions") && asked.path.ends_with("/interventions")
}

/// The n-th request of those that `like` fits, from 1.
fn counting(like: fn(&Asked) -> bool) -> impl Fn(&Asked) -> usize + Send + Sync {
    let count = Mutex::new(0);
    move |asked| {
        let mut count = count.lock().unwrap();
        *count += usize::from(like(asked));
        if like(asked) { *count } else { 0 }
    }
}

#[tokio::test]
async fn a_watch_of_nights_that_goes_silent_is_replaced_without_a_list() {
    let world = World::new(QUICK).await;
    let place = counting(nights_watch);
    world.front.rule(move |asked| if place(asked) == 1 { Deed::Mute } else { Deed::Pass });
    let _operator = world.operator_with(LIMIT, 1);
    world.front.until("the watch", nights_watch).await;
    world.declare(NIGHT, "aggiornamento", 3600);
    let took = world.phase(NIGHT, "Armed").await;
    assert!(took < Duration::from_secs(9), "{took:?}");
    assert_eq!(world.front.count(nights_list), 1, "{}", world.front.story());
}

#[tokio::test]
async fn a_watch_that_is_swallowed_is_given_up_and_asked_again() {
    let world = World::new(QUICK).await;
    let place = counting(nights_watch);
    world.front.rule(move |asked| if place(asked) == 2 { Deed::Swallow } else { Deed::Pass });
    let _operator = world.operator_with(Duration::from_millis(700), 1);
    world.until("second watch", |world| world.front.count(nights_watch) == 2).await;
    world.declare(NIGHT, "aggiornamento", 3600);
    let took = world.phase(NIGHT, "Armed").await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_list_that_is_swallowed_is_given_up_and_asked_again() {
    let world = World::new(QUICK).await;
    let place = counting(nights_list);
    world.front.rule(move |asked| if place(asked) == 1 { Deed::Mute } else { Deed::Pass });
    let _operator = world.operator_with(Duration::from_millis(700), 60);
    world.declare(NIGHT, "aggiornamento", 3600);
    let took = world.phase(NIGHT, "Armed").await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_night_sees_its_work_end_though_the_watches_of_its_jobs_go_silent() {
    let world = World::new(QUICK).await;
    let jobs = |asked: &Asked| asked.is_watch() && (asked.path.ends_with("/jobs") || asked.path.ends_with("/pods"));
    let place = counting(jobs);
    world.front.rule(move |asked| if matches!(place(asked), 1 | 2) { Deed::Mute } else { Deed::Pass });
    world.night();
    let _operator = world.operator_with(LIMIT, 1);
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

#[tokio::test]
async fn a_watch_that_begins_in_a_forgotten_past_begins_anew() {
    let world = World::new(QUICK).await;
    let first = Mutex::new(None);
    world.front.rule(move |asked| {
        if !nights_watch(asked) {
            return Deed::Pass;
        }
        let revision = asked.query.split('&').find(|part| part.starts_with("resourceVersion=")).unwrap().to_owned();
        let mut first = first.lock().unwrap();
        if *first.get_or_insert(revision.clone()) == revision { Deed::Refuse(410, vec![]) } else { Deed::Pass }
    });
    let _operator = world.operator();
    world.front.until("the watch", nights_watch).await;
    world.declare(NIGHT, "aggiornamento", 3600);
    let took = world.phase(NIGHT, "Armed").await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn watches_that_expire_in_mid_stream_begin_anew_and_the_night_goes_on() {
    let world = World::new(QUICK).await;
    let place = counting(Asked::is_watch);
    world.front.rule(move |asked| if matches!(place(asked), 1..=3) { Deed::WatchError(410) } else { Deed::Pass });
    let _operator = world.operator();
    world.front.until("the watch", nights_watch).await;
    world.night();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert_eq!(world.starts(), [("aggiorna".to_owned(), 1)]);
}

#[tokio::test]
async fn an_api_server_that_restarts_in_mid_night_finds_the_night_where_it_was() {
    let mut world = World::new(QUICK).await;
    world.night();
    let mut operator = world.operator();
    for (step, state) in [("chiudi", "Succeeded"), ("aggiorna", "Running")] {
        world.step(NIGHT, step, state).await;
        world.front.die();
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.front.rise().await;
    }
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert!(operator.is_alive());
    assert_eq!(world.starts(), [("aggiorna".to_owned(), 1)]);
    let released =
        world.front.count(|asked| asked.is("PATCH", "-aggiorna") && asked.body.contains(r#"/spec/suspend","value":false"#));
    assert_eq!(released, 1, "{}", world.front.story());
    // The watch is back: another night is heard of.
    world.declare("altra", "aggiornamento", 3600);
    world.until("altra", |world| world.status("altra")["phase"].is_string()).await;
}

#[tokio::test]
async fn a_watch_that_is_refused_is_asked_for_in_pauses_that_grow() {
    let one = |deed: Deed| async move {
        let world = World::new(QUICK).await;
        let refused = deed.clone();
        world.front.rule(move |asked| if asked.is_watch() { refused.clone() } else { Deed::Pass });
        let _operator = world.operator();
        world.front.until("the watch", nights_watch).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let asked = [nights_watch, nights_list].map(|like| world.front.count(like));
        assert!((2..=4).contains(&asked[0]) && asked[1] <= 4, "{deed:?}: {asked:?}");
    };
    let deeds = [Deed::Refuse(403, vec![]), Deed::Refuse(410, vec![]), Deed::WatchError(410), Deed::Cut];
    futures::future::join_all(deeds.map(one)).await;
}
