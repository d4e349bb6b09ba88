//! What people write is read as they mean it, or every problem of it is told at once.
//!
//! Each `tests/words/NAME.yaml` has its refusals in `NAME.txt`; `UPDATE=1` rewrites them, and a reviewer reads the difference.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test may")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use notturno::api::conditions::{Standing, conditions};
use notturno::api::status::{InterventionStatus, StepReport};
use notturno::api::{Document, from_value, is_ours, validate};
use notturno::model::action::{Action, EnvValue, Undo};
use notturno::model::phase::{Outcome, Phase};
use notturno::model::refusal::{Refusal, Warning};
use serde_json::{Value, json};

fn words() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/words")
}

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the file is there");
    serde_saphyr::from_multiple(&text).expect("YAML")
}

fn warnings(document: &Document) -> Result<Vec<Warning>, Vec<Refusal>> {
    Ok(match document {
        Document::Calendar(raw) => validate::calendar(raw)?.warnings,
        Document::Service(raw) => validate::service(raw)?.warnings,
        Document::Runbook(raw) => validate::runbook(raw)?.warnings,
        Document::Intervention(raw) => validate::intervention(raw)?.warnings,
    })
}

fn refusals(document: Value) -> Vec<Refusal> {
    from_value(document).and_then(|read| warnings(&read)).err().unwrap_or_default()
}

fn told(refusals: &[Refusal]) -> String {
    let mut text = String::new();
    let mut object = "";
    for refusal in refusals {
        if refusal.object != object {
            object = &refusal.object;
            writeln!(text, "{object}").expect("a string takes all");
        }
        writeln!(text, "  {} {}\n      {}", refusal.reason, refusal.path, refusal.message).expect("a string takes all");
    }
    text
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_place() {
    let files = std::fs::read_dir(words()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    files.retain(|path| path.file_stem().is_some_and(|name| name != "sketch"));
    files.sort();
    assert!(files.len() >= 9, "the table is there");
    for file in files {
        let found = documents(&file).into_iter().map(|document| told(&refusals(document))).collect::<Vec<_>>().join("---\n");
        assert!(!found.is_empty(), "{} has problems", file.display());
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).expect("the file can be written");
        }
        let written = std::fs::read_to_string(&expected).unwrap_or_default();
        assert!(written == found, "{}: expected\n{written}\nfound\n{found}", file.display());
    }
}

#[test]
fn the_sketch_of_a_night_is_read_without_a_refusal() {
    let mut said = Vec::new();
    for document in documents(&words().join("sketch.yaml")) {
        assert!(is_ours(&document));
        let read = from_value(document).unwrap_or_else(|refusals| panic!("{}", told(&refusals)));
        said.extend(warnings(&read).unwrap_or_else(|refusals| panic!("{}", told(&refusals))));
    }
    let said: Vec<&str> = said.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(said, ["spec.freezes[0].overridableBy", "spec.close[0].patch.merge", "spec.reopen.ramp", "spec.approvals"]);
}

#[test]
fn the_replay_of_2023_is_read_without_a_warning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/sogei-2023.yaml");
    let documents = documents(&path);
    assert_eq!(documents.len(), 16);
    for document in documents {
        let read = from_value(document).unwrap_or_else(|refusals| panic!("{}", told(&refusals)));
        assert_eq!(warnings(&read).unwrap_or_else(|refusals| panic!("{}", told(&refusals))), []);
    }
}

fn runbook() -> Value {
    json!({
        "apiVersion": "notturno.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": "r", "namespace": "n"},
        "spec": {
            "serviceAccountName": "s", "reserve": "20m", "reopening": {"budget": "30m"},
            "parameters": [{"name": "versione"}],
            "steps": [
                {"name": "a", "budget": "10m", "close": {"services": ["x"]}},
                {"name": "b", "budget": "1h30m", "job": {"from": {"cronJob": "c"}, "env": [
                    {"name": "VUOTO", "value": ""}, {"name": "V", "parameter": "versione"}]},
                 "undo": {"budget": "1h", "job": {"from": {"cronJob": "u"}}}},
            ],
        },
    })
}

