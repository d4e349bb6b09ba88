//! How many writes a night may cost, as a table: DESIGN §3 and PROTOCOL.md in numbers.
//!
//! In: what the audit log counted. Out: the table, and every excess. Invariants: a write that stands in no row is an excess; so is one that
//! was refused. Not here: the order of the writes.

use std::collections::BTreeMap;

use super::audit::{OPERATOR, Result, TENANT, Write};

/// The night of `oggetti/notte.yaml`: what it closes, and what it makes.
const DEPLOYMENTS: usize = 5;
const SERVICES: usize = 1;
const CRON_JOBS: usize = 1;
/// Five steps, two attempts at the undo, one verification.
const JOBS: usize = 8;
/// Whose probes turn green one by one.
const OPENED: usize = 7;

/// What depends on the course of the night.
pub struct Course {
    /// Jobs that were let run.
    pub released: usize,
    /// Decisions that changed something before reopening, with what each stands for.
    pub waves: Vec<(&'static str, usize)>,
    /// Processes of the operator.
    pub operators: usize,
}

type Reasons = Vec<(&'static str, usize)>;

/// Rows: who, verb, resource, what came of it; and how many are allowed, why.
fn table(course: &Course) -> Vec<(&'static str, &'static str, &'static str, Result, Reasons)> {
    let target = |count| {
        let each = ["stamps", "closings", "burns", "restorings", "tokens taken off"];
        each.map(|what| (what, count)).to_vec()
    };
    let mut waves = course.waves.clone();
    waves.extend([("reopening begun", 1), ("services answer", OPENED)]);
    let wave_count: usize = waves.iter().map(|(_, count)| count).sum();
    let mut ledger = vec![("pre-images frozen", 1), ("finalizers of plan and ledger", 2)];
    ledger.extend(waves);
    let rights = vec![
        ("rights in the runbook's namespace", 20),
        ("CronJobs to read", 6),
        ("objects to read and to change", 2 * (DEPLOYMENTS + SERVICES + CRON_JOBS)),
    ];
    let switch = ("the switch asked for, ready in part, ready, taken down", 4);
    let statuses = vec![("accepted", 1), ("one a wave at most", wave_count), switch];
    vec![
        (TENANT, "create", "configmaps", Result::Stored, vec![("plan", 1), ("ledger", 1)]),
        (TENANT, "patch", "configmaps", Result::Stored, ledger),
        (TENANT, "create", "jobs", Result::Stored, vec![("Jobs exist before the night", JOBS)]),
        (TENANT, "patch", "jobs", Result::Stored, vec![("releases", course.released), ("burns", JOBS)]),
        (TENANT, "patch", "pods", Result::Stored, vec![("Pods let go once their end is recorded", course.released)]),
        (TENANT, "patch", "deployments", Result::Stored, target(DEPLOYMENTS)),
        (TENANT, "patch", "services", Result::Stored, target(SERVICES)),
        (TENANT, "patch", "cronjobs", Result::Stored, target(CRON_JOBS)),
        (TENANT, "patch", "deployments", Result::Tried, vec![("closings tried by day", DEPLOYMENTS)]),
        (TENANT, "patch", "services", Result::Tried, vec![("closings tried by day", SERVICES)]),
        (TENANT, "patch", "cronjobs", Result::Tried, vec![("closings tried by day", CRON_JOBS)]),
        (TENANT, "create", "deployments", Result::Tried, vec![("the switch tried by day", 1)]),
        (TENANT, "create", "pods", Result::Tried, vec![("a sentinel tried by day", 1)]),
        (TENANT, "create", "deployments", Result::Stored, vec![("the switch armed", 1)]),
        (TENANT, "delete", "deployments", Result::Stored, vec![("and taken down", 1)]),
        // They store nothing.
        (TENANT, "create", "selfsubjectaccessreviews", Result::Stored, rights),
        (OPERATOR, "create", "serviceaccounts/token", Result::Stored, vec![("token requests", course.operators)]),
        (OPERATOR, "patch", "interventions", Result::Stored, vec![("held", 1), ("let go", 1)]),
        (OPERATOR, "patch", "interventions/status", Result::Stored, statuses),
    ]
}

/// The table with what was counted, line by line, and the lines that are too many.
pub fn compare(writes: &[Write], course: &Course) -> (Vec<String>, Vec<String>) {
    let mut counted: BTreeMap<(&str, &str, &str, Result), usize> = BTreeMap::new();
    for write in writes {
        *counted.entry((&write.user, &write.verb, &write.resource, write.result)).or_default() += 1;
    }
    let mut lines = vec![format!("{:>5} {:>7}  {}", "count", "allowed", "write")];
    let mut excess = vec![];
    let who = |user: &str| if user == TENANT { "tenant" } else { "operator" };
    for (user, verb, resource, result, reasons) in table(course) {
        let count = counted.remove(&(user, verb, resource, result)).unwrap_or_default();
        let allowed: usize = reasons.iter().map(|(_, count)| count).sum();
        let reasons = reasons.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ");
        let line = format!("{count:>5} {allowed:>7}  {} {verb} {resource} {result:?}: {reasons}", who(user));
        if count > allowed {
            excess.push(line.clone());
        }
        lines.push(line);
    }
    for ((user, verb, resource, result), count) in counted {
        let line = format!("{count:>5} {:>7}  {} {verb} {resource} {result:?}", 0, who(user));
        excess.push(line.clone());
        lines.push(line);
    }
    (lines, excess)
}

#[test]
fn a_write_too_many_and_one_that_nobody_foresaw_are_noticed() {
    let write = |user: &str, verb: &str, resource: &str, result| Write {
        user: user.to_owned(),
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        namespace: String::new(),
        name: String::new(),
        at: jiff::Timestamp::UNIX_EPOCH,
        result,
        body: serde_json::Value::Null,
        stored: serde_json::Value::Null,
    };
    let course = Course { released: 5, waves: vec![], operators: 1 };
    let excess = |writes: &[Write]| compare(writes, &course).1.len();
    let twice = vec![write(OPERATOR, "create", "serviceaccounts/token", Result::Stored); 2];
    assert_eq!((excess(&twice[..1]), excess(&twice)), (0, 1));
    assert_eq!(excess(&[write(TENANT, "delete", "jobs", Result::Stored)]), 1);
    assert_eq!(excess(&[write(TENANT, "patch", "jobs", Result::Refused(422))]), 1);
}
