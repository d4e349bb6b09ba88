//! Where a night stands, phase by phase, and when the operator, the Intervention, its kind or the right to read are gone.

use std::sync::Arc;

use notturno::embedded::{Fault, RequestInfo, Stage};
use serde_json::json;

use crate::served::{ran, serve};
use crate::world::{NIGHT, World};

#[tokio::test(start_paused = true)]
async fn in_mid_step_it_says_how_late_the_night_can_still_go_back() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let served = serve(&world).await;
    let ran = served.ask(&["status", NIGHT]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.says("centro-dati/notte-9-febbraio Working");
    ran.says("working on aggiorna; the way back holds until 04:55");
    ran.says("aggiorna since 01:36; budget until 03:06 (in 36m), hard cap 03:36 (in 1h06m)");
    ran.says("turn back by 2023-02-10 04:55 +01:00 in 2h25m slack 2h25m");
    ran.says("reopen by 2023-02-10 06:10 +01:00 in 3h40m");
    ran.says("tell people by 2023-02-10 06:00 +01:00 in 3h30m");
    ran.says("must serve by 2023-02-10 07:00 +01:00 in 4h30m bound by sanita/zerocode at prelievi (calendar prelievi)");
    ran.says("next 2023-02-10 03:06 +01:00 in 36m the budget of step aggiorna");
    ran.says("sanita/archivio-730 Closed 00:58 -");
    ran.says("sanita/cup Open - -");
    ran.says("istantanea Succeeded 00:58 01:36");
    ran.says("01:36 stepIntended aggiorna: step aggiorna may start:");
    let object = served.ask(&["status", "centro-dati/notte-9-febbraio", "-n", "elsewhere", "-o", "json"]).await.json();
    assert_eq!((&object["phase"], &object["source"], &object["slack"]), (&json!("Working"), &json!("ledger"), &json!("2h25m")));
    assert_eq!(object["turnBackAt"], "2023-02-10T04:55:00+01:00");
    assert_eq!(object["running"][0]["hardCapAt"], "2023-02-10T03:36:00+01:00");
    assert_eq!((&object["notes"], &object["silent"], &object["needsAttention"]), (&json!([]), &json!(null), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn every_phase_of_a_night_that_goes_back_is_told() {
    for (moment, phase, says) in [
        ("2023-02-09T20:00:00+01:00", "Armed", "turn back by 2023-02-10 05:55 +01:00 in 9h55m slack 9h55m"),
        ("2023-02-10T03:45:00+01:00", "TurningBack", "undo of aggiorna since 03:36; budget until 04:36 (in 51m)"),
        ("2023-02-10T04:33:00+01:00", "TurningBack", "smoke since 04:31; budget until 04:46 (in 13m)"),
        ("2023-02-10T04:46:00+01:00", "Reopening", "sanita/anagrafe-assistiti Opening 01:36 -"),
        ("2023-02-10T04:50:00+01:00", "Verifying", "sanita/ricetta-elettronica Open 01:36 04:49"),
        ("2023-02-10T05:10:00+01:00", "Finished, RolledBack", "the night is over: RolledBack"),
    ] {
        let world = World::new(true);
        world.declare(|_| {});
        let _operator = world.operator();
        world.until(moment).await;
        let served = serve(&world).await;
        let ran = served.ask(&["status", NIGHT]).await;
        drop(served);
        assert_eq!(ran.code, 0, "{moment}: {}{}", ran.out, ran.err);
        assert!(ran.out.lines().next().unwrap().contains(phase), "{moment}: {}", ran.out);
        ran.says(says);
    }
}

#[tokio::test(start_paused = true)]
async fn the_two_config_maps_are_enough() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage| {
        let gone = request.resource == "interventions" && stage == Stage::Before;
        if gone { Fault::Status(404, "NotFound".to_owned()) } else { Fault::None }
    })));
    let served = serve(&world).await;
    let ran = served.ask(&["status", NIGHT]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.says("turn back by 2023-02-10 04:55 +01:00");
    ran.says("! the Intervention is not there, or its kind is not: this is its ledger");
    let before = world.embedded.log().len();
    let quiet = served.ask(&["status", NIGHT, "--from-ledger"]).await;
    assert_eq!((quiet.code, quiet.out.contains('!')), (0, false), "{}", quiet.out);
    let asked = world.embedded.log().split_off(before);
    let ours = asked.iter().filter(|logged| logged.request.user == "anna@centro-dati" || logged.request.user == "anna");
    assert!(ours.clone().count() >= 3 && ours.clone().all(|logged| logged.request.resource != "interventions"), "{asked:?}");
    assert!(ours.clone().all(|logged| logged.request.write_number.is_none()), "it only reads");
    assert_eq!(served.ask(&["explain", NIGHT, "turn-back"]).await.code, 0);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_the_ledger_gets_the_last_report() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage| {
        let forbidden = request.resource == "configmaps" && request.user == "anna" && stage == Stage::Before;
        if forbidden { Fault::Status(403, "Forbidden".to_owned()) } else { Fault::None }
    })));
    let ran = serve(&world).await.ask(&["status", NIGHT, "-o", "json"]).await;
    let object = ran.json();
    assert_eq!((ran.code, &object["source"], &object["phase"]), (0, &json!("report"), &json!("Working")));
    assert!(object["notes"][0].as_str().unwrap().contains("only the last report"), "{object}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_has_died_is_noticed() {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    world.until("2023-02-10T03:06:30+01:00").await;
    let silence = "nothing was recorded since 01:36, and this is due";
    let served = serve(&world).await;
    let ran = served.ask(&["status", NIGHT]).await;
    drop(served);
    assert_eq!((ran.code, ran.out.contains(silence)), (0, false), "half a minute is no silence: {}", ran.out);
    world.until("2023-02-10T03:08:00+01:00").await;
    let ran = serve(&world).await.ask(&["status", NIGHT]).await;
    assert_eq!((ran.code, ran.out.contains(silence)), (1, true), "{}", ran.out);
}

