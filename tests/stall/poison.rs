//! Objects that nobody can read, or that make the operator fail, beside a healthy night.

use std::sync::Arc;
use std::time::Duration;

use notturno::operator::connect;
use serde_json::json;

use crate::world::{LIMIT, QUICK, WORK, World};

const KINDS: usize = 10;

fn poison(world: &World) {
    let create = |name: String, spec| {
        world.create(json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Intervention",
            "metadata": {"name": name, "namespace": WORK}, "spec": spec}));
    };
    for n in 0..KINDS {
        create(format!("guasta-{n}"), json!({"runbook": {"no": "name"}, "startTime": 5, "mode": ["Run"]}));
        create(format!("enorme-{n}"), json!({"runbook": "x".repeat(1024 * 1024), "startTime": "2027-01-14T02:00:00Z"}));
        create(format!("altrove-{n}"), json!("not even an object"));
        world.declare(&format!("veleno-{n}"), "veleno", 3600);
    }
}

#[tokio::test]
async fn poison_is_refused_or_quarantined_with_words_and_delays_its_neighbour_by_a_second_at_most() {
    let world = World::new(QUICK).await;
    world.tenant("veleno");
    world.runbook("veleno", "veleno", &["ricetta"]);
    world.service("cup");
    world.runbook("altro", "lavori-notturni", &["cup"]);
    let operator = world.operator_where(|config| {
        let made = connect::client_for_token(config, LIMIT);
        Arc::new(move |token| {
            assert!(!token.contains("veleno"), "poison");
            made(token)
        })
    });
    world.declare("sola", "aggiornamento", 3600);
    let alone = world.phase("sola", "Armed").await;
    poison(&world);
    world.declare("vicina", "altro", 3600);
    let beside = world.phase("vicina", "Armed").await;
    assert!(beside < alone + Duration::from_secs(1), "{alone:?} alone, {beside:?} beside poison");

    for n in 0..KINDS {
        for name in ["guasta", "enorme", "altrove"] {
            let name = format!("{name}-{n}");
            assert_eq!(world.outcome(&name).await, "Refused");
            let status = world.status(&name);
            let words = status["refusals"][0]["message"].as_str().unwrap_or_default();
            assert!((10..4096).contains(&words.len()), "{name}: {words}");
        }
        let name = format!("veleno-{n}");
        world.until(&name, |world| world.status(&name)["needsHuman"] == true).await;
        assert!(world.status(&name)["why"].as_str().unwrap().contains("poison"), "{}", world.status(&name));
    }
    drop(operator);
}
