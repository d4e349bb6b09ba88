//! The rights that a runbook's work needs, and those of its sentinel: what the tenant grants by day, and nothing else.
//!
//! In: a runbook with its services, or a frozen plan. Out: [`Right`]s in a fixed order. Invariants: the one place that knows them, so that
//! what is printed, what is proven by day and what is used at night cannot differ; objects are named one by one, with the fewest verbs; the
//! sentinel creates nothing. Not here: the documents made of them ([`crate::api`]'s), the questions asked about them (the operator's),
//! how a kind is really served.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::action::{Action, Check, JobSource, Template, Undo};
use crate::model::kind::is_known;
use crate::model::plan::{Plan, PlannedAction, PlannedUndo};
use crate::model::reference::{ServiceRef, Target};
use crate::model::refusal::{Refusal, object_name};
use crate::model::runbook::Runbook;
use crate::model::service::{Change, Closing, Service};

use super::references::{Known, allows, resolve};

/// Whose right it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The account that does the work.
    Work,
    /// The account of the sentinel, which only restores.
    Sentinel,
}

/// What a right is on, as far as it is known offline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// By its group and plural.
    Plural {
        /// The API group; empty for the core.
        group: &'static str,
        /// The plural.
        plural: &'static str,
    },
    /// By a kind that people wrote.
    Kind {
        /// As `apps/v1`.
        api_version: String,
        /// As `Deployment`.
        kind: String,
    },
}

/// Some verbs on one object, or on all objects of a resource in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Where; empty for what stands in no namespace.
    pub namespace: String,
    /// On what.
    pub resource: Resource,
    /// The object; empty for all of them, because their names are made in the night or cannot be asked for by name.
    pub name: String,
    /// In the order get, list, watch, create, patch, delete.
    pub verbs: Vec<&'static str>,
}

/// Everything that a night touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The runbook's namespace.
    pub namespace: String,
    cron_jobs: BTreeSet<String>,
    /// What is changed and put back, and whether a step may make it.
    changed: BTreeMap<Target, bool>,
    watched: BTreeSet<Target>,
    /// Nobody makes a dead man's switch.
    unguarded: bool,
}

const CONFIG_MAPS: Resource = Resource::Plural { group: "", plural: "configmaps" };
const PODS: Resource = Resource::Plural { group: "", plural: "pods" };
const JOBS: Resource = Resource::Plural { group: "batch", plural: "jobs" };
const CRON_JOBS: Resource = Resource::Plural { group: "batch", plural: "cronjobs" };
const DEPLOYMENTS: Resource = Resource::Plural { group: "apps", plural: "deployments" };

impl Needs {
    /// The same for an operator that makes no dead man's switch: what only that uses is not asked for.
    #[must_use]
    pub fn without_switch(self) -> Self {
        Self { unguarded: true, ..self }
    }

    /// Of a frozen plan.
    #[must_use]
    pub fn of_plan(plan: &Plan) -> Self {
        let mut needs = Self { namespace: plan.namespace.clone(), ..Self::default() };
        for service in plan.services.iter().filter(|service| service.close_at.is_some()) {
            service.close.iter().chain(service.when_dirty.actions()).for_each(|closing| needs.closing(closing));
        }
        for step in &plan.steps {
            match &step.action {
                PlannedAction::Job(job) => needs.job(job),
                PlannedAction::Change(closing) => needs.change(&closing.target, &closing.change),
                PlannedAction::Check(check) => needs.check(check),
                PlannedAction::Close { .. } | PlannedAction::Hold(_) | PlannedAction::Notify { .. } => {}
            }
            if let PlannedUndo::Job { job, .. } = &step.undo {
                needs.job(job);
            }
        }
        plan.smoke.iter().for_each(|smoke| needs.job(&smoke.job));
        needs
    }

