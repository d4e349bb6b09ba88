//! `notturno operator`: the process that runs in the cluster.
//!
//! In: flags, the cluster it runs in (or KUBECONFIG, for developers). Out: nights, three endpoints, logs on stderr; exit 0 after SIGTERM,
//! 1 when it cannot start or go on. Invariants: debugging variables of client libraries are not honoured. Not here: anything about a night.

use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use kube::Config;
use kube::config::KubeConfigOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::kubeconfig::{self, Unusable};
use crate::api::manifests::{HEARTBEAT_SECRET, HEARTBEAT_URL};
use crate::operator::effects::pod_security::Level;
use crate::operator::effects::{Image, LIMIT, Switch, Tenants};
use crate::operator::heartbeat::{self, BadPingUrl, Every, PingUrl};
use crate::operator::http_allow::{Allowed, HttpAllow};
use crate::operator::lease::Elector;
use crate::operator::story::story;
use crate::operator::{self, Context, ServerTime, connect, health, http_get, lead::lead, run::RunError};

/// Run the operator: watch Interventions and play their nights.
#[derive(Debug, Args)]
pub struct OperatorArgs {
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// How logs are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: info, debug, or a filter as notturno=debug,kube=info.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log: String,
    /// What probes and checks may ask besides Services at private addresses: a suffix of host names, or a network. May be repeated.
    #[arg(long, value_name = "SUFFIX|NETWORK")]
    http_allow: Vec<Allowed>,
    /// What Job templates that stand in a runbook may ask for: restricted, baseline or privileged.
    #[arg(long, default_value = "restricted", value_name = "LEVEL")]
    pod_security: Level,
    /// The image that the dead man's switch of each night runs from: this operator's own, at best with its digest. Without it no night
    /// is armed.
    #[arg(long, value_name = "IMAGE")]
    sentinel_image: Option<String>,
    /// When that image is pulled.
    #[arg(long, value_enum, default_value_t = PullPolicy::IfNotPresent, value_name = "POLICY")]
    sentinel_pull_policy: PullPolicy,
    /// Run nights without a dead man's switch: if the operator dies, what is closed stays closed until a person comes.
    #[arg(long, conflicts_with = "sentinel_image")]
    without_sentinel: bool,
    /// The namespace of the lease by which one of several replicas works; without it this one always works.
    #[arg(long, value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// The name of that lease.
    #[arg(long, default_value = "notturno", value_name = "NAME")]
    lease: String,
    /// An http or https address that is asked with GET while this replica leads and shows signs of life, for a monitor that calls people
    /// when it falls silent. Others can read arguments: this is for trials, and an address that is a secret stands in the environment, as
    /// `NOTTURNO_HEARTBEAT_URL`.
    #[arg(long, value_name = "URL")]
    heartbeat_url: Option<Unshown>,
    /// How often: 10s to 1h.
    #[arg(long, default_value = "60s", value_name = "SPAN")]
    heartbeat_every: Every,
}

/// A text that may be a secret.
#[derive(Clone)]
struct Unshown(String);

