//! The documents and objects of a drawn night.
//!
//! In: a draft. Out: what its file holds. Invariant: an object is there because something of the draft needs it. Not here: what is drawn.

use serde_json::{Value, json};

use crate::draft::{Closing, Draft, Service, Step, Undo, Work, action};

const OURS: &str = "notturno.dev/v1alpha1";

fn span(minutes: i64) -> String {
    format!("{minutes}m")
}

fn object(api: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

/// Calendars, services, the runbook and the night.
pub fn declared(draft: &Draft) -> Vec<Value> {
    let opens = draft.opens_at();
    let hours = format!("Mo-Su {:02}:{:02}-{:02}:00", opens.hour(), opens.minute(), (opens.hour() + 4).min(23));
    let calendar = |name: &str, hours: &str| {
        with(object(OURS, "OfficeCalendar", "", name), "spec", json!({"timeZone": "Europe/Rome", "hours": hours}))
    };
    let mut all = vec![calendar("sportello", &hours)];
    if draft.services.iter().any(|service| service.tolerates) {
        all.push(calendar("sempre", "24/7"));
    }
    all.extend(draft.services.iter().map(|service| public(draft, service)));
    let steps: Vec<Value> = draft.steps.iter().map(step).collect();
    let waves: Vec<Vec<String>> = draft.services.iter().map(|service| vec![service.name.clone()]).collect();
    let mut spec = json!({"serviceAccountName": "lavori", "reserve": span(draft.reserve), "steps": steps,
        "reopening": {"budget": span(draft.reopening), "waves": waves}});
    if let Some(budget) = draft.smoke {
        spec["smoke"] = json!({"budget": span(budget), "job": {"from": {"cronJob": "j-smoke"}}});
    }
    all.push(with(object(OURS, "Runbook", "centro-dati", "lavori"), "spec", spec));
    let night = json!({"runbook": "lavori", "mode": "Run", "startTime": draft.start(), "startTolerance": "10m", "margin": "15m",
        "tellBefore": "30m", "requester": "turno@centro-dati"});
    all.push(with(object(OURS, "Intervention", "centro-dati", "notte"), "spec", night));
    all
}

fn closing(service: &Service) -> Value {
    let target = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "name": service.name});
    match service.closing {
        Closing::Scale => json!({"name": "backend", "scale": {"target": target("apps/v1", "Deployment"), "replicas": 0}}),
        Closing::Courtesy => {
            let merge = json!({"spec": {"selector": {"app": "cortesia"}}});
            json!({"name": "cortesia", "patch": {"target": target("v1", "Service"), "merge": merge}})
        }
        Closing::Suspend => json!({"name": "lotti", "suspend": {"target": target("batch/v1", "CronJob")}}),
        Closing::Merge => {
            json!({"name": "modo", "patch": {"target": target("v1", "ConfigMap"), "merge": {"data": {"modo": "lettura"}}}})
        }
        Closing::Json => {
            let operations = json!([{"op": "replace", "path": "/data/modo", "value": "lettura"},
                {"op": "remove", "path": "/data/altro"}]);
            json!({"name": "modo", "patch": {"target": target("v1", "ConfigMap"), "json": operations}})
        }
    }
}

fn public(draft: &Draft, service: &Service) -> Value {
    let mut sites = vec![json!({"name": "sportelli", "calendar": "sportello"})];
    if service.tolerates {
        let closed_for = span(draft.patience(service).as_mins());
        let tolerates = json!({"closedFor": closed_for, "fallback": {"it": "Carta", "en": "Paper"}});
        sites.push(json!({"name": "guardia", "calendar": "sempre", "tolerates": tolerates}));
    }
    let mut spec = json!({"title": {"it": service.name, "en": service.name}, "sites": sites, "close": [closing(service)],
        "reopen": {"budget": span(service.reopen)}, "whenDirty": service.when_dirty, "whenRed": service.when_red,
        "allowedFrom": [{"namespace": "centro-dati"}],
        "contacts": [{"role": "reperibile", "name": "Turno A", "notify": "sala"}]});
    if service.closing.is_probed() {
        let url = format!("http://{}.sanita:8080/health", service.name);
        spec["reopen"]["probes"] = json!([{"name": "vive", "http": {"url": url}, "consecutive": 2, "every": "10s"}]);
    }
    if let Some(needed) = &service.needs {
        spec["dependsOn"] = json!([{"service": needed, "mode": "Sync", "fallback": {"it": "Carta", "en": "Paper"}}]);
    }
    match service.when_dirty {
        "Open" => spec["whenDirtyReason"] = json!("meglio di una porta chiusa"),
        "OpenDegraded" => {
            let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": format!("{}-avvisi", service.name)});
            spec["degraded"] = json!([{"name": "avviso", "patch": {"target": target, "merge": {"data": {"avviso": "si"}}}}]);
        }
        _ => {}
    }
    with(object(OURS, "PublicService", "sanita", &service.name), "spec", spec)
}

