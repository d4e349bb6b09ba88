//! The CRDs' CEL rules: each holds somewhere and is broken somewhere, and what they refuse the program's own validation refuses too.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeSet;

use notturno::api::{Document, from_value, rules, structure, validate};
use notturno::model::refusal::Refusal;
use serde_json::{Value, json};

const KINDS: [&str; 4] = ["OfficeCalendar", "PublicService", "Runbook", "Intervention"];

fn read(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

/// Every document of ours in `runbooks/`, `tests/words/sketch.yaml` and `tests/rules/`: what holds and what is broken.
fn corpus() -> Vec<(String, Value)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files =
        vec![root.join("tests/words/sketch.yaml"), root.join("tests/rules/broken.yaml"), root.join("tests/rules/kept.yaml")];
    let runbooks = std::fs::read_dir(root.join("runbooks")).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.extend(runbooks.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")));
    files.sort();
    let texts = files.iter().map(|path| (path, std::fs::read_to_string(path).expect("a file")));
    texts.flat_map(|(path, text)| read(&text).into_iter().map(|value| (path.display().to_string(), value))).collect()
}

fn own(document: Value) -> Vec<Refusal> {
    let judged = from_value(document).and_then(|read| {
        match &read {
            Document::Calendar(raw) => validate::calendar(raw).err(),
            Document::Service(raw) => validate::service(raw).err(),
            Document::Runbook(raw) => validate::runbook(raw).err(),
            Document::Intervention(raw) => validate::intervention(raw).err(),
        }
        .map_or(Ok(()), Err)
    });
    judged.err().unwrap_or_default()
}

fn judged(document: &Value, before: Option<&Value>) -> Vec<rules::Judged> {
    let kind = document["kind"].as_str().expect("a kind");
    assert_eq!(
        structure::check_spec(kind, "x", &document["spec"]).refusals,
        [],
        "rules are judged only over what the schema accepts"
    );
    rules::judged(kind, &document["spec"], before)
}

#[test]
fn every_rule_of_every_kind_holds_somewhere_and_is_broken_somewhere() {
    let (mut held, mut broken) = (BTreeSet::new(), BTreeSet::new());
    let mut note = |judged: Vec<rules::Judged>| {
        for one in judged {
            match one.holds {
                Ok(true) => held.insert(one.rule),
                Ok(false) => broken.insert(one.rule),
                Err(error) => panic!("{}: {}: {error}", one.path, one.rule),
            };
        }
    };
    let corpus = corpus();
    for (_, document) in &corpus {
        note(judged(document, None));
    }
    // Rules about a change, over a night that stays as it is and over one that is edited.
    let night = &corpus.iter().find(|(_, document)| document["kind"] == "Intervention").expect("a night").1;
    let mut edited = night["spec"].clone();
    edited["margin"] = json!("1m");
    note(judged(night, Some(&night["spec"])));
    note(judged(night, Some(&edited)));
    let all: BTreeSet<&'static str> = KINDS.iter().flat_map(|kind| rules::rules(kind)).map(|(_, rule)| rule).collect();
    assert!(all.len() >= 12, "the rules were found: {all:?}");
    let missing = |some: &BTreeSet<&'static str>| all.difference(some).copied().collect::<Vec<_>>();
    assert!(missing(&held).is_empty(), "hold nowhere; add a document to tests/rules/kept.yaml: {:#?}", missing(&held));
    assert!(missing(&broken).is_empty(), "broken nowhere; add a document to tests/rules/broken.yaml: {:#?}", missing(&broken));
}

/// Whether `refusal` speaks of the place, or of something in it.
fn speaks_of(refusal: &Refusal, path: &str) -> bool {
    refusal.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[test]
fn what_a_rule_refuses_the_programs_own_validation_refuses_at_the_same_place() {
    let mut compared = 0;
    for (file, document) in corpus() {
        let own = own(document.clone());
        for broken in judged(&document, None).into_iter().filter(|judged| judged.holds != Ok(true)) {
            let place = &broken.path;
            assert!(
                own.iter().any(|refusal| speaks_of(refusal, place)),
                "{file}: {place}: {} is refused by the rule only: {own:?}",
                broken.rule
            );
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared}");
}

#[test]
fn durations_mean_the_same_to_a_rule_and_to_the_program() {
    let mut document = corpus()
        .into_iter()
        .find(|(file, document)| file.contains("sogei") && document["kind"] == "Runbook")
        .expect("a runbook")
        .1;
    for text in ["1h30m", "+1h", "1.5h", ".5h", "90s", "5ms", "0s", "0", "0h0m", "0.000s"] {
        document["spec"]["steps"][0]["budget"] = json!(text);
        let rule = judged(&document, None).into_iter().find(|judged| judged.path == "spec.steps[0].budget").expect("judged");
        let own = own(document.clone());
        assert_eq!(rule.holds, Ok(own.iter().all(|refusal| refusal.path != rule.path)), "{text}: {own:?}");
    }
    for text in ["9999999999h", "2562048h"] {
        document["spec"]["steps"][0]["budget"] = json!(text);
        let rule = judged(&document, None).into_iter().find(|judged| judged.path == "spec.steps[0].budget").expect("judged");
        assert!(rule.holds.is_err(), "{text} does not fit 64 bits, and an API server says so: {rule:?}");
        let refused = rules::refusals("Runbook", "x", &document["spec"]);
        assert!(refused.iter().any(|one| one.path == rule.path && one.message.contains("cannot be judged")), "{refused:?}");
    }
}

/// An API server drops a null that stands where none may, before it asks its rules.
#[test]
fn what_is_null_is_not_there_for_a_rule() {
    let runbook = corpus().into_iter().find(|(file, document)| file.contains("sogei") && document["kind"] == "Runbook");
    let mut spec = runbook.expect("a runbook").1["spec"].clone();
    let count = rules::judged("Runbook", &spec, None).len();
    let steps = spec["steps"].as_array_mut().expect("steps");
    steps[0]["hardCap"] = Value::Null;
    steps[0]["close"] = Value::Null;
    steps[0]["job"]["template"] = Value::Null;
    let judged = rules::judged("Runbook", &spec, None);
    assert_eq!(judged.len(), count, "no rule is asked about what is null");
    let broken: Vec<_> = judged.iter().filter(|one| one.holds != Ok(true)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
