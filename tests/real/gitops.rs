//! What Argo CD makes of a night: the check of `manifests/argo-cd.yaml` in the language that Argo CD reads, Lua 5.1.

use std::process::Command;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use notturno::api::conditions::{Standing, conditions};
use notturno::model::phase::{Outcome, Phase};
use serde_json::Value;

const FILE: &str = include_str!("../../manifests/argo-cd.yaml");

fn health(status: &str) -> String {
    let file: Value = serde_saphyr::from_str(FILE).unwrap();
    let check = file["data"]["resource.customizations.health.notturno.dev_Intervention"].as_str().unwrap();
    let object = format!("obj = {{metadata = {{generation = 3}}{status}}}");
    let program =
        format!("{object}\nlocal function check()\n{check}\nend\nlocal h = check()\nio.write(h.status, ' ', h.message)");
    let output = Command::new("lua5.1").args(["-e", &program]).output().expect("lua5.1 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn of(phase: Phase, outcome: Option<Outcome>, needs_human: bool) -> String {
    let standing = Standing { phase, outcome, needs_human, why: "because" };
    let now = "2023-02-10T00:30:00Z".parse().unwrap();
    let condition = |one: &Condition| {
        format!("{{type = {:?}, status = {:?}, reason = {:?}, message = {:?}}}", one.type_, one.status, one.reason, one.message)
    };
    let list: Vec<String> = conditions(standing, 3, now, &[]).iter().map(condition).collect();
    health(&format!(", status = {{observedGeneration = 3, conditions = {{{}}}}}", list.join(", ")))
}

#[test]
fn argo_cd_sees_a_night_as_it_is() {
    assert_eq!(health(""), "Progressing nobody has looked at this night yet");
    assert_eq!(health(", status = {observedGeneration = -1}"), "Progressing nobody has looked at this night yet");
    let stale =
        ", status = {observedGeneration = 2, conditions = {{type = 'Ready', status = 'True', reason = 'x', message = 'y'}}}";
    assert_eq!(health(stale), "Progressing nobody has looked at this night yet");
    for phase in [Phase::Pending, Phase::Armed] {
        assert_eq!(of(phase, None, false), format!("Healthy {phase}: because"));
    }
    for phase in [Phase::Working, Phase::TurningBack, Phase::Reopening, Phase::Verifying] {
        assert_eq!(of(phase, None, false), format!("Progressing {phase}: because"));
        assert_eq!(of(phase, None, true), format!("Degraded {phase}: because"), "a person is needed");
    }
    for outcome in [Outcome::Completed, Outcome::Cancelled] {
        assert_eq!(of(Phase::Finished, Some(outcome), false), format!("Healthy {outcome}: because"));
    }
    for outcome in [Outcome::RolledBack, Outcome::ReopenedLate, Outcome::Refused] {
        assert_eq!(of(Phase::Finished, Some(outcome), false), format!("Degraded {outcome}: because"));
    }
}