    /// Of a runbook, whatever the night.
    ///
    /// # Errors
    /// Every service that it closes and that is not there, or does not let itself be closed.
    pub fn of_runbook(runbook: &Runbook, services: &[Service]) -> Result<Self, Vec<Refusal>> {
        let known: Known<'_> = services.iter().map(|service| (&service.id, service)).collect();
        let mut needs = Self { namespace: runbook.namespace.clone(), ..Self::default() };
        let mut refusals = Vec::new();
        for (index, step) in runbook.steps.iter().enumerate() {
            match &step.action {
                Action::Close { services } => {
                    for (place, reference) in services.iter().enumerate() {
                        let path = format!("spec.steps[{index}].close.services[{place}]");
                        let closed = resolve(reference, &runbook.namespace, &known)
                            .map_err(|message| ("UnknownService", message))
                            .and_then(|id| closable(&id, &known, &runbook.namespace));
                        match closed {
                            Ok(service) => {
                                let changes = service.close.iter().chain(service.when_dirty.actions());
                                changes.for_each(|closing| needs.closing(closing));
                            }
                            Err((reason, message)) => {
                                let object = object_name("Runbook", Some(&runbook.namespace), &runbook.name);
                                refusals.push(Refusal::new(reason, &object, &path, message));
                            }
                        }
                    }
                }
                Action::Job(job) => needs.job(job),
                Action::Change { target, change } => needs.change(target, change),
                Action::Check(check) => needs.check(check),
                Action::Hold(_) | Action::Notify { .. } => {}
            }
            if let Undo::Job { job, .. } = &step.undo {
                needs.job(job);
            }
        }
        runbook.smoke.iter().for_each(|smoke| needs.job(&smoke.job));
        if refusals.is_empty() { Ok(needs) } else { Err(refusals) }
    }

    fn job(&mut self, job: &JobSource) {
        match &job.template {
            Template::CronJob(name) => drop(self.cron_jobs.insert(name.clone())),
            Template::Inline(_) => {}
        }
    }

    fn closing(&mut self, closing: &Closing) {
        self.change(&closing.target, &closing.change);
    }

    fn change(&mut self, target: &Target, change: &Change) {
        *self.changed.entry(target.clone()).or_default() |= change.makes();
    }

    fn check(&mut self, check: &Check) {
        match check {
            Check::Wait { target, .. } => drop(self.watched.insert(target.clone())),
            Check::Http(_) => {}
        }
    }

    /// The rights of one account, first those in the runbook's own namespace that name no object.
    #[must_use]
    pub fn rights(&self, whose: Whose) -> Vec<Right> {
        match whose {
            Whose::Work => self.of_the_work(),
            Whose::Sentinel => self.of_the_sentinel(),
        }
    }

    fn own(&self, resource: Resource, verbs: &[&'static str]) -> Right {
        Right { namespace: self.namespace.clone(), resource, name: String::new(), verbs: verbs.to_vec() }
    }

    fn of_the_work(&self) -> Vec<Right> {
        let mut rights = if self.unguarded {
            vec![self.own(CONFIG_MAPS, &["get", "create", "patch"]), self.own(PODS, &["list", "watch", "patch"])]
        } else {
            vec![
                // Plan and ledger are watched beside the switch.
                self.own(CONFIG_MAPS, &["get", "list", "watch", "create", "patch"]),
                // Created as a dry run only: quota and admission are asked whether they would take a sentinel.
                self.own(PODS, &["list", "watch", "create", "patch"]),
                self.own(DEPLOYMENTS, &["get", "list", "watch", "create", "patch", "delete"]),
            ]
        };
        rights.push(self.own(JOBS, &["get", "list", "watch", "create", "patch"]));
        rights.extend(self.cron_jobs.iter().map(|name| Right { name: name.clone(), ..self.own(CRON_JOBS, &["get"]) }));
        for (target, made) in &self.changed {
            if *made {
                rights.push(Right { name: String::new(), ..on(target, &["create"]) });
            }
            rights.push(restored(target, *made));
        }
        rights.extend(self.watched.iter().map(|target| on(target, &["get", "watch"])));
        rights.dedup();
        rights
    }

    fn of_the_sentinel(&self) -> Vec<Right> {
        if self.unguarded {
            return Vec::new();
        }
        let mut rights = vec![
            self.own(CONFIG_MAPS, &["get", "patch"]),
            self.own(PODS, &["list", "watch", "patch"]),
            self.own(JOBS, &["get", "list", "watch", "patch"]),
        ];
        rights.extend(self.changed.iter().map(|(target, made)| restored(target, *made)));
        rights
    }
}

fn closable<'a>(id: &ServiceRef, known: &Known<'a>, from: &str) -> Result<&'a Service, (&'static str, String)> {
    let Some(service) = known.get(id).copied() else { return Err(("UnknownService", format!("there is no PublicService {id}"))) };
    if !allows(service, from) {
        let message = format!("{id} may not be closed from namespace {from}; its allowedFrom has to name it");
        return Err(("ClosingNotAllowed", message));
    }
    if service.close.is_empty() {
        return Err(("NoWayToClose", format!("{id} does not say how it is closed: give it spec.close")));
    }
    Ok(service)
}

