//! The dead man's switch of a night, as `notturno status` shows it.
//!
//! In: a client, the ledger as read. Out: [`Guard`]. Invariants: reads only; what may not be read is said and hides nothing else; when it
//! would act is computed from plan and ledger by the engine, as the sentinels do it. Not here: what it is made of
//! ([`crate::operator::effects::sentinel`]).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};

use super::find::story;
use crate::engine::State;
use crate::engine::due::due;
use crate::engine::switch::{SENTINEL_COUNT, armed_from};
use crate::engine::words::{clock, rfc3339};
use crate::model::need::grace;
use crate::model::plan::Plan;
use crate::model::span::after;
use crate::operator::effects::call::{LIMIT, within};
use crate::operator::effects::sentinel::{self, Found};
use crate::operator::effects::{LedgerRead, Tenant, ledger, marks};

/// The switch, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Whether it would take over.
    pub armed: bool,
    /// Its Deployment, once it has to be there.
    pub deployment: Option<String>,
    /// How it stands, as a sentence.
    pub says: String,
    /// Where its Pods run.
    pub nodes: Vec<String>,
    /// When it acts if nothing is recorded before; RFC 3339.
    pub acts_at: Option<String>,
    /// For want of what.
    pub acts_for: Option<String>,
}

/// Looks at the switch of a night that is armed and not over.
pub(super) async fn look(client: &Client, read: &LedgerRead, now: Timestamp) -> Option<Guard> {
    let plan = &read.plan;
    let state = State::fold(plan, &read.believed(now).entries);
    if !state.armed || state.outcome.is_some() {
        return None;
    }
    if !crate::engine::switch::is_wanted(plan, &state, now) {
        return Some(Guard { says: format!("it is made from {} on", clock(plan, armed_from(plan))), ..Guard::default() });
    }
    let due = due(plan, &state);
    let (armed, says) = match found(client, plan).await {
        Err(why) => (false, format!("it cannot be looked at: {why}")),
        Ok(Found::Made { ready_count, .. }) => {
            (ready_count > 0, format!("{ready_count} of {SENTINEL_COUNT} sentinels are ready"))
        }
        Ok(Found::Missing) => (false, "there is none".to_owned()),
        Ok(Found::Going) => (false, "it is being deleted".to_owned()),
        Ok(Found::Foreign) => (false, "what has its name is not this night's".to_owned()),
        Ok(Found::Other { reason }) => (false, reason),
    };
    Some(Guard {
        armed,
        deployment: Some(sentinel::place(plan)),
        says,
        nodes: nodes(client, plan).await,
        acts_at: due.as_ref().map(|due| rfc3339(plan, after(due.at, grace(plan)))),
        acts_for: due.map(|due| due.what),
    })
}

async fn found(client: &Client, plan: &Plan) -> Result<Found, String> {
    let tenant = Tenant::new(client.clone(), &plan.namespace, "");
    let identity = ledger::identity(&tenant, plan).await.map_err(|error| story(&error))?;
    sentinel::look(&tenant, plan, &identity).await.map_err(|error| error.story())
}

/// Empty when they may not be listed: they are only shown.
async fn nodes(client: &Client, plan: &Plan) -> Vec<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &plan.namespace);
    let ours = format!("{}={},{}={}", marks::NIGHT, plan.uid, marks::ROLE, marks::SENTINEL);
    let listed = within(LIMIT, "looking for sentinels", api.list(&ListParams::default().labels(&ours))).await;
    let mut nodes: Vec<String> =
        listed.into_iter().flat_map(|list| list.items).filter_map(|pod| pod.spec.and_then(|spec| spec.node_name)).collect();
    nodes.sort();
    nodes
}
