//! Which cluster is meant: a file that is named, those of KUBECONFIG, or the one at home.
//!
//! In: a file's name, the environment. Out: a configuration, or what is wrong with which file. Invariants: a file that is named and cannot
//! be used is an error that names it, never a silent turn to another cluster; nothing is sent. Not here: clients, the cluster around a Pod.

use std::error::Error;
use std::path::PathBuf;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

/// Why there is no configuration. Tell a person.
#[derive(Debug, thiserror::Error)]
#[error("no cluster: {from} cannot be used")]
pub struct Unusable {
    from: String,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl Unusable {
    fn new(from: impl Into<String>, error: KubeconfigError) -> Self {
        let source: Box<dyn Error + Send + Sync> = match error {
            // It names the file once more.
            KubeconfigError::ReadConfig(error, _) => error.into(),
            other => other.into(),
        };
        Self { from: from.into(), source }
    }
}

/// The configuration of one file.
pub async fn of_file(file: &str, options: &KubeConfigOptions) -> Result<Config, Unusable> {
    let unusable = |error| Unusable::new(format!("kubeconfig {file}"), error);
    let kubeconfig = Kubeconfig::read_from(file).map_err(unusable)?;
    has_context(&kubeconfig, options).map_err(|source| Unusable { from: format!("kubeconfig {file}"), source })?;
    Config::from_custom_kubeconfig(kubeconfig, options).await.map_err(unusable)
}

/// That there is the context that was asked for; else which there are.
fn has_context(kubeconfig: &Kubeconfig, options: &KubeConfigOptions) -> Result<(), Box<dyn Error + Send + Sync>> {
    let names: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    match &options.context {
        Some(asked) if names.is_empty() => Err(format!("it has no context {asked:?}, nor any other").into()),
        Some(asked) if !names.contains(&asked.as_str()) => {
            Err(format!("it has no context {asked:?}; there are: {}", names.join(", ")).into())
        }
        Some(_) | None => Ok(()),
    }
}

/// The configuration that KUBECONFIG names, or else the one at home; none where neither is there.
pub async fn of_environment(options: &KubeConfigOptions) -> Result<Option<Config>, Unusable> {
    let named = named();
    for file in &named {
        Kubeconfig::read_from(file)
            .map_err(|error| Unusable::new(format!("{}, which KUBECONFIG names,", file.display()), error))?;
    }
    let whole = || {
        let files: Vec<String> = named.iter().map(|file| file.display().to_string()).collect();
        if files.is_empty() { "~/.kube/config".to_owned() } else { format!("KUBECONFIG={}", files.join(":")) }
    };
    match Kubeconfig::read() {
        Ok(kubeconfig) => {
            has_context(&kubeconfig, options).map_err(|source| Unusable { from: whole(), source })?;
            let config = Config::from_custom_kubeconfig(kubeconfig, options).await;
            config.map(Some).map_err(|error| Unusable::new(whole(), error))
        }
        Err(KubeconfigError::FindPath) => Ok(None),
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound && named.is_empty() => {
            Ok(None)
        }
        Err(error) => Err(Unusable::new(whole(), error)),
    }
}

/// The files that KUBECONFIG names.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the process's edge: what the environment says becomes an argument here")]
pub fn named() -> Vec<PathBuf> {
    let files = std::env::var_os("KUBECONFIG").unwrap_or_default();
    std::env::split_paths(&files).filter(|file| !file.as_os_str().is_empty()).collect()
}
