//! A watch that expires in the middle, a server that resets whoever knocks: nothing is lost, and nobody storms.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject};
use notturno::api::Intervention;
use tokio::sync::Notify;

use crate::front::{Asked, Deed};
use crate::world::{HANGS, NIGHT, QUICK, WORK, World};

fn nights_watch(asked: &Asked) -> bool {
    asked.is_watch() && asked.path.ends_with("/interventions")
}

fn revision(asked: &Asked) -> String {
    asked.query.split('&').find(|part| part.starts_with("resourceVersion=")).unwrap_or_default().to_owned()
}

/// What was declared and what was deleted while the watch was silent is known from the list; a night under way does not notice.
#[tokio::test]
async fn a_watch_that_expires_in_mid_stream_goes_on_from_a_list_and_nothing_that_happened_meanwhile_is_lost() {
    let world = World::new(QUICK).await;
    world.service("cup");
    world.runbook("altro", "lavori-notturni", &["cup"]);
    let (bell, first) = (Arc::new(Notify::new()), Mutex::new(None));
    let ring = Arc::clone(&bell);
    world.front.rule(move |asked| {
        if !nights_watch(asked) {
            return Deed::Pass;
        }
        let mut first = first.lock().unwrap();
        match &*first {
            None => {
                *first = Some(revision(asked));
                Deed::Expire(410, Arc::clone(&ring))
            }
            // Its past is forgotten.
            Some(known) if *known == revision(asked) => Deed::Refuse(410, vec![]),
            Some(_) => Deed::Pass,
        }
    });
    world.declare("andata", "altro", 3600);
    world.night();
    let _operator = world.operator();
    world.phase("andata", "Armed").await;
    world.front.until("the watch", nights_watch).await;
    assert_eq!(world.outcome(NIGHT).await, "Completed", "it goes on though the watch is silent");
    world.declare("venuta", "aggiornamento", 3600);
    let kind = kube::api::ApiResource::erase::<Intervention>(&());
    let nights: Api<DynamicObject> = Api::namespaced_with(world.embedded.client("somebody"), WORK, &kind);
    nights.delete("andata", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.status("venuta")["phase"].is_null(), "nobody has told of it");
    bell.notify_one();
    let took = world.phase("venuta", "Armed").await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    let there = |world: &World| world.embedded.object("notturno.dev", "interventions", WORK, "andata").is_some();
    let took = world.until("end of the night that was deleted", |world| !there(world)).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// One night is under way; every call of it and every watch is reset.
#[tokio::test]
async fn a_server_that_resets_whoever_knocks_is_knocked_at_in_pauses_and_the_night_goes_on_by_itself() {
    let mut world = World::new(HANGS).await;
    world.night();
    let operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    world.front.die();
    let knocks = world.front.reset_all_for(Duration::from_secs(5)).await;
    assert!((3..40).contains(&knocks), "{knocks} connections in five seconds");
    let before = world.front.asked().len();
    world.front.rise().await;
    world.until("watch", |world| world.front.asked().split_off(before).iter().any(nights_watch)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = world.front.asked().len() - before;
    assert!(after < 60, "{after} requests after it was back:\n{}", world.front.story());
    world.turn_back(&operator, NIGHT);
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
}
