//! Arming: everything stands, or nothing was touched and every reason is told.

use std::sync::Arc;

use notturno::embedded::{Access, Fault, Stage};
use notturno::operator::effects::ledger::read;
use notturno::operator::effects::pod_security::Level;
use notturno::operator::effects::{ArmError, arm};
use notturno::operator::effects::{Image, Switch};
use serde_json::json;

use crate::sample;
use crate::scene::*;

const TARGETS: [(&str, &str); 4] =
    [("configmaps", "pagina"), ("deployments", "ricetta-api"), ("cronjobs", "ricetta-batch"), ("deployments", "cup-api")];
const JOBS: [&str; 5] = [
    "notte-0f0e0d0c-aggiorna",
    "notte-0f0e0d0c-aggiorna-undo-1",
    "notte-0f0e0d0c-aggiorna-undo-2",
    "notte-0f0e0d0c-prova",
    "notte-0f0e0d0c-smoke",
];

fn problems(result: Result<impl std::fmt::Debug, ArmError>) -> Vec<String> {
    match result {
        Err(ArmError::Impossible { problems }) => problems,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn everything_the_night_needs_stands_by_day_and_nothing_runs() {
    let armed = Scene::armed().await;
    let scene = &armed.scene;
    for (resource, name) in TARGETS {
        assert_eq!(scene.token(resource, name), "1.forward", "{name}");
    }
    for name in JOBS {
        assert_eq!(scene.token("jobs", name), "1.forward", "{name}");
        assert_eq!(scene.get("jobs", name)["spec"]["suspend"], true);
    }
    assert!(scene.api.objects().iter().all(|object| object["kind"] != "Pod"));
    assert_eq!(armed.preimages.jobs.len(), JOBS.len());
    let fields = serde_json::to_value(&armed.preimages.targets["sanita/ricetta/pagina"].fields).unwrap();
    assert_eq!(fields, json!([{"pointer": "/data/avviso", "before": "buongiorno"}, {"pointer": "/data/chiuso"}]));
    let plan = scene.get("configmaps", "notturno-notte-0f0e0d0c-plan");
    assert_eq!(plan["immutable"], true);
    let kept = read(&scene.tenant, "notte", sample::UID).await.unwrap().unwrap();
    assert_eq!((kept.preimages.as_ref(), kept.broken), (Some(&armed.preimages), None));
}

/// Rule 1: interrupted at any write, before it is done or with its answer lost, and repeated.
#[tokio::test(start_paused = true)]
async fn interrupted_anywhere_and_repeated_it_ends_the_same() {
    let whole = Scene::by_day();
    whole.accept().await;
    let accepted = u64::try_from(whole.api.log().iter().filter(|l| l.request.write_number.is_some()).count()).unwrap();
    let expected = arm(&whole.tenant, &whole.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
    let last = whole.api.log().iter().filter_map(|logged| logged.request.write_number).max().unwrap();
    assert_eq!(last - accepted, 10, "4 stamps, 5 Jobs, 1 plan");
    for number in accepted + 1..=last {
        for (stage, fault) in [
            (Stage::Before, Fault::Hang),
            (Stage::After, Fault::Hang),
            (Stage::Before, Fault::Status(503, "ServiceUnavailable".into())),
            (Stage::After, Fault::Status(504, "Timeout".into())),
        ] {
            let scene = Scene::by_day();
            scene.accept().await;
            let once = fault.clone();
            scene.fault(
                move |request, at| {
                    if request.write_number == Some(number) && at == stage { once.clone() } else { Fault::None }
                },
            );
            let interrupted = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await;
            let found = matches!(stage, Stage::After) && (accepted + 5..last).contains(&number);
            assert_eq!(interrupted.is_err(), !found, "a Job that was created is found: {number}, {interrupted:?}");
            let again = arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
            assert_eq!(again, expected, "write {number}, {stage:?}, {fault:?}");
            assert_eq!(all_written(&scene.api), all_written(&whole.api), "write {number}, {stage:?}, {fault:?}");
            let writes = scene.api.log().len();
            arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
            assert_eq!(scene.changed_since(writes), Vec::<String>::new(), "a third time changes nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_problem_is_told_at_once_and_nothing_is_touched() {
    let mut scene = Scene::by_day();
    scene.plan.services[1].close[0].target.kind = "Secret".into();
    scene.plan.services[0].close[1].target.name = "altro".into();
    scene
        .another_hand(
            "configmaps",
            "pagina",
            json!({"metadata": {"annotations": {"notturno.dev/token": "altra-notte.1.forward"}}}),
        )
        .await;
    scene.another_hand("cronjobs", "prova", json!({"spec": {"suspend": false}})).await;
    scene.accept().await;
    let before = scene.api.log().len();
    let found = problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await);
    let expected = [
        "Deployment sanita/altro",
        "the night altra-notte has claimed it; when that night is over: kubectl -n sanita annotate configmap pagina notturno.dev/token-",
        "a Secret is not a target",
        "CronJob centro-dati/prova is not suspended",
    ];
    for part in expected {
        assert_eq!(found.iter().filter(|problem| problem.contains(part)).count(), 1, "{part}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert_eq!(scene.changed_since(before), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_preimage_is_of_the_very_revision_that_was_stamped() {
    let scene = Scene::by_day();
    scene.accept().await;
    scene.delay_patches_of("ricetta-api", 2);
    let other = async {
        seconds(1).await;
        scene.another_hand("deployments", "ricetta-api", json!({"spec": {"replicas": 7}})).await;
    };
    let (armed, ()) =
        tokio::join!(async { arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await }, other);
    assert_eq!(armed.unwrap().targets["sanita/ricetta/backend"].fields[0].before, Some(json!(7)));
}

#[tokio::test(start_paused = true)]
async fn two_closings_of_one_field_and_changes_of_identity_are_refused_by_day() {
    let mut scene = Scene::by_day();
    let mut twice = scene.plan.services[0].close[1].clone();
    twice.name = "ancora".into();
    scene.plan.services[0].close.push(twice);
    let merge = json!({"merge": {"merge": {"metadata": {"labels": {"a": "b"}, "annotations": {"notturno.dev/token": null}}, "status": {"x": 1}}}});
    scene.plan.services[1].close[0].change = serde_json::from_value(merge).unwrap();
    scene.accept().await;
    let found = problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found
            .iter()
            .any(|problem| problem.contains("sanita/ricetta/ancora and sanita/ricetta/backend both change /spec/replicas"))
    );
    assert!(
        found
            .iter()
            .any(|problem| problem.contains("sanita/cup/backend may not change /metadata/annotations/notturno.dev~1token"))
    );
    assert!(found.iter().any(|problem| problem.contains("may not change /status")), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_closing_that_would_be_refused_at_night_is_refused_by_day() {
    let scene = Scene::by_day();
    scene.accept().await;
    scene.fault(|request, stage| {
        let closing = request.dry_run && request.name == "cup-api" && stage == Stage::Before;
        if closing { Fault::Status(403, "Forbidden".into()) } else { Fault::None }
    });
    let found = problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await);
    assert!(found.len() == 1 && found[0].contains("Deployment sanita/cup-api: closing it would fail"), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_somebody_else_made_under_our_name_is_not_adopted() {
    let scene = Scene::by_day();
    scene.accept().await;
    let template = json!({"metadata": {}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c:1"}]}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": JOBS[0], "namespace": "centro-dati"},
        "spec": {"suspend": true, "template": template}});
    scene.api.create(job).unwrap();
    let found = problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await);
    assert!(found[0].contains("is there already and is not the one this night makes"), "{found:?}");
}

/// H11: a stamp is an exclusive claim.
#[tokio::test(start_paused = true)]
async fn of_two_nights_that_stamp_one_target_at_once_only_one_has_it() {
    let scene = Scene::by_day();
    scene.accept().await;
    scene.delay_patches_of("cup-api", 2);
    let other_night = async {
        seconds(1).await;
        let stamp = json!({"metadata": {"annotations": {"notturno.dev/token": "altra.1.forward"}}});
        scene.another_hand("deployments", "cup-api", stamp).await;
    };
    let (armed, ()) = tokio::join!(
        async { arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await },
        other_night
    );
    assert!(matches!(armed, Err(ArmError::Restless { .. })), "{armed:?}");
    assert_eq!(scene.token("deployments", "cup-api"), "altra.1.forward");
    scene.set_calm();
    assert!(
        problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await)[0]
            .contains("the night altra has claimed it")
    );
}

/// `armed` may be recorded only when every stamp was read back.
#[tokio::test(start_paused = true)]
async fn a_stamp_that_was_taken_away_while_arming_is_noticed() {
    let scene = Scene::by_day();
    scene.accept().await;
    scene.fault(|request, stage| {
        let first_job = request.name == JOBS[0] && request.write_number.is_some() && stage == Stage::Before;
        if first_job { Fault::Delay(std::time::Duration::from_secs(2)) } else { Fault::None }
    });
    let gitops = async {
        seconds(1).await;
        scene.another_hand("deployments", "cup-api", json!({"metadata": {"annotations": null}})).await;
    };
    let (armed, ()) = tokio::join!(
        async { arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await },
        gitops
    );
    assert!(matches!(armed, Err(ArmError::Restless { ref what }) if what == "Deployment sanita/cup-api"), "{armed:?}");
    scene.set_calm();
    arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
    assert_eq!(scene.token("deployments", "cup-api"), "1.forward");
}

/// A template that stands in the runbook is judged by day, every violation at once and with its place.
#[tokio::test(start_paused = true)]
async fn a_template_that_asks_for_too_much_is_refused_by_day() {
    let mut scene = Scene::by_day();
    let containers = json!([{"name": "c", "image": "c:1", "securityContext": {"privileged": true}}]);
    let template = json!({"spec": {"template": {"metadata": {}, "spec": {"hostPID": true, "containers": containers}}}});
    scene.plan.steps[2].action = serde_json::from_value(json!({"job": {"inline": template}})).unwrap();
    scene.accept().await;
    let before = scene.api.log().len();
    let found = problems(arm(&scene.tenant, &scene.plan, Level::Baseline, &any_address(), &Switch::Without).await);
    let place = "step prova: job.template.spec.template.spec";
    assert!(
        found.len() == 2
            && found.iter().all(|problem| problem.starts_with(place) && problem.ends_with("(Pod Security baseline)")),
        "{found:#?}"
    );
    assert_eq!(problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await).len(), 6);
    assert_eq!(scene.changed_since(before), Vec::<String>::new());
    arm(&scene.tenant, &scene.plan, Level::Privileged, &any_address(), &Switch::Without).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rights_that_the_account_does_not_have_are_told_all_at_once_each_once_and_nothing_is_touched() {
    let scene = Scene::by_day();
    scene.accept().await;
    let before = all_written(&scene.api);
    scene.api.set_forbidden(Some(Arc::new(|access: &Access| {
        let one = match access.resource.as_str() {
            "deployments" => ["ricetta-api", ""].contains(&access.name.as_str()) && access.verb != "get",
            "cronjobs" => access.name == "prova",
            "pods" => access.verb == "watch",
            _ => false,
        };
        access.user.contains("lavori-notturni") && one
    })));
    let found = problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await);
    let words =
        |may_not: &str| format!("ServiceAccount centro-dati/lavori-notturni may not {may_not}: `notturno rbac` prints the Role");
    assert_eq!(
        found,
        [
            words("watch pods in centro-dati"),
            words("get cronjobs/prova in centro-dati"),
            words("patch deployments/ricetta-api in sanita"),
        ]
    );
    assert_eq!(all_written(&scene.api), before);
    scene.api.set_forbidden(None);
    arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rights_that_only_the_switch_uses_are_not_asked_for_without_one() {
    let image = Switch::Image(Image { name: "registro.example/notturno@sha256:1".to_owned(), pull_policy: "Never".to_owned() });
    for (resource, verb) in [("deployments", "watch"), ("deployments", "delete"), ("configmaps", "list")] {
        let scene = Scene::by_day();
        scene.accept().await;
        scene.api.set_forbidden(Some(Arc::new(move |access: &Access| {
            access.user.contains("lavori-notturni")
                && access.name.is_empty()
                && access.resource == resource
                && access.verb == verb
        })));
        let found = problems(arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &image).await);
        let may_not = format!("lavori-notturni may not {verb} {resource} in centro-dati: `notturno rbac` prints the Role");
        assert_eq!(found, [format!("ServiceAccount centro-dati/{may_not}")]);
        arm(&scene.tenant, &scene.plan, Level::Restricted, &any_address(), &Switch::Without).await.unwrap();
    }
}
