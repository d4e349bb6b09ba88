//! A night whose probe or check may never be asked is not armed, and its rehearsal says so.

use std::future::ready;
use std::sync::Arc;

use futures::FutureExt;
use notturno::operator::effects::{Judge, Unasked};
use notturno::operator::http_allow::HttpAllow;
use notturno::operator::http_get;
use serde_json::{Value, json};

use crate::rehearsal::{findings, message};
use crate::world::{NIGHT, World};

const OUTSIDE: &str = "http://www.example.org/health";

/// The shipped judge, where names of the cluster are resolved by this test.
fn judge(allow: &[&str]) -> Judge {
    let allow = HttpAllow::and(allow.iter().map(|text| text.parse().unwrap()).collect());
    let shipped = http_get::network(allow.clone()).judge;
    Arc::new(move |url: String| {
        let host = url.parse::<http::Uri>().unwrap().host().unwrap().to_owned();
        match host.as_str() {
            known if known.ends_with(".sanita") => ready(Ok(())).boxed(),
            "www.example.org" if allow.host(&host).is_ok() => ready(Ok(())).boxed(),
            "sparita.altrove" => ready(Err(Unasked::Unknown("no such host".to_owned()))).boxed(),
            _ => shipped(url),
        }
    })
}

/// A probe of a service, and the check of a step at the end, ask `url`.
fn asks(object: &mut Value, url: &str) {
    if object["metadata"]["name"] == "cup" {
        object["spec"]["reopen"]["probes"][0]["http"]["url"] = json!(url);
    }
    if object["kind"] == "Runbook" {
        let last = object["spec"]["steps"].as_array().unwrap().last().unwrap()["name"].clone();
        let check = json!({"name": "controlla", "needs": [last], "budget": "1m", "http": {"url": url}});
        object["spec"]["steps"].as_array_mut().unwrap().push(check);
    }
}

fn claimed(world: &World) -> usize {
    let token = |object: &Value| object["metadata"]["annotations"]["notturno.dev/token"].is_string();
    world.embedded.objects().iter().filter(|object| token(object)).count()
}

#[tokio::test(start_paused = true)]
async fn a_night_whose_probe_and_check_may_not_be_asked_is_not_armed_and_says_why_until_it_may() {
    let world = World::new(false);
    world.declare(|object| asks(object, OUTSIDE));
    let first = world.operator_where(judge(&[]));
    world.until("2023-02-09T18:40:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!(status["phase"], "Pending", "{status:#}");
    let why = status["why"].as_str().unwrap().to_owned();
    let words = format!("{OUTSIDE} would never be asked: www.example.org is no Service of the cluster");
    assert_eq!(why.matches(&words).count(), 2, "{why}");
    assert!(why.contains("PublicService/sanita/cup, probe vive: ") && why.contains("step controlla, http: "), "{why}");
    assert!(why.contains("--http-allow www.example.org"), "{why}");
    assert_eq!(claimed(&world), 0);
    first.stopped().await;
    let _second = world.operator_where(judge(&["example.org"]));
    world.until("2023-02-09T18:45:00+01:00").await;
    assert_eq!(world.status(NIGHT)["phase"], "Armed");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_never_becomes_known_cancels_the_night_at_its_latest_start_with_the_reason() {
    let world = World::new(false);
    world.declare(|object| asks(object, "http://sparita.altrove/health"));
    let _operator = world.operator_where(judge(&[]));
    assert_eq!(world.outcome(NIGHT).await, "Cancelled");
    let why = world.status(NIGHT)["why"].as_str().unwrap().to_owned();
    assert!(why.contains("sparita.altrove/health would never be asked: no such host"), "{why}");
    assert_eq!(claimed(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_names_each_address_that_would_never_be_asked_once() {
    let world = crate::rehearsal::world(|object| asks(object, OUTSIDE)).await;
    let _operator = world.operator_where(judge(&[]));
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let status = world.status(NIGHT);
    let expected = [["PublicService/sanita/cup", "probe vive"], ["the runbook", "step controlla, http"]];
    assert_eq!(findings(&status), expected.map(|[object, path]| ["NeverAsked", object, path].map(str::to_owned)), "{status:#}");
    assert!(message(&status, "PublicService/sanita/cup").contains("--http-allow www.example.org"));
}
