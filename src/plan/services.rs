//! Whom the night concerns: the services it closes, those whose data it changes, and all that depend on them at once.
//!
//! In: a runbook and the services known. Out: [`Concerned`], services in a fixed order with their waves. Refuses references that mean
//! nothing or several things, and closings that a service does not allow. Not here: deadlines, times.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::action::Action;
use crate::model::plan::ServiceIndex;
use crate::model::reference::{Reference, ServiceRef};
use crate::model::runbook::Runbook;
use crate::model::service::{DependencyMode, Service};

use super::references::{Known, allows, resolve};
use super::{Findings, runbook_object, service_object};

/// The services of the night, by position.
pub(super) struct Concerned<'a> {
    /// Closed ones first, in the order of closing; then touched ones; then dependents by name.
    pub services: Vec<&'a Service>,
    /// How many of them are closed.
    pub closed_count: usize,
    /// Direct synchronous upstreams, for each service.
    pub upstreams: Vec<BTreeSet<ServiceIndex>>,
    /// The order of reopening.
    pub waves: Vec<Vec<ServiceIndex>>,
    positions: BTreeMap<ServiceRef, ServiceIndex>,
    known: Known<'a>,
    from: &'a str,
}

impl Concerned<'_> {
    /// The position of the service that the runbook means by `reference`.
    pub(super) fn position(&self, reference: &Reference) -> Option<ServiceIndex> {
        let id = resolve(reference, self.from, &self.known).ok()?;
        self.positions.get(&id).copied()
    }

    /// All services that the runbook closes.
    pub(super) fn closed(&self) -> BTreeSet<ServiceIndex> {
        (0..self.closed_count).collect()
    }

    fn id(&self, index: ServiceIndex) -> String {
        self.services.get(index).map(|service| service.id.to_string()).unwrap_or_default()
    }
}

pub(super) fn concerned<'a>(runbook: &'a Runbook, services: &'a [Service], findings: &mut Findings) -> Concerned<'a> {
    let known: Known<'a> = services.iter().map(|service| (&service.id, service)).collect();
    let mut concerned = Concerned {
        services: Vec::new(),
        closed_count: 0,
        upstreams: Vec::new(),
        waves: Vec::new(),
        positions: BTreeMap::new(),
        known,
        from: &runbook.namespace,
    };
    close(runbook, &mut concerned, findings);
    touch(runbook, &mut concerned, findings);
    depend(services, &mut concerned, findings);
    wave(runbook, &mut concerned, findings);
    concerned
}

fn add(concerned: &mut Concerned<'_>, id: &ServiceRef) {
    if let (Some(service), false) = (concerned.known.get(id).copied(), concerned.positions.contains_key(id)) {
        concerned.positions.insert(id.clone(), concerned.services.len());
        concerned.services.push(service);
    }
}

fn close(runbook: &Runbook, concerned: &mut Concerned<'_>, findings: &mut Findings) {
    let mut closed_by: BTreeMap<ServiceRef, &str> = BTreeMap::new();
    for (index, step) in runbook.steps.iter().enumerate() {
        let Action::Close { services } = &step.action else { continue };
        for (place, reference) in services.iter().enumerate() {
            let path = format!("spec.steps[{index}].close.services[{place}]");
            let id = match resolve(reference, concerned.from, &concerned.known) {
                Ok(id) => id,
                Err(message) => {
                    findings.refuse("UnknownService", &runbook_object(runbook), &path, message);
                    continue;
                }
            };
            let service = concerned.known.get(&id).copied();
            if service.is_some_and(|service| !allows(service, concerned.from)) {
                let message = format!("{id} may not be closed from namespace {}; its allowedFrom has to name it", concerned.from);
                findings.refuse("ClosingNotAllowed", &runbook_object(runbook), &path, message);
            }
            if service.is_some_and(|service| service.close.is_empty()) {
                let message = format!("{id} does not say how it is closed: give it spec.close");
                findings.refuse("NoWayToClose", &runbook_object(runbook), &path, message);
            }
            if let Some(earlier) = closed_by.insert(id.clone(), &step.name) {
                let message = format!("{id} is closed by step {earlier:?} already; close it once");
                findings.refuse("ClosedTwice", &runbook_object(runbook), &path, message);
            }
            add(concerned, &id);
        }
    }
    concerned.closed_count = concerned.services.len();
}

fn touch(runbook: &Runbook, concerned: &mut Concerned<'_>, findings: &mut Findings) {
    for (index, step) in runbook.steps.iter().enumerate() {
        for (place, reference) in step.touches.iter().flatten().enumerate() {
            let path = format!("spec.steps[{index}].touches[{place}]");
            match resolve(reference, concerned.from, &concerned.known) {
                Ok(id) => {
                    if concerned.positions.get(&id).is_none_or(|&position| position >= concerned.closed_count) {
                        let message = format!(
                            "step {:?} changes data of {id}, which this night does not close: people may write meanwhile",
                            step.name
                        );
                        findings.warn("TouchesOpenService", &path, message);
                    }
                    add(concerned, &id);
                }
                Err(message) => findings.refuse("UnknownService", &runbook_object(runbook), &path, message),
            }
        }
    }
}