fn read_runbook(document: Value) -> notturno::model::runbook::Runbook {
    match from_value(document) {
        Ok(Document::Runbook(raw)) => validate::runbook(&raw).unwrap_or_else(|found| panic!("{}", told(&found))).value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_written_has_its_default() {
    let read = read_runbook(runbook());
    assert_eq!(read.steps[0].undo, Undo::Reopening);
    assert_eq!(read.steps[1].touches, None, "a job that says nothing touches all that the runbook closes");
    assert!(matches!(read.steps[1].undo, Undo::Job { attempts: 2, .. }));
    let Action::Job(job) = &read.steps[1].action else { panic!("a job") };
    assert_eq!(job.env[0].value, EnvValue::Value(String::new()));
    assert_eq!(job.env[1].value, EnvValue::Parameter("versione".to_owned()));
    let night = json!({
        "apiVersion": "notturno.dev/v1alpha1", "kind": "Intervention", "metadata": {"name": "i"},
        "spec": {"runbook": "r", "startTime": "2023-02-10T00:30:00+01:00"},
    });
    let Ok(Document::Intervention(raw)) = from_value(night) else { panic!("reads") };
    let night = validate::intervention(&raw).expect("valid").value;
    let spans = [night.start_tolerance, night.margin, night.tell_before].map(|span| span.to_string());
    assert_eq!(spans, ["30m", "15m", "1h15m"]);
    assert_eq!(night.namespace, "default");
    assert_eq!(night.start_at.to_string(), "2023-02-09T23:30:00Z");
}

#[test]
fn an_explicit_null_is_nothing_except_in_a_patch() {
    let mut document = runbook();
    document["spec"]["steps"][1]["touches"] = Value::Null;
    document["spec"]["steps"][1]["onOverrun"] = Value::Null;
    document["spec"]["smoke"] = Value::Null;
    assert_eq!(read_runbook(document), read_runbook(runbook()));
    let Ok(Document::Service(raw)) = from_value(patched(&json!({"spec": {"selector": null}}))) else { panic!("reads") };
    let patch = raw.spec.close[0].patch.as_ref().expect("a patch");
    assert_eq!(json!(patch.merge), json!({"spec": {"selector": null}}));
}

#[test]
fn what_kubectl_prints_reads_as_what_was_written() {
    let mut document = runbook();
    document["status"] = json!({"phase": "whatever", "unknown": true});
    for (field, value) in
        [("uid", json!("x")), ("managedFields", json!([])), ("creationTimestamp", json!("2023-02-09T00:00:00Z"))]
    {
        document["metadata"][field] = value;
    }
    assert_eq!(read_runbook(document), read_runbook(runbook()));
}

#[test]
fn every_list_and_text_is_bounded() {
    let steps = |count: usize| -> Vec<Value> {
        let step = |index| json!({"name": format!("s{index}"), "budget": "1m", "close": {"services": ["x"]}});
        (0..count).map(step).collect()
    };
    let names = |count: usize| -> Vec<String> { (0..count).map(|index| format!("x{index}")).collect() };
    let cases: [(&str, Value, &str); 6] = [
        ("/spec/steps", json!(steps(257)), "TooMany spec.steps"),
        ("/spec/steps/0/close/services", json!(names(65)), "TooMany spec.steps[0].close.services"),
        ("/spec/steps/0/name", json!("x".repeat(64)), "TooLong spec.steps[0].name"),
        ("/spec/steps/1/job/env/0/value", json!("x".repeat(1025)), "TooLong spec.steps[1].job.env[0].value"),
        ("/spec/reopening", json!({"budget": "1m", "waves": [names(65)]}), "TooMany spec.reopening.waves[0]"),
        ("/spec/steps", json!([]), "TooFew spec.steps"),
    ];
    for (pointer, value, expected) in cases {
        let mut document = runbook();
        *document.pointer_mut(pointer).expect("the place is there") = value;
        let found = refusals(document);
        assert!(found.iter().any(|refusal| format!("{} {}", refusal.reason, refusal.path) == expected), "{expected}: {found:?}");
    }
    let mut document = runbook();
    document["spec"]["steps"] = json!(steps(256));
    assert_eq!(refusals(document), []);
}

fn service(spec: &Value) -> Value {
    let mut whole = json!({"title": {"en": "S"}, "reopen": {"budget": "1m"}});
    for (field, value) in spec.as_object().expect("fields") {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "PublicService", "metadata": {"name": "s", "namespace": "n"}, "spec": whole})
}

fn patched(merge: &Value) -> Value {
    let target = json!({"apiVersion": "v1", "kind": "Service", "name": "s"});
    service(&json!({"close": [{"name": "p", "patch": {"target": target, "merge": merge}}]}))
}

#[test]
fn what_will_not_happen_is_said_without_refusing_the_night() {
    let mut careless = runbook();
    careless["spec"]["reserve"] = json!("0s");
    let mut shared = runbook();
    shared["spec"]["sentinelServiceAccountName"] = shared["spec"]["serviceAccountName"].clone();
    let freeze =
        json!({"name": "f", "from": "2027-02-09", "until": "2027-03-08", "reason": "r", "overridableBy": {"groups": ["g"]}});
    let table = [
        (careless, "NoReserve spec.reserve"),
        (shared, "SharedAccount spec.sentinelServiceAccountName"),
        (patched(&json!({"spec": {"selector": null}})), "NoProbe spec.reopen.probes"),
        (patched(&json!({})), "NoChange spec.close[0].patch.merge"),
        (service(&json!({"reopen": {"ramp": ["10%", "100%"]}})), "NotActedOn spec.reopen.ramp"),
        (
            json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "OfficeCalendar", "metadata": {"name": "c"},
                "spec": {"timeZone": "Europe/Rome", "hours": "24/7", "freezes": [freeze]}}),
            "NotActedOn spec.freezes[0].overridableBy",
        ),
    ];
    for (document, expected) in table {
        let read = from_value(document).unwrap_or_else(|found| panic!("{}", told(&found)));
        let said = warnings(&read).unwrap_or_else(|found| panic!("{}", told(&found)));
        let said: Vec<String> = said.iter().map(|warning| format!("{} {}", warning.reason, warning.path)).collect();
        assert!(said.contains(&expected.to_owned()), "{expected}: {said:?}");
    }
}

