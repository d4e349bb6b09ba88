//! What the effects make of an API server's answers: the first line says which effect, the others what is answered ([`super::server`]).

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use notturno::engine::{BurnTo, Command, Entry, Event, Interest, JobKey};
use notturno::model::plan::Plan;
use notturno::operator::ServerTime;
use notturno::operator::effects::ledger::{self, PlanIdentity};
use notturno::operator::effects::pod_security::Level;
use notturno::operator::effects::sentinel::{Image, look, stand};
use notturno::operator::effects::{Head, Judge, Preimages, Switch, Tenant, Tenants, arm, observe, perform, prove, rehearse};
use notturno::operator::lease::Elector;
use notturno::operator::metrics::Metrics;
use tokio::time::{Instant, timeout};

use super::{assert_in_proportion, sample, server::Server};

/// An effect asks no more than so often, whatever is answered.
const ASKED_MAX: usize = 2000;
/// Of the night's time; commands are tried one after another, each with calls of ten seconds.
const TAKES_MAX: Duration = Duration::from_secs(3 * 3600);
/// Several places quote what the server says, each a thousand characters of it.
const TIMES_MAX: usize = 64;

/// Takes the bytes for the name of an effect and the answers that it gets.
pub fn take(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let effect = lines.next().unwrap_or_default().to_owned();
    let server = Server::new(lines);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let said = runtime.block_on(async {
        let begun = Instant::now();
        let said = timeout(TAKES_MAX, act(&effect, &server)).await;
        let took = begun.elapsed();
        said.unwrap_or_else(|_| panic!("{effect} goes on after {took:?}"))
    });
    assert!(server.asked_count() <= ASKED_MAX, "{effect} asked {} times", server.asked_count());
    for words in &said {
        assert!(!words.trim().is_empty(), "{effect} failed without a word");
    }
    assert_in_proportion(&effect, said.iter().map(String::len).sum(), bytes.len(), TIMES_MAX);
}

/// An error with what is behind it.
fn story(error: &dyn Error) -> String {
    let behind = error.source().map(|source| format!(": {}", story(source))).unwrap_or_default();
    format!("{error}{behind}")
}

fn now() -> Timestamp {
    "2026-11-25T01:00:00Z".parse().unwrap()
}

fn entry() -> Vec<Entry> {
    vec![Entry { at: now(), event: Event::Armed {}, why: "because".to_owned() }]
}

fn head() -> Head {
    Head { seq: 1, hash: "h".to_owned() }
}

fn judge() -> Judge {
    Arc::new(|_| Box::pin(std::future::ready(Ok(()))))
}

fn image() -> Image {
    Image { name: "notturno.test/notturno:dev".to_owned(), pull_policy: "Never".to_owned() }
}

/// What was said of what failed.
async fn act(effect: &str, server: &Server) -> Vec<String> {
    let (tenant, plan) = (server.tenant(), sample::plan());
    let failed = match effect {
        "accept" => ledger::accept(&tenant, &plan, "operator-0", entry()).await.err().map(|error| story(&error)),
        "append" => ledger::append(&tenant, &plan, &head(), "operator-0", entry()).await.err().map(|error| story(&error)),
        "finish" => ledger::finish(&tenant, &plan.name, &plan.uid).await.err().map(|error| error.story()),
        "identity" => ledger::identity(&tenant, &plan).await.err().map(|error| story(&error)),
        "thaw" => ledger::thaw_live(&tenant, &plan.name, &plan.uid, "u", &ledger::plan_hash(&plan)).await.err(),
        "arm" => arm(&tenant, &plan, Level::Restricted, &judge(), &Switch::Without).await.err().map(|error| story(&error)),
        "arm-switch" => {
            let switch = Switch::Image(image());
            arm(&tenant, &plan, Level::Baseline, &judge(), &switch).await.err().map(|error| story(&error))
        }
        "rehearse" => return rehearsed(&tenant, &plan).await,
        "prove" => return prove(&tenant, &plan, &preimages(), now()).await,
        "sentinel" => return sentinel(&tenant, &plan).await,
        "observe" => return observed(&tenant, &plan).await,
        "perform" => return performed(&tenant, &plan).await,
        "time" => {
            let time = ServerTime::measured(&server.client(), now).await;
            assert!(time.width().is_none_or(|width| width <= Duration::from_secs(5)), "{:?}", time.width());
            time.unbounded()
        }
        "lease" => return lease(server).await,
        "token" => {
            let own = server.clone();
            let tenants = Tenants::new(server.client(), Arc::new(move |_| Ok(own.client())));
            tenants.of("centro-dati", "lavori-notturni").await.err().map(|error| story(&error))
        }
        _ => ledger::read(&tenant, &plan.name, &plan.uid).await.err().map(|error| story(&error)),
    };
    failed.into_iter().collect()
}

