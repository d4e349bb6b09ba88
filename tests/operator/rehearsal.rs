//! Rehearsals: everything is tried and nothing is left; what would be refused at night is named by day.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use notturno::embedded::{Access, Fault, LoggedRequest, RequestInfo, Stage, Verb};
use serde_json::{Value, json};

use crate::world::{NIGHT, WORK, World};

/// The data centre once its services have come up, with the night as a rehearsal.
pub async fn world(change: impl Fn(&mut Value)) -> World {
    let world = World::new(false);
    world.until("2023-02-09T18:35:00+01:00").await;
    declare(&world, change);
    world
}

fn declare(world: &World, change: impl Fn(&mut Value)) {
    world.declare(|object| {
        if object["kind"] == "Intervention" {
            object["spec"]["mode"] = json!("Rehearse");
        }
        change(object);
    });
}

fn steps(object: &mut Value, more: &[Value]) {
    if object["kind"] == "Runbook" {
        object["spec"]["steps"].as_array_mut().unwrap().extend(more.iter().cloned());
    }
}

/// Everything but what a rehearsal may leave: its Events and its status.
fn dump(world: &World) -> Vec<Value> {
    let mut objects = world.embedded.objects();
    objects.retain(|object| object["kind"] != "Event");
    for object in &mut objects {
        if object["kind"] == "Intervention" {
            object.as_object_mut().unwrap().remove("status");
            object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        }
    }
    objects
}

fn condition(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array().unwrap();
    all.iter().find(|one| one["type"] == kind).unwrap()["status"].as_str().unwrap().to_owned()
}

/// Reason, object and place of every finding, sorted.
pub fn findings(status: &Value) -> Vec<[String; 3]> {
    let all = status["refusals"].as_array().cloned().unwrap_or_default();
    let word = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = all.iter().map(|one| ["reason", "object", "path"].map(|field| word(one, field))).collect();
    found.sort();
    found
}