impl From<String> for Unshown {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Unshown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unshown")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// As Kubernetes writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Why the operator does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum OperatorError {
    /// Tell a person.
    #[error("no cluster: neither a ServiceAccount in a Pod nor KUBECONFIG can be used")]
    NoCluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Tell a person.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Tell a person.
    #[error("no client can be made for the cluster")]
    NoClient(#[source] kube::Error),
    /// Tell a person.
    #[error("{0} cannot be listened on")]
    NoSocket(SocketAddr, #[source] std::io::Error),
    /// A fault of ours.
    #[error("the numbers cannot be registered")]
    NoNumbers(#[source] prometheus::Error),
    /// Tell a person.
    #[error("no runtime, or no signals")]
    NoRuntime(#[source] std::io::Error),
    /// Tell a person.
    #[error("the address for pings cannot be used")]
    HeartbeatUrl(#[source] BadPingUrl),
    /// Tell a person.
    #[error("a heartbeat needs --lease-namespace: what it proves is that the lease is renewed")]
    HeartbeatWithoutLease,
    /// Retry later: the kubelet starts it again.
    #[error("the operator ended by itself")]
    Ended(#[source] RunError),
}

/// Runs until SIGTERM or SIGINT.
#[must_use]
pub fn run(args: &OperatorArgs) -> ExitCode {
    log(args);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(OperatorError::NoRuntime);
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(operate(args));
        // An evaluation that would never end must not keep the process.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "{error}");
            ExitCode::FAILURE
        }
    }
}

fn log(args: &OperatorArgs) {
    let logs = tracing_subscriber::fmt().with_env_filter(filter(&args.log)).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}

pub(super) fn log_to_stderr(what: &str) {
    tracing_subscriber::fmt().with_env_filter(filter(what)).with_writer(std::io::stderr).with_ansi(false).init();
}

fn filter(what: &str) -> tracing_subscriber::EnvFilter {
    // They would name the host that is pinged, which may be a secret.
    let without = |what: &str| format!("{what},rustls=off,hyper_util=off");
    tracing_subscriber::EnvFilter::try_new(without(what)).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(without("info")))
}

async fn operate(args: &OperatorArgs) -> Result<(), OperatorError> {
    let pings = pings(args)?;
    let config = config().await?;
    let client = connect::client(&config, LIMIT).map_err(OperatorError::NoClient)?;
    let tenants = Tenants::new(client.clone(), Arc::new(connect::client_for_token(&config, LIMIT)));
    let time = ServerTime::measured(&client, local_time).await;
    let network = http_get::network(HttpAllow::and(args.http_allow.clone()));
    let mut context = Context::new(client, tenants, time.clone(), network).map_err(OperatorError::NoNumbers)?;
    context.pod_security = args.pod_security;
    context.switch = switch(args);
    let listener = TcpListener::bind(args.listen).await.map_err(|error| OperatorError::NoSocket(args.listen, error))?;
    let (health, pulse) = health::health(context.metrics.clone(), time);
    let stop = stop_on_signal().map_err(OperatorError::NoRuntime)?;
    let listens_on = listener.local_addr().unwrap_or(args.listen);
    tracing::info!(listen = %listens_on, version = env!("CARGO_PKG_VERSION"), "the operator starts");
    let serving = tokio::spawn(health::serve(listener, health));
    let (heart, metrics, Every(every)) = (context.heart.clone(), context.metrics.clone(), args.heartbeat_every);
    let beating = match pings {
        Pings::None => None,
        Pings::To(url) => Some(tokio::spawn(heartbeat::beat(heartbeat::get(url), every, heart, metrics))),
        Pings::Unusable => Some(tokio::spawn(heartbeat::unheard(every, metrics))),
    };
    let ended = match &args.lease_namespace {
        Some(namespace) => {
            let (time, metrics) = (context.time.clone(), context.metrics.clone());
            let elector = Elector::new(context.client.clone(), namespace, &args.lease, &identity(), time, metrics);
            lead(context, elector, pulse, stop).await
        }
        None => operator::run(context, pulse, stop).await,
    };
    serving.abort();
    if let Some(beating) = beating {
        beating.abort();
    }
    tracing::info!("the operator stops; every night can be resumed anywhere");
    ended.map_err(OperatorError::Ended)
}

/// What people outside wait for.
enum Pings {
    None,
    To(PingUrl),
    /// They wait for what never comes.
    Unusable,
}

/// Whoever wrote an argument is there to mend it, so that a bad one is refused. What comes from a Secret is read anew whenever a replica
/// starts, in the night too: it is said, and counted, and keeps no night from running.
#[allow(clippy::disallowed_methods, reason = "the process's edge: what the environment says becomes an argument here")]
fn pings(args: &OperatorArgs) -> Result<Pings, OperatorError> {
    if let Some(Unshown(url)) = &args.heartbeat_url {
        return Ok(Pings::To(usable(url, args)?));
    }
    let url = std::env::var_os(HEARTBEAT_URL).map(|url| url.to_string_lossy().into_owned()).unwrap_or_default();
    if url.trim().is_empty() {
        return Ok(Pings::None);
    }
    Ok(usable(&url, args).map_or_else(
        |error| {
            let why = story(&error);
            tracing::error!(
                why,
                "nobody outside hears this operator: mend {HEARTBEAT_URL}, the key `url` of the Secret {HEARTBEAT_SECRET} if the \
                 Deployment names no other, or what it needs, and restart it"
            );
            Pings::Unusable
        },
        Pings::To,
    ))
}

fn usable(url: &str, args: &OperatorArgs) -> Result<PingUrl, OperatorError> {
    let url = url.parse().map_err(OperatorError::HeartbeatUrl)?;
    if args.lease_namespace.is_some() { Ok(url) } else { Err(OperatorError::HeartbeatWithoutLease) }
}

/// What the dead man's switch runs from; what is not as it should be is said.
fn switch(args: &OperatorArgs) -> Switch {
    if args.without_sentinel {
        tracing::warn!(
            "--without-sentinel: nights have no dead man's switch; if this operator dies, what is closed stays closed"
        );
        return Switch::Without;
    }
    let Some(name) = args.sentinel_image.clone().filter(|name| !name.is_empty()) else {
        tracing::error!("--sentinel-image is not set: no night is armed");
        return Switch::Missing;
    };
    let image = Image { name, pull_policy: args.sentinel_pull_policy.as_str().to_owned() };
    if !image.is_pinned() {
        tracing::warn!(image = image.name, "--sentinel-image has no digest (@sha256:…): what runs under that name may change");
    }
    Switch::Image(image)
}

/// The cluster around this Pod, else the developer's.
pub(super) async fn config() -> Result<Config, OperatorError> {
    let outside = match Config::incluster() {
        Ok(config) => return Ok(config),
        Err(outside) => OperatorError::NoCluster(outside.into()),
    };
    if kubeconfig::named().is_empty() {
        return Err(outside);
    }
    kubeconfig::of_environment(&KubeConfigOptions::default()).await?.ok_or(outside)
}

#[allow(clippy::disallowed_methods, reason = "the process's edge: only shown, and used where the API server says no time")]
pub(super) fn local_time() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Another one for each process: its host, which is its Pod, and when it started there.
#[allow(clippy::disallowed_methods, reason = "the process's edge")]
pub(super) fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "notturno".to_owned());
    format!("{host}_{:x}{:x}", std::process::id(), local_time().as_nanosecond())
}

pub(super) fn stop_on_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
    });
    Ok(stopped)
}
