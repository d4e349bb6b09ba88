//! Who may do what: nobody is asked unless a test forbids something.
//!
//! In: a decoded call and its user. Out: 403 before anything is done, and the answers of access reviews. Invariants: a review says exactly
//! what the call that it asks about would get, because both ask the same function; names are known to it as to RBAC (a creation has none, a
//! watch of one object has that object's). Not here: roles and bindings, which are only objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::{Call, Target, Verb};
use super::failure::Failure;
use super::fields;
use super::kinds::review_kind;

/// What somebody wants to do, in the words of RBAC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub user: String,
    /// As `get`.
    pub verb: String,
    /// API group, empty for the core.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, empty when cluster-wide.
    pub namespace: String,
    /// Name, empty when none is known before it is done.
    pub name: String,
}

/// Whether something is forbidden. Called without any lock held.
pub type ForbiddenFn = Arc<dyn Fn(&Access) -> bool + Send + Sync>;

impl Access {
    fn of(call: &Call, user: &str) -> Self {
        let one = call.parameter("fieldSelector").strip_prefix("metadata.name=").unwrap_or_default();
        let by_name = matches!(call.verb, Verb::List | Verb::Watch) && call.name.is_empty();
        Self {
            user: user.to_owned(),
            verb: call.verb.to_string(),
            group: call.group.clone(),
            resource: call.resource.clone(),
            subresource: call.subresource.clone(),
            namespace: call.namespace.clone().unwrap_or_default(),
            name: if by_name { one.to_owned() } else { call.name.clone() },
        }
    }

    fn of_review(review: &Value, user: &str) -> Self {
        let of = |field: &str| fields::text(review, &["spec", "resourceAttributes", field]).to_owned();
        let named = fields::text(review, &["spec", "user"]);
        Self {
            user: if named.is_empty() { user.to_owned() } else { named.to_owned() },
            verb: of("verb"),
            group: of("group"),
            resource: of("resource"),
            subresource: of("subresource"),
            namespace: of("namespace"),
            name: of("name"),
        }
    }
}

/// 403 when the call is forbidden. Everybody may ask for reviews of himself.
pub(super) fn check(call: &Call, user: &str, forbidden: Option<&ForbiddenFn>) -> Result<(), Failure> {
    let access = Access::of(call, user);
    let is_object = matches!(call.target, Target::Objects(_));
    match forbidden {
        Some(forbidden) if is_object && forbidden(&access) => Err(Failure::forbidden(&access)),
        Some(_) | None => Ok(()),
    }
}

/// The answer of an access review.
pub(super) fn review(call: &Call, plural: &str, user: &str, forbidden: Option<&ForbiddenFn>) -> Result<(u16, Value), Failure> {
    if call.verb != Verb::Create {
        return Err(Failure::method_not_allowed());
    }
    let mut review = call.body.clone();
    let refused = forbidden.is_some_and(|forbidden| forbidden(&Access::of_review(&review, user)));
    fields::set(&mut review, &["apiVersion"], "authorization.k8s.io/v1");
    fields::set(&mut review, &["kind"], review_kind(plural));
    let reason = if refused { "forbidden by the scene" } else { "the embedded API allows what no scene forbids" };
    fields::set(&mut review, &["status"], json!({"allowed": !refused, "reason": reason}));
    Ok((201, review))
}
