//! Whose hands do the work, and for how long.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use notturno::embedded::{Fault, Stage};
use notturno::operator::connect::client_for_token;
use notturno::operator::effects::ledger::read;
use notturno::operator::effects::{LIMIT, Tenant, Tenants};

use crate::scene::*;

fn tenants(scene: &Scene) -> (Tenants, Arc<AtomicU32>) {
    let made = Arc::new(AtomicU32::new(0));
    let (api, count) = (scene.api.clone(), Arc::clone(&made));
    let client = move |token: &str| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(api.client_for_token(token))
    };
    (Tenants::new(scene.api.client("notturno"), Arc::new(client)), made)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_kept_and_renewed_before_three_quarters_of_its_life() {
    let scene = Scene::by_day();
    let (tenants, made) = tenants(&scene);
    for minutes in [0, 20, 40, 44] {
        let now = scene.api.clock().now();
        scene.api.clock().sleep_until(at("2026-11-24T23:00:00Z") + jiff::SignedDuration::from_mins(minutes)).await;
        let tenant = tenants.of("centro-dati", "lavori-notturni").await.unwrap();
        assert!(read(&tenant, "x", "y").await.unwrap().is_none(), "{now}");
    }
    assert_eq!(made.load(Ordering::Relaxed), 2);
    let mut users: Vec<String> = scene.api.log().into_iter().map(|logged| logged.request.user).collect();
    users.dedup();
    assert!(users.contains(&"system:serviceaccount:centro-dati:lavori-notturni".to_owned()), "{users:?}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_the_token_that_is_still_good() {
    let scene = Scene::by_day();
    let (tenants, _) = tenants(&scene);
    tenants.of("centro-dati", "lavori-notturni").await.unwrap();
    scene.fault(|request, stage| {
        let token = request.subresource == "token" && stage == Stage::Before;
        if token { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    });
    seconds(50 * 60).await;
    assert!(tenants.of("centro-dati", "lavori-notturni").await.is_ok());
    seconds(10 * 60).await;
    assert!(tenants.of("centro-dati", "lavori-notturni").await.is_err(), "it has expired");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_server_no_longer_takes_is_asked_anew() {
    let scene = Scene::by_day();
    let (tenants, made) = tenants(&scene);
    let tenant = tenants.of("centro-dati", "lavori-notturni").await.unwrap();
    seconds(2).await;
    scene.fault(|_, stage| if stage == Stage::Before { Fault::Status(401, "Unauthorized".into()) } else { Fault::None });
    assert!(read(&tenant, "x", "y").await.is_err());
    scene.set_calm();
    tenants.of("centro-dati", "lavori-notturni").await.unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

fn hanging_tokens(scene: &Scene) {
    scene.fault(
        |request, stage| {
            if request.subresource == "token" && stage == Stage::Before { Fault::Hang } else { Fault::None }
        },
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_holds_nobody_who_has_a_good_token() {
    let scene = Scene::by_day();
    let (tenants, _) = tenants(&scene);
    tenants.of("centro-dati", "lavori-notturni").await.unwrap();
    hanging_tokens(&scene);
    seconds(45 * 60).await;
    let since = scene.api.clock().now();
    let all = futures::future::join_all((0..20).map(|_| tenants.of("centro-dati", "lavori-notturni"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert!(tenants.of("centro-dati", "lavori-notturni").await.is_ok());
    let took = scene.api.clock().now().duration_since(since);
    assert!(took <= jiff::SignedDuration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_token_that_hangs_learn_it_together() {
    let scene = Scene::by_day();
    let (tenants, _) = tenants(&scene);
    hanging_tokens(&scene);
    let since = scene.api.clock().now();
    let late = async {
        seconds(5).await;
        tenants.of("centro-dati", "lavori-notturni").await
    };
    let early = futures::future::join_all((0..20).map(|_| tenants.of("centro-dati", "lavori-notturni")));
    let (early, late) = futures::join!(early, late);
    assert!(early.iter().all(Result::is_err) && late.is_err());
    let took = scene.api.clock().now().duration_since(since);
    assert!(took <= jiff::SignedDuration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_account_that_is_not_there_is_named() {
    let scene = Scene::by_day();
    let error = tenants(&scene).0.of("centro-dati", "nessuno").await.err().unwrap();
    assert_eq!(error.to_string(), "no token for ServiceAccount centro-dati/nessuno");
}

/// The real stack, over a socket: the token, the server's own deadline, and no second try.
#[tokio::test]
async fn a_real_client_bears_the_token_tells_the_deadline_and_does_not_retry() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let client = client_for_token(&config, LIMIT)("secret").unwrap();
    let busy = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let length = socket.read(&mut request).unwrap();
        let body = r#"{"kind":"Status","code":429,"reason":"TooManyRequests"}"#;
        let answer = format!("HTTP/1.1 429 Too Many\r\nretry-after: 36000\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let tenant = Tenant::new(client, "centro-dati", "lavori-notturni");
    let error = read(&tenant, "x", "0f0e0d0c").await.unwrap_err();
    assert_eq!(error.advice(), notturno::operator::effects::Advice::RetryLater, "{error:?}");
    let request = busy.join().unwrap().to_lowercase();
    assert!(
        request.starts_with("get /api/v1/namespaces/centro-dati/configmaps/notturno-x-0f0e0d0c-plan?timeout=10s "),
        "{request}"
    );
    assert!(request.contains("authorization: bearer secret"), "{request}");
}

#[tokio::test]
async fn a_real_client_can_speak_tls() {
    let config = kube::Config::new("https://127.0.0.1:1".parse().unwrap());
    assert!(client_for_token(&config, LIMIT)("secret").is_ok());
}
