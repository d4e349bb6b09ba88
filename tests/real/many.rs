//! Twenty nights at once: all of them end, every door is open in time, and none costs more than one night costs.

use jiff::{SignedDuration, Timestamp, Unit};

use super::audit::Result;
use super::cluster::{Cluster, say, wait};
use super::operator::By;
use super::small::{Small, TENANT};
use super::stage::Stage;
use super::tenant::fill;

const NIGHTS: usize = 20;
const DEADLINE_AFTER: SignedDuration = SignedDuration::from_secs(180);

/// The twenty.
struct Nights<'a> {
    small: Small<'a>,
    start_at: Timestamp,
    must_serve_by: Timestamp,
}

impl<'a> Nights<'a> {
    fn declare(cluster: &'a Cluster) -> Self {
        let start_at = (Timestamp::now() + SignedDuration::from_secs(100)).round(Unit::Second).unwrap();
        let must_serve_by = start_at + DEADLINE_AFTER;
        let small = Small::settle(cluster, must_serve_by);
        let one = |n: usize| {
            let fields = [("N", format!("{n:02}")), ("START", start_at.to_string()), ("MARGIN", small.margin(must_serve_by))];
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            fill(include_str!("oggetti/piccola.yaml"), &fields)
        };
        cluster.apply(&(1..=NIGHTS).map(one).collect::<Vec<_>>().join("\n---\n"));
        Self { small, start_at, must_serve_by }
    }
}

#[test]
fn twenty_nights_at_once_end_and_open_in_time_and_cost_no_more_than_one_each() {
    let stage = Stage::set(By::Manifests);
    let nights = Nights::declare(&stage.cluster);
    wait(300, "twenty outcomes", || (nights.small.outcomes().len() == NIGHTS).then_some(()));
    let took = Timestamp::now().duration_since(nights.start_at).as_secs_f64();
    let outcomes = nights.small.outcomes();
    let completed = outcomes.iter().filter(|outcome| *outcome == "Completed").count();
    say(format!("{completed} of {NIGHTS} completed {took:.1} s after the start: {outcomes:?}"));
    assert!(outcomes.iter().all(|outcome| ["Completed", "RolledBack"].contains(&outcome.as_str())), "{outcomes:?}");
    let writes = stage.audit.writes();
    for n in 1..=NIGHTS {
        let name = format!("sportello-{n:02}");
        let state = stage.cluster.get(&format!("/api/v1/namespaces/molti/configmaps/{name}")).unwrap();
        assert_eq!(state["data"]["stato"], "aperto", "{name}");
        let touched = |value: &str| {
            let of = writes.iter().filter(|write| write.user == TENANT && write.name == name && write.result == Result::Stored);
            of.filter(|write| write.body.to_string().contains(value)).map(|write| write.at).max()
        };
        assert!(touched("chiuso").is_some(), "{name} was closed");
        let opened_at = touched("aperto").expect("it was opened again");
        assert!(opened_at <= nights.must_serve_by, "{name} opened at {opened_at}, after {}", nights.must_serve_by);
    }
    let ours = writes
        .iter()
        // Access reviews store nothing, and stand in no namespace.
        .filter(|write| write.namespace == "molti" && write.user != "system:serviceaccount:kube-system:job-controller");
    let ours = ours.filter(|write| write.user == TENANT || write.user == super::audit::OPERATOR).collect::<Vec<_>>();
    let refused = ours.iter().filter(|write| matches!(write.result, Result::Refused(_))).count();
    let per_night = ours.len() / NIGHTS;
    say(format!("{} writes, {per_night} a night, {refused} refused", ours.len()));
    assert!(per_night <= 40, "a small night costs no more writes than it has to: {per_night}");
}
