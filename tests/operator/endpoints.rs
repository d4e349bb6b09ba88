//! What the kubelet and Prometheus ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use notturno::operator::effects::Unasked;
use notturno::operator::http_allow::HttpAllow;
use notturno::operator::{ServerTime, health, http_get, run};
use tokio::sync::watch;

use crate::world::World;

#[tokio::test]
async fn the_endpoints_say_that_the_loop_turns_that_all_was_seen_and_what_was_counted() {
    let world = World::new(false);
    let operator = world.operator();
    let context = operator.context.clone();
    drop(operator);
    let (health, pulse) = health::health(context.metrics.clone(), ServerTime::of(world.clock));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(health::serve(listener, health));
    let get = http_get::network(HttpAllow::and(vec!["127.0.0.0/8".parse().expect("a network")])).getter;
    let ask = |path: &str| get(format!("http://{address}/{path}"));
    assert_eq!(ask("healthz").await, Ok(503), "no loop turns yet");
    assert_eq!(ask("readyz").await, Ok(503));
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(context, pulse, stopped));
    for _ in 0..50 {
        if ask("readyz").await == Ok(200) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!([ask("readyz").await, ask("healthz").await, ask("metrics").await], [Ok(200), Ok(200), Ok(200)]);
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_the_api_servers_and_never_earlier() {
    let world = World::new(false);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let time = ServerTime::measured(&world.embedded.client("notturno"), || jiff::Timestamp::UNIX_EPOCH).await;
    let ahead = time.now().duration_since(world.clock.now());
    assert!(!ahead.is_negative() && ahead.as_millis() <= 1000, "{ahead:?}");
}

/// A server on loopback that answers every connection with these bytes, without end where they say no length, and counts them.
async fn answering(answer: String) -> (SocketAddr, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let serving = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            socket.readable().await.unwrap();
            let _ = socket.try_read(&mut [0; 1024]);
            let mut going = write(&socket, answer.as_bytes()).await;
            while going && !answer.contains("Content-Length") {
                going = write(&socket, &[b'x'; 4096]).await;
            }
        }
    });
    (address, asked, serving)
}

/// Whether it could be written.
pub async fn write(socket: &tokio::net::TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if socket.writable().await.is_err() {
            return false;
        }
        match socket.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

fn on_loopback() -> HttpAllow {
    HttpAllow::and(vec!["127.0.0.0/8".parse().unwrap()])
}

#[tokio::test]
async fn loopback_and_the_metadata_of_clouds_are_not_asked_unless_loopback_is_allowed() {
    let (address, asked, serving) = answering("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".into()).await;
    let strict = http_get::network(HttpAllow::default()).getter;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let refused = strict(format!("http://{host}:{}/", address.port())).await;
        assert!(refused.as_ref().is_err_and(|why| why.contains("--http-allow")), "{host}: {refused:?}");
    }
    let refused = (http_get::network(on_loopback()).getter)("http://169.254.169.254/latest/meta-data".to_owned()).await;
    assert!(refused.as_ref().is_err_and(|why| why.contains("is not asked")), "{refused:?}");
    assert!(strict("https://127.0.0.1/".to_owned()).await.is_err_and(|why| why.contains("not an http:// address")));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!((http_get::network(on_loopback()).getter)(format!("http://localhost:{}/x?y=z", address.port())).await, Ok(204));
    serving.abort();
}

#[tokio::test]
async fn an_address_is_judged_by_day_as_at_night_and_not_asked() {
    let (address, asked, serving) = answering("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".into()).await;
    let [strict, loopback] = [HttpAllow::default(), on_loopback()].map(|allow| http_get::network(allow).judge);
    let url = format!("http://localhost:{}/", address.port());
    assert_eq!(loopback(url.clone()).await, Ok(()));
    for url in [url.as_str(), "http://www.example.org/", "https://127.0.0.1/"] {
        let forbidden = strict(url.to_owned()).await;
        assert!(matches!(forbidden, Err(Unasked::Forbidden(_))), "{url}: {forbidden:?}");
    }
    // No resolver has such a name: a label has 63 characters at most.
    let unknown = strict(format!("http://{}.sanita/", "a".repeat(64))).await;
    assert!(matches!(unknown, Err(Unasked::Unknown(_))), "{unknown:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    serving.abort();
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_a_body_without_end_is_left() {
    let (other, asked, serving_other) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: http://{other}/\r\nContent-Length: 0\r\n\r\n");
    let (address, _, serving) = answering(redirect).await;
    let get = http_get::network(on_loopback()).getter;
    assert_eq!(get(format!("http://{address}/")).await, Ok(302));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody follows it");
    let (endless, _, serving_endless) = answering("HTTP/1.1 200 OK\r\n\r\n".into()).await;
    let answer = tokio::time::timeout(Duration::from_secs(6), get(format!("http://{endless}/"))).await;
    assert_eq!(answer, Ok(Ok(200)));
    for serving in [serving_other, serving, serving_endless] {
        serving.abort();
    }
}

#[tokio::test]
async fn a_request_names_the_host_and_the_whole_path() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            socket.readable().await.unwrap();
            let mut bytes = [0; 1024];
            if let Ok(count) = socket.try_read(&mut bytes) {
                request.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
        }
        assert!(write(&socket, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").await);
        request.to_lowercase()
    });
    assert_eq!(
        (http_get::network(on_loopback()).getter)(format!("http://localhost:{port}/salute/pronto?per=notte")).await,
        Ok(204)
    );
    let request = serving.await.unwrap();
    assert!(request.starts_with("get /salute/pronto?per=notte http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: localhost:{port}\r\n")), "{request}");
}

/// Time jumps as soon as nothing else happens, and nothing ever does.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_left_after_five_seconds() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let since = tokio::time::Instant::now();
    let answer = (http_get::network(on_loopback()).getter)(format!("http://{}/", listener.local_addr().unwrap())).await;
    assert_eq!(answer, Err("no answer within 5s".to_owned()));
    assert_eq!(since.elapsed().as_secs(), 5);
}