pub fn message(status: &Value, object: &str) -> String {
    let all = status["refusals"].as_array().unwrap();
    all.iter().find(|one| one["object"] == object).unwrap_or_else(|| panic!("{object}: {status:#}"))["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn tried(world: &World) -> Vec<RequestInfo> {
    world.embedded.log().into_iter().map(|logged| logged.request).filter(|one| one.dry_run).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_that_goes_well_says_so_at_once_and_leaves_nothing_but_its_report() {
    let world = world(|_| {}).await;
    let before = dump(&world);
    let _operator = world.operator();
    world.until("2023-02-09T18:36:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!((&status["phase"], &status["outcome"]), (&json!("Finished"), &json!("Completed")), "{status:#}");
    assert_eq!((condition(&status, "Complete"), condition(&status, "Ready")), ("True".into(), "True".into()));
    assert_eq!(status["why"], "rehearsed: 24 effects would be accepted");
    assert_eq!(status["mustServeBy"], "2023-02-10T07:00:00+01:00");
    assert!(status["services"].as_array().unwrap().iter().all(|one| one["state"] == "Open"), "{status:#}");
    assert_eq!(status["services"][0]["because"], "vive: answers 200");
    assert_eq!(dump(&world), before, "not even an annotation, a finalizer or a revision");
    let writes = |logged: &LoggedRequest| logged.request.write_number.is_some();
    for logged in world.embedded.log().iter().filter(|logged| writes(logged)) {
        let request = &logged.request;
        let report = request.subresource == "status" && request.resource == "interventions" && request.name == NIGHT;
        assert!(report || request.resource == "events", "{request:?}");
    }
    // Two ConfigMaps, eight Jobs (five forward, two undos, smoke), and each of the seven closings there and back.
    let tried = tried(&world);
    let count = |resource: &str, verb: Verb| tried.iter().filter(|one| one.resource == resource && one.verb == verb).count();
    assert_eq!((count("configmaps", Verb::Create), count("jobs", Verb::Create)), (2, 8));
    assert_eq!((count("deployments", Verb::Patch), count("services", Verb::Patch), count("cronjobs", Verb::Patch)), (10, 2, 2));
    assert!(tried.iter().all(|one| one.user == "system:serviceaccount:centro-dati:lavori-notturni"), "with the tenant's rights");
    let told = world.embedded.objects().into_iter().filter(|one| one["kind"] == "Event");
    let told: Vec<Value> = told.map(|one| one["reason"].clone()).collect();
    assert_eq!(told, ["Rehearsed"]);

    // The start comes and goes, and nothing begins.
    world.until("2023-02-10T08:00:00+01:00").await;
    assert_eq!(dump(&world), before);
}

#[tokio::test(start_paused = true)]
async fn everything_that_would_be_refused_at_night_is_named_at_once_with_what_to_do() {
    let world = world(|object| {
        if object["kind"] == "Runbook" {
            object["spec"]["steps"][5]["job"]["from"]["cronJob"] = json!("indizi");
        }
    })
    .await;
    let refuse = |request: &RequestInfo, stage: Stage| {
        let about = (request.resource.as_str(), request.name.as_str(), request.verb);
        let words = match about {
            _ if stage == Stage::After || !request.user.contains("lavori") => return Fault::None,
            ("deployments", "anagrafe-assistiti", Verb::Patch) => "no right",
            ("cronjobs", "ricetta-batch", Verb::Get) => "no right to look",
            ("services", "ricetta-elettronica", Verb::Patch) => "admission policy 'orari' denied the request",
            ("jobs", name, Verb::Create) if name.ends_with("-smoke") => "exceeded quota: lavori",
            _ => return Fault::None,
        };
        Fault::Status(403, words.to_owned())
    };
    world.embedded.set_fault(Some(Arc::new(refuse)));
    let before = dump(&world);
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = world.status(NIGHT);
    assert_eq!((condition(&status, "Failed"), condition(&status, "Stalled")), ("True".into(), "True".into()));
    let found = findings(&status);
    let job = found.iter().find(|one| one[2] == "smoke").expect("the quota's Job").clone();
    assert!(job[1].starts_with("Job centro-dati/notte-9-febbraio-") && job[1].ends_with("-smoke"), "{job:?}");
    let expected = [
        ["Forbidden", "CronJob sanita/ricetta-batch", "closing sanita/ricetta-elettronica/batch"],
        ["Forbidden", "Deployment sanita/anagrafe-assistiti", "closing sanita/anagrafe-assistiti/backend"],
        ["Forbidden", &job[1], "smoke"],
        ["Forbidden", "Service sanita/ricetta-elettronica", "closing sanita/ricetta-elettronica/pagina-di-cortesia"],
        ["Missing", "CronJob centro-dati/indizi", "step indici"],
    ];
    assert_eq!(found, expected.map(|row| row.map(str::to_owned)), "{status:#}");
    let right = message(&status, "Deployment sanita/anagrafe-assistiti");
    assert!(right.contains("no right") && right.contains("grant it to ServiceAccount centro-dati/lavori-notturni"), "{right}");
    assert!(message(&status, "Service sanita/ricetta-elettronica").contains("'orari' denied"));
    assert!(message(&status, &job[1]).contains("exceeded quota: lavori"));
    assert!(message(&status, "CronJob centro-dati/indizi").contains("create it, or correct the name"));
    assert_eq!(dump(&world), before);
    let warned = world.embedded.objects().into_iter().filter(|one| one["kind"] == "Event" && one["type"] == "Warning").count();
    assert_eq!(warned, expected.len() + 1, "one Event each, and the sum");
}

/// An operator whose tenant's requests pass by `see`; an answer from it goes out instead of the server's.
fn seen_by(
    world: &World,
    see: impl Fn(&http::request::Parts, &Value) -> Option<Value> + Send + Sync + 'static,
) -> crate::world::Running {
    let (tokens, see) = (world.embedded.clone(), Arc::new(see));
    world.operator_with(Arc::new(move |token| {
        let (inner, see) = (tokens.client_for_token(token), Arc::clone(&see));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (inner, see) = (inner.clone(), Arc::clone(&see));
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                let answer = see(&parts, &serde_json::from_slice(&bytes).unwrap_or_default());
                Ok::<_, Infallible>(match answer {
                    Some(answer) => {
                        http::Response::builder().status(201).body(Body::from(answer.to_string().into_bytes())).unwrap()
                    }
                    None => inner.send(http::Request::from_parts(parts, Body::from(bytes.to_vec()))).await.unwrap(),
                })
            }
        });
        Ok(kube::Client::new(service, "default"))
    }))
}

#[tokio::test(start_paused = true)]
async fn a_right_that_no_dry_run_shows_is_asked_for_and_named() {
    let world = world(|_| {}).await;
    let _operator = seen_by(&world, |parts, body| {
        let asked = &body["spec"]["resourceAttributes"];
        let refused = parts.uri.path().ends_with("/selfsubjectaccessreviews") && asked["verb"] == "watch";
        refused.then(|| json!({"spec": body["spec"], "status": {"allowed": false}}))
    });
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let found = findings(&world.status(NIGHT));
    let row = |what: &str| ["Forbidden", what, "the night"].map(str::to_owned);
    // This operator has no switch, and asks for no rights of one.
    assert_eq!(found, ["jobs", "pods"].map(|what| row(&format!("{what} in centro-dati"))));
    let words = message(&world.status(NIGHT), "jobs in centro-dati");
    assert_eq!(
        words,
        "ServiceAccount centro-dati/lavori-notturni may not watch jobs in centro-dati: `notturno rbac` prints the Role"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_account_may_not_do_is_told_once_and_tried_nowhere() {
    let world = world(|_| {}).await;
    world.embedded.set_forbidden(Some(Arc::new(|access: &Access| {
        let closing = access.verb == "patch" && access.name == "portale-ts";
        access.user.contains("lavori-notturni") && (closing || (access.resource == "jobs" && access.verb == "create"))
    })));
    let before = dump(&world);
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let found = findings(&world.status(NIGHT));
    let row = |what: &str| ["Forbidden", what, "the night"].map(str::to_owned);
    assert_eq!(found, [row("deployments/portale-ts in sanita"), row("jobs in centro-dati")]);
    assert!(tried(&world).iter().all(|one| one.resource != "jobs" && one.name != "portale-ts"));
    assert_eq!(dump(&world), before);
}

#[tokio::test(start_paused = true)]
async fn the_jobs_that_are_tried_are_suspended_and_bear_the_mark_of_a_rehearsal() {
    let world = world(|_| {}).await;
    let jobs: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&jobs);
    let _operator = seen_by(&world, move |_, body| {
        if body["kind"] == "Job" {
            kept.lock().unwrap().push(body.clone());
        }
        None
    });
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    let jobs = jobs.lock().unwrap();
    assert_eq!(jobs.len(), 8);
    for job in jobs.iter() {
        assert_eq!(job["spec"]["suspend"], true);
        for marked in [job, &job["spec"]["template"]] {
            assert_eq!(marked["metadata"]["labels"]["notturno.dev/rehearsal"], "true", "{job:#}");
        }
        let env = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        assert!(env.contains(&json!({"name": "NOTTURNO_REHEARSAL", "value": "true"})), "{env:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_steps_change_is_tried_too_there_and_back() {
    let target =
        |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "namespace": "sanita", "name": name});
    let manifest = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "sanita"}, "data": {"a": "b"}});
    let more = [
        json!({"name": "chiave", "needs": ["prova"], "budget": "1m",
            "patch": {"target": target("ConfigMap", "v1", "chiavi"), "merge": {"data": {"nuova": "2027"}}}}),
        json!({"name": "immagine", "needs": ["chiave"], "budget": "1m", "patch": {"target": target("Deployment", "apps/v1", "cup"), "json": [
            {"op": "test", "path": "/spec/template/spec/containers/0/name", "value": "altro"},
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registro.example/servizio:2"}]}}),
        json!({"name": "riavvia", "needs": ["immagine"], "budget": "1m", "restart": {"target": target("Deployment", "apps/v1", "zerocode")}}),
        json!({"name": "applica", "needs": ["riavvia"], "budget": "1m", "apply": {"manifest": manifest("nuova")}}),
        json!({"name": "assente", "needs": ["applica"], "budget": "1m", "scale": {"target": target("Deployment", "apps/v1", "nessuno"), "replicas": 1}}),
        json!({"name": "aspetta", "needs": ["assente"], "budget": "1m", "wait": {"target": target("Widget", "example.org/v1", "w"), "until": "true"}}),
    ];
    let world = world(|object| steps(object, &more)).await;
    world.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "chiavi", "namespace": "sanita"}, "data": {"vecchia": "2025"}}));
    let before = dump(&world);
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let status = world.status(NIGHT);
    let expected = [
        ["Missing", "Deployment sanita/nessuno", "step assente"],
        ["Missing", "Widget sanita/w", "step aspetta"],
        ["NotAccepted", "Deployment sanita/cup", "step immagine"],
    ];
    assert_eq!(findings(&status), expected.map(|row| row.map(str::to_owned)), "{status:#}");
    let tried = tried(&world);
    let patched = |resource: &str, name: &str| tried.iter().filter(|one| one.resource == resource && one.name == name).count();
    assert_eq!((patched("configmaps", "chiavi"), patched("configmaps", "nuova")), (2, 1), "there and back; applied once");
    assert_eq!(patched("deployments", "zerocode"), 2);
    assert_eq!(dump(&world), before);
}

