//! A night on a real cluster, kept: its audit log with what a judge needs of it and nothing that tells of a machine.
//!
//! In: lines of a log, what was there by day, what was seen. Out: [`Recording`], and its text. Invariants: judged again it is judged the
//! same, but for what was asked before the night was over, which is left out; an object is kept whole once, and then what changed of it.
//! Not here: what is made of lines (`audit_log`).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::audit_log::{ASKED_ONLY, Hands, POD, is_read, text};
use super::declared::Declared;
use super::evidence::{Evidence, Key, Sighting};

/// What of an object's metadata a judge asks for.
const METADATA: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "annotations",
    "ownerReferences",
    "finalizers",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];
/// Whose changes are only of what controllers keep for themselves.
const KEPT_BY_CONTROLLERS: [&str; 5] = ["deployments", "replicasets", "endpoints", "endpointslices", "controllerrevisions"];

/// All that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    pub operator: String,
    pub documents: Vec<Value>,
    pub must_serve_by: Timestamp,
    pub quiet_from: Timestamp,
    pub until: Timestamp,
    /// When each door was seen, and whether it opened: the first time, and whenever that had changed.
    sightings: Vec<(Timestamp, String, bool)>,
    /// Each with the plural of its kind.
    by_day: Vec<(String, Value)>,
    #[serde(skip)]
    pub lines: Vec<Value>,
}

impl Recording {
    /// What a night leaves.
    pub fn of(operator: &str, documents: &[Value], declared: &Declared, evidence: &Evidence, lines: &[Value]) -> Self {
        let is_its = |namespace: &str| documents.iter().any(|one| one["metadata"]["namespace"] == namespace);
        let is_kept =
            |key: &Key| KEPT_BY_CONTROLLERS[1..].iter().all(|resource| key.resource != *resource) && key.resource != "pods";
        let by_day = evidence.by_day.iter().filter(|(key, _)| is_its(&key.namespace) && is_kept(key));
        let mut seen: BTreeMap<&str, bool> = BTreeMap::new();
        let sightings = evidence.sightings.iter().filter(|one| seen.insert(&one.service, one.is_open) != Some(one.is_open));
        let hands = Hands::of(operator, documents);
        let counts = |line: &&Value| {
            let moment = || line["stageTimestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
            match hands.is_ours(line) {
                true if is_read(line) => moment().is_some_and(|at| at > evidence.quiet_from),
                true => true,
                false => !is_read(line) && is_its(text(&line["objectRef"]["namespace"])) && is_told_by_others(line),
            }
        };
        let mut known: BTreeMap<Key, Value> = BTreeMap::new();
        // Most of what controllers write is of what nobody asks for.
        let is_news = |line: &Value| {
            let Some(key) = key_of(line) else { return true };
            let mut object = line["responseObject"].clone();
            object["metadata"]["resourceVersion"] = Value::Null;
            known.insert(key, object.clone()) != Some(object) || hands.is_ours(line)
        };
        Self {
            operator: operator.to_owned(),
            documents: documents.to_vec(),
            must_serve_by: declared.must_serve_by,
            quiet_from: evidence.quiet_from,
            until: evidence.until,
            sightings: sightings.map(|one| (one.at, one.service.clone(), one.is_open)).collect(),
            by_day: by_day.map(|(key, object)| (key.resource.clone(), trimmed(&key.resource, object))).collect(),
            lines: lines.iter().filter(counts).map(trimmed_line).filter(is_news).collect(),
        }
    }

    pub fn by_day(&self) -> BTreeMap<Key, Arc<Value>> {
        self.by_day.iter().map(|(resource, object)| (key(resource, object), Arc::new(object.clone()))).collect()
    }

    pub fn sightings(&self) -> Vec<Sighting> {
        let sighting = |(at, service, is_open): &(Timestamp, String, bool)| Sighting {
            at: *at,
            service: service.clone(),
            is_open: *is_open,
        };
        self.sightings.iter().map(sighting).collect()
    }

    /// One value a line: the head, then the log.
    pub fn text(&self) -> String {
        let mut known: BTreeMap<Key, Value> = self.by_day().into_iter().map(|(key, object)| (key, (*object).clone())).collect();
        let packed = self.lines.iter().map(|line| {
            let Some(key) = key_of(line) else { return line.to_string() };
            let (object, mut line) = (line["responseObject"].clone(), line.clone());
            if let Some(before) = known.insert(key, object.clone()) {
                line["responseObject"] = Value::Null;
                line["responseChanges"] = difference(&before, &object);
            }
            line.to_string()
        });
        std::iter::once(serde_json::to_string(self).unwrap()).chain(packed).map(|line| line + "\n").collect()
    }

    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let mut recording: Self = serde_json::from_str(lines.next().unwrap()).unwrap();
        let mut known: BTreeMap<Key, Value> =
            recording.by_day().into_iter().map(|(key, object)| (key, (*object).clone())).collect();
        for line in lines {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if let Some(key) = key_of(&line) {
                if let Some(changes) = line.as_object_mut().and_then(|line| line.remove("responseChanges")) {
                    line["responseObject"] = known[&key].clone();
                    merge(&mut line["responseObject"], &changes);
                }
                known.insert(key, line["responseObject"].clone());
            }
            recording.lines.push(line);
        }
        recording
    }
}

