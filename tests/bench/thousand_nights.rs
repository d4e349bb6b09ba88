//! A thousand nights that wait: what the operator's process holds in memory, and what it asks of the API server, over ten idle minutes.
//!
//! In: the program as it was built, the embedded API over TCP. Out: numbers on stdout. `NIGHTS` and `IDLE_SECONDS` change both. Invariants:
//! loopback only; the process that is started is ended. Run it with
//! `cargo test --features bench --test thousand-nights -- --nocapture`. Not here: a limit for other machines than this one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![allow(clippy::disallowed_methods, reason = "the world outside has clocks and an environment")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::body::Body as Served;
use http_body_util::BodyExt;
use notturno::cli::read::read_texts;
use notturno::clock::Clock;
use notturno::embedded::{Embedded, Verb};
use serde_json::{Value, json};

const TENANTS: usize = 20;

struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself, which is told elsewhere.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Operator {
    fn start(kubeconfig: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notturno"));
        command
            .args(["operator", "--without-sentinel", "--listen", "127.0.0.1:0", "--log", "warn"])
            .env("KUBECONFIG", kubeconfig);
        command.env_remove("KUBERNETES_SERVICE_HOST");
        Self(command.stdin(Stdio::null()).spawn().expect("the operator starts"))
    }

    /// KiB, from `/proc`.
    fn status(&self, field: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it lives");
        let line = text.lines().find(|line| line.starts_with(field)).expect("a field");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn count(&self, what: &str) -> usize {
        std::fs::read_dir(format!("/proc/{}/{what}", self.0.id())).map(Iterator::count).unwrap_or_default()
    }
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A data centre with so many tenants and nights, each with its own service, object and Job.
fn world(nights: usize) -> Embedded {
    let embedded = Embedded::new(Clock::starting_at("2023-02-09T20:00:00+01:00".parse().unwrap()));
    for definition in notturno::api::manifests::crds() {
        embedded.register_definition(&serde_json::to_value(definition).unwrap()).unwrap();
    }
    let create = |object: Value| drop(embedded.create(object).unwrap());
    create(json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "OfficeCalendar", "metadata": {"name": "molti"},
        "spec": {"timeZone": "UTC", "hours": "Mo-Su 07:00-19:00"}}));
    for tenant in 0..TENANTS.min(nights) {
        let namespace = format!("molti-{tenant}");
        create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lavori", "namespace": namespace}}));
        create(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "lavoro", "namespace": namespace},
            "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "lavoro", "image": "registro.example/lavori:1"}]}}}}}}));
    }
    let template = include_str!("../real/oggetti/piccola.yaml");
    for night in 0..nights {
        let text = template.replace("molti/", &format!("molti-{}/", night % TENANTS));
        let text = text.replace("namespace: molti", &format!("namespace: molti-{}", night % TENANTS));
        let text = text.replace("{{N}}", &format!("{night:04}")).replace("{{MARGIN}}", "5m");
        let text = text.replace("{{START}}", "2023-02-10T00:30:00Z");
        for document in read_texts([("piccola.yaml", text.as_bytes())]).expect("the template") {
            create(document.value);
        }
    }
    embedded
}

async fn serve(embedded: Embedded, listener: tokio::net::TcpListener) {
    let client = embedded.client("notturno");
    let answer = move |request: axum::extract::Request| {
        let client = client.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let answer = client.send(http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()))).await.unwrap();
            let (mut parts, body) = answer.into_parts();
            parts.headers.remove(http::header::CONTENT_LENGTH);
            http::Response::from_parts(parts, Served::new(body))
        }
    };
    axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap();
}

fn armed(embedded: &Embedded) -> usize {
    embedded.objects().iter().filter(|one| one["kind"] == "Intervention" && one["status"]["phase"] == "Armed").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_nights_that_wait_fit_in_64_mib_and_ask_nothing_but_the_one_watch() {
    let (nights, idle) = (number("NIGHTS", 1000), number("IDLE_SECONDS", 600));
    let embedded = world(nights);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve(embedded.clone(), listener));
    let kubeconfig = std::env::temp_dir().join(format!("notturno-bench-{}.yaml", std::process::id()));
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a", "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {}}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]});
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let operator = Operator::start(&kubeconfig);
    let began_at = Instant::now();
    while armed(&embedded) < nights {
        assert!(began_at.elapsed() < Duration::from_secs(900), "only {} of {nights} are armed", armed(&embedded));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mib = |field: &str| f64::from(u32::try_from(operator.status(field)).unwrap()) / 1024.0;
    let requests = || embedded.counts().values().sum::<u64>();
    println!(
        "{nights} nights of {TENANTS} tenants armed after {:.0} s, {} requests",
        began_at.elapsed().as_secs_f64(),
        requests()
    );
    println!("armed: VmRSS {:.1} MiB, VmHWM {:.1} MiB", mib("VmRSS"), mib("VmHWM"));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (before, kept) = (embedded.counts(), requests());
    tokio::time::sleep(Duration::from_secs(u64::try_from(idle).unwrap())).await;
    let asked =
        embedded.counts().into_iter().map(|(key, count)| (key.clone(), count - before.get(&key).copied().unwrap_or_default()));
    let asked: Vec<_> = asked.filter(|(_, count)| *count > 0).collect();
    println!("idle for {idle} s: {} requests: {asked:?}", requests() - kept);
    println!(
        "after: VmRSS {:.1} MiB, VmHWM {:.1} MiB, {} threads, {} descriptors",
        mib("VmRSS"),
        mib("VmHWM"),
        operator.count("task"),
        operator.count("fd")
    );
    let rss = mib("VmRSS");
    drop(operator);
    serving.abort();
    std::fs::remove_file(kubeconfig).unwrap();
    assert!(asked.iter().all(|((verb, _, plural), _)| *verb == Verb::Watch && plural == "interventions"), "{asked:?}");
    assert!(rss <= 64.0, "{rss} MiB");
}
