//! One line of a real night's log is another: which promise that breaks.
//!
//! In: the recording, an alteration. Out: what the oracle says. Invariant: unaltered, it says nothing. Not here: how a night is recorded.

use serde_json::{Value, json};

use crate::oracle::audit_log::{Hands, read};
use crate::oracle::recording::Recording;
use crate::oracle::{Broken, Declared, Evidence, judge};

const NIGHT: &str = include_str!("night.jsonl");
/// More than that nobody reads.
const BYTES_MAX: usize = 200_000;

fn judged(recording: &Recording) -> Vec<Broken> {
    let by_day = recording.by_day();
    let told = read(&recording.lines, &Hands::of(&recording.operator, &recording.documents), &by_day);
    let evidence = Evidence {
        changes: told.changes,
        requests: told.requests,
        sightings: recording.sightings(),
        at_last: told.last,
        quiet_from: recording.quiet_from,
        until: recording.until,
        others: told.others,
        by_day,
    };
    judge(&Declared::read(&recording.documents, recording.must_serve_by), &evidence)
}

/// A place in the log.
fn place(lines: &[Value], what: &str, is_it: impl Fn(&Value) -> bool) -> usize {
    lines.iter().position(is_it).unwrap_or_else(|| panic!("no {what} in the log"))
}

fn name(line: &Value) -> &str {
    line["objectRef"]["name"].as_str().unwrap_or_default()
}

fn is(line: &Value, verb: &str, resource: &str, name_has: &str) -> bool {
    line["verb"] == verb
        && line["objectRef"]["resource"] == resource
        && name(line).contains(name_has)
        && line["requestURI"].is_null()
}

fn token(line: &Value) -> &str {
    line["responseObject"]["metadata"]["annotations"]["notturno.dev/token"].as_str().unwrap_or_default()
}

fn is_pod_of(line: &Value, job_has: &str) -> bool {
    let job = line["responseObject"]["metadata"]["ownerReferences"][0]["name"].as_str();
    line["verb"] == "create" && line["objectRef"]["resource"] == "pods" && job.is_some_and(|job| job.ends_with(job_has))
}

fn closes(line: &Value) -> bool {
    is(line, "patch", "deployments", "portale-ts")
        && token(line).ends_with(".forward")
        && line["responseObject"]["spec"]["replicas"] == 0
}

fn is_last_of(lines: &[Value], resource: &str, name_has: &str) -> usize {
    let is_its = |line: &Value| is(line, "patch", resource, name_has) && line["responseObject"]["metadata"]["name"].is_string();
    lines.iter().rposition(is_its).unwrap_or_else(|| panic!("no {resource} {name_has} in the log"))
}

/// The line comes right after another, as the store sees it.
fn after(lines: &mut Vec<Value>, from: usize, to: usize) {
    let mut line = lines[from].clone();
    line["stageTimestamp"] = lines[to]["stageTimestamp"].clone();
    line["responseObject"]["metadata"]["resourceVersion"] = lines[to]["responseObject"]["metadata"]["resourceVersion"].clone();
    lines.insert(to + 1, line);
    lines.remove(if from > to { from + 1 } else { from });
}

/// Its writes come to nothing, from the turn on.
fn refuse_all_back(lines: &mut [Value], target: &str) {
    for line in lines.iter_mut().filter(|line| is(line, "patch", "deployments", target) && !token(line).ends_with(".forward")) {
        line["responseStatus"]["code"] = json!(403);
        line["responseObject"] = json!({"kind": "Status"});
    }
}

