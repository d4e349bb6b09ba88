//! The last section: the night goes, so that no operator goes on with it.
//!
//! In: a page. Out: its section 6. Invariants: who knows the night goes before the marks of people, which keep it from everything, come
//! off; a night of the same name that is another one is left alone. Not here: the sections before ([`super::page`]).

use std::collections::BTreeMap;

use crate::model::reference::Target;
use crate::operator::effects::marks;
use crate::operator::effects::names::{LedgerNames, restored_mark};

use super::page::{OPERATOR, Page, gone};
use super::shell::on;

/// By version and group, so that no other kind of that name is meant.
const INTERVENTION: &str = "interventions.v1alpha1.notturno.dev";

impl Page<'_> {
    pub(super) fn end(&mut self) {
        self.say("## 6. When all is open, before an operator is started again");
        self.say(
            "An operator that finds this night unfinished goes on with it: it stamps its tokens and makes its sentinel again, and gives \
             every object its values of before the night once more, whatever you have made of it since. So the night goes first, and \
             only then the marks that keep it away. If a tool keeps the Intervention from a repository, take it out there before.",
        );
        self.say(
            "First the Intervention. That it is not there, or that there is no such resource type, is good: go on. After any other error \
             do not; repeat the block.",
        );
        let (own, name, uid) = (self.kubectl(), &self.plan.name, &self.plan.uid);
        let night = format!("{INTERVENTION} {name}");
        self.sh(&[
            format!("if uid=$({own} get {night} -o 'jsonpath={{.metadata.uid}}') && [ \"$uid\" = {uid} ]; then"),
            format!("    {own} patch {night} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'"),
            format!("    {own} delete {night} --ignore-not-found"),
            "fi".to_owned(),
        ]);
        self.say(
            "Then what still knows it: the Pods of an operator that was left running, or that somebody has started meanwhile (others \
             take their place and go on with other nights), and a sentinel that it may have made anew.",
        );
        let sentinel = self.of_role("sentinel");
        self.sh(&[
            format!("kubectl delete pods {OPERATOR}"),
            format!("{own} delete deployments.v1.apps {sentinel} --ignore-not-found"),
            gone(&format!("{own} get pods {sentinel} -o name"), 1),
        ]);
        self.clear();
        self.say(format!(
            "Now the operator may run again, with as many replicas as it had (2, if nobody chose otherwise): `kubectl get deployments \
             {OPERATOR}` says where it is, and `kubectl -n NAMESPACE scale deployment NAME --replicas=2` starts it."
        ));
        let names = LedgerNames::of(&self.plan.name, &self.plan.uid);
        self.say(format!(
            "Plan, ledger and Pods are kept by finalizers while they are a record. Once nobody needs them, `{0} patch configmap {1} \
             --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'` lets one go, and likewise `{2}` and the Pods of `{0} get pods -l \
             {3}={4}`.",
            own,
            names.plan,
            names.ledger,
            marks::NIGHT,
            self.plan.uid
        ));
    }

    fn clear(&mut self) {
        self.say("Then the marks of the night come off its objects, so that another night can have them.");
        let mut all: BTreeMap<&Target, (&str, Vec<String>)> = self
            .targets()
            .into_iter()
            .map(|(target, one)| (target, (one.resource.as_str(), vec![marks::TOKEN.to_owned()])))
            .collect();
        for (key, target) in self.changes() {
            all.entry(target).and_modify(|(_, found)| found.push(restored_mark(&key)));
        }
        let one = |(target, (resource, found)): (&Target, (&str, Vec<String>))| {
            let marks: Vec<String> = found.iter().map(|mark| format!("{mark}-")).collect();
            let annotate = format!("{} {}", on(target, resource, "annotate"), marks.join(" "));
            format!("if {} >/dev/null 2>&1; then {annotate}; fi", on(target, resource, "get"))
        };
        let commands: Vec<String> = all.into_iter().map(one).collect();
        self.sh(&commands);
    }
}
