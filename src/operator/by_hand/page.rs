//! The page itself: sections in the order in which a person does them.
//!
//! In: plan, pre-images, a journal if there is one. Out: Markdown. Invariants: blocks marked `sh` change things and are run in order; other
//! blocks only show; nothing that people wrote freely stands in a block but as a quoted word. Not here: commands on one object
//! ([`super::shell`]), undos ([`super::undo`]), the end ([`super::end`]).

use std::collections::BTreeMap;

use serde_json::json;

use crate::engine::state::{Direction, ServiceState, Work};
use crate::engine::words::rfc3339;
use crate::engine::{Entry, JobKey, STALE_CONTROLLER, State};
use crate::model::plan::{Plan, PlannedAction, PlannedService, PlannedStep, ServiceIndex};
use crate::model::reference::Target;
use crate::model::service::{Closing, WhenDirty};
use crate::operator::effects::Preimages;
use crate::operator::effects::capture::Preimage;
use crate::operator::effects::marks;
use crate::operator::effects::names::{LedgerNames, job_names};
use crate::operator::effects::preimages::{degraded_key, key, step_key};
use crate::operator::effects::token::Way;

use super::shell::{changing, kubectl, on, quoted, restoring, unmaking};
use super::undo::{run, token, undoing};

/// A page being written.
pub(super) struct Page<'a> {
    pub(super) plan: &'a Plan,
    preimages: &'a Preimages,
    jobs: BTreeMap<JobKey, String>,
    state: Option<State>,
    lines: Vec<String>,
}

impl<'a> Page<'a> {
    pub(super) fn of(plan: &'a Plan, preimages: &'a Preimages, journal: Option<&[Entry]>) -> Self {
        let state = journal.map(|entries| State::fold(plan, entries));
        Self { plan, preimages, jobs: job_names(plan), state, lines: Vec::new() }
    }

    pub(super) fn text(mut self) -> String {
        self.head();
        self.silence();
        self.take_away();
        self.stop();
        self.undo();
        self.open();
        self.end();
        self.lines.join("\n") + "\n"
    }

    pub(super) fn say(&mut self, words: impl Into<String>) {
        self.lines.extend([words.into(), String::new()]);
    }

    /// A block to be run.
    pub(super) fn sh(&mut self, commands: &[String]) {
        if !commands.is_empty() {
            self.say(format!("```sh\n{}\n```", commands.join("\n")));
        }
    }

    pub(super) fn kubectl(&self) -> String {
        kubectl(&self.plan.namespace)
    }

    /// All objects of the night, by the label that they bear.
    pub(super) fn of_role(&self, role: &str) -> String {
        format!("-l {}={},{}={role}", marks::NIGHT, self.plan.uid, marks::ROLE)
    }

    fn head(&mut self) {
        let Plan { namespace, name, deadline, .. } = self.plan;
        self.say(format!("# By hand: night {namespace}/{name}"));
        self.say(format!(
            "How to open every service again with kubectl alone, with the operator, its namespace and its kinds gone. All has to be open \
             by **{}**, because of {}, site {}.",
            rfc3339(self.plan, deadline.must_serve_by),
            deadline.service,
            one_line(&deadline.site),
        ));
        self.say(
            "You need kubectl as an administrator of this cluster, and a POSIX shell. Paste the blocks one after the other into **one** \
             shell, from the top; read what each prints before the next. Each may be repeated. A wait is ended with Ctrl-C.",
        );
    }

    fn silence(&mut self) {
        self.say("## 1. Stop whoever may still act");
        self.say(
            "The sentinel of this night, if there is one, and the operator. Without the operator no other night of this cluster goes on \
             either: leave the second half out if another is under way; section 2 keeps the operator from this one all the same. Start it \
             again only where section 6 says so.",
        );
        let (sentinel, own, operator) = (self.of_role("sentinel"), self.kubectl(), OPERATOR);
        let found = r#"jsonpath={range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}"#;
        self.sh(&[
            format!("{own} delete deployments.v1.apps {sentinel} --ignore-not-found"),
            gone(&format!("{own} get pods {sentinel} -o name"), 1),
        ]);
        self.sh(&[
            format!("kubectl get deployments.v1.apps {operator} -o {} |", quoted(found)),
            "while read -r namespace name; do".to_owned(),
            "    kubectl -n \"$namespace\" scale deployments.v1.apps \"$name\" --replicas=0 </dev/null".to_owned(),
            "done".to_owned(),
            gone(&format!("kubectl get pods {operator} -o name"), 1),
        ]);
    }

