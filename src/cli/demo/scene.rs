//! The invented data centre in which the demo's night takes place.
//!
//! In: which branch of the night is played. Out: the objects that stand in the cluster before anybody knows of Notturno: namespaces,
//! Deployments and Services of seven public services, suspended `CronJobs` with the work. Invariant: how long things take is written
//! on the objects, where the embedded API reads it. Not here: anything of ours; the night itself (`runbooks/sogei-2023.yaml`).

use serde_json::{Map, Value, json};

use super::Branch;
use crate::embedded::annotations::{
    ANSWERS, DRAINS_FOR, ENDS, HEALTHY_WITH, READY_AFTER, RECOVERS_AFTER, SCRIPT, STOPS_AFTER, TAKES,
};
use crate::model::span::Span;

/// Where the work runs.
pub(super) const WORK: &str = "centro-dati";
/// Where the services live.
pub(super) const SERVICES: &str = "sanita";
/// How long the hanging upgrade takes to die.
const STOPS: Span = Span::seconds(30);

/// How the embedded API is told what an object does.
type Annotations<'a> = &'a [(&'a str, &'a str)];

/// Everything that is there before the night.
pub(super) fn objects(branch: &Branch) -> Vec<Value> {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WORK}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVICES}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lavori-notturni", "namespace": WORK}}),
        deployment("pagina-di-cortesia", "0s", "0s", &[(ANSWERS, "503")]),
        batch(),
    ];
    objects.extend(services());
    objects.extend(work(branch));
    objects
}

/// The seven services: how long each drains and how long it takes to answer again. In all, half an hour in four waves.
fn services() -> Vec<Value> {
    let slow = "9m30s";
    let upstreams = "ricetta-elettronica.sanita,anagrafe-assistiti.sanita";
    let recovers = [(HEALTHY_WITH, upstreams), (RECOVERS_AFTER, "9m50s")];
    let rows: [(&str, &str, &str, Annotations); 7] = [
        ("anagrafe-assistiti", "5m", slow, &[]),
        ("accesso-ts", "5m", slow, &[]),
        ("ricetta-elettronica", "5m", slow, &[]),
        ("cup", "0s", "0s", &recovers),
        ("zerocode", "0s", "0s", &recovers),
        ("archivio-730", "15m", "0s", &[]),
        ("portale-ts", "15m", "0s", &[]),
    ];
    let both = |(name, drains, ready, annotations): &(&str, &str, &str, Annotations)| {
        [deployment(name, drains, ready, &[]), service(name, annotations)]
    };
    rows.iter().flat_map(both).collect()
}

fn map(annotations: &[(&str, impl AsRef<str>)]) -> Value {
    annotations.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_ref()))).collect::<Map<_, _>>().into()
}

fn deployment(name: &str, drains: &str, ready: &str, annotations: &[(&str, &str)]) -> Value {
    let mut all = vec![(READY_AFTER, ready), (DRAINS_FOR, drains)];
    all.extend(annotations);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": SERVICES, "annotations": map(&all)},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "servizio", "image": format!("registro.example/{name}:1")}]},
            },
        },
    })
}

fn service(name: &str, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": SERVICES, "annotations": map(annotations)},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8080}]},
    })
}

/// The pharmacies' batch: a `CronJob` that runs by day and is suspended while the service is closed.
fn batch() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "ricetta-batch", "namespace": SERVICES},
        "spec": {"schedule": "*/10 * * * *", "suspend": false, "jobTemplate": job("ricetta-batch", &[])},
    })
}

fn job(name: &str, annotations: &[(&str, String)]) -> Value {
    json!({"spec": {"template": {
        "metadata": {"annotations": map(annotations)},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "lavoro", "image": format!("registro.example/lavori/{name}:1")}],
        },
    }}})
}

/// The work, as suspended `CronJobs` from which the Jobs of the night are made.
fn work(branch: &Branch) -> Vec<Value> {
    let takes = |span: Span| (TAKES, String::from(span));
    let ends = |how: &str| (ENDS, how.to_owned());
    let upgrade = if branch.upgrade_hangs {
        vec![ends("Hangs"), (STOPS_AFTER, String::from(STOPS))]
    } else {
        vec![takes(Span::minutes(90))]
    };
    // Forty minutes after the night has turned back the first attempt gives up; the second never ends.
    let failing = vec![
        (SCRIPT, "ripristina".to_owned()),
        (TAKES, format!("{},0s", String::from(Span::minutes(40).less(STOPS)))),
        ends("Failed,Hangs"),
    ];
    let restore = if branch.undo_fails { failing } else { vec![takes(branch.restore_takes.less(STOPS))] };
    let rows = [
        ("verifica-backup", vec![takes(Span::minutes(30))]),
        ("istantanea", vec![takes(Span::minutes(40))]),
        ("aggiorna", upgrade),
        ("ripristina", restore),
        ("indici", vec![takes(Span::minutes(45))]),
        ("prova-a-porte-chiuse", vec![takes(Span::minutes(15))]),
    ];
    let cron_job = |(name, annotations): &(&str, Vec<(&str, String)>)| {
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {"name": name, "namespace": WORK},
            "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": job(name, annotations)},
        })
    };
    rows.iter().map(cron_job).collect()
}
