//! Before anything is claimed: every address that the night asks is judged, and none is asked.
//!
//! In: a plan, and who judges. Out: a [`Finding`] for each address that would be of no use at night. Invariants: each address is judged
//! once, all side by side, each within [`JUDGED_FOR_MAX`]; a name that is not known yet is no problem where an earlier step makes that
//! very Service. Not here: what is allowed, how names are resolved ([`crate::operator::http_get`]); what is asked is judged again then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;

use crate::model::action::Check;
use crate::model::plan::{Plan, PlannedAction, StepIndex};
use crate::model::schedule::ancestors;
use crate::model::service::Probe;

/// How long one name may take to be resolved.
const JUDGED_FOR_MAX: Duration = Duration::from_secs(5);
/// How a rehearsal calls such an address.
pub(crate) const REASON: &str = "NeverAsked";
const AT_ONCE_MAX: usize = 16;

/// Says whether an `http://` address may be asked, and does not ask it.
pub type Judge = Arc<dyn Fn(String) -> BoxFuture<'static, Result<(), Unasked>> + Send + Sync>;

/// Why an address is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unasked {
    /// It may not be, and what the administrator may do.
    #[error("{0}")]
    Forbidden(String),
    /// Its name is not known, or cannot be asked for now.
    #[error("{0}")]
    Unknown(String),
}

/// An address that is of no use.
pub(super) struct Finding {
    pub(super) object: String,
    pub(super) path: String,
    /// What is wrong and what to do.
    pub(super) message: String,
    /// By day only: a step makes it.
    pub(super) is_made: bool,
}

impl Finding {
    pub(super) fn problem(&self) -> String {
        format!("{}, {}: {}", self.object, self.path, self.message)
    }
}

/// An address, and who asks it.
struct Asked<'a> {
    object: String,
    path: String,
    url: &'a str,
    step: Option<StepIndex>,
}

/// Judges the probes of services and the checks of steps.
pub(super) async fn judged(plan: &Plan, judge: &Judge) -> Vec<Finding> {
    let all = asked(plan);
    let mut urls: Vec<&str> = all.iter().map(|asked| asked.url).collect();
    urls.sort_unstable();
    urls.dedup();
    let judging = urls.into_iter().map(|url| async move {
        let late = || Unasked::Unknown(format!("its name is not resolved within {JUDGED_FOR_MAX:?}"));
        let verdict = tokio::time::timeout(JUDGED_FOR_MAX, judge(url.to_owned())).await;
        (url, verdict.unwrap_or_else(|_| Err(late())))
    });
    let judging = judging.collect::<Vec<_>>();
    let verdicts: BTreeMap<&str, Result<(), Unasked>> =
        futures::stream::iter(judging).buffer_unordered(AT_ONCE_MAX).collect().await;
    all.iter().filter_map(|asked| Some(finding(plan, asked, verdicts.get(asked.url)?.as_ref().err()?))).collect()
}

fn asked(plan: &Plan) -> Vec<Asked<'_>> {
    let mut all = Vec::new();
    for service in &plan.services {
        let object = || format!("PublicService/{}", service.id);
        let probe = |probe: &Probe| format!("probe {}", probe.name);
        all.extend(service.probes.iter().map(|one| Asked { object: object(), path: probe(one), url: &one.url, step: None }));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        if let PlannedAction::Check(Check::Http(probe)) = &step.action {
            let object = "the runbook".to_owned();
            all.push(Asked { object, path: format!("step {}, http", step.name), url: &probe.url, step: Some(index) });
        }
    }
    all
}

fn finding(plan: &Plan, asked: &Asked<'_>, why: &Unasked) -> Finding {
    let Asked { object, path, url, step } = asked;
    let (remedy, is_made) = match why {
        Unasked::Forbidden(_) => ("correct the address, or let the administrator allow it", false),
        Unasked::Unknown(_) => {
            let made = step.is_some_and(|step| is_made(plan, step, url));
            ("correct the address, or make that Service by day", made)
        }
    };
    let message = format!("{url} would never be asked: {why}; {remedy}");
    Finding { object: object.clone(), path: path.clone(), message, is_made }
}

/// Whether a step before `step` applies the Service that the address names.
fn is_made(plan: &Plan, step: StepIndex, url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase)).unwrap_or_default();
    let mut labels = host.split('.');
    let (name, namespace) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    let needs = plan.steps.get(step).map(|planned| planned.needs.as_slice()).unwrap_or_default();
    ancestors(&plan.steps, needs).into_iter().any(|before| match plan.steps.get(before).map(|planned| &planned.action) {
        Some(PlannedAction::Change(closing)) => {
            let target = &closing.target;
            closing.change.makes() && target.kind == "Service" && target.name == name && target.namespace == namespace
        }
        Some(
            PlannedAction::Close { .. }
            | PlannedAction::Job(_)
            | PlannedAction::Check(_)
            | PlannedAction::Hold(_)
            | PlannedAction::Notify { .. },
        )
        | None => false,
    })
}