#[tokio::test(start_paused = true)]
async fn a_red_probe_is_a_finding_while_its_service_is_open_and_none_while_it_is_closed() {
    let world = World::new(false);
    // Just created, nothing answers yet; one service stands closed by day.
    let kind = kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment");
    let api: kube::Api<kube::core::DynamicObject> =
        kube::Api::namespaced_with(world.embedded.client("anna"), "sanita", &kube::api::ApiResource::from_gvk(&kind));
    let closed = kube::api::Patch::Merge(json!({"spec": {"replicas": 0}}));
    api.patch("portale-ts", &kube::api::PatchParams::default(), &closed).await.unwrap();
    declare(&world, |object| {
        if object["metadata"]["name"] == "anagrafe-assistiti" {
            let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "anagrafe-assistiti"});
            let json = json!([{"op": "replace", "path": "/spec/replicas", "value": 0}]);
            object["spec"]["close"] = json!([{"name": "backend", "patch": {"target": target, "json": json}}]);
        }
    });
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let status = world.status(NIGHT);
    let found = findings(&status);
    assert_eq!(found.len(), 6, "{status:#}");
    assert!(found.iter().all(|one| one[0] == "ProbeRed" && one[2] == "probe vive"), "{found:?}");
    assert!(!found.iter().any(|one| one[1].ends_with("/portale-ts")), "{found:?}");
    let services = status["services"].as_array().unwrap();
    let portal = services.iter().find(|one| one["name"] == "sanita/portale-ts").unwrap();
    assert_eq!(portal["state"], "Closed", "its answer is reported all the same: {portal}");
    assert!(portal["because"].as_str().unwrap().starts_with("vive: "), "{portal}");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_that_is_the_one_finding_and_nothing_is_tried() {
    let world = world(|_| {}).await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, _: Stage| match request.subresource.as_str() {
        "token" => Fault::Status(403, "Forbidden".into()),
        _ => Fault::None,
    })));
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Refused");
    let expected = ["NoToken", "ServiceAccount centro-dati/lavori-notturni", "spec.serviceAccountName"].map(str::to_owned);
    assert_eq!(findings(&world.status(NIGHT)), [expected]);
    assert_eq!(tried(&world), []);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_cannot_answer_now_is_asked_again_and_accuses_nobody() {
    let world = world(|_| {}).await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage: Stage| {
        let busy = request.dry_run && request.resource == "services" && stage == Stage::Before;
        if busy { Fault::Status(503, "ServiceUnavailable".into()) } else { Fault::None }
    })));
    let _operator = world.operator();
    world.until("2023-02-09T18:36:00+01:00").await;
    let status = world.status(NIGHT);
    assert_eq!((&status["phase"], &status["outcome"]), (&json!("Pending"), &Value::Null), "{status:#}");
    world.embedded.set_fault(None);
    assert_eq!(world.outcome(NIGHT).await, "Completed");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_takes_no_dry_run_is_said_and_one_that_fails_is_a_finding() {
    for (code, words, outcome) in [
        (400, "admission webhook \"a.example\" does not support dry run", "Completed"),
        (500, "failed calling webhook \"a.example\"", "Refused"),
    ] {
        let world = world(|_| {}).await;
        world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
            let webhook = request.dry_run && request.resource == "services" && stage == Stage::Before;
            if webhook { Fault::Status(code, words.into()) } else { Fault::None }
        })));
        let _operator = world.operator();
        assert_eq!(world.outcome(NIGHT).await, outcome);
        let why = world.status(NIGHT)["why"].as_str().unwrap().to_owned();
        assert_eq!(why.contains("1 could not be tried"), outcome == "Completed", "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_starts_anew_does_not_rehearse_again() {
    let world = world(|_| {}).await;
    let first = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    first.stopped().await;
    let before = world.embedded.log().len();
    let _second = world.operator();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let asked = world.embedded.log().split_off(before);
    assert!(asked.iter().all(|logged| logged.request.resource == "interventions"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn approvals_and_a_start_that_has_passed_hinder_no_rehearsal_and_a_night_that_does_not_fit_is_not_tried() {
    let world = World::new(false);
    world.until("2023-02-12T12:00:00+01:00").await;
    declare(&world, |object| {
        if object["kind"] == "Runbook" {
            object["spec"]["approvals"] = json!({"count": 2, "from": {"groups": ["responsabili"]}});
        }
    });
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Completed");

    let late = self::world(|object| {
        if object["kind"] == "Runbook" {
            object["spec"]["reserve"] = json!("200m");
        }
    })
    .await;
    let _operator = late.operator();
    assert_eq!(late.outcome(NIGHT).await, "Refused");
    let reasons: Vec<String> = findings(&late.status(NIGHT)).into_iter().map(|[reason, ..]| reason).collect();
    assert!(reasons.iter().all(|reason| reason == "DoesNotFit"), "{reasons:?}");
    assert_eq!((tried(&late), late.intervention(NIGHT).unwrap()["metadata"]["namespace"].as_str()), (vec![], Some(WORK)));
}
