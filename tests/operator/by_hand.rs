//! The page for people was followed to its end, and an operator comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::client::Body;
use serde_json::{Value, json};

use crate::pasted::{Shell, blocks};
use crate::world::{NIGHT, WORK, World};

/// What a person asked kubectl for, as the API is asked.
struct Asked<'a> {
    verb: &'a str,
    namespace: &'a str,
    words: Vec<&'a str>,
}

fn asked(call: &[String]) -> Asked<'_> {
    let words: Vec<&str> = call.iter().map(String::as_str).collect();
    let (namespace, words) = if words[0] == "-n" { (words[1], &words[2..]) } else { ("", &words[..]) };
    let rest = words[1..].iter().copied().filter(|word| !["--overwrite", "--ignore-not-found"].contains(word));
    Asked { verb: words[0], namespace, words: rest.collect() }
}

/// Where the objects of `plural.version.group`, or of a plural of the core, stand.
fn place(resource: &str, namespace: &str, name: &str) -> String {
    let parts: Vec<&str> = resource.splitn(3, '.').collect();
    match parts[..] {
        [plural, version, group] => format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}"),
        _ => format!("/api/v1/namespaces/{namespace}/{resource}/{name}"),
    }
}

async fn send(world: &World, method: &str, path: &str, media: &str, body: String) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", media);
    let answer = world.embedded.client("maria").send(request.body(Body::from(body.into_bytes())).unwrap()).await.unwrap();
    assert!(answer.status().is_success() || method == "DELETE", "{method} {path}: {}", answer.status());
}

/// Does what was asked; whether it was the operator's end.
async fn done(world: &World, call: &[String]) -> bool {
    let Asked { verb, namespace, words } = asked(call);
    match (verb, &words[..]) {
        ("annotate", [resource, name, marks @ ..]) => {
            let mark = |mark: &&str| match mark.split_once('=') {
                Some((name, value)) => (name.to_owned(), json!(value)),
                None => (mark.trim_end_matches('-').to_owned(), Value::Null),
            };
            let annotations: BTreeMap<String, Value> = marks.iter().map(mark).collect();
            let body = json!({"metadata": {"annotations": annotations}}).to_string();
            send(world, "PATCH", &place(resource, namespace, name), "application/merge-patch+json", body).await;
        }
        ("patch", [resource, name, form, "-p", body]) => {
            let media = if *form == "--type=json" { "application/json-patch+json" } else { "application/merge-patch+json" };
            send(world, "PATCH", &place(resource, namespace, name), media, (*body).to_owned()).await;
        }
        ("delete", ["pods", "-A", "-l", operator]) => {
            assert!(operator.contains("component=operator"), "{operator}");
            return true;
        }
        ("delete", ["deployments.v1.apps", "-l", sentinel]) => {
            assert!(sentinel.contains("role=sentinel"), "{sentinel}");
            if let Some(deployment) = world.switch() {
                let name = deployment["metadata"]["name"].as_str().unwrap();
                send(world, "DELETE", &place("deployments.v1.apps", namespace, name), "application/json", String::new()).await;
            }
        }
        ("delete", [resource, name]) => {
            send(world, "DELETE", &place(resource, namespace, name), "application/json", String::new()).await;
        }
        ("get" | "sleep", _) => {}
        _ => panic!("nobody knows what this does: {call:?}"),
    }
    false
}

/// Follows the page in mid-upgrade, from its first block to its last; `lives` is for how long the operator that was left running goes on
/// beside each command. Then a person makes something else of what is open, and an operator comes back.
async fn followed(lives: Option<Duration>) {
    let world = World::new(true);
    world.declare(|_| {});
    let mut operator = Some(world.operator_guarded());
    world.until("2023-02-10T02:30:00+01:00").await;
    if lives.is_none() {
        operator = None;
    }
    let read = world.ledger().await;
    let map = format!("notturno-{NIGHT}-{}", &read.plan.uid[..8]);
    let data = |name: &str| world.embedded.object("", "configmaps", WORK, &format!("{map}-{name}")).unwrap()["data"].clone();
    let records =
        data("ledger").as_object().unwrap().values().map(|one| one.as_str().unwrap().to_owned() + "\n").collect::<String>();
    let name = format!("returns-{}", lives.is_some());
    let shell = Shell::with(&name, &records, "Complete ").and_night(&read.plan.uid);
    let page = data("plan")["by-hand.md"].as_str().unwrap().to_owned();
    let (calls, good) = shell.run(&blocks(&page).join("\n"));
    assert!(good, "{page}");
    for call in &calls {
        if done(&world, call).await && operator.is_some() {
            drop(operator.take());
            operator = Some(world.operator_guarded());
        }
        tokio::time::sleep(lives.unwrap_or_default()).await;
    }
    let more = json!({"spec": {"replicas": 5}}).to_string();
    let path = place("deployments.v1.apps", "sanita", "accesso-ts");
    send(&world, "PATCH", &path, "application/merge-patch+json", more).await;
    let left = world.restored();
    assert!(left.iter().all(|one| !one["annotations"].to_string().contains("notturno.dev/token")), "{left:#?}");
    let operator = operator.unwrap_or_else(|| world.operator_guarded());
    world.until("2023-02-10T12:00:00+01:00").await;
    assert_eq!(world.restored(), left, "it opens what the person has opened, and stamps what the person has cleared");
    assert_eq!(world.switch(), None, "it makes a sentinel again");
    drop(operator);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_started_again_after_the_page_changes_nothing() {
    followed(None).await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_was_left_running_beside_the_page_changes_nothing_after_it() {
    followed(Some(Duration::from_secs(20))).await;
}
