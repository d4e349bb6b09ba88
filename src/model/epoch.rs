//! Who acts for a night: an epoch deposes those before it (PROTOCOL, tokens and rule 17).
//!
//! Invariant: an epoch belongs to all of a kind, the operator's replicas or both sentinels; they never depose each other.
//! Not here: tokens and ledger, where epochs are written.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number that only grows in a night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The operator, all its replicas together.
    pub const OPERATOR: Self = Self(1);
    /// Both sentinels of the night.
    pub const SENTINELS: Self = Self(2);
    /// People with kubectl.
    pub const PEOPLE: Self = Self(3);
}

impl Default for Epoch {
    fn default() -> Self {
        Self::OPERATOR
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