/// Waves when none are written: what is called opens before what calls it; services that call each other open together, with all that
/// calls them.
fn derived(concerned: &Concerned<'_>) -> Vec<Vec<ServiceIndex>> {
    let mut left: BTreeSet<ServiceIndex> = (0..concerned.services.len()).collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let calls_none = |index: &ServiceIndex| {
            concerned
                .upstreams
                .get(*index)
                .is_none_or(|upstreams| upstreams.is_disjoint(&left) || *upstreams == BTreeSet::from([*index]))
        };
        let free: BTreeSet<ServiceIndex> = left.iter().copied().filter(calls_none).collect();
        let wave = if free.is_empty() { left.clone() } else { free };
        left.retain(|index| !wave.contains(index));
        waves.push(wave.into_iter().filter(|&index| index < concerned.closed_count).collect::<Vec<_>>());
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// Adds, until nothing changes, every service that calls a concerned one synchronously.
fn depend(services: &[Service], concerned: &mut Concerned<'_>, findings: &mut Findings) {
    let mut calls: BTreeMap<&ServiceRef, Vec<ServiceRef>> = BTreeMap::new();
    let mut unknown: BTreeMap<&ServiceRef, Vec<(usize, String)>> = BTreeMap::new();
    for service in services {
        for (place, dependency) in service.depends_on.iter().enumerate() {
            match resolve(&dependency.service, &service.id.namespace, &concerned.known) {
                Ok(id) if dependency.mode == DependencyMode::Sync => calls.entry(&service.id).or_default().push(id),
                Ok(_) => {}
                Err(message) => unknown.entry(&service.id).or_default().push((place, message)),
            }
        }
    }
    // By name, not by position: a service whose data is touched and that calls a closed one stands among the touched.
    let mut reached: BTreeSet<ServiceRef> =
        concerned.services.iter().take(concerned.closed_count).map(|service| service.id.clone()).collect();
    loop {
        let calling = calls
            .iter()
            .filter(|(id, upstreams)| !reached.contains(**id) && upstreams.iter().any(|upstream| reached.contains(upstream)));
        let more: Vec<ServiceRef> = calling.map(|(id, _)| (*id).clone()).collect();
        if more.is_empty() {
            break;
        }
        for id in &more {
            add(concerned, id);
        }
        reached.extend(more);
    }
    for service in concerned.services.clone() {
        for (place, message) in unknown.remove(&service.id).into_iter().flatten() {
            let path = format!("spec.dependsOn[{place}].service");
            findings.refuse("UnknownService", &service_object(&service.id), &path, message);
        }
        let upstreams = calls.get(&service.id).into_iter().flatten();
        concerned.upstreams.push(upstreams.filter_map(|id| concerned.positions.get(id).copied()).collect());
    }
}

fn wave(runbook: &Runbook, concerned: &mut Concerned<'_>, findings: &mut Findings) {
    if runbook.reopening.waves.is_empty() {
        concerned.waves = derived(concerned);
        return;
    }
    let mut placed: BTreeSet<ServiceIndex> = BTreeSet::new();
    for (number, wave) in runbook.reopening.waves.iter().enumerate() {
        let mut members = Vec::new();
        for (place, reference) in wave.iter().enumerate() {
            let path = format!("spec.reopening.waves[{number}][{place}]");
            match resolve(reference, concerned.from, &concerned.known) {
                Err(message) => findings.refuse("UnknownService", &runbook_object(runbook), &path, message),
                Ok(id) => match concerned.positions.get(&id) {
                    Some(&index) if !placed.insert(index) => {
                        let message = format!("{id} stands in more than one wave; name it once");
                        findings.refuse("InTwoWaves", &runbook_object(runbook), &path, message);
                    }
                    Some(&index) => members.push(index),
                    None => {
                        let message = format!("{id} is neither closed tonight nor depends on what is: it is left alone");
                        findings.warn("NotConcerned", &path, message);
                    }
                },
            }
        }
        concerned.waves.push(members);
    }
    concerned.waves.retain(|wave| !wave.is_empty());
    let missing: Vec<ServiceIndex> = (0..concerned.closed_count).filter(|index| !placed.contains(index)).collect();
    for &index in &missing {
        let message = format!("{} is closed but stands in no wave: it reopens with the last", concerned.id(index));
        findings.warn("InNoWave", "spec.reopening.waves", message);
    }
    match concerned.waves.last_mut() {
        Some(last) => last.extend(missing),
        None if missing.is_empty() => {}
        None => concerned.waves.push(missing),
    }
    too_early(concerned, findings);
}

/// A service that opens no later than a closed one that it calls cannot answer in its own time.
fn too_early(concerned: &Concerned<'_>, findings: &mut Findings) {
    let mut opened: BTreeSet<ServiceIndex> = BTreeSet::new();
    for (number, wave) in concerned.waves.iter().enumerate() {
        for &index in wave {
            let calls = concerned.upstreams.get(index).into_iter().flatten();
            let later = calls.filter(|&&called| called < concerned.closed_count && called != index && !opened.contains(&called));
            for &called in later {
                let message = format!(
                    "{} opens with or before {}, which it calls: it cannot answer until that does; put it in a later wave",
                    concerned.id(index),
                    concerned.id(called)
                );
                findings.warn("OpensBeforeUpstream", &format!("spec.reopening.waves[{number}]"), message);
            }
        }
        opened.extend(wave);
    }
}
