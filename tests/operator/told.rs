//! Events on the Intervention: one for each entry of the journal, whoever tells it, and none twice.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::world::{NIGHT, World};

fn events(world: &World) -> Vec<Value> {
    world.embedded.objects().into_iter().filter(|object| object["kind"] == "Event").collect()
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn every_entry_is_told_once_as_a_sentence_also_by_an_operator_that_came_later() {
    let world = World::new(true);
    world.declare(|_| {});
    let first = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(first);
    let before = events(&world).len();
    let _second = world.operator();
    world.until("2023-02-10T02:35:00+01:00").await;
    assert_eq!(events(&world).len(), before, "what was told is not told again");
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (told, entries) = (events(&world), world.ledger().await.entries);
    assert_eq!(told.len(), entries.len());
    for event in &told {
        let note = text(event, "note");
        assert!(note.ends_with('.') && note.len() <= 1024 && note.split_whitespace().count() >= 3, "{note}");
        assert!(text(event, "reason").starts_with(|first: char| first.is_ascii_uppercase()), "{event}");
        assert_eq!(event["series"], Value::Null, "never counted up: the first sentence would stand for all");
        assert_eq!((text(event, "reportingController"), text(&event["regarding"], "name")), ("notturno.dev/operator", NIGHT));
    }
    let of = |reason: &str| -> Vec<(&str, &str)> {
        let all = told.iter().filter(|event| text(event, "reason") == reason);
        all.map(|event| (text(event, "action"), text(event, "type"))).collect()
    };
    assert_eq!(of("GoingBack"), [("aggiorna", "Warning")], "the step stands in the action");
    assert_eq!(of("Finished"), [("RolledBack", "Warning")]);
    let done: BTreeSet<&str> = of("StepDone").into_iter().map(|(action, _)| action).collect();
    assert_eq!(done, BTreeSet::from(["preflight", "chiudi-portali", "istantanea", "chiudi-nucleo"]));
}