/// What is altered, how, and the promises that it breaks.
type Alteration = (&'static str, fn(&mut Vec<Value>), &'static [&'static str]);

const ALTERATIONS: &[Alteration] = &[
    (
        "the undo's Pod was made before the step's Pod ended",
        |lines| {
            let undo = place(lines, "Pod of the undo", |line| is_pod_of(line, "-aggiorna-undo-1"));
            let step = place(lines, "Pod of the step", |line| is_pod_of(line, "-aggiorna"));
            after(lines, undo, step);
        },
        &["no undo beside its step"],
    ),
    (
        "what was there before was written down after the first change",
        |lines| {
            let capture = place(lines, "capture", |line| {
                is(line, "patch", "configmaps", "-plan") && line["responseObject"]["data"]["preimages.json"].is_string()
            });
            let closing = place(lines, "closing", closes);
            after(lines, capture, closing);
        },
        &["captured before the first change"],
    ),
    (
        "what was given back is closed again",
        |lines| {
            let last = is_last_of(lines, "deployments", "portale-ts");
            lines[last]["responseObject"]["spec"]["replicas"] = json!(0);
        },
        &["given back exactly", "no forward write after the turn-back", "once"],
    ),
    (
        "a Job whose step never began is let run long after the turn, by what was to burn its token",
        |lines| {
            let burn = place(lines, "burn", |line| is(line, "patch", "jobs", "-indici") && !token(line).ends_with(".forward"));
            lines[burn]["responseObject"]["spec"]["suspend"] = json!(false);
            lines[burn]["stageTimestamp"] = json!("2099-01-01T00:00:00Z");
        },
        &["no forward write after the turn-back", "quiet", "recorded before done"],
    ),
    ("a target is not restored", |lines| refuse_all_back(lines, "portale-ts"), &["given back exactly"]),
    (
        "a token was never taken off",
        |lines| {
            let last = is_last_of(lines, "deployments", "accesso-ts");
            lines[last]["responseStatus"]["code"] = json!(409);
        },
        &["given back exactly"],
    ),
    (
        "a Job has two Pods",
        |lines| {
            let first = place(lines, "Pod", |line| is_pod_of(line, "-aggiorna"));
            let mut second = lines[first].clone();
            for at in ["/objectRef/name", "/responseObject/metadata/name"] {
                *second.pointer_mut(at).unwrap() = json!("another");
            }
            lines.insert(first, second);
        },
        // Nobody saw the second end.
        &["no undo beside its step", "once"],
    ),
    (
        "a Job is let run before that is recorded",
        |lines| {
            let run = place(lines, "release", |line| {
                is(line, "patch", "jobs", "-aggiorna-undo-1") && line["responseObject"]["spec"]["suspend"] == false
            });
            let step = place(lines, "release of the step", |line| {
                is(line, "patch", "jobs", "-aggiorna") && line["responseObject"]["spec"]["suspend"] == false
            });
            after(lines, run, step);
        },
        &["recorded before done"],
    ),
    (
        "a record is another than its hash says",
        |lines| {
            let append = is_last_of(lines, "configmaps", "-ledger");
            lines[append]["responseObject"]["data"]["head"] = json!("3:0000");
        },
        &["one history"],
    ),
    (
        "we write to what nobody declared",
        |lines| {
            let closing = place(lines, "closing", closes);
            let mut other = lines[closing].clone();
            other["objectRef"] = json!({"resource": "rolebindings", "namespace": "sanita", "name": "altri"});
            other["responseObject"] = Value::Null;
            lines.insert(closing, other);
        },
        &["nothing else is changed"],
    ),
    (
        "we delete what we did not make",
        |lines| {
            let closing = place(lines, "closing", closes);
            let mut other = lines[closing].clone();
            other["verb"] = json!("delete");
            other["objectRef"]["name"] = json!("pagina-di-cortesia");
            other["responseObject"] = json!({"kind": "Status", "status": "Success"});
            lines.insert(closing + 1, other);
        },
        &["nothing else is changed", "nothing of others is deleted"],
    ),
    (
        "we delete a target and make it anew",
        |lines| {
            let closing = place(lines, "closing", closes);
            let mut other = lines[closing].clone();
            other["verb"] = json!("delete");
            other["responseObject"] = json!({"kind": "Status", "status": "Success"});
            lines.insert(closing + 1, other);
        },
        &["nothing of others is deleted"],
    ),
    (
        "the last write comes when all is quiet",
        |lines| {
            let last = is_last_of(lines, "interventions", "notte");
            lines[last]["stageTimestamp"] = json!("2099-01-01T00:00:00Z");
        },
        &["quiet"],
    ),
];

#[test]
fn a_real_night_is_judged_well_as_it_was() {
    assert!(NIGHT.len() < BYTES_MAX, "{} bytes", NIGHT.len());
    let night = Recording::parse(NIGHT);
    assert_eq!(judged(&night), []);
    assert!(night.lines.len() > 150, "{} lines", night.lines.len());
    assert_eq!(Recording::parse(&night.text()).lines, night.lines, "what is kept is read as it was");
}

#[test]
fn each_line_that_is_altered_breaks_the_promises_that_are_named_and_no_other() {
    for (what, alter, promises) in ALTERATIONS {
        let mut night = Recording::parse(NIGHT);
        let before = night.lines.clone();
        alter(&mut night.lines);
        assert_ne!(night.lines, before, "{what}: nothing is altered");
        let broken = judged(&night);
        let mut named: Vec<&str> = broken.iter().map(|one| one.promise).collect();
        named.dedup();
        assert_eq!(named, *promises, "{what}: {broken:#?}");
    }
}

#[test]
fn who_is_not_us_breaks_no_promise_of_ours_by_the_same_write() {
    for hand in [json!({"username": "anna"}), json!({"username": "system:serviceaccount:kube-system:deployment-controller"})] {
        let mut night = Recording::parse(NIGHT);
        let closing = place(&night.lines, "closing", closes);
        let mut other = night.lines[closing].clone();
        other["objectRef"] = json!({"resource": "rolebindings", "namespace": "sanita", "name": "altri"});
        other["responseObject"] = Value::Null;
        other["user"] = hand;
        night.lines.insert(closing, other);
        assert_eq!(judged(&night), []);
    }
}