    /// Every object that the night changes, once, with how it is served.
    pub(super) fn targets(&self) -> BTreeMap<&'a Target, &'a Preimage> {
        let known = |(key, target): (String, &'a Target)| Some((target, self.preimages.targets.get(&key)?));
        self.changes().into_iter().filter_map(known).collect()
    }

    fn take_away(&mut self) {
        self.say("## 2. Take the objects away from the night");
        self.say(
            "From here on no write of operator or sentinel reaches them, however late it comes. If one of these objects is not there, go \
             on; if its token is another night's, somebody works on it: call them.",
        );
        let reopen = format!("{}={}", marks::TOKEN, token(self.plan, Way::Reopen));
        let one = |(target, preimage): (&Target, &Preimage)| {
            let annotate = format!("{} {reopen}", on(target, &preimage.resource, "annotate --overwrite"));
            if preimage.is_absent() {
                return format!("if {} >/dev/null 2>&1; then {annotate}; fi", on(target, &preimage.resource, "get"));
            }
            annotate
        };
        let commands: Vec<String> = self.targets().into_iter().map(one).collect();
        self.sh(&commands);
    }

    fn stop(&mut self) {
        self.say("## 3. Stop the work");
        let forward: Vec<String> =
            self.jobs.iter().filter(|(key, _)| matches!(key, JobKey::Step(_))).map(|(_, name)| name.clone()).collect();
        if forward.is_empty() {
            self.say("No step of this night runs a Job.");
            return;
        }
        self.say(
            "The Jobs of the steps are suspended, which ends their Pods. The wait ends when none of them can run any more. If it does not, \
             look with `kubectl get pods -o wide`: a Pod on a node that is lost may still write. Then do **not** go on to section 4, call \
             those who know the data, and open only services whose data no step touches.",
        );
        let annotations = json!({(marks::TOKEN): token(self.plan, Way::Expired)});
        let patch = quoted(&json!({"metadata": {"annotations": annotations}, "spec": {"suspend": true}}).to_string());
        let own = self.kubectl();
        let mut commands: Vec<String> =
            forward.iter().map(|name| format!("{own} patch jobs.v1.batch {name} --type=merge -p {patch}")).collect();
        commands.push(format!("sleep {} # a Pod that was about to be made shows itself", STALE_CONTROLLER.get().as_secs()));
        let alive = "--field-selector=status.phase!=Succeeded,status.phase!=Failed";
        commands.push(gone(&format!("{own} get pods {} {alive} -o name", self.of_role("forward")), 2));
        self.sh(&commands);
    }

    /// Steps that may have to be undone, the last first.
    fn undoable(&self) -> Vec<usize> {
        let begun = |index: usize| {
            let step = self.state.as_ref().and_then(|state| state.steps.get(index));
            self.state.is_none() || step.is_some_and(|step| step.work != Work::Waiting)
        };
        let own = self.plan.steps.iter().enumerate().filter(|(_, step)| step.has_own_undo());
        own.map(|(index, _)| index).filter(|&index| begun(index)).rev().collect()
    }

    fn undo(&mut self) {
        self.say("## 4. Undo what was begun");
        let committed = self.state.as_ref().is_some_and(|state| matches!(state.direction, Direction::Committed { .. }));
        let undoable = self.undoable();
        if committed || undoable.is_empty() {
            let known = if committed { "The work was finished and is kept" } else { "No step that has an undo of its own began" };
            let known = if self.state.is_some() { known } else { "No step of this night has an undo of its own" };
            self.say(format!("{known}: nothing is to be undone."));
            return;
        }
        let (own, ledger) = (self.kubectl(), LedgerNames::of(&self.plan.name, &self.plan.uid).ledger);
        let records = r#"go-template={{range $key, $record := .data}}{{$record}}{{"\n"}}{{end}}"#;
        self.say(format!(
            "The ledger, ConfigMap `{ledger}`, says which steps began. If it is gone, a Job that has started shows it: `{own} get jobs {} \
             -o wide`; then write for each step that began, instead of reading: `ledger='\"stepIntended\":{{\"step\":\"NAME\"'`.",
            format_args!("-l {}={}", marks::NIGHT, self.plan.uid)
        ));
        self.sh(&[format!("undone= ledger=$({own} get configmaps {ledger} -o {})", quoted(records))]);
        for index in undoable {
            let name = self.plan.steps.get(index).map(|step| step.name.clone()).unwrap_or_default();
            let Some(commands) = undoing(self.plan, self.preimages, &self.jobs, index) else { continue };
            self.say(format!("### If `{name}` began: its undo"));
            self.sh(&[commands]);
        }
        self.say(
            "If an undo fails, `kubectl logs` of its Pod says why. What was half changed then stays so: leave the services closed that the \
             last line names, call their contacts, and open the others.",
        );
        let Some(smoke) = self.jobs.get(&JobKey::Smoke).cloned() else { return };
        self.say("### Verification behind closed doors");
        let run = run(self.plan, &[smoke], "verified", "NOT VERIFIED: leave closed what an undone step touches");
        let known = r#"*'"smokeDone":{}'*"#;
        self.sh(&[
            "case ${undone:-}/${ledger:-} in".to_owned(),
            format!("yes/{known})\n    echo 'verified already'\n    ;;"),
            format!("yes/*)\n    {}\n    ;;", run.replace('\n', "\n    ")),
            "*)\n    echo 'nothing was undone: nothing to verify'\n    ;;".to_owned(),
            "esac".to_owned(),
        ]);
    }

    fn open(&mut self) {
        self.say("## 5. Open, wave after wave");
        self.say(
            "Each object gets back what was read from it before the night. After each wave check its services; go on if one stays \
             silent.",
        );
        for (number, wave) in self.plan.waves.iter().enumerate() {
            self.say(format!("### Wave {}", number + 1));
            for &index in wave {
                self.service(index);
            }
        }
    }

    fn service(&mut self, index: ServiceIndex) {
        let Some(service) = self.plan.services.get(index) else { return };
        let title = if service.title.it.is_empty() { &service.title.en } else { &service.title.it };
        self.say(format!("**{}** ({}){}", service.id, one_line(title), self.stands(index)));
        if service.close_at.is_some() {
            let through: Vec<&str> = service.could_stay_closed_by.iter().filter_map(|&step| self.step_name(step)).collect();
            if !through.is_empty() {
                let whom = contacts(service);
                let unless = format!("if {} began and is not undone and verified", through.join(" or "));
                self.say(match &service.when_dirty {
                    WhenDirty::StayClosed => format!("Leave it closed {unless}; {whom}."),
                    WhenDirty::OpenDegraded { .. } => {
                        format!("It opens all the same {unless}, changed as shown below; {whom}. {NOTHING_BENEATH}")
                    }
                    WhenDirty::Open { reason } => {
                        format!("It opens all the same {unless} ({}); {whom}. {NOTHING_BENEATH}", one_line(reason))
                    }
                });
            }
            let commands: Vec<String> =
                service.close.iter().rev().flat_map(|closing| self.reopening(&key(service, closing), closing)).collect();
            self.sh(&commands);
            self.degraded(service);
        }
        let probes = service.probes.iter().map(|probe| {
            let codes: Vec<String> = probe.status.iter().map(u16::to_string).collect();
            let curl = format!("curl -sS -o /dev/null -w '%{{http_code}}\\n' {}", quoted(&probe.url));
            format!("    {curl}   # {} times in a row: {}", probe.consecutive, codes.join(" or "))
        });
        let probes: Vec<String> = probes.collect();
        if probes.is_empty() {
            self.say("Nothing was declared by which one knows that it is open: try it as its users do.");
        } else {
            self.say(format!("Check, from where its address can be reached:\n\n{}", probes.join("\n")));
        }
    }

    /// Shown and not run: only a person knows whether the data is half changed.
    fn degraded(&mut self, service: &PlannedService) {
        let resource = |action: &Closing| {
            let known = self.preimages.targets.get(&degraded_key(service, action));
            known.map(|preimage| preimage.resource.clone())
        };
        let one = |action: &Closing| Some(format!("    {}", changing(action, &resource(action)?)?));
        let commands: Vec<String> = service.when_dirty.actions().iter().filter_map(one).collect();
        if !commands.is_empty() {
            let words = "Only if its data is half changed, right after that; it stays so until a person takes it away:";
            self.say(format!("{words}\n\n{}", commands.join("\n")));
        }
    }

    /// What the ledger says of it.
    fn stands(&self, index: ServiceIndex) -> &'static str {
        match self.state.as_ref().and_then(|state| state.services.get(index)) {
            None => "",
            Some(ServiceState::Open) => ": not closed so far",
            Some(ServiceState::Closed { .. }) => ": **closed**",
            Some(ServiceState::Expiring { .. }) => ": to be opened although its data is half changed",
            Some(ServiceState::Opening { .. }) => ": being opened",
            Some(ServiceState::ClosingAgain { .. }) => ": being closed again, because it did not answer",
            Some(ServiceState::Opened { .. }) => ": open, and answered",
            Some(ServiceState::Degraded { .. }) => ": open in part",
            Some(ServiceState::HeldClosed { .. }) => ": **kept closed**",
        }
    }

