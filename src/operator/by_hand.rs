//! The page that tells a person with kubectl alone how to open every service again, with everything of ours gone.
//!
//! In: the frozen plan and the pre-images; with a journal, what has happened. Out: Markdown, whose blocks marked `sh` are run from top to
//! bottom. Invariants: pure; the commands need kubectl and a POSIX shell and nothing of ours; each may be repeated; a night that is
//! committed is never undone; what stands in the cluster under a name of this night is looked at before it is used. Not here: finding a
//! night, storing the page.

mod end;
mod page;
pub mod shell;
mod undo;

use crate::engine::Entry;
use crate::model::plan::Plan;
use crate::operator::effects::Preimages;
use crate::operator::effects::names::LedgerNames;

/// Most bytes of a ConfigMap's data; the API server takes a little more.
const DATA_BYTES_MAX: usize = 1024 * 1024 - 4096;

/// The page for whatever the night has become; with a journal, only for what it says has begun.
#[must_use]
pub fn page(plan: &Plan, preimages: &Preimages, journal: Option<&[Entry]>) -> String {
    page::Page::of(plan, preimages, journal).text()
}

/// The page that is kept beside plan and pre-images, which take `taken` bytes; where it does not fit, where else it is to be had.
#[must_use]
pub fn stored(plan: &Plan, preimages: &Preimages, taken: usize) -> String {
    let whole = page(plan, preimages, None);
    if taken.saturating_add(whole.len()) <= DATA_BYTES_MAX { whole } else { short(plan) }
}

fn short(plan: &Plan) -> String {
    let names = LedgerNames::of(&plan.name, &plan.uid);
    let of =
        |key: &str| format!("kubectl -n {} get configmap {} -o 'jsonpath={{.data.{key}\\.json}}'", plan.namespace, names.plan);
    format!(
        "# By hand: night {0}/{1}\n\nThe page with every command is too long to be kept here. This prints it:\n\n    \
         notturno by-hand {1} -n {0}\n\n\
         Without the program: what is to be put back, field by field, is printed by\n\n    {2}\n\nand the order of opening (`waves`, of \
         `services`) stands in\n\n    {3}\n\nBefore an operator runs again, delete the Intervention {1}, and its \
         finalizers before: it would go on with this night.\n",
        plan.namespace,
        plan.name,
        of("preimages"),
        of("plan"),
    )
}
