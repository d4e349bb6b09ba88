//! Tokens that end in mid-night, and tenants that give none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::front::{Asked, Deed};
use crate::world::{NIGHT, QUICK, World};

fn token_request(asked: &Asked) -> bool {
    asked.is("POST", "/token")
}

#[tokio::test]
async fn a_token_revoked_in_mid_night_is_asked_anew_and_nothing_is_lost() {
    let world = World::new(QUICK).await;
    world.declare(NIGHT, "aggiornamento", 2);
    let operator = world.operator();
    world.phase(NIGHT, "Working").await;
    let old = world.front.asked().into_iter().find_map(|asked| asked.token).unwrap();
    let refused = Arc::new(Mutex::new(vec![]));
    let seen = Arc::clone(&refused);
    world.front.rule(move |asked| {
        if asked.token.as_ref() != Some(&old) {
            return Deed::Pass;
        }
        seen.lock().unwrap().push(asked.clone());
        Deed::Refuse(401, vec![])
    });
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    assert_eq!(world.front.count(token_request), 2, "all who were refused share one request:\n{}", world.front.story());
    let refused = refused.lock().unwrap().clone();
    assert!(!refused.is_empty());
    let all = world.front.asked();
    for one in refused.iter().filter(|one| !one.is_watch()) {
        let again = |asked: &&Asked| {
            asked.at > one.at && asked.token != one.token && (&asked.path, &asked.body) == (&one.path, &one.body)
        };
        assert!(all.iter().any(|asked| again(&asked)), "{} {} was lost", one.method, one.path);
    }
    let numbers = operator.context.metrics.text(world.clock.now()).unwrap();
    assert!(!numbers.contains(r#"result="failed""#), "{numbers}");
}

#[tokio::test]
async fn a_call_that_is_refused_with_a_new_token_too_is_not_repeated_again() {
    let world = World::new(QUICK).await;
    world.night();
    let _operator = world.operator();
    world.phase(NIGHT, "Working").await;
    world.front.rule(|asked| if asked.token.is_some() { Deed::Refuse(401, vec![]) } else { Deed::Pass });
    let before = world.front.asked().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = world.front.asked().split_off(before);
    let tokens = asked.iter().filter(|one| token_request(one)).count();
    assert!(tokens <= 6, "{tokens} tokens in three seconds, of {} requests", asked.len());
    assert!(asked.len() < 120, "{}", asked.len());
    world.front.calm();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

#[tokio::test]
async fn tenants_that_give_no_token_or_are_slow_hold_only_themselves() {
    let world = World::new(QUICK).await;
    for account in ["rifiutato", "lento"] {
        world.tenant(account);
        world.runbook(account, account, &["ricetta"]);
    }
    world.service("cup");
    world.runbook("altro", "lavori-notturni", &["cup"]);
    world.front.rule(|asked| match () {
        () if asked.is("POST", "/rifiutato/token") => Deed::Refuse(403, vec![]),
        () if asked.is("POST", "/lento/token") => Deed::Swallow,
        () => Deed::Pass,
    });
    let _operator = world.operator();
    world.declare("sola", "aggiornamento", 3600);
    let alone = world.phase("sola", "Armed").await;
    for n in 0..60 {
        world.declare(&format!("lenta-{n}"), "lento", 3600);
    }
    world.declare("rifiutata", "rifiutato", 3600);
    world.declare("vicina", "altro", 3600);
    let beside = world.phase("vicina", "Armed").await;
    assert!(beside < alone + Duration::from_secs(1), "{alone:?} alone, {beside:?} beside them");
    world.phase("rifiutata", "Pending").await;
    let why = world.status("rifiutata")["why"].as_str().unwrap().to_owned();
    assert!(why.contains("no token for ServiceAccount centro-dati/rifiutato"), "{why}");
}
