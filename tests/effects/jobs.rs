//! Jobs made from CronJobs: safe, ours, and as they were approved.

use serde_json::{Value, json};

use notturno::engine::JobKey;
use notturno::operator::effects::jobs::make;
use notturno::operator::effects::names::job_names;

use crate::sample;

fn cron_job() -> Value {
    json!({"metadata": {"name": "aggiorna"}, "spec": {"suspend": true, "schedule": "0 0 1 1 *", "jobTemplate": {
        "metadata": {"labels": {"team": "db"}},
        "spec": {"backoffLimit": 6, "ttlSecondsAfterFinished": 1, "activeDeadlineSeconds": 60, "parallelism": 4, "completions": 4,
            "completionMode": "Indexed", "podFailurePolicy": {"rules": []}, "manualSelector": true,
            "template": {"metadata": {"finalizers": ["their/own"]}, "spec": {"restartPolicy": "OnFailure", "activeDeadlineSeconds": 5,
                "initContainers": [{"name": "i"}],
                "containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "VERSIONE", "value": "0"}, {"name": "B", "value": "$(VERSIONE)"}]}]}}}}}})
}

fn made(key: JobKey) -> Value {
    make(&sample::plan(), key, &cron_job()).expect("it can be made")
}

#[test]
fn a_job_is_suspended_runs_one_pod_once_and_never_again() {
    let job = made(JobKey::Step(1));
    let mut spec = job["spec"].clone();
    let template = spec["template"].take();
    assert_eq!(
        spec,
        json!({"suspend": true, "parallelism": 1, "completions": 1, "backoffLimit": 0, "podReplacementPolicy": "Failed", "template": null})
    );
    assert_eq!(template["spec"]["restartPolicy"], "Never");
    assert_eq!(template["spec"].get("activeDeadlineSeconds"), None);
    assert_eq!(template["metadata"]["finalizers"], json!(["their/own", "notturno.dev/seen"]));
    assert_eq!(job["metadata"].get("ownerReferences"), None);
}

#[test]
fn a_job_says_whose_it_is_and_may_not_run_before_its_token_says_so() {
    let job = made(JobKey::Undo(1, 2));
    assert_eq!(job["metadata"]["name"], "notte-0f0e0d0c-aggiorna-undo-2");
    let labels = json!({"team": "db", "app.kubernetes.io/managed-by": "notturno", "notturno.dev/night": sample::UID,
        "notturno.dev/step": "aggiorna", "notturno.dev/role": "undo", "notturno.dev/attempt": "2"});
    assert_eq!(job["metadata"]["labels"], labels);
    assert_eq!(job["spec"]["template"]["metadata"]["labels"]["notturno.dev/role"], "undo");
    assert_eq!(job["metadata"]["annotations"]["notturno.dev/token"], format!("{}.1.forward", sample::UID));
    assert_eq!(job["metadata"]["annotations"]["notturno.dev/released"], "false");
}

#[test]
fn variables_of_the_step_take_the_place_of_those_in_every_container() {
    let spec = made(JobKey::Step(1))["spec"]["template"]["spec"].clone();
    let expected =
        json!([{"name": "A", "value": "1"}, {"name": "VERSIONE", "value": "15.4"}, {"name": "B", "value": "$(VERSIONE)"}]);
    assert_eq!(spec["containers"][0]["env"], expected);
    assert_eq!(spec["initContainers"][0]["env"], json!([{"name": "VERSIONE", "value": "15.4"}]));
}

#[test]
fn a_template_keeps_its_own_service_account() {
    assert_eq!(made(JobKey::Step(1))["spec"]["template"]["spec"]["serviceAccountName"], "lavori-notturni");
    let mut own = cron_job();
    own["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] = json!("own");
    let job = make(&sample::plan(), JobKey::Smoke, &own).expect("it can be made");
    assert_eq!(job["spec"]["template"]["spec"]["serviceAccountName"], "own");
}

#[test]
fn a_cron_job_that_runs_by_itself_is_refused() {
    let mut awake = cron_job();
    awake["spec"]["suspend"] = json!(false);
    let refusal = make(&sample::plan(), JobKey::Step(1), &awake).expect_err("it is refused");
    assert!(refusal.contains("CronJob centro-dati/aggiorna is not suspended"), "{refusal}");
}

#[test]
fn a_step_named_like_an_undo_or_the_smoke_test_has_the_name_to_itself() {
    let mut plan = sample::plan();
    plan.steps[0].name = "aggiorna-undo-1".into();
    plan.steps[0].action = plan.steps[1].action.clone();
    let names = job_names(&plan);
    assert_eq!(names[&JobKey::Step(0)], "notte-0f0e0d0c-aggiorna-undo-1");
    assert!(names[&JobKey::Undo(1, 1)].starts_with("notte-0f0e0d0c-aggiorna-undo-1-"));
    let distinct: std::collections::BTreeSet<&String> = names.values().collect();
    assert_eq!(distinct.len(), names.len());
}
