//! The patches of the API server, applied to one JSON object.
//!
//! In: an object as stored and the body of a PATCH. Out: the patched object, or the failure the API server gives.
//! Invariants: a patch applies whole or not at all; a failed `test` and a path that is not there are both 422.
//! As the API server's library does, and RFC 6902 does not: `test` for null holds where the key is absent, and `replace` puts a key into an
//! object that has none.
//! Not here: strategic merge (415); server-side apply of the main resource (`apply`): of `/status` it is a merge.

use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use serde_json::Value;

use super::failure::Failure;

/// Operations allowed in one JSON patch.
const OPERATIONS_MAX: usize = 10_000;

/// How the body of a PATCH is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    /// The patch type of a content type.
    ///
    /// # Errors
    /// 415 for any other.
    pub(super) fn of(content_type: &str) -> Result<Self, Failure> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(Failure::unsupported_media(content_type)),
        }
    }
}

/// `object` with the patch in `body` applied.
///
/// # Errors
/// 400 for a body that is no patch, 413 for too many operations, 422 for a patch that does not apply.
pub(super) fn apply(object: &Value, patch_type: PatchType, body: &Value) -> Result<Value, Failure> {
    let mut patched = object.clone();
    match patch_type {
        PatchType::Json => {
            if !body.as_array().is_some_and(|operations| operations.iter().all(Value::is_object)) {
                return Err(Failure::bad_request("error decoding patch: it is no list of operations"));
            }
            let operations: Patch = serde_json::from_value(body.clone()).map_err(|_| Failure::patch_refused())?;
            if operations.0.len() > OPERATIONS_MAX {
                return Err(Failure::too_large("too many operations in a JSON patch"));
            }
            for operation in operations.0 {
                apply_one(&mut patched, operation)?;
            }
        }
        PatchType::Merge | PatchType::Apply => {
            if !body.is_object() {
                return Err(Failure::bad_request("a merge patch must be an object"));
            }
            json_patch::merge(&mut patched, body);
        }
    }
    if patched.is_object() { Ok(patched) } else { Err(Failure::patch_refused()) }
}

fn apply_one(object: &mut Value, operation: PatchOperation) -> Result<(), Failure> {
    if let PatchOperation::Test(test) = &operation
        && test.value.is_null()
        && is_absent(object, test.path.as_str())
    {
        return Ok(());
    }
    let operation = match operation {
        PatchOperation::Replace(ReplaceOperation { path, value }) if is_absent(object, path.as_str()) => {
            PatchOperation::Add(AddOperation { path, value })
        }
        PatchOperation::Add(_)
        | PatchOperation::Remove(_)
        | PatchOperation::Replace(_)
        | PatchOperation::Move(_)
        | PatchOperation::Copy(_)
        | PatchOperation::Test(_) => operation,
    };
    json_patch::patch(object, &[operation]).map_err(|_| Failure::patch_refused())
}

/// Whether the parent of `pointer` is an object without that key.
fn is_absent(object: &Value, pointer: &str) -> bool {
    let Some((parent, _)) = pointer.rsplit_once('/') else { return false };
    object.pointer(parent).is_some_and(Value::is_object) && object.pointer(pointer).is_none()
}