/// Another hand writes into the ledger.
async fn forge(world: &World, data: serde_json::Value) {
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(world.embedded.client("x"), "centro-dati");
    let uid = world.ledger().await.plan.uid;
    let name = notturno::operator::effects::names::LedgerNames::of(NIGHT, &uid).ledger;
    let forged = kube::api::Patch::Merge(json!({"data": data}));
    maps.patch(&name, &kube::api::PatchParams::default(), &forged).await.unwrap();
}

/// Of such a journal even the acceptance may be lost, and with it that anything was closed: it is read as the operator reads it.
#[tokio::test(start_paused = true)]
async fn a_ledger_of_which_a_part_is_lost_needs_a_person_and_is_no_night_that_was_called_off() {
    for lost in [json!({"000001": "{}"}), json!({"000002": "{}"}), json!({"head": null})] {
        let world = World::new(true);
        world.declare(|_| {});
        let operator = world.operator();
        world.until("2023-02-10T03:30:00+01:00").await;
        drop(operator);
        forge(&world, lost.clone()).await;
        world.until("2023-02-10T04:00:00+01:00").await;
        let ran = serve(&world).await.ask(&["status", NIGHT]).await;
        assert_eq!(ran.code, 1, "{lost}: {}", ran.out);
        let told = ["a person is needed", "the ledger is not to be believed: ", "TurningBack"];
        assert!(told.iter().all(|words| ran.out.contains(words)), "{lost}: {}", ran.out);
        assert!(!ran.out.contains("Cancelled") && !ran.out.contains("Pending"), "{lost}: {}", ran.out);
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_whose_end_is_whole_is_over_whatever_was_damaged_since() {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    drop(operator);
    forge(&world, json!({"000002": "{}"})).await;
    let ran = serve(&world).await.ask(&["status", NIGHT]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.lines().next().unwrap().contains("Finished, RolledBack"), "{}", ran.out);
    assert!(!ran.out.contains("a person is needed") && ran.out.contains("the ledger is not to be believed"), "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_has_died_is_noticed_although_somebody_wrote_into_the_ledger() {
    let world = World::new(true);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    drop(operator);
    forge(&world, json!({"appunti": "di qualcuno"})).await;
    world.until("2023-02-10T03:08:00+01:00").await;
    let ran = serve(&world).await.ask(&["status", NIGHT]).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("nothing was recorded since 01:36, and this is due"), "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn a_refused_night_shows_every_reason_with_its_sum() {
    let world = World::new(false);
    world.declare(|object| {
        if object["kind"] == "Runbook" {
            object["spec"]["reserve"] = json!("200m");
        }
    });
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let served = serve(&world).await;
    for verb in ["status", "explain"] {
        let ran = served.ask(&[verb, NIGHT]).await;
        assert_eq!(ran.code, 1, "{}", ran.err);
        ran.says("centro-dati/notte-9-febbraio Finished, Refused");
        ran.says("reserve 3h20m0s");
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named_with_what_is_wrong() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (broken, empty) = (folder.join("asked-broken.yaml"), folder.join("asked-empty.yaml"));
    std::fs::write(&broken, "clusters: 3\n").unwrap();
    std::fs::write(&empty, "apiVersion: v1\nkind: Config\n").unwrap();
    let said = |variable: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_notturno"));
        command.args(["status", "nessuna"]).args(arguments).env_clear().env("HOME", "/no/such/home");
        let ran = ran(if variable.is_empty() { &mut command } else { command.env("KUBECONFIG", variable) });
        assert_eq!(ran.code, 2, "{}", ran.err);
        ran.err
    };
    let missing = said("/no/such/config", &[]);
    assert!(
        missing.starts_with("notturno: no cluster: /no/such/config, which KUBECONFIG names, cannot be used: No such file"),
        "{missing}"
    );
    assert!(!missing.contains("set KUBECONFIG"), "it is set: {missing}");
    let both = format!("{}:{}", empty.display(), broken.display());
    let second = said(&both, &[]);
    assert!(
        second.contains(&format!("{}, which KUBECONFIG names, cannot be used: failed to parse", broken.display())),
        "{second}"
    );
    let nothing = said(&empty.display().to_string(), &[]);
    assert!(nothing.contains(&format!("KUBECONFIG={} cannot be used: failed to determine", empty.display())), "{nothing}");
    let flag = said("", &["--kubeconfig", "/no/such/config"]);
    assert!(flag.contains("kubeconfig /no/such/config cannot be used: No such file"), "{flag}");
    assert!(said("", &[]).contains("no cluster: give --kubeconfig, or set KUBECONFIG"));
    assert!(said("", &["--context", "altrove"]).contains("--context needs a kubeconfig"));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_that_name_no_answer_and_wrong_usage_are_two() {
    let world = World::new(false);
    let served = serve(&world).await;
    let nothing = served.ask(&["status", "nessuna"]).await;
    assert_eq!(nothing.code, 2);
    assert!(nothing.err.contains("no night nessuna in namespace centro-dati"), "{}", nothing.err);
    let nobody = served.ask(&["status", "nessuna", "--context", "altrove", "-o", "json"]).await;
    assert_eq!(nobody.code, 2);
    assert!(nobody.json()["errors"][0]["message"].as_str().unwrap().contains("the cluster does not answer"), "{}", nobody.out);
    assert_eq!(served.ask(&["status"]).await.code, 2);
    let other = served.ask(&["status", "nessuna", "--context", "none"]).await;
    assert_eq!(other.code, 2);
    assert!(other.err.contains("it has no context \"none\"; there are: ") && other.err.contains("altrove"), "{}", other.err);
}

#[tokio::test(start_paused = true)]
async fn it_says_who_would_take_over_where_and_when() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator_guarded();
    for (moment, says) in [
        ("2023-02-09T20:00:00+01:00", "switch not armed: it is made from 00:15 on"),
        (
            "2023-02-10T02:30:00+01:00",
            "switch armed centro-dati/notturno-notte-9-febbraio-00000026-sentinel: 2 of 2 sentinels are ready",
        ),
    ] {
        world.until(moment).await;
        let served = serve(&world).await;
        let ran = served.ask(&["status", NIGHT]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.says(says);
        drop(served);
    }
    let served = serve(&world).await;
    let ran = served.ask(&["status", NIGHT]).await;
    ran.says("it acts 2023-02-10 04:56 +01:00 in 2h26m if nobody records before: turning back, or the end of the work");
    let object = served.ask(&["status", NIGHT, "-o", "json"]).await.json();
    assert_eq!((&object["guard"]["armed"], &object["guard"]["actsAt"]), (&json!(true), &json!("2023-02-10T04:56:00+01:00")));
}

#[tokio::test(start_paused = true)]
async fn a_night_that_was_told_to_do_without_says_so() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T02:30:00+01:00").await;
    let served = serve(&world).await;
    served.ask(&["status", NIGHT]).await.says("switch not armed: this operator works without a dead man's switch");
}
