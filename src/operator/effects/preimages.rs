//! All that was captured at arming: pre-images by target, and the UIDs of the Jobs.
//!
//! In: what arming reads, later what intentions recorded anew. Out: one value, kept in the plan's ConfigMap. Invariant: a key names a
//! closing by service and name, or a step by its name, which is unique in a night. Not here: the patches made from it ([`super::capture`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::{Entry, Event};
use crate::model::plan::PlannedService;
use crate::model::service::Closing;

use super::capture::Preimage;

/// What was captured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preimages {
    /// By [`key`].
    pub targets: BTreeMap<String, Preimage>,
    /// UIDs of Jobs by name.
    pub jobs: BTreeMap<String, String>,
    /// Since when nothing is sent forward any more, as the journal says.
    #[serde(skip)]
    pub turned_at: Option<Timestamp>,
}

/// The name of one closing in a night: `namespace/service/closing`.
#[must_use]
pub fn key(service: &PlannedService, closing: &Closing) -> String {
    format!("{}/{}", service.id, closing.name)
}

/// The name of what a service declared for half-done work, in a night: `namespace/service/degraded/action`.
#[must_use]
pub fn degraded_key(service: &PlannedService, action: &Closing) -> String {
    format!("{}/degraded/{}", service.id, action.name)
}

/// The name of a step's change in a night: `step/<name>`.
#[must_use]
pub fn step_key(step: &str) -> String {
    format!("step/{step}")
}

impl Preimages {
    /// With what later intentions recorded in place of what arming saw.
    #[must_use]
    pub fn as_intended(mut self, entries: &[Entry]) -> Self {
        for entry in entries {
            if matches!(entry.event, Event::GoingBack { .. } | Event::Committed {}) {
                self.turned_at = self.turned_at.or(Some(entry.at));
            }
            let Event::StepIntended { preimages, .. } = &entry.event else { continue };
            let newer =
                preimages.iter().filter_map(|(key, value)| Some((key.clone(), serde_json::from_value(value.clone()).ok()?)));
            self.targets.extend(newer);
        }
        self
    }
}
