//! Many nights that wait: each with its own service, runbook and Jobs, fifty to a tenant.
//!
//! In: how many, when they start, when doors open in the morning. Out: objects for the embedded API. Not here: who serves them.

use jiff::Timestamp;
use notturno::embedded::Embedded;
use serde_json::{Value, json};

const NIGHTS_OF_A_TENANT: usize = 50;

/// Creates all of them; `hours` is when counters are open, in UTC.
pub fn declare(embedded: &Embedded, count: usize, start_at: Timestamp, hours: &str) {
    let create = |object: Value| {
        let what = object.to_string();
        embedded.create(object).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    };
    for definition in notturno::api::manifests::crds() {
        embedded.register_definition(&serde_json::to_value(definition).expect("JSON")).expect("a definition");
    }
    create(json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "OfficeCalendar", "metadata": {"name": "sportello"},
        "spec": {"timeZone": "UTC", "hours": hours}}));
    for tenant in (0..count).step_by(NIGHTS_OF_A_TENANT) {
        tenant_objects(&namespace(tenant)).into_iter().for_each(create);
    }
    for n in 0..count {
        night_objects(n, start_at).into_iter().for_each(create);
    }
}

/// The namespace of a night's tenant.
fn namespace(n: usize) -> String {
    format!("centro-{:02}", n / NIGHTS_OF_A_TENANT)
}

/// How many Interventions the API shows in `phase`.
pub fn count_in(embedded: &Embedded, phase: &str) -> usize {
    let all = embedded.objects();
    all.iter().filter(|object| object["kind"] == "Intervention" && object["status"]["phase"] == phase).count()
}

fn tenant_objects(namespace: &str) -> Vec<Value> {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lavori-notturni", "namespace": namespace}});
    let work = ["prepara", "aggiorna", "ripristina", "prova"].map(|name| {
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": namespace},
            "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": name, "image": "registro.example/lavori:1"}]}}}}}})
    });
    std::iter::once(account).chain(work).collect()
}

fn night_objects(n: usize, start_at: Timestamp) -> Vec<Value> {
    let (service, night, namespace) = (format!("sportello-{n:04}"), format!("notte-{n:04}"), namespace(n));
    let target = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "name": service});
    let job = |name: &str| json!({"from": {"cronJob": name}});
    let closed = format!("sanita/{service}");
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": service, "namespace": "sanita"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": service}}, "template": {
                "metadata": {"labels": {"app": service}},
                "spec": {"containers": [{"name": "servizio", "image": "registro.example/servizio:1"}]}}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": service, "namespace": "sanita"},
            "spec": {"selector": {"app": service}, "ports": [{"port": 8080}]}}),
        json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "PublicService", "metadata": {"name": service, "namespace": "sanita"},
            "spec": {
                "title": {"it": format!("Sportello numero {n}"), "en": format!("Counter number {n}")},
                "sites": [{"name": "sportelli", "calendar": "sportello"}],
                "close": [
                    {"name": "pagina", "patch": {"target": target("v1", "Service"), "merge": {"spec": {"selector": {"app": "pagina"}}}}},
                    {"name": "backend", "scale": {"target": target("apps/v1", "Deployment"), "replicas": 0}}],
                "reopen": {"budget": "10m", "probes": [{"name": "vive", "every": "10s", "consecutive": 3,
                    "http": {"url": format!("http://{service}.sanita:8080/health")}}]},
                "allowedFrom": [{"namespace": namespace}]}}),
        json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": night, "namespace": namespace},
            "spec": {
                "serviceAccountName": "lavori-notturni", "reserve": "20m",
                "smoke": {"budget": "10m", "job": job("prova")},
                "reopening": {"budget": "20m", "waves": [[closed]]},
                "steps": [
                    {"name": "prepara", "budget": "20m", "job": job("prepara"), "touches": [], "noUndo": {"reason": "NothingToUndo"}},
                    {"name": "chiudi", "needs": ["prepara"], "budget": "5m", "close": {"services": [closed]}},
                    {"name": "aggiorna", "needs": ["chiudi"], "budget": "45m", "hardCap": "60m", "job": job("aggiorna"),
                        "touches": [closed], "undo": {"budget": "30m", "attempts": 2, "job": job("ripristina")}},
                    {"name": "prova", "needs": ["aggiorna"], "budget": "10m", "job": job("prova"), "touches": [],
                        "noUndo": {"reason": "NothingToUndo"}}]}}),
        json!({"apiVersion": "notturno.dev/v1alpha1", "kind": "Intervention", "metadata": {"name": night, "namespace": namespace},
            "spec": {"runbook": night, "mode": "Run", "startTime": start_at.to_string(), "startTolerance": "30m", "margin": "15m",
                "tellBefore": "1h", "requester": "turno.notte@centro-dati"}}),
    ]
}
