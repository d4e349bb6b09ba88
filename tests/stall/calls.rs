//! One call: no retry, its own end, whatever the server does.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams};
use notturno::operator::connect;
use notturno::operator::effects::Tenants;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::front::Deed;
use crate::world::{QUICK, WORK, World};

const SHORT: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_millis(1500);

type Call = (&'static str, futures::future::BoxFuture<'static, kube::Result<()>>);

/// Every kind of call that the operator makes.
fn calls(client: &kube::Client) -> Vec<Call> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), WORK);
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), WORK);
    let (get, patch, list, create, watch) = (maps.clone(), maps.clone(), maps.clone(), maps.clone(), maps);
    let merge = Patch::Merge(json!({"data": {"a": "b"}}));
    vec![
        ("get", async move { get.get("x").await.map(drop) }.boxed()),
        ("patch", async move { patch.patch("x", &PatchParams::default(), &merge).await.map(drop) }.boxed()),
        ("list", async move { list.list(&ListParams::default()).await.map(drop) }.boxed()),
        ("create", async move { create.create(&PostParams::default(), &ConfigMap::default()).await.map(drop) }.boxed()),
        ("watch", async move { watch.watch(&WatchParams::default(), "0").await.map(drop) }.boxed()),
        (
            "token",
            async move {
                accounts.create_token_request("lavori-notturni", &PostParams::default(), &TokenRequest::default()).await.map(drop)
            }
            .boxed(),
        ),
    ]
}

/// All calls at once: each ends with an error by its own limit.
async fn all_end(client: &kube::Client) {
    let since = Instant::now();
    let ends = calls(client).into_iter().map(|(what, call)| async move {
        let end = tokio::time::timeout(SOON, call).await;
        let error = end.unwrap_or_else(|_| panic!("{what} does not end")).expect_err(what);
        assert!(since.elapsed() >= SHORT, "{what} ends by its limit and not before: {error}");
    });
    futures::future::join_all(ends).await;
}

#[tokio::test]
async fn an_answer_that_says_wait_ends_the_call_at_once_and_is_asked_for_once() {
    let world = World::new(QUICK).await;
    let client = connect::client(&world.front.config(), SHORT).unwrap();
    for code in [429, 503, 504] {
        world.front.rule(move |_| Deed::Refuse(code, vec![("retry-after", "36000")]));
        let before = world.front.asked().len();
        for (what, call) in calls(&client) {
            let since = Instant::now();
            let error = tokio::time::timeout(SOON, call).await.unwrap_or_else(|_| panic!("{what} waits")).expect_err(what);
            let kube::Error::Api(status) = error else { panic!("{what}: {error}") };
            assert_eq!(status.code, code, "{what}");
            assert!(since.elapsed() < SHORT, "{what} took {:?}", since.elapsed());
        }
        assert_eq!(world.front.asked().len() - before, 6, "each was sent once:\n{}", world.front.story());
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up_by_every_call() {
    let world = World::new(QUICK).await;
    world.front.rule(|_| Deed::Swallow);
    all_end(&connect::client(&world.front.config(), SHORT).unwrap()).await;
}

#[tokio::test]
async fn a_listener_that_never_accepts_or_never_shakes_hands_is_given_up_by_every_call() {
    // Nobody accepts: the kernel answers, and then nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for scheme in ["http", "https"] {
        let config = kube::Config::new(format!("{scheme}://{}", listener.local_addr().unwrap()).parse().unwrap());
        all_end(&connect::client(&config, SHORT).unwrap()).await;
    }
}

#[tokio::test]
async fn a_body_that_trickles_or_stops_is_given_up_by_every_call_that_wants_a_whole_one() {
    let world = World::new(QUICK).await;
    let client = connect::client(&world.front.config(), SHORT).unwrap();
    for deed in [Deed::Trickle, Deed::Mute] {
        world.front.rule(move |_| deed.clone());
        let since = Instant::now();
        let ends = calls(&client).into_iter().filter(|(what, _)| *what != "watch").map(|(what, call)| async move {
            let end = tokio::time::timeout(SOON, call).await;
            end.unwrap_or_else(|_| panic!("{what} does not end")).expect_err(what);
            assert!(since.elapsed() >= SHORT, "{what}");
        });
        futures::future::join_all(ends).await;
    }
}

#[tokio::test]
async fn headers_that_trickle_are_given_up_by_every_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut slow = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            slow.spawn(async move {
                let mut request = [0; 4096];
                while !matches!(stream.try_read(&mut request), Ok(1..)) {
                    stream.readable().await.unwrap();
                }
                let _ = stream.try_write(b"HTTP/1.1 200 OK\r\nx-slow: ");
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let _ = stream.try_write(b"a");
                }
            });
        }
    });
    all_end(&connect::client(&config, SHORT).unwrap()).await;
}

#[tokio::test]
async fn a_connection_that_half_opened_is_given_up_and_the_next_call_gets_another() {
    let world = World::new(QUICK).await;
    let client = connect::client(&world.front.config(), SHORT).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, WORK);
    maps.list(&ListParams::default()).await.unwrap();
    // The kept connection goes silent in mid-answer, as when the other end was lost.
    world.front.rule(|_| Deed::Mute);
    let silent = tokio::time::timeout(SOON, maps.list(&ListParams::default())).await;
    silent.expect("it ends").unwrap_err();
    world.front.calm();
    let since = Instant::now();
    maps.list(&ListParams::default()).await.unwrap();
    assert!(since.elapsed() < SHORT);
}

#[tokio::test]
async fn a_watch_that_works_is_not_ended_by_the_limit_of_a_call() {
    let world = World::new(QUICK).await;
    let client = connect::client(&world.front.config(), SHORT).unwrap();
    let maps: Api<DynamicObject> = Api::namespaced_with(client, WORK, &kube::api::ApiResource::erase::<ConfigMap>(&()));
    let mut news = Box::pin(maps.watch(&WatchParams::default().timeout(20), "0").await.unwrap());
    tokio::time::sleep(2 * SHORT).await;
    world.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": WORK}}));
    let event = tokio::time::timeout(SOON, futures::TryStreamExt::try_next(&mut news)).await.unwrap().unwrap();
    assert!(matches!(event, Some(kube::core::WatchEvent::Added(_))), "{event:?}");
}

#[tokio::test]
async fn a_token_request_that_hangs_ends_by_its_own_limit_too() {
    let world = World::new(QUICK).await;
    let client = connect::client(&world.front.config(), SHORT).unwrap();
    let tenants = Tenants::new(client, Arc::new(connect::client_for_token(&world.front.config(), SHORT)));
    world.front.rule(|_| Deed::Swallow);
    let given = tokio::time::timeout(SOON, tenants.of(WORK, "lavori-notturni")).await;
    assert!(given.expect("it ends").is_err());
}