/// What arming would have captured of the sample night.
fn preimages() -> Preimages {
    let of = |resource: &str, pointer: &str, before: serde_json::Value| serde_json::json!({"uid": "u", "resource": resource, "fields": [{"pointer": pointer, "before": before}]});
    serde_json::from_value(serde_json::json!({
        "targets": {
            "sanita/ricetta/pagina": of("configmaps", "/data/chiuso", serde_json::Value::Null),
            "sanita/ricetta/backend": of("deployments", "/spec/replicas", 3.into()),
            "sanita/ricetta/batch": of("cronjobs", "/spec/suspend", false.into()),
            "sanita/cup/backend": of("deployments", "/spec/replicas", 2.into()),
        },
        "jobs": {"notte-0f0e0d0c-aggiorna": "u", "notte-0f0e0d0c-prova": "u", "notte-0f0e0d0c-aggiorna-undo-1": "u"},
    }))
    .unwrap()
}

async fn rehearsed(tenant: &Tenant, plan: &Plan) -> Vec<String> {
    match rehearse(tenant, plan, Level::Restricted, &judge(), &Switch::Image(image())).await {
        Ok(rehearsed) => {
            assert!(rehearsed.findings.iter().all(|finding| !finding.path.is_empty()), "{:?}", rehearsed.findings);
            rehearsed.findings.iter().map(ToString::to_string).chain(rehearsed.untried).collect()
        }
        Err(error) => vec![error.story()],
    }
}

async fn sentinel(tenant: &Tenant, plan: &Plan) -> Vec<String> {
    let identity = PlanIdentity { name: "p".to_owned(), uid: "u".to_owned(), hash: "h".to_owned() };
    let looked = look(tenant, plan, &identity).await.err().map(|error| error.story());
    let stood = stand(tenant, plan, &identity, &image()).await.err().map(|error| story(&error));
    looked.into_iter().chain(stood).collect()
}

async fn observed(tenant: &Tenant, plan: &Plan) -> Vec<String> {
    let interest =
        Interest { jobs: true, jobs_change: true, targets: [0, 1].into(), degraded: [0, 1].into(), changes: (0..3).collect() };
    let seen = observe(tenant, plan, &preimages(), now(), &interest).await;
    let answers = seen.services.len() + seen.jobs.len() + seen.changes.len() + seen.blind.len();
    assert!(answers > 0, "neither a fact nor the reason why there is none");
    seen.blind.iter().map(|error| story(error)).collect()
}

async fn performed(tenant: &Tenant, plan: &Plan) -> Vec<String> {
    let not_after = "2026-11-25T04:00:00Z".parse().unwrap();
    let job = JobKey::Step(1);
    let all = [
        Command::Close { service: 0, not_after },
        Command::Release { job, not_after: Some(not_after) },
        Command::Release { job: JobKey::Undo(1, 1), not_after: None },
        Command::BurnJob { job, to: BurnTo::Back },
        Command::BurnJob { job: JobKey::Smoke, to: BurnTo::Expired },
        Command::BurnTargets { service: 0 },
        Command::CloseAgain { service: 1 },
        Command::Reopen { service: 0 },
        Command::Degrade { service: 0 },
        Command::LetGo { job },
        Command::Disarm,
        Command::DisarmSwitch,
    ];
    let mut said = Vec::new();
    for command in all {
        said.extend(perform(tenant, plan, &preimages(), now(), &command).await.err().map(|error| story(&error)));
    }
    said
}

/// It is won or waited for, as long as one looks.
async fn lease(server: &Server) -> Vec<String> {
    let time = ServerTime::measured(&server.client(), now).await;
    let mut elector = Elector::new(server.client(), "notturno-system", "notturno", "operator-0", time, Metrics::new().unwrap());
    let won = timeout(Duration::from_secs(100), elector.until_won(|| {})).await;
    if won.is_ok() {
        let _ = timeout(Duration::from_secs(30), elector.until_lost(|| {})).await;
        elector.release().await;
    }
    Vec::new()
}
