//! (f) What the tenants granted is not all that the night needs: it says so by day, right by right, and touches nothing until it is.

use jiff::SignedDuration;
use serde_json::Value;

use super::cluster::{say, wait};
use super::dump::Dump;
use super::night::Night;
use super::operator::By;
use super::stage::Stage;

const ROLE: &str = "notturno:centro-dati:aggiornamento-motore";
const INTERVENTION: &str = "/apis/notturno.dev/v1alpha1/namespaces/centro-dati/interventions/notte";

#[test]
fn rights_that_are_missing_are_told_at_once_and_nothing_is_touched_until_they_are_granted() {
    let stage = Stage::set(By::Manifests);
    let place = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/sanita/roles/{ROLE}");
    let role = stage.cluster.get(&place).expect("the Role that was printed");
    let kept: Vec<&Value> = role["rules"].as_array().unwrap().iter().filter(|rule| rule["resources"][0] != "services").collect();
    stage.cluster.merge(&place, &serde_json::json!({"rules": kept}));
    let night = Night::declare(&stage.cluster, SignedDuration::from_secs(90), "12s");
    let why = wait(60, "a night that says what it lacks", || {
        let why = stage.cluster.get(INTERVENTION)?["status"]["why"].as_str()?.to_owned();
        why.contains("may not").then_some(why)
    });
    say(&why);
    let words = "ServiceAccount centro-dati/lavori-notturni may not get, patch services/ricetta-elettronica in sanita";
    assert!(why.contains(words) && why.contains("`notturno rbac` prints the Role"), "{why}");
    assert_eq!(why.matches("may not").count(), 1, "what is granted is not complained of: {why}");
    let differences = stage.before.differences(&Dump::of(&stage.cluster));
    assert!(differences.is_empty(), "touched:\n{}", differences.join("\n"));
    stage.cluster.merge(&place, &serde_json::json!({"rules": role["rules"]}));
    night.until("armed", "", 90);
}