    fn step_name(&self, index: usize) -> Option<&'a str> {
        self.plan.steps.get(index).map(|step| step.name.as_str())
    }

    fn reopening(&self, key: &str, closing: &Closing) -> Vec<String> {
        let Some(preimage) = self.preimages.targets.get(key) else {
            return vec![format!("echo {}", quoted(&format!("no pre-image of {} was captured", closing.target)))];
        };
        if preimage.is_absent() {
            let maker = format!("{}.{key}", self.plan.uid);
            return vec![unmaking(&closing.target, &preimage.resource, marks::CREATED, &maker)];
        }
        restoring(&closing.target, preimage)
    }

    /// Every change that is planned, by its key.
    pub(super) fn changes(&self) -> Vec<(String, &'a Target)> {
        let plan = self.plan;
        let of_step = |step: &'a PlannedStep| match &step.action {
            PlannedAction::Change(closing) => Some((step_key(&step.name), &closing.target)),
            PlannedAction::Close { .. }
            | PlannedAction::Job(_)
            | PlannedAction::Check(_)
            | PlannedAction::Hold(_)
            | PlannedAction::Notify { .. } => None,
        };
        let of_services = plan.services.iter().flat_map(|service| {
            let closings = service.close.iter().map(move |one| (key(service, one), &one.target));
            closings.chain(service.when_dirty.actions().iter().map(move |one| (degraded_key(service, one), &one.target)))
        });
        of_services.chain(plan.steps.iter().filter_map(of_step)).collect()
    }
}

