//! How one object names another: `name` or `namespace/name`.
//!
//! In: what people write. Out: [`ServiceRef`] and [`Target`]. Invariant: both parts are DNS labels or subdomains.
//! Not here: deciding which service a bare name means; that needs all of them and is [`crate::plan`]'s.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A service by its full name; written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceRef {
    /// The namespace of the `PublicService`.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceRef {
    /// The reference made of two names that are known to be valid.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl From<ServiceRef> for String {
    fn from(reference: ServiceRef) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for ServiceRef {
    type Error = BadReference;
    fn try_from(text: String) -> Result<Self, BadReference> {
        match Reference::from_str(&text)? {
            Reference { namespace: Some(namespace), name } => Ok(Self { namespace, name }),
            Reference { namespace: None, .. } => Err(BadReference(text)),
        }
    }
}

/// A reference as written: the namespace may be left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The namespace, when one was written.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The text is not `name` or `namespace/name` with names of small letters, digits, `-` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a reference: write name or namespace/name, in small letters, digits, '-' and '.'")]
pub struct BadReference(pub String);

impl FromStr for Reference {
    type Err = BadReference;
    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = || BadReference(text.chars().take(80).collect());
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        if !is_subdomain(name) || namespace.is_some_and(|n| !is_label(n)) {
            return Err(bad());
        }
        Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }
}

/// RFC 1123 label: at most 63 small letters, digits and inner hyphens (Kubernetes' rule for namespaces and steps).
#[must_use]
pub fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// RFC 1123 subdomain: labels joined by dots, at most 253 characters (Kubernetes' rule for object names).
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// An object of the cluster: for a closing, in the service's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// `apps/v1`, `v1`, …
    pub api_version: String,
    /// `Deployment`, `CronJob`, …
    pub kind: String,
    /// The namespace of the object; empty for one that stands in none, such as a Node.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return write!(f, "{} {}", self.kind, self.name);
        }
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_kubernetes_takes_for_one() {
        for good in ["a", "0", "a-0", "a--b", &"x".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-", "-a", "a-", "A", "a.b", "a_b", "à", &"x".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        let long = |labels: usize| format!("{}b", "a.".repeat(labels));
        assert!(is_subdomain("a.b-c") && is_subdomain(&long(126)) && !is_subdomain("a..b") && !is_subdomain(&long(127)));
    }
}
