//! One sequence, put to both API servers call by call.
//!
//! In: calls. Out: whether both answered the same, which written differences that took, and where not: the shortest sequence that still shows
//! it, in words. Invariants: each trial begins with nothing on either side; after a difference that changes what is stored the rest is not
//! compared. Not here: which differences are written down ([`super::differences`]).

use std::collections::BTreeSet;
use std::fmt::Write;

use kube::Client;
use notturno::clock::Clock;
use notturno::embedded::{Embedded, ResourceKind};
use serde_json::{Value, json};

use super::calls::Call;
use super::differences::{Needed, Verdict, judge};
use super::kinds::Kind;
use super::side::{Answer, Side};

/// How one sequence went.
#[derive(Debug, Default)]
pub struct Outcome {
    pub calls: usize,
    pub refused: usize,
    /// The names of the written differences without which the answers would not have been the same.
    pub needed: Needed,
    /// Where both went different ways, written down or not.
    pub ended_early: bool,
    /// What is written down nowhere.
    pub found: Option<Found>,
}

#[derive(Clone, Debug)]
pub struct Found {
    place: usize,
    real: Answer,
    embedded: Answer,
}

/// An API server, and where in it trials take place.
pub struct Court {
    pub real: Client,
    pub namespace: &'static str,
}

fn kinds(calls: &[Call]) -> Vec<&'static Kind> {
    let mut kinds: Vec<&'static Kind> = vec![];
    for call in calls {
        if !kinds.iter().any(|kind| kind.plural == call.kind.plural) {
            kinds.push(call.kind);
        }
    }
    kinds
}

impl Court {
    /// Puts the calls to both.
    pub async fn hear(&self, calls: &[Call]) -> Outcome {
        let kinds = kinds(calls);
        let embedded = self.embedded().await;
        let mut real = Side::begin(self.real.clone(), self.namespace, &kinds).await;
        let mut embedded = Side::begin(embedded.client("tester"), self.namespace, &kinds).await;
        let mut outcome = Outcome::default();
        for (place, call) in calls.iter().enumerate() {
            let real = real.ask(call).await;
            let embedded = embedded.ask(call).await;
            outcome.calls += 1;
            outcome.refused += usize::from(real.code >= 400);
            match judge(call, &real, &embedded, &mut outcome.needed) {
                Verdict::Same => {}
                Verdict::WaysPart => {
                    outcome.ended_early = true;
                    break;
                }
                Verdict::Different => {
                    outcome.found = Some(Found { place, real, embedded });
                    break;
                }
            }
        }
        self.clear(&real, &kinds).await;
        outcome
    }

    /// An embedded API that has forgotten its beginning, as every real one has.
    async fn embedded(&self) -> Embedded {
        let embedded = Embedded::new(Clock::starting_at("2023-02-09T23:30:00Z".parse().unwrap()));
        embedded.stop_controllers();
        embedded.register(ResourceKind {
            group: "notturno.dev".to_owned(),
            version: "v1alpha1".to_owned(),
            kind: "Intervention".to_owned(),
            plural: "interventions".to_owned(),
            namespaced: true,
            status_subresource: true,
        });
        let side = Side::begin(embedded.client("tester"), self.namespace, &[]).await;
        let all = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        side.plain("POST", &all, "", Some(&json!({"metadata": {"name": "first"}}))).await;
        side.plain("DELETE", &format!("{all}/first"), "", None).await;
        embedded.compact(0);
        embedded
    }

    /// Takes away what was there before the first trial.
    pub async fn clear_all(&self) {
        let side = Side::begin(self.real.clone(), self.namespace, &[]).await;
        self.clear(&side, &super::kinds::all().iter().collect::<Vec<_>>()).await;
    }

    /// Takes away what a trial left.
    async fn clear(&self, side: &Side, kinds: &[&'static Kind]) {
        for kind in kinds {
            let all = kind.path(self.namespace);
            let (_, list) = side.plain("GET", &all, "", None).await;
            let items = list["items"].as_array().cloned().unwrap_or_default();
            for item in items.iter().filter(|item| item["metadata"]["finalizers"].is_array()) {
                let place = format!("{all}/{}", item["metadata"]["name"].as_str().unwrap());
                let free = json!({"metadata": {"finalizers": null}});
                side.plain("PATCH", &place, "application/merge-patch+json", Some(&free)).await;
            }
            if !items.is_empty() {
                side.plain("DELETE", &format!("{all}?propagationPolicy=Background"), "", None).await;
                let (_, list) = side.plain("GET", &all, "", None).await;
                assert_eq!(list["items"], json!([]), "a trial begins with nothing");
            }
        }
    }

    /// The same difference with as few calls as show it, in words.
    pub async fn shorten(&self, calls: &[Call], found: Found) -> String {
        let (mut calls, mut found) = (calls[..=found.place].to_vec(), found);
        let mut place = calls.len();
        while place > 0 {
            place -= 1;
            let mut fewer = calls.clone();
            fewer.remove(place);
            if let Some(still) = self.hear(&fewer).await.found {
                fewer.truncate(still.place + 1);
                (calls, found) = (fewer, still);
                place = place.min(calls.len());
            }
        }
        told(&calls, &found)
    }
}

fn told(calls: &[Call], found: &Found) -> String {
    let mut text = String::new();
    for (number, call) in calls.iter().enumerate() {
        writeln!(text, "  {}. {call}", number + 1).unwrap();
    }
    let Found { real, embedded, .. } = found;
    let whole = |answer: &Answer| format!("{} {} {}", answer.code, answer.shown, answer.message);
    if real.code == embedded.code && real.code < 300 && !parts("", &real.shown, &embedded.shown).is_empty() {
        for (path, real, embedded) in parts("", &real.shown, &embedded.shown) {
            writeln!(text, "  {path}: real {real}, embedded {embedded}").unwrap();
        }
    } else {
        writeln!(text, "  real:     {}\n  embedded: {}", whole(real), whole(embedded)).unwrap();
    }
    text
}

/// Where two values differ.
fn parts(path: &str, one: &Value, other: &Value) -> Vec<(String, Value, Value)> {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let keys: BTreeSet<&String> = ones.keys().chain(others.keys()).collect();
            let absent = Value::from("<absent>");
            let of = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).unwrap_or(&absent).clone();
            keys.into_iter().flat_map(|key| parts(&format!("{path}/{key}"), &of(ones, key), &of(others, key))).collect()
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            let pairs = ones.iter().zip(others).enumerate();
            pairs.flat_map(|(number, (one, other))| parts(&format!("{path}/{number}"), one, other)).collect()
        }
        _ if one == other => vec![],
        _ => vec![(path.to_owned(), one.clone(), other.clone())],
    }
}
