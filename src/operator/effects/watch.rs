//! One object, followed: what a step waits for.
//!
//! In: a tenant and a target. Out: the object as it is, and its changes as the API server tells them. Invariants: the tenant's rights; one
//! object only; a watch ends by itself after minutes, and a silent one is given up. Not here: when to look again, and what is waited for.

use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::core::WatchEvent;
use serde_json::Value;

use super::call::{Answer, CallError, LIMIT, within};
use super::operations::text;
use super::spots::target_path;
use super::tenant::Tenant;
use crate::model::reference::Target;

/// How long the server keeps a watch open.
const WATCH_FOR: Duration = Duration::from_secs(240);

/// The object; none when it is not there, or its kind is not served.
///
/// # Errors
/// When that cannot be told.
pub async fn read(tenant: &Tenant, target: &Target) -> Result<Option<Value>, CallError> {
    let Some(kind) = tenant.kind(&target.api_version, &target.kind).await? else { return Ok(None) };
    match tenant.get(&target_path(target, &kind.resource)).await {
        Err(error) if error.answer() == Some(Answer::NotFound) => Ok(None),
        other => other.map(Some),
    }
}

/// The object each time it changes after `known`, none when it goes, until the watch ends.
///
/// # Errors
/// When the server refuses to tell.
pub async fn changes(
    tenant: &Tenant,
    target: &Target,
    known: Option<&Value>,
) -> Result<impl Stream<Item = Result<Option<Value>, kube::Error>> + use<>, CallError> {
    let resource = tenant.kind(&target.api_version, &target.kind).await?.map(|kind| kind.resource).unwrap_or_default();
    let collection = target_path(&Target { name: String::new(), ..target.clone() }, &resource);
    let since = known.map(|object| text(object, &["metadata", "resourceVersion"])).unwrap_or_default();
    let and = if since.is_empty() { String::new() } else { format!("&resourceVersion={since}") };
    let uri = format!(
        "{collection}?watch=true&fieldSelector=metadata.name%3D{}{and}&timeoutSeconds={}",
        target.name,
        WATCH_FOR.as_secs()
    );
    let what = format!("watching {target}");
    let request = http::Request::get(uri).header(http::header::ACCEPT, "application/json").body(Vec::new());
    let stream =
        within(LIMIT, &what, async { tenant.client.request_events::<Value>(request.map_err(kube::Error::HttpError)?).await })
            .await?;
    Ok(stream.filter_map(|told| async move {
        match told {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Some(Ok(Some(object))),
            Ok(WatchEvent::Deleted(_)) => Some(Ok(None)),
            Ok(WatchEvent::Bookmark(_)) => None,
            Ok(WatchEvent::Error(status)) => Some(Err(kube::Error::Api(status))),
            Err(error) => Some(Err(error)),
        }
    }))
}
