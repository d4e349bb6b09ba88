//! The words of a scenario's file, read for one plan.
//!
//! In: the document, the plan. Out: a [`Scenario`] and which of its entries were written, or every problem at once. Invariants: a step, a
//! service or a field that is not there is refused, with the name that was probably meant; what is not said goes as declared. Not here:
//! distributions and chances ([`super::going`]), what is played ([`crate::sim`]).

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::fields::Fields;
use super::going::{self, Manner};
use crate::api::structure::field_path;
use crate::cli::read::{Document, ReadProblem};
use crate::engine::facts::{Ask, Order};
use crate::model::near::did_you_mean;
use crate::model::plan::{Plan, PlannedAction, PlannedUndo, ServiceIndex, StepIndex};
use crate::model::span::{Span, before};
use crate::sim::scenario::Operator;
use crate::sim::{Often, Scenario};

/// The document's `apiVersion`.
pub(super) const API_VERSION: &str = "simulate.notturno.dev/v1alpha1";
/// The document's `kind`.
pub(super) const KIND: &str = "Scenario";
/// A time of day means its first coming from so long before the start on.
const EVENING: Span = Span::minutes(6 * 60);

/// A scenario with what its file says.
#[derive(Debug)]
pub(super) struct Written {
    pub name: String,
    pub description: String,
    pub scenario: Scenario,
    pub said: Said,
}

/// Which entries were written.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub steps: BTreeSet<StepIndex>,
    pub undos: BTreeSet<StepIndex>,
    pub smoke: bool,
    pub services: BTreeSet<ServiceIndex>,
}

impl Written {
    /// Where no file is given.
    pub(super) fn nothing(plan: &Plan) -> Self {
        let (name, description) = ("as declared".to_owned(), String::new());
        Self { name, description, scenario: Scenario::as_declared(plan), said: Said::default() }
    }
}

/// Reads a scenario for this plan.
pub(super) fn read(document: &Document, plan: &Plan) -> Result<Written, Vec<ReadProblem>> {
    let mut fields = Fields::of(document);
    head(&mut fields, document);
    let mut written = Written::nothing(plan);
    written.name.clone_from(&document.name);
    fields.object("spec", &["description", "steps", "undos", "smoke", "services", "orders", "operator"]);
    fields.text("spec.description").unwrap_or_default().clone_into(&mut written.description);
    steps(&mut fields, plan, &mut written);
    undos(&mut fields, plan, &mut written);
    smoke(&mut fields, plan, &mut written);
    services(&mut fields, plan, &mut written);
    written.scenario.orders = orders(&mut fields, plan);
    written.scenario.operator = operator(&mut fields, plan);
    let problems = fields.problems();
    if problems.is_empty() { Ok(written) } else { Err(problems) }
}

fn head(fields: &mut Fields<'_>, document: &Document) {
    fields.object("", &["apiVersion", "kind", "metadata", "spec"]);
    if document.api_version != API_VERSION {
        fields.wrong(
            "apiVersion",
            &format!("{:?} is not what a scenario is written in: write {API_VERSION}", document.api_version),
        );
    }
    if document.kind != KIND {
        fields.wrong("kind", &format!("{:?} is no scenario: write {KIND}", document.kind));
    }
    fields.object("metadata", &["name"]);
    fields.required("metadata.name", Fields::text);
}

fn steps(fields: &mut Fields<'_>, plan: &Plan, written: &mut Written) {
    for name in names(fields, "spec.steps") {
        let path = field_path("spec.steps", &name);
        let Some(index) = step(fields, plan, &path, &name) else { continue };
        let Some(planned) = plan.steps.get(index) else { continue };
        let manner = match planned.action {
            PlannedAction::Job(_) => Manner::Job { attempts: 1 },
            PlannedAction::Close { .. } | PlannedAction::Change(_) | PlannedAction::Check(_) => Manner::Other,
            PlannedAction::Hold(_) => {
                fields.wrong(&path, "is a hold: it ends by an order of a person (spec.orders), or by its silence");
                continue;
            }
            PlannedAction::Notify { .. } => {
                fields.wrong(&path, "only says something, and takes no time: remove it");
                continue;
            }
        };
        going::read(fields, &path, manner, written.scenario.steps.get_mut(index));
        written.said.steps.insert(index);
    }
}