/// PROTOCOL rule 16, for people.
const NOTHING_BENEATH: &str = "Before that, be sure that no Job and no undo of those steps runs, and that none will.";

/// Our own Pods and what makes them, wherever they are.
pub(super) const OPERATOR: &str = "-A -l app.kubernetes.io/name=notturno,app.kubernetes.io/component=operator";

/// Waits until a list is empty, and takes no failed call for an empty list.
pub(super) fn gone(list: &str, seconds: u32) -> String {
    format!("until left=$({list}) && [ -z \"$left\" ]; do sleep {seconds}; done")
}

fn contacts(service: &PlannedService) -> String {
    let one = |contact: &crate::model::service::Contact| {
        let channel = if contact.notify.is_empty() { String::new() } else { format!(", {}", contact.notify) };
        one_line(&format!("{} ({}{channel})", contact.name, contact.role))
    };
    let all: Vec<String> = service.contacts.iter().map(one).collect();
    if all.is_empty() { "nobody is named to be called".to_owned() } else { format!("call {}", all.join(", ")) }
}

/// Free text of people on one line, without what Markdown would take for its own.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let marked = |c: char| "\\`*_[]<>#".contains(c);
    words.join(" ").chars().flat_map(|c| marked(c).then_some('\\').into_iter().chain([c])).collect()
}