#[test]
fn a_patch_changes_only_what_is_its_own() {
    let table = [
        (json!({"spec": {"text": "x".repeat(16_384)}}), "spec.close[0].patch.merge"),
        (json!({"metadata": "x"}), "spec.close[0].patch.merge.metadata"),
        (json!({"metadata": {"annotations": null}}), "spec.close[0].patch.merge.metadata.annotations"),
        (json!({"metadata": {"finalizers": []}}), "spec.close[0].patch.merge.metadata.finalizers"),
        (
            json!({"metadata": {"labels": {"a.notturno.dev/b": "c"}}}),
            "spec.close[0].patch.merge.metadata.labels[\"a.notturno.dev/b\"]",
        ),
    ];
    for (merge, expected) in table {
        let found = refusals(patched(&merge));
        assert_eq!(found.iter().map(|refusal| refusal.path.as_str()).collect::<Vec<_>>(), [expected]);
    }
    assert_eq!(refusals(patched(&json!({"metadata": {"labels": {"app": "closed"}}, "data": {"a": null}}))), []);
}

#[test]
fn objects_that_never_saw_a_schema_are_held_to_it_too() {
    let Ok(Document::Runbook(mut raw)) = from_value(runbook()) else { panic!("reads") };
    raw.spec.steps[0].name = "Not A Label".to_owned();
    raw.spec.service_account_name = "x".repeat(300);
    let found = validate::runbook(&raw).expect_err("refused");
    let places: Vec<&str> = found.iter().map(|refusal| refusal.path.as_str()).collect();
    assert_eq!(places, ["spec.serviceAccountName", "spec.steps[0].name"]);
}

