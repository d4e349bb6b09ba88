//! The names by which a night is recognised on the objects of a cluster.
//!
//! Invariant: every annotation, label and finalizer of ours is named here and nowhere else. Not here: what their values mean
//! ([`super::token`] for tokens, the module that writes it for the rest).

/// Annotation on targets and Jobs: who may write, and in which direction.
pub const TOKEN: &str = "notturno.dev/token";
/// Annotation on Jobs: `false` until the one write that lets it run, `true` after it.
pub const RELEASED: &str = "notturno.dev/released";
/// Annotation on Jobs: what the burn proved, `never-started`, `started` or `completed`.
pub const BURNED: &str = "notturno.dev/burned";
/// Annotation on Jobs: when they were burned.
pub const BURNED_AT: &str = "notturno.dev/burned-at";
/// Annotation on Jobs and on the sentinel's Deployment: SHA-256 of the spec they were made with.
pub const MADE_AS: &str = "notturno.dev/made-as";
/// Annotation on targets, one for each change: the night that gave them their pre-image again, or closed them again after that. A hash of
/// the change's key follows.
pub const RESTORED: &str = "notturno.dev/restored-";
/// Annotation on objects that a step made: the night and the step.
pub const CREATED: &str = "notturno.dev/created-by";
/// Annotation on Pod templates: the night and the step that replaced the Pods.
pub const RESTARTED: &str = "notturno.dev/restarted-by";
/// Everything of ours on objects starts with this.
pub const PREFIX: &str = "notturno.dev/";

/// Label: the night's UID.
pub const NIGHT: &str = "notturno.dev/night";
/// Label: the step, on Jobs and Pods.
pub const STEP: &str = "notturno.dev/step";
/// Label: `forward`, `undo` or `smoke`, on Jobs and Pods; [`SENTINEL`] on the sentinel's Deployment and Pods.
pub const ROLE: &str = "notturno.dev/role";
/// The role of the dead man's switch.
pub const SENTINEL: &str = "sentinel";
/// Label: which attempt, from 1, on Jobs and Pods.
pub const ATTEMPT: &str = "notturno.dev/attempt";
/// Label, on Jobs that are only rehearsed and their Pods.
pub const REHEARSAL: &str = "notturno.dev/rehearsal";
/// Label of Kubernetes: what manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Our name there, and as field manager.
pub const US: &str = "notturno";

/// Finalizer of plan and ledger until the night is finished.
pub const KEEP_LEDGER: &str = "notturno.dev/ledger";
/// Finalizer of Pods until their end is recorded.
pub const KEEP_POD: &str = "notturno.dev/seen";