fn key(resource: &str, object: &Value) -> Key {
    Key::new(resource, text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

/// The object that the line tells whole, or tells the change of.
fn key_of(line: &Value) -> Option<Key> {
    let at = &line["objectRef"];
    let is_whole = line["responseObject"]["metadata"]["name"].is_string() && at["subresource"] != "scale";
    let is_told = is_whole || line["responseChanges"].is_object();
    is_told.then(|| Key::new(text(&at["resource"]), text(&at["namespace"]), text(&at["name"])))
}

/// Whether what a controller or a person did is of the night: what it changes, and the Pods of Jobs.
fn is_told_by_others(line: &Value) -> bool {
    let at = &line["objectRef"];
    let is_of_job = || line["responseObject"]["metadata"]["ownerReferences"][0]["kind"] == "Job";
    KEPT_BY_CONTROLLERS.iter().all(|resource| at["resource"] != *resource) && (at["resource"] != "pods" || is_of_job())
}

fn pick(object: &Value, fields: &[&str]) -> Value {
    let found = fields.iter().filter_map(|field| Some(((*field).to_owned(), object.get(field)?.clone())));
    Value::Object(found.filter(|(_, value)| !value.is_null()).collect())
}

fn trimmed_line(line: &Value) -> Value {
    let mut kept = pick(line, &["stage", "verb", "stageTimestamp"]);
    kept["objectRef"] = pick(&line["objectRef"], &["resource", "subresource", "namespace", "name"]);
    if ASKED_ONLY.iter().any(|group| line["objectRef"]["apiGroup"] == *group) {
        kept["objectRef"]["apiGroup"] = line["objectRef"]["apiGroup"].clone();
    }
    kept["user"] = json!({"username": line["user"]["username"]});
    if let Some(pod) = line["user"]["extra"].get(POD) {
        kept["user"]["extra"] = json!({POD: pod});
    }
    kept["responseStatus"] = json!({"code": line["responseStatus"]["code"]});
    if text(&line["requestURI"]).contains("dryRun=All") {
        kept["requestURI"] = json!("?dryRun=All");
    }
    if line["requestObject"]["dryRun"].is_array() {
        kept["requestObject"] = pick(&line["requestObject"], &["dryRun"]);
    }
    let answer = &line["responseObject"];
    if answer["kind"] == "Status" {
        kept["responseObject"] = pick(answer, &["kind", "details"]);
    } else if answer["metadata"]["name"].is_string() {
        kept["responseObject"] = trimmed(text(&line["objectRef"]["resource"]), answer);
        // Whoever lets the API server choose a name learns it from the answer.
        kept["objectRef"]["name"] = answer["metadata"]["name"].clone();
    }
    kept
}

/// An object with what a judge asks for.
fn trimmed(resource: &str, object: &Value) -> Value {
    let mut kept = pick(object, &["apiVersion", "kind", "spec", "type", "note", "action", "reason"]);
    kept["metadata"] = pick(&object["metadata"], &METADATA);
    let status = &object["status"];
    match resource {
        "pods" => kept["status"] = pick(status, &["phase"]),
        "jobs" => {
            kept["spec"] = pick(&object["spec"], &["suspend"]);
            let all = status["conditions"].as_array().into_iter().flatten();
            kept["status"] = json!({"conditions": all.map(|one| pick(one, &["type", "status"])).collect::<Vec<_>>()});
        }
        "interventions" => kept["status"] = pick(status, &["phase", "why", "wakeAt", "outcome", "needsHuman"]),
        "configmaps" => kept["data"] = data(&object["data"]),
        _ => {}
    }
    if let Some(spec) = kept.get_mut("spec").and_then(Value::as_object_mut) {
        // What runs, and where it keeps its data.
        spec.retain(|field, _| !["template", "jobTemplate"].contains(&field.as_str()));
    }
    if ["pods", "publicservices", "runbooks", "officecalendars"].contains(&resource) {
        kept["spec"] = json!({});
    }
    kept
}

/// Records whole; of everything else that it is there, and whether it is the same.
fn data(data: &Value) -> Value {
    let is_record = |name: &str| name == "head" || name.len() == 6 && name.bytes().all(|byte| byte.is_ascii_digit());
    let short = |(name, value): (&String, &Value)| {
        let value = if is_record(name) { value.clone() } else { json!(super::records::sha256(text(value))) };
        (name.clone(), value)
    };
    Value::Object(data.as_object().into_iter().flatten().map(short).collect())
}

/// What has to be merged into the one to make the other of it; none of them has nulls.
fn difference(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return after.clone() };
    let mut changes = Map::new();
    changes.extend(old.keys().filter(|field| !new.contains_key(*field)).map(|field| (field.clone(), Value::Null)));
    for (field, value) in new.iter().filter(|(field, value)| old.get(*field) != Some(*value)) {
        changes.insert(field.clone(), old.get(field).map_or_else(|| value.clone(), |old| difference(old, value)));
    }
    Value::Object(changes)
}

fn merge(object: &mut Value, changes: &Value) {
    let Some(changes) = changes.as_object() else {
        object.clone_from(changes);
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (field, value) in changes {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(field);
        } else {
            merge(&mut object[field], value);
        }
    }
}