fn step(step: &Step) -> Value {
    let mut all = json!({"name": step.name, "budget": span(step.budget)});
    for (field, value) in action(step).as_object().unwrap() {
        all[field] = value.clone();
    }
    if !step.needs.is_empty() {
        all["needs"] = json!(step.needs);
    }
    if let Some(cap) = step.hard_cap {
        all["hardCap"] = json!(span(cap));
    }
    if let Some(policy) = step.on_overrun {
        all["onOverrun"] = json!(policy);
    }
    if step.goes_on_when_futile {
        all["onFutile"] = json!("Continue");
    }
    if let Some(touches) = &step.touches {
        all["touches"] = json!(touches);
    }
    match &step.work {
        Work::Job { undo: Undo::Job { budget, attempts, .. }, .. } => {
            let job = json!({"from": {"cronJob": format!("u-{}", step.name)}});
            all["undo"] = json!({"budget": span(*budget), "attempts": attempts, "job": job});
        }
        Work::Job { undo: Undo::Nothing, .. } => all["noUndo"] = json!({"reason": "NothingToUndo"}),
        Work::Job { undo: Undo::CoveredBy(other), .. } => all["noUndo"] = json!({"reason": "CoveredBy", "step": other}),
        Work::Job { undo: Undo::Irreversible, .. } => all["noUndo"] = json!({"reason": "Irreversible"}),
        _ => {
            if let Some(budget) = step.undo {
                all["undo"] = json!({"budget": span(budget)});
            }
        }
    }
    all
}

fn cron_job(name: &str, namespace: &str, suspended: bool, takes: i64) -> Value {
    let marks = json!({"embedded.notturno.dev/takes": span(takes), "embedded.notturno.dev/stops-after": "20s"});
    let template = json!({"metadata": {"annotations": marks},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "lavoro", "image": "registro.example/lavori:1"}]}});
    let spec = json!({"schedule": "0 0 1 1 *", "suspend": suspended, "jobTemplate": {"spec": {"template": template}}});
    with(object("batch/v1", "CronJob", namespace, name), "spec", spec)
}

fn deployment(name: &str, marks: &Value) -> Value {
    let labels = json!({"app": name});
    let containers = json!([{"name": "servizio", "image": "registro.example/servizio:1"}]);
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    let mut made = object("apps/v1", "Deployment", "sanita", name);
    made["metadata"]["annotations"] = marks.clone();
    with(made, "spec", json!({"replicas": 2, "selector": {"matchLabels": labels}, "template": template}))
}

fn front(name: &str, needs: Option<&str>) -> Value {
    let mut made = object("v1", "Service", "sanita", name);
    if let Some(needed) = needs {
        made["metadata"]["annotations"] = json!({"embedded.notturno.dev/healthy-with": needed});
    }
    with(made, "spec", json!({"selector": {"app": name}, "ports": [{"port": 8080}]}))
}

fn map(name: &str) -> Value {
    with(object("v1", "ConfigMap", "sanita", name), "data", json!({"modo": "tutto", "altro": "resta", "vecchio": "si"}))
}

/// What is there by day.
pub fn objects(draft: &Draft) -> Vec<Value> {
    let account = |name: &str| object("v1", "ServiceAccount", "centro-dati", name);
    let none = json!({});
    let mut all = vec![account("lavori"), account("lavori-sentinel"), deployment("rete", &none), front("rete", None)];
    for service in &draft.services {
        match service.closing {
            Closing::Scale => all.push(deployment(&service.name, &json!({"embedded.notturno.dev/ready-after": "1m"}))),
            Closing::Courtesy => all.push(deployment(&service.name, &none)),
            Closing::Suspend => all.push(cron_job(&service.name, "sanita", false, 1)),
            Closing::Merge | Closing::Json => all.push(map(&service.name)),
        }
        if service.closing.is_probed() {
            all.push(front(&service.name, Some("rete.sanita")));
        }
        if service.when_dirty == "OpenDegraded" {
            all.push(map(&format!("{}-avvisi", service.name)));
        }
    }
    for step in &draft.steps {
        let name = format!("o-{}", step.name);
        match &step.work {
            Work::Job { takes, undo } => {
                all.push(cron_job(&format!("j-{}", step.name), "centro-dati", true, *takes));
                if let Undo::Job { takes, .. } = undo {
                    all.push(cron_job(&format!("u-{}", step.name), "centro-dati", true, *takes));
                }
            }
            Work::Scale | Work::Restart => all.push(deployment(&name, &none)),
            Work::Merge | Work::Json | Work::Wait { .. } => all.push(map(&name)),
            Work::Suspend => all.push(cron_job(&name, "sanita", false, 1)),
            Work::Cordon => all.push(with(object("v1", "Node", "", &name), "spec", json!({}))),
            Work::Close(_) | Work::Apply | Work::Http | Work::Hold { .. } | Work::Notify => {}
        }
    }
    if draft.smoke.is_some() {
        all.push(cron_job("j-smoke", "centro-dati", true, 1));
    }
    all
}