fn standing(phase: Phase, outcome: Option<Outcome>, needs_human: bool) -> String {
    let now = "2023-02-10T01:00:00Z".parse().expect("a moment");
    let all = conditions(Standing { phase, outcome, needs_human, why: "because" }, 1, now, &[]);
    let one = |name: &str| {
        let condition = all.iter().find(|condition| condition.type_ == name).expect("all five are there");
        assert_eq!(condition.observed_generation, Some(1));
        format!("{name}={} {}", condition.status, condition.reason)
    };
    ["Ready", "Reconciling", "Stalled", "Complete", "Failed"].map(one).join(", ")
}

#[test]
fn conditions_say_where_the_night_stands() {
    let table = [
        (
            Phase::Armed,
            None,
            false,
            "Ready=True Armed, Reconciling=False Armed, Stalled=False Armed, Complete=False Armed, Failed=False Armed",
        ),
        (
            Phase::TurningBack,
            None,
            false,
            "Ready=Unknown TurningBack, Reconciling=True TurningBack, Stalled=False TurningBack, Complete=False TurningBack, Failed=False TurningBack",
        ),
        (
            Phase::Finished,
            Some(Outcome::Completed),
            false,
            "Ready=True Completed, Reconciling=False Completed, Stalled=False Completed, Complete=True Completed, Failed=False Completed",
        ),
        (
            Phase::Finished,
            Some(Outcome::RolledBack),
            true,
            "Ready=False RolledBack, Reconciling=False RolledBack, Stalled=True NeedsHuman, Complete=False RolledBack, Failed=True RolledBack",
        ),
        (
            Phase::Finished,
            Some(Outcome::ReopenedLate),
            false,
            "Ready=False ReopenedLate, Reconciling=False ReopenedLate, Stalled=False ReopenedLate, Complete=False ReopenedLate, Failed=True ReopenedLate",
        ),
        (
            Phase::Finished,
            Some(Outcome::Refused),
            false,
            "Ready=False Refused, Reconciling=False Refused, Stalled=True Refused, Complete=False Refused, Failed=True Refused",
        ),
        (
            Phase::Finished,
            Some(Outcome::Cancelled),
            false,
            "Ready=True Cancelled, Reconciling=False Cancelled, Stalled=False Cancelled, Complete=True Cancelled, Failed=False Cancelled",
        ),
    ];
    for (phase, outcome, needs_human, expected) in table {
        assert_eq!(standing(phase, outcome, needs_human), expected);
    }
    for phase in [Phase::Pending, Phase::Armed] {
        assert!(standing(phase, None, false).starts_with("Ready=True"), "{phase}");
    }
    for phase in [Phase::Working, Phase::TurningBack, Phase::Reopening, Phase::Verifying] {
        assert!(
            standing(phase, None, false).contains("Ready=Unknown") && standing(phase, None, false).contains("Reconciling=True")
        );
    }
}

#[test]
fn a_condition_that_did_not_change_keeps_its_time() {
    let moment = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment");
    let at = |phase, now: &str, written: &[_]| {
        conditions(Standing { phase, outcome: None, needs_human: false, why: "" }, 1, moment(now), written)
    };
    let working = at(Phase::Working, "2023-02-10T01:00:00Z", &[]);
    let back = at(Phase::TurningBack, "2023-02-10T03:00:00Z", &working);
    assert!(back.iter().all(|condition| condition.last_transition_time.0 == moment("2023-02-10T01:00:00Z")));
    let armed = at(Phase::Armed, "2023-02-10T04:00:00Z", &back);
    let times: Vec<String> = armed.iter().map(|condition| condition.last_transition_time.0.to_string()).collect();
    assert_eq!(times[..3], ["2023-02-10T04:00:00Z", "2023-02-10T04:00:00Z", "2023-02-10T01:00:00Z"]);
}

#[test]
fn a_status_is_cut_to_what_the_schema_holds() {
    let long =
        InterventionStatus { why: Some("è".repeat(10_000)), steps: vec![StepReport::default(); 300], ..Default::default() };
    let cut = long.within_bounds();
    let why = cut.why.expect("a reason");
    assert_eq!((why.chars().count(), why.ends_with('…'), cut.steps.len()), (4096, true, 256));
}
