//! Answers that say nothing of what was done: the operator looks, and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::front::{Asked, Deed};
use crate::world::{NIGHT, QUICK, World};

fn name_of(asked: &Asked) -> String {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    body["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_create_answered_504_after_it_was_done_is_looked_for_and_not_sent_again() {
    let world = World::new(QUICK).await;
    let made = |asked: &Asked| asked.is("POST", "/configmaps") || asked.is("POST", "/jobs");
    world.front.rule(move |asked| if made(asked) { Deed::RefuseAfter(504) } else { Deed::Pass });
    world.night();
    let operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for asked in world.front.asked().iter().filter(|asked| made(asked)) {
        *sent.entry(name_of(asked)).or_default() += 1;
    }
    assert_eq!(sent.len(), 5, "plan, ledger, a step, two attempts of its undo: {sent:?}");
    assert!(sent.values().all(|count| *count == 1), "{sent:?}");
    let numbers = operator.context.metrics.text(world.clock.now()).unwrap();
    assert!(!numbers.contains(r#"result="failed""#), "nothing had to be begun again: {numbers}");
}

#[tokio::test]
async fn a_record_answered_504_after_it_landed_is_recognised_in_the_ledger() {
    let world = World::new(QUICK).await;
    let record = |asked: &Asked| asked.is("PATCH", "-ledger");
    world.front.rule(move |asked| if record(asked) { Deed::RefuseAfter(504) } else { Deed::Pass });
    world.night();
    let operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    let bodies: Vec<String> = world.front.asked().into_iter().filter(record).map(|asked| asked.body).collect();
    assert_eq!(bodies.iter().collect::<BTreeSet<_>>().len(), bodies.len(), "no record was sent twice");
    let numbers = operator.context.metrics.text(world.clock.now()).unwrap();
    let failed = r#"notturno_ledger_appends_total{result="failed"}"#;
    assert!(!numbers.contains(failed), "no append counts as failed: {numbers}");
}

#[tokio::test]
async fn an_armed_night_whose_every_write_is_answered_504_after_it_was_done_does_nothing_twice() {
    let world = World::new(QUICK).await;
    world.declare(NIGHT, "aggiornamento", 2);
    let _operator = world.operator();
    world.phase(NIGHT, "Armed").await;
    let sent = Mutex::new(BTreeSet::new());
    world.front.rule(move |asked| {
        let first = asked.method != "GET" && sent.lock().unwrap().insert((asked.path.clone(), asked.body.clone()));
        if first && !asked.path.ends_with("/token") { Deed::RefuseAfter(504) } else { Deed::Pass }
    });
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert_eq!(world.starts(), [("aggiorna".to_owned(), 1)]);
    assert_eq!([world.replicas("ricetta"), world.replicas("archivio")], [2, 2]);
    assert_eq!(world.ledger(NIGHT).await.broken, None);
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_in_pauses_of_the_operators_own() {
    let world = World::new(QUICK).await;
    world.night();
    let _operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    let before = world.front.asked().len();
    world.front.rule(|_| Deed::Refuse(503, vec![("retry-after", "36000")]));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = world.front.asked().len() - before;
    assert!((3..60).contains(&asked), "{asked} requests in three seconds");
    world.front.calm();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert_eq!(world.starts(), [("aggiorna".to_owned(), 1)]);
}