/// What is changed and put back; what a step may have made is deleted by its undo.
fn restored(target: &Target, made: bool) -> Right {
    on(target, if made { &["get", "patch", "delete"] } else { &["get", "patch"] })
}

fn on(target: &Target, verbs: &[&'static str]) -> Right {
    let Target { api_version, kind, namespace, name } = target;
    let resource = Resource::Kind { api_version: api_version.clone(), kind: kind.clone() };
    Right { namespace: namespace.clone(), resource, name: name.clone(), verbs: verbs.to_vec() }
}

/// A group and a plural, and whether they are known for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The API group; empty for the core.
    pub group: String,
    /// The plural.
    pub plural: String,
    /// Whether it is a kind of Kubernetes itself; else the plural is the usual English one.
    pub is_certain: bool,
}

impl Resource {
    /// How it is served, as far as that can be known without a cluster.
    #[must_use]
    pub fn served(&self) -> Served {
        match self {
            Self::Plural { group, plural } => {
                Served { group: (*group).to_owned(), plural: (*plural).to_owned(), is_certain: true }
            }
            Self::Kind { api_version, kind } => {
                let group = api_version.split_once('/').map_or("", |(group, _)| group);
                Served { group: group.to_owned(), plural: plural(kind), is_certain: is_known(group, kind) }
            }
        }
    }
}

/// The usual English plural, in small letters; so are those of all kinds that are known.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    if kind == "endpoints" {
        return kind;
    }
    let vowel_before_y = kind.strip_suffix('y').is_some_and(|stem| stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match kind.strip_suffix('y') {
        Some(stem) if !vowel_before_y => format!("{stem}ies"),
        _ if ["s", "x", "z", "ch", "sh"].iter().any(|end| kind.ends_with(end)) => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_the_usual_ones() {
        let expected = [
            ("Ingress", "ingresses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Gateway", "gateways"),
            ("Box", "boxes"),
            ("Endpoints", "endpoints"),
        ];
        for (kind, known) in expected {
            assert_eq!(plural(kind), known);
        }
    }

    #[test]
    fn a_kind_of_somebody_elses_is_not_certain() {
        let served = |api_version: &str, kind: &str| {
            Resource::Kind { api_version: api_version.to_owned(), kind: kind.to_owned() }.served()
        };
        let widget = Served { group: "example.org".to_owned(), plural: "widgets".to_owned(), is_certain: false };
        assert_eq!(served("example.org/v1", "Widget"), widget);
        assert!(!served("example.org/v1", "Deployment").is_certain, "the name of a kind says nothing without its group");
        assert!(served("apps/v1", "Deployment").is_certain);
    }

    #[test]
    fn what_a_step_makes_may_be_made_and_deleted_and_the_sentinel_only_deletes_it() {
        let target = Target { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: "a".into(), name: "x".into() };
        let needs = Needs { namespace: "n".to_owned(), changed: [(target, true)].into(), ..Needs::default() };
        let verbs = |whose| {
            let on_it = needs.rights(whose).into_iter().filter(|right| right.namespace == "a");
            on_it.map(|right| (right.name, right.verbs)).collect::<Vec<_>>()
        };
        let deleted = ("x".to_owned(), vec!["get", "patch", "delete"]);
        assert_eq!(verbs(Whose::Work), [(String::new(), vec!["create"]), deleted.clone()]);
        assert_eq!(verbs(Whose::Sentinel), [deleted]);
        let creates = |right: &Right| right.verbs.contains(&"create");
        assert!(!needs.rights(Whose::Sentinel).iter().any(creates));
    }
}
