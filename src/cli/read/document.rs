//! Documents: objects with an apiVersion, a kind and a name, and the places of their fields.
//!
//! In: the trees of a file. Out: a [`Document`] for each object, the items of a `List` in its place; or problems, all at
//! once. What is not here: whether kind and fields are known.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::places::{Inside, Place, Position, steps};
use super::tree::{Node, Root};
use super::{NOT_YAML, ReadProblem};
use crate::api::GROUP;

/// Lists within lists that are followed.
const LISTS_MAX: usize = 4;

/// An object as somebody wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file, as it was named; `-` for standard input.
    pub file: String,
    /// Which object of the file, from 0, items of lists counted.
    pub index: usize,
    /// `apiVersion`; empty where there is none.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// Empty only for objects of other API groups.
    pub name: String,
    /// `metadata.namespace`, when written.
    pub namespace: Option<String>,
    /// The whole object.
    pub value: Value,
    place: Place,
}

impl Document {
    /// Line and column (from 1, in characters) of a field's name, or of the item in a list: `spec.steps[4].budget`,
    /// `data["a.b"]`, `metadata.labels[a.b/c]`. For a field that is not written, those of its nearest ancestor that is;
    /// None when none is.
    #[must_use]
    pub fn position(&self, path: &str) -> Option<Position> {
        self.place.of(path)
    }

    /// Line and column at which the object begins.
    #[must_use]
    pub fn start(&self) -> Position {
        self.place.position
    }

    /// The value of a field; None when it is not written.
    #[must_use]
    pub fn value_at(&self, path: &str) -> Option<&Value> {
        steps(path).into_iter().try_fold(&self.value, |value, step| match value {
            Value::Object(fields) => fields.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }

    /// A problem at a field of this document; at its beginning when nothing of the path is written.
    pub fn problem_at(&self, path: &str, message: impl Into<String>) -> ReadProblem {
        let (line, column) = self.position(path).unwrap_or_else(|| self.start());
        ReadProblem {
            reason: "Problem",
            file: self.file.clone(),
            line: Some(line),
            column: Some(column),
            message: message.into(),
        }
    }
}

/// Appends the documents of one tree, or what is wrong with it.
pub(super) fn from_tree(file: &str, root: Root, found: &mut Vec<Document>, problems: &mut Vec<ReadProblem>) {
    let mut reader = Reader { file, found, problems };
    let known_count = reader.problems.len();
    let (value, place) = reader.settle(root.position, root.node);
    // Something stands there that no value can stand in for: what else the document says is not looked at.
    if !reader.problems.iter().skip(known_count).any(|problem| problem.reason == NOT_YAML) {
        reader.object(value, place, LISTS_MAX);
    }
}

struct Reader<'a> {
    file: &'a str,
    found: &'a mut Vec<Document>,
    problems: &'a mut Vec<ReadProblem>,
}

impl Reader<'_> {
    fn problem(&mut self, reason: &'static str, (line, column): Position, message: String) {
        let file = self.file.to_owned();
        self.problems.push(ReadProblem { reason, file, line: Some(line), column: Some(column), message });
    }

    /// Takes values and places apart and reports duplicate keys and numbers that are none. As deep as the tree, which is bounded.
    fn settle(&mut self, position: Position, node: Node) -> (Value, Place) {
        let (value, inside) = match node {
            Node::Scalar(value) => (value, Inside::Nothing),
            Node::NotFinite(at) => {
                self.problem(NOT_YAML, at.unwrap_or(position), "this is not a finite number: quote it".to_owned());
                (Value::Null, Inside::Nothing)
            }
            Node::List(items) => {
                let (values, places) = items.into_iter().map(|(position, item)| self.settle(position, item)).unzip();
                (Value::Array(values), Inside::Items(places))
            }
            Node::Object(entries) => self.settle_object(entries),
        };
        (value, Place { position, inside })
    }

    fn settle_object(&mut self, entries: Vec<(Position, String, Node)>) -> (Value, Inside) {
        let mut values = Map::new();
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        for (position, key, node) in entries {
            if let Some(earlier) = places.get(&key) {
                let line = earlier.position.0;
                let shown: String = key.chars().take(80).collect();
                let message = format!("\"{shown}\" is written twice, first on line {line}: keep one");
                self.problem("DuplicateKey", position, message);
                continue;
            }
            let (value, place) = self.settle(position, node);
            values.insert(key.clone(), value);
            places.insert(key, place);
        }
        (Value::Object(values), Inside::Fields(places))
    }

    fn object(&mut self, value: Value, place: Place, lists_left: usize) {
        let Value::Object(fields) = value else {
            let what = word_for(&value);
            let message = format!("this document is {what}, not an object: begin it with apiVersion and kind");
            return self.problem("NotAnObject", place.position, message);
        };
        let api_version = self.text(&fields, "apiVersion", &place, ", such as notturno.dev/v1alpha1");
        let kind = self.text(&fields, "kind", &place, ", such as Runbook");
        let (Some(api_version), Some(kind)) = (api_version, kind) else { return };
        if kind.ends_with("List") && fields.get("items").is_some_and(Value::is_array) {
            return self.items(fields, place, lists_left);
        }
        let ours = api_version.split_once('/').is_some_and(|(group, _)| group == GROUP);
        let metadata = fields.get("metadata").and_then(Value::as_object);
        let of_metadata = |field: &str| metadata.and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
        let name = of_metadata("name").unwrap_or_default().to_owned();
        let namespace = of_metadata("namespace").filter(|namespace| !namespace.is_empty()).map(str::to_owned);
        if ours && name.is_empty() {
            let at = place.of("metadata.name").unwrap_or(place.position);
            if let Some(written) =
                metadata.and_then(|metadata| metadata.get("name")).filter(|name| !name.is_null() && !name.is_string())
            {
                let message = format!("metadata.name is {}, not a text: put what is written in quotes", word_for(written));
                return self.problem("WrongType", at, message);
            }
            return self.problem("Missing", at, format!("this {kind} has no metadata.name: give it a name, as a text"));
        }
        let (file, index) = (self.file.to_owned(), self.found.len());
        self.found.push(Document { file, index, api_version, kind, name, namespace, value: Value::Object(fields), place });
    }

    /// A required top-level text.
    fn text(&mut self, fields: &Map<String, Value>, name: &str, place: &Place, example: &str) -> Option<String> {
        match fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(other) => {
                let (what, at) = (word_for(other), place.of(name).unwrap_or(place.position));
                self.problem("WrongType", at, format!("{name} is {what}, not a text: write one{example}"));
                None
            }
            None => {
                self.problem("Missing", place.position, format!("{name} is missing: add it{example}"));
                None
            }
        }
    }

    fn items(&mut self, mut fields: Map<String, Value>, place: Place, lists_left: usize) {
        if lists_left == 0 {
            let message = format!("lists are nested more than {LISTS_MAX} deep: write their items one by one");
            return self.problem(super::TOO_LARGE, place.position, message);
        }
        let Inside::Fields(mut places) = place.inside else { return };
        let items = fields.remove("items");
        let inside = places.remove("items").map(|place| place.inside);
        if let (Some(Value::Array(items)), Some(Inside::Items(places))) = (items, inside) {
            for (item, place) in items.into_iter().zip(places) {
                self.object(item, place, lists_left - 1);
            }
        }
    }
}

fn word_for(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a yes or no",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "empty",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
