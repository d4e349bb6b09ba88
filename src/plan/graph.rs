//! The order of the steps.
//!
//! In: a runbook. Out: positions in file order, so that every step stands after what it needs; among free ones the first written
//! goes first. Refuses unknown steps and cycles, naming them. Not here: times.

use std::collections::BTreeMap;

use crate::model::runbook::Runbook;

use super::{Findings, runbook_object};

/// Positions in `runbook.steps` in topological, then file order; none when there is no such order.
pub(super) fn order(runbook: &Runbook, findings: &mut Findings) -> Option<Vec<usize>> {
    let by_name: BTreeMap<&str, usize> =
        runbook.steps.iter().enumerate().map(|(index, step)| (step.name.as_str(), index)).collect();
    let mut known = true;
    for (index, step) in runbook.steps.iter().enumerate() {
        for (place, needed) in step.needs.iter().enumerate() {
            if !by_name.contains_key(needed.as_str()) {
                known = false;
                let path = format!("spec.steps[{index}].needs[{place}]");
                let message = format!("step {:?} needs {needed:?}, which is no step of this runbook", step.name);
                findings.refuse("UnknownStep", &runbook_object(runbook), &path, message);
            }
        }
    }
    if !known {
        return None;
    }
    let needs: Vec<Vec<usize>> = runbook
        .steps
        .iter()
        .map(|step| step.needs.iter().filter_map(|name| by_name.get(name.as_str()).copied()).collect())
        .collect();
    let (order, rest) = sorted(&needs);
    if rest.is_empty() {
        return Some(order);
    }
    let cycle = cycle_in(&needs, &rest);
    let name = |index: &usize| runbook.steps.get(*index).map_or("", |step| step.name.as_str());
    let mut names: Vec<&str> = cycle.iter().map(name).collect();
    names.extend(names.first().copied());
    let path = format!("spec.steps[{}].needs", cycle.first().copied().unwrap_or_default());
    let message = format!("these steps wait for each other: {}; take one of these needs away", names.join(" needs "));
    findings.refuse("Cycle", &runbook_object(runbook), &path, message);
    None
}

fn sorted(needs: &[Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = Vec::with_capacity(needs.len());
    let mut placed = vec![false; needs.len()];
    while let Some(next) = needs.iter().enumerate().position(|(index, needed)| {
        !placed.get(index).copied().unwrap_or(true) && needed.iter().all(|n| placed.get(*n).copied().unwrap_or(false))
    }) {
        if let Some(mark) = placed.get_mut(next) {
            *mark = true;
        }
        order.push(next);
    }
    let rest = placed.iter().enumerate().filter(|(_, done)| !**done).map(|(index, _)| index).collect();
    (order, rest)
}

/// Walks from need to need among steps that all wait for one another until it meets a step again.
fn cycle_in(needs: &[Vec<usize>], rest: &[usize]) -> Vec<usize> {
    let mut path: Vec<usize> = rest.iter().take(1).copied().collect();
    for _ in 0..=needs.len() {
        let here = path.last().copied().unwrap_or_default();
        let next = needs.get(here).and_then(|needed| needed.iter().find(|n| rest.contains(n))).copied();
        let Some(next) = next else { break };
        if let Some(start) = path.iter().position(|&seen| seen == next) {
            return path.split_off(start);
        }
        path.push(next);
    }
    path
}
