//! What one API server has shown in a sequence, so that calls can speak of it and answers of two servers can be held against each other.
//!
//! In: answers. Out: calls in which `<uid configmaps/a>`, `<version configmaps/a>`, `<older configmaps/a>`, `<start configmaps>`, `<more>` and
//! `<generated 1>` are what this server said; answers in which everything that is the server's own choice is the place of that choice in
//! the sequence. Invariants: two servers that say the same in the same order are shown the same. Not here: sending.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::kinds::Kind;

/// What no server ever gave to an object.
const NO_UID: &str = "00000000-0000-0000-0000-00000000ffff";

#[derive(Debug, Default)]
pub struct Memory {
    objects: BTreeMap<String, Value>,
    versions: BTreeMap<String, Vec<u64>>,
    /// All versions of objects, in the server's own order.
    order: BTreeSet<u64>,
    uids: Vec<String>,
    generated: Vec<String>,
    starts: BTreeMap<&'static str, String>,
    more: String,
}

fn key(kind: &Kind, name: &str) -> String {
    format!("{}/{name}", kind.plural)
}

fn version(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

impl Memory {
    /// The revision from which a sequence is watched.
    pub fn begin(&mut self, kind: &'static Kind, list: &Value) {
        self.starts.insert(kind.plural, list["metadata"]["resourceVersion"].as_str().unwrap_or("1").to_owned());
    }

    /// Takes in an answer; of a dry run only that it was given.
    pub fn learn(&mut self, kind: &Kind, answer: &Value, dry_run: bool) {
        if answer["kind"] == format!("{}List", kind.word) {
            answer["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut self.more);
            answer["items"].as_array().into_iter().flatten().for_each(|item| self.learn_one(kind, item, dry_run));
        } else if answer["kind"] == kind.word {
            self.learn_one(kind, answer, dry_run);
        }
    }

    fn learn_one(&mut self, kind: &Kind, object: &Value, dry_run: bool) {
        let metadata = &object["metadata"];
        let (name, uid) = (metadata["name"].as_str().unwrap_or_default(), metadata["uid"].as_str().unwrap_or_default());
        let beginning = metadata["generateName"].as_str().filter(|beginning| !beginning.is_empty());
        if beginning.is_some_and(|beginning| name.starts_with(beginning)) && !self.generated.iter().any(|known| known == name) {
            self.generated.push(name.to_owned());
        }
        if !uid.is_empty() && !self.uids.iter().any(|known| known == uid) {
            self.uids.push(uid.to_owned());
        }
        let Some(version) = version(object).filter(|_| !dry_run) else { return };
        self.order.insert(version);
        let versions = self.versions.entry(key(kind, name)).or_default();
        // A deletion answers with what there was: that is not news.
        if versions.last().is_none_or(|last| *last < version) {
            versions.push(version);
            self.objects.insert(key(kind, name), object.clone());
        }
    }

    /// The object as it was last seen.
    pub fn seen(&self, kind: &Kind, name: &str) -> Option<&Value> {
        self.objects.get(&key(kind, name))
    }

    /// The text as it is sent to this server.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let Some((word, after)) = after.split_once('>') else { break };
            filled.push_str(before);
            filled.push_str(&self.word(word));
            rest = after;
        }
        filled + rest
    }

    fn word(&self, word: &str) -> String {
        let (what, of) = word.split_once(' ').unwrap_or((word, ""));
        let made =
            of.split_once("/generated ").map(|(kind, place)| format!("{kind}/{}", self.word(&format!("generated {place}"))));
        let of = made.as_deref().unwrap_or(of);
        let versions = || self.versions.get(of).map_or(&[][..], Vec::as_slice);
        let shown = |version: Option<&u64>| version.map_or_else(|| "1".to_owned(), u64::to_string);
        match what {
            "uid" => self.objects.get(of).and_then(|object| object["metadata"]["uid"].as_str()).unwrap_or(NO_UID).to_owned(),
            "version" => shown(versions().last()),
            "older" => shown(versions().iter().rev().nth(1)),
            "start" => self.starts.get(of).cloned().unwrap_or_default(),
            "more" => self.more.clone(),
            "generated" => {
                let place = of.parse::<usize>().unwrap_or(1) - 1;
                self.generated.get(place).cloned().unwrap_or_else(|| "none".to_owned())
            }
            _ => panic!("nothing is called <{word}>"),
        }
    }

    /// A body as it is sent to this server.
    pub fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => fields.iter().map(|(key, inner)| (key.clone(), self.filled(inner))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// An answer without what only this server could say.
    pub fn shown(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.known(text)),
            Value::Array(items) => items.iter().map(|item| self.shown(item)).collect(),
            Value::Object(fields) => {
                let inner = |(key, inner): (&String, &Value)| {
                    let shown = inner.as_object().filter(|_| key == "metadata").map(|metadata| self.metadata(metadata));
                    (self.known(key), shown.unwrap_or_else(|| self.shown(inner)))
                };
                let mut fields: Map<String, Value> = fields.iter().map(inner).collect();
                if fields.contains_key("items") {
                    // Other clients of a real API server move it too; what holds is asked by the trial.
                    fields.get_mut("metadata").and_then(Value::as_object_mut).map(|metadata| metadata.remove("resourceVersion"));
                }
                Value::Object(fields)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn metadata(&self, metadata: &Map<String, Value>) -> Value {
        let mut shown = Map::new();
        for (key, inner) in metadata {
            let text = inner.as_str().unwrap_or_default();
            let inner = match key.as_str() {
                "creationTimestamp" | "deletionTimestamp" if !text.is_empty() => "<time>".into(),
                "continue" if !text.is_empty() => "<more>".into(),
                "resourceVersion" => self.place(text).into(),
                "uid" if !self.uids.iter().any(|known| known == text) => "<a uid>".into(),
                _ => self.shown(inner),
            };
            shown.insert(key.clone(), inner);
        }
        Value::Object(shown)
    }

    fn place(&self, text: &str) -> String {
        let version = text.parse().ok().filter(|version| self.order.contains(version));
        version
            .map_or_else(|| "<a version>".to_owned(), |version| format!("<version {}>", self.order.range(..version).count() + 1))
    }

    fn known(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, uid) in self.uids.iter().enumerate().filter(|(_, uid)| uid.len() > 8) {
            text = text.replace(uid.as_str(), &format!("<uid {}>", number + 1));
        }
        for (number, name) in self.generated.iter().enumerate() {
            text = text.replace(name.as_str(), &format!("<generated {}>", number + 1));
        }
        text
    }
}
