//! All that was captured at arming: pre-images by target, and the UIDs of the Jobs.
//!
//! In: what arming reads, later what intentions recorded anew. Out: one value, kept in the plan's ConfigMap. Invariant: a key names a
//! closing by service and name, which is unique in a night. Not here: the patches made from it ([`super::capture`]).

use std::collections::BTreeMap;

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
}

/// The name of one closing in a night: `namespace/service/closing`.
#[must_use]
pub fn key(service: &PlannedService, closing: &Closing) -> String {
    format!("{}/{}", service.id, closing.name)
}

impl Preimages {
    /// With what later intentions recorded in place of what arming saw.
    #[must_use]
    pub fn as_intended(mut self, entries: &[Entry]) -> Self {
        for entry in entries {
            let Event::StepIntended { preimages, .. } = &entry.event else { continue };
            let newer =
                preimages.iter().filter_map(|(key, value)| Some((key.clone(), serde_json::from_value(value.clone()).ok()?)));
            self.targets.extend(newer);
        }
        self
    }
}
