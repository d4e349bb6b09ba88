//! The page for people: its commands, run by a real shell, with a `kubectl` that notes what it was asked.

use std::collections::BTreeSet;

use http_body_util::BodyExt;
use notturno::clock::Clock;
use notturno::embedded::{Embedded, ResourceKind};
use notturno::engine::{Command, Entry, Event};
use notturno::model::reference::Target;
use notturno::model::service::Change;
use notturno::operator::by_hand::{page, shell, stored};
use notturno::operator::effects::capture::{Preimage, changes, close_patch, preimage};
use notturno::operator::effects::ledger::append;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::pasted::{Shell, blocks, request, writes};
use crate::sample;
use crate::scene::*;
use crate::step_scene::{armed, intend, manifest, target};

const TOKEN: &str = "n.1.forward";

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4_i64).prop_map(Value::from),
        "[a'\"\n$`\\\\ é!*]{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c/~'.]{1,2}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn json_object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-c/~'.]{1,2}", json_value(), 0..5).prop_map(|map| json!(map))
}

const THING: &str = "/apis/g.example/v1/namespaces/n/things/x";

async fn send(api: &Embedded, media: &str, body: String) -> Value {
    let request =
        http::Request::patch(THING).header("content-type", media).body(kube::client::Body::from(body.into_bytes())).unwrap();
    let answer = api.client("maria").send(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(status.is_success(), "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// What became of the object before the commands are run.
#[derive(Clone, Debug)]
enum Meanwhile {
    NotClosed,
    Closed,
    /// Another hand put this into every field that was changed.
    Changed(Value),
    /// Another hand removed every field that was changed.
    Removed,
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        Just(Meanwhile::NotClosed),
        Just(Meanwhile::Closed),
        json_value().prop_map(Meanwhile::Changed),
        json_object().prop_map(Meanwhile::Changed),
        Just(Meanwhile::Removed),
    ]
}

/// Creates the object, closes it, lets others have a hand in it, and has the commands put back what was before; before and after, as
/// written.
async fn put_back(shell: &Shell, object: Value, merge: Value, meanwhile: Meanwhile) -> (Value, Value) {
    let api = Embedded::new(Clock::starting_at(at("2026-11-24T23:00:00Z")));
    let of = |text: &str| text.to_owned();
    let kind = ResourceKind {
        group: of("g.example"),
        version: of("v1"),
        kind: of("Thing"),
        plural: of("things"),
        namespaced: true,
        status_subresource: false,
    };
    api.register(kind);
    let mut object = object;
    object["apiVersion"] = json!("g.example/v1");
    object["kind"] = json!("Thing");
    object["metadata"] = json!({"name": "x", "namespace": "n", "annotations": {"notturno.dev/token": TOKEN}});
    let live = api.create(object).unwrap();
    let change = Change::Merge { merge };
    let before: Preimage = preimage(&live, "things", &change);
    let json = "application/json-patch+json";
    if !matches!(meanwhile, Meanwhile::NotClosed) {
        let patch = close_patch(&live, live["metadata"]["uid"].as_str().unwrap(), TOKEN, &changes(&live, &change));
        send(&api, json, json!(patch).to_string()).await;
    }
    let all = |operation: &dyn Fn(&str) -> Value| before.fields.iter().map(|field| operation(&field.pointer)).collect::<Vec<_>>();
    match &meanwhile {
        Meanwhile::NotClosed | Meanwhile::Closed => {}
        Meanwhile::Changed(value) => {
            let patch = all(&|pointer| json!({"op": "add", "path": pointer, "value": value}));
            send(&api, json, json!(patch).to_string()).await;
        }
        Meanwhile::Removed => {
            let mut patch = all(&|pointer| json!({"op": "add", "path": pointer, "value": 0}));
            patch.extend(all(&|pointer| json!({"op": "remove", "path": pointer})));
            send(&api, json, json!(patch).to_string()).await;
        }
    }
    let place = Target { api_version: of("g.example/v1"), kind: of("Thing"), namespace: of("n"), name: of("x") };
    // Twice: what a person repeats does no harm.
    for _ in 0..2 {
        let (calls, good) = shell.run(&shell::restoring(&place, &before).join("\n"));
        assert!(good);
        for call in &calls {
            assert_eq!(call[..5], ["-n", "n", "patch", "things.v1.g.example", "x"]);
            let (media, body) = request(call);
            send(&api, &media, body).await;
        }
    }
    let after = api.object("g.example", "things", "n", "x").unwrap();
    (written(live), written(after))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_commands_of_the_page_give_the_pre_image_back_exactly(object in json_object(), merge in json_object(), meanwhile in meanwhile()) {
        let shell = Shell::with("property", "", "");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (before, after) = runtime.block_on(put_back(&shell, object, merge, meanwhile));
        prop_assert_eq!(before, after);
    }
}

fn entries(events: Vec<Event>) -> Vec<Entry> {
    events
        .into_iter()
        .map(|event| Entry {
            at: at("2026-11-25T00:00:00Z"),
            event,
            why: "because \"stepIntended\":{\"step\":\"aggiorna\"".into(),
        })
        .collect()
}

fn intended(step: &str) -> Event {
    Event::StepIntended { step: step.to_owned(), dirty: Vec::new(), preimages: std::collections::BTreeMap::default() }
}

/// The records of a real ledger that got these events, as kubectl prints them.
async fn ledger(scene: &Scene, events: Vec<Event>) -> String {
    let read = notturno::operator::effects::ledger::read(&scene.tenant, "notte", sample::UID).await.unwrap().unwrap();
    append(&scene.tenant, &scene.plan, &read.head.unwrap(), "operator-0", entries(events)).await.unwrap();
    let map = scene.get("configmaps", "notturno-notte-0f0e0d0c-ledger");
    map["data"].as_object().unwrap().values().map(|record| format!("{}\n", record.as_str().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn the_page_is_kept_beside_the_plan_and_covers_every_case() {
    let armed = Scene::armed().await;
    let map = armed.scene.get("configmaps", "notturno-notte-0f0e0d0c-plan");
    let kept = map["data"]["by-hand.md"].as_str().unwrap();
    assert_eq!(kept, page(&armed.scene.plan, &armed.preimages, None));
    assert!(kept.contains("### If `aggiorna` began: its undo"), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn run_from_top_to_bottom_it_silences_takes_away_stops_undoes_and_opens_in_order() {
    let armed = Scene::armed().await;
    let ledger = ledger(&armed.scene, vec![Event::WorkBegun {}, intended("chiudi"), intended("aggiorna")]).await;
    let page = page(&armed.scene.plan, &armed.preimages, None);
    let (calls, good) = Shell::with("whole", &ledger, "Complete ").run(&blocks(&page).join("\n"));
    assert!(good, "{page}");
    let night = "notturno.dev/night=0f0e0d0c-0b0a-4000-8000-000000000001";
    let token = "notturno.dev/token=0f0e0d0c-0b0a-4000-8000-000000000001.3.reopen";
    let stop = r#"{"metadata":{"annotations":{"notturno.dev/token":"0f0e0d0c-0b0a-4000-8000-000000000001.3.expired"}},"spec":{"suspend":true}}"#;
    let start = r#"{"metadata":{"annotations":{"notturno.dev/released":"true","notturno.dev/token":"0f0e0d0c-0b0a-4000-8000-000000000001.3.back"}},"spec":{"suspend":false}}"#;
    let done = writes(&calls);
    let expected = [
        format!("delete deployments.v1.apps -l {night},notturno.dev/role=sentinel --ignore-not-found"),
        format!("annotate --overwrite deployments.v1.apps cup-api {token}"),
        format!("annotate --overwrite deployments.v1.apps ricetta-api {token}"),
        format!("annotate --overwrite cronjobs.v1.batch ricetta-batch {token}"),
        format!("annotate --overwrite configmaps pagina {token}"),
        format!("patch jobs.v1.batch notte-0f0e0d0c-aggiorna --type=merge -p {stop}"),
        format!("patch jobs.v1.batch notte-0f0e0d0c-prova --type=merge -p {stop}"),
        format!("patch jobs.v1.batch notte-0f0e0d0c-aggiorna-undo-1 --type=merge -p {start}"),
        format!("patch jobs.v1.batch notte-0f0e0d0c-smoke --type=merge -p {start}"),
        r#"patch cronjobs.v1.batch ricetta-batch --type=merge -p {"spec":{"suspend":false}}"#.to_owned(),
        r#"patch deployments.v1.apps ricetta-api --type=merge -p {"spec":{"replicas":3}}"#.to_owned(),
        r#"patch configmaps pagina --type=merge -p {"data":{"avviso":"buongiorno","chiuso":null}}"#.to_owned(),
        r#"patch deployments.v1.apps cup-api --type=merge -p {"spec":{"replicas":2}}"#.to_owned(),
    ];
    assert_eq!(done[..expected.len()], expected, "{page}");
    let (left, tidied) = done[expected.len()..].split_at(2);
    assert!(left[0].starts_with("delete pods -A -l app.kubernetes.io/name=notturno,"), "who knows the night goes: {left:?}");
    assert_eq!(left[1], expected[0], "and what it may have made anew");
    assert!(
        tidied.len() == 4 && tidied.iter().all(|one| one.starts_with("annotate ") && one.contains("notturno.dev/token-")),
        "{tidied:?}"
    );
}

/// An API server may keep a request for a Pod for a minute.
#[tokio::test(start_paused = true)]
async fn between_the_stop_of_the_work_and_its_undo_no_pod_that_was_asked_for_before_can_show_itself_late() {
    let armed = Scene::armed().await;
    let ledger = ledger(&armed.scene, vec![Event::WorkBegun {}, intended("chiudi"), intended("aggiorna")]).await;
    let page = page(&armed.scene.plan, &armed.preimages, None);
    let (calls, _) = Shell::with("waits", &ledger, "Complete ").run(&blocks(&page).join("\n"));
    let patch = |call: &Vec<String>, name: &str| call.contains(&"patch".to_owned()) && call.contains(&name.to_owned());
    let stopped = calls.iter().rposition(|call| patch(call, "notte-0f0e0d0c-prova")).unwrap();
    let undone = calls.iter().position(|call| patch(call, "notte-0f0e0d0c-aggiorna-undo-1")).unwrap();
    let slept = calls[stopped..undone].iter().filter(|call| call[0] == "sleep").map(|call| call[1].parse::<u32>().unwrap());
    assert_eq!(slept.sum::<u32>(), 75, "{:?}", &calls[stopped..undone]);
}

/// Which of the prepared Jobs are let run, for what stands in the ledger and how the Jobs end.
async fn released(name: &str, events: Vec<Event>, job_ends: &str) -> (Vec<String>, bool) {
    let armed = Scene::armed().await;
    let ledger = ledger(&armed.scene, events).await;
    let page = page(&armed.scene.plan, &armed.preimages, None);
    let (calls, good) = Shell::with(name, &ledger, job_ends).run(&blocks(&page).join("\n"));
    let started =
        writes(&calls).into_iter().filter(|write| write.contains(r#""suspend":false}}"#) && write.starts_with("patch jobs"));
    (started.map(|write| write.split(' ').nth(2).unwrap().replace("notte-0f0e0d0c-", "")).collect(), good)
}

#[tokio::test(start_paused = true)]
async fn an_undo_runs_only_for_a_step_that_began_and_whose_work_is_not_kept() {
    let began = || vec![Event::WorkBegun {}, intended("chiudi"), intended("aggiorna")];
    let and = |event: Event| began().into_iter().chain([event]).collect::<Vec<_>>();
    let undone = Event::UndoDone { step: "aggiorna".into(), attempt: 1 };
    let undone_too = undone.clone();
    let never = Event::StepStopped { step: "aggiorna".into(), proof: notturno::engine::journal::Proof::NeverStarted };
    let none: [&str; 0] = [];
    for (name, events, expected) in [
        ("not", vec![Event::WorkBegun {}, intended("chiudi")], &none[..]),
        ("began", began(), &["aggiorna-undo-1", "smoke"]),
        ("committed", and(Event::Committed {}), &none),
        ("undone", and(undone), &["smoke"]),
        ("never", and(never), &none),
        ("verified", [and(undone_too), vec![Event::SmokeDone {}]].concat(), &none),
    ] {
        assert_eq!(
            released(name, events, "Complete ").await,
            (expected.iter().map(|one| (*one).to_owned()).collect(), true),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_is_tried_with_the_next_prepared_job_and_then_nothing_opens_by_itself() {
    let events = vec![Event::WorkBegun {}, intended("chiudi"), intended("aggiorna")];
    let (started, good) = released("failed", events, "Failed ").await;
    assert_eq!(started, ["aggiorna-undo-1", "aggiorna-undo-2"]);
    assert!(!good, "it stops there, and says which services stay closed");
}

/// A service may have been opened on half-done work, as it declared: nobody restores a snapshot over what people write since.
#[tokio::test(start_paused = true)]
async fn an_undo_that_has_expired_is_not_run() {
    let events = vec![Event::WorkBegun {}, intended("chiudi"), intended("aggiorna")];
    let (started, good) = released("expired", events, "0f0e0d0c-0b0a-4000-8000-000000000001.2.expired").await;
    assert_eq!((started.len(), good), (0, false));
}

/// An object bears the token of people by then; what the ledger says of other steps says nothing of this one.
#[tokio::test(start_paused = true)]
async fn what_a_step_changed_is_not_put_back_beneath_people_once_its_undo_has_expired() {
    let steps = [
        (target("apps/v1", "Deployment", "motore"), json!({"scale": {"replicas": 5}})),
        (target("apps/v1", "Deployment", "coda"), json!({"scale": {"replicas": 5}})),
    ];
    let mut armed = armed(&steps).await;
    for step in [3, 4] {
        intend(&mut armed, step).await;
        armed.perform(Command::Change { step, not_after: at("2026-11-25T04:00:00Z") }).await.unwrap();
    }
    let service = armed.scene.plan.services[0].id.clone();
    let expired = |step: &str| Event::UndosExpired { service: service.clone(), steps: vec!["aggiorna".into(), step.into()] };
    let put_back = async |name: &str, event: Event| {
        let ledger = ledger(&armed.scene, vec![intended("passo-0"), intended("passo-1"), event, intended("passo-0")]).await;
        let text = page(&armed.scene.plan, &armed.preimages, None);
        let undos = blocks(&text).into_iter().filter(|block| block.contains("passo-") && block.contains("esac"));
        let mut started = Vec::new();
        for (number, block) in undos.enumerate() {
            let ledger = shell::quoted(&ledger);
            let (calls, _) = Shell::with(&format!("{name}-{number}"), "", "").run(&format!("ledger={ledger}\n{block}"));
            started.extend(writes(&calls).into_iter().map(|write| write.split(' ').nth(2).unwrap().to_owned()));
        }
        started.sort();
        started
    };
    assert_eq!(put_back("both", expired("passo")).await, ["coda", "motore"]);
    assert_eq!(put_back("first", expired("passo-0")).await, ["coda"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_ledger_in_hand_no_undo_is_skipped_in_silence() {
    let armed = Scene::armed().await;
    let page = page(&armed.scene.plan, &armed.preimages, None);
    let undo = blocks(&page).into_iter().find(|block| block.contains("undo-1")).unwrap();
    let (calls, good) = Shell::with("no-ledger", "", "").run(&format!("ledger=\n{undo}"));
    assert_eq!((calls.len(), good), (0, false));
}

#[tokio::test(start_paused = true)]
async fn the_live_page_speaks_only_of_what_began() {
    let armed = Scene::armed().await;
    let (plan, preimages) = (&armed.scene.plan, &armed.preimages);
    let live = |events: Vec<Event>| {
        let first = Event::Accepted { plan_hash: "h".into() };
        page(plan, preimages, Some(&entries([vec![first, Event::Armed {}, Event::WorkBegun {}], events].concat())))
    };
    let early = live(vec![intended("chiudi")]);
    assert!(!early.contains("its undo") && early.contains("No step that has an undo of its own began"), "{early}");
    assert!(early.contains("**sanita/ricetta** (): **closed**"), "{early}");
    let later = live(vec![intended("chiudi"), Event::StepDone { step: "chiudi".into() }, intended("aggiorna")]);
    assert!(later.contains("### If `aggiorna` began: its undo"), "{later}");
}

#[tokio::test(start_paused = true)]
async fn what_a_step_changed_is_put_back_and_what_it_made_is_deleted_only_if_it_made_it() {
    let steps = [
        (target("apps/v1", "Deployment", "motore"), json!({"scale": {"replicas": 5}})),
        (target("v1", "ConfigMap", "nuovo"), json!({"apply": {"manifest": manifest("nuovo", json!({"a": "b"}))}})),
    ];
    let mut armed = armed(&steps).await;
    for step in [3, 4] {
        intend(&mut armed, step).await;
        armed.perform(Command::Change { step, not_after: at("2026-11-25T04:00:00Z") }).await.unwrap();
    }
    let text = page(&armed.scene.plan, &armed.preimages, None);
    let began = "\"stepIntended\":{\"step\":\"passo-0\" \"stepIntended\":{\"step\":\"passo-1\"";
    let shell = Shell::with("steps", began, "Complete ");
    let (calls, good) = shell.run(&blocks(&text).join("\n"));
    assert!(good, "{text}");
    assert!(writes(&calls).contains(&r#"patch deployments.v1.apps motore --type=merge -p {"spec":{"replicas":2}}"#.to_owned()));
    assert!(!writes(&calls).iter().any(|write| write.starts_with("delete configmaps")), "kubectl said that nobody made it");
    let maker = armed.scene.get("configmaps", "nuovo")["metadata"]["annotations"]["notturno.dev/created-by"].clone();
    let deleting = text.lines().find(|line| line.contains("delete configmaps nuovo")).unwrap();
    assert!(deleting.contains(&format!("[ \"$made\" = {} ]", maker.as_str().unwrap())), "{deleting}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_fit_says_which_command_prints_it() {
    let armed = Scene::armed().await;
    let whole = stored(&armed.scene.plan, &armed.preimages, 10_000);
    assert_eq!(whole, page(&armed.scene.plan, &armed.preimages, None));
    let short = stored(&armed.scene.plan, &armed.preimages, 1024 * 1024 - 5000);
    assert!(short.contains("notturno by-hand notte -n centro-dati") && short.len() < 1000, "{short}");
}

/// Whatever people write, a block stays a block and a word a word.
#[tokio::test(start_paused = true)]
async fn free_text_of_people_cannot_end_a_block_or_run() {
    let mut armed = Scene::armed().await;
    let nasty = "x\n```sh\nkubectl delete namespaces sanita\n```\n$(touch /tmp/never) 'y' `z`";
    armed.scene.plan.services[0].title.it = nasty.to_owned();
    armed.scene.plan.services[0].contacts =
        serde_json::from_value(json!([{"role": nasty, "name": nasty, "notify": nasty}])).unwrap();
    armed.scene.plan.services[0].could_stay_closed_by = BTreeSet::from([1]);
    armed.scene.plan.deadline.site = nasty.to_owned();
    let clean = page(&sample::plan(), &armed.preimages, None);
    let text = page(&armed.scene.plan, &armed.preimages, None);
    assert_eq!(blocks(&text), blocks(&clean));
}
