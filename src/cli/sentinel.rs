//! `notturno sentinel`: one of the two tiny Pods that reopen what the operator no longer can.
//!
//! In: flags that the operator writes into their Deployment, the cluster it runs in (or KUBECONFIG, for developers). Out: two endpoints,
//! logs on stderr; exit 0 after SIGTERM, 1 when it cannot start. Invariant: it runs on one thread and keeps few connections, so that it
//! needs little. Not here: anything about a night.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;

use super::operator::{config, identity, local_time, log_to_stderr, stop_on_signal};
use crate::model::epoch::Epoch;
use crate::operator::effects::{LIMIT, Tenant};
use crate::operator::http_allow::HttpAllow;
use crate::operator::{ServerTime, connect, http_get};
use crate::sentinel::{Post, Readiness, health, post, stand};

/// How soon a plan that cannot be read is read again.
const PLAN_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Watch over one armed night, and take it back when the operator no longer does. The operator deploys this.
#[derive(Debug, Args)]
pub struct SentinelArgs {
    /// The namespace in which the night runs.
    #[arg(long)]
    namespace: String,
    /// The Intervention's name.
    #[arg(long)]
    name: String,
    /// The Intervention's UID.
    #[arg(long)]
    uid: String,
    /// The UID of the plan's ConfigMap.
    #[arg(long)]
    plan_uid: String,
    /// SHA-256 of the plan, hexadecimal.
    #[arg(long)]
    plan_hash: String,
    /// Where the plan's ConfigMap is mounted.
    #[arg(long, default_value = "/plan", value_name = "DIRECTORY")]
    plan_dir: PathBuf,
    /// Where /healthz and /readyz are served.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// What is logged: info, debug, or a filter as notturno=debug,kube=info.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log: String,
}

/// Why a sentinel does not start. Tell a person, whatever it is.
#[derive(Debug, thiserror::Error)]
enum SentinelError {
    #[error("{0}")]
    Cluster(String),
    #[error("no client can be made for the cluster")]
    Client(#[source] kube::Error),
    #[error("{0} cannot be listened on")]
    Socket(SocketAddr, #[source] std::io::Error),
    #[error("no runtime, or no signals")]
    Runtime(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
#[must_use]
pub fn run(args: &SentinelArgs) -> ExitCode {
    log_to_stderr(&args.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SentinelError::Runtime);
    match runtime.and_then(|runtime| runtime.block_on(watch(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn watch(args: &SentinelArgs) -> Result<(), SentinelError> {
    let SentinelArgs { namespace, name, uid, plan_uid, plan_hash, plan_dir, listen, log: _ } = args;
    let mut stop = stop_on_signal().map_err(SentinelError::Runtime)?;
    let config = config().await.map_err(|error| SentinelError::Cluster(crate::operator::story::story(&error)))?;
    let client = connect::client(&config, LIMIT).map_err(SentinelError::Client)?;
    let listener = TcpListener::bind(listen).await.map_err(|error| SentinelError::Socket(*listen, error))?;
    let readiness = Readiness::default();
    let serving = tokio::spawn(health::serve(listener, readiness.clone()));
    let time = ServerTime::measured(&client, local_time).await;
    let tenant = Tenant::new(client, namespace, "").with_epoch(Epoch::SENTINELS);
    let [namespace, name, uid, plan_uid, plan_hash] = [namespace, name, uid, plan_uid, plan_hash].map(Clone::clone);
    let night = post::Night { namespace, name, uid, plan_uid, plan_hash };
    tracing::info!(?night, version = env!("CARGO_PKG_VERSION"), "a sentinel stands");
    let (plan, preimages) = loop {
        match post::plan(&night, plan_dir, &tenant).await {
            Ok(plan) => break plan,
            Err(why) => {
                tracing::error!(why, "there is no plan to go by");
                readiness.say(Some(why));
            }
        }
        readiness.turns_by(tokio::time::Instant::now() + PLAN_AGAIN_AFTER);
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(PLAN_AGAIN_AFTER) => {}
        }
    };
    let getter = http_get::network(HttpAllow::and(post::hosts(&plan))).getter;
    let by = format!("sentinel {}", identity());
    let post = Post { tenant, plan: Arc::new(plan), plan_hash: night.plan_hash, preimages, time, getter, by };
    stand(post, readiness, stop).await;
    serving.abort();
    Ok(())
}
