//! Finding a night in a cluster: the Intervention, and the two ConfigMaps that are the truth.
//!
//! In: a name, a kubeconfig. Out: [`Found`]. Invariants: reads only; every call has its own deadline and none is retried; it works with
//! nothing but the two ConfigMaps, when the Intervention or its kind is gone; time is the API server's. Not here: what it means.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::config::KubeConfigOptions;
use kube::{Client, Config, ResourceExt};

use super::guard::{self, Guard};
use crate::api::Intervention;
use crate::api::status::InterventionStatus;
use crate::cli::kubeconfig::{self, Unusable};
use crate::operator::effects::call::{Answer, CallError, LIMIT, within};
use crate::operator::effects::ledger::{self, LedgerError};
use crate::operator::effects::names::LedgerNames;
use crate::operator::effects::{LedgerRead, Tenant, marks};
use crate::operator::server_time::{self, TimeError};

/// Where to look, and how to print.
#[derive(Args, Clone, Debug)]
pub struct ClusterArgs {
    /// The night's namespace; that of the kubeconfig's context if left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Which context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// Which kubeconfig; else $KUBECONFIG, ~/.kube/config, or the ServiceAccount of the Pod around.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Do not look for the Intervention: read plan and ledger only.
    #[arg(long)]
    from_ledger: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Format,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: one object.
    Json,
}

/// What is known of a night.
#[derive(Debug)]
pub struct Found {
    /// `namespace/name`.
    pub night: String,
    /// What the Intervention reports; none when it is not there or was not looked for.
    pub report: Option<InterventionStatus>,
    /// Plan and ledger, when there are.
    pub ledger: Option<LedgerRead>,
    /// The dead man's switch, while the night may need it.
    pub guard: Option<Guard>,
    /// The API server's time.
    pub now: Timestamp,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Why nothing can be said. Tell the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No cluster is configured.
    #[error("no cluster: give --kubeconfig, or set KUBECONFIG")]
    NoCluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is configured cannot be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// A context was asked for.
    #[error("no cluster: --context needs a kubeconfig, and there is none: give --kubeconfig, or set KUBECONFIG")]
    NoContext,
    /// The configuration makes no client.
    #[error("no client can be made for the cluster")]
    NoClient(#[source] kube::Error),
    /// It does not answer.
    #[error("the cluster does not answer")]
    NoTime(#[source] TimeError),
    /// There is nothing of that name.
    #[error(
        "no night {name} in namespace {namespace}: neither an Intervention nor a ledger; look with kubectl get interventions -A"
    )]
    Nothing {
        /// Where.
        namespace: String,
        /// What.
        name: String,
    },
    /// Nothing was closed yet, so nothing is to be opened.
    #[error("night {night} is not armed: none of its services was closed, and there is nothing to do by hand")]
    NotArmed {
        /// Which.
        night: String,
    },
    /// Neither could be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The ledger is there and cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Looks for the night that `asked` names, as `name` or `namespace/name`.
///
/// # Errors
/// When the cluster cannot be reached, or has nothing of that name that may be read.
pub async fn find(args: &ClusterArgs, asked: &str) -> Result<Found, FindError> {
    let (client, namespace, name) = place(args, asked).await?;
    let now = server_time::asked(&client).await.map_err(FindError::NoTime)?;
    let mut found =
        Found { night: format!("{namespace}/{name}"), report: None, ledger: None, guard: None, now, notes: Vec::new() };
    look(&client, &namespace, &name, args.from_ledger, &mut found).await?;
    if let Some(read) = &found.ledger {
        found.guard = guard::look(&client, read, now).await;
    }
    Ok(found)
}

/// A client, and the namespace and name that `asked` means.
async fn place(args: &ClusterArgs, asked: &str) -> Result<(Client, String, String), FindError> {
    let config = config(args).await?;
    let (own, name) = asked.split_once('/').map_or((None, asked), |(namespace, name)| (Some(namespace.to_owned()), name));
    let namespace = own.or_else(|| args.namespace.clone()).unwrap_or_else(|| config.default_namespace.clone());
    Ok((Client::try_from(config).map_err(FindError::NoClient)?, namespace, name.to_owned()))
}

/// The page that was kept beside the plan of the newest night of that name, when it was armed.
///
/// # Errors
/// When the cluster does not say.
pub async fn stored_page(args: &ClusterArgs, asked: &str) -> Result<Option<String>, FindError> {
    let (client, namespace, name) = place(args, asked).await?;
    let Some(uid) = uids(&client, &namespace, &name, &mut Vec::new()).await? else { return Ok(None) };
    let plan = LedgerNames::of(&name, &uid).plan;
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let map = within(LIMIT, &format!("reading ConfigMap {namespace}/{plan}"), api.get(&plan)).await?;
    Ok(map.data.and_then(|mut data| data.remove(ledger::BY_HAND)))
}

async fn config(args: &ClusterArgs) -> Result<Config, FindError> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let declared = match &args.kubeconfig {
        Some(file) => Some(kubeconfig::of_file(file, &options).await?),
        None => kubeconfig::of_environment(&options).await?,
    };
    let mut config = match declared {
        Some(config) => config,
        None if args.context.is_some() => return Err(FindError::NoContext),
        None => Config::incluster().map_err(|error| FindError::NoCluster(error.into()))?,
    };
    config.default_retry = false;
    Ok(config)
}

