//! What one sentinel is given.
//!
//! In: a directory with the plan's ConfigMap, or the ConfigMap itself. Out: [`Post`]. Invariant: a plan is taken only when its hash is the
//! one that was said at arming. Not here: what is done with it.

use std::path::Path;
use std::sync::Arc;

use crate::model::plan::Plan;
use crate::operator::effects::ledger;
use crate::operator::effects::{Preimages, Tenant};
use crate::operator::http_allow::Allowed;
use crate::operator::{Getter, ServerTime};

/// Which night, as the arguments say.
#[derive(Clone, Debug)]
pub struct Night {
    /// Where it runs.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The UID of the plan's ConfigMap.
    pub plan_uid: String,
    /// SHA-256 of the plan, hexadecimal.
    pub plan_hash: String,
}

/// Everything that a sentinel works with.
#[derive(Clone)]
pub struct Post {
    /// Its own hands, with the tokens of its epoch.
    pub tenant: Tenant,
    /// The frozen plan.
    pub plan: Arc<Plan>,
    /// Its hash.
    pub plan_hash: String,
    /// What arming captured.
    pub preimages: Preimages,
    /// The API server's time.
    pub time: ServerTime,
    /// How probes ask.
    pub getter: Getter,
    /// Who writes, in every record.
    pub by: String,
}

/// Plan and pre-images, from the directory or, when that does not hold them, live.
///
/// # Errors
/// What is wrong with both, in words.
pub async fn plan(night: &Night, directory: &Path, tenant: &Tenant) -> Result<(Plan, Preimages), String> {
    let mounted = mounted(night, directory);
    match mounted {
        Ok(plan) => Ok(plan),
        Err(why) => {
            let live = ledger::thaw_live(tenant, &night.name, &night.uid, &night.plan_uid, &night.plan_hash).await;
            live.map_err(|live| format!("{}: {why}; live: {live}", directory.display()))
        }
    }
}

fn mounted(night: &Night, directory: &Path) -> Result<(Plan, Preimages), String> {
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).map_err(|error| format!("{file}: {error}"));
    ledger::thaw(&read(ledger::PLAN)?, &read(ledger::PREIMAGES)?, &night.plan_hash)
}

/// The hosts of the plan's probes: arming has judged them.
#[must_use]
pub fn hosts(plan: &Plan) -> Vec<Allowed> {
    let probes = plan.services.iter().flat_map(|service| &service.probes);
    let host = |url: &str| {
        let uri: http::Uri = url.parse().ok()?;
        uri.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
    };
    probes.filter_map(|probe| host(&probe.url)).collect()
}
