//! Bearer tokens of `ServiceAccounts`, as `TokenRequest` gives them.
//!
//! In: a `TokenRequest` for a `ServiceAccount`, later a token. Out: a token with its expiry, later the user it stands for.
//! Invariants: a token ends at its expiry, and when its `ServiceAccount` is deleted or made anew.
//! Not here: JWTs (tokens are opaque counters), audiences (recorded in the answer, never checked), bound objects.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use super::fields;
use super::kinds::ResourceKind;
use super::world::{Key, World, after, stamp};

/// Tokens kept at a time; the oldest are forgotten, and are then unauthorized.
const TOKENS_MAX: usize = 4096;

/// Whom a token stands for.
#[derive(Clone, Debug)]
pub(super) struct Token {
    account: Key,
    account_uid: String,
    expires_at: Timestamp,
}

/// Answers the `TokenRequest` `request` for the `ServiceAccount` at `account`.
///
/// # Errors
/// 404 for an unknown account, 422 for an expiry under ten minutes.
pub(super) fn issue(
    world: &mut World,
    kind: &ResourceKind,
    account: &Key,
    mut request: Value,
    dry_run: bool,
) -> Result<Value, Failure> {
    let owner = world.get(account).ok_or_else(|| Failure::not_found(kind, &account.name))?;
    let expires_in = fields::int(&request, &["spec", "expirationSeconds"], 3600);
    if expires_in < 600 {
        let cause =
            Cause::invalid("spec.expirationSeconds", &expires_in.to_string(), "may not specify a duration less than 10 minutes");
        return Err(Failure::invalid(kind, &account.name, &[cause]));
    }
    let expires_at = after(world.now, SignedDuration::from_secs(expires_in));
    let token = format!("embedded.{:012}.{}.{}", world.token_count + 1, account.namespace, account.name);
    if !dry_run {
        world.token_count += 1;
        if world.tokens.len() >= TOKENS_MAX {
            world.tokens.pop_first();
        }
        let account_uid = super::world::uid(&owner).to_owned();
        world.tokens.insert(token.clone(), Token { account: account.clone(), account_uid, expires_at });
    }
    fields::set(&mut request, &["apiVersion"], "authentication.k8s.io/v1");
    fields::set(&mut request, &["kind"], "TokenRequest");
    fields::set(&mut request, &["metadata", "name"], account.name.as_str());
    fields::set(&mut request, &["metadata", "namespace"], account.namespace.as_str());
    fields::set(&mut request, &["metadata", "creationTimestamp"], world.stamp());
    fields::set(&mut request, &["spec", "expirationSeconds"], expires_in);
    fields::set(&mut request, &["status"], json!({"token": token, "expirationTimestamp": stamp(expires_at)}));
    Ok(request)
}

/// The user that `token` stands for now.
///
/// # Errors
/// 401 when it is unknown, expired, or its `ServiceAccount` has gone.
pub(super) fn user(world: &World, token: &str) -> Result<String, Failure> {
    let known = world.tokens.get(token).filter(|known| world.now < known.expires_at).ok_or_else(Failure::unauthorized)?;
    if world.key_of_uid(&known.account_uid) != Some(&known.account) {
        return Err(Failure::unauthorized());
    }
    Ok(format!("system:serviceaccount:{}:{}", known.account.namespace, known.account.name))
}
