//! Pings over real sockets: what is asked, what counts as an answer, what may be said of it, and which flags are taken.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notturno::operator::heartbeat::{self, Every, Ping, PingError, PingUrl};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::endpoints::write;
use crate::lease::{led, two};
use crate::world::World;

/// A monitor on loopback that answers each connection so, and keeps what it was asked.
async fn monitor(answer: String) -> (SocketAddr, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(vec![]));
    let (own, mut tasks) = (Arc::clone(&asked), JoinSet::new());
    tasks.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let request = asked_on(&socket).await;
            own.lock().unwrap().push(request);
            let mut going = write(&socket, answer.as_bytes()).await;
            while going && !answer.contains("Content-Length") {
                going = write(&socket, &[b'x'; 4096]).await;
            }
        }
    });
    (address, asked, tasks)
}

/// All that comes before the end of a request's head, or of the connection.
async fn asked_on(socket: &tokio::net::TcpStream) -> String {
    let (mut text, mut bytes) = (String::new(), [0; 2048]);
    while !text.ends_with("\r\n\r\n") && socket.readable().await.is_ok() {
        match socket.try_read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&bytes[..count])),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    text
}

fn get(url: &str) -> Ping {
    heartbeat::get(url.parse::<PingUrl>().expect("an address"))
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn the_one_that_leads_pings_a_real_server_and_the_other_one_after_it() {
    let (address, asked, _serving) = monitor(NO_CONTENT.to_owned()).await;
    let world = World::new(false);
    let both = two(&world);
    let heartbeats = both.each_ref().map(|replica| {
        let name = if std::ptr::eq(replica, &raw const both[0]) { "uno" } else { "due" };
        let every = Duration::from_millis(500);
        let (heart, metrics) = (replica.context.heart.clone(), replica.context.metrics.clone());
        tokio::spawn(heartbeat::beat(get(&format!("http://{address}/{name}?per=notte")), every, heart, metrics))
    });
    let first = pinged_by(&asked, 3).await;
    assert!(first.iter().all(|line| *line == first[0]), "only one of them: {first:?}");
    let (leader, _other) = led(both);
    leader.stopped().await;
    asked.lock().unwrap().clear();
    let then = pinged_by(&asked, 4).await;
    assert!(then[1..].iter().all(|line| *line != first[0]), "one that was under way at the most: {then:?}");
    let request = asked.lock().unwrap()[0].to_lowercase();
    assert!(request.contains(&format!("\r\nhost: {address}\r\n")) && request.contains("user-agent: notturno"), "{request}");
    heartbeats.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The first lines of so many requests, once they have come.
async fn pinged_by(asked: &Mutex<Vec<String>>, count: usize) -> Vec<String> {
    let lines =
        || asked.lock().unwrap().iter().map(|text| text.lines().next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while lines().len() < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{:?}", lines()));
    let lines = lines();
    assert!(lines.iter().all(|line| ["GET /uno?per=notte HTTP/1.1", "GET /due?per=notte HTTP/1.1"].contains(&line.as_str())));
    lines
}

#[tokio::test]
async fn only_an_answer_of_success_counts_a_redirect_is_not_followed_and_no_body_is_read() {
    let (other, followed, _other) = monitor(NO_CONTENT.to_owned()).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: http://{other}/\r\nContent-Length: 0\r\n\r\n");
    let (address, _, _serving) = monitor(redirect).await;
    assert_eq!(get(&format!("http://{address}/"))().await, Err(PingError::Answered(302)));
    assert_eq!(followed.lock().unwrap().len(), 0);
    let (endless, _, _endless) = monitor("HTTP/1.1 200 OK\r\n\r\n".to_owned()).await;
    let answer = tokio::time::timeout(Duration::from_secs(4), get(&format!("http://{endless}/"))()).await;
    assert_eq!(answer, Ok(Ok(())));
    let (broken, _, _broken) = monitor("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    assert_eq!(get(&format!("http://{broken}/"))().await, Err(PingError::Answered(500)));
}

/// It says neither HTTP nor TLS, to anybody, at once.
async fn babbling() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, mut tasks) = (listener.local_addr().unwrap(), JoinSet::new());
    tasks.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            write(&socket, b"buona notte\n").await;
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn words_about_a_ping_that_failed_say_nothing_of_where_it_went() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (babbles, _babbling) = babbling().await;
    // No resolver has such a name: a label has 63 characters at most.
    let nobody = "a".repeat(64);
    for host in [format!("http://{gone}"), format!("https://{babbles}"), format!("http://{babbles}"), format!("http://{nobody}")]
    {
        let why = get(&format!("{host}/segreto"))().await.expect_err("nobody is there").to_string();
        let host = host.split_once("://").map(|(_, host)| host.split(':').next().unwrap()).unwrap();
        assert!(!why.contains("segreto") && !why.contains(host), "{why}");
        assert!(why.contains("connection") || why.contains("SSL_CERT_FILE"), "{why}");
    }
}

#[test]
fn an_address_is_http_or_https_without_a_user_and_what_is_refused_is_not_repeated() {
    for good in [
        "https://monitor.example/ping/segreto",
        "http://monitor.example:8080",
        " https://monitor.example/?a=b\n",
        "http://[fd12::1]/x",
    ] {
        let url: PingUrl = good.parse().unwrap_or_else(|why| panic!("{good}: {why}"));
        assert!(!format!("{url:?}").contains("example"), "{url:?}");
    }
    for (bad, words) in [
        ("", "no URL"),
        ("segreto", "no URL"),
        ("/segreto", "no URL"),
        ("http://", "no URL"),
        ("http:///segreto", "no URL"),
        ("https://monitor.example/segreto segreto", "no URL"),
        ("ftp://monitor.example/segreto", "neither http:// nor https://"),
        ("https://io:segreto@monitor.example/", "before its host"),
        ("https://segreto@monitor.example/", "before its host"),
    ] {
        let why = bad.parse::<PingUrl>().expect_err(bad).to_string();
        assert!(why.contains(words) && !why.contains("segreto"), "{bad}: {why}");
    }
}

#[test]
fn pings_come_every_ten_seconds_to_every_hour() {
    for (good, seconds) in [("10s", 10), ("1m30s", 90), ("1h", 3600)] {
        assert_eq!(good.parse(), Ok(Every(Duration::from_secs(seconds))));
    }
    for (bad, words) in
        [("9s", "10s at least"), ("1h1s", "3600s at most"), ("60", "no unit"), ("-60s", "negative"), ("", "missing")]
    {
        let why = bad.parse::<Every>().expect_err(bad);
        assert!(why.contains(words), "{bad}: {why}");
    }
}