fn undos(fields: &mut Fields<'_>, plan: &Plan, written: &mut Written) {
    for name in names(fields, "spec.undos") {
        let path = field_path("spec.undos", &name);
        let Some(index) = step(fields, plan, &path, &name) else { continue };
        let manner = match plan.steps.get(index).map(|planned| &planned.undo) {
            Some(PlannedUndo::Job { attempts, .. }) => Manner::Job { attempts: *attempts },
            Some(PlannedUndo::Restore { .. }) => Manner::Other,
            Some(PlannedUndo::CoveredBy { step }) => {
                let covering = plan.steps.get(*step).map(|step| step.name.as_str()).unwrap_or_default();
                fields.wrong(&path, &format!("has no undo of its own: that of {covering} covers it"));
                continue;
            }
            Some(PlannedUndo::Reopening) => {
                fields.wrong(&path, "is undone by the reopening: say in spec.services how that goes");
                continue;
            }
            Some(PlannedUndo::Nothing | PlannedUndo::Irreversible) | None => {
                fields.wrong(&path, "has no undo: remove it");
                continue;
            }
        };
        going::read(fields, &path, manner, written.scenario.undos.get_mut(index));
        written.said.undos.insert(index);
    }
}

fn smoke(fields: &mut Fields<'_>, plan: &Plan, written: &mut Written) {
    let path = "spec.smoke";
    if fields.value(path).is_none() {
        return;
    }
    if plan.smoke.is_none() {
        return fields.wrong(path, "the runbook has no verification after undos: remove it");
    }
    going::read(fields, path, Manner::Job { attempts: 1 }, Some(&mut written.scenario.smoke));
    written.said.smoke = true;
}

fn services(fields: &mut Fields<'_>, plan: &Plan, written: &mut Written) {
    for name in names(fields, "spec.services") {
        let path = field_path("spec.services", &name);
        let named = |index: &ServiceIndex| {
            plan.services.get(*index).is_some_and(|service| service.id.name == name || service.id.to_string() == name)
        };
        let found: Vec<ServiceIndex> = (0..plan.services.len()).filter(named).collect();
        let [index] = found.as_slice() else {
            let known = plan.services.iter().map(|service| service.id.name.as_str());
            let message = match found.as_slice() {
                [] => format!("tonight concerns no service {name:?}{}", did_you_mean(&name, known)),
                _ => format!("{name:?} may mean several services: write namespace/name"),
            };
            fields.wrong(&path, &message);
            continue;
        };
        going::read(fields, &path, Manner::Answer, written.scenario.services.get_mut(*index));
        written.said.services.insert(*index);
    }
}