async fn look(client: &Client, namespace: &str, name: &str, from_ledger: bool, found: &mut Found) -> Result<(), FindError> {
    let seen = if from_ledger { Ok(None) } else { intervention(client, namespace, name).await };
    let uid = seen.as_ref().ok().and_then(|object| object.as_ref()).and_then(ResourceExt::uid);
    if let Ok(Some(object)) = &seen {
        let status = object.data.get("status").cloned();
        found.report = Some(status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default());
    }
    let read = match uid {
        Some(uid) => read(client, namespace, name, &uid).await,
        None => match uids(client, namespace, name, &mut found.notes).await {
            Ok(Some(uid)) => read(client, namespace, name, &uid).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        },
    };
    match (read, seen) {
        (Ok(ledger), seen) => {
            found.ledger = ledger;
            match seen {
                Err(error) if found.ledger.is_none() => return Err(error.into()),
                Err(error) => found.notes.push(format!("the Intervention cannot be read: {}", error.story())),
                Ok(None) if found.ledger.is_some() && !from_ledger => {
                    found.notes.push("the Intervention is not there, or its kind is not: this is its ledger".to_owned());
                }
                Ok(_) => {}
            }
        }
        (Err(error), Ok(Some(_))) => {
            found.notes.push(format!("plan and ledger cannot be read, this is only the last report: {}", story(&error)));
        }
        (Err(error), Ok(None) | Err(_)) => return Err(error.into()),
    }
    if found.ledger.is_none() && found.report.is_none() {
        return Err(FindError::Nothing { namespace: namespace.to_owned(), name: name.to_owned() });
    }
    Ok(())
}

async fn intervention(client: &Client, namespace: &str, name: &str) -> Result<Option<DynamicObject>, CallError> {
    let kind = ApiResource::erase::<Intervention>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    match within(LIMIT, &format!("reading Intervention {namespace}/{name}"), api.get(name)).await {
        Err(error) if error.answer() == Some(Answer::NotFound) => Ok(None),
        other => other.map(Some),
    }
}

async fn read(client: &Client, namespace: &str, name: &str, uid: &str) -> Result<Option<LedgerRead>, LedgerError> {
    ledger::read(&Tenant::new(client.clone(), namespace, ""), name, uid).await
}

/// The UID of the newest night of that name that has a plan.
async fn uids(client: &Client, namespace: &str, name: &str, notes: &mut Vec<String>) -> Result<Option<String>, CallError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let ours = ListParams::default().labels(&format!("{}={}", marks::MANAGED_BY, marks::US));
    let listed = within(LIMIT, &format!("looking for ledgers in {namespace}"), api.list(&ours)).await?;
    let uid = |map: &ConfigMap| {
        let uid = map.labels().get(marks::NIGHT)?.clone();
        (LedgerNames::of(name, &uid).plan == map.name_any()).then_some((map.metadata.creation_timestamp.clone(), uid))
    };
    let mut nights: Vec<_> = listed.items.iter().filter_map(uid).collect();
    nights.sort_by(|a, b| a.0.cmp(&b.0));
    let newest = nights.pop().map(|(_, uid)| uid);
    if !nights.is_empty() {
        notes.push(format!("{} older nights of this name have ledgers too; this is the newest", nights.len()));
    }
    Ok(newest)
}

/// An error with what is behind it, on one line.
pub(crate) fn story(error: &dyn std::error::Error) -> String {
    crate::operator::story::story(error)
}
