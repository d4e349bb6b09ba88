//! One small night: two services, three steps, an undo with two attempts, a smoke test.

use serde_json::{Value, json};

use notturno::model::plan::Plan;

/// The night's UID.
pub const UID: &str = "0f0e0d0c-0b0a-4000-8000-000000000001";

/// The frozen plan of the night `centro-dati/notte`, which closes `sanita/ricetta` and `sanita/cup`, works, and checks.
pub fn plan() -> Plan {
    let at = |hour: &str| format!("2026-11-25T0{hour}:00Z");
    let deadline = json!({"mustServeBy": at("6:00"), "service": "sanita/ricetta", "site": "s", "calendar": "c",
        "because": {"opens": {"at": at("6:15"), "margin": "15m0s"}}});
    let step = |name: &str, needs: Value, action: Value, undo: Value, touches: Value| {
        json!({"name": name, "needs": needs, "budget": "30m0s", "hardCap": "40m0s", "onOverrun": "Ask", "onFutile": "TurnBack",
            "action": action, "touches": touches, "undo": undo, "startAt": at("0:00"), "endAt": at("0:30"), "turnBackAt": at("4:00"),
            "finishBy": at("3:00")})
    };
    let update = json!({"job": {"cronJob": "aggiorna", "env": [{"name": "VERSIONE", "value": "15.4"}]}});
    let undo = json!({"job": {"budget": "30m0s", "attempts": 2, "job": {"cronJob": "ripristina"}}});
    let plan = json!({"version": 1, "namespace": "centro-dati", "name": "notte", "uid": UID, "mode": "Run", "requester": "anna",
        "serviceAccount": "lavori-notturni", "timeZone": "Europe/Rome", "startAt": at("0:00"), "startBy": at("0:30"),
        "deadline": deadline, "plannedOpenAt": at("3:00"), "reserve": "20m0s", "reopeningBudget": "10m0s",
        "smoke": {"budget": "5m0s", "job": {"cronJob": "prova"}},
        "steps": [
            step("chiudi", json!([]), json!({"close": {"services": [0, 1]}}), json!("reopening"), json!([])),
            step("aggiorna", json!([0]), update, undo, json!([0])),
            step("prova", json!([1]), json!({"job": {"cronJob": "prova"}}), json!("nothing"), json!([])),
        ],
        "services": [service("ricetta", &ricetta(), &at("0:00")), service("cup", &cup(), &at("0:00"))],
        "waves": [[0], [1]]});
    serde_json::from_value(plan).expect("the sample is a plan")
}

fn service(name: &str, close: &Value, at: &str) -> Value {
    json!({"id": format!("sanita/{name}"), "title": {}, "closeAt": at, "close": close, "reopenBudget": "5m0s", "probes": [],
        "whenDirty": "StayClosed", "upstreams": [], "couldStayClosedBy": [], "contacts": []})
}

fn target(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "namespace": "sanita", "name": name})
}

fn ricetta() -> Value {
    json!([
        {"name": "pagina", "target": target("v1", "ConfigMap", "pagina"), "change": {"merge": {"merge": {"data": {"chiuso": "si", "avviso": null}}}}},
        {"name": "backend", "target": target("apps/v1", "Deployment", "ricetta-api"), "change": {"scale": {"replicas": 0}}},
        {"name": "batch", "target": target("batch/v1", "CronJob", "ricetta-batch"), "change": {"suspend": {}}},
    ])
}

fn cup() -> Value {
    json!([{"name": "backend", "target": target("apps/v1", "Deployment", "cup-api"), "change": {"scale": {"replicas": 0}}}])
}
