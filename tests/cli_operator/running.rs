//! What `notturno operator` does about an address for pings while it runs, as its log and its numbers say.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notturno::api::manifests::{HEARTBEAT_SECRET, HEARTBEAT_URL};

use crate::LEASE;
use crate::outside::{Cluster, cluster, monitor, tls};

/// Enough for a machine that does much else.
const SOON: Duration = Duration::from_secs(60);

/// The process; dropped, it is dead.
struct Operator {
    process: Child,
    said: Arc<Mutex<String>>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself, which is told elsewhere.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Operator {
    fn start(cluster: &Cluster, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notturno"));
        command.args(["operator", "--without-sentinel", "--listen=127.0.0.1:0", "--heartbeat-every=10s"]).args(arguments);
        command.env_clear().env("KUBECONFIG", &cluster.kubeconfig).envs(environment.iter().copied());
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let own = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *own.lock().unwrap() += &format!("{line}\n");
            }
        });
        Self { process, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Its numbers, once it says where.
    async fn metrics(&self) -> Option<String> {
        let said = self.said();
        let (_, rest) = said.split_once("listen=")?;
        let address = rest.split_whitespace().next().filter(|_| rest.contains(char::is_whitespace))?;
        let socket = tokio::net::TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(socket)).await.ok()?;
        tokio::spawn(connection);
        let request = http::Request::get("/metrics").header("host", address);
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).ok()?;
        let body = sender.send_request(request).await.ok()?.into_body();
        let bytes = http_body_util::BodyExt::collect(body).await.ok()?.to_bytes();
        String::from_utf8(bytes.to_vec()).ok()
    }

    /// Waits until a series has a value of one at least.
    async fn counts(&self, series: &str) {
        let is_there = |text: &str| text.lines().any(|line| line.starts_with(series) && !line.ends_with(" 0"));
        let waited = tokio::time::timeout(SOON, async {
            while !self.metrics().await.is_some_and(|text| is_there(&text)) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{series}: {}", self.said()));
    }
}

fn pings(result: &str) -> String {
    format!("notturno_heartbeat_pings_total{{result=\"{result}\"}}")
}

#[tokio::test]
async fn an_address_in_the_secret_that_cannot_be_used_keeps_no_operator_from_running() {
    let cluster = cluster().await;
    for (arguments, bad, words) in [
        (&[LEASE][..], "segreto", "it is no URL"),
        (&[LEASE], "https://io:segreto@spia.example/", "before its host"),
        (&[], "https://spia.example/segreto", "a heartbeat needs --lease-namespace"),
    ] {
        let operator = Operator::start(&cluster, arguments, &[(HEARTBEAT_URL, bad)]);
        operator.counts(&pings("failed")).await;
        if arguments.contains(&LEASE) {
            operator.counts("notturno_leader").await;
        }
        let said = operator.said();
        let error = said.lines().find(|line| line.contains("ERROR") && line.contains(HEARTBEAT_URL));
        assert!(error.is_some_and(|error| error.contains(words) && error.contains(HEARTBEAT_SECRET)), "{said}");
        assert!(!said.contains("segreto") && !said.contains("spia"), "{said}");
    }
}

#[tokio::test]
async fn an_empty_address_in_the_secret_is_none() {
    let cluster = cluster().await;
    let operator = Operator::start(&cluster, &[LEASE], &[(HEARTBEAT_URL, " \n")]);
    operator.counts("notturno_heartbeat_timestamp_seconds").await;
    let numbers = operator.metrics().await.expect("numbers");
    assert!(!numbers.contains("notturno_heartbeat_pings_total{"), "{numbers}");
    assert!(!operator.said().contains("ERROR"), "{}", operator.said());
}

#[tokio::test]
async fn a_monitor_is_asked_over_tls_if_its_authority_is_known_and_nothing_of_its_address_is_logged() {
    let cluster = cluster().await;
    let (address, mut asked, _serving) = monitor().await;
    let url = format!("https://localhost:{}/segreto", address.port());
    let log = "--log=trace";
    for (authority, result) in [("authority.pem", "ok"), ("monitor.pem", "failed")] {
        let trusted = tls(authority);
        let environment = [(HEARTBEAT_URL, url.as_str()), ("SSL_CERT_FILE", trusted.to_str().unwrap())];
        let operator = Operator::start(&cluster, &[LEASE, log], &environment);
        operator.counts(&pings(result)).await;
        assert_eq!(asked.try_recv().ok().as_deref(), (result == "ok").then_some("/segreto"));
        let said = operator.said();
        assert!(said.contains("TRACE") || said.contains("DEBUG"), "much is logged: {said}");
        assert!(!said.contains("segreto") && !said.contains("localhost"), "{said}");
    }
}