fn names(fields: &mut Fields<'_>, path: &str) -> Vec<String> {
    fields.map(path).into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn step(fields: &mut Fields<'_>, plan: &Plan, path: &str, name: &str) -> Option<StepIndex> {
    let found = plan.step_named(name).map(|(index, _)| index);
    if found.is_none() {
        let near = did_you_mean(name, plan.steps.iter().map(|step| step.name.as_str()));
        fields.wrong(path, &format!("the runbook has no step {name:?}{near}"));
    }
    found
}

fn orders(fields: &mut Fields<'_>, plan: &Plan) -> Vec<Order> {
    let count = fields.list("spec.orders").unwrap_or_default();
    let mut orders: Vec<Order> = (0..count).filter_map(|index| order(fields, plan, index)).collect();
    orders.sort_by_key(|order| order.at);
    orders
}

fn order(fields: &mut Fields<'_>, plan: &Plan, index: usize) -> Option<Order> {
    let path = format!("spec.orders[{index}]");
    let inside = |name: &str| format!("{path}.{name}");
    fields.object(&path, &["at", "by", "order", "step", "until"])?;
    let at = fields.required(&inside("at"), |fields, path| moment(fields, plan, path));
    let by = fields.required(&inside("by"), Fields::text).map(str::to_owned);
    let words = ["Extend", "TurnBack", "Confirm", "Reject", "Hold", "Resume"];
    let word = fields.required(&inside("order"), |fields, path| fields.word(path, &words))?;
    let about_a_step = ["Extend", "Confirm", "Reject"].contains(&word);
    let named = if about_a_step {
        let name = fields.required(&inside("step"), Fields::text)?;
        step(fields, plan, &inside("step"), name).map(|_| name.to_owned())
    } else {
        None
    };
    let until =
        if word == "Extend" { fields.required(&inside("until"), |fields, path| moment(fields, plan, path)) } else { None };
    for (name, fits) in [("step", about_a_step), ("until", word == "Extend")] {
        if !fits && fields.value(&inside(name)).is_some() {
            fields.wrong(&inside(name), &format!("the order {word} names none: remove it"));
        }
    }
    let ask = match word {
        "Extend" => Ask::Extend { step: named?, until: until? },
        "Confirm" => Ask::Confirm { step: named? },
        "Reject" => Ask::Reject { step: named? },
        "Hold" => Ask::Hold,
        "Resume" => Ask::Resume,
        _ => Ask::TurnBack,
    };
    Some(Order { name: format!("order-{}", index + 1), by: by?, at: at?, ask })
}

fn operator(fields: &mut Fields<'_>, plan: &Plan) -> Option<Operator> {
    fields.object("spec.operator", &["diesAt", "dies", "returnsAt", "sentinel"])?;
    let dies_at = fields.required("spec.operator.diesAt", |fields, path| moment(fields, plan, path));
    let returns_at = moment(fields, plan, "spec.operator.returnsAt");
    let has_sentinel = fields.bool("spec.operator.sentinel").unwrap_or(true);
    let dies = going::often(fields, "spec.operator.dies", 1).unwrap_or(Often::Always);
    if let (Some(dies), Some(returns)) = (dies_at, returns_at)
        && returns <= dies
    {
        fields.wrong("spec.operator.returnsAt", "is not after diesAt");
    }
    Some(Operator { dies_at: dies_at?, dies, returns_at, has_sentinel })
}

/// `04:55`, in the zone of the doors, or a moment with its offset.
fn moment(fields: &mut Fields<'_>, plan: &Plan, path: &str) -> Option<Timestamp> {
    let text = fields.text(path)?;
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let zone = TimeZone::get(&plan.time_zone).unwrap_or(TimeZone::UTC);
    let from = before(plan.start_at, EVENING);
    let Ok(time) = jiff::civil::Time::strptime("%H:%M", text).or_else(|_| jiff::civil::Time::strptime("%H:%M:%S", text)) else {
        let example = super::moment(plan, plan.start_at);
        fields.wrong(
            path,
            &format!("{text:?} is no moment: write a time of day such as 04:55, or one with its offset such as {example}"),
        );
        return None;
    };
    let first = from.to_zoned(zone.clone()).date();
    let coming =
        [Some(first), first.tomorrow().ok()].into_iter().flatten().map(|day| zone.to_ambiguous_timestamp(day.to_datetime(time)));
    for moment in coming {
        let is_plain = !moment.is_ambiguous();
        match moment.compatible() {
            Ok(moment) if moment < from => {}
            Ok(moment) if is_plain => return Some(moment),
            Ok(_) | Err(_) => {
                fields.wrong(
                    path,
                    &format!("clocks change tonight, and {text} comes twice or never: write the moment with its offset"),
                );
                return None;
            }
        }
    }
    None
}
